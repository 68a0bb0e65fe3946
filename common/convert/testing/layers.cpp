// SPDX-License-Identifier: Apache-2.0
#include "common/convert/testing/layers.hpp"

#include <memory>

#include "common/convert/flatten.hpp"
#include "common/convert/tar_source.hpp"
#include "common/format/verify.hpp"
#include "common/oci/testing/text_source.hpp"

namespace daxfs::convert::testing {
namespace {

Status ApplyTarTo(const TarTarget& target, const std::string& tar) {
  oci::testing::TextChunks source(tar, 1000);
  ASSIGN_OR_RETURN(const std::unique_ptr<oci::TarReader> reader, oci::TarReader::Open(source));
  CountingMonitor monitor;
  return ApplyTar(target, *reader, monitor);
}

Result<std::vector<std::string>> Finished(BuiltImage& image) {
  RETURN_IF_ERROR(image.Finish().status());
  const format::Image opened = image.Open();
  RETURN_IF_ERROR(format::Verify(opened, format::VerifyLevel::kFull).status());
  return Listing(opened);
}

Result<std::vector<std::string>> WithoutRoot(Result<std::vector<std::string>> lines) {
  if (lines.ok()) {
    std::erase_if(*lines, [](const std::string& line) { return line.starts_with("/ "); });
  }
  return lines;
}

}  // namespace

Status ApplyTar(BuiltImage& image, const std::string& tar, const Below& below) {
  ImageBuilder& builder = image.builder();
  const Profile profile = builder.options().profile;
  return ApplyTarTo({builder.tree(), builder.data(), builder.xattrs(), profile, below}, tar);
}

format::SourceInfo SourceOf(const std::string& tar) {
  return {oci::Sha256::Of(std::as_bytes(std::span(tar))).bytes, tar.size()};
}

Result<std::vector<std::string>> LayerListing(const oci::testing::TarBuilder& tar,
                                              const Below& below) {
  BuiltImage image;
  RETURN_IF_ERROR(ApplyTar(image, tar.Finish(), below));
  return WithoutRoot(Finished(image));
}

Result<std::vector<std::string>> ArchiveListing(const oci::testing::TarBuilder& tar) {
  BuildOptions options;
  options.profile = Profile::kArchive;
  BuiltImage image(options);
  RETURN_IF_ERROR(ApplyTar(image, tar.Finish()));
  return Finished(image);
}

Result<std::vector<std::string>> FlatListing(const std::vector<oci::testing::TarBuilder>& tars) {
  BuiltImage image;
  ImageBuilder& builder = image.builder();
  for (const oci::testing::TarBuilder& tar : tars) {
    Tree layer([&](const Node& node) { builder.data().Release(node.data); });
    RETURN_IF_ERROR(ApplyTarTo({layer, builder.data(), builder.xattrs()}, tar.Finish()));
    RETURN_IF_ERROR(MergeLayer(builder.tree(), layer, builder.xattrs()));
  }
  return WithoutRoot(Finished(image));
}

}  // namespace daxfs::convert::testing
