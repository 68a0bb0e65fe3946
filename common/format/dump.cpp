// SPDX-License-Identifier: Apache-2.0
#include "common/format/dump.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "common/base/hex.hpp"
#include "common/format/content.hpp"
#include "common/format/dump_text.hpp"
#include "common/format/walk.hpp"

namespace daxfs::format {
namespace {

constexpr std::uint32_t kTypeMask = 0170000;
constexpr std::size_t kBuffer = 65536;

class Dumper {
 public:
  Dumper(const Image& image, const TextSink& out, const Advance& advance)
      : image_(image), out_(out), advance_(advance) {}

  Status Run();

 private:
  void AddHeader();
  Status AddEntry(const WalkEntry& entry);
  Status AddDetails(const Inode& inode);
  Status AddXattrs(const Inode& inode);
  Status AddFile(const Inode& inode);
  Status Flush(std::size_t most_kept);

  const Image& image_;
  const TextSink& out_;
  const Advance& advance_;
  std::string text_;
};

void Dumper::AddHeader() {
  const ImageInfo info = image_.Info();
  const auto yes = [](bool value) { return value ? "yes" : "no"; };
  text_ += fmt::format("{}\n", kDumpHeader);
  text_ += fmt::format("option profile {}\n", info.profile);
  text_ += fmt::format("option huge_min_bytes {}\n", info.huge_min_bytes);
  text_ += fmt::format("option data_align_bytes {}\n", info.data_align_bytes);
  text_ += fmt::format("option flattened {}\n", yes(info.flattened));
  text_ += fmt::format("option user_xattr {}\n", yes(info.user_xattr));
  text_ += fmt::format("option source {}\n", FormatDumpSource(info.source));
  text_ += fmt::format("image root sha256:{}\n", base::ToHex(info.root));
  text_ += fmt::format("image image_bytes {}\n", info.image_bytes);
  text_ += fmt::format("image data_bytes {}\n", info.data_bytes);
  text_ += fmt::format("image waste_bytes {}\n", info.waste_bytes);
  text_ += fmt::format("image inodes {}\n", info.inodes);
}

std::string_view TypeWord(std::uint32_t mode) {
  switch (mode & kTypeMask) {
    case 0040000:
      return "directory";
    case 0100000:
      return "file";
    case 0120000:
      return "symlink";
    case 0020000:
      return "character";
    case 0060000:
      return "block";
    case 0010000:
      return "fifo";
    default:  // core lets no other type pass
      return "socket";
  }
}

Status Dumper::AddEntry(const WalkEntry& entry) {
  text_ += EscapeBytes(entry.path);
  if (entry.hard_link) {
    text_ += " hardlink target=" + EscapeBytes(entry.first_path) + "\n";
    return Status::Ok();
  }
  const Inode& inode = entry.inode;
  text_ += fmt::format(" {} mode={:04o} uid={} gid={} mtime={}", TypeWord(inode.mode),
                       inode.mode & 07777U, inode.uid, inode.gid,
                       FormatDumpTime({inode.mtime_seconds, inode.mtime_nanoseconds}));
  RETURN_IF_ERROR(AddDetails(inode));
  RETURN_IF_ERROR(AddXattrs(inode));
  if (TypeWord(inode.mode) != "file") return Status::Ok();
  return ForEachExtent(image_, inode, [this](const FileExtent& extent) {
    text_ += fmt::format("  extent logical={} offset={} length={}\n", extent.logical, extent.offset,
                         extent.length);
    return Flush(kBuffer);
  });
}

// The rest of the inode's own line.
Status Dumper::AddDetails(const Inode& inode) {
  const std::string_view type = TypeWord(inode.mode);
  if (type == "file") RETURN_IF_ERROR(AddFile(inode));
  if (type == "symlink") {
    ASSIGN_OR_RETURN(const std::string_view target, image_.SymlinkTarget(inode));
    text_ += " target=" + EscapeBytes(target);
  }
  if (type == "character" || type == "block") {
    text_ += fmt::format(" device={}:{}", inode.device_major, inode.device_minor);
  }
  if (type == "directory" && inode.implicit) text_ += " implicit";
  text_ += "\n";
  return Status::Ok();
}

Status Dumper::AddFile(const Inode& inode) {
  RETURN_IF_ERROR(image_.Check(inode));
  ASSIGN_OR_RETURN(const ContentDigest digest, DigestOfContent(image_, inode, advance_));
  text_ += fmt::format(" size={} sha256={}{}", inode.size_bytes, base::ToHex(digest),
                       inode.huge ? " huge" : "");
  return Status::Ok();
}

Status Dumper::AddXattrs(const Inode& inode) {
  ASSIGN_OR_RETURN(const std::vector<XattrEntry> xattrs, image_.Xattrs(inode));
  for (const XattrEntry& xattr : xattrs) {
    text_ += fmt::format("  xattr {}={}\n", EscapeBytes(xattr.name, "="), EscapeBytes(xattr.value));
    RETURN_IF_ERROR(Flush(kBuffer));
  }
  return Status::Ok();
}

Status Dumper::Flush(std::size_t most_kept) {
  if (text_.size() <= most_kept) return Status::Ok();
  RETURN_IF_ERROR(out_(text_));
  text_.clear();
  return Status::Ok();
}

Status Dumper::Run() {
  AddHeader();
  TreeWalk walk(image_);
  for (WalkEntry entry;;) {
    ASSIGN_OR_RETURN(const bool more, walk.Next(&entry));
    if (!more) break;
    RETURN_IF_ERROR(AddEntry(entry).WithContext(EscapeBytes(entry.path)));
    RETURN_IF_ERROR(Flush(kBuffer));
    RETURN_IF_ERROR(Tell(advance_, 0, 1));
  }
  text_ += fmt::format("{}\n", kDumpEnd);
  return Flush(0);
}

}  // namespace

Status Dump(const Image& image, const TextSink& out, const Advance& advance) {
  return Dumper(image, out, advance).Run();
}

}  // namespace daxfs::format
