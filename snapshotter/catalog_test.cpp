// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/catalog.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "common/containerd/testing/fake_containerd.hpp"
#include "common/pool/digest.hpp"

namespace daxfs::snapshotter {
namespace {

using containerd::testing::FakeContainerd;
using ::testing::HasSubstr;

class CatalogTest : public ::testing::Test {
 protected:
  containerd::Blob PutImage(const std::string& layer, const oci::Digest& diff_id) {
    return containerd_.PutImage(layer, diff_id);
  }

  FakeContainerd containerd_;
  Catalog catalog_{containerd_, containerd_, std::chrono::seconds(0)};
  const oci::Digest diff_id_ = {pool::Sha256("uncompressed")};
};

TEST_F(CatalogTest, ALayerIsFoundThroughItsImagesManifestAlsoInAnIndex) {
  const containerd::Blob manifest = PutImage("compressed", diff_id_);
  containerd_.images = {{"k8s.io", "broken", {"x", {pool::Sha256("not there")}, 9}},
                        {"default", "web", manifest}};
  Result<std::vector<StoredLayer>> found = catalog_.FindLayer(diff_id_);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->front().blob.digest.bytes, pool::Sha256("compressed"));
  EXPECT_EQ(found->front().blob.media_type, "application/vnd.oci.image.layer.v1.tar+gzip");
  EXPECT_EQ(found->front().name_space, "default");

  containerd::Blob elsewhere = manifest;  // of a platform nobody has pulled
  elsewhere.digest.bytes = pool::Sha256("another platform");
  const containerd::Blob index = containerd_.Put("application/vnd.oci.image.index.v1+json",
                                                 R"({"schemaVersion":2,"manifests":[)" +
                                                     FakeContainerd::Descriptor(elsewhere) + "," +
                                                     FakeContainerd::Descriptor(manifest) + "]}");
  containerd_.images = {{"default", "web", index}};
  found = catalog_.FindLayer(diff_id_);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->front().blob.digest.bytes, pool::Sha256("compressed"));
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
  const containerd::Blob manifest = PutImage("compressed", diff_id_);
  containerd_.images = {{"default", "web", manifest}};
  for (const std::string text : {"", "{", R"({"schemaVersion":2})", R"([])"}) {
    containerd_.blobs[manifest.digest] = text;  // and not of that digest
    EXPECT_EQ(catalog_.FindLayer(diff_id_).status().code(), StatusCode::kNotFound) << text;
    containerd_.images = {{"default", "web", containerd_.Put(manifest.media_type, text)}};
    EXPECT_EQ(catalog_.FindLayer(diff_id_).status().code(), StatusCode::kNotFound) << text;
  }
  containerd::Blob large = manifest;
  large.size_bytes = 1ULL << 40;
  containerd_.images = {{"default", "web", large}};
  EXPECT_EQ(catalog_.FindLayer(diff_id_).status().code(), StatusCode::kNotFound);
}

TEST_F(CatalogTest, EveryBlobThatMayBeItIsSaidOnceWhicheverImagesLie) {
  const containerd::Blob honest = PutImage("honest", diff_id_);
  containerd::Blob larger =
      containerd_.Put("application/vnd.oci.image.layer.v1.tar+gzip", "honest");
  ++larger.size_bytes;
  containerd_.images = {{"a", "liar", PutImage("another layer", diff_id_)},
                        {"b", "honest", honest},
                        {"c", "again", honest},
                        {"c", "once more", honest},
                        {"d", "another size", containerd_.PutImageOf(larger, diff_id_)}};
  const Result<std::vector<StoredLayer>> found = catalog_.FindLayer(diff_id_);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->size(), 3U);
  const auto is_honest = [&](const StoredLayer& one) {
    return one.blob.digest.bytes == pool::Sha256("honest") && one.blob.size_bytes == 6;
  };
  EXPECT_EQ(std::count_if(found->begin(), found->end(), is_honest), 1);
}

TEST_F(CatalogTest, WhereContainerdFailsNothingIsSaidToBeGone) {
  containerd_.images = {{"default", "web", PutImage("compressed", diff_id_)}};
  Catalog catalog(containerd_, containerd_, std::chrono::hours(1));
  for (const StatusCode code : {StatusCode::kUnavailable, StatusCode::kDeadlineExceeded}) {
    containerd_.content_fails = Status(code, "containerd does not answer");
    EXPECT_EQ(catalog.FindLayer(diff_id_).status().code(), code) << "while images are read";
  }
  containerd_.content_fails = Status::Ok();
  EXPECT_TRUE(catalog.FindLayer(diff_id_).ok());
  containerd_.content_fails = InternalError("disk");
  EXPECT_EQ(catalog.FindLayer(diff_id_).status().code(), StatusCode::kInternal) << "behind that";
}

TEST_F(CatalogTest, WhatOneImageSaysHasAnEnd) {
  const containerd::Blob manifest = PutImage("compressed", diff_id_);
  std::string many;
  for (int i = 0; i < 5000; ++i) many += FakeContainerd::Descriptor({"m", {}, 1}) + ",";
  const auto index = [&](const std::string& manifests) {
    return containerd_.Put("application/vnd.oci.image.index.v1+json",
                           R"({"schemaVersion":2,"manifests":[)" + manifests + "]}");
  };
  containerd_.images = {
      {"default", "many", index(many + FakeContainerd::Descriptor(manifest))},
      {"default", "nested",
       index(FakeContainerd::Descriptor(index(FakeContainerd::Descriptor(manifest))))}};
  EXPECT_EQ(catalog_.FindLayer(diff_id_).status().code(), StatusCode::kNotFound);
  EXPECT_LT(containerd_.opened, 1100);

  std::string layers;
  std::string ids;
  for (int i = 0; i <= 10000; ++i) {
    layers += (i == 0 ? "" : ",") + FakeContainerd::Descriptor({"l", {}, 1});
    ids += (i == 0 ? "\"" : ",\"") + diff_id_.ToString() + "\"";
  }
  const containerd::Blob config = containerd_.Put("c", R"({"rootfs":{"diff_ids":[)" + ids + "]}}");
  containerd_.images = {{"default", "high",
                         containerd_.Put("m", R"({"config":)" + FakeContainerd::Descriptor(config) +
                                                  R"(,"layers":[)" + layers + "]}")}};
  const Status high = catalog_.FindLayer(diff_id_).status();
  EXPECT_THAT(high.message(), HasSubstr("no image containerd has says it has it"));
}

}  // namespace
}  // namespace daxfs::snapshotter
