// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>

#include "common/convert/dump_data.hpp"
#include "common/convert/testing/build.hpp"

namespace daxfs::convert::testing {

// Files in memory, by path; a run of zeros of a whole page is told as a hole.
class MapData final : public DumpData {
 public:
  explicit MapData(std::map<std::string, std::string> files) : files_(std::move(files)) {}
  Result<std::uint64_t> Open(const std::string& path) override;
  Result<DataPart> Next() override;

 private:
  std::map<std::string, std::string> files_;
  std::string_view rest_;
};

// The dump of an image; stops the test if there is none.
std::string DumpOf(const format::Image& image);

// The finished image a dump makes, with the dump's options.
Result<std::unique_ptr<BuiltImage>> BuildFromDump(std::string_view text, DumpData& data);

}  // namespace daxfs::convert::testing
