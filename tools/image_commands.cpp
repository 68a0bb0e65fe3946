// SPDX-License-Identifier: Apache-2.0
#include "tools/image_commands.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "common/base/hex.hpp"
#include "common/base/units.hpp"
#include "common/format/dump.hpp"
#include "common/format/image.hpp"
#include "common/os/file_io.hpp"
#include "common/pool/digest.hpp"
#include "tools/diff.hpp"
#include "tools/extract.hpp"
#include "tools/open_pool.hpp"
#include "tools/text.hpp"

namespace daxfs::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint32_t kTypeMask = 0170000;
constexpr std::uint32_t kTypeFile = 0100000;
constexpr std::uint32_t kTypeDirectory = 0040000;
constexpr std::uint32_t kTypeSymlink = 0120000;
constexpr std::uint32_t kTypeCharacter = 0020000;
constexpr std::uint32_t kTypeBlock = 0060000;

bool IsType(const format::Inode& inode, std::uint32_t type) {
  return (inode.mode & kTypeMask) == type;
}

bool IsDevice(const format::Inode& inode) {
  return IsType(inode, kTypeCharacter) || IsType(inode, kTypeBlock);
}

Result<format::Inode> Lookup(const format::Image& image, const ImageCommand& command,
                             const std::string& path) {
  return image.Lookup(path).WithContext(command.image + ": " + PrintableName(path));
}

Json InfoJson(const std::string& path, const format::ImageInfo& info) {
  Json json;
  json["path"] = path;
  json["version"] = info.version;
  json["uuid"] = pool::UuidText(info.uuid);
  json["root"] = "sha256:" + base::ToHex(info.root);
  json["profile"] = info.profile;
  json["flattened"] = info.flattened;
  json["source"] = nullptr;
  if (info.source) {
    json["source"] = {{"digest", pool::DigestText(info.source->digest)},
                      {"size_bytes", info.source->size_bytes}};
  }
  json["image_bytes"] = info.image_bytes;
  json["data_bytes"] = info.data_bytes;
  json["waste_bytes"] = info.waste_bytes;
  json["metadata_bytes"] = info.metadata_bytes;
  json["huge_min_bytes"] = info.huge_min_bytes;
  json["data_align_bytes"] = info.data_align_bytes;
  json["inodes"] = info.inodes;
  for (const format::SectionInfo& section : info.sections) {
    json["sections"].push_back({{"name", section.name},
                                {"offset", section.offset},
                                {"size_bytes", section.size_bytes},
                                {"count", section.count}});
  }
  return json;
}

std::string InfoText(const std::string& path, const format::ImageInfo& info) {
  const auto size = [](std::uint64_t bytes) {
    return fmt::format("{} ({} bytes)", base::HumanSize(bytes), bytes);
  };
  std::string text = fmt::format("image       {}\n", path);
  text += fmt::format("format      version {}, profile {}{}\n", info.version, info.profile,
                      info.flattened ? ", flattened" : "");
  text += fmt::format("uuid        {}\n", pool::UuidText(info.uuid));
  text += fmt::format("root        sha256:{}\n", base::ToHex(info.root));
  if (info.source) {
    text += fmt::format("made of     tar {}, {}\n", pool::DigestText(info.source->digest),
                        base::HumanSize(info.source->size_bytes));
  }
  text += fmt::format("size        {}\n", size(info.image_bytes));
  text += fmt::format("data        {}, of them waste {}\n", size(info.data_bytes),
                      size(info.waste_bytes));
  text += fmt::format("metadata    {}\n", size(info.metadata_bytes));
  text += fmt::format("inodes      {}\n", info.inodes);
  text += fmt::format("huge from   {}\n",
                      info.huge_min_bytes == 0 ? "never" : base::FormatSize(info.huge_min_bytes));
  text += fmt::format("alignment   {}\n", base::FormatSize(info.data_align_bytes));
  for (const format::SectionInfo& section : info.sections) {
    text += fmt::format("section     {:<10} at {:>12}  {:>12} bytes  {:>10} records\n",
                        section.name, section.offset, section.size_bytes, section.count);
  }
  return text;
}

