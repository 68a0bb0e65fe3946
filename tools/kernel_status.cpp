// SPDX-License-Identifier: Apache-2.0
#include "tools/kernel_status.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <vector>

#include "common/base/units.hpp"
#include "common/os/system.hpp"
#include "tools/text.hpp"

namespace daxfs::tools {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Counters = std::map<std::string, std::uint64_t>;

struct Range {
  std::string kind;  // "phys" or "dma_buf"
  std::uint64_t number = 0;
  Counters counters;
};

std::string LineOf(const std::string& path) {
  const Result<std::string> text = os::ReadLine(path);
  return text.ok() ? *text : std::string();
}

std::optional<std::uint64_t> NumberOf(std::string_view text, int base) {
  std::uint64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<fs::path> Entries(const std::string& folder) {
  std::error_code error;
  std::vector<fs::path> found;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    found.push_back(at->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// Of a folder's name; a kernel module of another version may have others.
std::optional<Range> RangeNamed(const std::string& name) {
  constexpr std::string_view kPhys = "0x";
  constexpr std::string_view kBuffer = "dma-buf-";
  const bool is_phys = name.starts_with(kPhys);
  if (!is_phys && !name.starts_with(kBuffer)) return std::nullopt;
  const std::string_view digits =
      std::string_view(name).substr(is_phys ? kPhys.size() : kBuffer.size());
  const std::optional<std::uint64_t> number = NumberOf(digits, is_phys ? 16 : 10);
  if (!number) return std::nullopt;
  return Range{is_phys ? "phys" : "dma_buf", *number, {}};
}

std::string NameOf(const Range& range) {
  return range.kind == "phys" ? fmt::format("0x{:x}", range.number)
                              : fmt::format("dma-buf {}", range.number);
}

// A range that goes away meanwhile has fewer counters, or none.
std::vector<Range> ReadRanges(const std::string& root) {
  std::vector<Range> ranges;
  for (const fs::path& folder : Entries(root + "/sys/fs/daxfs")) {
    std::optional<Range> range = RangeNamed(folder.filename());
    if (!range) continue;
    for (const fs::path& file : Entries(folder)) {
      const std::optional<std::uint64_t> value = NumberOf(LineOf(file), 10);
      if (value) range->counters[file.filename()] = *value;
    }
    if (!range->counters.empty()) ranges.push_back(std::move(*range));
  }
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return std::tie(b.kind, a.number) < std::tie(a.kind, b.number);  // dma-bufs last
  });
  return ranges;
}

std::vector<std::string> ReadAttached(const std::string& root) {
  std::vector<std::string> names;
  for (const fs::path& node : Entries(root + "/dev/daxfs")) {
    if (node.filename() != "control") names.push_back(node.filename());
  }
  return names;
}

std::uint64_t Of(const Range& range, const char* name) {
  const auto found = range.counters.find(name);
  return found == range.counters.end() ? 0 : found->second;
}

std::string TextOf(const Range& range) {
  std::string text = fmt::format(
      "{}  {}, {}\n", NameOf(range), base::HumanSize(Of(range, "size")),
      Of(range, "users") == 0 ? "held by pinned pages alone" : Counted(Of(range, "users"), "user"));
  text += fmt::format("  reads        {}, {}\n", Of(range, "reads"),
                      base::HumanSize(Of(range, "read_bytes")));
  text += fmt::format("  faults       {} huge, {} of {}, {} copied, {} in holes, {} refused\n",
                      Of(range, "huge_faults"), Counted(Of(range, "window_faults"), "window"),
                      Counted(Of(range, "window_pages"), "page"), Of(range, "copy_faults"),
                      Of(range, "hole_faults"), Of(range, "refused_faults"));
  text += fmt::format("  verified     {}\n", Counted(Of(range, "verified_pieces"), "piece"));
  text += fmt::format("  corruptions  {}\n", Of(range, "corruptions"));
  text += fmt::format("  memory       {}, {} known to have failed\n",
                      Counted(Of(range, "memory_failures"), "failure"),
                      Counted(Of(range, "bad_pages"), "page"));
  return text;
}

}  // namespace

Status ShowKernel(const KernelCommand& command, Context& context) {
  const std::string module = command.root + "/sys/module/daxfs";
  if (!fs::exists(module)) {
    return NotFoundError("the kernel module is not loaded: modprobe daxfs");
  }
  const std::string source = LineOf(module + "/srcversion");
  const std::string release = LineOf(command.root + "/proc/sys/kernel/osrelease");
  const std::vector<std::string> attached = ReadAttached(command.root);
  const std::vector<Range> ranges = ReadRanges(command.root);
  if (command.json) {
    Json json = {{"kernel", release}, {"srcversion", source}, {"attached", attached}};
    json["ranges"] = Json::array();
    for (const Range& range : ranges) {
      Json one = {{range.kind, range.number}};
      for (const auto& [name, value] : range.counters) one[name] = value;
      json["ranges"].push_back(one);
    }
    return context.out(JsonLine(json));
  }
  std::string text = fmt::format("daxfs {} on Linux {}", source, release);
  for (std::size_t i = 0; i < attached.size(); ++i) {
    text += (i == 0 ? ", attached: " : ", ") + PrintableName(attached[i]);
  }
  text += "\n";
  for (const Range& range : ranges) text += TextOf(range);
  if (ranges.empty()) text += "it holds no memory\n";
  return context.out(text);
}

}  // namespace daxfs::tools
