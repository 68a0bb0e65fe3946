// SPDX-License-Identifier: Apache-2.0
// What people see of a pool: info, watch.
#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "common/base/units.hpp"
#include "common/os/file_io.hpp"
#include "common/os/system.hpp"
#include "common/pool/inspect.hpp"
#include "tools/open_pool.hpp"
#include "tools/pool_commands.hpp"
#include "tools/text.hpp"

namespace daxfs::tools {
namespace {

using Json = nlohmann::ordered_json;

std::string Chunks(std::uint64_t count) {
  return base::HumanSize(count * std::uint64_t{DAXFS_CHUNK_SIZE});
}

const char* ModeOf(const pool::Memory& memory) {
  return memory.partition_count() > 1 ? "partitioned" : "coherent";
}

Json UsageJson(const pool::Memory& memory, const pool::UsageView& usage) {
  const daxfs_pool& words = memory.words();
  Json json;
  json["chunks"] = {
      {"bytes_each", DAXFS_CHUNK_SIZE},  {"total", usage.chunks},
      {"absent", usage.chunks_absent},   {"free", usage.chunks_free},
      {"split", usage.chunks_split},     {"orphan", usage.chunks_orphan},
      {"damaged", usage.chunks_damaged}, {"largest_free_run", usage.largest_free_run}};
  json["granules"] = {{"bytes_each", DAXFS_GRANULE_SIZE},
                      {"used", usage.granules_used},
                      {"orphan", usage.granules_orphan}};
  json["objects"] = {{"rows", words.row_count},
                     {"used", usage.rows_used},
                     {"collectable", usage.collectable_objects},
                     {"collectable_bytes", usage.collectable_bytes}};
  json["aliases"] = {{"rows", daxfs_index_rows(&words.aliases) + daxfs_index_rows(&words.names)},
                     {"used", usage.aliases_used},
                     {"stale", usage.aliases_stale}};
  json["holds"] = {{"rows", words.hold_count}, {"used", usage.holds_used}};
  return json;
}

Json ContentionJson(const pool::Contention& contention) {
  Json json;
  for (std::size_t i = 0; i < contention.size(); ++i) {
    json[pool::ContentionName(i)] = contention.at(i);
  }
  return json;
}

pool::Contention SumOf(const std::vector<pool::HostView>& hosts) {
  pool::Contention sum{};
  for (const pool::HostView& host : hosts) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum.at(i) += host.contention.at(i);
  }
  return sum;
}

// Chunks, granules, rows, aliases.
std::uint64_t SwapsLost(const pool::Contention& contention) {
  return std::accumulate(contention.begin(), contention.begin() + DAXFS_CONTENTION_LOOKS,
                         std::uint64_t{0});
}

// Has another host stated so, and this one not come back since?
bool IsOff(const pool::Memory& memory) {
  const daxfs_pool& words = memory.words();
  const bool was_there = daxfs_load_anew(words.role, &words.stated[words.partition], 1) != 0;
  return was_there && daxfs_partition_is_off(&words, words.partition) != 0;
}

// Of a partition, or of all there is.
Json PartitionJson(const pool::Memory& memory) {
  Json json;
  if (memory.partition_count() > 1) {
    memory.ReadAnew();
    json["partition"] = memory.partition();
    json["partition_host"] = pool::UuidText(memory.partition_host());
    json["stated_off"] = IsOff(memory);
  }
  json.update(UsageJson(memory, pool::Usage(memory)));
  const std::vector<pool::HostView> hosts = pool::ListHosts(memory);
  json["contention"] = ContentionJson(SumOf(hosts));
  json["hosts"] = Json::array();
  for (const pool::HostView& host : hosts) {
    json["hosts"].push_back({{"host", host.host},
                             {"id", pool::UuidText(host.id)},
                             {"name", host.name},
                             {"heartbeat", host.heartbeat},
                             {"participants", host.participants},
                             {"holds", host.holds},
                             {"contention", ContentionJson(host.contention)}});
  }
  json["participants"] = Json::array();
  for (const pool::SlotView& slot : pool::ListSlots(memory)) {
    json["participants"].push_back({{"slot", slot.slot},
                                    {"state", slot.state},
                                    {"host", slot.host},
                                    {"kernel", slot.kernel},
                                    {"pid", slot.pid},
                                    {"name", slot.name},
                                    {"uses", slot.uses},
                                    {"started", slot.started},
                                    {"heartbeat", slot.heartbeat},
                                    {"contention", ContentionJson(slot.contention)}});
  }
  json["held"] = Json::array();
  for (const pool::HoldView& hold : pool::ListHolds(memory)) {
    json["held"].push_back({{"host", hold.host},
                            {"kind", pool::HoldKindName(hold.kind)},
                            {"name", hold.name},
                            {"row", hold.ref.row},
                            {"created", hold.created}});
    if (memory.partition_count() > 1) json["held"].back()["partition"] = hold.ref.partition;
  }
  return json;
}

Json PoolJson(const pool::Memory& memory) {
  const daxfs_pool_info& info = memory.info();
  Json json;
  json["path"] = memory.name();
  json["label"] = info.label;
  json["version"] = info.version;
  json["mode"] = ModeOf(memory);
  json["uuid"] = pool::UuidText(memory.uuid());
  json["epoch"] = pool::UuidText(memory.epoch());
  json["created"] = info.created;
  json["devices"] = info.device_count;
  if (memory.partition_count() == 1) {
    json.update(PartitionJson(memory));
    return json;
  }
  for (std::uint32_t i = 0; i < memory.partition_count(); ++i) {
    json["partitions"].push_back(PartitionJson(memory.At(i)));
  }
  return json;
}

std::string UsageText(const pool::Memory& memory, const pool::UsageView& usage) {
  std::string text;
  text += fmt::format(
      "memory      {} in {} device{}: {} free (longest run {}), {} chunk{} of small objects",
      Chunks(usage.chunks), memory.info().device_count, memory.info().device_count == 1 ? "" : "s",
      Chunks(usage.chunks_free), Chunks(usage.largest_free_run), usage.chunks_split,
      usage.chunks_split == 1 ? "" : "s");
  if (usage.chunks_absent > 0) {
    text += fmt::format(", may grow to {}", Chunks(usage.chunks + usage.chunks_absent));
  }
  if (usage.chunks_orphan > 0)
    text += fmt::format(", {} of ended lives", Chunks(usage.chunks_orphan));
  if (usage.chunks_damaged > 0) text += fmt::format(", {} DAMAGED", usage.chunks_damaged);
  text += fmt::format("\nobjects     {} of {}; {} of {} used by nobody\n", usage.rows_used,
                      memory.words().row_count, usage.collectable_objects,
                      base::HumanSize(usage.collectable_bytes));
  text += fmt::format(
      "aliases     {} of {}, and {} of what is gone\n", usage.aliases_used,
      daxfs_index_rows(&memory.words().aliases) + daxfs_index_rows(&memory.words().names),
      usage.aliases_stale);
  text += fmt::format("holds       {} of {}\n", usage.holds_used, memory.words().hold_count);
  return text;
}

std::string ContentionText(const pool::Contention& sum) {
  return fmt::format(
      "contention  {} swaps lost ({} for chunks, {} granules, {} rows, {} aliases), {} look-ups "
      "again, {} waits, {} collections undone, {} sweeps\n",
      SwapsLost(sum), sum[DAXFS_CONTENTION_CHUNKS], sum[DAXFS_CONTENTION_GRANULES],
      sum[DAXFS_CONTENTION_ROWS], sum[DAXFS_CONTENTION_ALIASES], sum[DAXFS_CONTENTION_LOOKS],
      sum[DAXFS_CONTENTION_WAITS], sum[DAXFS_CONTENTION_UNDONE], sum[DAXFS_CONTENTION_SWEEPS]);
}

std::string PeopleText(const pool::Memory& memory) {
  const std::uint64_t now = os::WallClockSeconds();
  std::string text = fmt::format("\n{:>4}  {:<20}  {:<36}  {:<14}  {:>12}  {:>5}\n", "HOST", "NAME",
                                 "ID", "HEARTBEAT", "PARTICIPANTS", "HOLDS");
  for (const pool::HostView& host : pool::ListHosts(memory)) {
    text += fmt::format("{:>4}  {:<20}  {:<36}  {:<14}  {:>12}  {:>5}\n", host.host,
                        PrintableName(host.name), pool::UuidText(host.id), Ago(host.heartbeat, now),
                        host.participants, host.holds);
  }
  text +=
      fmt::format("\n{:>4}  {:<8}  {:>4}  {:<20}  {:>8}  {:>5}  {:>6}  {:>6}  {:>6}  {}\n", "SLOT",
                  "STATE", "HOST", "NAME", "PID", "USES", "LOST", "AGAIN", "WAITS", "HEARTBEAT");
  for (const pool::SlotView& slot : pool::ListSlots(memory)) {
    text += fmt::format("{:>4}  {:<8}  {:>4}  {:<20}  {:>8}  {:>5}  {:>6}  {:>6}  {:>6}  {}\n",
                        slot.slot, slot.state, slot.host, PrintableName(slot.name),
                        slot.kernel ? "kernel" : std::to_string(slot.pid), slot.uses,
                        SwapsLost(slot.contention), slot.contention[DAXFS_CONTENTION_LOOKS],
                        slot.contention[DAXFS_CONTENTION_WAITS], Ago(slot.heartbeat, now));
  }
  return text;
}

std::string PartitionText(const pool::Memory& memory) {
  std::string text;
  if (memory.partition_count() > 1) {
    memory.ReadAnew();
    text = fmt::format("\npartition   {} of {}, host {}{}\n", memory.partition(),
                       memory.partition_count(), pool::UuidText(memory.partition_host()),
                       IsOff(memory) ? ", stated to be off" : "");
  }
  text += UsageText(memory, pool::Usage(memory));
  text += ContentionText(SumOf(pool::ListHosts(memory)));
  return text + PeopleText(memory);
}

std::string PoolText(const pool::Memory& memory) {
  const daxfs_pool_info& info = memory.info();
  std::string text =
      fmt::format("pool        {}{}\n", memory.name(),
                  info.label[0] == '\0' ? "" : fmt::format("  \"{}\"", PrintableName(info.label)));
  text += fmt::format("uuid        {}\n", pool::UuidText(memory.uuid()));
  text += fmt::format("epoch       {}  (version {}, {}, made {}Z)\n",
                      pool::UuidText(memory.epoch()), info.version, ModeOf(memory),
                      TimeText(static_cast<std::int64_t>(info.created), 0).substr(0, 19));
  for (std::uint32_t i = 0; i < memory.partition_count(); ++i) text += PartitionText(memory.At(i));
  return text;
}

}  // namespace

