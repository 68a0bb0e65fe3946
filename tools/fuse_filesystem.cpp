// SPDX-License-Identifier: Apache-2.0
#include "tools/fuse_filesystem.hpp"

#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace daxfs::tools {
namespace {

constexpr std::size_t kZeroBytes = std::size_t{1} << 20U;  // the most one read asks for
constexpr unsigned kNotedMax = 1000;                       // lines in the log
constexpr std::uint64_t kBlock = 4096;
constexpr std::uint64_t kNameMax = 255;
constexpr std::uint64_t kDots = 2;  // "." and ".."

struct stat ToStat(const format::Inode& inode) {
  struct stat out {};
  out.st_ino = inode.number;
  out.st_mode = inode.mode;
  out.st_nlink = inode.link_count;
  out.st_uid = inode.uid;
  out.st_gid = inode.gid;
  out.st_rdev = makedev(inode.device_major, inode.device_minor);
  out.st_size = static_cast<off_t>(inode.size_bytes);
  out.st_blocks = static_cast<blkcnt_t>(inode.allocated_bytes / 512);
  out.st_blksize = kBlock;
  out.st_mtim = {inode.mtime_seconds, static_cast<long>(inode.mtime_nanoseconds)};
  out.st_atim = out.st_mtim;
  out.st_ctim = out.st_mtim;
  return out;
}

struct iovec Piece(std::span<const std::byte> bytes) {
  // FUSE only reads it; iovec has no const.
  return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> Zeros(std::uint64_t length) {
  static constexpr std::array<std::byte, kZeroBytes> kZeros{};
  return std::span(kZeros).first(std::min<std::uint64_t>(length, kZeroBytes));
}

}  // namespace

FuseFilesystem::FuseFilesystem(const format::Image& image, base::Logger& log)
    : image_(image), log_(log), checked_(image_.Info().inodes) {}

Status FuseFilesystem::Note(std::uint64_t number, Status status) {
  if (status.code() != StatusCode::kDataLoss) return status;
  const unsigned noted = noted_.fetch_add(1, std::memory_order_relaxed);
  if (noted < kNotedMax) {
    log_.Error("the image is damaged", {{"inode", number}, {"err", status.message()}});
  }
  return status;
}

Result<format::Inode> FuseFilesystem::Get(std::uint64_t number) {
  Result<format::Inode> inode = image_.InodeAt(number);
  if (!inode.ok()) return Note(number, inode.status());
  return inode;
}

Status FuseFilesystem::CheckOnce(const format::Inode& inode) {
  std::atomic<bool>& checked = checked_[inode.number - 1];
  if (checked.load(std::memory_order_acquire)) return Status::Ok();
  Status status = S_ISLNK(inode.mode) ? image_.SymlinkTarget(inode).status() : image_.Check(inode);
  if (!status.ok()) return Note(inode.number, std::move(status));
  checked.store(true, std::memory_order_release);
  return status;
}

Result<struct stat> FuseFilesystem::GetAttributes(std::uint64_t number) {
  ASSIGN_OR_RETURN(const format::Inode inode, Get(number));
  return ToStat(inode);
}

Result<struct stat> FuseFilesystem::Lookup(std::uint64_t directory, std::string_view name) {
  ASSIGN_OR_RETURN(const format::Inode inode, Get(directory));
  RETURN_IF_ERROR(CheckOnce(inode));
  Result<format::Inode> child = image_.Find(inode, name);
  if (!child.ok()) return Note(directory, child.status());
  // A directory is checked when something is looked for in it.
  if (!S_ISDIR(child->mode)) RETURN_IF_ERROR(CheckOnce(*child));
  return ToStat(*child);
}

Status FuseFilesystem::Open(std::uint64_t number) {
  ASSIGN_OR_RETURN(const format::Inode inode, Get(number));
  if (!S_ISREG(inode.mode)) return InvalidArgumentError("not a regular file");
  return CheckOnce(inode);
}

Status FuseFilesystem::OpenDirectory(std::uint64_t number) {
  ASSIGN_OR_RETURN(const format::Inode inode, Get(number));
  if (!S_ISDIR(inode.mode)) return Status::FromErrno(ENOTDIR, "open");
  return CheckOnce(inode);
}

Result<FuseFilesystem::Entry> FuseFilesystem::EntryAt(std::uint64_t directory, std::uint64_t offset,
                                                      bool whole) {
  ASSIGN_OR_RETURN(const format::Inode inode, Get(directory));
  Entry entry;
  entry.next = offset + 1;
  if (offset < kDots) {
    entry.name = offset == 0 ? "." : "..";
    entry.attributes.st_ino = offset == 0 ? inode.number : inode.parent;
    entry.attributes.st_mode = S_IFDIR;
    return entry;
  }
  ASSIGN_OR_RETURN(const format::DirectoryEntry named, image_.Entry(inode, offset - kDots));
  entry.name = named.name;
  entry.attributes.st_ino = named.number;
  entry.attributes.st_mode = named.type << 12U;
  if (!whole) return entry;
  const Result<format::Inode> child = image_.Child(inode, named);
  // A bad one is listed all the same; looking it up says what is wrong.
  if (!child.ok() || (!S_ISDIR(child->mode) && !CheckOnce(*child).ok())) return entry;
  entry.attributes = ToStat(*child);
  entry.good = true;
  return entry;
}

Result<std::vector<struct iovec>> FuseFilesystem::Read(std::uint64_t number, std::uint64_t offset,
                                                       std::size_t length) {
  ASSIGN_OR_RETURN(const format::Inode inode, Get(number));
  std::vector<struct iovec> pieces;
  const std::uint64_t end =
      offset >= inode.size_bytes ? offset : offset + std::min(length, inode.size_bytes - offset);
  while (offset < end) {
    const Result<format::DataRun> run = image_.RunAt(inode, offset);
    if (!run.ok()) return Note(number, run.status());
    const std::uint64_t n = std::min(run->length, end - offset);
    const std::span<const std::byte> bytes = run->hole ? Zeros(n) : run->bytes.first(n);
    pieces.push_back(Piece(bytes));
    offset += bytes.size();
  }
  return pieces;
}

Result<std::uint64_t> FuseFilesystem::Seek(std::uint64_t number, std::uint64_t offset, bool hole) {
  ASSIGN_OR_RETURN(const format::Inode inode, Get(number));
  if (offset >= inode.size_bytes) return Status::FromErrno(ENXIO, "lseek");
  while (offset < inode.size_bytes) {
    const Result<format::DataRun> run = image_.RunAt(inode, offset);
    if (!run.ok()) return Note(number, run.status());
    if (run->hole == hole) return offset;
    offset += run->length;
  }
  // Behind the end there is a hole, and no data.
  if (hole) return inode.size_bytes;
  return Status::FromErrno(ENXIO, "lseek");
}

Result<std::string> FuseFilesystem::ReadLink(std::uint64_t number) {
  ASSIGN_OR_RETURN(const format::Inode inode, Get(number));
  const Result<std::string_view> target = image_.SymlinkTarget(inode);
  if (!target.ok()) return Note(number, target.status());
  return std::string(*target);
}

Result<std::string_view> FuseFilesystem::GetXattr(std::uint64_t number, std::string_view name) {
  ASSIGN_OR_RETURN(const format::Inode inode, Get(number));
  const Result<std::vector<format::XattrEntry>> all = image_.Xattrs(inode);
  if (!all.ok()) return Note(number, all.status());
  const auto found = std::find_if(all->begin(), all->end(), [&](const format::XattrEntry& entry) {
    return entry.name == name;
  });
  if (found == all->end()) return Status::FromErrno(ENODATA, "getxattr");
  return found->value;
}

Result<std::string> FuseFilesystem::ListXattrs(std::uint64_t number) {
  ASSIGN_OR_RETURN(const format::Inode inode, Get(number));
  const Result<std::vector<format::XattrEntry>> all = image_.Xattrs(inode);
  if (!all.ok()) return Note(number, all.status());
  std::string names;
  for (const format::XattrEntry& entry : *all) {
    names += entry.name;
    names += '\0';
  }
  return names;
}

struct statvfs FuseFilesystem::Statistics() const {
  const format::ImageInfo info = image_.Info();
  struct statvfs out {};
  out.f_bsize = kBlock;
  out.f_frsize = kBlock;
  out.f_blocks = info.image_bytes / kBlock;
  out.f_files = info.inodes;
  out.f_namemax = kNameMax;
  out.f_flag = ST_RDONLY;
  return out;
}

}  // namespace daxfs::tools
