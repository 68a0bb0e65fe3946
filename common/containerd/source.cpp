// SPDX-License-Identifier: Apache-2.0
#include "common/containerd/source.hpp"

#include <chrono>
#include <span>
#include <utility>

#include "common/base/check.hpp"
#include "common/oci/blob_reader.hpp"

namespace daxfs::containerd {
namespace {

// A blob that may turn out to be missing: over gRPC that is known with the first message.
class Stored final : public oci::ByteReader {
 public:
  Stored(std::unique_ptr<oci::ByteReader> stored, std::string missing)
      : stored_(std::move(stored)), missing_(std::move(missing)) {}
  Result<std::size_t> Read(std::span<std::byte> out) override {
    Result<std::size_t> n = stored_->Read(out);
    if (n.status().code() == StatusCode::kNotFound) return NotFoundError(missing_);
    return n;
  }

 private:
  const std::unique_ptr<oci::ByteReader> stored_;
  const std::string missing_;
};

}  // namespace

ImageInContainerd::ImageInContainerd(std::string name_space, std::string name,
                                     std::shared_ptr<NamedImages> images,
                                     std::shared_ptr<Content> content)
    : name_space_(std::move(name_space)),
      name_(std::move(name)),
      images_(std::move(images)),
      content_(std::move(content)) {}

std::unique_ptr<ImageInContainerd> ImageInContainerd::Over(const std::string& address,
                                                           std::string name_space, std::string name,
                                                           const std::atomic<bool>& interrupted) {
  auto given_up = std::make_shared<std::atomic<bool>>(false);
  const auto cancelled = [&interrupted, given_up] { return interrupted || *given_up; };
  auto made = std::make_unique<ImageInContainerd>(
      std::move(name_space), std::move(name), NamedImagesOverRpc(address, cancelled),
      ContentOverRpc(address, std::chrono::seconds(30), cancelled));
  made->given_up_ = std::move(given_up);
  return made;
}

Result<std::unique_ptr<oci::PositionedReader>> ImageInContainerd::Open(const Blob& blob) const {
  const std::string missing = blob.digest.ToString() +
                              " is not in containerd's content store: ctr -n " + name_space_ +
                              " content fetch " + name_;
  Result<std::unique_ptr<oci::ByteReader>> stored = content_->Open(blob, name_space_);
  if (stored.status().code() == StatusCode::kNotFound) return NotFoundError(missing);
  if (!stored.ok()) return stored.status();
  return std::unique_ptr<oci::PositionedReader>(std::make_unique<oci::BlobReader>(
      std::make_unique<Stored>(*std::move(stored), missing), blob.digest, blob.size_bytes));
}

Result<std::string> ImageInContainerd::ReadDocument(const oci::Descriptor& descriptor) const {
  ASSIGN_OR_RETURN(const std::unique_ptr<oci::PositionedReader> blob,
                   Open({descriptor.media_type, descriptor.digest, descriptor.size_bytes}));
  return oci::ReadText(descriptor, *blob);
}

Result<oci::ImageRef> ImageInContainerd::Find(const std::string& /*reference*/,
                                              const std::string& platform) const {
  Result<NamedImage> image = images_->Find(name_space_, name_);
  if (image.status().code() == StatusCode::kNotFound) {
    return NotFoundError(image.status().message() + "; what there is: ctr -n " + name_space_ +
                         " image ls");
  }
  if (!image.ok()) return image.status();
  oci::Descriptor top;
  top.media_type = image->target.media_type;
  top.digest = image->target.digest;
  top.size_bytes = image->target.size_bytes;
  return oci::FindImage(*this, {top}, platform);
}

Result<std::unique_ptr<oci::PositionedReader>> ImageInContainerd::OpenLayer(
    const oci::LayerRef& layer) const {
  DAXFS_CHECK(layer.digest.has_value());
  return Open({"", *layer.digest, layer.size_bytes});
}

}  // namespace daxfs::containerd
