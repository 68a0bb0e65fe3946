// SPDX-License-Identifier: Apache-2.0
#include "common/convert/testing/dump.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "common/convert/dump_source.hpp"
#include "common/format/dump.hpp"

namespace daxfs::convert::testing {

Result<std::uint64_t> MapData::Open(const std::string& path) {
  const auto file = files_.find(path);
  if (file == files_.end()) return NotFoundError(path + ": not in the data");
  rest_ = file->second;
  return rest_.size();
}

Result<DataPart> MapData::Next() {
  constexpr std::size_t kPage = 4096;
  const std::string_view page = rest_.substr(0, kPage);
  rest_.remove_prefix(page.size());
  const bool zeros = page.size() == kPage && page.find_first_not_of('\0') == std::string_view::npos;
  if (zeros) return DataPart{kPage, {}};
  return DataPart{0, std::as_bytes(std::span(page))};
}

std::string DumpOf(const format::Image& image) {
  std::string text;
  const Status status = format::Dump(image, [&](std::string_view part) {
    text += part;
    return Status::Ok();
  });
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  DAXFS_CHECK(status.ok());
  return text;
}

Result<std::unique_ptr<BuiltImage>> BuildFromDump(std::string_view text, DumpData& data) {
  // In parts of an odd size, so that lines lie across them.
  const auto read = [&text](std::span<std::byte> out) -> Result<std::size_t> {
    const std::size_t n = std::min<std::size_t>({text.size(), out.size(), 1021});
    std::memcpy(out.data(), text.data(), n);
    text.remove_prefix(n);
    return n;
  };
  ASSIGN_OR_RETURN(DumpSource source, DumpSource::Open(read));
  auto image = std::make_unique<BuiltImage>(source.options());
  CountingMonitor monitor;
  RETURN_IF_ERROR(source.AddTo(image->builder(), data, monitor));
  RETURN_IF_ERROR(image->Finish(source.source()).status());
  return image;
}

}  // namespace daxfs::convert::testing
