// SPDX-License-Identifier: Apache-2.0
#include "common/oci/testing/tar_builder.hpp"

#include <fmt/format.h>
#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <array>
#include <cstring>

#include "common/base/check.hpp"

namespace daxfs::oci::testing {
namespace {

constexpr std::size_t kBlock = 512;

// Octal where it fits and is positive, otherwise GNU base-256.
std::string Number(std::int64_t value, std::size_t width) {
  const std::string octal = fmt::format("{:0{}o}", value < 0 ? 0 : value, width - 1);
  if (value >= 0 && octal.size() == width - 1) return octal + '\0';
  std::string binary(width, value < 0 ? '\xff' : '\0');
  auto bits = static_cast<std::uint64_t>(value);
  for (std::size_t i = width; i > width - 8 && i > 0; --i, bits >>= 8U) {
    binary[i - 1] = static_cast<char>(bits & 0xffU);
  }
  binary[0] = static_cast<char>(value < 0 ? 0xff : 0x80);
  return binary;
}

void Put(std::string* block, std::size_t offset, std::string_view text, std::size_t width) {
  block->replace(offset, std::min(text.size(), width), text.substr(0, width));
}

std::string Padded(std::string_view data) {
  std::string out(data);
  out.resize((out.size() + kBlock - 1) / kBlock * kBlock, '\0');
  return out;
}

std::string Record(const std::string& key, const std::string& value) {
  const std::string rest = " " + key + "=" + value + "\n";
  std::size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length) ++length;
  return std::to_string(length) + rest;
}

}  // namespace

TarSpec Owned(char type, const std::string& name, std::uint32_t mode, std::uint64_t uid,
              std::int64_t mtime) {
  TarSpec spec;
  spec.type = type;
  spec.name = name;
  spec.mode = mode;
  spec.uid = uid;
  spec.mtime = mtime;
  return spec;
}

TarBuilder& TarBuilder::Add(const TarSpec& spec) {
  std::string block(kBlock, '\0');
  Put(&block, 0, spec.name, 100);
  Put(&block, 100, fmt::format("{:07o}", spec.mode), 8);
  Put(&block, 108, Number(static_cast<std::int64_t>(spec.uid), 8), 8);
  Put(&block, 116, Number(static_cast<std::int64_t>(spec.gid), 8), 8);
  Put(&block, 124, Number(static_cast<std::int64_t>(spec.data.size()), 12), 12);
  Put(&block, 136, Number(spec.mtime, 12), 12);
  block[156] = spec.type;
  Put(&block, 157, spec.link, 100);
  Put(&block, 257, spec.magic, 8);
  if (!spec.magic.empty()) {
    Put(&block, 329, Number(spec.major, 8), 8);
    Put(&block, 337, Number(spec.minor, 8), 8);
  }
  for (const auto& [offset, bytes] : spec.raw) Put(&block, offset, bytes, bytes.size());
  Put(&block, 148, "        ", 8);
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  Put(&block, 148, fmt::format("{:06o}", sum) + '\0' + " ", 8);
  return Raw(block).Raw(spec.extension).Raw(Padded(spec.data));
}

TarBuilder& TarBuilder::File(const std::string& name, const std::string& data) {
  TarSpec spec;
  spec.name = name;
  spec.data = data;
  return Add(spec);
}

TarBuilder& TarBuilder::Directory(const std::string& name, std::uint32_t mode) {
  TarSpec spec;
  spec.type = '5';
  spec.name = name;
  spec.mode = mode;
  return Add(spec);
}

TarBuilder& TarBuilder::Symlink(const std::string& name, const std::string& target) {
  TarSpec spec;
  spec.type = '2';
  spec.name = name;
  spec.link = target;
  return Add(spec);
}

TarBuilder& TarBuilder::HardLink(const std::string& name, const std::string& target) {
  TarSpec spec;
  spec.type = '1';
  spec.name = name;
  spec.link = target;
  return Add(spec);
}

TarBuilder& TarBuilder::Pax(const std::vector<std::pair<std::string, std::string>>& records,
                            char type) {
  TarSpec spec;
  spec.type = type;
  spec.name = "PaxHeaders.0/x";
  for (const auto& [key, value] : records) spec.data += Record(key, value);
  return Add(spec);
}

TarBuilder& TarBuilder::GnuLong(char type, const std::string& text) {
  TarSpec spec;
  spec.type = type;
  spec.name = "././@LongLink";
  spec.data = text + '\0';
  spec.magic = std::string("ustar  \0", 8);
  return Add(spec);
}

TarBuilder& TarBuilder::Raw(std::string_view bytes) {
  bytes_ += bytes;
  return *this;
}

std::string Gzip(std::string_view text) {
  isal_zstream stream;
  isal_deflate_stateless_init(&stream);
  std::string in(text);
  std::string out(text.size() + text.size() / 8 + 1024, '\0');
  stream.gzip_flag = IGZIP_GZIP;
  stream.end_of_stream = 1;
  stream.next_in = reinterpret_cast<std::uint8_t*>(in.data());
  stream.avail_in = static_cast<std::uint32_t>(in.size());
  stream.next_out = reinterpret_cast<std::uint8_t*>(out.data());
  stream.avail_out = static_cast<std::uint32_t>(out.size());
  DAXFS_CHECK(isal_deflate_stateless(&stream) == COMP_OK);
  out.resize(stream.total_out);
  return out;
}

std::string GzipWithExtra(std::string_view text) {
  std::string out = Gzip(text);
  DAXFS_CHECK(out[3] == 0);
  out[3] = 4 | 8 | 16;  // FEXTRA, FNAME, FCOMMENT (RFC 1952, 2.3.1)
  const std::string extra("SG\x04\0test", 8);
  out.insert(10, std::string("\x08\0", 2) + extra + "name" + '\0' + "comment" + '\0');
  return out;
}

std::string Zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  const std::size_t n = ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1);
  DAXFS_CHECK(ZSTD_isError(n) == 0);
  out.resize(n);
  return out;
}

std::string ZstdSkippable(std::string_view text) {
  std::string out("\x5a\x2a\x4d\x18", 4);
  for (unsigned i = 0; i < 4; ++i) out += static_cast<char>(text.size() >> (8U * i));
  return out.append(text);
}

}  // namespace daxfs::oci::testing
