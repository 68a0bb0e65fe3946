// SPDX-License-Identifier: Apache-2.0
// What people see of a pool's objects: ls.
#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/units.hpp"
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

bool IsWhole(const pool::ObjectView& object) {
  return object.state == pool::RowState::kReady || object.state == pool::RowState::kDying;
}

Json ObjectJson(const pool::ObjectView& object, const pool::Memory& memory) {
  Json json;
  if (memory.partition_count() > 1) json["partition"] = object.ref.partition;
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
  json["names"] = object.names;
  json["size_bytes"] = object.size_bytes;
  json["pool_bytes"] = object.pool_bytes;
  json["fragments"] = object.fragments;
  json["uses"] = object.uses;
  json["holds"] = object.holds;
  json["created"] = object.created;
  json["used"] = object.used;
  return json;
}

std::string Line(const std::string& digest, const std::string& size, const std::string& rest) {
  return fmt::format("{:<71}  {:>10}  {}\n", digest, size, rest);
}

std::string HeaderText() {
  return Line(
      "DIGEST", "SIZE",
      fmt::format("{:<5}  {:>4} {:>5}  {:<12}  {}", "KIND", "USES", "HOLDS", "USED", "NAMES"));
}

std::string ObjectText(const pool::ObjectView& object) {
  if (!IsWhole(object)) {
    return Line("-", base::HumanSize(object.progress_bytes),
                fmt::format("{} by slot {}", pool::RowStateName(object.state), object.slot));
  }
  std::string names;
  for (const std::string& name : object.names) {
    names += (names.empty() ? "" : ", ") + PrintableName(name);
  }
  const bool dying = object.state == pool::RowState::kDying;
  return Line(pool::DigestText(object.digest), base::HumanSize(object.size_bytes),
              fmt::format("{:<5}  {:>4} {:>5}  {:<12}  {}",
                          dying ? "dying" : pool::ObjectKindName(object.kind), object.uses,
                          object.holds, Ago(object.used, os::WallClockSeconds()), names));
}

std::vector<pool::ObjectView> AllObjects(const pool::Memory& memory) {
  std::vector<pool::ObjectView> all;
  for (std::uint32_t i = 0; i < memory.partition_count(); ++i) {
    const pool::Memory partition = memory.At(i);
    partition.ReadAnew();
    for (pool::ObjectView& object : pool::ListObjects(partition)) all.push_back(std::move(object));
  }
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

Status ShowLayer(const RecordLayer& layer, std::size_t number, const pool::ObjectView* object,
                 const pool::Memory& memory, const Output& out, bool as_json) {
  if (!as_json) {
    return out(object != nullptr ? ObjectText(*object)
                                 : Line(layer.digest, base::HumanSize(layer.size_bytes), "gone"));
  }
  Json json = {{"layer", number}, {"diff_id", layer.diff_id}};
  if (object != nullptr) {
    json.update(ObjectJson(*object, memory));
  } else {
    json.update({{"state", "gone"}, {"digest", layer.digest}, {"size_bytes", layer.size_bytes}});
  }
  return out(JsonLine(json));
}

Status ListOne(const PoolCommand& command, const std::string& text, const Output& out) {
  ASSIGN_OR_RETURN(const std::unique_ptr<pool::Participant> participant,
                   JoinPool(command.pool, "daxfsctl"));
  const pool::Memory& memory = participant->memory();
  ASSIGN_OR_RETURN(const Chosen chosen, Choose(*participant, text));
  std::map<pool::Ref, pool::ObjectView> objects;
  for (pool::ObjectView& object : AllObjects(memory)) {
    const pool::Ref ref = object.ref;
    objects.emplace(ref, std::move(object));
  }
  const auto find = [&](const std::optional<pool::Ref>& ref) {
    const auto found = ref ? objects.find(*ref) : objects.end();
    return found == objects.end() ? nullptr : &found->second;
  };
  if (const pool::ObjectView* const object = find(chosen.ref); object != nullptr) {
    Json json = ObjectJson(*object, memory);
    if (chosen.record) json["layers"] = chosen.record->size();
    RETURN_IF_ERROR(out(command.json ? JsonLine(json) : ObjectText(*object)));
  }
  if (!chosen.record) return Status::Ok();
  if (!command.json) {
    RETURN_IF_ERROR(out(fmt::format("an image of {}, the lowest first:\n",
                                    Counted(chosen.record->size(), "layer"))));
  }
  for (std::size_t i = 0; i < chosen.record->size(); ++i) {
    RETURN_IF_ERROR(
        ShowLayer((*chosen.record)[i], i, find(chosen.layers[i]), memory, out, command.json));
  }
  return Status::Ok();
}

Status ListAll(const PoolCommand& command, const Output& out) {
  ASSIGN_OR_RETURN(const std::unique_ptr<pool::Memory> memory, OpenPool(command.pool));
  for (const pool::ObjectView& object : AllObjects(*memory)) {
    RETURN_IF_ERROR(out(command.json ? JsonLine(ObjectJson(object, *memory)) : ObjectText(object)));
  }
  return Status::Ok();
}

}  // namespace

Status ListPool(const PoolCommand& command, Context& context) {
  std::string header = command.json ? "" : HeaderText();
  // The header goes with the first line, so that a failure shows none.
  const Output out = [&](std::string_view line) {
    return context.out(std::exchange(header, "") + std::string(line));
  };
  RETURN_IF_ERROR(command.objects.empty() ? ListAll(command, out)
                                          : ListOne(command, command.objects.front(), out));
  return header.empty() ? Status::Ok() : context.out(header);
}

}  // namespace daxfs::tools
