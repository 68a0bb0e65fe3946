// SPDX-License-Identifier: Apache-2.0
#include "common/oci/layout.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "common/oci/layer_stream.hpp"
#include "common/oci/testing/layout_builder.hpp"
#include "common/oci/testing/tar_builder.hpp"
#include "common/os/testing/scratch.hpp"

namespace daxfs::oci {
namespace {

using os::testing::Scratch;
using os::testing::WriteFile;
using testing::DescriptorJson;
using testing::DigestOf;
using ::testing::HasSubstr;
using testing::LayerSpec;
using testing::LayoutBuilder;
using testing::TarBuilder;

constexpr char kManifest[] = "application/vnd.oci.image.manifest.v1+json";
constexpr char kIndex[] = "application/vnd.oci.image.index.v1+json";

std::string IndexOf(const std::string& descriptors) {
  return R"({"schemaVersion":2,"manifests":[)" + descriptors + "]}";
}

std::string Platform(const std::string& architecture, const std::string& variant = "") {
  return R"(,"platform":{"os":"linux","architecture":")" + architecture + R"(","variant":")" +
         variant + "\"}";
}

std::string Named(const std::string& name) {
  return R"(,"annotations":{"org.opencontainers.image.ref.name":")" + name + "\"}";
}

Result<ImageRef> FindIn(const LayoutBuilder& builder, const std::string& reference = "",
                        const std::string& platform = "") {
  ASSIGN_OR_RETURN(const Layout layout, Layout::Open(builder.path()));
  return layout.Find(reference, platform);
}

TEST(LayoutTest, OneImage) {
  const Scratch scratch;
  LayoutBuilder builder(scratch.Path("l"));
  const LayerSpec layer{TarBuilder().File("a", "x").Finish(), true};
  const auto manifest = builder.AddImage({layer, {TarBuilder().Finish(), false}});
  builder.WriteIndex(manifest);
  const Result<ImageRef> image = FindIn(builder);
  ASSERT_TRUE(image.ok()) << image.status().message();
  EXPECT_EQ(image->name, manifest.first);
  EXPECT_EQ(image->platform.ToString(), "linux/amd64");
  ASSERT_EQ(image->layers.size(), 2U);
  EXPECT_EQ(image->layers[0].diff_id.ToString(), DigestOf(layer.tar));
  EXPECT_THAT(image->config_json, HasSubstr("rootfs"));
}

TEST(LayoutTest, PlatformsAndVariants) {
  const Scratch scratch;
  LayoutBuilder builder(scratch.Path("l"));
  std::string all;
  for (const auto& [arch, variant] : std::vector<std::pair<std::string, std::string>>{
           {"amd64", ""}, {"arm64", "v8"}, {"arm", "v6"}, {"arm", "v7"}}) {
    const auto image =
        builder.AddImage({{TarBuilder().File(arch + variant, "").Finish()}}, arch, variant);
    all += (all.empty() ? "" : ",") +
           DescriptorJson(kManifest, image.first, image.second, Platform(arch, variant));
  }
  const auto attestation = builder.AddImage({}, "unknown");
  all +=
      "," + DescriptorJson(kManifest, attestation.first, attestation.second, Platform("unknown"));
  // A nested index, as registries and buildkit write it.
  const std::string nested = IndexOf(all);
  builder.WriteIndexJson(IndexOf(DescriptorJson(kIndex, builder.AddBlob(nested), nested.size())));
  EXPECT_EQ(FindIn(builder, "", "linux/amd64")->platform.ToString(), "linux/amd64");
  EXPECT_EQ(FindIn(builder, "", "linux/arm64")->platform.ToString(), "linux/arm64/v8");
  EXPECT_EQ(FindIn(builder, "", "linux/arm")->platform.ToString(), "linux/arm/v7");
  EXPECT_EQ(FindIn(builder, "", "linux/arm/v6")->platform.ToString(), "linux/arm/v6");
  const Status status = FindIn(builder, "", "linux/s390x").status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("linux/arm64/v8"));
  EXPECT_EQ(FindIn(builder, "", "linux").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(FindIn(builder, "", "a/b/c/d").status().code(), StatusCode::kInvalidArgument);
}

