// SPDX-License-Identifier: Apache-2.0
// What people see of a pool: info, watch.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
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
      {"each_bytes", DAXFS_CHUNK_SIZE},  {"total", usage.chunks},
      {"absent", usage.chunks_absent},   {"free", usage.chunks_free},
      {"split", usage.chunks_split},     {"orphan", usage.chunks_orphan},
      {"damaged", usage.chunks_damaged}, {"largest_free_run", usage.largest_free_run}};
  json["granules"] = {{"each_bytes", DAXFS_GRANULE_SIZE},
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
                             {"leaving", host.leaving},
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

struct Device {
  pool::Uuid uuid{};
  std::uint64_t size_bytes = 0;
  std::uint64_t max_bytes = 0;
};

// Only the last one may be smaller than the superblock says.
std::vector<Device> DevicesOf(const pool::Memory& memory) {
  const daxfs_pool_info& info = memory.info();
  std::vector<Device> devices(info.device_count);
  for (std::size_t i = 0; i < devices.size(); ++i) {
    std::memcpy(devices[i].uuid.data(), info.device[i].uuid, devices[i].uuid.size());
    // Each partition says what is its own.
    devices[i].size_bytes = devices[i].max_bytes = info.device[i].size * info.partition_count;
  }
  const Result<std::uint64_t> now = memory.last_device().Size();
  if (now.ok()) devices.back().size_bytes = std::min(*now, devices.back().max_bytes);
  return devices;
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
  for (const Device& device : DevicesOf(memory)) {
    json["devices"].push_back({{"uuid", pool::UuidText(device.uuid)},
                               {"size_bytes", device.size_bytes},
                               {"max_size_bytes", device.max_bytes}});
  }
  if (memory.partition_count() == 1) {
    json.update(PartitionJson(memory));
    return json;
  }
  for (std::uint32_t i = 0; i < memory.partition_count(); ++i) {
    json["partitions"].push_back(PartitionJson(memory.At(i)));
  }
  return json;
}

std::string DevicesText(const pool::Memory& memory) {
  std::string text;
  for (const Device& device : DevicesOf(memory)) {
    text += fmt::format("device      {}", base::HumanSize(device.size_bytes));
    if (device.max_bytes != device.size_bytes) {
      text += fmt::format(", may grow to {}", base::HumanSize(device.max_bytes));
    }
    text += "\n";
  }
  return text;
}

std::string UsageText(const pool::Memory& memory, const pool::UsageView& usage) {
  std::string text = fmt::format("memory      {}: {} free, longest run {}\n", Chunks(usage.chunks),
                                 Chunks(usage.chunks_free), Chunks(usage.largest_free_run));
  text += fmt::format("chunks      {} of {}: {} of small objects", usage.chunks,
                      base::HumanSize(DAXFS_CHUNK_SIZE), usage.chunks_split);
  if (usage.chunks_orphan > 0) text += fmt::format(", {} of ended lives", usage.chunks_orphan);
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
      "contention  {} lost (for {}, {}, {}, {}),\n"
      "            {} again, {}, {} undone, {}\n",
      Counted(SwapsLost(sum), "swap"), Counted(sum[DAXFS_CONTENTION_CHUNKS], "chunk"),
      Counted(sum[DAXFS_CONTENTION_GRANULES], "granule"),
      Counted(sum[DAXFS_CONTENTION_ROWS], "row"), Counted(sum[DAXFS_CONTENTION_ALIASES], "alias"),
      Counted(sum[DAXFS_CONTENTION_LOOKS], "look-up"), Counted(sum[DAXFS_CONTENTION_WAITS], "wait"),
      Counted(sum[DAXFS_CONTENTION_UNDONE], "collection"),
      Counted(sum[DAXFS_CONTENTION_SWEEPS], "sweep"));
}