Result<Json> InodeJson(const format::Image& image, const std::string& path,
                       const format::Inode& inode) {
  Json json;
  json["path"] = path;
  json["type"] = TypeText(inode.mode);
  json["inode"] = inode.number;
  json["mode"] = fmt::format("{:04o}", inode.mode & 07777U);
  json["uid"] = inode.uid;
  json["gid"] = inode.gid;
  json["links"] = inode.link_count;
  json["size_bytes"] = inode.size_bytes;
  json["mtime"] = TimeText(inode.mtime_seconds, inode.mtime_nanoseconds);
  if (IsDevice(inode)) json["device"] = {inode.device_major, inode.device_minor};
  if (inode.huge) json["huge"] = true;
  if (inode.implicit) json["implicit"] = true;
  if (IsType(inode, kTypeSymlink)) {
    ASSIGN_OR_RETURN(const std::string_view target, image.SymlinkTarget(inode));
    json["target"] = target;
  }
  return json;
}

Result<std::string> ListLine(const format::Image& image, const std::string& path,
                             const format::Inode& inode) {
  const std::string size = IsDevice(inode)
                               ? fmt::format("{}, {}", inode.device_major, inode.device_minor)
                               : std::to_string(inode.size_bytes);
  std::string line = fmt::format(
      "{} {:>3} {:>5} {:>5} {:>11} {} {}", ModeText(inode.mode), inode.link_count, inode.uid,
      inode.gid, size, TimeText(inode.mtime_seconds, inode.mtime_nanoseconds), PrintableName(path));
  if (IsType(inode, kTypeSymlink)) {
    ASSIGN_OR_RETURN(const std::string_view target, image.SymlinkTarget(inode));
    line += " -> " + PrintableName(target);
  }
  return line + "\n";
}

Status PrintEntry(const format::Image& image, const std::string& path, const format::Inode& inode,
                  bool json, const Output& out) {
  if (json) {
    ASSIGN_OR_RETURN(const Json object, InodeJson(image, path, inode));
    return out(JsonLine(object));
  }
  ASSIGN_OR_RETURN(const std::string line, ListLine(image, path, inode));
  return out(line);
}

// Value as text where it is printable ASCII, otherwise in hexadecimal.
std::string ValueText(std::string_view value) {
  for (const char c : value) {
    if (c < 0x20 || c == 0x7f)
      return fmt::format("0x{}", base::ToHex(std::as_bytes(std::span(value))));
  }
  return fmt::format("\"{}\"", value);
}

Result<std::vector<format::DataRun>> RunsOf(const format::Image& image,
                                            const format::Inode& inode) {
  std::vector<format::DataRun> runs;
  for (std::uint64_t at = 0; IsType(inode, kTypeFile) && at < inode.size_bytes;) {
    ASSIGN_OR_RETURN(const format::DataRun run, image.RunAt(inode, at));
    runs.push_back(run);
    at += run.length;
  }
  return runs;
}

