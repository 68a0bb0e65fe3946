// SPDX-License-Identifier: Apache-2.0
#include "common/oci/zstd_reader.hpp"

#include <zstd.h>
#include <zstd_errors.h>

#include <string>

namespace daxfs::oci {
namespace {

constexpr std::size_t kMagicBytes = 4;
constexpr int kWindowLogMax = 27;

}  // namespace

bool IsZstd(std::span<const std::byte> bytes) {
  if (bytes.size() < kMagicBytes) return false;
  unsigned magic = 0;
  for (std::size_t i = 0; i < kMagicBytes; ++i) {
    magic |= std::to_integer<unsigned>(bytes[i]) << (8U * i);
  }
  return magic == ZSTD_MAGICNUMBER ||
         (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

void ZstdReader::FreeContext::operator()(ZSTD_DCtx_s* context) const { ZSTD_freeDCtx(context); }

ZstdReader::ZstdReader(InputBuffer& input) : input_(input), context_(ZSTD_createDCtx()) {
  DAXFS_CHECK(context_ != nullptr);
  DAXFS_CHECK(ZSTD_isError(
                  ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kWindowLogMax)) == 0);
}

ZstdReader::~ZstdReader() = default;

Result<std::size_t> ZstdReader::Read(std::span<std::byte> out) {
  ZSTD_outBuffer to = {out.data(), out.size(), 0};
  while (to.pos == 0) {
    RETURN_IF_ERROR(input_.Fill(1));
    const std::span<const std::byte> in = input_.pending();
    if (in.empty() && !inside_) break;
    ZSTD_inBuffer from = {in.data(), in.size(), 0};
    const std::size_t result = ZSTD_decompressStream(context_.get(), &to, &from);
    if (ZSTD_isError(result) != 0) {
      const Status status =
          DataLossError(std::string("damaged zstd stream: ") + ZSTD_getErrorName(result));
      const bool window = ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge;
      return window ? ResourceExhaustedError("zstd frame with a window above 128 MiB") : status;
    }
    input_.Take(from.pos);
    inside_ = result != 0;
    if (in.empty() && to.pos == 0 && inside_) return DataLossError("zstd stream is cut short");
  }
  return to.pos;
}

}  // namespace daxfs::oci