TEST(LayoutTest, PlatformOfTheConfigWhereTheIndexHasNone) {
  const Scratch scratch;
  LayoutBuilder builder(scratch.Path("l"));
  builder.WriteIndex(builder.AddImage({}, "riscv64"));
  EXPECT_EQ(FindIn(builder)->platform.ToString(), "linux/riscv64");  // the only one there is
  EXPECT_EQ(FindIn(builder, "", "linux/amd64").status().code(), StatusCode::kNotFound);
}

TEST(LayoutTest, Names) {
  const Scratch scratch;
  LayoutBuilder builder(scratch.Path("l"));
  const auto one = builder.AddImage({{TarBuilder().File("one", "").Finish()}});
  const auto two = builder.AddImage({{TarBuilder().File("two", "").Finish()}});
  builder.WriteIndexJson(IndexOf(DescriptorJson(kManifest, one.first, one.second, Named("1.0")) +
                                 "," +
                                 DescriptorJson(kManifest, two.first, two.second, Named("2.0"))));
  EXPECT_EQ(FindIn(builder, "2.0", "linux/amd64")->name, two.first);
  const Status several = FindIn(builder, "", "linux/amd64").status();
  EXPECT_EQ(several.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(several.message(), HasSubstr("2.0"));
  const Status none = FindIn(builder, "3.0").status();
  EXPECT_EQ(none.code(), StatusCode::kNotFound);
  EXPECT_THAT(none.message(), HasSubstr("1.0"));
}

TEST(LayoutTest, RefusesWhatIsNoLayout) {
  const Scratch scratch;
  EXPECT_EQ(Layout::Open(scratch.Path("none")).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Layout::Open(scratch.path()).status().code(), StatusCode::kInvalidArgument);
  LayoutBuilder builder(scratch.Path("l"));
  EXPECT_EQ(FindIn(builder).status().code(), StatusCode::kNotFound);  // no index.json
  WriteFile(builder.path() + "/oci-layout", R"({"imageLayoutVersion":"2.0.0"})");
  EXPECT_EQ(FindIn(builder).status().code(), StatusCode::kUnimplemented);
  WriteFile(builder.path() + "/oci-layout", "{");
  EXPECT_EQ(FindIn(builder).status().code(), StatusCode::kInvalidArgument);
}

TEST(LayoutTest, RefusesBadIndexes) {
  const Scratch scratch;
  LayoutBuilder builder(scratch.Path("l"));
  const std::string digest = "sha256:" + std::string(64, '0');
  const std::string cases[] = {
      "",
      "[]",
      "{}",
      R"({"manifests":{}})",
      R"({"manifests":["x"]})",
      IndexOf(DescriptorJson(kManifest, "sha256:../../../etc/passwd", 1)),
      IndexOf(DescriptorJson(kManifest, "sha512:" + std::string(128, '0'), 1)),
      IndexOf(R"({"digest":")" + digest + "\"}"),
      IndexOf(R"({"digest":")" + digest + R"(","size":-1})"),
      IndexOf(R"({"digest":7,"size":1})"),
      IndexOf(DescriptorJson(kManifest, digest, 10)),           // not there
      IndexOf(DescriptorJson(kManifest, digest, 1ULL << 40U)),  // a JSON of a terabyte
  };
  for (const std::string& json : cases) {
    builder.WriteIndexJson(json);
    EXPECT_FALSE(FindIn(builder).ok()) << json;
  }
}

TEST(LayoutTest, RefusesAnIndexThatNamesItself) {
  const Scratch scratch;
  LayoutBuilder builder(scratch.Path("l"));
  // A digest cannot name itself; a long chain is as bad.
  std::string json = IndexOf("");
  for (int i = 0; i < 10; ++i) {
    json = IndexOf(DescriptorJson(kIndex, builder.AddBlob(json), json.size()));
  }
  builder.WriteIndexJson(json);
  EXPECT_EQ(FindIn(builder).status().code(), StatusCode::kInvalidArgument);
}

TEST(LayoutTest, RefusesBadManifests) {
  const Scratch scratch;
  LayoutBuilder builder(scratch.Path("l"));
  const std::string config = R"({"os":"linux","architecture":"amd64","rootfs":{"diff_ids":[]}})";
  const std::string good_config = DescriptorJson("c", builder.AddBlob(config), config.size());
  const std::string layer =
      DescriptorJson("application/vnd.oci.image.layer.v1.tar", builder.AddBlob("x"), 1);
  const std::string text_config = DescriptorJson("c", builder.AddBlob("x"), 1);
  const std::string manifests[] = {
      "not json",
      R"({"schemaVersion":1,"fsLayers":[]})",
      R"({"layers":[]})",
      R"({"config":)" + good_config + "}",
      R"({"config":)" + text_config + R"(,"layers":[]})",
      R"({"config":)" + good_config + R"(,"layers":[)" + layer + "]}",  // no diffID for it
  };
  for (const std::string& manifest : manifests) {
    builder.WriteIndex({builder.AddBlob(manifest), manifest.size()});
    EXPECT_FALSE(FindIn(builder).ok()) << manifest;
  }
}