Status PrintStatText(const format::Image& image, const std::string& path,
                     const format::Inode& inode, const Output& out) {
  ASSIGN_OR_RETURN(const std::vector<format::XattrEntry> xattrs, image.Xattrs(inode));
  ASSIGN_OR_RETURN(const std::vector<format::DataRun> runs, RunsOf(image, inode));
  std::string text = fmt::format("path     {}\n", PrintableName(path));
  text += fmt::format("type     {}{}{}\n", TypeText(inode.mode), inode.huge ? ", huge" : "",
                      inode.implicit ? ", implicit" : "");
  text += fmt::format("inode    {}\nlinks    {}\n", inode.number, inode.link_count);
  text += fmt::format("mode     {:04o} {}\n", inode.mode & 07777U, ModeText(inode.mode));
  text += fmt::format("owner    {}:{}\n", inode.uid, inode.gid);
  text += fmt::format("mtime    {}\n", TimeText(inode.mtime_seconds, inode.mtime_nanoseconds));
  text += fmt::format("size     {}\n", inode.size_bytes);
  if (IsDevice(inode))
    text += fmt::format("device   {}:{}\n", inode.device_major, inode.device_minor);
  if (IsType(inode, kTypeDirectory)) text += fmt::format("entries  {}\n", inode.entries);
  if (IsType(inode, kTypeSymlink)) {
    ASSIGN_OR_RETURN(const std::string_view target, image.SymlinkTarget(inode));
    text += fmt::format("target   {}\n", PrintableName(target));
  }
  for (const format::DataRun& run : runs) {
    text += run.hole ? fmt::format("hole     {} bytes\n", run.length)
                     : fmt::format("data     {} bytes at {:#x}\n", run.length, run.image_offset);
  }
  for (const format::XattrEntry& xattr : xattrs) {
    text += fmt::format("xattr    {}={}\n", PrintableName(xattr.name), ValueText(xattr.value));
  }
  return out(text);
}

Status PrintStatJson(const format::Image& image, const std::string& path,
                     const format::Inode& inode, const Output& out) {
  ASSIGN_OR_RETURN(Json json, InodeJson(image, path, inode));
  ASSIGN_OR_RETURN(const std::vector<format::XattrEntry> xattrs, image.Xattrs(inode));
  ASSIGN_OR_RETURN(const std::vector<format::DataRun> runs, RunsOf(image, inode));
  if (IsType(inode, kTypeDirectory)) json["entries"] = inode.entries;
  json["data"] = Json::array();
  std::uint64_t logical = 0;
  for (const format::DataRun& run : runs) {
    if (!run.hole) {
      json["data"].push_back(
          {{"logical", logical}, {"image_offset", run.image_offset}, {"length", run.length}});
    }
    logical += run.length;
  }
  json["xattrs"] = Json::object();
  for (const format::XattrEntry& xattr : xattrs) {
    json["xattrs"][std::string(xattr.name)] = base::ToHex(std::as_bytes(std::span(xattr.value)));
  }
  return out(JsonLine(json));
}

std::string_view LevelName(format::VerifyLevel level) {
  switch (level) {
    case format::VerifyLevel::kNone:
      return "none";
    case format::VerifyLevel::kMeta:
      return "meta";
    case format::VerifyLevel::kFull:
      return "full";
  }
  return "unknown";
}

std::string VerifiedText(const ImageCommand& command, const format::VerifySummary& summary) {
  if (command.level == format::VerifyLevel::kNone) {
    return fmt::format("{}: ok as far as the superblock goes, nothing else was read\n",
                       command.image);
  }
  const std::string names =
      fmt::format("{}: ok, {}, {}", command.image, Counted(summary.inodes, "inode"),
                  Counted(summary.directory_entries, "name"));
  if (command.level == format::VerifyLevel::kMeta) return names + "; data was not read\n";
  return names + fmt::format(", {} over {}\n", Counted(summary.data_pieces, "data digest"),
                             base::HumanSize(summary.data_bytes));
}

Status VerifyOpened(const ImageCommand& command, Context& context) {
  ASSIGN_OR_RETURN(const OpenedImage opened_image, OpenedImage::Open(command.image));
  const format::Image& image = *opened_image;
  const bool full = command.level == format::VerifyLevel::kFull;
  context.progress.Begin(command.image, full ? image.Info().data_bytes : 0);
  ASSIGN_OR_RETURN(
      const format::VerifySummary summary,
      format::Verify(image, command.level, context.Watch()).WithContext(command.image));
  context.progress.End();
  if (!command.json) {
    return context.out(VerifiedText(command, summary));
  }
  Json json;
  json["ok"] = true;
  json["path"] = command.image;
  json["level"] = LevelName(command.level);
  json["root"] = "sha256:" + base::ToHex(image.Info().root);
  json["inodes"] = summary.inodes;
  json["directory_entries"] = summary.directory_entries;
  json["data_pieces"] = summary.data_pieces;
  json["data_bytes"] = summary.data_bytes;
  return context.out(JsonLine(json));
}

}  // namespace

