// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.hpp"
#include "common/convert/data_writer.hpp"
#include "common/convert/xattr_table.hpp"

namespace daxfs::convert {

using NodeId = std::uint32_t;

// Of memory for the tree of one layer: four million entries, which a few megabytes of a hostile one
// can ask for.
inline constexpr std::uint64_t kLayerTreeMaxBytes = std::uint64_t{1} << 30U;

// File types and permissions as in stat(2).
inline constexpr std::uint32_t kTypeMask = 0170000;
inline constexpr std::uint32_t kTypeSocket = 0140000;
inline constexpr std::uint32_t kTypeSymlink = 0120000;
inline constexpr std::uint32_t kTypeFile = 0100000;
inline constexpr std::uint32_t kTypeBlock = 0060000;
inline constexpr std::uint32_t kTypeDirectory = 0040000;
inline constexpr std::uint32_t kTypeCharacter = 0020000;
inline constexpr std::uint32_t kTypeFifo = 0010000;

struct Attributes {
  std::uint32_t mode = 0;  // type and permissions
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t rdev_major = 0;
  std::uint32_t rdev_minor = 0;
  std::uint32_t mtime_nanoseconds = 0;
  std::int64_t mtime_seconds = 0;
};

// What every extraction tool does with a whiteout: character device 0:0.
bool IsWhiteout(const Attributes& attributes);

struct Node {
  Attributes attributes;
  std::uint64_t size_bytes = 0;  // files only
  DataId data = kNoData;         // files only
  XattrId xattrs = kNoXattrs;
  std::uint32_t names = 0;  // directory entries that name it
  NodeId parent = 0;        // directories only
  bool implicit = false;    // directory no entry of the source named
  bool opaque = false;      // directory whose mark was seen, with nothing below
  bool pending = false;     // keeps the place of a link to what has not come yet
  std::string target;       // symbolic links only
};

// The directory tree of an image while it is made. Numbers of nodes that are gone are given again.
// Names are bytes; children are kept in their order, so what is written does not depend on the
// order of arrival. Nodes without a name left are gone from the tree; the owner is told through
// `on_gone`. Depth is bounded by the callers' path limit, and nothing here recurses.
class Tree {
 public:
  using Children = std::map<std::string, NodeId, std::less<>>;
  static constexpr NodeId kRoot = 0;

  // `on_gone` is called for each node that lost its last name, before it is dropped. What is in the
  // tree takes `max_bytes` of memory at most, about.
  explicit Tree(std::function<void(const Node&)> on_gone,
                std::uint64_t max_bytes = kLayerTreeMaxBytes);

  Node& At(NodeId id) { return nodes_[id].node; }
  const Node& At(NodeId id) const { return nodes_[id].node; }
  bool IsDirectory(NodeId id) const {
    return (At(id).attributes.mode & kTypeMask) == kTypeDirectory;
  }
  // Requires: IsDirectory(id).
  const Children& ChildrenOf(NodeId id) const { return *nodes_[id].children; }
  std::optional<NodeId> Child(NodeId directory, std::string_view name) const;

  // A new node under a free name. Errors: kInvalidArgument for a name, symbolic link or device
  // number the format cannot hold; kResourceExhausted.
  Result<NodeId> Add(NodeId directory, std::string_view name, Node node);
  // One more name for a node that is no directory. Requires: the name is free. Errors: as Add.
  Status Link(NodeId directory, std::string_view name, NodeId node);
  // Removes the name and, if it was the last, the node with everything below it.
  void Remove(NodeId directory, std::string_view name);

  // Upper bound of NodeId.
  std::size_t Capacity() const { return nodes_.size(); }

 private:
  struct Slot {
    Node node;
    std::unique_ptr<Children> children;  // directories only
  };
  static std::uint64_t NameBytes(std::string_view name);
  static std::uint64_t NodeBytes(const Node& node);
  Status Charge(std::uint64_t bytes);
  void Unname(NodeId id, std::vector<NodeId>* doomed);

  std::function<void(const Node&)> on_gone_;
  const std::uint64_t max_bytes_;
  std::uint64_t bytes_ = 0;  // of what is in the tree
  std::deque<Slot> nodes_;
  std::vector<NodeId> free_;  // numbers of nodes that are gone
};

// A path split at its slashes, lexically cleaned as path/filepath.Clean does: empty and "."
// components are dropped, ".." takes the one before it away, and at the root stays there.
std::vector<std::string> CleanPath(std::string_view path);

// What a path leads to when symbolic links are followed inside the tree, as continuity's
// fs.RootPath does: absolute targets start at the tree's root, ".." never leaves it, missing
// components stay as they are. Errors: kInvalidArgument for more than 255 links or a component
// below something that is no directory; kResourceExhausted when all calls with this `budget` have
// walked that many components on behalf of links.
Result<std::vector<std::string>> ResolveInRoot(const Tree& tree, std::vector<std::string> path,
                                               std::uint64_t* budget);

}  // namespace daxfs::convert
