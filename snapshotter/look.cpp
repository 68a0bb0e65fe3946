// SPDX-License-Identifier: Apache-2.0
// What people see of snapshots.
#include <algorithm>
#include <utility>

#include "common/os/mount.hpp"
#include "snapshotter/snapshotter.hpp"

namespace daxfs::snapshotter {
namespace {

bool IsAsked(const Snapshot& snapshot, const std::vector<std::string>& keys) {
  if (keys.empty()) return true;
  const std::string number = std::to_string(snapshot.layer.id);
  return std::any_of(keys.begin(), keys.end(), [&](const std::string& key) {
    return key == snapshot.info.name || key == number;
  });
}

Sight::State StateOf(const Layer& layer, bool restoring, Images& images) {
  if (!layer.image) return Sight::State::kDirectory;
  const Result<bool> placed = images.IsPlaced(*layer.image);
  if (!placed.ok()) return Sight::State::kUnknown;
  if (*placed) return Sight::State::kPlaced;
  return restoring ? Sight::State::kRebuilding : Sight::State::kMissing;
}

}  // namespace

Result<std::vector<Sight>> Snapshotter::Look(const std::vector<std::string>& keys) {
  ASSIGN_OR_RETURN(std::vector<Snapshot> snapshots, store_->List(Filter()));
  std::vector<Sight> sights;
  for (Snapshot& snapshot : snapshots) {
    if (!IsAsked(snapshot, keys)) continue;
    Sight sight;
    sight.state = StateOf(snapshot.layer, IsRestoring(snapshot.layer.id), images_);
    sight.directory = directories_.Layer(snapshot.layer.id);
    const bool gone =
        sight.state == Sight::State::kMissing || sight.state == Sight::State::kRebuilding;
    if (gone) sight.why = restorer_.WhyNot(snapshot.layer.id).message();
    // Of one that is being removed nothing is there.
    const Result<bool> mounted = os::IsMountPoint(sight.directory);
    sight.mounted = snapshot.layer.image && mounted.ok() && *mounted;
    sight.snapshot = std::move(snapshot);
    sights.push_back(std::move(sight));
  }
  return sights;
}

}  // namespace daxfs::snapshotter
