// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "common/base/status.hpp"
#include "common/containerd/content.hpp"
#include "common/containerd/images.hpp"
#include "common/oci/find_image.hpp"
#include "common/oci/image_source.hpp"

namespace daxfs::containerd {

// An image containerd has, out of its content store. Containerd need not have all of it: other
// platforms were never pulled, layers that were unpacked may have been discarded.
class ImageInContainerd final : public oci::ImageSource, private oci::DocumentSource {
 public:
  // The image `name` of that namespace. Asks nobody yet.
  ImageInContainerd(std::string name_space, std::string name, std::shared_ptr<NamedImages> images,
                    std::shared_ptr<Content> content);

  // The same, of the containerd whose socket is at `address`. What waits for it ends soon after
  // `interrupted` is true, which has to stay longer than this, and after GiveUp.
  static std::unique_ptr<ImageInContainerd> Over(const std::string& address, std::string name_space,
                                                 std::string name,
                                                 const std::atomic<bool>& interrupted);

  // As ImageSource; the name is the constructor's, and `reference` empty.
  Result<oci::ImageRef> Find(const std::string& reference,
                             const std::string& platform) const override;
  // Errors, also of the reader: kNotFound, with what to type, if containerd does not have it.
  Result<std::unique_ptr<oci::PositionedReader>> OpenLayer(
      const oci::LayerRef& layer) const override;
  void GiveUp() const override { given_up_->store(true); }

 private:
  Result<std::string> ReadDocument(const oci::Descriptor& descriptor) const override;
  Result<std::unique_ptr<oci::PositionedReader>> Open(const Blob& blob) const;

  const std::string name_space_;
  const std::string name_;
  const std::shared_ptr<NamedImages> images_;
  const std::shared_ptr<Content> content_;
  std::shared_ptr<std::atomic<bool>> given_up_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace daxfs::containerd
