// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/base/status.hpp"
#include "common/format/image.hpp"
#include "common/pool/participant.hpp"
#include "common/pool/view.hpp"

namespace daxfs::tools {

// The pool a command line names, to look at. Errors: as pool::ResolvePool and pool::Memory::Open.
Result<std::unique_ptr<pool::Memory>> OpenPool(const std::string& text,
                                               os::Access access = os::Access::kRead);

// The same, taking part in it.
Result<std::unique_ptr<pool::Participant>> JoinPool(const std::string& text,
                                                    const std::string& name);

// An image to read, wherever it lies.
class OpenedImage {
 public:
  // A file's path, or "pool:POOL:OBJECT": an object of a pool, by name or digest, in use as long as
  // this lives. `program`: who takes part in the pool, for people. Errors: as format::Image::Open;
  // kNotFound; kInvalidArgument for the record of an image of several layers.
  static Result<OpenedImage> Open(const std::string& text, const std::string& program = kProgram);
  // The same of an object of a pool, whose path may have colons.
  static Result<OpenedImage> OpenInPool(const std::string& pool, const std::string& object,
                                        const std::string& program = kProgram);

  // How it is called for good: the whole path of a file, or pool:POOL:sha256:...
  const std::string& source() const { return source_; }

  const format::Image& operator*() const { return *image_; }
  const format::Image* operator->() const { return &*image_; }

 private:
  static constexpr const char* kProgram = "daxfsctl";
  OpenedImage() = default;

  std::string source_;
  std::unique_ptr<pool::Participant> participant_;
  std::optional<pool::Mapped> mapped_;
  std::optional<format::Image> image_;
};

}  // namespace daxfs::tools
