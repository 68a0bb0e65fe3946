// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "common/format/walk.hpp"
#include "common/os/file_io.hpp"
#include "common/os/new_directory.hpp"
#include "common/os/stale.hpp"
#include "common/os/temp_dir.hpp"
#include "tools/directory_cache.hpp"
#include "tools/extract.hpp"
#include "tools/text.hpp"

namespace daxfs::tools {
namespace {

constexpr std::uint32_t kTypeMask = 0170000;
constexpr std::uint32_t kTypeDirectory = 0040000;
constexpr std::uint32_t kTypeFile = 0100000;
constexpr std::uint32_t kTypeSymlink = 0120000;
constexpr std::size_t kStep = std::size_t{1} << 20U;

std::string NameOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

class Extractor {
 public:
  Extractor(const format::Image& image, os::NewDirectory root, Context& context)
      : image_(image), root_(std::move(root)), context_(context) {}

  Status Run();

 private:
  struct Made {
    std::string path;
    format::Inode inode;
  };
  Status Take(const format::WalkEntry& entry);
  Status Make(const os::NewDirectory& parent, const std::string& name, const format::Inode& inode);
  Status WriteFile(const os::NewDirectory& parent, const std::string& name,
                   const format::Inode& inode);
  Status SetXattrs(const os::NewDirectory& parent, const std::string& name,
                   const format::Inode& inode);
  Status FinishDirectories();
  static std::string_view ParentOf(std::string_view path) {
    return path.substr(0, path.rfind('/'));
  }

