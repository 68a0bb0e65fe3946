// SPDX-License-Identifier: Apache-2.0
#include "common/format/image.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "kernel-module/core/core.h"

namespace daxfs::format {
namespace {

constexpr std::array<std::string_view, DAXFS_SECTION_COUNT> kSectionNames = {
    "inodes", "dirents", "extents", "names", "xattrs", "blobs", "digests", "signature"};

// core's negative errno with its reason.
Status FromCore(int error, const char* why, std::string_view what) {
  if (error == -EFBIG)
    return DataLossError("cut short: the superblock says more bytes than are there");
  if (error == -EUCLEAN) return DataLossError(std::string(what) + ": " + why);
  if (error == -EOPNOTSUPP) return UnimplementedError(std::string(what) + ": " + why);
  if (error == -EINVAL && *why != '\0') {
    return InvalidArgumentError(std::string(what) + ": " + why);
  }
  return Status::FromErrno(-error, what);
}

std::string_view ProfileName(std::uint32_t profile) {
  return profile == DAXFS_PROFILE_LAYER ? "layer" : "archive";
}

Inode ToInode(const daxfs_attr& attr) {
  Inode inode;
  inode.number = attr.ino;
  inode.mode = attr.mode;
  inode.uid = attr.uid;
  inode.gid = attr.gid;
  inode.link_count = attr.nlink;
  inode.size_bytes = attr.size;
  inode.allocated_bytes = attr.allocated_size;
  inode.mtime_seconds = attr.mtime_sec;
  inode.mtime_nanoseconds = attr.mtime_nsec;
  inode.device_major = attr.rdev_major;
  inode.device_minor = attr.rdev_minor;
  inode.huge = (attr.flags & DAXFS_INODE_HUGE) != 0;
  inode.implicit = (attr.flags & DAXFS_INODE_IMPLICIT) != 0;
  inode.parent = attr.parent;
  inode.entries = attr.parent != 0 ? attr.data_count : 0;
  return inode;
}

std::optional<SourceInfo> SourceOf(const daxfs_info& info) {
  SourceInfo source;
  if (std::all_of(std::begin(info.source), std::end(info.source), [](__u8 b) { return b == 0; })) {
    return std::nullopt;
  }
  std::memcpy(source.digest.data(), info.source, source.digest.size());
  source.size_bytes = info.source_size;
  return source;
}

std::string InodeName(std::uint64_t number) { return "inode " + std::to_string(number); }

}  // namespace

Image::Image() : core_(std::make_unique<daxfs_image>()) {}
Image::Image(Image&&) noexcept = default;
Image::~Image() = default;

Status Image::Attach(std::span<const std::byte> bytes) {
  const char* why = "";
  const int error = daxfs_image_open(core_.get(), bytes.data(), bytes.size(), &why);
  return error == 0 ? Status::Ok() : FromCore(error, why, "superblock");
}

Result<Image> Image::Open(const std::string& path) {
  ASSIGN_OR_RETURN(os::Mapping mapping, os::Mapping::OpenReadOnly(path));
  Image image;
  image.mapping_ = std::make_unique<os::Mapping>(std::move(mapping));
  RETURN_IF_ERROR(image.Attach(image.mapping_->bytes()).WithContext(path));
  return image;
}

Result<Image> Image::FromBytes(std::span<const std::byte> bytes) {
  Image image;
  RETURN_IF_ERROR(image.Attach(bytes));
  return image;
}

ImageInfo Image::Info() const {
  const daxfs_info& in = core_->info;
  ImageInfo out;
  out.version = in.version;
  std::memcpy(out.uuid.data(), in.uuid, out.uuid.size());
  std::memcpy(out.root.data(), in.root, out.root.size());
  out.profile = ProfileName(in.profile);
  out.flattened = (in.layout_flags & DAXFS_LAYOUT_FLATTENED) != 0;
  out.user_xattr = (in.layout_flags & DAXFS_LAYOUT_USER_XATTR) != 0;
  out.image_bytes = in.image_size;
  out.data_offset = in.data_offset;
  out.data_bytes = in.data_size;
  out.meta_offset = in.meta_offset;
  out.metadata_bytes = in.meta_size;
  out.waste_bytes = in.waste_size;
  out.huge_min_bytes = in.huge_min;
  out.data_align_bytes = std::uint64_t{1} << in.data_align_shift;
  out.source = SourceOf(in);
  out.inodes = in.section[DAXFS_SECTION_INODES].count;
  for (std::size_t i = 0; i < kSectionNames.size(); ++i) {
    const daxfs_section_info& section = in.section[i];
    out.sections.push_back({kSectionNames.at(i), section.offset, section.size, section.count});
  }
  return out;
}

Status Image::GetAttributes(std::uint64_t number, daxfs_attr* attr) const {
  const char* why = "";
  const int error = daxfs_inode_get(core_.get(), number, attr, &why);
  return error == 0 ? Status::Ok() : FromCore(error, why, InodeName(number));
}

Result<Inode> Image::InodeAt(std::uint64_t number) const {
  daxfs_attr attr = {};
  RETURN_IF_ERROR(GetAttributes(number, &attr));
  return ToInode(attr);
}

Result<DirectoryEntry> Image::Entry(const Inode& directory, std::uint64_t index) const {
  daxfs_attr attr = {};
  RETURN_IF_ERROR(GetAttributes(directory.number, &attr));
  const char* why = "";
  daxfs_entry entry = {};
  const int error = daxfs_dir_entry(core_.get(), &attr, index, &entry, &why);
  if (error != 0) return FromCore(error, why, InodeName(directory.number));
  return DirectoryEntry{{entry.name, entry.name_length}, entry.type, entry.ino};
}

Result<Inode> Image::Child(const Inode& directory, const DirectoryEntry& entry) const {
  daxfs_attr attr = {};
  RETURN_IF_ERROR(GetAttributes(directory.number, &attr));
  daxfs_attr child = {};
  RETURN_IF_ERROR(GetAttributes(entry.number, &child));
  const daxfs_entry named = {entry.name.data(), static_cast<__u32>(entry.name.size()), entry.type,
                             entry.number};
  const char* why = "";
  const int misfit = daxfs_child_check(&attr, &named, &child, &why);
  if (misfit != 0) return FromCore(misfit, why, InodeName(entry.number));
  return ToInode(child);
}

Result<Inode> Image::Find(const Inode& directory, std::string_view name) const {
  daxfs_attr attr = {};
  RETURN_IF_ERROR(GetAttributes(directory.number, &attr));
  if (name.size() > DAXFS_NAME_MAX) return Status::FromErrno(ENAMETOOLONG, "name");
  const char* why = "";
  daxfs_entry entry = {};
  const int error = daxfs_dir_find(core_.get(), &attr, name.data(), static_cast<__u32>(name.size()),
                                   &entry, &why);
  if (error != 0) return FromCore(error, why, std::string(name));
  daxfs_attr child = {};
  RETURN_IF_ERROR(GetAttributes(entry.ino, &child));
  const int misfit = daxfs_child_check(&attr, &entry, &child, &why);
  if (misfit != 0) return FromCore(misfit, why, std::string(name));
  return ToInode(child);
}

Result<Inode> Image::Lookup(std::string_view path) const {
  ASSIGN_OR_RETURN(Inode at, Root());
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") return InvalidArgumentError("\"..\" in a path");
    ASSIGN_OR_RETURN(at, Find(at, part));
  }
  return at;
}

