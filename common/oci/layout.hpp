// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/image_source.hpp"
#include "common/oci/manifest.hpp"
#include "common/os/directory.hpp"

namespace daxfs::oci {

// An OCI image layout: a directory with `oci-layout`, `index.json` and `blobs/` (image-spec,
// image-layout.md). Blobs are only ever opened by digest, below the directory.
class Layout final : public ImageSource {
 public:
  // Errors: kInvalidArgument if it is none; kUnimplemented for another version; by errno.
  static Result<Layout> Open(const std::string& path);

  // As ImageSource; nested indexes are searched.
  Result<ImageRef> Find(const std::string& reference, const std::string& platform) const override;
  Result<std::unique_ptr<PositionedReader>> OpenLayer(const LayerRef& layer) const override;

 private:
  explicit Layout(os::Directory directory) : directory_(std::move(directory)) {}
  Result<std::unique_ptr<PositionedReader>> OpenBlob(const Digest& digest,
                                                     std::uint64_t size_bytes) const;
  Result<std::string> ReadText(const std::string& name) const;
  Result<std::string> ReadBlobText(const Descriptor& descriptor) const;
  Status Collect(const std::vector<Descriptor>& descriptors, int depth, std::set<std::string>* seen,
                 std::vector<Descriptor>* found) const;
  Result<ImageRef> Load(const Descriptor& descriptor) const;

  os::Directory directory_;
};

}  // namespace daxfs::oci
