// SPDX-License-Identifier: Apache-2.0
#include "common/format/walk.hpp"

#include <algorithm>
#include <utility>

namespace daxfs::format {
namespace {

constexpr std::uint32_t kTypeMask = 0170000;
constexpr std::uint32_t kTypeDirectory = 0040000;
constexpr std::size_t kDirentSection = 1;

bool IsDirectory(const Inode& inode) { return (inode.mode & kTypeMask) == kTypeDirectory; }

Status Bad(std::uint64_t number, const char* what) {
  return DataLossError("inode " + std::to_string(number) + ": " + what);
}

}  // namespace

TreeWalk::TreeWalk(const Image& image) : image_(image) {
  const ImageInfo info = image.Info();
  entries_left_ = info.sections[kDirentSection].count;
  inodes_left_ = info.inodes;
  seen_.resize(info.inodes);
}

Status TreeWalk::Enter(const Inode& directory) {
  if (directory.entries > entries_left_) {
    return Bad(directory.number, "directories that share entries");
  }
  entries_left_ -= directory.entries;
  RETURN_IF_ERROR(image_.Check(directory));
  Level level{directory, path_.size(), {}};
  level.entries.reserve(directory.entries);
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    ASSIGN_OR_RETURN(const DirectoryEntry entry, image_.Entry(directory, i));
    level.entries.push_back(entry);
  }
  std::sort(level.entries.begin(), level.entries.end(),
            [](const DirectoryEntry& a, const DirectoryEntry& b) { return a.name < b.name; });
  levels_.push_back(std::move(level));
  return Status::Ok();
}

Status TreeWalk::CountName(WalkEntry* entry) {
  const Inode& inode = entry->inode;
  entry->hard_link = seen_[inode.number - 1];
  entry->first_path.clear();
  if (!entry->hard_link) {
    seen_[inode.number - 1] = true;
    --inodes_left_;
    if (!IsDirectory(inode) && inode.link_count > 1) {
      linked_.emplace(inode.number, Linked{entry->path, inode.link_count - 1});
    }
    return Status::Ok();
  }
  if (IsDirectory(inode)) return Bad(inode.number, "directory under two names");
  const auto known = linked_.find(inode.number);
  if (known == linked_.end() || known->second.names_left == 0) {
    return Bad(inode.number, "more names than links");
  }
  --known->second.names_left;
  entry->first_path = known->second.path;
  return Status::Ok();
}

Status TreeWalk::CheckAllSeen() const {
  if (inodes_left_ > 0) return DataLossError("inodes that no directory names");
  for (const auto& [number, linked] : linked_) {
    if (linked.names_left > 0) return Bad(number, "fewer names than links");
  }
  return Status::Ok();
}

Result<bool> TreeWalk::Next(WalkEntry* entry) {
  if (!started_) {
    started_ = true;
    ASSIGN_OR_RETURN(entry->inode, image_.Root());
    entry->path = "/";
    RETURN_IF_ERROR(CountName(entry));
    RETURN_IF_ERROR(Enter(entry->inode));
    return true;
  }
  while (!levels_.empty() && levels_.back().next == levels_.back().entries.size()) {
    levels_.pop_back();
  }
  if (levels_.empty()) {
    RETURN_IF_ERROR(CheckAllSeen());
    return false;
  }
  Level& level = levels_.back();
  const DirectoryEntry& named = level.entries[level.next++];
  path_.resize(level.path_size);
  path_ += '/';
  path_ += named.name;
  if (path_.size() > kWalkPathMax) {
    return Status(StatusCode::kOutOfRange,
                  "a path of more than " + std::to_string(kWalkPathMax) + " bytes");
  }
  entry->path = path_;
  ASSIGN_OR_RETURN(entry->inode, image_.Child(level.directory, named));
  RETURN_IF_ERROR(CountName(entry));
  if (IsDirectory(entry->inode)) RETURN_IF_ERROR(Enter(entry->inode));  // `level` may move
  return true;
}

}  // namespace daxfs::format
