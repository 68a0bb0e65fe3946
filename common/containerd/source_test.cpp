// SPDX-License-Identifier: Apache-2.0
#include "common/containerd/source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>

#include "common/containerd/testing/fake_containerd.hpp"

namespace daxfs::containerd {
namespace {

using testing::FakeContainerd;
using ::testing::HasSubstr;

class SourceTest : public ::testing::Test {
 protected:
  ImageInContainerd Named(const std::string& name) {
    return ImageInContainerd("default", name, fake_, fake_);
  }
  // The only layer of that image.
  Result<std::string> LayerOf(const std::string& name, const std::string& platform = "") {
    const ImageInContainerd image = Named(name);
    ASSIGN_OR_RETURN(const oci::ImageRef found, image.Find("", platform));
    if (found.layers.size() != 1) return InternalError("not one layer");
    ASSIGN_OR_RETURN(const std::unique_ptr<oci::PositionedReader> blob,
                     image.OpenLayer(found.layers[0]));
    std::string text;
    std::array<char, 3> bytes{};
    for (;;) {
      ASSIGN_OR_RETURN(const std::size_t n, blob->Read(std::as_writable_bytes(std::span(bytes))));
      if (n == 0) return text;
      text.append(bytes.data(), n);
    }
  }
  const oci::Digest diff_id_ = oci::Sha256::Of({});
  const std::shared_ptr<FakeContainerd> fake_ = std::make_shared<FakeContainerd>();
};

TEST_F(SourceTest, ALayerComesOutOfTheContentStore) {
  fake_->images = {{"default", "a", fake_->PutImage("the layer", diff_id_)},
                   {"other", "b", fake_->PutImage("of others", diff_id_)}};
  const Result<std::string> layer = LayerOf("a");
  ASSERT_TRUE(layer.ok()) << layer.status().message();
  EXPECT_EQ(*layer, "the layer");
  const Status other = LayerOf("b").status();
  EXPECT_EQ(other.code(), StatusCode::kNotFound) << "of another namespace";
  EXPECT_THAT(other.message(), HasSubstr("ctr -n default image ls"));
}

TEST_F(SourceTest, OtherPlatformsNeedNotBeThere) {
  const Blob here = fake_->PutImage("for amd64", diff_id_);
  Blob elsewhere = here;
  elsewhere.digest = oci::Sha256::Of(std::as_bytes(std::span("nobody has pulled it")));
  const auto of = [](const Blob& blob, const std::string& architecture) {
    std::string descriptor = FakeContainerd::Descriptor(blob);
    descriptor.insert(descriptor.size() - 1,
                      R"(,"platform":{"os":"linux","architecture":")" + architecture + R"("})");
    return descriptor;
  };
  fake_->images = {{"default", "a",
                    fake_->Put("application/vnd.oci.image.index.v1+json",
                               R"({"schemaVersion":2,"manifests":[)" + of(elsewhere, "s390x") +
                                   "," + of(here, "amd64") + "]}")}};
  const Result<std::string> layer = LayerOf("a", "linux/amd64");
  ASSERT_TRUE(layer.ok()) << layer.status().message();
  EXPECT_EQ(*layer, "for amd64");
  const Status other = LayerOf("a", "linux/s390x").status();
  EXPECT_EQ(other.code(), StatusCode::kNotFound);
  EXPECT_THAT(other.message(), HasSubstr("ctr -n default content fetch a"));
}

TEST_F(SourceTest, WhatIsMissingOrDamagedIsSaid) {
  fake_->images = {{"default", "a", fake_->PutImage("the layer", diff_id_)}};
  const oci::Digest layer = oci::Sha256::Of(std::as_bytes(std::span("the layer", 9)));
  fake_->blobs[layer] = "the lawyer";
  EXPECT_EQ(LayerOf("a").status().code(), StatusCode::kDataLoss);
  fake_->blobs.erase(layer);
  const Status missing = LayerOf("a").status();
  EXPECT_EQ(missing.code(), StatusCode::kNotFound);
  EXPECT_THAT(missing.message(), HasSubstr("content fetch a"));
  fake_->fails = UnavailableError("away");
  EXPECT_EQ(LayerOf("a").status().code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace daxfs::containerd
