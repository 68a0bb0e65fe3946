// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#include "walk.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <string_view>
#include <vector>

#include "core.h"

namespace daxfs::core_testing {
namespace {

using Wide = unsigned __int128;  // no sum of two 64-bit numbers overflows it

constexpr uint64_t kStep = 3;            // directories and files are also checked in steps of this
constexpr uint64_t kMaxCalls = 2000000;  // several large directories may share their entries
constexpr uint64_t kFarPositions[] = {0x7ffffffffffff000, 0x7ffffffffffffffe, 0x7fffffffffffffff,
                                      0x8000000000000000, 0xffffffffffffffff};
// What daxfs_image_open() says of the section table; all else is about the superblock's own fields.
constexpr std::string_view kSectionReasons[] = {
    "section misplaced",         "section outside the image",
    "section size is not",       "metadata area does not end behind",
    "image does not end behind", "no root inode",
    "blob table without",        "digest table does not fit"};

Level LevelOfOpen(std::string_view why) {
  for (const std::string_view reason : kSectionReasons)
    if (why.substr(0, reason.size()) == reason) return Level::kSections;
  return Level::kSuperblock;
}

bool Fits(uint64_t start, uint64_t length, uint64_t size) { return Wide{start} + length <= size; }

class Walker {
 public:
  Walker(const daxfs_image& image, size_t size, WalkResult& result, uint64_t max_inodes,
         uint64_t max_bytes, const std::function<void()>& between)
      : image_(image),
        size_(size),
        result_(result),
        inodes_left_(max_inodes),
        bytes_left_(max_bytes),
        between_(between),
        visited_(std::min<uint64_t>(Count(DAXFS_SECTION_INODES), max_inodes) + 1) {}

  void All() {
    CheckInfo();
    NoAddress();
    if (!result_.violation.empty()) return;
    std::vector<uint8_t> block(DAXFS_BLOCK_SIZE);
    daxfs_super_for_root(block.data(), image_.base);
    Touch(block.data(), block.size());
    Digests();
    Tree();
    in_tree_ = false;  // what nobody can reach is walked too, but refuses nothing
    for (uint64_t ino = 1; ino < visited_.size() && Going(); ++ino) {
      daxfs_attr attr;
      if (!visited_[ino] && Inode(ino, &attr)) Content(attr);
    }
    NoSuchInode();
  }

 private:
  uint64_t Count(int section) const { return image_.info.section[section].count; }

  bool Going() const { return result_.violation.empty() && result_.calls < kMaxCalls; }

  void Violation(const std::string& text) {
    if (result_.violation.empty()) result_.violation = text;
  }

  // An assertion about two answers; another host's writes between them would excuse it.
  void Expect(bool holds, const char* text) {
    if (!holds && !between_) Violation(text);
  }

  // Before every call.
  void Before() {
    ++result_.calls;
    why_ = "";
    if (between_) between_();
  }

  // After every call: is `error` one that may be? Returns whether it is 0.
  bool After(const char* function, int error, std::initializer_list<int> allowed) {
    if (error == 0) return true;
    if (error != -EUCLEAN && std::find(allowed.begin(), allowed.end(), error) == allowed.end())
      Violation(std::string(function) + ": error " + std::to_string(error));
    if (error == -EUCLEAN && (why_ == nullptr || why_[0] == '\0'))
      Violation(std::string(function) + ": refuses without a reason");
    return false;
  }

  void Refused(Level level, int error) {
    if (!in_tree_ || result_.error != 0) return;
    result_.error = error;
    result_.why = why_;
    result_.refused = level;
  }

  void Touch(const void* bytes, uint64_t length) {
    const auto* byte = static_cast<const unsigned char*>(bytes);
    for (uint64_t i = 0; i < length; ++i) result_.checksum = result_.checksum * 31 + byte[i];
  }

