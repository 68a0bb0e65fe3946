// SPDX-License-Identifier: Apache-2.0
#include "tools/snapshot_commands.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "common/base/units.hpp"
#include "common/os/file_io.hpp"
#include "tools/snapshot_client.hpp"
#include "tools/text.hpp"

namespace daxfs::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kNsPerSecond = 1000000000;

std::string TimeOf(std::int64_t ns) {
  return TimeText(ns / kNsPerSecond, static_cast<std::uint32_t>(ns % kNsPerSecond));
}

Json JsonOf(const SnapshotView& snapshot) {
  Json json = {
      {"number", snapshot.number},   {"name", snapshot.name},   {"parent", snapshot.parent},
      {"kind", snapshot.kind},       {"state", snapshot.state}, {"digest", snapshot.image},
      {"diff_id", snapshot.diff_id}, {"chain", snapshot.chain}, {"blob", snapshot.blob}};
  json["created"] = snapshot.created_ns / kNsPerSecond;
  json["updated"] = snapshot.updated_ns / kNsPerSecond;
  json["size_bytes"] = snapshot.usage ? Json(snapshot.usage->bytes) : Json();
  json["inodes"] = snapshot.usage ? Json(snapshot.usage->inodes) : Json();
  json["path"] = snapshot.directory;
  json["mounted"] = snapshot.mounted;
  json["why"] = snapshot.why;
  return json;
}

std::string SizeOf(const SnapshotView& snapshot) {
  return snapshot.usage ? base::HumanSize(snapshot.usage->bytes) : "-";
}

// Digests are short where they have to fit a terminal.
class Table {
 public:
  explicit Table(bool whole) : whole_(whole || !os::SizeOfTerminal(STDOUT_FILENO)) {}

  std::string Line(const std::string& front, const std::string& digest,
                   const std::string& rest) const {
    // "sha256:" and twelve digits.
    constexpr std::size_t kShort = 19;
    constexpr std::size_t kLong = 71;
    const bool cut = !whole_ && digest.size() > kShort;
    return ForScreen(
        fmt::format("{}  {:<{}}  {}\n", front, cut ? digest.substr(0, kShort) + "…" : digest,
                    whole_ ? kLong : kShort + 1, rest),
        whole_);
  }

 private:
  bool whole_;
};

using ByName = std::map<std::string, const SnapshotView*>;

ByName Index(const std::vector<SnapshotView>& all) {
  ByName index;
  for (const SnapshotView& one : all) index[one.name] = &one;
  return index;
}

// It and all below it, the lowest last.
std::vector<const SnapshotView*> ChainOf(const SnapshotView& snapshot, const ByName& index) {
  std::vector<const SnapshotView*> chain = {&snapshot};
  for (;;) {
    const auto below = index.find(chain.back()->parent);
    // A list that was read while others changed it may have holes, and a daemon may be wrong.
    if (chain.back()->parent.empty() || below == index.end() || chain.size() > index.size()) {
      return chain;
    }
    chain.push_back(below->second);
  }
}

std::string ListText(const std::vector<SnapshotView>& shown, const ByName& index) {
  constexpr const char* kLine = "{:>6}  {:<9}  {:<10}  {:>9}  {:>6}  {}\n";
  std::string text = fmt::format(kLine, "NUMBER", "KIND", "STATE", "SIZE", "PARENT", "KEY");
  for (const SnapshotView& one : shown) {
    const auto parent = index.find(one.parent);
    const std::string number = one.parent.empty()      ? "-"
                               : parent == index.end() ? "?"
                                                       : std::to_string(parent->second->number);
    text += fmt::format(kLine, one.number, one.kind, one.state, SizeOf(one), number,
                        PrintableName(one.name));
  }
  return text;
}

std::string ChainText(const std::vector<const SnapshotView*>& chain, bool whole) {
  const Table table(whole);
  std::string text = table.Line(fmt::format("{:>6}  {:<10} {:>9}", "NUMBER", "STATE", "SIZE"),
                                "IMAGE", fmt::format("{:<7}  {}", "MOUNTED", "DIRECTORY"));
  for (const SnapshotView* layer : chain) {
    const char* const mounted = layer->image.empty() ? "-" : layer->mounted ? "yes" : "no";
    text +=
        table.Line(fmt::format("{:>6}  {:<10} {:>9}", layer->number, layer->state, SizeOf(*layer)),
                   layer->image.empty() ? "-" : PrintableName(layer->image),
                   fmt::format("{:<7}  {}", mounted, PrintableName(layer->directory)));
  }
  return text;
}

