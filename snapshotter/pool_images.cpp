// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/pool_images.hpp"

#include <algorithm>
#include <utility>

#include "common/format/image.hpp"
#include "common/os/mount.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/view.hpp"

namespace daxfs::snapshotter {
namespace {

constexpr pool::HoldKind kKind = pool::HoldKind::kSnapshot;

}  // namespace

PoolImages::PoolImages(std::shared_ptr<pool::Participant> participant, Mounter& mounter,
                       base::Logger& log)
    : participant_(std::move(participant)), mounter_(mounter), log_(log) {}

Result<pool::Use> PoolImages::Take(const LayerImage& image) {
  ASSIGN_OR_RETURN(std::optional<pool::Use> use,
                   participant_->Find({pool::AliasKind::kRoot, image.root.bytes}));
  if (use) return *std::move(use);
  return NotFoundError("image " + image.root.ToString() + " of layer " + image.diff_id.ToString() +
                       " is not in the pool any more: remove what was pulled and pull it again");
}

Result<std::optional<LayerImage>> PoolImages::FindChain(const oci::Digest& chain) {
  ASSIGN_OR_RETURN(std::optional<pool::Use> use,
                   participant_->Find({pool::AliasKind::kChain, chain.bytes}));
  if (!use) return std::optional<LayerImage>();
  ASSIGN_OR_RETURN(const pool::Mapped mapped, pool::Mapped::Open(*participant_, *std::move(use)));
  ASSIGN_OR_RETURN(const format::Image image, format::Image::FromBytes(mapped.bytes()));
  const format::ImageInfo info = image.Info();
  if (!info.source) return std::optional<LayerImage>();  // of no layer
  return std::optional<LayerImage>(LayerImage{{info.root}, {info.source->digest}});
}

Status PoolImages::AddChain(const LayerImage& image, const oci::Digest& chain,
                            const std::optional<oci::Digest>& parent) {
  ASSIGN_OR_RETURN(const pool::Use use, Take(image));
  pool::Digest below{};
  if (parent) below = parent->bytes;
  return participant_->AddAlias(use, {pool::AliasKind::kChain, chain.bytes},
                                parent ? &below : nullptr);
}

Result<bool> PoolImages::IsPlaced(const LayerImage& image) {
  ASSIGN_OR_RETURN(const std::optional<pool::Use> use,
                   participant_->Find({pool::AliasKind::kRoot, image.root.bytes}));
  return use.has_value();
}

Status PoolImages::Hold(const LayerImage& image, const std::string& holder) {
  ASSIGN_OR_RETURN(const pool::Use use, Take(image));
  return participant_->Hold(use, kKind, holder);
}

Status PoolImages::Drop(const std::string& holder) {
  const Status dropped = participant_->DropHold(kKind, holder);
  return dropped.code() == StatusCode::kNotFound ? Status::Ok() : dropped;
}

Status PoolImages::Reconcile(const std::string& prefix, const std::vector<std::string>& holders) {
  for (const pool::HoldView& hold : pool::ListHolds(participant_->memory())) {
    const bool ours = hold.host == participant_->host() &&
                      hold.kind == static_cast<std::uint32_t>(kKind) &&
                      hold.name.rfind(prefix, 0) == 0;
    if (!ours || std::find(holders.begin(), holders.end(), hold.name) != holders.end()) continue;
    RETURN_IF_ERROR(Drop(hold.name));
    log_.Info("a hold nobody has any more is dropped", {{"holder", hold.name}});
  }
  return Status::Ok();
}

Result<Usage> PoolImages::Measure(const LayerImage& image) {
  ASSIGN_OR_RETURN(pool::Use use, Take(image));
  ASSIGN_OR_RETURN(const pool::Mapped mapped, pool::Mapped::Open(*participant_, std::move(use)));
  ASSIGN_OR_RETURN(const format::Image opened, format::Image::FromBytes(mapped.bytes()));
  const format::ImageInfo info = opened.Info();
  return Usage{static_cast<std::int64_t>(info.image_bytes), static_cast<std::int64_t>(info.inodes)};
}

// Looking costs one system call; two at once mount once.
Status PoolImages::Mount(const LayerImage& image, const std::string& path) {
  ASSIGN_OR_RETURN(bool mounted, os::IsMountPoint(path));
  if (mounted) return Status::Ok();
  const std::lock_guard lock(mounting_);
  ASSIGN_OR_RETURN(mounted, os::IsMountPoint(path));
  if (mounted) return Status::Ok();
  return mounter_.Mount(image.root, path);
}

Status PoolImages::Unmount(const std::string& path) {
  const std::lock_guard lock(mounting_);
  return mounter_.Unmount(path);
}

}  // namespace daxfs::snapshotter
