// SPDX-License-Identifier: Apache-2.0
#include "common/oci/testing/layout_builder.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "common/oci/digest.hpp"
#include "common/oci/testing/tar_builder.hpp"
#include "common/os/testing/scratch.hpp"

namespace daxfs::oci::testing {
namespace {

constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";

std::string Joined(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, ","));
}

}  // namespace

std::string DigestOf(const std::string& bytes) {
  return Sha256::Of(std::as_bytes(std::span(bytes))).ToString();
}

std::string DescriptorJson(const std::string& media_type, const std::string& digest,
                           std::size_t size_bytes, const std::string& more) {
  return fmt::format(R"({{"mediaType":"{}","digest":"{}","size":{}{}}})", media_type, digest,
                     size_bytes, more);
}

LayoutBuilder::LayoutBuilder(std::string path) : path_(std::move(path)) {
  std::filesystem::create_directories(path_ + "/blobs/sha256");
  os::testing::WriteFile(path_ + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
}

std::string LayoutBuilder::AddBlob(const std::string& bytes) {
  std::string digest = DigestOf(bytes);
  os::testing::WriteFile(path_ + "/blobs/sha256/" + digest.substr(7), bytes);
  return digest;
}

std::pair<std::string, std::size_t> LayoutBuilder::AddImage(const std::vector<LayerSpec>& layers,
                                                            const std::string& architecture,
                                                            const std::string& variant) {
  std::vector<std::string> descriptors;
  std::vector<std::string> diff_ids;
  for (const LayerSpec& layer : layers) {
    const std::string blob = layer.gzip ? Gzip(layer.tar) : layer.tar;
    const std::string type =
        std::string("application/vnd.oci.image.layer.v1.tar") + (layer.gzip ? "+gzip" : "");
    descriptors.push_back(DescriptorJson(type, AddBlob(blob), blob.size()));
    diff_ids.push_back("\"" + DigestOf(layer.tar) + "\"");
  }
  const std::string config = fmt::format(
      R"({{"os":"linux","architecture":"{}","variant":"{}","rootfs":{{"type":"layers","diff_ids":[{}]}}}})",
      architecture, variant, Joined(diff_ids));
  const std::string manifest = fmt::format(
      R"({{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}})", kManifestType,
      DescriptorJson("application/vnd.oci.image.config.v1+json", AddBlob(config), config.size()),
      Joined(descriptors));
  return {AddBlob(manifest), manifest.size()};
}

void LayoutBuilder::WriteIndex(const std::pair<std::string, std::size_t>& manifest) {
  WriteIndexJson(fmt::format(R"({{"schemaVersion":2,"manifests":[{}]}})",
                             DescriptorJson(kManifestType, manifest.first, manifest.second)));
}

void LayoutBuilder::WriteIndexJson(const std::string& json) {
  os::testing::WriteFile(path_ + "/index.json", json);
}

}  // namespace daxfs::oci::testing
