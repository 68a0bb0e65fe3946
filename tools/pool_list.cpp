// SPDX-License-Identifier: Apache-2.0
// What people see of a pool's objects: ls.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/units.hpp"
#include "common/os/file_io.hpp"
#include "common/os/system.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/view.hpp"
#include "tools/open_pool.hpp"
#include "tools/pool_commands.hpp"
#include "tools/record.hpp"
#include "tools/text.hpp"

namespace daxfs::tools {
namespace {

using Json = nlohmann::ordered_json;

// An object with its names, also those that hosts of other partitions have given it.
struct Listed {
  struct Name {
    std::string text;
    std::uint32_t partition = 0;
  };
  pool::ObjectView object;
  std::vector<Name> names;
  std::uint32_t partitions = 1;  // that the pool has
};

bool IsWhole(const pool::ObjectView& object) {
  return object.state == pool::RowState::kReady || object.state == pool::RowState::kDying;
}

Json ObjectJson(const Listed& listed) {
  const pool::ObjectView& object = listed.object;
  Json json;
  if (listed.partitions > 1) json["partition"] = object.ref.partition;
  json["row"] = object.ref.row;
  json["generation"] = object.ref.generation;
  json["state"] = pool::RowStateName(object.state);
  if (!IsWhole(object)) {
    json["slot"] = object.slot;
    json["progress_bytes"] = object.progress_bytes;
    return json;
  }
  json["kind"] = pool::ObjectKindName(object.kind);
  json["digest"] = pool::DigestText(object.digest);
  json["names"] = Json::array();
  for (const Listed::Name& name : listed.names) json["names"].push_back(name.text);
  if (listed.partitions > 1) {
    json["name_partitions"] = Json::array();
    for (const Listed::Name& name : listed.names) json["name_partitions"].push_back(name.partition);
  }
  json["size_bytes"] = object.size_bytes;
  json["pool_bytes"] = object.pool_bytes;
  json["fragments"] = object.fragments;
  json["uses"] = object.uses;
  json["holds"] = object.holds;
  json["created"] = object.created;
  json["used"] = object.used;
  return json;
}

// What `ls` prints, with a column for the partition where there are several.
class Table {
 public:
  // On a terminal digests are short, unless all is wanted, and names, which come last, cut.
  Table(bool partitioned, bool whole)
      : partitioned_(partitioned), whole_(whole || !os::SizeOfTerminal(STDOUT_FILENO)) {}

  std::string Header() const {
    return Line(
        Part("PART"), "DIGEST", "SIZE",
        fmt::format("{:<5}  {:>4} {:>5}  {:<11}  {}", "KIND", "USES", "HOLDS", "USED", "NAMES"));
  }

  std::string Of(const Listed& listed) const {
    const pool::ObjectView& object = listed.object;
    const std::string part = Part(std::to_string(object.ref.partition));
    if (!IsWhole(object)) {
      return Line(part, "-", base::HumanSize(object.progress_bytes),
                  fmt::format("{} by slot {}", pool::RowStateName(object.state), object.slot));
    }
    std::string names;
    for (const Listed::Name& name : listed.names) {
      names += (names.empty() ? "" : ", ") + PrintableName(name.text);
      if (name.partition != object.ref.partition) names += fmt::format(" (of {})", name.partition);
    }
    const bool dying = object.state == pool::RowState::kDying;
    return Line(part, pool::DigestText(object.digest), base::HumanSize(object.size_bytes),
                fmt::format("{:<5}  {:>4} {:>5}  {:<11}  {}",
                            dying ? "dying" : pool::ObjectKindName(object.kind), object.uses,
                            object.holds, Ago(object.used, os::WallClockSeconds()), names));
  }

  std::string OfGone(const RecordLayer& layer) const {
    return Line(Part("-"), layer.digest, base::HumanSize(layer.size_bytes), "gone");
  }

 private:
  std::string Part(const std::string& text) const {
    return partitioned_ ? fmt::format("{:>4}  ", text) : "";
  }
  std::string Line(const std::string& part, const std::string& digest, const std::string& size,
                   const std::string& rest) const {
    // "sha256:" and twelve digits.
    constexpr std::size_t kShort = 19;
    const bool cut = !whole_ && digest.size() > kShort;
    return ForScreen(
        fmt::format("{}{:<{}}  {:>9}  {}\n", part, cut ? digest.substr(0, kShort) + "…" : digest,
                    whole_ ? 71 : kShort + 1, size, rest),
        whole_);
  }

