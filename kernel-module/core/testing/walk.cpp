// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#include "walk.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "core.h"

namespace daxfs::core_testing {
namespace {

class Walker {
 public:
  Walker(const daxfs_image& image, WalkResult& result, uint64_t max_inodes, uint64_t max_bytes)
      : image_(image), result_(result), inodes_left_(max_inodes), bytes_left_(max_bytes) {}

  int All() {
    int err = Digests();
    daxfs_attr root;
    if (err == 0) err = daxfs_inode_get(&image_, DAXFS_ROOT_INO, &root, &why_);
    if (err == 0) directories_.push_back(root);
    while (err == 0 && !directories_.empty()) {
      const daxfs_attr dir = directories_.back();
      directories_.pop_back();
      err = Directory(dir);
    }
    result_.why = why_;
    return err;
  }

 private:
  void Touch(const void* bytes, uint64_t length) {
    const auto* byte = static_cast<const unsigned char*>(bytes);
    for (uint64_t i = 0; i < length; ++i) result_.checksum = result_.checksum * 31 + byte[i];
  }

  int Digests() {
    const uint64_t count = daxfs_piece_count(&image_.info);
    for (uint64_t piece = 0; piece < count; ++piece) {
      __u64 offset = 0, length = 0;
      const __u8* digest = nullptr;
      if (int err = daxfs_piece_get(&image_, piece, &offset, &length, &digest, &why_)) return err;
      Touch(digest, DAXFS_DIGEST_SIZE);
    }
    return 0;
  }

  int Xattrs(const daxfs_attr& attr) {
    __u64 position = 0;
    daxfs_xattr_entry entry;
    int more = 0;
    while ((more = daxfs_xattr_next(&image_, &attr, &position, &entry, &why_)) > 0) {
      Touch(entry.name, entry.name_length);
      Touch(entry.value, entry.value_length);
    }
    return more;
  }

  int File(const daxfs_attr& attr) {
    __u64 allocated = 0;
    if (int err = daxfs_extents_check(&image_, &attr, 0, attr.data_count, &allocated, &why_))
      return err;
    __u64 position = 0;
    while (position < attr.size && bytes_left_ > 0) {
      daxfs_map map;
      if (int err = daxfs_map_at(&image_, &attr, position, &map, &why_)) return err;
      const __u64 skip = position - map.logical;
      const __u64 length = std::min<__u64>(map.length - skip, attr.size - position);
      const __u64 read = std::min<__u64>(length, bytes_left_);
      if (map.hole == 0) {
        const void* bytes = daxfs_image_at(&image_, map.offset + skip, read);
        if (bytes == nullptr) return -EFAULT;
        Touch(bytes, read);
        bytes_left_ -= read;
      }
      position += length;
    }
    return 0;
  }

  int Inode(const daxfs_attr& attr) {
    if (int err = Xattrs(attr)) return err;
    const char* target = nullptr;
    switch (attr.mode & S_IFMT) {
      case S_IFREG:
        return File(attr);
      case S_IFLNK:
        if (int err = daxfs_symlink_target(&image_, &attr, &target, &why_)) return err;
        Touch(target, attr.size);
        return 0;
      case S_IFDIR:
        directories_.push_back(attr);
        return 0;
      default:
        return 0;
    }
  }

  int Directory(const daxfs_attr& dir) {
    if (int err = daxfs_dir_check(&image_, &dir, 0, dir.data_count, &why_)) return err;
    for (uint64_t index = 0; index < dir.data_count && inodes_left_ > 0; ++index, --inodes_left_) {
      daxfs_entry entry, found;
      if (int err = daxfs_dir_entry(&image_, &dir, index, &entry, &why_)) return err;
      if (int err = daxfs_dir_find(&image_, &dir, entry.name, entry.name_length, &found, &why_))
        return err;
      daxfs_attr child;
      if (int err = daxfs_inode_get(&image_, found.ino, &child, &why_)) return err;
      if (int err = daxfs_child_check(&dir, &found, &child, &why_)) return err;
      ++result_.inodes;
      if (int err = Inode(child)) return err;
    }
    return 0;
  }

  const daxfs_image& image_;
  WalkResult& result_;
  uint64_t inodes_left_;
  uint64_t bytes_left_;
  const char* why_ = "";
  std::vector<daxfs_attr> directories_;
};

}  // namespace

WalkResult Walk(const void* base, size_t size, uint64_t max_inodes, uint64_t max_bytes) {
  WalkResult result;
  daxfs_image image;
  const char* why = "";
  result.error = daxfs_image_open(&image, base, size, &why);
  if (result.error != 0) {
    result.why = why;
    return result;
  }
  result.depth = Depth::kInodes;
  result.error = Walker(image, result, max_inodes, max_bytes).All();
  if (result.error == 0) result.depth = Depth::kWalked;
  return result;
}

}  // namespace daxfs::core_testing