Status ShowPool(const PoolCommand& command, Context& context) {
  ASSIGN_OR_RETURN(const std::unique_ptr<pool::Memory> memory, OpenPool(command.pool));
  return context.out(command.json ? JsonLine(PoolJson(*memory)) : PoolText(*memory));
}

namespace {

// One character for each chunk, or for several where there are many.
std::string Picture(const pool::Memory& memory) {
  constexpr std::size_t kWidth = 64;
  constexpr std::size_t kCells = kWidth * 8;
  const daxfs_pool& words = memory.words();
  const std::size_t per_cell = (words.owner_count + kCells - 1) / kCells;
  std::string text;
  std::size_t column = 0;
  for (std::size_t first = 0; first < words.owner_count; first += per_cell) {
    std::size_t used = 0;
    std::size_t split = 0;
    std::size_t absent = 0;
    std::size_t count = 0;
    for (std::size_t i = first; i < words.owner_count && i < first + per_cell; ++i, ++count) {
      const std::uint64_t owner = daxfs_load(&words.owners[i]);
      absent += owner == DAXFS_OWNER_ABSENT ? 1U : 0U;
      if (owner == DAXFS_OWNER_ABSENT) continue;
      used += owner != 0 ? 1U : 0U;
      split += owner == DAXFS_OWNER_SPLIT ? 1U : 0U;
    }
    text += absent == count ? '-'
            : used == 0     ? '.'
            : split == used ? '+'
            : used == count ? '#'
                            : 'o';
    if (++column % kWidth == 0) text += '\n';
  }
  if (column % kWidth != 0) text += '\n';
  return text +
         fmt::format(
             "# used  o partly  + small objects  . free  - not there yet  (a character is {})\n",
             Chunks(per_cell));
}

std::string Pictures(const pool::Memory& memory) {
  std::string text;
  for (std::uint32_t i = 0; i < memory.partition_count(); ++i) {
    text += "\n" + Picture(memory.At(i));
  }
  return text;
}

// Interrupted by Advance.
Status Sleep(double seconds, Context& context) {
  constexpr std::chrono::milliseconds kStep{100};
  const auto steps = static_cast<int>(seconds * 10);
  for (int i = 0; i < steps; ++i) {
    RETURN_IF_ERROR(context.progress.Advance(0, 0));
    std::this_thread::sleep_for(kStep);
  }
  return Status::Ok();
}

}  // namespace

Status WatchPool(const PoolCommand& command, Context& context) {
  constexpr const char* kHomeAndClear = "\x1b[H\x1b[J";
  ASSIGN_OR_RETURN(const std::unique_ptr<pool::Memory> memory, OpenPool(command.pool));
  const bool draws = !command.json && os::IsTerminal(1);
  for (std::uint32_t i = 0; command.count == 0 || i < command.count; ++i) {
    if (i > 0) RETURN_IF_ERROR(Sleep(command.interval_seconds, context));
    const std::string text =
        command.json ? JsonLine(PoolJson(*memory))
                     : (draws ? kHomeAndClear : "") + PoolText(*memory) + Pictures(*memory);
    RETURN_IF_ERROR(context.out(text));
    RETURN_IF_ERROR(context.flush ? context.flush() : Status::Ok());
  }
  return Status::Ok();
}

}  // namespace daxfs::tools