  // Reads `length` bytes that core says lie in `section`, or in the data area if that is negative.
  void Reach(const char* what, const void* pointer, uint64_t length, int section) {
    const auto address = reinterpret_cast<uintptr_t>(pointer);
    const auto base = reinterpret_cast<uintptr_t>(image_.base);
    const daxfs_info& info = image_.info;
    const uint64_t start = section < 0 ? info.data_offset : info.section[section].offset;
    const uint64_t size = section < 0 ? info.data_size : info.section[section].size;
    if (address < base || address - base < start || !Fits(address - base - start, length, size))
      return Violation(std::string(what) + " outside its section");
    if (!Fits(address - base, length, size_))
      return Violation(std::string(what) + " outside the image");
    Touch(pointer, length);
  }

  // The promises of daxfs_image_open().
  void CheckInfo() {
    static constexpr uint64_t kRecord[] = {sizeof(daxfs_inode),
                                           sizeof(daxfs_dirent),
                                           sizeof(daxfs_extent),
                                           0,
                                           0,
                                           sizeof(daxfs_blob),
                                           DAXFS_DIGEST_SIZE,
                                           0};
    const daxfs_info& info = image_.info;
    uint64_t end = info.meta_offset;
    if (info.image_size > size_) Violation("image larger than its memory");
    if (!Fits(info.data_offset, info.data_size, info.image_size)) Violation("data outside");
    if (info.data_offset < DAXFS_BLOCK_SIZE) Violation("data over the superblock");
    if (!Fits(info.meta_offset, info.meta_size, info.image_size)) Violation("metadata outside");
    if (Wide{info.data_offset} + info.data_size > info.meta_offset) Violation("areas overlap");
    for (int i = 0; i < DAXFS_SECTION_COUNT; ++i) {
      const daxfs_section_info& section = info.section[i];
      if (section.offset < end) Violation("sections overlap");
      if (!Fits(section.offset, section.size, info.image_size)) Violation("section outside");
      if (kRecord[i] != 0 && Wide{section.count} * kRecord[i] != section.size)
        Violation("section of another size than its records");
      end = section.offset + section.size;
    }
  }

  void Digests() {
    const uint64_t count = daxfs_piece_count(&image_.info);
    const uint64_t data_end = image_.info.data_offset + image_.info.data_size;
    uint64_t next = image_.info.data_offset;
    for (uint64_t piece = 0; piece < count && Going(); ++piece) {
      __u64 offset = 0, length = 0;
      const __u8* digest = nullptr;
      Before();
      const int error = daxfs_piece_get(&image_, piece, &offset, &length, &digest, &why_);
      if (!After("piece_get", error, {})) return Refused(Level::kDigests, error);
      Reach("digest", digest, DAXFS_DIGEST_SIZE, DAXFS_SECTION_DIGESTS);
      if (offset != next || length == 0 || length > data_end - offset)
        return Violation("pieces do not follow each other");
      next += length;
    }
    if (Going() && next != data_end) Violation("pieces do not cover the data area");
    for (const uint64_t piece : {count, count + 1, ~uint64_t{0}}) {
      __u64 offset = 0, length = 0;
      const __u8* digest = nullptr;
      if (daxfs_piece_get(&image_, piece, &offset, &length, &digest, &why_) != -ENOENT)
        Violation("a piece past the end");
    }
  }

  void NoSuchInode() {
    const uint64_t count = Count(DAXFS_SECTION_INODES);
    for (const uint64_t ino : {uint64_t{0}, count + 1, uint64_t{1} << 57U, ~uint64_t{0}}) {
      daxfs_attr attr;
      if (ino > count || ino == 0)
        if (daxfs_inode_get(&image_, ino, &attr, &why_) != -ENOENT)
          Violation("an inode that is not there");
    }
  }

  bool Inode(uint64_t ino, daxfs_attr* attr) {
    Before();
    const int error = daxfs_inode_get(&image_, ino, attr, &why_);
    if (!After("inode_get", error, {-ENOENT})) {
      Refused(Level::kInode, error);
      return false;
    }
    if (attr->ino != ino) Violation("another inode than asked for");
    CheckRanges(*attr);
    return true;
  }