Status CopyFile(const format::Image& image, const format::Inode& inode, const Output& out) {
  static const std::string kZeros(65536, '\0');
  for (std::uint64_t at = 0; at < inode.size_bytes;) {
    ASSIGN_OR_RETURN(format::DataRun run, image.RunAt(inode, at));
    if (run.hole) run.length = std::min<std::uint64_t>(run.length, kZeros.size());
    const char* bytes = run.hole ? kZeros.data() : reinterpret_cast<const char*>(run.bytes.data());
    RETURN_IF_ERROR(out({bytes, run.length}));
    at += run.length;
  }
  return Status::Ok();
}

Status ShowInfo(const ImageCommand& command, Context& context) {
  ASSIGN_OR_RETURN(const OpenedImage opened_image, OpenedImage::Open(command.image));
  const format::Image& image = *opened_image;
  const format::ImageInfo info = image.Info();
  return context.out(command.json ? JsonLine(InfoJson(command.image, info))
                                  : InfoText(command.image, info));
}

Status ListDirectory(const ImageCommand& command, Context& context) {
  const Output& out = context.out;
  ASSIGN_OR_RETURN(const OpenedImage opened_image, OpenedImage::Open(command.image));
  const format::Image& image = *opened_image;
  ASSIGN_OR_RETURN(const format::Inode start, Lookup(image, command, command.path));
  std::string base = command.path;
  while (!base.empty() && base.back() == '/') base.pop_back();
  if (!IsType(start, kTypeDirectory)) return PrintEntry(image, base, start, command.json, out);
  // No two directories share an entry, or a damaged image could make a list without an end.
  std::uint64_t entries_left = image.Info().sections[1].count;
  std::vector<std::pair<std::string, format::Inode>> open = {{base, start}};
  while (!open.empty()) {
    const auto [path, directory] = std::move(open.back());
    open.pop_back();
    if (directory.entries > entries_left) {
      return DataLossError(command.image + ": " + PrintableName(path) +
                           ": directories that share entries");
    }
    entries_left -= directory.entries;
    for (std::uint64_t i = 0; i < directory.entries; ++i) {
      ASSIGN_OR_RETURN(const format::DirectoryEntry entry, image.Entry(directory, i));
      // Through the name, as a kernel does: that checks that the entry and its inode fit.
      ASSIGN_OR_RETURN(const format::Inode child, image.Find(directory, entry.name));
      const std::string full = path + "/" + std::string(entry.name);
      RETURN_IF_ERROR(PrintEntry(image, full, child, command.json, out));
      if (command.recursive && IsType(child, kTypeDirectory)) open.emplace_back(full, child);
    }
  }
  return Status::Ok();
}

Status ShowStat(const ImageCommand& command, Context& context) {
  ASSIGN_OR_RETURN(const OpenedImage opened_image, OpenedImage::Open(command.image));
  const format::Image& image = *opened_image;
  for (const std::string& path : command.paths) {
    ASSIGN_OR_RETURN(const format::Inode inode, Lookup(image, command, path));
    if (!command.json && &path != &command.paths.front()) RETURN_IF_ERROR(context.out("\n"));
    RETURN_IF_ERROR(command.json ? PrintStatJson(image, path, inode, context.out)
                                 : PrintStatText(image, path, inode, context.out));
  }
  return Status::Ok();
}

Status CopyContent(const ImageCommand& command, Context& context) {
  ASSIGN_OR_RETURN(const OpenedImage opened_image, OpenedImage::Open(command.image));
  const format::Image& image = *opened_image;
  for (const std::string& path : command.paths) {
    ASSIGN_OR_RETURN(const format::Inode inode, Lookup(image, command, path));
    if (!IsType(inode, kTypeFile)) {
      return InvalidArgumentError(command.image + ": " + PrintableName(path) + ": is a " +
                                  std::string(TypeText(inode.mode)) + ", not a file");
    }
    RETURN_IF_ERROR(CopyFile(image, inode, context.out));
  }
  return Status::Ok();
}

