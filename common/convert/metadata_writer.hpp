// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/status.hpp"
#include "common/convert/image_builder.hpp"
#include "common/convert/metadata_stream.hpp"
#include "kernel-module/core/encode.h"

namespace daxfs::convert {

// Everything the metadata is made from; borrowed.
struct MetadataSource {
  const Tree& tree;
  const XattrTable& xattrs;
  const DataWriter& data;
  const DataSummary& summary;
  const BuildOptions& options;
  const std::optional<format::SourceInfo>& made_of;
};

// Writes what follows the data area, section by section, then the superblock (docs/format.md).
// Inodes are numbered breadth first with names in byte order, so equal trees give equal bytes. Used
// once.
class MetadataWriter {
 public:
  MetadataWriter(const MetadataSource& source, Sink& sink);

  // Errors: the sink's.
  Result<ImageSummary> Write();

 private:
  void NumberInodes();
  void CountNode(const Node& node, NodeId id);
  void PlanSections();
  daxfs_attr AttributesOf(NodeId id);
  void AddData(const Node& node, NodeId id, daxfs_attr* attr);
  Status WriteInodes(MetadataStream& out);
  Status WriteDirents(MetadataStream& out);
  Status WriteDirectory(MetadataStream& out, NodeId id);
  Status WriteExtents(MetadataStream& out);
  Status WriteNames(MetadataStream& out);
  Status WriteXattrs(MetadataStream& out);
  Status WriteDigests(MetadataStream& out);
  Status WriteSections(MetadataStream& out);
  Status Publish(oci::Digest* root);

  const MetadataSource source_;
  Sink& sink_;
  oci::Sha256 hasher_;
  daxfs_info info_ = {};
  std::vector<NodeId> order_;           // inode number - 1 -> node
  std::vector<std::uint64_t> numbers_;  // node -> inode number, 0: none
  std::vector<std::uint64_t> xattr_starts_;
  std::vector<XattrId> xattr_order_;  // lists in use, in the order of their first user
  std::uint64_t implicit_directories_ = 0;

  // Running totals: first counted, then counted again while records are written.
  std::uint64_t dirents_ = 0;
  std::uint64_t extents_ = 0;
  std::uint64_t dirent_name_bytes_ = 0;
  std::uint64_t target_bytes_ = 0;
  std::uint64_t targets_ = 0;
  std::uint64_t xattr_bytes_ = 0;
};

}  // namespace daxfs::convert
