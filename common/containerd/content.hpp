// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/status.hpp"
#include "common/oci/byte_reader.hpp"
#include "common/oci/digest.hpp"

namespace daxfs::containerd {

// A layer as it is stored.
struct Blob {
  std::string media_type;
  oci::Digest digest;
  std::uint64_t size_bytes = 0;
  bool operator==(const Blob&) const = default;
};

// Containerd's content store. Thread safe.
class Content {
 public:
  virtual ~Content() = default;
  // The bytes of a blob that `name_space` may see, not checked. Errors, also of the reader:
  // kNotFound; kUnavailable, kDeadlineExceeded while containerd does not answer.
  virtual Result<std::unique_ptr<oci::ByteReader>> Open(const Blob& blob,
                                                        const std::string& name_space) = 0;
};

// By containerd.services.content.v1 on containerd's socket at `address`; connects each time. What
// takes longer than a blob of that size may, or says nothing for so long, is kDeadlineExceeded;
// what goes on when `cancelled` says so, if there is one, soon is kCancelled.
std::unique_ptr<Content> ContentOverRpc(
    const std::string& address, std::chrono::milliseconds patience = std::chrono::seconds(30),
    std::function<bool()> cancelled = {});

// The files of the store at `directory`, where they can be read, else `other`'s. Namespaces are not
// asked about: who applies a layer was given it by containerd.
std::unique_ptr<Content> ContentInFiles(const std::string& directory,
                                        std::unique_ptr<Content> other);

}  // namespace daxfs::containerd