  // What an inode refers to lies in its sections.
  void CheckRanges(const daxfs_attr& attr) {
    const uint32_t type = attr.mode & S_IFMT;
    if (!Fits(attr.xattr_start, attr.xattr_size, image_.info.section[DAXFS_SECTION_XATTRS].size))
      Violation("xattrs of an inode outside their section");
    if (type == S_IFDIR && !Fits(attr.data_start, attr.data_count, Count(DAXFS_SECTION_DIRENTS)))
      Violation("a directory outside the entries");
    if (type == S_IFREG && !Fits(attr.data_start, attr.data_count, Count(DAXFS_SECTION_EXTENTS)))
      Violation("a file outside the extents");
    if (attr.size > DAXFS_SIZE_MAX || attr.mtime_nsec > 999999999 || attr.nlink == 0)
      Violation("an inode with numbers no inode has");
  }

  // Nothing beyond [0, image_size) has an address.
  void NoAddress() {
    const __u64 size = image_.info.image_size, most = ~__u64{0};
    const __u64 ranges[][2] = {{size, 1}, {size - 1, 2}, {size + 1, 0},
                               {most, 1}, {1, most},     {0, size + 1}};
    for (const auto& [offset, length] : ranges)
      if (daxfs_image_at(&image_, offset, length) != nullptr)
        Violation("an address outside the image");
    for (const auto& [offset, length] : ranges)
      if (daxfs_meta_at(&image_, offset, length) != nullptr)
        Violation("an address of metadata outside the image");
    if (daxfs_meta_at(&image_, image_.info.meta_offset - 1, 1) != nullptr)
      Violation("an address of metadata before the metadata area");
    if (daxfs_image_at(&image_, 0, size) != image_.base)
      Violation("no address for the whole image");
  }

  void Tree() {
    daxfs_attr root;
    visited_[0] = true;
    if (!Inode(DAXFS_ROOT_INO, &root)) return;
    visited_[DAXFS_ROOT_INO] = true;
    Content(root);
    while (!directories_.empty() && Going()) {
      const daxfs_attr directory = directories_.back();
      directories_.pop_back();
      Children(directory);
    }
  }

  // Every child of a directory; those directories not met before are left in directories_.
  void Children(const daxfs_attr& directory) {
    for (uint64_t i = 0; i < directory.data_count && inodes_left_ > 0 && Going(); ++i) {
      daxfs_entry entry;
      daxfs_attr child;
      Before();
      if (daxfs_dir_entry(&image_, &directory, i, &entry, &why_) != 0) continue;
      if (!Inode(entry.ino, &child)) continue;
      Before();
      const int error = daxfs_child_check(&directory, &entry, &child, &why_);
      if (!After("child_check", error, {})) {
        Refused(Level::kDirent, error);
        continue;
      }
      if (child.ino == DAXFS_ROOT_INO ||
          ((child.mode & S_IFMT) == S_IFDIR && child.parent != directory.ino))
        Violation("directories that are no tree");
      --inodes_left_;
      ++result_.inodes;
      if (child.ino < visited_.size() && !visited_[child.ino]) {
        visited_[child.ino] = true;
        Content(child);
      }
    }
  }

  // All one inode leads to but the inodes it names.
  void Content(const daxfs_attr& attr) {
    Xattrs(attr);
    const uint32_t type = attr.mode & S_IFMT;
    if (type == S_IFDIR) {
      Directory(attr);
      if (in_tree_) directories_.push_back(attr);
    } else if (type == S_IFREG) {
      Extents(attr);
    } else if (type == S_IFLNK) {
      Symlink(attr);
    }
    WrongType(attr, type);
  }

  void WrongType(const daxfs_attr& attr, uint32_t type) {
    daxfs_entry entry;
    daxfs_map map;
    const char* target = nullptr;
    __u64 sum = 0;
    if (type != S_IFDIR && (daxfs_dir_entry(&image_, &attr, 0, &entry, &why_) != -ENOTDIR ||
                            daxfs_dir_find(&image_, &attr, "a", 1, &entry, &why_) != -ENOTDIR ||
                            daxfs_dir_check(&image_, &attr, 0, 1, &why_) != -ENOTDIR))
      Violation("entries of what is no directory");
    if (type != S_IFREG && (daxfs_extent_get(&image_, &attr, 0, &map, &why_) != -EINVAL ||
                            daxfs_map_at(&image_, &attr, 0, &map, &why_) != -EINVAL ||
                            daxfs_extents_check(&image_, &attr, 0, 1, &sum, &why_) != -EINVAL))
      Violation("extents of what is no file");
    if (type != S_IFLNK && daxfs_symlink_target(&image_, &attr, &target, &why_) != -EINVAL)
      Violation("target of what is no symbolic link");
  }

