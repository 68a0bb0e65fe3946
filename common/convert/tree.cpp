// SPDX-License-Identifier: Apache-2.0
#include "common/convert/tree.hpp"

#include <limits>
#include <utility>

#include "daxfs/format.h"

namespace daxfs::convert {
namespace {

constexpr std::uint64_t kNameBytes = 80;    // of an entry of a std::map, and what malloc adds
constexpr std::size_t kResolvedMax = 4096;  // PATH_MAX
constexpr int kMaxLinks = 255;              // continuity's limit
constexpr std::uint32_t kMaxMajor = 0xfff;  // what the kernel's dev_t holds
constexpr std::uint32_t kMaxMinor = 0xfffff;

Status CheckName(std::string_view name) {
  if (name.size() > DAXFS_NAME_MAX) {
    return InvalidArgumentError("name of " + std::to_string(name.size()) +
                                " bytes: at most 255 are possible");
  }
  const bool dots = name == "." || name == "..";
  if (name.empty() || dots || name.find('/') != std::string_view::npos ||
      name.find('\0') != std::string_view::npos) {
    return InvalidArgumentError("a name that no directory can hold");
  }
  return Status::Ok();
}

Status CheckNode(const Node& node) {
  const Attributes& a = node.attributes;
  const std::uint32_t type = a.mode & kTypeMask;
  if (type == kTypeSymlink) {
    const std::string& target = node.target;
    if (target.empty() || target.size() > DAXFS_SYMLINK_MAX ||
        target.find('\0') != std::string::npos) {
      return InvalidArgumentError("symbolic link with a target of " +
                                  std::to_string(target.size()) +
                                  " bytes: 1 to 4095 without NUL are possible");
    }
  }
  if (a.rdev_major > kMaxMajor || a.rdev_minor > kMaxMinor) {
    return InvalidArgumentError("device number " + std::to_string(a.rdev_major) + ":" +
                                std::to_string(a.rdev_minor) + " is more than 4095:1048575");
  }
  return Status::Ok();
}

}  // namespace

std::uint64_t Tree::NameBytes(std::string_view name) { return kNameBytes + name.size(); }

std::uint64_t Tree::NodeBytes(const Node& node) {
  const bool directory = (node.attributes.mode & kTypeMask) == kTypeDirectory;
  return sizeof(Slot) + node.target.size() + (directory ? sizeof(Children) : 0);
}

bool IsWhiteout(const Attributes& attributes) {
  return (attributes.mode & kTypeMask) == kTypeCharacter && attributes.rdev_major == 0 &&
         attributes.rdev_minor == 0;
}

Tree::Tree(std::function<void(const Node&)> on_gone, std::uint64_t max_bytes)
    : on_gone_(std::move(on_gone)), max_bytes_(max_bytes) {
  Slot root;
  root.node.attributes.mode = kTypeDirectory | 0755;
  root.node.names = 1;
  root.children = std::make_unique<Children>();
  nodes_.push_back(std::move(root));
}

std::optional<NodeId> Tree::Child(NodeId directory, std::string_view name) const {
  const Children& children = ChildrenOf(directory);
  const auto child = children.find(name);
  if (child == children.end()) return std::nullopt;
  return child->second;
}

Status Tree::Charge(std::uint64_t bytes) {
  if (bytes > max_bytes_ - bytes_) {
    return ResourceExhaustedError("too many or too long names: the tree of a layer may take " +
                                  std::to_string(max_bytes_ >> 20U) + " MiB of memory");
  }
  bytes_ += bytes;
  return Status::Ok();
}

Result<NodeId> Tree::Add(NodeId directory, std::string_view name, Node node) {
  RETURN_IF_ERROR(CheckName(name));
  RETURN_IF_ERROR(CheckNode(node));
  DAXFS_CHECK(IsDirectory(directory) && nodes_.size() < std::numeric_limits<NodeId>::max());
  RETURN_IF_ERROR(Charge(NodeBytes(node) + NameBytes(name)));
  Slot slot;
  slot.node = std::move(node);
  slot.node.names = 1;
  if ((slot.node.attributes.mode & kTypeMask) == kTypeDirectory) {
    slot.node.parent = directory;
    slot.children = std::make_unique<Children>();
  }
  auto id = static_cast<NodeId>(nodes_.size());
  if (free_.empty()) {
    nodes_.push_back(std::move(slot));
  } else {
    id = free_.back();
    free_.pop_back();
    nodes_[id] = std::move(slot);
  }
  const bool added = nodes_[directory].children->emplace(name, id).second;
  DAXFS_CHECK(added);
  return id;
}

Status Tree::Link(NodeId directory, std::string_view name, NodeId node) {
  RETURN_IF_ERROR(CheckName(name));
  DAXFS_CHECK(IsDirectory(directory) && !IsDirectory(node));
  RETURN_IF_ERROR(Charge(NameBytes(name)));
  const bool added = nodes_[directory].children->emplace(name, node).second;
  DAXFS_CHECK(added);
  ++At(node).names;
  return Status::Ok();
}

void Tree::Unname(NodeId id, std::vector<NodeId>* doomed) {
  Node& node = At(id);
  DAXFS_CHECK(node.names > 0);
  if (--node.names == 0) doomed->push_back(id);
}

void Tree::Remove(NodeId directory, std::string_view name) {
  Children& children = *nodes_[directory].children;
  const auto child = children.find(name);
  DAXFS_CHECK(child != children.end());
  std::vector<NodeId> doomed;
  Unname(child->second, &doomed);
  bytes_ -= NameBytes(name);
  children.erase(child);
  while (!doomed.empty()) {
    const NodeId id = doomed.back();
    doomed.pop_back();
    on_gone_(At(id));
    bytes_ -= NodeBytes(At(id));
    const std::unique_ptr<Children> below = std::move(nodes_[id].children);
    nodes_[id].node = Node();
    free_.push_back(id);
    if (below == nullptr) continue;
    for (const auto& [child_name, grandchild] : *below) {
      bytes_ -= NameBytes(child_name);
      Unname(grandchild, &doomed);
    }
  }
}

std::vector<std::string> CleanPath(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.emplace_back(part);
    }
  }
  return parts;
}

Result<std::vector<std::string>> ResolveInRoot(const Tree& tree, std::vector<std::string> path,
                                               std::uint64_t* budget) {
  int links = 0;
  NodeId at = Tree::kRoot;
  for (std::size_t i = 0; i < path.size();) {
    if (!tree.IsDirectory(at)) return InvalidArgumentError(path[i - 1] + ": not a directory");
    const std::optional<NodeId> child = tree.Child(at, path[i]);
    if (!child.has_value()) return path;  // what is missing cannot be a link
    const Node& node = tree.At(*child);
    if ((node.attributes.mode & kTypeMask) != kTypeSymlink) {
      at = *child;
      ++i;
      continue;
    }
    if (++links > kMaxLinks) return InvalidArgumentError("too many symbolic links");
    // Each link starts again at the root.
    if (*budget < i) {
      return ResourceExhaustedError("symbolic links lead through too many directories in all");
    }
    *budget -= i;
    std::string joined;
    if (!node.target.starts_with('/')) {
      for (std::size_t k = 0; k < i; ++k) joined += path[k] + "/";
    }
    joined += node.target;
    for (std::size_t k = i + 1; k < path.size(); ++k) joined += "/" + path[k];
    if (joined.size() > kResolvedMax) {
      return InvalidArgumentError("symbolic links make a path of more than 4096 bytes");
    }
    path = CleanPath(joined);
    at = Tree::kRoot;
    i = 0;
  }
  return path;
}

}  // namespace daxfs::convert