Status VerifyImage(const ImageCommand& command, Context& context) {
  Status status = VerifyOpened(command, context);
  if (status.ok() || !command.json) return status;
  Json json;
  json["ok"] = false;
  json["path"] = command.image;
  json["code"] = StatusCodeName(status.code());
  json["error"] = status.message();
  RETURN_IF_ERROR(context.out(JsonLine(json)));
  return status;
}

// The output is renamed over what has its name: that must not be the image it is made of.
Status CheckOther(const std::string& output, const std::string& image) {
  if (output == "-" || !os::IsSameFile(output, image)) return Status::Ok();
  return InvalidArgumentError(output + ": is the image itself");
}

Status DumpImage(const ImageCommand& command, Context& context) {
  RETURN_IF_ERROR(CheckOther(command.output, command.image));
  ASSIGN_OR_RETURN(const OpenedImage opened_image, OpenedImage::Open(command.image));
  const format::Image& image = *opened_image;
  context.progress.Begin(command.image, 0);
  RETURN_IF_ERROR(WriteOutput(command.output, context, [&](const Output& out) {
    return format::Dump(image, out, context.Watch()).WithContext(command.image);
  }));
  context.progress.End();
  return Status::Ok();
}

Status ExtractImage(const ImageCommand& command, Context& context) {
  const bool tar = command.output.starts_with("tar:");
  const std::string target = command.output.substr(std::min<std::size_t>(4, command.output.size()));
  ASSIGN_OR_RETURN(const OpenedImage opened_image, OpenedImage::Open(command.image));
  const format::Image& image = *opened_image;
  context.progress.Begin(command.image, 0);
  if (!tar && command.skip_sockets) {
    return InvalidArgumentError("--skip-sockets is for tar: only; a directory can hold them");
  }
  if (!tar) {
    RETURN_IF_ERROR(ExtractToDirectory(image, target, context).WithContext(command.image));
  } else {
    RETURN_IF_ERROR(CheckOther(target, command.image));
    RETURN_IF_ERROR(WriteOutput(target, context, [&](const Output& out) {
      return ExtractToTar(image, command.skip_sockets, out, context).WithContext(command.image);
    }));
  }
  context.progress.End();
  return Status::Ok();
}

Status DiffImage(const ImageCommand& command, Context& context) {
  ASSIGN_OR_RETURN(const OpenedImage opened_a, OpenedImage::Open(command.image));
  const format::Image& a = *opened_a;
  ASSIGN_OR_RETURN(const OpenedImage opened_b, OpenedImage::Open(command.other));
  const format::Image& b = *opened_b;
  context.progress.Begin(command.image + " " + command.other, 0);
  const auto report = [&](const Difference& found) {
    const bool only = found.field.starts_with("only-in-");
    if (!command.json) {
      return context.out(
          only ? fmt::format("{}: {}\n", found.path, found.field)
               : fmt::format("{}: {}: {} -> {}\n", found.path, found.field, found.a, found.b));
    }
    Json json;
    json["path"] = found.path;
    json["field"] = found.field;
    if (!only) json["a"] = found.a;
    if (!only) json["b"] = found.b;
    return context.out(JsonLine(json));
  };
  ASSIGN_OR_RETURN(const std::uint64_t count,
                   DiffImages(a, b, {command.layout}, report, context.Watch()));
  context.progress.End();
  context.differ = count > 0;
  if (command.json) return context.out(JsonLine({{"same", count == 0}, {"differences", count}}));
  if (count > 0) context.log.Info("the images differ", {{"differences", count}});
  return Status::Ok();
}

}  // namespace daxfs::tools