  void Symlink(const daxfs_attr& attr) {
    const char* target = nullptr;
    Before();
    const int error = daxfs_symlink_target(&image_, &attr, &target, &why_);
    if (!After("symlink_target", error, {})) return Refused(Level::kSymlink, error);
    if (attr.size == 0 || attr.size > DAXFS_SYMLINK_MAX) Violation("target of a wrong length");
    Reach("symlink target", target, attr.size, DAXFS_SECTION_NAMES);
    if (Going()) Expect(memchr(target, 0, attr.size) == nullptr, "NUL in a target");
  }

  // The whole directory at once and in steps, then entry by entry and name by name.
  void Directory(const daxfs_attr& attr) {
    Before();
    const int error = daxfs_dir_check(&image_, &attr, 0, attr.data_count, &why_);
    const bool sorted = After("dir_check", error, {});
    if (!sorted) Refused(Level::kDirent, error);
    int stepped = 0;
    for (uint64_t i = 0; i < attr.data_count && stepped == 0 && Going(); i += kStep) {
      Before();
      stepped = daxfs_dir_check(&image_, &attr, i, kStep, &why_);
      After("dir_check", stepped, {});
    }
    if (Going()) Expect((stepped == 0) == sorted, "a directory in steps is another one");
    for (uint64_t i = 0; i < attr.data_count && Going(); ++i) Entry(attr, i, sorted);
    for (const std::string_view name : {"", ".", "..", "no such name", "a/b", "\xff"})
      Absent(attr, name, sorted);
    Absent(attr, std::string(DAXFS_NAME_MAX, 'z'), sorted);
    Absent(attr, std::string(DAXFS_NAME_MAX + 1, 'z'), sorted);
    daxfs_entry entry;
    for (const uint64_t index : {attr.data_count, attr.data_count + 1, ~__u64{0}})
      if (index >= attr.data_count &&
          daxfs_dir_entry(&image_, &attr, index, &entry, &why_) != -ENOENT)
        Violation("an entry past the end");
  }

  void Entry(const daxfs_attr& directory, uint64_t index, bool sorted) {
    daxfs_entry entry, found;
    Before();
    int error = daxfs_dir_entry(&image_, &directory, index, &entry, &why_);
    if (!After("dir_entry", error, {})) return Refused(Level::kDirent, error);
    if (entry.name_length == 0 || entry.name_length > DAXFS_NAME_MAX)
      return Violation("name of a wrong length");
    if (entry.ino == 0 || entry.ino > Count(DAXFS_SECTION_INODES))
      Violation("entry without an inode");
    Reach("name", entry.name, entry.name_length, DAXFS_SECTION_NAMES);
    if (!Going()) return;
    const std::string name(entry.name, entry.name_length);  // it may change under us
    Expect(
        name.find('/') == name.npos && name.find('\0') == name.npos && name != "." && name != "..",
        "a name that no directory may have");
    Before();
    error = daxfs_dir_find(&image_, &directory, name.data(), entry.name_length, &found, &why_);
    if (After("dir_find", error, {-ENOENT}))
      return Expect(found.ino == entry.ino || !sorted, "look-up finds another inode");
    Refused(Level::kDirent, error);
    Expect(!sorted, "look-up does not find what is listed");
  }

  void Absent(const daxfs_attr& directory, std::string_view name, bool sorted) {
    if (!Going()) return;
    daxfs_entry found;
    Before();
    const int error = daxfs_dir_find(&image_, &directory, name.data(),
                                     static_cast<uint32_t>(name.size()), &found, &why_);
    if (!After("dir_find", error, {-ENOENT}))
      return Expect(error == -ENOENT || !sorted, "look-up fails in a good directory");
    Reach("name found", found.name, found.name_length, DAXFS_SECTION_NAMES);
    if (Going())
      Expect(std::string_view(found.name, found.name_length) == name, "look-up of another name");
  }

