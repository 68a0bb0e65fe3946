// SPDX-License-Identifier: Apache-2.0
#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "common/format/walk.hpp"
#include "tools/extract.hpp"
#include "tools/text.hpp"

namespace daxfs::tools {
namespace {

constexpr std::uint32_t kTypeMask = 0170000;
constexpr std::uint32_t kTypeSocket = 0140000;
constexpr std::uint32_t kTypeFile = 0100000;
constexpr std::uint32_t kTypeSymlink = 0120000;
constexpr std::uint32_t kPerSecond = 1000000000;
constexpr std::size_t kStep = std::size_t{1} << 20U;

struct FreeEntry {
  void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};
struct FreeArchive {
  // Without the first call an archive that failed would be closed as if it were whole.
  void operator()(archive* a) const {
    archive_write_fail(a);
    archive_write_free(a);
  }
};

std::uint32_t TypeOf(const format::Inode& inode) { return inode.mode & kTypeMask; }

// As it stands in the archive: relative, the root as ".".
std::string ArchiveName(const std::string& path) { return path == "/" ? "." : path.substr(1); }

class TarExtractor {
 public:
  TarExtractor(const format::Image& image, bool skip_sockets, const Output& out, Context& context)
      : image_(image), skip_sockets_(skip_sockets), out_(out), context_(context) {}

  Status Run();

 private:
  Status ForEach(Status (TarExtractor::*take)(const format::WalkEntry&));
  Status Check(const format::WalkEntry& entry);
  Status Begin();
  Status Write(const format::WalkEntry& entry);
  Result<bool> LeavesOut(const format::Inode& inode);
  Status AddXattrs(const format::Inode& inode, archive_entry* to);
  Status AddHoles(const format::Inode& inode, archive_entry* to);
  Status WriteData(const format::Inode& inode);
  Status Failure(const char* what);
  static la_ssize_t Push(archive* a, void* self, const void* bytes, std::size_t length);

