// SPDX-License-Identifier: Apache-2.0
// Any bytes as a dump: either it is refused, or the image it becomes passes every check of the
// reader, and its own dump makes the same image once more.
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "common/base/check.hpp"
#include "common/convert/testing/dump.hpp"
#include "common/format/verify.hpp"

namespace {

using daxfs::convert::ImageData;
using daxfs::convert::testing::BuildFromDump;
using daxfs::convert::testing::MapData;

// The files that the seeds of scripts/fuzz name.
MapData Data() {
  return MapData({{"/empty", ""},
                  {"/hello", "hello"},
                  {"/d/hello", "hello"},
                  {"/zeros", std::string(200000, '\0')}});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  MapData files = Data();
  const auto image = BuildFromDump(text, files);
  if (!image.ok()) return 0;
  const auto verified = daxfs::format::Verify((*image)->Open(), daxfs::format::VerifyLevel::kFull);
  if (!verified.ok()) std::fprintf(stderr, "%s\n", verified.status().message().c_str());
  DAXFS_CHECK(verified.ok());
  ImageData again((*image)->Open());
  const auto second = BuildFromDump(daxfs::convert::testing::DumpOf((*image)->Open()), again);
  if (!second.ok()) std::fprintf(stderr, "%s\n", second.status().message().c_str());
  DAXFS_CHECK(second.ok() && (*second)->bytes() == (*image)->bytes());
  return 0;
}