// Names come last: they may be cut.
std::string PeopleText(const pool::Memory& memory) {
  const std::uint64_t now = os::WallClockSeconds();
  std::string text = fmt::format("\n{:>4}  {:<36}  {:<11} {:>5} {:>5}  {}\n", "HOST", "ID",
                                 "HEARTBEAT", "SLOTS", "HOLDS", "NAME");
  for (const pool::HostView& host : pool::ListHosts(memory)) {
    text +=
        fmt::format("{:>4}  {:<36}  {:<11} {:>5} {:>5}  {}\n", host.host, pool::UuidText(host.id),
                    Ago(host.heartbeat, now), host.participants, host.holds,
                    PrintableName(host.name) +
                        (host.leaving ? " (somebody began to fence it: fence it again)" : ""));
  }
  text +=
      fmt::format("\n{:>4}  {:<8} {:>4} {:>7} {:>4} {:>5} {:>5} {:>5}  {:<11}  {}\n", "SLOT",
                  "STATE", "HOST", "PID", "USES", "LOST", "AGAIN", "WAITS", "HEARTBEAT", "NAME");
  for (const pool::SlotView& slot : pool::ListSlots(memory)) {
    text +=
        fmt::format("{:>4}  {:<8} {:>4} {:>7} {:>4} {:>5} {:>5} {:>5}  {:<11}  {}\n", slot.slot,
                    slot.state, slot.host, slot.kernel ? "kernel" : std::to_string(slot.pid),
                    slot.uses, SwapsLost(slot.contention), slot.contention[DAXFS_CONTENTION_LOOKS],
                    slot.contention[DAXFS_CONTENTION_WAITS], Ago(slot.heartbeat, now),
                    PrintableName(slot.name));
  }
  return text;
}

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
  return text + fmt::format("# used  o partly  + small  . free  - absent  (a character is {})\n",
                            Chunks(per_cell));
}

std::string PartitionText(const pool::Memory& memory, bool with_picture) {
  std::string text;
  if (memory.partition_count() > 1) {
    memory.ReadAnew();
    text = fmt::format("\npartition   {} of {}, host {}{}\n", memory.partition(),
                       memory.partition_count(), pool::UuidText(memory.partition_host()),
                       IsOff(memory) ? ", stated off" : "");
  }
  text += UsageText(memory, pool::Usage(memory));
  text += ContentionText(SumOf(pool::ListHosts(memory)));
  if (with_picture) text += "\n" + Picture(memory);
  return text + PeopleText(memory);
}

std::string PoolText(const pool::Memory& memory, bool with_pictures) {
  const daxfs_pool_info& info = memory.info();
  std::string text =
      fmt::format("pool        {}{}\n", memory.name(),
                  info.label[0] == '\0' ? "" : fmt::format("  \"{}\"", PrintableName(info.label)));
  text += fmt::format("uuid        {}\n", pool::UuidText(memory.uuid()));
  text += fmt::format("epoch       {}\n", pool::UuidText(memory.epoch()));
  text += fmt::format("made        {}Z, version {}, {}\n",
                      TimeText(static_cast<std::int64_t>(info.created), 0).substr(0, 19),
                      info.version, ModeOf(memory));
  text += DevicesText(memory);
  for (std::uint32_t i = 0; i < memory.partition_count(); ++i) {
    text += PartitionText(memory.At(i), with_pictures);
  }
  return text;
}

}  // namespace

Status ShowPool(const PoolCommand& command, Context& context) {
  ASSIGN_OR_RETURN(const std::unique_ptr<pool::Memory> memory, OpenPool(command.pool));
  if (command.json) return context.out(JsonLine(PoolJson(*memory)));
  return context.out(ForScreen(PoolText(*memory, false), command.whole));
}

namespace {

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

// A terminal is drawn over, and what it has no room for is left out.
std::string OneScreen(const std::string& text) {
  constexpr const char* kHomeAndClear = "\x1b[H\x1b[J";
  const std::optional<os::TerminalSize> terminal = os::SizeOfTerminal(STDOUT_FILENO);
  if (!terminal) return text;
  // The cursor stands in the last row.
  return kHomeAndClear + FitRows(FitColumns(text, terminal->columns), terminal->rows - 1);
}

}  // namespace

Status WatchPool(const PoolCommand& command, Context& context) {
  ASSIGN_OR_RETURN(const std::unique_ptr<pool::Memory> memory, OpenPool(command.pool));
  for (std::uint32_t i = 0; command.count == 0 || i < command.count; ++i) {
    if (i > 0) {
      const Status slept = Sleep(command.interval_seconds, context);
      if (slept.code() == StatusCode::kCancelled) return Status::Ok();  // that is how it ends
      RETURN_IF_ERROR(slept);
    }
    const std::string text =
        command.json ? JsonLine(PoolJson(*memory)) : OneScreen(PoolText(*memory, true));
    RETURN_IF_ERROR(context.out(text));
    RETURN_IF_ERROR(context.flush ? context.flush() : Status::Ok());
  }
  return Status::Ok();
}

}  // namespace daxfs::tools
