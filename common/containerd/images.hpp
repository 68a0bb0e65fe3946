// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/containerd/content.hpp"

namespace daxfs::containerd {

// An image containerd has a name for.
struct NamedImage {
  std::string name_space;
  std::string name;
  Blob target;  // its index or manifest
};

// Thread safe.
class NamedImages {
 public:
  virtual ~NamedImages() = default;
  // Of all namespaces. Errors of both: kUnavailable while containerd does not answer.
  virtual Result<std::vector<NamedImage>> List() = 0;
  // Errors: kNotFound, also if it is of no kind that has layers.
  virtual Result<NamedImage> Find(const std::string& name_space, const std::string& name) = 0;
};

// By containerd.services.images.v1 and namespaces.v1 on containerd's socket at `address`.
// `cancelled`: as ContentOverRpc, of Find.
std::unique_ptr<NamedImages> NamedImagesOverRpc(const std::string& address,
                                                std::function<bool()> cancelled = {});

}  // namespace daxfs::containerd