Status Image::Check(const Inode& inode) const {
  constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();
  daxfs_attr attr = {};
  RETURN_IF_ERROR(GetAttributes(inode.number, &attr));
  const char* why = "";
  __u64 allocated = 0;
  int error = daxfs_dir_check(core_.get(), &attr, 0, kAll, &why);
  if (error == -ENOTDIR) {
    error = daxfs_extents_check(core_.get(), &attr, 0, kAll, &allocated, &why);
    if (error == -EINVAL) return Status::Ok();  // neither directory nor file
  }
  return error == 0 ? Status::Ok() : FromCore(error, why, InodeName(inode.number));
}

Result<std::string_view> Image::SymlinkTarget(const Inode& inode) const {
  daxfs_attr attr = {};
  RETURN_IF_ERROR(GetAttributes(inode.number, &attr));
  const char* why = "";
  const char* target = nullptr;
  const int error = daxfs_symlink_target(core_.get(), &attr, &target, &why);
  if (error != 0) return FromCore(error, why, InodeName(inode.number));
  return std::string_view(target, attr.size);
}

Result<DataRun> Image::RunAt(const Inode& inode, std::uint64_t position) const {
  daxfs_attr attr = {};
  RETURN_IF_ERROR(GetAttributes(inode.number, &attr));
  if (position >= attr.size) return Status(StatusCode::kOutOfRange, "past the end of the file");
  const char* why = "";
  daxfs_map map = {};
  const int error = daxfs_map_at(core_.get(), &attr, position, &map, &why);
  if (error != 0) return FromCore(error, why, InodeName(inode.number));
  const std::uint64_t skip = position - map.logical;
  DataRun run;
  run.length = std::min(map.length - skip, attr.size - position);
  run.hole = map.hole != 0;
  if (run.hole) return run;
  run.image_offset = map.offset + skip;
  const void* bytes = daxfs_image_at(core_.get(), run.image_offset, run.length);
  if (bytes == nullptr) return DataLossError(InodeName(inode.number) + ": data outside the image");
  run.bytes = {static_cast<const std::byte*>(bytes), run.length};
  return run;
}

Result<std::vector<XattrEntry>> Image::Xattrs(const Inode& inode) const {
  daxfs_attr attr = {};
  RETURN_IF_ERROR(GetAttributes(inode.number, &attr));
  std::vector<XattrEntry> all;
  std::uint64_t position = 0;
  for (;;) {
    const char* why = "";
    daxfs_xattr_entry entry = {};
    __u64 next = position;
    const int more = daxfs_xattr_next(core_.get(), &attr, &next, &entry, &why);
    if (more < 0) return FromCore(more, why, InodeName(inode.number));
    if (more == 0) return all;
    position = next;
    all.push_back({{entry.name, entry.name_length},
                   {reinterpret_cast<const char*>(entry.value), entry.value_length}});
  }
}

}  // namespace daxfs::format
