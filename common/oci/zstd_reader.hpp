// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "common/oci/byte_reader.hpp"
#include "common/oci/input_buffer.hpp"

struct ZSTD_DCtx_s;

namespace daxfs::oci {

// Whether the bytes begin as a zstd frame does, or as a skippable one (RFC 8878, 3.1).
bool IsZstd(std::span<const std::byte> bytes);

// The plain bytes of a zstd stream: any number of frames, skippable ones (a table of contents, for
// instance) left out. Frames that want a window above 128 MiB are refused, as zstd(1) does.
class ZstdReader final : public ByteReader {
 public:
  // Borrows `input`, which stands at the first frame.
  explicit ZstdReader(InputBuffer& input);
  ~ZstdReader() override;

  // Errors: kDataLoss for a damaged or truncated stream; kResourceExhausted for too large a window;
  // the source's.
  Result<std::size_t> Read(std::span<std::byte> out) override;

 private:
  struct FreeContext {
    void operator()(ZSTD_DCtx_s* context) const;
  };
  InputBuffer& input_;
  bool inside_ = false;  // of a frame
  std::unique_ptr<ZSTD_DCtx_s, FreeContext> context_;
};

}  // namespace daxfs::oci
