// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/pool_images.hpp"

#include <set>
#include <utility>

#include "common/format/image.hpp"
#include "common/os/file_tree.hpp"
#include "common/os/mount.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/view.hpp"
#include "snapshotter/place_blob.hpp"

namespace daxfs::snapshotter {
namespace {

constexpr pool::HoldKind kKind = pool::HoldKind::kSnapshot;
constexpr std::uint32_t kLayerMode = 0755;  // of a directory below a mount: nobody sees it

// A directory that was withdrawn is no mount point.
Result<bool> IsMounted(const std::string& path) {
  Result<bool> mounted = os::IsMountPoint(path);
  if (mounted.status().code() == StatusCode::kNotFound) return false;
  return mounted;
}

// Whether another blob may do where this one did not: neither pool nor containerd is to blame.
bool IsOfBlob(const Status& status) {
  switch (status.code()) {
    case StatusCode::kDataLoss:
    case StatusCode::kInvalidArgument:
    case StatusCode::kNotFound:
    case StatusCode::kOutOfRange:
    case StatusCode::kResourceExhausted:
    case StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<PoolImages::Taken> PoolImages::Take(const LayerImage& image) {
  ASSIGN_OR_RETURN(std::shared_ptr<pool::Participant> participant, membership_.Get());
  ASSIGN_OR_RETURN(std::optional<pool::Use> use,
                   participant->Find({pool::AliasKind::kRoot, image.root.bytes}));
  if (use) return Taken{std::move(participant), *std::move(use)};
  return NotFoundError("image " + image.root.ToString() + " of layer " + image.diff_id.ToString() +
                       " is not in the pool any more");
}

Result<std::optional<LayerImage>> PoolImages::FindChain(const oci::Digest& chain) {
  ASSIGN_OR_RETURN(const std::shared_ptr<pool::Participant> participant, membership_.Get());
  ASSIGN_OR_RETURN(std::optional<pool::Use> use,
                   participant->Find({pool::AliasKind::kChain, chain.bytes}));
  if (!use) return std::optional<LayerImage>();
  ASSIGN_OR_RETURN(const pool::Mapped mapped, pool::Mapped::Open(*participant, *std::move(use)));
  ASSIGN_OR_RETURN(const format::Image image, format::Image::FromBytes(mapped.bytes()));
  const format::ImageInfo info = image.Info();
  if (!info.source) return std::optional<LayerImage>();  // of no layer
  return std::optional<LayerImage>(LayerImage{{info.root}, {info.source->digest}});
}

Status PoolImages::AddChain(const LayerImage& image, const oci::Digest& chain,
                            const std::optional<oci::Digest>& parent) {
  ASSIGN_OR_RETURN(const Taken taken, Take(image));
  pool::Digest below{};
  if (parent) below = parent->bytes;
  return taken.participant->AddAlias(taken.use, {pool::AliasKind::kChain, chain.bytes},
                                     parent ? &below : nullptr);
}

Status PoolImages::Hold(const LayerImage& image, const std::string& holder) {
  ASSIGN_OR_RETURN(const Taken taken, Take(image));
  return taken.participant->Hold(taken.use, kKind, holder);
}

Status PoolImages::Drop(const std::string& holder) {
  ASSIGN_OR_RETURN(const std::shared_ptr<pool::Participant> participant, membership_.Get());
  const Status dropped = participant->DropHold(kKind, holder);
  return dropped.code() == StatusCode::kNotFound ? Status::Ok() : dropped;
}

Result<std::vector<std::string>> PoolImages::Reconcile(const std::string& prefix,
                                                       const std::vector<std::string>& holders) {
  ASSIGN_OR_RETURN(const std::shared_ptr<pool::Participant> participant, membership_.Get());
  std::set<std::string> lost(holders.begin(), holders.end());
  const std::set<std::string> wanted = lost;
  for (const pool::HoldView& hold : pool::ListHolds(participant->memory())) {
    const bool ours = hold.host == participant->host() &&
                      hold.kind == static_cast<std::uint32_t>(kKind) &&
                      hold.name.rfind(prefix, 0) == 0;
    if (!ours) continue;
    lost.erase(hold.name);
    if (wanted.contains(hold.name)) continue;
    RETURN_IF_ERROR(Drop(hold.name));
    log_.Info("a hold nobody has any more is dropped", {{"holder", hold.name}});
  }
  return std::vector<std::string>(lost.begin(), lost.end());
}

Result<bool> PoolImages::IsPlaced(const LayerImage& image) {
  // Nobody has asked for the image: when it was used last stays.
  ASSIGN_OR_RETURN(const std::shared_ptr<pool::Participant> participant, membership_.Get());
  return participant->Has({pool::AliasKind::kRoot, image.root.bytes});
}

// An image may lie about its layers: what is wrong with one blob is no reason not to try the next.
Result<LayerImage> PoolImages::Restore(const LayerImage& image, const std::string& holder,
                                       const std::vector<std::string>& below,
                                       const std::function<bool()>& cancelled) {
  ASSIGN_OR_RETURN(const std::shared_ptr<pool::Participant> participant, membership_.Get());
  ASSIGN_OR_RETURN(const std::vector<StoredLayer> candidates, catalog_.FindLayer(image.diff_id));
  Status first;
  for (const StoredLayer& stored : candidates) {
    convert::Below over;
    over.nothing = below.empty();
    over.find = convert::FindInDirectories(below);
    Result<convert::PlacedLayer> placed = PlaceBlob(
        *participant, content_, {stored.blob, stored.name_space, std::move(over), cancelled});
    if (placed.ok() && placed->diff_id != image.diff_id) {
      placed = DataLossError("layer " + stored.blob.digest.ToString() + " has diffID " +
                             placed->diff_id.ToString() + ", not " + image.diff_id.ToString() +
                             " as its image says");
    }
    if (placed.ok()) {
      RETURN_IF_ERROR(participant->Hold(placed->use, kKind, holder));
      return LayerImage{placed->root, placed->diff_id};
    }
    if (!IsOfBlob(placed.status())) return placed.status();
    if (first.ok()) first = placed.status();
  }
  return first;
}

Result<bool> PoolImages::DependsOnBelow(const LayerImage& image) {
  ASSIGN_OR_RETURN(Taken taken, Take(image));
  ASSIGN_OR_RETURN(const pool::Mapped mapped,
                   pool::Mapped::Open(*taken.participant, std::move(taken.use)));
  ASSIGN_OR_RETURN(const format::Image opened, format::Image::FromBytes(mapped.bytes()));
  ASSIGN_OR_RETURN(const std::uint64_t implicit, convert::CountImplicit(opened));
  return implicit > 0;
}

Result<Usage> PoolImages::Measure(const LayerImage& image) {
  ASSIGN_OR_RETURN(Taken taken, Take(image));
  ASSIGN_OR_RETURN(const pool::Mapped mapped,
                   pool::Mapped::Open(*taken.participant, std::move(taken.use)));
  ASSIGN_OR_RETURN(const format::Image opened, format::Image::FromBytes(mapped.bytes()));
  const format::ImageInfo info = opened.Info();
  return Usage{static_cast<std::int64_t>(info.image_bytes), static_cast<std::int64_t>(info.inodes)};
}

PoolImages::Alone::Alone(PoolImages& images, const std::string& path)
    : images_(images), path_(path) {
  std::unique_lock lock(images_.mutex_);
  images_.changed_.wait(lock, [this] { return images_.busy_.insert(path_).second; });
}

PoolImages::Alone::~Alone() {
  {
    const std::lock_guard lock(images_.mutex_);
    images_.busy_.erase(path_);
  }
  images_.changed_.notify_all();
}

// Looking costs one system call; two at once mount once.
Status PoolImages::Mount(const LayerImage& image, const std::string& path) {
  ASSIGN_OR_RETURN(bool mounted, IsMounted(path));
  if (mounted) return Status::Ok();
  const Alone alone(*this, path);
  ASSIGN_OR_RETURN(mounted, IsMounted(path));
  if (mounted) return Status::Ok();
  const Status made = os::MakeDirectory(path, kLayerMode);
  if (!made.ok() && made.code() != StatusCode::kAlreadyExists) return made;
  return mounter_.Mount(image.root, path);
}

Status PoolImages::Unmount(const std::string& path) {
  const Alone alone(*this, path);
  return mounter_.Unmount(path);
}

Result<bool> PoolImages::Withdraw(const std::string& path) {
  const Alone alone(*this, path);
  ASSIGN_OR_RETURN(const bool mounted, IsMounted(path));
  RETURN_IF_ERROR(mounter_.Unmount(path));
  const Status removed = os::RemoveDirectory(path);
  // What somebody has written below the mount is not ours to remove.
  const bool kept = removed.code() == StatusCode::kFailedPrecondition;
  if (!removed.ok() && !kept && removed.code() != StatusCode::kNotFound) return removed;
  return mounted;
}

}  // namespace daxfs::snapshotter
