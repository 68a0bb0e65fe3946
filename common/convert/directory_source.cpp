// SPDX-License-Identifier: Apache-2.0
#include "common/convert/directory_source.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/convert/profile.hpp"
#include "common/os/directory.hpp"
#include "common/os/file_io.hpp"

namespace daxfs::convert {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 20U;

Attributes FromInfo(const os::FileInfo& info) {
  Attributes out;
  const std::uint32_t type = info.mode & kTypeMask;
  out.mode = info.mode;
  out.uid = info.uid;
  out.gid = info.gid;
  out.mtime_seconds = info.mtime_seconds;
  out.mtime_nanoseconds = info.mtime_nanoseconds;
  if (type == kTypeBlock || type == kTypeCharacter) {
    out.rdev_major = info.device_major;
    out.rdev_minor = info.device_minor;
  }
  return out;
}

// An open directory and the names still to be taken from it, in descending order.
struct Level {
  os::Directory directory;
  NodeId node;
  std::string path;
  std::vector<std::string> names;
};

class Walk {
 public:
  Walk(ImageBuilder& image, Monitor& monitor) : image_(image), monitor_(monitor) {}

  Status Run(const std::string& path);
  Status RunFile(const std::string& directory, const std::string& name);

 private:
  Status TakeAll();
  Status Enter(os::Directory directory, NodeId node, std::string path);
  Status Take(Level& level, const std::string& name);
  Result<XattrId> Xattrs(const os::Directory& directory, const std::string& name,
                         std::uint32_t mode);
  Status ReadFile(const Level& level, const std::string& name, Node* node);
  Status SkipHole(int fd, std::uint64_t size_bytes, std::uint64_t* done);
  Status AddNew(Level& level, const std::string& name, const os::FileInfo& info);

  ImageBuilder& image_;
  Monitor& monitor_;
  std::vector<Level> levels_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, NodeId> linked_;  // files with several names
  std::vector<std::byte> buffer_;
};

Status Walk::RunFile(const std::string& directory, const std::string& name) {
  ASSIGN_OR_RETURN(os::Directory opened, os::Directory::Open(directory));
  // Whose root is no directory of the source: so it is told from a directory with one file.
  image_.tree().At(Tree::kRoot).implicit = true;
  levels_.push_back({std::move(opened), Tree::kRoot, directory, {name}});
  return TakeAll();
}

Status Walk::Run(const std::string& path) {
  ASSIGN_OR_RETURN(os::Directory directory, os::Directory::Open(path));
  if (image_.options().profile == Profile::kArchive) {
    ASSIGN_OR_RETURN(const os::FileInfo info, directory.Stat(""));
    Node& root = image_.tree().At(Tree::kRoot);
    root.attributes = FromInfo(info);
    ASSIGN_OR_RETURN(root.xattrs, Xattrs(directory, "", info.mode));
  }
  RETURN_IF_ERROR(Enter(std::move(directory), Tree::kRoot, path).WithContext(path));
  return TakeAll();
}

Status Walk::TakeAll() {
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (level.names.empty()) {
      levels_.pop_back();
      continue;
    }
    const std::string name = std::move(level.names.back());
    level.names.pop_back();
    const std::string full = level.path + "/" + name;  // `level` may move while it is taken
    RETURN_IF_ERROR(Take(level, name).WithContext(full));
    RETURN_IF_ERROR(monitor_.Advance(0, 1));
  }
  return Status::Ok();
}

Status Walk::Enter(os::Directory directory, NodeId node, std::string path) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, directory.Names());
  std::vector<std::string> descending(std::make_move_iterator(names.rbegin()),
                                      std::make_move_iterator(names.rend()));
  levels_.push_back({std::move(directory), node, std::move(path), std::move(descending)});
  return Status::Ok();
}

Status Walk::Take(Level& level, const std::string& name) {
  ASSIGN_OR_RETURN(const os::FileInfo info, level.directory.Stat(name));
  const bool is_directory = (info.mode & kTypeMask) == kTypeDirectory;
  if (!is_directory && info.link_count > 1) {
    const auto known = linked_.find({info.filesystem, info.inode});
    if (known != linked_.end()) return image_.tree().Link(level.node, name, known->second);
  }
  return AddNew(level, name, info);
}

