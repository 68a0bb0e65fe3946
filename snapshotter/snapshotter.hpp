// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/base/log.hpp"
#include "common/base/status.hpp"
#include "common/os/file_lock.hpp"
#include "common/os/reserve.hpp"
#include "snapshotter/directories.hpp"
#include "snapshotter/images.hpp"
#include "snapshotter/janitor.hpp"
#include "snapshotter/limits.hpp"
#include "snapshotter/restorer.hpp"
#include "snapshotter/snapshot.hpp"
#include "snapshotter/store.hpp"

namespace daxfs::snapshotter {

// A snapshot as people see it.
struct Sight {
  // Of its own layer. Missing: its image is not in the pool; rebuilding: it is being placed again.
  // Unknown: the pool cannot be asked.
  enum class State { kUnknown, kDirectory, kPlaced, kMissing, kRebuilding };

  Snapshot snapshot;  // without parents
  State state = State::kUnknown;
  std::string directory;  // of its files, or where its image is mounted
  bool mounted = false;   // an image, there
  std::string why;        // an image is not there, and could not be placed again
};

// What containerd.services.snapshots.v1 asks for, over a store, directories and images. A committed
// snapshot is a layer: an image of the pool, or a directory that others have filled. Thread safe.
// Errors have the codes of containerd's own snapshotters.
class Snapshotter {
 public:
  struct Options {
    std::string root;                          // directory of everything
    std::vector<std::string> overlay_options;  // for every OverlayFS mount
    std::function<void()> found = [] {};       // a layer that Prepare has found in the pool
  };

  // Makes what is missing; what a crash has left goes in the background. Directories whose database
  // is lost are put aside. Borrows images and log.
  // Errors: kAlreadyExists if another process has that root; as Store::Open, Directories::Open.
  static Result<std::unique_ptr<Snapshotter>> Open(const Options& options, Images& images,
                                                   base::Logger& log);

  // With the label containerd.io/snapshot.ref of a chain that is in the pool: a committed snapshot
  // of it with that parent is there when this says kAlreadyExists, and only then. Where the parent
  // is said at Commit, the snapshot has the image already, and its mounts are read-only.
  Result<std::vector<Mount>> Prepare(const std::string& key, const std::string& parent,
                                     const Labels& labels);
  Result<std::vector<Mount>> View(const std::string& key, const std::string& parent,
                                  const Labels& labels);
  Result<std::vector<Mount>> Mounts(const std::string& key);
  Status Commit(const CommitRequest& request);
  Status Remove(const std::string& key);
  Result<Info> Stat(const std::string& key);
  Result<Info> Update(const Info& info, const std::vector<std::string>& paths);
  Result<std::vector<Info>> List(const std::vector<std::string>& filters);
  Result<Usage> Measure(const std::string& key, const std::function<bool()>& cancelled);
  Status Cleanup();
  // Whether its image is being placed again.
  bool IsRestoring(std::int64_t id) { return restorer_.IsRestoring(id); }
  // Before the daemon ends, which waits for whoever asks.
  void StopRestoring() { restorer_.Stop(); }

  // Those with one of these keys or numbers, or all if there are none, by number; what is not there
  // is left out.
  Result<std::vector<Sight>> Look(const std::vector<std::string>& keys);

  // From now on, for every OverlayFS mount.
  void SetOverlayOptions(std::vector<std::string> options);

  // The active snapshot these mounts are of, if a layer can be applied to it: it is ours, and
  // nothing was written or applied. Errors: kUnimplemented, for others to try, if it is not.
  Result<Snapshot> FindTarget(const std::vector<Mount>& mounts);
  // The directories of its parents' layers, the uppermost first, all mounted. What is not in the
  // pool any more is placed again first. Errors: kNotFound if it cannot be had, with what to do.
  Result<std::vector<std::string>> LayersBelow(const Snapshot& snapshot);
  // Whether nothing can come below its layer: it has no parent, and none is to be said later.
  static bool IsLowest(const Snapshot& snapshot);
  // That image is the snapshot's layer. Errors: as Store::SetImage, Images::Hold.
  Status SetImage(const Snapshot& target, const LayerImage& image);

 private:
  Snapshotter(const Options& options, os::FileLock lock, std::unique_ptr<os::Reserve> reserve,
              std::unique_ptr<Store> store, Directories directories, Images& images,
              base::Logger& log);
  Status Recover();
  void Repair(const Snapshot& snapshot);
  struct Made {
    Snapshot snapshot;
    std::vector<Mount> mounts;
  };
  Result<Made> Create(Kind kind, const std::string& key, const std::string& parent,
                      const Labels& labels);
  Status Removed(const Result<Snapshot>& removed);
  void RemoveAgain(std::int64_t id);
  bool CanBeHad(const Snapshot& known);
  bool IsTheSameOverAll(const Layer& layer);
  void TellFound(const std::string& chain);
  Status MakeOver(std::int64_t id);
  Result<std::vector<Mount>> Stage(const std::string& key, const std::string& reference,
                                   const Labels& labels);
  std::optional<LayerImage> FindPlaced(const std::string& reference);
  Status AdoptIfPlaced(const std::string& reference, const std::string& parent,
                       const Labels& labels);
  Status Make(const Snapshot& snapshot);
  Status RemoveDirectories(std::int64_t id);
  // Whether who asks waits for layers that have to be placed again.
  enum class Patience { kSecond, kAll };
  Result<std::vector<Mount>> MountsOf(const Snapshot& snapshot, Patience patience);
  Result<std::vector<Mount>> Compose(const Snapshot& snapshot);
  Status RestoreLayers(const Snapshot& snapshot, Patience patience);
  Result<std::vector<std::string>> MountBelow(const Snapshot& snapshot);
  Result<std::string> MountLayer(const Layer& layer);
  void Announce(const Snapshot& committed);
  Result<Usage> MeasureLayer(const Snapshot& snapshot, const std::function<bool()>& cancelled);
  Status Dispose(std::int64_t id);
  Status Count(std::int64_t id);

  std::vector<std::string> OverlayOptions();

  std::mutex options_mutex_;
  std::vector<std::string> overlay_options_;  // under options_mutex_
  const std::function<void()> found_;
  const os::FileLock lock_;
  const std::unique_ptr<os::Reserve> reserve_;
  const std::unique_ptr<Store> store_;
  const Directories directories_;
  Limits limits_;
  Images& images_;
  base::Logger& log_;
  Janitor disposal_;
  Janitor counting_;
  Restorer restorer_;
};

}  // namespace daxfs::snapshotter
