// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/containerd/content.hpp"
#include "common/containerd/images.hpp"
#include "common/oci/digest.hpp"

namespace daxfs::containerd::testing {

class Bytes final : public oci::ByteReader {
 public:
  explicit Bytes(std::string text) : text_(std::move(text)) {}
  Result<std::size_t> Read(std::span<std::byte> out) override {
    const std::size_t n = std::min(out.size(), text_.size() - at_);
    std::memcpy(out.data(), text_.data() + at_, n);
    at_ += n;
    return n;
  }

 private:
  const std::string text_;
  std::size_t at_ = 0;
};

// Containerd with two names for images and blobs in memory.
class FakeContainerd final : public Content, public NamedImages {
 public:
  Result<std::unique_ptr<oci::ByteReader>> Open(const Blob& blob,
                                                const std::string& /*name_space*/) override {
    RETURN_IF_ERROR(content_fails);
    ++opened;
    const auto found = blobs.find(blob.digest);
    if (found == blobs.end()) return NotFoundError("no such blob");
    return std::unique_ptr<oci::ByteReader>(std::make_unique<Bytes>(found->second));
  }
  Result<std::vector<NamedImage>> List() override {
    RETURN_IF_ERROR(fails);
    ++listed;
    return images;
  }

  Result<NamedImage> Find(const std::string& name_space, const std::string& name) override {
    RETURN_IF_ERROR(fails);
    for (const NamedImage& image : images) {
      if (image.name_space == name_space && image.name == name) return image;
    }
    return NotFoundError("no such image");
  }

  Blob Put(const std::string& media_type, const std::string& text) {
    const oci::Digest digest = oci::Sha256::Of(std::as_bytes(std::span(text)));
    blobs[digest] = text;
    return {media_type, digest, text.size()};
  }
  static std::string Descriptor(const Blob& blob) {
    return R"({"mediaType":")" + blob.media_type + R"(","digest":")" + blob.digest.ToString() +
           R"(","size":)" + std::to_string(blob.size_bytes) + "}";
  }

  // An image of one layer; what it is said to hold uncompressed.
  Blob PutImage(const std::string& layer, const oci::Digest& diff_id,
                const std::string& media_type = "application/vnd.oci.image.layer.v1.tar+gzip") {
    return PutImageOf(Put(media_type, layer), diff_id);
  }
  Blob PutImageOf(const Blob& layer, const oci::Digest& diff_id) {
    const Blob config =
        Put("application/vnd.oci.image.config.v1+json",
            R"({"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[")" +
                diff_id.ToString() + R"("]}})");
    return Put("application/vnd.oci.image.manifest.v1+json",
               R"({"schemaVersion":2,"config":)" + Descriptor(config) + R"(,"layers":[)" +
                   Descriptor(layer) + "]}");
  }

  std::map<oci::Digest, std::string> blobs;
  std::vector<NamedImage> images;
  Status fails;
  Status content_fails;
  int listed = 0;
  int opened = 0;
};

}  // namespace daxfs::containerd::testing
