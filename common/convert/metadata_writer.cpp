// SPDX-License-Identifier: Apache-2.0
#include "common/convert/metadata_writer.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string>

namespace daxfs::convert {
namespace {

constexpr std::uint64_t kNotPlaced = std::numeric_limits<std::uint64_t>::max();

std::uint64_t RoundUp(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

std::uint64_t BytesOf(const XattrMap& xattrs) {
  std::uint64_t bytes = 0;
  for (const auto& [name, value] : xattrs) {
    bytes += daxfs_xattr_bytes(static_cast<__u32>(name.size()), static_cast<__u32>(value.size()));
  }
  return bytes;
}

std::uint32_t TypeOf(const Node& node) { return node.attributes.mode & kTypeMask; }

struct Entry {
  std::uint32_t hash;
  const std::string* name;
  NodeId node;
};

bool Before(const Entry& a, const Entry& b) {
  return daxfs_name_order(a.hash, a.name->data(), static_cast<__u32>(a.name->size()), b.hash,
                          b.name->data(), static_cast<__u32>(b.name->size())) < 0;
}

// A directory's entries in the order of look-up. Their names lie in the same order: who lists it
// reads memory from front to back.
std::vector<Entry> EntriesOf(const Tree& tree, NodeId id) {
  std::vector<Entry> entries;
  for (const auto& [name, child] : tree.ChildrenOf(id)) {
    const __u32 hash = daxfs_name_hash(name.data(), static_cast<__u32>(name.size()));
    entries.push_back({hash, &name, child});
  }
  std::sort(entries.begin(), entries.end(), Before);
  return entries;
}

}  // namespace

MetadataWriter::MetadataWriter(const MetadataSource& source, Sink& sink)
    : source_(source), sink_(sink) {}

void MetadataWriter::NumberInodes() {
  numbers_.assign(source_.tree.Capacity(), 0);
  order_.push_back(Tree::kRoot);
  numbers_[Tree::kRoot] = DAXFS_ROOT_INO;
  for (std::size_t i = 0; i < order_.size(); ++i) {
    const NodeId id = order_[i];
    CountNode(source_.tree.At(id), id);
    if (!source_.tree.IsDirectory(id)) continue;
    for (const auto& [name, child] : source_.tree.ChildrenOf(id)) {
      ++dirents_;
      dirent_name_bytes_ += name.size();
      if (numbers_[child] != 0) continue;
      order_.push_back(child);
      numbers_[child] = order_.size();
    }
  }
}

void MetadataWriter::CountNode(const Node& node, NodeId id) {
  extents_ += source_.data.ExtentsOf(node.data).size();
  if (TypeOf(node) == kTypeSymlink) {
    ++targets_;
    target_bytes_ += node.target.size();
  }
  if (source_.tree.IsDirectory(id) && node.implicit) ++implicit_directories_;
  if (node.xattrs == kNoXattrs) return;
  if (xattr_starts_.size() <= node.xattrs) xattr_starts_.resize(node.xattrs + 1, kNotPlaced);
  if (xattr_starts_[node.xattrs] != kNotPlaced) return;
  xattr_starts_[node.xattrs] = xattr_bytes_;
  xattr_order_.push_back(node.xattrs);
  xattr_bytes_ += BytesOf(source_.xattrs.Get(node.xattrs));
}

void MetadataWriter::PlanSections() {
  const DataSummary& data = source_.summary;
  info_.version = DAXFS_VERSION;
  info_.data_offset = data.data_offset;
  info_.data_size = RoundUp(data.data_end, DAXFS_BLOCK_SIZE) - data.data_offset;
  info_.meta_offset = info_.data_offset + info_.data_size;
  info_.waste_size = data.waste_bytes;
  info_.huge_min = source_.options.layout.huge_min_bytes;
  info_.data_align_shift = source_.options.layout.data_align_shift;
  info_.profile =
      source_.options.profile == Profile::kLayer ? DAXFS_PROFILE_LAYER : DAXFS_PROFILE_ARCHIVE;
  info_.layout_flags = source_.options.flattened ? DAXFS_LAYOUT_FLATTENED : 0;
  if (source_.made_of) {
    std::memcpy(info_.source, source_.made_of->digest.data(), sizeof(info_.source));
    info_.source_size = source_.made_of->size_bytes;
  }
  const std::array<daxfs_section_info, DAXFS_SECTION_COUNT> sizes = {{
      {0, order_.size() * sizeof(daxfs_inode), order_.size()},
      {0, dirents_ * sizeof(daxfs_dirent), dirents_},
      {0, extents_ * sizeof(daxfs_extent), extents_},
      {0, dirent_name_bytes_ + target_bytes_, dirents_ + targets_},
      {0, xattr_bytes_, xattr_order_.size()},
      {0, 0, 0},
      {0, data.digests.size() * DAXFS_DIGEST_SIZE, data.digests.size()},
      {0, 0, 0},
  }};
  std::uint64_t next = info_.meta_offset;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (i == DAXFS_SECTION_SIGNATURE) info_.meta_size = next - info_.meta_offset;
    info_.section[i] = {next, sizes.at(i).size, sizes.at(i).count};
    next = RoundUp(next + sizes.at(i).size, DAXFS_SECTION_ALIGN);
  }
  info_.image_size = RoundUp(next, DAXFS_BLOCK_SIZE);
}

// What depends on the type, taking the next records of the other sections for it.
void MetadataWriter::AddData(const Node& node, NodeId id, daxfs_attr* attr) {
  const std::uint32_t type = TypeOf(node);
  if (type == kTypeDirectory) {
    const Tree::Children& children = source_.tree.ChildrenOf(id);
    attr->parent = numbers_[node.parent];
    attr->nlink = 2;
    for (const auto& [name, child] : children)
      attr->nlink += source_.tree.IsDirectory(child) ? 1 : 0;
    attr->data_start = dirents_;
    attr->data_count = children.size();
    attr->flags = node.implicit ? DAXFS_INODE_IMPLICIT : 0;
    dirents_ += children.size();
  } else if (type == kTypeSymlink) {
    attr->size = node.target.size();
    attr->data_start = dirent_name_bytes_ + target_bytes_;
    attr->data_count = node.target.size();
    target_bytes_ += node.target.size();
  } else if (type == kTypeFile) {
    attr->size = node.size_bytes;
    attr->data_start = extents_;
    const std::uint64_t huge_min = source_.options.layout.huge_min_bytes;
    attr->flags = huge_min != 0 && node.size_bytes >= huge_min ? DAXFS_INODE_HUGE : 0;
    const std::span<const Extent> extents = source_.data.ExtentsOf(node.data);
    attr->data_count = extents.size();
    for (const Extent& extent : extents) attr->allocated_size += extent.length;
    extents_ += extents.size();
  }
}

daxfs_attr MetadataWriter::AttributesOf(NodeId id) {
  const Node& node = source_.tree.At(id);
  daxfs_attr attr = {};
  attr.mode = node.attributes.mode;
  attr.uid = node.attributes.uid;
  attr.gid = node.attributes.gid;
  attr.mtime_sec = node.attributes.mtime_seconds;
  attr.mtime_nsec = node.attributes.mtime_nanoseconds;
  attr.nlink = node.names;
  attr.rdev_major = node.attributes.rdev_major;
  attr.rdev_minor = node.attributes.rdev_minor;
  AddData(node, id, &attr);
  if (node.xattrs != kNoXattrs) {
    const XattrMap& xattrs = source_.xattrs.Get(node.xattrs);
    attr.xattr_start = xattr_starts_[node.xattrs];
    attr.xattr_size = static_cast<__u32>(BytesOf(xattrs));
    attr.xattr_count = static_cast<__u32>(xattrs.size());
  }
  return attr;
}

Status MetadataWriter::WriteInodes(MetadataStream& out) {
  dirents_ = 0;
  extents_ = 0;
  target_bytes_ = 0;
  for (const NodeId id : order_) {
    const daxfs_attr attr = AttributesOf(id);
    ASSIGN_OR_RETURN(std::byte * record, out.Reserve(sizeof(daxfs_inode)));
    daxfs_encode_inode(record, &attr);
  }
  return Status::Ok();
}

Status MetadataWriter::WriteDirents(MetadataStream& out) {
  dirent_name_bytes_ = 0;
  for (const NodeId id : order_) {
    if (source_.tree.IsDirectory(id)) RETURN_IF_ERROR(WriteDirectory(out, id));
  }
  return Status::Ok();
}

Status MetadataWriter::WriteDirectory(MetadataStream& out, NodeId id) {
  for (const Entry& entry : EntriesOf(source_.tree, id)) {
    ASSIGN_OR_RETURN(std::byte * record, out.Reserve(sizeof(daxfs_dirent)));
    daxfs_encode_dirent(record, entry.hash, static_cast<__u32>(entry.name->size()),
                        TypeOf(source_.tree.At(entry.node)) >> 12U, dirent_name_bytes_,
                        numbers_[entry.node]);
    dirent_name_bytes_ += entry.name->size();
  }
  return Status::Ok();
}

Status MetadataWriter::WriteExtents(MetadataStream& out) {
  for (const NodeId id : order_) {
    for (const Extent& extent : source_.data.ExtentsOf(source_.tree.At(id).data)) {
      ASSIGN_OR_RETURN(std::byte * record, out.Reserve(sizeof(daxfs_extent)));
      daxfs_encode_extent(record, extent.logical, extent.offset, extent.length);
    }
  }
  return Status::Ok();
}

Status MetadataWriter::WriteNames(MetadataStream& out) {
  for (const NodeId id : order_) {
    if (!source_.tree.IsDirectory(id)) continue;
    for (const Entry& entry : EntriesOf(source_.tree, id))
      RETURN_IF_ERROR(out.Append(std::as_bytes(std::span(*entry.name))));
  }
  for (const NodeId id : order_) {
    RETURN_IF_ERROR(out.Append(std::as_bytes(std::span(source_.tree.At(id).target))));
  }
  return Status::Ok();
}

Status MetadataWriter::WriteXattrs(MetadataStream& out) {
  for (const XattrId id : xattr_order_) {
    for (const auto& [name, value] : source_.xattrs.Get(id)) {
      const auto name_length = static_cast<__u32>(name.size());
      const auto value_length = static_cast<__u32>(value.size());
      ASSIGN_OR_RETURN(std::byte * record,
                       out.Reserve(daxfs_xattr_bytes(name_length, value_length)));
      daxfs_encode_xattr(record, name.data(), name_length, value.data(), value_length);
    }
  }
  return Status::Ok();
}

Status MetadataWriter::WriteDigests(MetadataStream& out) {
  for (const oci::Digest& digest : source_.summary.digests) {
    RETURN_IF_ERROR(out.Append(digest.bytes));
  }
  return Status::Ok();
}

Status MetadataWriter::WriteSections(MetadataStream& out) {
  using Writer = Status (MetadataWriter::*)(MetadataStream&);
  const std::array<Writer, DAXFS_SECTION_COUNT> writers = {
      &MetadataWriter::WriteInodes,  &MetadataWriter::WriteDirents,
      &MetadataWriter::WriteExtents, &MetadataWriter::WriteNames,
      &MetadataWriter::WriteXattrs,  nullptr,
      &MetadataWriter::WriteDigests, nullptr,
  };
  for (std::size_t i = 0; i < writers.size(); ++i) {
    // The plan and what is written come from two passes: they have to agree.
    DAXFS_CHECK(out.position() == info_.section[i].offset);
    if (writers.at(i) != nullptr) RETURN_IF_ERROR((this->*writers.at(i))(out));
    DAXFS_CHECK(out.position() == info_.section[i].offset + info_.section[i].size);
    RETURN_IF_ERROR(out.PadTo(DAXFS_SECTION_ALIGN));
  }
  return out.Flush();
}

Status MetadataWriter::Publish(oci::Digest* root) {
  *root = hasher_.Finish();
  std::memcpy(info_.root, root->bytes.data(), sizeof(info_.root));
  daxfs_uuid_from_root(info_.uuid, info_.root);
  std::array<std::byte, DAXFS_BLOCK_SIZE> block{};
  daxfs_encode_super(block.data(), &info_);
  RETURN_IF_ERROR(sink_.Write(0, block));
  std::array<__u8, 8> magic{};
  daxfs_encode_magic(magic.data());
  return sink_.Finish(info_.image_size, std::as_bytes(std::span(magic)));
}

Result<ImageSummary> MetadataWriter::Write() {
  NumberInodes();
  PlanSections();
  std::array<std::byte, DAXFS_BLOCK_SIZE> super{};
  std::array<std::byte, DAXFS_BLOCK_SIZE> for_root{};
  daxfs_encode_super(super.data(), &info_);
  daxfs_super_for_root(for_root.data(), super.data());
  hasher_.Update(for_root);
  MetadataStream out(sink_, hasher_, info_.meta_offset);
  RETURN_IF_ERROR(WriteSections(out));
  DAXFS_CHECK(out.position() == info_.meta_offset + info_.meta_size);
  // Behind the metadata, outside root: zeros up to the block.
  RETURN_IF_ERROR(sink_.Zero(out.position(), info_.image_size - out.position()));
  ImageSummary summary;
  RETURN_IF_ERROR(Publish(&summary.root));
  summary.image_bytes = info_.image_size;
  summary.data_bytes = info_.data_size;
  summary.metadata_bytes = info_.meta_size;
  summary.waste_bytes = info_.waste_size;
  summary.shared_bytes = source_.summary.shared_bytes;
  summary.inodes = order_.size();
  summary.implicit_directories = implicit_directories_;
  summary.source = source_.made_of;
  return summary;
}

}  // namespace daxfs::convert
