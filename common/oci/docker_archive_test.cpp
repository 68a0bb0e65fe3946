// SPDX-License-Identifier: Apache-2.0
#include "common/oci/docker_archive.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/oci/layer_stream.hpp"
#include "common/oci/testing/layout_builder.hpp"
#include "common/oci/testing/tar_builder.hpp"
#include "common/os/testing/scratch.hpp"

namespace daxfs::oci {
namespace {

using os::testing::Scratch;
using os::testing::WriteFile;
using testing::DigestOf;
using ::testing::HasSubstr;
using testing::TarBuilder;

const std::string kLower = TarBuilder().File("lower", std::string(5000, 'l')).Finish();
const std::string kUpper = TarBuilder().File("upper", "u").Finish();

std::string Config(const std::vector<std::string>& tars,
                   const std::string& architecture = "amd64") {
  std::string ids;
  for (const std::string& tar : tars) ids += (ids.empty() ? "\"" : ",\"") + DigestOf(tar) + "\"";
  return R"({"os":"linux","architecture":")" + architecture + R"(","rootfs":{"diff_ids":[)" + ids +
         "]}}";
}

std::string Manifest(const std::string& config, const std::string& tags,
                     const std::string& layers) {
  return R"({"Config":")" + config + R"(","RepoTags":)" + tags + R"(,"Layers":[)" + layers + "]}";
}

// What docker wrote up to version 24: a directory a layer, repeated layers as links.
std::string OldArchive() {
  const std::string config = Config({kLower, kUpper, kLower});
  const std::string name = DigestOf(config).substr(7) + ".json";
  return TarBuilder()
      .Directory("aaa/")
      .File("aaa/VERSION", "1.0")
      .File("aaa/layer.tar", kLower)
      .File("bbb/layer.tar", kUpper)
      .Symlink("ccc/layer.tar", "../aaa/layer.tar")
      .File(name, config)
      .File("manifest.json", "[" +
                                 Manifest(name, R"(["repo/name:latest"])",
                                          R"("aaa/layer.tar","bbb/layer.tar","ccc/layer.tar")") +
                                 "]")
      .Finish();
}

// What it writes since: an OCI layout with manifest.json beside it. Two images.
std::string NewArchive() {
  const std::string one = Config({kLower});
  const std::string two = Config({kUpper}, "arm64");
  const auto blob = [](const std::string& bytes) {
    return "blobs/sha256/" + DigestOf(bytes).substr(7);
  };
  return TarBuilder()
      .File(blob(one), one)
      .File(blob(two), two)
      .File(blob(kLower), kLower)
      .File(blob(kUpper), kUpper)
      .File("manifest.json",
            "[" + Manifest(blob(one), R"(["a:1","a:2"])", "\"" + blob(kLower) + "\"") + "," +
                Manifest(blob(two), "null", "\"" + blob(kUpper) + "\"") + "]")
      .File("oci-layout", R"({"imageLayoutVersion":"1.0.0"})")
      .Finish();
}

Result<std::string> LayerOf(const DockerArchive& archive, const LayerRef& layer) {
  ASSIGN_OR_RETURN(std::unique_ptr<PositionedReader> stored, archive.OpenLayer(layer));
  LayerStream stream(std::move(stored), layer.digest, layer.diff_id);
  std::string text;
  for (;;) {
    ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, stream.Next());
    if (bytes.empty()) return text;
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
}

class DockerArchiveTest : public ::testing::Test {
 protected:
  Result<DockerArchive> Open(const std::string& bytes) {
    WriteFile(scratch_.Path("archive"), bytes);
    return DockerArchive::Open(scratch_.Path("archive"));
  }
  Status FindError(const std::string& bytes, const std::string& reference = "",
                   const std::string& platform = "") {
    const Result<DockerArchive> archive = Open(bytes);
    if (!archive.ok()) return archive.status();
    const Result<ImageRef> image = archive->Find(reference, platform);
    if (!image.ok()) return image.status();
    for (const LayerRef& layer : image->layers) {
      RETURN_IF_ERROR(LayerOf(*archive, layer).status());
    }
    return Status::Ok();
  }
  Scratch scratch_;
};

TEST_F(DockerArchiveTest, OldArchivesCompressedOrNot) {
  const std::string plain = OldArchive();
  for (const std::string& bytes : {plain, testing::Gzip(plain), testing::Zstd(plain)}) {
    const Result<DockerArchive> archive = Open(bytes);
    ASSERT_TRUE(archive.ok()) << archive.status().message();
    const Result<ImageRef> image = archive->Find("repo/name", "");
    ASSERT_TRUE(image.ok()) << image.status().message();
    EXPECT_EQ(image->name, "repo/name:latest");
    EXPECT_EQ(image->platform.ToString(), "linux/amd64");
    ASSERT_EQ(image->layers.size(), 3U);
    EXPECT_EQ(*LayerOf(*archive, image->layers[0]), kLower);
    EXPECT_EQ(*LayerOf(*archive, image->layers[1]), kUpper);
    EXPECT_EQ(*LayerOf(*archive, image->layers[2]), kLower);
  }
}

TEST_F(DockerArchiveTest, NewArchivesWithSeveralImages) {
  const Result<DockerArchive> archive = Open(NewArchive());
  ASSERT_TRUE(archive.ok()) << archive.status().message();
  const Result<ImageRef> image = archive->Find("a:2", "");
  ASSERT_TRUE(image.ok()) << image.status().message();
  EXPECT_EQ(*LayerOf(*archive, image->layers[0]), kLower);
  EXPECT_EQ(archive->Find("", "").status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(archive->Find("a:3", "").status().message(), HasSubstr("it has: a:1, blobs/sha256/"));
  EXPECT_EQ(archive->Find("a:1", "linux/arm64").status().code(), StatusCode::kNotFound);
}

TEST_F(DockerArchiveTest, WrongArchivesAreRefused) {
  const std::string config = Config({kLower});
  const auto archive = [&](const std::string& manifest) {
    return TarBuilder().File("c", config).File("l", kLower).File("manifest.json", manifest);
  };
  const auto one = [&](const std::string& name, const std::string& layers) {
    return archive("[" + Manifest(name, "[]", layers) + "]").Finish();
  };
  EXPECT_TRUE(FindError(one("c", R"("l")")).ok());
  const std::pair<std::string, std::string> table[] = {
      {"", "no docker archive"},
      {"no tar at all, whatever it is", "tar:"},
      {TarBuilder().File("a", "").Finish(), "no docker archive"},
      {archive("{").Finish(), "not a JSON array"},
      {archive("{}").Finish(), "not a JSON array"},
      {archive("[]").Finish(), "no image"},
      {archive("[1]").Finish(), "not an object"},
      {archive("[{}]").Finish(), "without a Config"},
      {archive(R"([{"Config":"c","Layers":"l"}])").Finish(), "Layers"},
      {archive(R"([{"Config":"c","Layers":[1]}])").Finish(), "Layers"},
      {one("none", R"("l")"), "none: not in the archive"},
      {one("c", R"("l","l")"), "2 layers"},
      {one("c", R"("gone")"), "gone: not in the archive"},
      {one("c", R"("c")"), "the image config says"},
      {one("../../../etc/passwd", R"("l")"), "not in the archive"},
      {archive("[" + Manifest("c", "[]", R"("s")") + "]").Symlink("s", "s").Finish(), "many links"},
      {TarBuilder().Symlink("manifest.json", "/etc/passwd").Finish(), "not in the archive"},
  };
  for (const auto& [bytes, message] : table) {
    EXPECT_THAT(FindError(bytes).message(), HasSubstr(message));
  }
}

// A config that is called after its digest has to have it.
TEST_F(DockerArchiveTest, ConfigsAreCompared) {
  const std::string name = std::string(64, 'a') + ".json";
  const std::string bytes = TarBuilder()
                                .File(name, Config({kLower}))
                                .File("l", kLower)
                                .File("manifest.json", "[" + Manifest(name, "[]", R"("l")") + "]")
                                .Finish();
  EXPECT_EQ(FindError(bytes).code(), StatusCode::kDataLoss);
}

TEST_F(DockerArchiveTest, NoFile) {
  EXPECT_EQ(DockerArchive::Open(scratch_.Path("none")).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(DockerArchive::Open(scratch_.path()).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace daxfs::oci