  bool partitioned_;
  bool whole_;
};

std::vector<Listed> ListAll(const pool::Memory& memory) {
  const std::uint32_t partitions = memory.partition_count();
  std::map<pool::Ref, std::vector<Listed::Name>> names;
  std::vector<Listed> all;
  for (std::uint32_t i = 0; i < partitions; ++i) {
    const pool::Memory partition = memory.At(i);
    partition.ReadAnew();
    for (pool::NameView& name : pool::ListNames(partition)) {
      names[name.ref].push_back({std::move(name.name), i});
    }
    for (pool::ObjectView& object : pool::ListObjects(partition)) {
      all.push_back({std::move(object), {}, partitions});
    }
  }
  for (Listed& listed : all) listed.names = names[listed.object.ref];
  return all;
}

// One object, and if it is the record of an image, its layers: where they are, if they still are.
struct Chosen {
  pool::Ref ref;
  std::optional<Record> record;
  std::vector<std::optional<pool::Ref>> layers;
};

Result<Chosen> Choose(pool::Participant& participant, const std::string& text) {
  Chosen chosen;
  {
    ASSIGN_OR_RETURN(const pool::Use use, pool::FindAny(participant, text));
    chosen.ref = use.ref();
  }
  ASSIGN_OR_RETURN(chosen.record, ReadRecord(participant, chosen.ref));
  if (!chosen.record) return chosen;
  for (const RecordLayer& layer : *chosen.record) {
    const Result<pool::Use> use = pool::FindAny(participant, layer.digest);
    if (!use.ok() && use.status().code() != StatusCode::kNotFound) return use.status();
    chosen.layers.push_back(use.ok() ? std::optional(use->ref()) : std::nullopt);
  }
  return chosen;
}

Json LayerJson(const RecordLayer& layer, std::size_t number, const Listed* listed) {
  Json json = {{"layer", number}, {"diff_id", layer.diff_id}};
  json.update(
      listed != nullptr
          ? ObjectJson(*listed)
          : Json{{"state", "gone"}, {"digest", layer.digest}, {"size_bytes", layer.size_bytes}});
  return json;
}

Status ShowChosen(const PoolCommand& command, Context& context) {
  ASSIGN_OR_RETURN(const std::unique_ptr<pool::Participant> participant,
                   JoinPool(command.pool, "daxfsctl"));
  ASSIGN_OR_RETURN(const Chosen chosen, Choose(*participant, command.objects.front()));
  const std::vector<Listed> all = ListAll(participant->memory());
  const auto find = [&](const std::optional<pool::Ref>& ref) -> const Listed* {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const Listed& one) { return one.object.ref == ref; });
    return found == all.end() ? nullptr : &*found;
  };
  const Table table(participant->memory().partition_count() > 1, command.whole);
  std::string text = table.Header();
  std::string lines;
  if (const Listed* const object = find(chosen.ref); object != nullptr) {
    Json json = ObjectJson(*object);
    if (chosen.record) json["layers"] = chosen.record->size();
    lines += JsonLine(json);
    text += table.Of(*object);
  }
  if (chosen.record) {
    text +=
        fmt::format("an image of {}, the lowest first:\n", Counted(chosen.record->size(), "layer"));
  }
  for (std::size_t i = 0; i < chosen.layers.size(); ++i) {
    const RecordLayer& layer = (*chosen.record)[i];
    const Listed* const listed = find(chosen.layers[i]);
    lines += JsonLine(LayerJson(layer, i, listed));
    text += listed != nullptr ? table.Of(*listed) : table.OfGone(layer);
  }
  return context.out(command.json ? lines : text);
}

}  // namespace

Status ListPool(const PoolCommand& command, Context& context) {
  if (!command.objects.empty()) return ShowChosen(command, context);
  ASSIGN_OR_RETURN(const std::unique_ptr<pool::Memory> memory, OpenPool(command.pool));
  const Table table(memory->partition_count() > 1, command.whole);
  if (!command.json) RETURN_IF_ERROR(context.out(table.Header()));
  for (const Listed& listed : ListAll(*memory)) {
    RETURN_IF_ERROR(context.out(command.json ? JsonLine(ObjectJson(listed)) : table.Of(listed)));
  }
  return Status::Ok();
}

}  // namespace daxfs::tools