  void Extents(const daxfs_attr& attr) {
    __u64 sum = 0, stepped_sum = 0;
    Before();
    const int error = daxfs_extents_check(&image_, &attr, 0, attr.data_count, &sum, &why_);
    const bool sorted = After("extents_check", error, {});
    if (!sorted) Refused(Level::kExtent, error);
    int stepped = 0;
    for (uint64_t i = 0; i < attr.data_count && stepped == 0 && Going(); i += kStep) {
      Before();
      stepped = daxfs_extents_check(&image_, &attr, i, kStep, &stepped_sum, &why_);
      After("extents_check", stepped, {});
    }
    if (Going()) Expect((stepped == 0) == sorted, "a file in steps is another one");
    std::vector<daxfs_map> good;
    for (uint64_t i = 0; i < attr.data_count && Going(); ++i) {
      daxfs_map map;
      Before();
      if (!After("extent_get", daxfs_extent_get(&image_, &attr, i, &map, &why_), {})) continue;
      CheckExtent(attr, map);
      good.push_back(map);
      ReadSome(map);
    }
    for (size_t i = 1; i < good.size() && sorted; ++i)
      Expect(good[i].logical >= good[i - 1].logical + good[i - 1].length, "extents overlap");
    Positions(attr, good, sorted);
    daxfs_map map;
    for (const uint64_t index : {attr.data_count, attr.data_count + 1, ~__u64{0}})
      if (index >= attr.data_count &&
          daxfs_extent_get(&image_, &attr, index, &map, &why_) != -ENOENT)
        Violation("an extent past the end");
  }

  void CheckExtent(const daxfs_attr& attr, const daxfs_map& map) {
    const daxfs_info& info = image_.info;
    const uint64_t blocks = (attr.size + DAXFS_BLOCK_SIZE - 1) / DAXFS_BLOCK_SIZE;
    if (map.hole != 0 || map.length == 0 || map.offset < info.data_offset ||
        !Fits(map.offset - info.data_offset, map.length, info.data_size))
      Violation("extent outside the data area");
    if (!Fits(map.logical, map.length, blocks * DAXFS_BLOCK_SIZE))
      Violation("extent past the end of its file");
  }

  void ReadSome(const daxfs_map& map) {
    const uint64_t length = std::min<uint64_t>(map.length, bytes_left_);
    bytes_left_ -= length;
    const void* first = daxfs_image_at(&image_, map.offset, length);
    const void* last = daxfs_image_at(&image_, map.offset + map.length - 1, 1);
    if (first == nullptr || last == nullptr) return Violation("extent outside the image");
    Reach("data", first, length, -1);
    Reach("data", last, 1, -1);
  }

  // daxfs_map_at() around every extent and far out, against a search from the first on.
  void Positions(const daxfs_attr& attr, const std::vector<daxfs_map>& good, bool sorted) {
    std::vector<uint64_t> positions(std::begin(kFarPositions), std::end(kFarPositions));
    for (const uint64_t at : {__u64{0}, attr.size - 1, attr.size, attr.size + 1})
      positions.push_back(at);
    for (const daxfs_map& map : good)
      for (const uint64_t at : {map.logical, map.logical + map.length})
        positions.insert(positions.end(), {at - 1, at, at + 1});
    for (const uint64_t at : positions) {
      daxfs_map map;
      if (!Going()) return;
      Before();
      const int error = daxfs_map_at(&image_, &attr, at, &map, &why_);
      if (!After("map_at", error, {})) {
        Refused(Level::kExtent, error);
        continue;
      }
      if (map.hole == 0) CheckExtent(attr, map);
      if (at < DAXFS_SIZE_MAX && (at < map.logical || at - map.logical >= map.length))
        Violation("map_at answers for another position");
      if (sorted) Expect(SameAsSearched(good, at, map), "map_at differs from a plain search");
    }
  }

  static bool SameAsSearched(const std::vector<daxfs_map>& good, uint64_t at,
                             const daxfs_map& map) {
    for (const daxfs_map& extent : good)
      if (at >= extent.logical && at - extent.logical < extent.length)
        return map.hole == 0 && map.logical == extent.logical && map.offset == extent.offset;
    return map.hole != 0;
  }