TEST(LayoutTest, RefusesUnknownLayerTypes) {
  const Scratch scratch;
  LayoutBuilder builder(scratch.Path("l"));
  const std::string config =
      R"({"os":"linux","architecture":"amd64","rootfs":{"diff_ids":[")" + DigestOf("x") + "\"]}}";
  for (const char* type : {"application/vnd.oci.image.layer.v1.tar+lz4",
                           "application/vnd.oci.image.layer.v1.tar+encrypted", ""}) {
    const std::string manifest =
        R"({"config":)" + DescriptorJson("c", builder.AddBlob(config), config.size()) +
        R"(,"layers":[)" + DescriptorJson(type, builder.AddBlob("x"), 1) + "]}";
    builder.WriteIndex({builder.AddBlob(manifest), manifest.size()});
    EXPECT_EQ(FindIn(builder).status().code(), StatusCode::kUnimplemented) << type;
  }
}

TEST(LayoutTest, BlobsAreVerified) {
  const Scratch scratch;
  LayoutBuilder builder(scratch.Path("l"));
  const auto manifest = builder.AddImage({});
  builder.WriteIndex(manifest);
  const std::string path = builder.path() + "/blobs/sha256/" + manifest.first.substr(7);
  std::string bytes = os::testing::ReadFile(path);
  for (const std::string& changed : {bytes + " ", bytes.substr(1), "[" + bytes.substr(1)}) {
    WriteFile(path, changed);
    EXPECT_EQ(FindIn(builder).status().code(), StatusCode::kDataLoss);
  }
  std::filesystem::remove(path);
  ASSERT_EQ(::symlink("/etc/passwd", path.c_str()), 0);
  EXPECT_FALSE(FindIn(builder).ok());
}

Status StreamWhole(const LayoutBuilder& builder, const std::string& blob, const std::string& tar) {
  ASSIGN_OR_RETURN(const Layout layout, Layout::Open(builder.path()));
  LayerRef layer;
  ASSIGN_OR_RETURN(layer.digest, Digest::Parse(DigestOf(blob)));
  ASSIGN_OR_RETURN(layer.diff_id, Digest::Parse(DigestOf(tar)));
  layer.size_bytes = blob.size();
  ASSIGN_OR_RETURN(std::unique_ptr<PositionedReader> reader, layout.OpenLayer(layer));
  LayerStream stream(std::move(reader), layer.digest, layer.diff_id);
  RETURN_IF_ERROR(stream.Drain());
  if (stream.diff_id() != layer.diff_id) return InternalError("diffID");
  if (stream.size_bytes() != tar.size()) return InternalError("size");
  return stream.position() == blob.size() ? Status::Ok() : InternalError("position");
}

TEST(LayerStreamTest, BothDigestsAreCompared) {
  const Scratch scratch;
  LayoutBuilder builder(scratch.Path("l"));
  const std::string tar = TarBuilder().File("a", std::string(100000, 'x')).Finish() + "trailing";
  const std::string gzip = testing::Gzip(tar);
  builder.AddBlob(tar);
  builder.AddBlob(gzip);
  EXPECT_TRUE(StreamWhole(builder, tar, tar).ok());
  EXPECT_TRUE(StreamWhole(builder, gzip, tar).ok());
  EXPECT_EQ(StreamWhole(builder, tar, tar + "x").code(), StatusCode::kDataLoss);
  EXPECT_EQ(StreamWhole(builder, gzip, tar + "x").code(), StatusCode::kDataLoss);
  EXPECT_EQ(StreamWhole(builder, gzip, "").code(), StatusCode::kDataLoss);
  WriteFile(builder.path() + "/blobs/sha256/" + DigestOf(gzip).substr(7), testing::Gzip(tar + "y"));
  EXPECT_EQ(StreamWhole(builder, gzip, tar).code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace daxfs::oci
