// SPDX-License-Identifier: Apache-2.0
// What changes a pool: create, resize, gc, fence, check, rm, put, get.
#include "tools/pool_commands.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "common/base/units.hpp"
#include "common/convert/directory_source.hpp"
#include "common/convert/pool_sink.hpp"
#include "common/os/file_io.hpp"
#include "common/pool/building.hpp"
#include "common/pool/check.hpp"
#include "common/pool/config.hpp"
#include "common/pool/heart.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/resize.hpp"
#include "tools/extract.hpp"
#include "tools/open_pool.hpp"
#include "tools/record.hpp"
#include "tools/text.hpp"

namespace daxfs::tools {
namespace {

using Json = nlohmann::ordered_json;

std::string When(std::uint64_t seconds) {
  return TimeText(static_cast<std::int64_t>(seconds), 0).substr(0, 19) + "Z";
}

// A participant of the pool that the command names.
Result<std::unique_ptr<pool::Participant>> Join(const PoolCommand& command) {
  return JoinPool(command.pool, "daxfsctl");
}

struct Room {
  std::uint32_t chunks;
  std::uint64_t bytes;
  std::uint64_t max_bytes;
};

Room RoomOf(const pool::Memory& memory) {
  const pool::UsageView usage = pool::Usage(memory);
  return {usage.chunks, usage.chunks * std::uint64_t{DAXFS_CHUNK_SIZE},
          memory.info().chunk_count * std::uint64_t{DAXFS_CHUNK_SIZE}};
}

}  // namespace

Status CreatePool(const PoolCommand& command, Context& context) {
  ASSIGN_OR_RETURN(const pool::PoolConfig config, pool::ResolvePool(command.pool));
  pool::CreateOptions options;
  options.devices = config.devices;
  options.label = command.label.empty() ? config.label : command.label;
  options.rows = command.rows;
  options.aliases = command.aliases;
  options.slots = command.slots;
  options.hosts = command.hosts;
  options.replace = command.force;
  for (const std::string& id : command.partitions) {
    ASSIGN_OR_RETURN(const pool::Uuid uuid, pool::ParseUuid(id).WithContext("--partition"));
    options.partitions.push_back(uuid);
  }
  options.size_bytes = command.size_bytes != 0 ? command.size_bytes : config.size_bytes;
  options.max_size_bytes = command.max_size_bytes;
  std::vector<std::string> made;
  std::error_code error;
  for (const std::string& device : options.devices) {
    if (!std::filesystem::exists(device, error)) made.push_back(device);
  }
  Status status = pool::CreatePool(options);
  // What another process made into a pool meanwhile, or is making one of, is not ours to remove.
  const bool ours = status.code() != StatusCode::kAlreadyExists &&
                    status.code() != StatusCode::kFailedPrecondition;
  if (!status.ok()) {
    if (!ours) return status;
    for (const std::string& device : made) std::filesystem::remove(device, error);
    return status;
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<pool::Memory> memory,
                   pool::Memory::Open(options.devices, os::Access::kRead));
  const Room room = RoomOf(*memory);
  if (command.json) {
    return context.out(JsonLine({{"uuid", pool::UuidText(memory->uuid())},
                                 {"chunks", room.chunks},
                                 {"bytes", room.bytes},
                                 {"max_bytes", room.max_bytes},
                                 {"rows", memory->info().row_count},
                                 {"partitions", memory->partition_count()}}));
  }
  std::string more;
  if (room.max_bytes != room.bytes) more = " (at most " + base::HumanSize(room.max_bytes) + ")";
  if (memory->partition_count() > 1) {
    more = fmt::format(" in each of {} partitions", memory->partition_count());
  }
  return context.out(fmt::format("{}  pool {}  {}{} for up to {} objects\n", memory->name(),
                                 pool::UuidText(memory->uuid()), base::HumanSize(room.bytes), more,
                                 memory->info().row_count));
}

Status ResizePool(const PoolCommand& command, Context& context) {
  ASSIGN_OR_RETURN(const std::unique_ptr<pool::Participant> participant, Join(command));
  RETURN_IF_ERROR(pool::Resize(*participant, command.size_bytes));
  const Room room = RoomOf(participant->memory());
  if (command.json) {
    return context.out(JsonLine({{"ok", true},
                                 {"chunks", room.chunks},
                                 {"bytes", room.bytes},
                                 {"max_bytes", room.max_bytes}}));
  }
  return context.out(fmt::format("{} of at most {}\n", base::HumanSize(room.bytes),
                                 base::HumanSize(room.max_bytes)));
}

Status CollectPool(const PoolCommand& command, Context& context) {
  ASSIGN_OR_RETURN(const std::unique_ptr<pool::Participant> participant, Join(command));
  pool::CollectOptions options;
  options.wanted_bytes = command.wanted_bytes;
  options.dry_run = command.dry_run;
  std::uint64_t bytes = 0;
  const std::vector<pool::Collected> collected = participant->Collect(options);
  for (const pool::Collected& object : collected) {
    bytes += object.bytes;
    const std::string digest = pool::DigestText(object.digest);
    RETURN_IF_ERROR(context.out(
        command.json
            ? JsonLine({{"digest", digest}, {"pool_bytes", object.bytes}, {"used", object.used}})
            : fmt::format("{}  {:>10}  last used {}\n", digest, base::HumanSize(object.bytes),
                          When(object.used))));
  }
  const char* what = command.dry_run ? "would free" : "freed";
  if (command.json) {
    return context.out(JsonLine({{"ok", true},
                                 {"dry_run", command.dry_run},
                                 {"objects", collected.size()},
                                 {"pool_bytes", bytes}}));
  }
  return context.out(fmt::format("{} {} of {}\n", what, Counted(collected.size(), "object"),
                                 base::HumanSize(bytes)));
}

namespace {

Result<pool::HostView> FindHost(const pool::Memory& memory, const std::string& text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  std::optional<pool::HostView> found;
  for (const pool::HostView& host : pool::ListAllHosts(memory)) {
    const bool same =
        is_number ? host.host == number : host.name == text || pool::UuidText(host.id) == text;
    if (!same) continue;
    if (found)
      return InvalidArgumentError("several hosts are called \"" + text + "\": use the number");
    found = host;
  }
  if (!found) {
    return NotFoundError("no host \"" + text + "\" in " + memory.name() +
                         "; daxfsctl pool info shows them");
  }
  return *found;
}

}  // namespace

Status FencePool(const PoolCommand& command, Context& context) {
  ASSIGN_OR_RETURN(std::unique_ptr<pool::Memory> memory,
                   OpenPool(command.pool, os::Access::kWrite));
  ASSIGN_OR_RETURN(const pool::HostIdentity self, pool::ThisHost());
  ASSIGN_OR_RETURN(const pool::HostView host, FindHost(*memory, command.host));
  if (!command.powered_off) {
    return InvalidArgumentError(
        "fence states a fact: that host " + command.host +
        " can no longer reach this memory. If it still can, objects vanish under its readers, and "
        "what it is building is written into other objects. Switch it off, or take the memory from "
        "it, and say --powered-off");
  }
  if (os::IsTerminal(STDERR_FILENO)) {
    context.log.Info("looking whether its heart stands still", {{"host", host.name}});
  }
  const bool partitioned = memory->partition_count() > 1;
  RETURN_IF_ERROR(pool::FenceTheStill(std::move(memory), self, "daxfsctl", host));
  if (command.json) {
    return context.out(
        JsonLine({{"ok", true}, {"host", host.host}, {"id", pool::UuidText(host.id)}}));
  }
  return context.out(fmt::format("host {}, {} \"{}\", is off: {}\n", host.host,
                                 pool::UuidText(host.id), PrintableName(host.name),
                                 partitioned
                                     ? "what it used and held of others' no longer counts; its own "
                                       "objects stay for all to read"
                                     : "everything it had is free"));
}

namespace {

struct Checked {
  std::vector<pool::Finding> findings;
  std::uint32_t stale = 0;  // alias rows of what is gone: whoever needs room takes them
};

Checked CheckAll(const pool::Memory& memory) {
  Checked all;
  for (std::uint32_t i = 0; i < memory.partition_count(); ++i) {
    const pool::Memory partition = memory.At(i);
    partition.ReadAnew();
    for (pool::Finding& finding : pool::Check(partition, nullptr)) {
      if (memory.partition_count() > 1) {
        finding.what = fmt::format("partition {}: {}", i, finding.what);
      }
      all.findings.push_back(std::move(finding));
    }
    all.stale += pool::Usage(partition).aliases_stale;
  }
  return all;
}

}  // namespace

Status CheckPool(const PoolCommand& command, Context& context) {
  Checked checked;
  if (command.repair) {
    ASSIGN_OR_RETURN(const std::unique_ptr<pool::Participant> participant, Join(command));
    checked.findings = pool::Check(participant->memory(), participant.get());
  } else {
    ASSIGN_OR_RETURN(const std::unique_ptr<pool::Memory> memory, OpenPool(command.pool));
    checked = CheckAll(*memory);
  }
  std::size_t left = 0;
  for (const pool::Finding& finding : checked.findings) {
    left += finding.repaired ? 0U : 1U;
    const char* severity = finding.severity == pool::Severity::kDamage ? "damage" : "leftover";
    RETURN_IF_ERROR(context.out(
        command.json
            ? JsonLine(
                  {{"severity", severity}, {"what", finding.what}, {"repaired", finding.repaired}})
            : fmt::format("{}: {}{}\n", severity, PrintableName(finding.what),
                          finding.repaired ? ": repaired" : "")));
  }
  context.differ = left > 0;
  if (command.json) {
    return context.out(JsonLine({{"ok", left == 0},
                                 {"findings", checked.findings.size()},
                                 {"left", left},
                                 {"stale", checked.stale}}));
  }
  if (checked.stale > 0) {
    context.log.Info("nothing is wrong with rows of aliases for what is gone; --repair frees them",
                     {{"rows", checked.stale}});
  }
  if (checked.findings.empty()) return context.out("clean\n");
  return context.out(fmt::format("{} found, {} left\n", checked.findings.size(), left));
}

namespace {

// Another host has taken the name over, or away: what it held on behalf of this one is left.
Status DropWithoutName(pool::Participant& participant, const std::string& name, bool json,
                       Context& context) {
  if (participant.DropHolds(pool::HoldKind::kAdmin, name) == 0) {
    return pool::FindAny(participant, name).status();
  }
  return context.out(json ? JsonLine({{"ok", true}, {"object", name}, {"freed", false}})
                          : PrintableName(name) + ": no longer held by this host\n");
}

Status RemoveOne(pool::Participant& participant, const std::string& text, bool json,
                 Context& context) {
  const bool digest = text.starts_with("sha256:");
  pool::Ref ref;
  std::optional<std::size_t> layers;
  {
    const Result<pool::Use> use = pool::FindAny(participant, text);
    if (!use.ok() && use.status().code() == StatusCode::kNotFound && !digest) {
      return DropWithoutName(participant, text, json, context);
    }
    if (!use.ok()) return use.status();
    ref = use->ref();
    // A record that is damaged can be removed too.
    const Result<std::optional<Record>> record = ReadRecord(participant, ref);
    if (!digest && record.ok() && *record) layers = (*record)->size();
  }
  if (!digest) {
    RETURN_IF_ERROR(participant.RemoveName(text));
    participant.DropHolds(pool::HoldKind::kAdmin, text);
  }
  const Status gone = participant.CollectOne(ref);
  if (!gone.ok() && digest) return gone.WithContext(text);
  if (json) {
    Json line = {{"ok", true}, {"object", text}, {"freed", gone.ok()}};
    if (layers) line["layers"] = *layers;
    return context.out(JsonLine(line));
  }
  std::string how = gone.ok() ? "freed" : "no longer named; others use or hold it";
  if (layers) {
    how += fmt::format(
        "; {} of it, no longer held here: what nobody else uses or holds goes with "
        "the next daxfsctl pool gc",
        Counted(*layers, "layer"));
  }
  return context.out(fmt::format("{}: {}\n", PrintableName(text), how));
}

}  // namespace

Status RemoveFromPool(const PoolCommand& command, Context& context) {
  ASSIGN_OR_RETURN(const std::unique_ptr<pool::Participant> participant, Join(command));
  for (const std::string& text : command.objects) {
    RETURN_IF_ERROR(RemoveOne(*participant, text, command.json, context));
  }
  return Status::Ok();
}

namespace {

Result<convert::ImageSummary> FillFrom(const std::string& source, pool::Building& building,
                                       Context& context) {
  convert::PoolSink sink(building);
  convert::BuildOptions options;
  options.profile = convert::Profile::kArchive;
  convert::ImageBuilder image(sink, options);
  class Watch final : public convert::Monitor {
   public:
    explicit Watch(os::Progress& progress) : progress_(progress) {}
    Status Advance(std::uint64_t source_bytes, std::uint64_t entries) override {
      return progress_.Advance(source_bytes, entries);
    }

   private:
    os::Progress& progress_;
  } watch(context.progress);
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(source, error);
  if (error) return Status::FromErrno(error.value(), source);
  context.progress.Begin(source, 0);
  if (std::filesystem::is_directory(real, error)) {
    RETURN_IF_ERROR(convert::AddDirectory(image, real, watch));
  } else {
    RETURN_IF_ERROR(convert::AddFile(image, real.parent_path(), real.filename(), watch));
  }
  ASSIGN_OR_RETURN(convert::ImageSummary summary, image.Finish());
  context.progress.End();
  return summary;
}

}  // namespace

Status PutIntoPool(const PoolCommand& command, Context& context) {
  RETURN_IF_ERROR(pool::CheckName(command.name));
  ASSIGN_OR_RETURN(const std::unique_ptr<pool::Participant> participant, Join(command));
  ASSIGN_OR_RETURN(const std::unique_ptr<pool::Building> building,
                   participant->Begin(pool::ObjectKind::kImage));
  ASSIGN_OR_RETURN(const convert::ImageSummary summary,
                   FillFrom(command.source, *building, context));
  ASSIGN_OR_RETURN(const pool::Building::Published published,
                   building->Publish(summary.root.bytes));
  RETURN_IF_ERROR(participant->NameAndHold(published.use, command.name));
  participant->DropParts(pool::HoldKind::kAdmin, command.name, 0);
  const char* how = published.existed ? "found" : "built";
  if (command.json) {
    return context.out(JsonLine({{"ok", true},
                                 {"name", command.name},
                                 {"digest", summary.root.ToString()},
                                 {"size_bytes", summary.image_bytes},
                                 {"how", how}}));
  }
  return context.out(fmt::format("{}  {}  {}  {}\n", PrintableName(command.name),
                                 summary.root.ToString(), base::HumanSize(summary.image_bytes),
                                 published.existed ? "was there" : "placed"));
}

namespace {

// The file that `put` made an image of: its root is no directory that somebody had.
Result<std::optional<format::Inode>> OnlyFile(const format::Image& image) {
  constexpr std::uint32_t kTypeMask = 0170000;
  constexpr std::uint32_t kTypeFile = 0100000;
  ASSIGN_OR_RETURN(const format::Inode root, image.Root());
  if (root.entries != 1 || !root.implicit) return std::optional<format::Inode>();
  ASSIGN_OR_RETURN(const format::DirectoryEntry entry, image.Entry(root, 0));
  ASSIGN_OR_RETURN(const format::Inode file, image.Child(root, entry));
  if ((file.mode & kTypeMask) != kTypeFile) return std::optional<format::Inode>();
  return std::optional(file);
}

}  // namespace

Status GetFromPool(const PoolCommand& command, Context& context) {
  const std::string text = "pool:" + command.pool + ":" + command.objects.front();
  ASSIGN_OR_RETURN(const OpenedImage image,
                   OpenedImage::OpenInPool(command.pool, command.objects.front()));
  ASSIGN_OR_RETURN(const std::optional<format::Inode> file, OnlyFile(*image));
  context.progress.Begin(command.objects.front(), file ? file->size_bytes : 0);
  if (!file) {
    if (command.output == "-") {
      return InvalidArgumentError(text + ": is a directory; say with -o where it goes");
    }
    RETURN_IF_ERROR(ExtractToDirectory(*image, command.output, context));
  } else {
    RETURN_IF_ERROR(WriteOutput(command.output, context,
                                [&](const Output& out) { return CopyFile(*image, *file, out); }));
  }
  context.progress.End();
  return Status::Ok();
}

}  // namespace daxfs::tools