  void Xattrs(const daxfs_attr& attr) {
    __u64 position = 0;
    daxfs_xattr_entry entry;
    for (uint64_t i = 0; Going(); ++i) {
      const uint64_t before = position;
      Before();
      const int more = daxfs_xattr_next(&image_, &attr, &position, &entry, &why_);
      if (more == 0) break;
      if (more != 1) {
        After("xattr_next", more, {});
        Refused(Level::kXattr, more);
        break;
      }
      if (position <= before || position % 8 != 0 || position > attr.xattr_size)
        Violation("the walk over xattrs does not move on");
      OneXattr(attr, entry, before, position);
    }
    for (const std::string_view name : {"", "user.nothing", "u", "security.capability\0x"})
      NoXattr(attr, name);
    NoXattr(attr, std::string(300, 'u'));
  }

  void OneXattr(const daxfs_attr& attr, const daxfs_xattr_entry& entry, uint64_t start,
                uint64_t end) {
    const auto* list =
        image_.base + image_.info.section[DAXFS_SECTION_XATTRS].offset + attr.xattr_start;
    Reach("xattr name", entry.name, entry.name_length, DAXFS_SECTION_XATTRS);
    Reach("xattr value", entry.value, entry.value_length, DAXFS_SECTION_XATTRS);
    if (!Going()) return;
    if (entry.name_length == 0 || entry.name_length > DAXFS_XATTR_NAME_MAX ||
        entry.value_length > DAXFS_XATTR_VALUE_MAX)
      Violation("xattr of a wrong length");
    if (reinterpret_cast<const uint8_t*>(entry.name) < list + start ||
        entry.value + entry.value_length > list + end)
      Violation("xattr outside its own entry");
    const std::string name(entry.name, entry.name_length);
    daxfs_xattr_entry found;
    Before();
    const int error =
        daxfs_xattr_find(&image_, &attr, name.data(), entry.name_length, &found, &why_);
    if (!After("xattr_find", error, {-ENODATA}))
      return Expect(false, "an xattr that is listed is not found");
    Expect(std::string_view(found.name, found.name_length) == name, "xattr_find of another name");
    Reach("xattr value found", found.value, found.value_length, DAXFS_SECTION_XATTRS);
  }

  void NoXattr(const daxfs_attr& attr, std::string_view name) {
    if (!Going()) return;
    daxfs_xattr_entry found;
    Before();
    const int error = daxfs_xattr_find(&image_, &attr, name.data(),
                                       static_cast<uint32_t>(name.size()), &found, &why_);
    if (!After("xattr_find", error, {-ENODATA})) return;
    Reach("xattr name found", found.name, found.name_length, DAXFS_SECTION_XATTRS);
    if (Going())
      Expect(std::string_view(found.name, found.name_length) == name, "xattr_find of another name");
  }

  const daxfs_image& image_;
  const uint64_t size_;
  WalkResult& result_;
  uint64_t inodes_left_;
  uint64_t bytes_left_;
  const std::function<void()>& between_;
  bool in_tree_ = true;
  const char* why_ = "";
  std::vector<bool> visited_;
  std::vector<daxfs_attr> directories_;
};

}  // namespace

const char* NameOf(Level level) {
  static constexpr const char* kNames[] = {"superblock", "section", "digest", "inode", "dirent",
                                           "symlink",    "extent",  "xattr",  "none"};
  return kNames[static_cast<size_t>(level)];
}

WalkResult Walk(const void* base, size_t size, uint64_t max_inodes, uint64_t max_bytes,
                const std::function<void()>& between) {
  WalkResult result;
  daxfs_image image;
  const char* why = "";
  result.error = daxfs_image_open(&image, base, size, &why);
  if (result.error != 0) {
    result.why = why;
    result.refused = LevelOfOpen(result.why);
    if (result.why.empty()) result.violation = "image_open refuses without a reason";
    return result;
  }
  Walker(image, size, result, max_inodes, max_bytes, between).All();
  return result;
}

}  // namespace daxfs::core_testing
