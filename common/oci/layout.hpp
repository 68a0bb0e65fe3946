// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "common/base/status.hpp"
#include "common/oci/find_image.hpp"
#include "common/oci/image_source.hpp"
#include "common/oci/manifest.hpp"
#include "common/os/directory.hpp"

namespace daxfs::oci {

// An OCI image layout: a directory with `oci-layout`, `index.json` and `blobs/` (image-spec,
// image-layout.md). Blobs are only ever opened by digest, below the directory.
class Layout final : public ImageSource, private DocumentSource {
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
  Result<std::string> ReadDocument(const Descriptor& descriptor) const override;

  os::Directory directory_;
};

}  // namespace daxfs::oci
