// SPDX-License-Identifier: Apache-2.0
#include "common/convert/tar_source.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "common/convert/profile.hpp"
#include "common/oci/tar_extras.hpp"

namespace daxfs::convert {
namespace {

constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::string_view kWhiteoutMetaPrefix = ".wh..wh.";
constexpr std::string_view kOpaqueMarker = ".wh..wh..opq";
constexpr const char* kOpaqueXattr = "trusted.overlay.opaque";
constexpr const char* kCapabilityXattr = "security.capability";
constexpr std::uint32_t kSetGroupId = 02000;
constexpr std::size_t kPathMax = 4096;  // PATH_MAX: containerd cannot make longer ones either

std::uint32_t ModeOf(oci::TarType type) {
  switch (type) {
    case oci::TarType::kFile:
    case oci::TarType::kHardLink:
      return kTypeFile;
    case oci::TarType::kSymlink:
      return kTypeSymlink;
    case oci::TarType::kCharacter:
      return kTypeCharacter;
    case oci::TarType::kBlock:
      return kTypeBlock;
    case oci::TarType::kDirectory:
      return kTypeDirectory;
    case oci::TarType::kFifo:
      return kTypeFifo;
  }
  DAXFS_CHECK(false);
  return 0;
}

bool IsAufsLeftover(const std::vector<std::string>& path) {
  return std::any_of(path.begin(), path.end(), [](const std::string& part) {
    return part.starts_with(kWhiteoutMetaPrefix) && part != kOpaqueMarker;
  });
}

std::optional<NodeId> Walk(const Tree& tree, const std::vector<std::string>& path) {
  NodeId at = Tree::kRoot;
  for (const std::string& part : path) {
    if (!tree.IsDirectory(at)) return std::nullopt;
    const std::optional<NodeId> child = tree.Child(at, part);
    if (!child.has_value()) return std::nullopt;
    at = *child;
  }
  return at;
}

// Reports the stored bytes that were read, which is what a total is known for.
class StoredBytesMonitor final : public Monitor {
 public:
  StoredBytesMonitor(Monitor& monitor, const oci::LayerStream& stream)
      : monitor_(monitor), stream_(stream) {}
  Status Advance(std::uint64_t /*source_bytes*/, std::uint64_t entries) override {
    const std::uint64_t position = stream_.position();
    return monitor_.Advance(position - std::exchange(seen_, position), entries);
  }

