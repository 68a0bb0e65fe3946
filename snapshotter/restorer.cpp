// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/restorer.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <map>
#include <utility>

namespace daxfs::snapshotter {
namespace {

using std::chrono::seconds;

constexpr seconds kLook{1};
constexpr int kLooksUntilRetry = 10;
constexpr int kLooksUntilFullRetry = 600;
// Containerd holds a lock that all its clients want.
constexpr seconds kPatience{1};

// The border where exceptions of libraries end.
Status Guarded(const std::function<Status()>& body) {
  try {
    return body();
  } catch (const std::exception& error) {
    return InternalError(error.what());
  }
}

}  // namespace

Restorer::Restorer(Store& store, const Directories& directories, Images& images,
                   std::function<Status(const Layer&)> mount,
                   std::function<void(const Snapshot&)> placed, base::Logger& log)
    : store_(store),
      directories_(directories),
      images_(images),
      mount_(std::move(mount)),
      placed_(std::move(placed)),
      log_(log),
      restoring_(
          "placing a layer again", [this](std::int64_t id) { return Restore(id); }, log),
      tending_([this] { Tend(); }) {}

Restorer::~Restorer() {
  Stop();
  tending_.join();
}

void Restorer::Stop() {
  {
    const std::lock_guard lock(tend_mutex_);
    stop_ = true;
  }
  wake_.notify_all();
}

// Nobody may ask for anything for long, and others collect what is not held.
void Restorer::Tend() {
  std::unique_lock lock(tend_mutex_);
  for (int looks = 1; !wake_.wait_for(lock, kLook, [this] { return stop_.load(); }); ++looks) {
    lock.unlock();
    const Status settled = Guarded([this] { return Settle(); });
    if (!settled.ok()) log_.Warning("the pool is not settled", {{"err", settled.message()}});
    // What finds no room may push others' images out before it fails.
    const bool full_too = looks % kLooksUntilFullRetry == 0;
    if (looks % kLooksUntilRetry == 0) {
      restoring_.Retry([full_too](const Status& status) {
        return full_too || status.code() != StatusCode::kResourceExhausted;
      });
    }
    lock.lock();
  }
}

Status Restorer::Settle() {
  const std::uint64_t joined = images_.Joined();
  const std::lock_guard lock(settle_mutex_);
  if (joined == settled_) return Status::Ok();
  // Whoever takes a hold does so inside a change.
  RETURN_IF_ERROR(store_.WhileUnchanged(
      [this](const std::vector<Snapshot>& snapshots) { return SettleAll(snapshots); }));
  settled_ = joined;
  return Status::Ok();
}

Status Restorer::SettleAll(const std::vector<Snapshot>& snapshots) {
  std::map<std::string, Layer> layers;
  std::vector<std::string> holders;
  for (const Snapshot& snapshot : snapshots) {
    if (!snapshot.layer.image) continue;
    holders.push_back(store_.HolderOf(snapshot.layer.id));
    layers[holders.back()] = snapshot.layer;
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> lost,
                   images_.Reconcile(store_.HolderPrefix(), holders));
  std::size_t missing = 0;
  for (const std::string& holder : lost) {
    const Layer& layer = layers.at(holder);
    // Who has it open keeps it. Who was told of it and is about to mount it has to fail.
    ASSIGN_OR_RETURN(const bool mounted, images_.Withdraw(directories_.Layer(layer.id)));
    const bool held = images_.Hold(*layer.image, holder).ok();
    if (!held) ++missing;
    if (!held || mounted) restoring_.Add(layer.id);
  }
  if (lost.empty()) return Status::Ok();
  log_.Warning("holds were lost in the pool", {{"layers", lost.size()}, {"missing", missing}});
  return Status::Ok();
}

Status Restorer::Restore(std::int64_t id) {
  const std::lock_guard lock(restore_mutex_);
  const Result<Snapshot> snapshot = store_.GetById(id);
  if (snapshot.status().code() == StatusCode::kNotFound) return Status::Ok();
  RETURN_IF_ERROR(snapshot.status());
  std::vector<Layer> layers(snapshot->parents.rbegin(), snapshot->parents.rend());
  layers.push_back(snapshot->layer);
  std::vector<std::string> below;
  for (const Layer& layer : layers) {
    if (stop_) return CancelledError("daxfs-snapshotter is stopping");
    if (layer.image) RETURN_IF_ERROR(RestoreLayer(layer, below));
    below.insert(below.begin(), directories_.Layer(layer.id));
  }
  return Status::Ok();
}

// Errors: kUnavailable if the pool is another one since it was settled.
Status Restorer::CheckSettled() {
  const std::uint64_t joined = images_.Joined();
  const std::lock_guard lock(settle_mutex_);
  if (joined == settled_) return Status::Ok();
  return UnavailableError("the pool was joined again meanwhile: try again");
}

Status Restorer::RestoreLayer(const Layer& layer, const std::vector<std::string>& below) {
  RETURN_IF_ERROR(Settle());
  LayerImage image = *layer.image;
  const Status held = HoldOrPlace(layer, below, &image);
  const Status settled = CheckSettled();
  if (!settled.ok()) {
    // A hold in a pool that is yet to be settled would hide that what is mounted is of another.
    static_cast<void>(images_.Drop(store_.HolderOf(layer.id)));
    return settled;
  }
  RETURN_IF_ERROR(held);
  RETURN_IF_ERROR(CheckThere(layer));
  RETURN_IF_ERROR(mount_({layer.id, image}));
  return CheckSettled();
}

// Looked at behind the hold: whoever removes the snapshot later drops it, and who did before may
// have done so too early. Errors: kNotFound.
Status Restorer::CheckThere(const Layer& layer) {
  Status there = store_.GetById(layer.id).status();
  if (there.code() == StatusCode::kNotFound) {
    static_cast<void>(images_.Drop(store_.HolderOf(layer.id)));
  }
  return there;
}

Status Restorer::HoldOrPlace(const Layer& layer, const std::vector<std::string>& below,
                             LayerImage* image) {
  const std::string holder = store_.HolderOf(layer.id);
  const Status held = images_.Hold(*image, holder);
  if (held.code() != StatusCode::kNotFound) return held;
  ASSIGN_OR_RETURN(*image, images_.Restore(*image, holder, below, [this] { return stop_.load(); }));
  RETURN_IF_ERROR(store_.ReplaceImage(layer.id, *image));
  log_.Info("a layer is placed again",
            {{"diff_id", image->diff_id.ToString()}, {"image", image->root.ToString()}});
  const Result<Snapshot> snapshot = store_.GetById(layer.id);
  if (snapshot.ok()) placed_(*snapshot);
  return Status::Ok();
}

Status Restorer::RestoreSoon(std::int64_t id) {
  restoring_.Add(id);
  const std::optional<Status> outcome = restoring_.Outcome(id, kPatience);
  if (outcome) return *outcome;
  return UnavailableError(
      "a layer that is not in the pool any more is being placed again: try again");
}

}  // namespace daxfs::snapshotter