std::string InfoText(const std::vector<const SnapshotView*>& chain, bool whole) {
  const SnapshotView& own = *chain.front();
  const auto line = [&](const char* what, const std::string& value) {
    return value.empty() ? std::string() : fmt::format("{:<10}  {}\n", what, PrintableName(value));
  };
  std::string text = line("key", own.name);
  text += line("number", std::to_string(own.number));
  text += line("kind", own.kind);
  text += line("state", own.state);
  text += line("why", own.why);
  text += line("parent", own.parent);
  text += line("image", own.image);
  text += line("layer", own.diff_id);
  text += line("chain", own.chain);
  text += line("stored as", own.blob);
  text += line("made", TimeOf(own.created_ns));
  text += line("changed", TimeOf(own.updated_ns));
  if (own.usage) {
    text += line("size",
                 fmt::format("{}, {}, without the layers below", base::HumanSize(own.usage->bytes),
                             Counted(own.usage->inodes, "inode")));
  }
  for (const auto& [key, value] : own.labels) {
    text += line("label", key + "=" + value);
  }
  text = ForScreen(text, whole);
  text += fmt::format("\n{}, the uppermost first:\n", Counted(chain.size(), "layer"));
  return text + ChainText(chain, whole);
}

// Of that key, else number, else key of containerd's clients: what is last in "NAMESPACE/N/KEY".
Result<const SnapshotView*> FindSnapshot(const std::vector<SnapshotView>& all,
                                         const std::string& key) {
  std::vector<const SnapshotView*> ends_so;
  const SnapshotView* numbered = nullptr;
  for (const SnapshotView& one : all) {
    if (one.name == key) return &one;
    if (std::to_string(one.number) == key) numbered = &one;
    if (one.name.ends_with("/" + key)) ends_so.push_back(&one);
  }
  if (numbered != nullptr) return numbered;
  if (ends_so.size() == 1) return ends_so.front();
  if (ends_so.empty()) {
    return NotFoundError("no snapshot has the key or number \"" + PrintableName(key) +
                         "\"; those there are: daxfsctl snapshot ls");
  }
  return InvalidArgumentError(fmt::format(
      "{} snapshots have a key that ends in \"{}\", \"{}\" and \"{}\" among them", ends_so.size(),
      PrintableName(key), PrintableName(ends_so[0]->name), PrintableName(ends_so[1]->name)));
}

// The same for people, who want to know what to do.
Result<std::vector<SnapshotView>> Ask(const SnapshotCommand& command) {
  Result<std::vector<SnapshotView>> all = AskSnapshots(command.address);
  if (all.ok()) return all;
  return Status(all.status().code(), all.status().message() + "; " + AdviceFor(all.status()));
}

}  // namespace

Status ListSnapshots(const SnapshotCommand& command, Context& context) {
  ASSIGN_OR_RETURN(const std::vector<SnapshotView> all, Ask(command));
  std::vector<SnapshotView> shown;
  std::copy_if(all.begin(), all.end(), std::back_inserter(shown), [&](const SnapshotView& one) {
    return (command.kind.empty() || one.kind == command.kind) &&
           (!command.missing || one.state == "missing");
  });
  if (!command.json) {
    return context.out(ForScreen(ListText(shown, Index(all)), command.whole));
  }
  for (const SnapshotView& one : shown) RETURN_IF_ERROR(context.out(JsonLine(JsonOf(one))));
  return Status::Ok();
}

Status ShowSnapshot(const SnapshotCommand& command, Context& context) {
  ASSIGN_OR_RETURN(const std::vector<SnapshotView> all, Ask(command));
  ASSIGN_OR_RETURN(const SnapshotView* const found, FindSnapshot(all, command.key));
  const std::vector<const SnapshotView*> chain = ChainOf(*found, Index(all));
  if (!command.json) return context.out(InfoText(chain, command.whole));
  Json json = JsonOf(*found);
  json["labels"] = found->labels;
  json["layers"] = Json::array();
  for (const SnapshotView* layer : chain) json["layers"].push_back(JsonOf(*layer));
  return context.out(JsonLine(json));
}

}  // namespace daxfs::tools