Status Walk::AddNew(Level& level, const std::string& name, const os::FileInfo& info) {
  Node node;
  node.attributes = FromInfo(info);
  ApplyProfile(image_.options().profile, &node.attributes);
  ASSIGN_OR_RETURN(node.xattrs, Xattrs(level.directory, name, info.mode));
  const std::uint32_t type = info.mode & kTypeMask;
  if (type == kTypeFile) RETURN_IF_ERROR(ReadFile(level, name, &node));
  if (type == kTypeSymlink) {
    ASSIGN_OR_RETURN(node.target, level.directory.ReadLink(name));
  }
  ASSIGN_OR_RETURN(const NodeId id, image_.tree().Add(level.node, name, std::move(node)));
  if (type == kTypeDirectory) {
    ASSIGN_OR_RETURN(os::Directory below, level.directory.OpenDirectory(name));
    return Enter(std::move(below), id, level.path + "/" + name);
  }
  if (info.link_count > 1) linked_[{info.filesystem, info.inode}] = id;
  return Status::Ok();
}

Result<XattrId> Walk::Xattrs(const os::Directory& directory, const std::string& name,
                             std::uint32_t mode) {
  ASSIGN_OR_RETURN(std::vector<os::Xattr> all, directory.Xattrs(name));
  XattrMap kept;
  for (os::Xattr& xattr : all) {
    if (!KeepsXattr(image_.options().profile, mode, xattr.name)) continue;
    kept.emplace(std::move(xattr.name), std::move(xattr.value));
  }
  return image_.xattrs().Intern(kept);
}

// Moves over a hole at *done: its zeros need not be read to be known. What is a hole in the image
// depends on bytes only (docs/adr/0003-holes-by-content.md), so this saves time and nothing else.
Status Walk::SkipHole(int fd, std::uint64_t size_bytes, std::uint64_t* done) {
  if (size_bytes < kReadBytes || *done >= size_bytes) return Status::Ok();
  ASSIGN_OR_RETURN(const std::optional<std::uint64_t> data, os::SeekData(fd, *done));
  ASSIGN_OR_RETURN(const os::FileInfo now, os::StatFd(fd));
  if (now.size_bytes != size_bytes) {
    return Status(StatusCode::kAborted, "changed while it was read");
  }
  const std::uint64_t end = std::min(data.value_or(size_bytes), size_bytes);
  if (end == *done) return Status::Ok();
  RETURN_IF_ERROR(image_.data().AppendZeros(end - *done));
  RETURN_IF_ERROR(monitor_.Advance(end - *done, 0));
  *done = end;
  return Status::Ok();
}

Status Walk::ReadFile(const Level& level, const std::string& name, Node* node) {
  ASSIGN_OR_RETURN(const os::UniqueFd fd, level.directory.OpenFile(name));
  ASSIGN_OR_RETURN(const os::FileInfo info, os::StatFd(fd.get()));
  node->size_bytes = info.size_bytes;
  buffer_.resize(kReadBytes);
  RETURN_IF_ERROR(image_.data().Begin(info.size_bytes));
  for (std::uint64_t done = 0;;) {
    RETURN_IF_ERROR(SkipHole(fd.get(), info.size_bytes, &done));
    ASSIGN_OR_RETURN(const std::size_t n, os::ReadFull(fd.get(), buffer_));
    done += n;
    if (done > info.size_bytes || (n == 0 && done < info.size_bytes)) {
      return Status(StatusCode::kAborted, "changed while it was read");
    }
    if (n == 0) break;
    RETURN_IF_ERROR(image_.data().Append(std::span(buffer_).first(n)));
    RETURN_IF_ERROR(monitor_.Advance(n, 0));
  }
  ASSIGN_OR_RETURN(node->data, image_.data().End());
  return Status::Ok();
}

}  // namespace

Status AddDirectory(ImageBuilder& image, const std::string& path, Monitor& monitor) {
  return Walk(image, monitor).Run(path);
}

Status AddFile(ImageBuilder& image, const std::string& directory, const std::string& name,
               Monitor& monitor) {
  return Walk(image, monitor).RunFile(directory, name);
}

}  // namespace daxfs::convert
