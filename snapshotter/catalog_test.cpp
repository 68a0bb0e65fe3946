// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/catalog.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "common/pool/digest.hpp"

namespace daxfs::snapshotter {
namespace {

using testing::HasSubstr;

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
    const auto found = blobs.find(blob.digest);
    if (found == blobs.end()) return NotFoundError("no such blob");
    return std::unique_ptr<oci::ByteReader>(std::make_unique<Bytes>(found->second));
  }
  Result<std::vector<NamedImage>> List() override {
    RETURN_IF_ERROR(fails);
    ++listed;
    return images;
  }

  Blob Put(const std::string& media_type, const std::string& text) {
    const oci::Digest digest = {pool::Sha256(text)};
    blobs[digest] = text;
    return {media_type, digest, text.size()};
  }
  static std::string Descriptor(const Blob& blob) {
    return R"({"mediaType":")" + blob.media_type + R"(","digest":")" + blob.digest.ToString() +
           R"(","size":)" + std::to_string(blob.size_bytes) + "}";
  }

  std::map<oci::Digest, std::string> blobs;
  std::vector<NamedImage> images;
  Status fails;
  int listed = 0;
};

class CatalogTest : public testing::Test {
 protected:
  // An image of one layer; what it is said to hold uncompressed.
  Blob PutImage(const std::string& layer, const oci::Digest& diff_id) {
    const Blob blob = containerd_.Put("application/vnd.oci.image.layer.v1.tar+gzip", layer);
    const Blob config = containerd_.Put(
        "application/vnd.oci.image.config.v1+json",
        R"({"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[")" +
            diff_id.ToString() + R"("]}})");
    return containerd_.Put("application/vnd.oci.image.manifest.v1+json",
                           R"({"schemaVersion":2,"config":)" + FakeContainerd::Descriptor(config) +
                               R"(,"layers":[)" + FakeContainerd::Descriptor(blob) + "]}");
  }

  FakeContainerd containerd_;
  Catalog catalog_{containerd_, containerd_, std::chrono::seconds(0)};
  const oci::Digest diff_id_ = {pool::Sha256("uncompressed")};
};

TEST_F(CatalogTest, ALayerIsFoundThroughItsImagesManifestAlsoInAnIndex) {
  const Blob manifest = PutImage("compressed", diff_id_);
  containerd_.images = {{"k8s.io", "broken", {"x", {pool::Sha256("not there")}, 9}},
                        {"default", "web", manifest}};
  Result<StoredLayer> found = catalog_.FindLayer(diff_id_);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->blob.digest.bytes, pool::Sha256("compressed"));
  EXPECT_EQ(found->blob.media_type, "application/vnd.oci.image.layer.v1.tar+gzip");
  EXPECT_EQ(found->name_space, "default");

  Blob elsewhere = manifest;  // of a platform nobody has pulled
  elsewhere.digest.bytes = pool::Sha256("another platform");
  const Blob index = containerd_.Put("application/vnd.oci.image.index.v1+json",
                                     R"({"schemaVersion":2,"manifests":[)" +
                                         FakeContainerd::Descriptor(elsewhere) + "," +
                                         FakeContainerd::Descriptor(manifest) + "]}");
  containerd_.images = {{"default", "web", index}};
  found = catalog_.FindLayer(diff_id_);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->blob.digest.bytes, pool::Sha256("compressed"));
}

TEST_F(CatalogTest, WhatIsNotThereIsSaidWithWhatToType) {
  const Status unknown = catalog_.FindLayer(diff_id_).status();
  EXPECT_EQ(unknown.code(), StatusCode::kNotFound);
  EXPECT_THAT(unknown.message(), HasSubstr("daxfsctl doctor"));

  containerd_.images = {{"k8s.io", "web:1", PutImage("compressed", diff_id_)}};
  containerd_.blobs.erase({pool::Sha256("compressed")});
  const Status gone = catalog_.FindLayer(diff_id_).status();
  EXPECT_EQ(gone.code(), StatusCode::kNotFound);
  EXPECT_THAT(gone.message(), HasSubstr("image web:1"));
  EXPECT_THAT(gone.message(), HasSubstr("ctr -n k8s.io content fetch web:1"));

  containerd_.fails = UnavailableError("containerd: down");
  EXPECT_EQ(catalog_.FindLayer(diff_id_).status().code(), StatusCode::kUnavailable);
}

TEST_F(CatalogTest, ManyThatAskAtOnceAreOneRead) {
  containerd_.images = {{"default", "web", PutImage("compressed", diff_id_)}};
  Catalog catalog(containerd_, containerd_, std::chrono::hours(1));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(catalog.FindLayer(diff_id_).ok());
  EXPECT_EQ(containerd_.listed, 1);
  containerd_.blobs.erase({pool::Sha256("compressed")});
  EXPECT_EQ(catalog.FindLayer(diff_id_).status().code(), StatusCode::kNotFound) << "that is looked";
}

TEST_F(CatalogTest, DocumentsThatAreWrongAreOfNoImage) {
  const Blob manifest = PutImage("compressed", diff_id_);
  containerd_.images = {{"default", "web", manifest}};
  for (const std::string text : {"", "{", R"({"schemaVersion":2})", R"([])"}) {
    containerd_.blobs[manifest.digest] = text;  // and not of that digest
    EXPECT_EQ(catalog_.FindLayer(diff_id_).status().code(), StatusCode::kNotFound) << text;
    containerd_.images = {{"default", "web", containerd_.Put(manifest.media_type, text)}};
    EXPECT_EQ(catalog_.FindLayer(diff_id_).status().code(), StatusCode::kNotFound) << text;
  }
  Blob large = manifest;
  large.size_bytes = 1ULL << 40;
  containerd_.images = {{"default", "web", large}};
  EXPECT_EQ(catalog_.FindLayer(diff_id_).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace daxfs::snapshotter
