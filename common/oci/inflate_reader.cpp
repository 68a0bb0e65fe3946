// SPDX-License-Identifier: Apache-2.0
#include "common/oci/inflate_reader.hpp"

#include <algorithm>
#include <string_view>

#include "common/oci/gzip_reader.hpp"
#include "common/oci/zstd_reader.hpp"

namespace daxfs::oci {
namespace {

constexpr std::size_t kSniffBytes = 10;

bool StartsWith(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() &&
         std::equal(magic.begin(), magic.end(), bytes.begin(),
                    [](char want, std::byte have) { return static_cast<std::byte>(want) == have; });
}

}  // namespace

Status InflateReader::Sniff() {
  if (sniffed_) return Status::Ok();
  RETURN_IF_ERROR(input_.Fill(kSniffBytes));
  const std::span<const std::byte> first = input_.pending();
  // Otherwise they would be called damaged tars.
  if (StartsWith(first, "BZh") &&
      StartsWith(first.subspan(std::min<std::size_t>(4, first.size())), "1AY&SY")) {
    return UnimplementedError("bzip2 is not supported: use gzip or zstd");
  }
  if (StartsWith(first,
                 "\xfd"
                 "7zXZ")) {
    return UnimplementedError("xz is not supported: use gzip or zstd");
  }
  if (IsGzip(first)) decoder_ = std::make_unique<GzipReader>(input_);
  if (IsZstd(first)) decoder_ = std::make_unique<ZstdReader>(input_);
  sniffed_ = true;
  return Status::Ok();
}

Result<bool> InflateReader::IsCompressed() {
  RETURN_IF_ERROR(Sniff());
  return decoder_ != nullptr;
}

Result<std::size_t> InflateReader::Read(std::span<std::byte> out) {
  RETURN_IF_ERROR(Sniff());
  return decoder_ != nullptr ? decoder_->Read(out) : ReadPlain(out);
}

Result<std::size_t> InflateReader::ReadPlain(std::span<std::byte> out) {
  const std::span<const std::byte> pending = input_.pending();
  if (pending.empty()) return input_.source().Read(out);
  const std::size_t n = std::min(out.size(), pending.size());
  std::copy_n(pending.begin(), n, out.begin());
  input_.Take(n);
  return n;
}

}  // namespace daxfs::oci
