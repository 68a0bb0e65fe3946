// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/convert/image_builder.hpp"
#include "common/oci/tar_reader.hpp"

namespace daxfs::convert {

// Where the entries of a layer go. All borrowed.
struct LayerTarget {
  Tree& tree;
  DataWriter& data;
  XattrTable& xattrs;
};

// Applies a layer's tar to a tree as containerd's archive.Apply does to an upper directory of
// OverlayFS (pkg/archive/tar.go: applyNaive with OverlayConvertWhiteout):
//  - names are cleaned and their parents resolved inside the tree; what resolves to the root is
//  ignored;
//  - parents nobody names become 0755 root:root and carry the flag `implicit`;
//  - an entry replaces what is there, except a directory over a directory; the last one wins;
//  - ".wh.NAME" becomes a character device 0:0 called NAME, ".wh..wh..opq" the xattr
//  trusted.overlay.opaque=y
//    of its directory; AUFS leftovers (other ".wh..wh.*") are dropped;
//  - a hard link takes its header's owner, mode and times to the file; its target must be in this
//  layer;
//  - kLayer rules of ApplyProfile and KeepsXattr.
// Whiteouts get the time 0, where containerd leaves the time of the extraction.
class LayerApplier {
 public:
  explicit LayerApplier(const LayerTarget& target) : target_(target) {}

  // Applies one entry, reading its data from `reader`. Errors: kInvalidArgument for what containerd
  // refuses too; those of reader and data; with the entry's name in front.
  Status Apply(const oci::TarEntry& entry, oci::TarReader& reader, Monitor& monitor);

 private:
  struct Place {
    NodeId directory;
    std::string name;
  };
  Status ApplyAt(const Place& place, const oci::TarEntry& entry, oci::TarReader& reader,
                 Monitor& monitor);
  Result<NodeId> MakeParents(const std::vector<std::string>& path);
  Status ApplyWhiteout(const Place& place, const oci::TarEntry& entry);
  Status ApplyHardLink(const Place& place, const oci::TarEntry& entry);
  Result<NodeId> FindLinkTarget(const std::string& link_name);
  Status AddNode(const Place& place, const oci::TarEntry& entry, Node node);
  Status ReadData(const oci::TarEntry& entry, oci::TarReader& reader, Monitor& monitor, Node* node);
  Status SetXattrs(NodeId id, const oci::TarEntry& entry);

  const LayerTarget target_;
};

// All entries of a tar. Errors: as LayerApplier::Apply; the reader's.
Status ApplyLayer(const LayerTarget& target, oci::TarReader& reader, Monitor& monitor);

}  // namespace daxfs::convert