  const format::Image& image_;
  const bool skip_sockets_;
  const Output& out_;
  Context& context_;
  Status out_status_;  // why Push failed
  std::unique_ptr<archive, FreeArchive> archive_;
};

la_ssize_t TarExtractor::Push(archive* a, void* self, const void* bytes, std::size_t length) {
  auto* tar = static_cast<TarExtractor*>(self);
  tar->out_status_ = tar->out_({static_cast<const char*>(bytes), length});
  if (tar->out_status_.ok()) return static_cast<la_ssize_t>(length);
  archive_set_error(a, EIO, "output");
  return -1;
}

Status TarExtractor::Failure(const char* what) {
  if (!out_status_.ok()) return out_status_;
  const char* why = archive_error_string(archive_.get());
  return InternalError(fmt::format("{}: {}", what, why == nullptr ? "unknown" : why));
}

// What the archive cannot hold is found before its first byte is written.
Status TarExtractor::Check(const format::WalkEntry& entry) {
  const format::Inode& inode = entry.inode;
  if (TypeOf(inode) == kTypeSocket && !skip_sockets_) {
    return InvalidArgumentError(
        "a tar cannot hold a socket: extract to dir:, or leave it out with --skip-sockets");
  }
  // The integer part of such a time is -0, which the writer cannot say.
  if (inode.mtime_seconds == -1 && inode.mtime_nanoseconds > 0) {
    return InvalidArgumentError(
        "a time less than one second before 1970 cannot be written to a tar: extract to dir:");
  }
  ASSIGN_OR_RETURN(const std::vector<format::XattrEntry> xattrs, image_.Xattrs(inode));
  for (const format::XattrEntry& xattr : xattrs) {
    // '=' ends a name in a PAX record; the others the writer would encode in its own way.
    if (std::all_of(xattr.name.begin(), xattr.name.end(),
                    [](char c) { return c > 0x20 && c < 0x7f && c != '=' && c != '%'; })) {
      continue;
    }
    return InvalidArgumentError("a tar cannot hold an extended attribute called " +
                                PrintableName(xattr.name) + ": extract to dir:");
  }
  return Status::Ok();
}

Status TarExtractor::Begin() {
  archive_.reset(archive_write_new());
  archive* a = archive_.get();
  // Names and values are bytes, whatever the locale; records go out as they are filled.
  const bool ready =
      a != nullptr && archive_write_set_format_pax(a) == ARCHIVE_OK &&
      archive_write_set_format_option(a, "pax", "hdrcharset", "BINARY") == ARCHIVE_OK &&
      archive_write_set_format_option(a, "pax", "xattrheader", "SCHILY") == ARCHIVE_OK &&
      archive_write_set_bytes_per_block(a, 1 << 18) == ARCHIVE_OK &&
      archive_write_set_bytes_in_last_block(a, 1) == ARCHIVE_OK &&
      archive_write_open(a, this, nullptr, Push, nullptr) == ARCHIVE_OK;
  return ready ? Status::Ok() : Failure("tar");
}

// Who applies the archive makes these directories as whoever applied the layer did.
Result<bool> TarExtractor::LeavesOut(const format::Inode& inode) {
  if (TypeOf(inode) == kTypeSocket) return true;
  if (!inode.implicit || inode.entries == 0) return false;
  ASSIGN_OR_RETURN(const std::vector<format::XattrEntry> xattrs, image_.Xattrs(inode));
  return xattrs.empty();
}

// As decimal text for people and POSIX: the integer part rounded towards zero, where the inode's is
// rounded down.
void SetTime(const format::Inode& inode, archive_entry* to) {
  std::int64_t seconds = inode.mtime_seconds;
  std::uint32_t nanoseconds = inode.mtime_nanoseconds;
  if (seconds < 0 && nanoseconds > 0) {
    seconds += 1;
    nanoseconds = kPerSecond - nanoseconds;
  }
  archive_entry_set_mtime(to, seconds, static_cast<long>(nanoseconds));
}

Status TarExtractor::AddXattrs(const format::Inode& inode, archive_entry* to) {
  ASSIGN_OR_RETURN(const std::vector<format::XattrEntry> xattrs, image_.Xattrs(inode));
  for (const format::XattrEntry& xattr : xattrs) {
    archive_entry_xattr_add_entry(to, std::string(xattr.name).c_str(), xattr.value.data(),
                                  xattr.value.size());
  }
  return Status::Ok();
}

Status TarExtractor::AddHoles(const format::Inode& inode, archive_entry* to) {
  const auto size = static_cast<la_int64_t>(inode.size_bytes);
  RETURN_IF_ERROR(image_.Check(inode));
  std::vector<std::pair<std::uint64_t, std::uint64_t>> data;
  bool holes = false;
  for (std::uint64_t at = 0; at < inode.size_bytes;) {
    ASSIGN_OR_RETURN(const format::DataRun run, image_.RunAt(inode, at));
    holes = holes || run.hole;
    if (!run.hole) data.emplace_back(at, run.length);
    at += run.length;
  }
  if (!holes) return Status::Ok();
  for (const auto& [offset, length] : data) {
    archive_entry_sparse_add_entry(to, static_cast<la_int64_t>(offset),
                                   static_cast<la_int64_t>(length));
  }
  if (data.empty()) archive_entry_sparse_add_entry(to, size, 0);  // one hole
  return Status::Ok();
}

Status TarExtractor::Write(const format::WalkEntry& entry) {
  const format::Inode& inode = entry.inode;
  ASSIGN_OR_RETURN(const bool out, LeavesOut(inode));
  if (out) return Status::Ok();
  const std::unique_ptr<archive_entry, FreeEntry> to(archive_entry_new());
  archive_entry_set_pathname(to.get(), ArchiveName(entry.path).c_str());
  archive_entry_set_mode(to.get(), static_cast<mode_t>(inode.mode));
  archive_entry_set_uid(to.get(), inode.uid);
  archive_entry_set_gid(to.get(), inode.gid);
  archive_entry_set_size(to.get(), 0);
  SetTime(inode, to.get());
  // On hard links too: who applies them may set the owner again, which takes capabilities away.
  RETURN_IF_ERROR(AddXattrs(inode, to.get()));
  if (entry.hard_link) {
    archive_entry_set_hardlink(to.get(), ArchiveName(entry.first_path).c_str());
  } else {
    if (TypeOf(inode) == kTypeSymlink) {
      ASSIGN_OR_RETURN(const std::string_view target, image_.SymlinkTarget(inode));
      archive_entry_set_symlink(to.get(), std::string(target).c_str());
    }
    archive_entry_set_rdevmajor(to.get(), inode.device_major);
    archive_entry_set_rdevminor(to.get(), inode.device_minor);
    if (TypeOf(inode) == kTypeFile) {
      archive_entry_set_size(to.get(), static_cast<la_int64_t>(inode.size_bytes));
      RETURN_IF_ERROR(AddHoles(inode, to.get()));
    }
  }
  if (archive_write_header(archive_.get(), to.get()) != ARCHIVE_OK) return Failure("tar header");
  if (!entry.hard_link && TypeOf(inode) == kTypeFile) RETURN_IF_ERROR(WriteData(inode));
  return Status::Ok();
}

// Holes too: the writer counts them and does not look at the bytes.
Status TarExtractor::WriteData(const format::Inode& inode) {
  static constexpr std::array<std::byte, kStep> kZeros{};
  for (std::uint64_t at = 0; at < inode.size_bytes;) {
    ASSIGN_OR_RETURN(const format::DataRun run, image_.RunAt(inode, at));
    const std::size_t n = std::min<std::uint64_t>(run.length, kStep);
    const std::byte* bytes = run.hole ? kZeros.data() : run.bytes.data();
    const la_ssize_t written = archive_write_data(archive_.get(), bytes, n);
    if (written < 0) return Failure("tar data");
    if (static_cast<std::size_t>(written) != n) return InternalError("tar data: cut short");
    at += n;
    RETURN_IF_ERROR(context_.progress.Advance(n, 0));
  }
  return Status::Ok();
}

Status TarExtractor::ForEach(Status (TarExtractor::*take)(const format::WalkEntry&)) {
  format::TreeWalk walk(image_);
  for (format::WalkEntry entry;;) {
    ASSIGN_OR_RETURN(const bool more, walk.Next(&entry));
    if (!more) return Status::Ok();
    RETURN_IF_ERROR((this->*take)(entry).WithContext(PrintableName(entry.path)));
    RETURN_IF_ERROR(context_.progress.Advance(0, 1));
  }
}

Status TarExtractor::Run() {
  RETURN_IF_ERROR(ForEach(&TarExtractor::Check));
  RETURN_IF_ERROR(Begin());
  RETURN_IF_ERROR(ForEach(&TarExtractor::Write));
  return archive_write_close(archive_.get()) == ARCHIVE_OK ? Status::Ok() : Failure("tar end");
}

}  // namespace

Status ExtractToTar(const format::Image& image, bool skip_sockets, const Output& out,
                    Context& context) {
  return TarExtractor(image, skip_sockets, out, context).Run();
}

}  // namespace daxfs::tools
