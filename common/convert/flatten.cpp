// SPDX-License-Identifier: Apache-2.0
#include "common/convert/flatten.hpp"

#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace daxfs::convert {
namespace {

constexpr char kOpaque[] = "trusted.overlay.opaque";

class Merge {
 public:
  Merge(Tree& base, const Tree& layer, XattrTable& xattrs)
      : base_(base), layer_(layer), xattrs_(xattrs) {}

  Status Run();

 private:
  struct Pair {
    NodeId upper;
    NodeId lower;
  };
  bool IsOpaque(const Node& upper) const;
  void Empty(NodeId directory);
  Status MergeDirectory(const Pair& pair);
  Status MergeChild(NodeId lower, const std::string& name, NodeId upper_child);
  Status AddChild(NodeId lower, const std::string& name, NodeId upper_child);
  Result<XattrId> WithoutOpaque(XattrId id);

  Tree& base_;
  const Tree& layer_;
  XattrTable& xattrs_;
  std::vector<Pair> open_;
  std::unordered_map<NodeId, NodeId> moved_;  // files of the layer with several names -> in base
};

bool Merge::IsOpaque(const Node& upper) const {
  const XattrMap& xattrs = xattrs_.Get(upper.xattrs);
  const auto opaque = xattrs.find(kOpaque);
  return opaque != xattrs.end() && opaque->second == "y";
}

Result<XattrId> Merge::WithoutOpaque(XattrId id) {
  if (xattrs_.Get(id).count(kOpaque) == 0) return id;
  XattrMap xattrs = xattrs_.Get(id);
  xattrs.erase(kOpaque);
  return xattrs_.Intern(xattrs);
}

void Merge::Empty(NodeId directory) {
  std::vector<std::string> names;
  for (const auto& [name, child] : base_.ChildrenOf(directory)) names.push_back(name);
  for (const std::string& name : names) base_.Remove(directory, name);
}

Status Merge::Run() {
  open_.push_back({Tree::kRoot, Tree::kRoot});
  while (!open_.empty()) {
    const Pair pair = open_.back();
    open_.pop_back();
    RETURN_IF_ERROR(MergeDirectory(pair));
  }
  return Status::Ok();
}

Status Merge::MergeDirectory(const Pair& pair) {
  const Node& upper = layer_.At(pair.upper);
  if (IsOpaque(upper)) Empty(pair.lower);
  if (pair.upper != Tree::kRoot && !upper.implicit) {
    Node& lower = base_.At(pair.lower);
    lower.attributes = upper.attributes;
    lower.implicit = false;
    ASSIGN_OR_RETURN(lower.xattrs, WithoutOpaque(upper.xattrs));
  }
  for (const auto& [name, child] : layer_.ChildrenOf(pair.upper)) {
    RETURN_IF_ERROR(MergeChild(pair.lower, name, child));
  }
  return Status::Ok();
}

Status Merge::MergeChild(NodeId lower, const std::string& name, NodeId upper_child) {
  const std::optional<NodeId> old = base_.Child(lower, name);
  if (old.has_value() && base_.IsDirectory(*old) && layer_.IsDirectory(upper_child)) {
    open_.push_back({upper_child, *old});
    return Status::Ok();
  }
  if (old.has_value()) base_.Remove(lower, name);
  if (IsWhiteout(layer_.At(upper_child).attributes)) return Status::Ok();
  return AddChild(lower, name, upper_child);
}

Status Merge::AddChild(NodeId lower, const std::string& name, NodeId upper_child) {
  const auto moved = moved_.find(upper_child);
  if (moved != moved_.end()) return base_.Link(lower, name, moved->second);
  Node node = layer_.At(upper_child);
  const bool linked = node.names > 1;
  ASSIGN_OR_RETURN(node.xattrs, WithoutOpaque(node.xattrs));
  ASSIGN_OR_RETURN(const NodeId id, base_.Add(lower, name, std::move(node)));
  if (layer_.IsDirectory(upper_child)) {
    open_.push_back({upper_child, id});
  } else if (linked) {
    moved_[upper_child] = id;
  }
  return Status::Ok();
}

}  // namespace

Status MergeLayer(Tree& base, const Tree& layer, XattrTable& xattrs) {
  return Merge(base, layer, xattrs).Run();
}

}  // namespace daxfs::convert
