// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/overlay.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <system_error>

#include "common/base/log.hpp"
#include "common/os/system.hpp"

namespace daxfs::snapshotter {
namespace {

constexpr const char* kUidLabel = "containerd.io/snapshot/uidmapping";
constexpr const char* kGidLabel = "containerd.io/snapshot/gidmapping";
constexpr std::size_t kLowersMax = 500;  // OVL_MAX_STACK

std::string Label(const Labels& labels, const char* key) {
  const auto found = labels.find(key);
  return found == labels.end() ? std::string() : found->second;
}

// The front of `text` up to `separator`, which goes from `text` with it.
std::string_view Cut(std::string_view* text, char separator) {
  const std::size_t end = text->find(separator);
  const std::string_view front = text->substr(0, end);
  *text = end == std::string_view::npos ? std::string_view() : text->substr(end + 1);
  return front;
}

std::optional<std::uint32_t> ParseNumber(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Result<std::uint32_t> RootOf(const char* label, const std::string& mapping) {
  std::string_view rest = mapping;
  while (!rest.empty()) {
    std::string_view entry = Cut(&rest, ',');
    std::array<std::optional<std::uint32_t>, 3> numbers;
    for (std::optional<std::uint32_t>& number : numbers) number = ParseNumber(Cut(&entry, ':'));
    if (!numbers[0] || !numbers[1] || !numbers[2] || !entry.empty()) break;
    if (*numbers[0] == 0 && *numbers[2] > 0) return *numbers[1];
  }
  return InvalidArgumentError(std::string("label ") + label + ": '" + base::Printable(mapping) +
                              "' maps no root (CONTAINER:HOST:LENGTH,... is expected)");
}

}  // namespace

Result<std::optional<Owner>> MappedRoot(const Labels& labels) {
  const std::string uids = Label(labels, kUidLabel);
  const std::string gids = Label(labels, kGidLabel);
  if (uids.empty() && gids.empty()) return std::optional<Owner>();
  ASSIGN_OR_RETURN(const std::uint32_t uid, RootOf(kUidLabel, uids));
  ASSIGN_OR_RETURN(const std::uint32_t gid, RootOf(kGidLabel, gids));
  return std::optional<Owner>(Owner{uid, gid});
}

Result<std::vector<Mount>> ComposeMounts(const Pieces& pieces, const Labels& labels,
                                         const std::vector<std::string>& options) {
  if (pieces.lowers.size() > kLowersMax) {
    return FailedPreconditionError(std::to_string(pieces.lowers.size()) +
                                   " layers: OverlayFS takes " + std::to_string(kLowersMax));
  }
  const bool active = pieces.kind == Kind::kActive;
  Mount mount;
  // containerd makes an idmapped mount of these.
  const std::string uids = Label(labels, kUidLabel);
  const std::string gids = Label(labels, kGidLabel);
  if (!uids.empty()) mount.options.push_back("uidmap=" + uids);
  if (!gids.empty()) mount.options.push_back("gidmap=" + gids);
  if (pieces.lowers.empty() || (!active && pieces.lowers.size() == 1)) {
    mount.type = "bind";
    mount.source = pieces.lowers.empty() ? pieces.upper : pieces.lowers.front();
    mount.options.insert(mount.options.end(), {active ? "rw" : "ro", "rbind"});
    return std::vector<Mount>{mount};
  }
  mount.type = mount.source = "overlay";
  if (active) {
    mount.options.push_back("workdir=" + pieces.work);
    mount.options.push_back("upperdir=" + pieces.upper);
  }
  std::string lowers;
  for (const std::string& lower : pieces.lowers) lowers += (lowers.empty() ? "" : ":") + lower;
  mount.options.push_back("lowerdir=" + lowers);
  mount.options.insert(mount.options.end(), options.begin(), options.end());
  return std::vector<Mount>{mount};
}

bool MayRedirect(const std::vector<std::string>& options) {
  for (const std::string name : {"redirect_dir", "metacopy"}) {
    const auto said =
        std::find_if(options.rbegin(), options.rend(),
                     [&](const std::string& option) { return option.rfind(name + "=", 0) == 0; });
    const std::string parameter = "/sys/module/overlay/parameters/" + name;
    const Result<std::string> usual = os::ReadLine(parameter);
    if (said != options.rend() ? *said == name + "=on" : usual.ok() && *usual == "Y") return true;
  }
  return false;
}

std::optional<std::string> WrittenDirectory(const Mount& mount) {
  constexpr std::string_view kUpper = "upperdir=";
  if (mount.type == "bind") {
    const bool read_only =
        std::find(mount.options.begin(), mount.options.end(), "ro") != mount.options.end();
    return read_only ? std::nullopt : std::optional(mount.source);
  }
  for (const std::string& option : mount.options) {
    if (option.rfind(kUpper, 0) == 0) return option.substr(kUpper.size());
  }
  return std::nullopt;
}

}  // namespace daxfs::snapshotter