  const format::Image& image_;
  const os::NewDirectory root_;
  Context& context_;
  std::vector<Made> directories_;
  DirectoryCache opened_{root_};
  DirectoryCache opened_for_links_{root_};  // where the first names of hard links are
  std::uint64_t symlink_modes_ = 0;
};

Status Extractor::Take(const format::WalkEntry& entry) {
  const std::uint32_t type = entry.inode.mode & kTypeMask;
  if (type == kTypeDirectory) directories_.push_back({entry.path, entry.inode});
  if (entry.path == "/") return Status::Ok();
  const std::string name = NameOf(entry.path);
  if (entry.hard_link) {
    ASSIGN_OR_RETURN(const os::NewDirectory* first,
                     opened_for_links_.Open(ParentOf(entry.first_path)));
    ASSIGN_OR_RETURN(const os::NewDirectory* parent, opened_.Open(ParentOf(entry.path)));
    return parent->Link(name, *first, NameOf(entry.first_path));
  }
  ASSIGN_OR_RETURN(const os::NewDirectory* parent, opened_.Open(ParentOf(entry.path)));
  if (type == kTypeDirectory) return parent->MakeDirectory(name);
  const format::Inode& inode = entry.inode;
  RETURN_IF_ERROR(Make(*parent, name, inode));
  RETURN_IF_ERROR(parent->SetOwner(name, inode.uid, inode.gid));
  RETURN_IF_ERROR(SetXattrs(*parent, name, inode));
  if (type != kTypeSymlink) RETURN_IF_ERROR(parent->SetMode(name, inode.mode));
  if (type == kTypeSymlink && (inode.mode & 07777U) != 0777) ++symlink_modes_;
  return parent->SetTime(name, inode.mtime_seconds, inode.mtime_nanoseconds);
}

Status Extractor::Make(const os::NewDirectory& parent, const std::string& name,
                       const format::Inode& inode) {
  const std::uint32_t type = inode.mode & kTypeMask;
  if (type == kTypeFile) return WriteFile(parent, name, inode);
  if (type == kTypeSymlink) {
    ASSIGN_OR_RETURN(const std::string_view target, image_.SymlinkTarget(inode));
    return parent.MakeSymlink(name, std::string(target));
  }
  return parent.MakeNode(name, inode.mode, inode.device_major, inode.device_minor);
}

Status Extractor::WriteFile(const os::NewDirectory& parent, const std::string& name,
                            const format::Inode& inode) {
  RETURN_IF_ERROR(image_.Check(inode));
  ASSIGN_OR_RETURN(os::UniqueFd fd, parent.MakeFile(name));
  RETURN_IF_ERROR(os::SetFileSize(fd.get(), inode.size_bytes));
  for (std::uint64_t at = 0; at < inode.size_bytes;) {
    ASSIGN_OR_RETURN(const format::DataRun run, image_.RunAt(inode, at));
    const std::uint64_t n = run.hole ? run.length : std::min<std::uint64_t>(run.length, kStep);
    if (!run.hole) RETURN_IF_ERROR(os::PWriteAll(fd.get(), at, run.bytes.first(n)));
    at += n;
    RETURN_IF_ERROR(context_.progress.Advance(n, 0));
  }
  return fd.Close();
}

Status Extractor::SetXattrs(const os::NewDirectory& parent, const std::string& name,
                            const format::Inode& inode) {
  ASSIGN_OR_RETURN(const std::vector<format::XattrEntry> xattrs, image_.Xattrs(inode));
  for (const format::XattrEntry& xattr : xattrs) {
    RETURN_IF_ERROR(parent.SetXattr(name, {std::string(xattr.name), std::string(xattr.value)}));
  }
  return Status::Ok();
}

// Behind everything else: what is made in a directory changes its time, and its mode may forbid it.
// What may be refused comes first, so that a failure still can remove what was made.
Status Extractor::FinishDirectories() {
  std::reverse(directories_.begin(), directories_.end());
  for (const auto& [path, inode] : directories_) {
    ASSIGN_OR_RETURN(const os::NewDirectory* directory, opened_.Open(path));
    RETURN_IF_ERROR(directory->SetOwner("", inode.uid, inode.gid).WithContext(PrintableName(path)));
    RETURN_IF_ERROR(SetXattrs(*directory, "", inode).WithContext(PrintableName(path)));
  }
  for (const auto& [path, inode] : directories_) {
    ASSIGN_OR_RETURN(const os::NewDirectory* directory, opened_.Open(path));
    RETURN_IF_ERROR(directory->SetMode("", inode.mode).WithContext(PrintableName(path)));
    RETURN_IF_ERROR(directory->SetTime("", inode.mtime_seconds, inode.mtime_nanoseconds)
                        .WithContext(PrintableName(path)));
  }
  return Status::Ok();
}

Status Extractor::Run() {
  // Nobody else looks in while it is made, and nothing is inherited from above.
  RETURN_IF_ERROR(root_.RemoveXattr("", "system.posix_acl_default"));
  RETURN_IF_ERROR(root_.RemoveXattr("", "system.posix_acl_access"));
  RETURN_IF_ERROR(root_.SetMode("", 0700));
  format::TreeWalk walk(image_);
  for (format::WalkEntry entry;;) {
    ASSIGN_OR_RETURN(const bool more, walk.Next(&entry));
    if (!more) break;
    RETURN_IF_ERROR(Take(entry).WithContext(PrintableName(entry.path)));
    RETURN_IF_ERROR(context_.progress.Advance(0, 1));
  }
  RETURN_IF_ERROR(FinishDirectories());
  if (symlink_modes_ > 0) {
    context_.log.Warning("modes of symbolic links are not set: the system has none",
                         {{"symbolic_links", symlink_modes_}});
  }
  return Status::Ok();
}

// Whether there is an empty directory to take the place of.
Result<bool> CheckTarget(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::symlink_status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) return false;
  if (status.type() != std::filesystem::file_type::directory) {
    return AlreadyExistsError(path + ": exists and is no directory");
  }
  if (!std::filesystem::is_empty(path, error) || error) {
    return AlreadyExistsError(path + ": exists and is not empty");
  }
  return true;
}

}  // namespace

Status ExtractToDirectory(const format::Image& image, const std::string& path, Context& context) {
  std::string target = path;
  while (target.size() > 1 && target.back() == '/') target.pop_back();
  ASSIGN_OR_RETURN(const bool replace, CheckTarget(target));
  os::RemoveStaleParts(target);
  ASSIGN_OR_RETURN(os::TempDir made, os::TempDir::Create(os::PartPrefix(target)));
  ASSIGN_OR_RETURN(os::NewDirectory root, os::NewDirectory::Open(made.path()));
  RETURN_IF_ERROR(Extractor(image, std::move(root), context).Run());
  std::error_code error;
  if (replace && !std::filesystem::remove(target, error)) {
    return Status::FromErrno(error.value(), target + ": the empty directory does not give way");
  }
  return made.RenameTo(target);
}

}  // namespace daxfs::tools
