// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/convert/image_builder.hpp"
#include "common/convert/implicit.hpp"
#include "common/format/image.hpp"
#include "common/oci/layer_stream.hpp"
#include "common/oci/tar_reader.hpp"

namespace daxfs::convert {

// Where the entries of a tar go, and what they mean there. All borrowed.
struct TarTarget {
  Tree& tree;
  DataWriter& data;
  XattrTable& xattrs;
  Profile profile = Profile::kLayer;
  Below below = {};
};

// Applies a tar to a tree. Common to both profiles:
//  - names are cleaned and their parents resolved inside the tree, so nothing can escape;
//  - parents nobody names become 0755 root:root and carry the flag `implicit`;
//  - an entry replaces what is there, except a directory over a directory; the last one wins.
//
// kLayer is what containerd's archive.Apply does to an upper directory of OverlayFS
// (pkg/archive/tar.go: applyNaive with OverlayConvertWhiteout):
//  - what resolves to the root is ignored;
//  - ".wh.NAME" becomes a character device 0:0 called NAME, with the time 0 where containerd leaves
//    that of the extraction; ".wh..wh..opq" the xattr trusted.overlay.opaque=y of its directory;
//    AUFS leftovers (other ".wh..wh.*") are dropped;
//  - with nothing below there are no such marks: a whiteout removes what the layer itself has put
//    there, an opaque directory loses the parents in it that no entry has named;
//  - parents nobody names have what the layers below have there, and else the group of a directory
//    whose set-group-ID bit is set;
//  - a hard link takes its header's owner, mode and times to the file; its target must be there;
//  - types that only GNU tar writes (old sparse files, contiguous files, labels) are refused;
//  - rules of ApplyProfile and KeepsXattr.
//
// kArchive is what the archiver meant:
//  - an entry for the root sets the root's attributes; names beginning ".wh." are names;
//  - a hard link changes nothing of its file and may come before it;
//  - extended attributes in every spelling of oci/tar_extras.hpp; those of a directory's last entry
//    count alone;
//  - attributes in a global header are refused: readers differ over whom they concern.
class TarApplier {
 public:
  explicit TarApplier(const TarTarget& target) : target_(target) {}

  // Applies one entry, reading its data from `reader`. Errors: kInvalidArgument for what the
  // profile refuses; those of reader and data; with the entry's name in front.
  Status Apply(const oci::TarEntry& entry, oci::TarReader& reader, Monitor& monitor);
  // No more entries: hard links that came before their files are made. Errors: kInvalidArgument for
  // those whose file never came.
  Status Finish();

 private:
  struct Place {
    NodeId directory;
    std::string name;
  };
  // A hard link whose file is not there yet. An empty file keeps its place meanwhile.
  struct Pending {
    std::vector<std::string> path;
    std::string target;
    bool visited = false;
    std::optional<NodeId> end;  // the file, once found
  };
  bool IsLayer() const { return target_.profile == Profile::kLayer; }
  Status CheckKnown(const oci::TarEntry& entry) const;
  Status ApplyRoot(const oci::TarEntry& entry);
  Status ApplyAt(const Place& place, const oci::TarEntry& entry, oci::TarReader& reader,
                 Monitor& monitor);
  Result<NodeId> MakeParents(const std::vector<std::string>& path);
  Result<Node> UnnamedDirectory(NodeId parent, const std::string& path);
  Status ApplyWhiteout(const Place& place, const oci::TarEntry& entry);
  Status MakeOpaque(NodeId directory);
  void RemoveUnnamed(NodeId directory);
  Status TakeLinkAttributes(NodeId id, const oci::TarEntry& entry);
  Status ApplyHardLink(const Place& place, const oci::TarEntry& entry);
  Status ApplyArchiveLink(const Place& place, const oci::TarEntry& entry);
  Result<std::optional<NodeId>> LookUpLinkTarget(const std::string& link_name);
  Result<NodeId> FindLinkTarget(const std::string& link_name);
  Result<NodeId> FollowPending(NodeId id);
  Attributes FromEntry(const oci::TarEntry& entry, std::uint32_t type) const;
  Status AddNode(const Place& place, const oci::TarEntry& entry, Node node);
  Status ReadData(const oci::TarEntry& entry, oci::TarReader& reader, Monitor& monitor, Node* node);
  Status SetXattrs(NodeId id, const oci::TarEntry& entry);

  const TarTarget target_;
  std::map<NodeId, Pending> pending_;  // by the node that keeps the place, if it still does
  std::vector<std::string> path_;      // of the current entry, its parents resolved
  // What a small tar may make of itself: components walked for links, parents nobody names.
  std::uint64_t link_budget_ = std::uint64_t{1} << 25U;
  std::uint64_t implicit_budget_ = 1000000;
};

// All entries of a tar. Errors: as TarApplier; the reader's.
Status ApplyTar(const TarTarget& target, oci::TarReader& reader, Monitor& monitor);

// The same of a tar as it is stored, all of it compared; which tar it was. `monitor` hears of
// stored bytes instead. Errors: also the stream's.
Result<format::SourceInfo> ApplyStream(const TarTarget& target, oci::LayerStream& stream,
                                       Monitor& monitor);

}  // namespace daxfs::convert
