// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Any bytes as an image, walked whole. The checksum is made good first, so the fuzzer gets past it.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "encode.h"
#include "testing/walk.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  if (bytes.size() >= DAXFS_BLOCK_SIZE && (bytes[0] & 1) != 0) {  // half of them sealed
    std::memset(bytes.data(), 0, 12);
    const uint32_t crc = daxfs_crc32c(0, bytes.data(), DAXFS_BLOCK_SIZE);
    std::memcpy(bytes.data() + 8, &crc, sizeof(crc));
    daxfs_encode_magic(bytes.data());
  }
  if (!daxfs::core_testing::Walk(bytes.data(), bytes.size(), 1000, 1 << 20).violation.empty())
    std::abort();
  return 0;
}
