// SPDX-License-Identifier: Apache-2.0
// Any bytes as a layer: either it is refused, or the image it becomes passes every check of the
// reader. Header checksums are made good first, so the fuzzer gets past them.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "common/base/check.hpp"
#include "common/convert/tar_source.hpp"
#include "common/convert/testing/build.hpp"
#include "common/format/verify.hpp"
#include "common/oci/inflate_reader.hpp"
#include "common/oci/read_ahead.hpp"
#include "common/oci/testing/text_source.hpp"

namespace {

using daxfs::convert::testing::BuiltImage;

constexpr std::size_t kBlock = 512;
constexpr std::size_t kChecksum = 148;

void MakeChecksumsGood(std::string* tar) {
  for (std::size_t at = 0; at + kBlock <= tar->size(); at += kBlock) {
    if (tar->compare(at + 257, 5, "ustar") != 0) continue;
    tar->replace(at + kChecksum, 8, 8, ' ');
    unsigned sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i) sum += static_cast<unsigned char>((*tar)[at + i]);
    char text[8] = {};
    std::snprintf(text, sizeof(text), "%06o", sum & 0777777U);
    tar->replace(at + kChecksum, 7, text, 7);
  }
}

// The inflated bytes without a thread: quicker for inputs this small.
class Inflated final : public daxfs::oci::ChunkSource {
 public:
  explicit Inflated(daxfs::oci::ByteReader& source) : inflate_(source), buffer_(10000) {}
  daxfs::Result<std::span<const std::byte>> Next() override {
    ASSIGN_OR_RETURN(const std::size_t n, inflate_.Read(buffer_));
    return std::span<const std::byte>(buffer_).first(n);
  }

 private:
  daxfs::oci::InflateReader inflate_;
  std::vector<std::byte> buffer_;
};

daxfs::Status Apply(BuiltImage& image, const std::string& bytes) {
  daxfs::oci::testing::TextReader text(bytes, 4000);
  Inflated source(text);
  ASSIGN_OR_RETURN(const auto reader, daxfs::oci::TarReader::Open(source));
  daxfs::convert::testing::CountingMonitor monitor;
  daxfs::convert::ImageBuilder& builder = image.builder();
  RETURN_IF_ERROR(daxfs::convert::ApplyTar(
      {builder.tree(), builder.data(), builder.xattrs(), builder.options().profile}, *reader,
      monitor));
  return image.Finish().status();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  MakeChecksumsGood(&bytes);
  daxfs::convert::BuildOptions options;
  const bool archive = size > 0 && data[size - 1] % 2 != 0;
  if (archive) options.profile = daxfs::convert::Profile::kArchive;
  BuiltImage image(options);
  if (!Apply(image, bytes).ok()) return 0;
  const auto verified = daxfs::format::Verify(image.Open(), daxfs::format::VerifyLevel::kFull);
  if (!verified.ok()) std::fprintf(stderr, "%s\n", verified.status().message().c_str());
  DAXFS_CHECK(verified.ok());
  return 0;
}