 private:
  Monitor& monitor_;
  const oci::LayerStream& stream_;
  std::uint64_t seen_ = 0;
};

}  // namespace

Result<NodeId> TarApplier::MakeParents(const std::vector<std::string>& path) {
  NodeId at = Tree::kRoot;
  std::string name;
  for (const std::string& part : path) {
    name += (name.empty() ? "" : "/") + part;
    if (!target_.tree.IsDirectory(at)) return InvalidArgumentError("a parent is no directory");
    const std::optional<NodeId> child = target_.tree.Child(at, part);
    if (child.has_value()) {
      at = *child;
      continue;
    }
    if (implicit_budget_-- == 0) {
      return ResourceExhaustedError("more than 1000000 directories that no entry names");
    }
    ASSIGN_OR_RETURN(Node node, UnnamedDirectory(at, name));
    ASSIGN_OR_RETURN(at, target_.tree.Add(at, part, std::move(node)));
  }
  if (!target_.tree.IsDirectory(at)) return InvalidArgumentError("a parent is no directory");
  return at;
}

Result<Node> TarApplier::UnnamedDirectory(NodeId parent, const std::string& path) {
  Node node;
  node.attributes.mode = kTypeDirectory | 0755;
  node.implicit = true;
  const Attributes& above = target_.tree.At(parent).attributes;
  // mkdir(2) does so.
  if (IsLayer() && (above.mode & kSetGroupId) != 0) node.attributes.gid = above.gid;
  if (!target_.below.find) return node;
  ASSIGN_OR_RETURN(const std::optional<LowerDirectory> lower, target_.below.find(path));
  if (!lower) return node;
  node.attributes = lower->attributes;
  ASSIGN_OR_RETURN(node.xattrs, target_.xattrs.Intern(lower->xattrs));
  node.implicit = false;
  return node;
}

Status TarApplier::Apply(const oci::TarEntry& entry, oci::TarReader& reader, Monitor& monitor) {
  if (entry.name.size() >= kPathMax) {
    return InvalidArgumentError("path of " + std::to_string(entry.name.size()) +
                                " bytes: at most 4095 are possible");
  }
  RETURN_IF_ERROR(CheckKnown(entry).WithContext(entry.name));
  std::vector<std::string> path = CleanPath(entry.name);
  if (path.empty()) return ApplyRoot(entry).WithContext("/");
  if (IsLayer() && IsAufsLeftover(path)) return Status::Ok();
  Place place;
  place.name = std::move(path.back());
  path.pop_back();
  ASSIGN_OR_RETURN(
      path, ResolveInRoot(target_.tree, std::move(path), &link_budget_).WithContext(entry.name));
  ASSIGN_OR_RETURN(place.directory, MakeParents(path).WithContext(entry.name));
  path_ = std::move(path);
  path_.push_back(place.name);
  return ApplyAt(place, entry, reader, monitor).WithContext(entry.name);
}

// Refuses what one reader would take and another would not.
Status TarApplier::CheckKnown(const oci::TarEntry& entry) const {
  if (!IsLayer()) {
    if (!entry.global) return Status::Ok();
    return UnimplementedError("the tar has a global PAX header with attributes: archive without");
  }
  if (entry.foreign_type != '\0') {
    return InvalidArgumentError("unhandled tar header type " +
                                std::to_string(static_cast<unsigned char>(entry.foreign_type)));
  }
  const bool device = entry.type == oci::TarType::kCharacter || entry.type == oci::TarType::kBlock;
  if (device && entry.device_records) {
    return InvalidArgumentError("its device number is in PAX records, which containerd ignores");
  }
  return Status::Ok();
}

Status TarApplier::ApplyRoot(const oci::TarEntry& entry) {
  if (IsLayer()) return Status::Ok();
  if (entry.type != oci::TarType::kDirectory) {
    return InvalidArgumentError("an entry for the root is no directory");
  }
  target_.tree.At(Tree::kRoot).attributes = FromEntry(entry, kTypeDirectory);
  return SetXattrs(Tree::kRoot, entry);
}

Status TarApplier::ApplyAt(const Place& place, const oci::TarEntry& entry, oci::TarReader& reader,
                           Monitor& monitor) {
  if (IsLayer() && place.name.starts_with(kWhiteoutPrefix)) return ApplyWhiteout(place, entry);
  if (!IsLayer() && entry.type == oci::TarType::kHardLink) return ApplyArchiveLink(place, entry);
  Tree& tree = target_.tree;
  const std::optional<NodeId> old = tree.Child(place.directory, place.name);
  if (old.has_value() && tree.IsDirectory(*old) && entry.type == oci::TarType::kDirectory) {
    tree.At(*old).attributes = FromEntry(entry, kTypeDirectory);
    tree.At(*old).implicit = false;
    return SetXattrs(*old, entry);
  }
  if (old.has_value()) tree.Remove(place.directory, place.name);
  if (entry.type == oci::TarType::kHardLink) return ApplyHardLink(place, entry);
  Node node;
  node.attributes = FromEntry(entry, ModeOf(entry.type));
  if (entry.type == oci::TarType::kSymlink) node.target = entry.link_name;
  if (entry.type == oci::TarType::kFile) {
    RETURN_IF_ERROR(ReadData(entry, reader, monitor, &node));
  }
  return AddNode(place, entry, std::move(node));
}

Attributes TarApplier::FromEntry(const oci::TarEntry& entry, std::uint32_t type) const {
  Attributes out;
  out.mode = type | entry.permissions;
  out.uid = entry.uid;
  out.gid = entry.gid;
  out.rdev_major = entry.device_major;
  out.rdev_minor = entry.device_minor;
  out.mtime_seconds = entry.mtime_seconds;
  out.mtime_nanoseconds = entry.mtime_nanoseconds;
  ApplyProfile(target_.profile, &out);
  return out;
}

Status TarApplier::AddNode(const Place& place, const oci::TarEntry& entry, Node node) {
  ASSIGN_OR_RETURN(const NodeId id, target_.tree.Add(place.directory, place.name, std::move(node)));
  return SetXattrs(id, entry);
}

// kLayer adds the entry's extended attributes to those the node has.
Status TarApplier::SetXattrs(NodeId id, const oci::TarEntry& entry) {
  Node& node = target_.tree.At(id);
  XattrMap xattrs;
  if (IsLayer()) {
    if (entry.xattrs.empty()) return Status::Ok();
    xattrs = target_.xattrs.Get(node.xattrs);
  } else {
    for (const auto& [key, value] : entry.extras) {
      ASSIGN_OR_RETURN(auto xattr, oci::DecodeExtraRecord(key, value));
      xattrs.insert_or_assign(std::move(xattr.first), std::move(xattr.second));
    }
  }
  for (const auto& [name, value] : entry.xattrs) {
    if (IsLayer() && name == kCapabilityXattr && !IsCapability(value)) {
      return InvalidArgumentError(name + " of " + std::to_string(value.size()) +
                                  " bytes that are no file capabilities");
    }
    if (KeepsXattr(target_.profile, node.attributes.mode, name)) xattrs[name] = value;
  }
  ASSIGN_OR_RETURN(node.xattrs, target_.xattrs.Intern(xattrs));
  return Status::Ok();
}

Status TarApplier::ReadData(const oci::TarEntry& entry, oci::TarReader& reader, Monitor& monitor,
                            Node* node) {
  node->size_bytes = entry.size_bytes;
  RETURN_IF_ERROR(target_.data.Begin(entry.size_bytes));
  while (entry.size_bytes > 0) {
    ASSIGN_OR_RETURN(const oci::TarData data, reader.ReadData());
    if (data.empty()) break;
    RETURN_IF_ERROR(target_.data.AppendZeros(data.zeros));
    RETURN_IF_ERROR(target_.data.Append(data.bytes));
    RETURN_IF_ERROR(monitor.Advance(data.bytes.size(), 0));
  }
  ASSIGN_OR_RETURN(node->data, target_.data.End());
  return Status::Ok();
}

Status TarApplier::ApplyWhiteout(const Place& place, const oci::TarEntry& entry) {
  Tree& tree = target_.tree;
  if (place.name == kOpaqueMarker) return MakeOpaque(place.directory);
  const std::string hidden = place.name.substr(kWhiteoutPrefix.size());
  if (hidden.empty() || hidden == "." || hidden == "..") {
    return InvalidArgumentError("invalid whiteout name");
  }
  const bool own = tree.Child(place.directory, hidden).has_value();
  if (target_.below.nothing) {
    if (own) tree.Remove(place.directory, hidden);
    return Status::Ok();
  }
  if (own) return InvalidArgumentError("whiteout of an entry of its own layer");
  Node node;
  node.attributes.mode = kTypeCharacter;
  node.attributes.uid = entry.uid;
  node.attributes.gid = entry.gid;
  return tree.Add(place.directory, hidden, std::move(node)).status();
}

Status TarApplier::MakeOpaque(NodeId directory) {
  if (target_.below.nothing) {
    // The first mark of each counts.
    if (!std::exchange(target_.tree.At(directory).opaque, true)) RemoveUnnamed(directory);
    return Status::Ok();
  }
  Node& node = target_.tree.At(directory);
  XattrMap xattrs = target_.xattrs.Get(node.xattrs);
  if (!xattrs.emplace(kOpaqueXattr, "y").second) return Status::Ok();
  ASSIGN_OR_RETURN(node.xattrs, target_.xattrs.Intern(xattrs));
  return Status::Ok();
}

// With all that is in them, named or not (applyNaive walks over what it has unpacked).
void TarApplier::RemoveUnnamed(NodeId directory) {
  Tree& tree = target_.tree;
  std::vector<NodeId> places = {directory};
  while (!places.empty()) {
    const NodeId at = places.back();
    places.pop_back();
    std::vector<std::string> unnamed;
    for (const auto& [name, child] : tree.ChildrenOf(at)) {
      if (!tree.IsDirectory(child)) continue;
      if (tree.At(child).implicit) {
        unnamed.push_back(name);
      } else {
        places.push_back(child);
      }
    }
    for (const std::string& name : unnamed) tree.Remove(at, name);
  }
}

// The parent is resolved, a symbolic link at the end is not followed (hardlinkRootPath).
Result<std::optional<NodeId>> TarApplier::LookUpLinkTarget(const std::string& link_name) {
  const std::size_t slash = link_name.rfind('/');
  const std::size_t base = slash == std::string::npos ? 0 : slash + 1;
  ASSIGN_OR_RETURN(
      std::vector<std::string> path,
      ResolveInRoot(target_.tree, CleanPath(link_name.substr(0, base)), &link_budget_));
  std::string joined;
  for (const std::string& part : path) joined += part + "/";
  const std::optional<NodeId> found =
      Walk(target_.tree, CleanPath(joined + link_name.substr(base)));
  if (found.has_value() && target_.tree.IsDirectory(*found)) {
    return InvalidArgumentError("hard link to the directory " + link_name);
  }
  return found;
}

Result<NodeId> TarApplier::FindLinkTarget(const std::string& link_name) {
  ASSIGN_OR_RETURN(const std::optional<NodeId> found, LookUpLinkTarget(link_name));
  if (found.has_value()) return *found;
  return InvalidArgumentError("hard link to " + link_name + ", which this " +
                              (IsLayer() ? "layer" : "tar") + " does not have");
}

Status TarApplier::ApplyHardLink(const Place& place, const oci::TarEntry& entry) {
  ASSIGN_OR_RETURN(const NodeId id, FindLinkTarget(entry.link_name));
  RETURN_IF_ERROR(target_.tree.Link(place.directory, place.name, id));
  return TakeLinkAttributes(id, entry);
}

Status TarApplier::TakeLinkAttributes(NodeId id, const oci::TarEntry& entry) {
  Node& node = target_.tree.At(id);
  const Attributes before = node.attributes;
  const std::uint32_t type = before.mode & kTypeMask;
  node.attributes = FromEntry(entry, type);
  node.attributes.rdev_major = before.rdev_major;
  node.attributes.rdev_minor = before.rdev_minor;
  // containerd chowns through the new name, and chown takes file capabilities away.
  if (target_.xattrs.Get(node.xattrs).contains(kCapabilityXattr)) {
    XattrMap xattrs = target_.xattrs.Get(node.xattrs);
    xattrs.erase(kCapabilityXattr);
    ASSIGN_OR_RETURN(node.xattrs, target_.xattrs.Intern(xattrs));
  }
  return SetXattrs(id, entry);
}

Status TarApplier::ApplyArchiveLink(const Place& place, const oci::TarEntry& entry) {
  Tree& tree = target_.tree;
  ASSIGN_OR_RETURN(const std::optional<NodeId> found, LookUpLinkTarget(entry.link_name));
  const bool ready = found.has_value() && !tree.At(*found).pending;
  const std::optional<NodeId> old = tree.Child(place.directory, place.name);
  // GNU tar writes a file that was named twice as a link to itself.
  if (ready && old == found) return Status::Ok();
  if (old.has_value()) tree.Remove(place.directory, place.name);
  // What was removed may have held the target.
  if (ready && tree.At(*found).names > 0) return tree.Link(place.directory, place.name, *found);
  Node node;
  node.attributes.mode = kTypeFile;
  node.pending = true;
  ASSIGN_OR_RETURN(const NodeId id, tree.Add(place.directory, place.name, std::move(node)));
  pending_[id] = {path_, entry.link_name, false, std::nullopt};
  return Status::Ok();
}

// The file that a chain of pending links leads to; all of the chain learn it.
Result<NodeId> TarApplier::FollowPending(NodeId id) {
  std::vector<Pending*> chain;
  while (target_.tree.At(id).pending) {
    const auto link = pending_.find(id);
    if (link->second.end.has_value()) {
      id = *link->second.end;
      break;
    }
    if (std::exchange(link->second.visited, true)) {
      return InvalidArgumentError("hard links in a circle");
    }
    chain.push_back(&link->second);
    ASSIGN_OR_RETURN(id, FindLinkTarget(link->second.target));
  }
  for (Pending* link : chain) link->end = id;
  return id;
}

Status TarApplier::Finish() {
  for (const auto& [id, link] : pending_) {
    // Something else may have taken its place since.
    if (!target_.tree.At(id).pending || Walk(target_.tree, link.path) != id) continue;
    const std::string& name = link.path.back();
    const std::optional<NodeId> directory =
        Walk(target_.tree, {link.path.begin(), link.path.end() - 1});
    const Result<NodeId> end = FollowPending(id);
    if (!end.ok()) return end.status().WithContext(name);
    target_.tree.Remove(*directory, name);
    RETURN_IF_ERROR(target_.tree.Link(*directory, name, *end));
  }
  pending_.clear();
  return Status::Ok();
}

Status ApplyTar(const TarTarget& target, oci::TarReader& reader, Monitor& monitor) {
  TarApplier applier(target);
  oci::TarEntry entry;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.Next(&entry));
    if (!more) return applier.Finish();
    RETURN_IF_ERROR(applier.Apply(entry, reader, monitor));
    RETURN_IF_ERROR(monitor.Advance(0, 1));
  }
}

Result<format::SourceInfo> ApplyStream(const TarTarget& target, oci::LayerStream& stream,
                                       Monitor& monitor) {
  StoredBytesMonitor stored(monitor, stream);
  ASSIGN_OR_RETURN(const std::unique_ptr<oci::TarReader> reader, oci::TarReader::Open(stream));
  RETURN_IF_ERROR(ApplyTar(target, *reader, stored));
  // What follows the archive belongs to the digests too.
  RETURN_IF_ERROR(stream.Drain());
  RETURN_IF_ERROR(stored.Advance(0, 0));
  return format::SourceInfo{stream.diff_id().bytes, stream.size_bytes()};
}

}  // namespace daxfs::convert
