// SPDX-License-Identifier: Apache-2.0
// How a root is found, whatever has happened to it.
#include <algorithm>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>

#include "common/os/atomic_file.hpp"
#include "common/os/directory.hpp"
#include "common/os/system.hpp"
#include "snapshotter/snapshotter.hpp"
#include "snapshotter/with_reserve.hpp"

namespace daxfs::snapshotter {
namespace {

// The log of a database in which a snapshot is removed, and that many times.
constexpr std::uint64_t kReservePartBytes = 128U << 10U;
constexpr int kReserveParts = 8;

// Snapshots nobody knows anything of any more: a container may still run on one, and what it has
// written may be wanted. Before there is a new database, which would say that they are to go.
Status PutLostAside(const std::string& database, const Directories& directories, Images& images,
                    base::Logger& log) {
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(database, error);
  if (!error && bytes != 0) return Status::Ok();
  ASSIGN_OR_RETURN(const std::vector<std::int64_t> there, directories.List());
  if (there.empty()) return Status::Ok();
  for (const std::int64_t id : there) RETURN_IF_ERROR(images.Unmount(directories.Layer(id)));
  ASSIGN_OR_RETURN(const std::string aside, directories.PutAside());
  log.Warning(
      "the database of snapshots is lost: a new one begins. What containers have written "
      "is kept, to be removed by hand",
      {{"directories", there.size()}, {"path", aside}});
  return Status::Ok();
}

Status WriteLine(const std::string& path, const std::string& line) {
  ASSIGN_OR_RETURN(const std::unique_ptr<os::AtomicFile> file, os::AtomicFile::Create(path));
  const std::string text = line + "\n";
  RETURN_IF_ERROR(file->Write(0, std::as_bytes(std::span(text))));
  return file->Commit();
}

// A store's instance also lies beside it, for one that is made when it is lost: who has nothing yet
// goes on with what that held.
Status KeepInstance(const std::string& path, Store& store, os::Reserve& reserve,
                    base::Logger& log) {
  const Result<std::string> kept = os::ReadLine(path);
  const bool known = kept.ok() && kept->size() == store.instance().size();
  if (known && *kept == store.instance()) return Status::Ok();
  ASSIGN_OR_RETURN(const std::vector<Snapshot> snapshots, store.List(Filter()));
  if (known && snapshots.empty()) return WithReserve(reserve, [&] { return store.Inherit(*kept); });
  // Containers matter more than what helps a database that is lost one day.
  const Status written = WithReserve(reserve, [&] { return WriteLine(path, store.instance()); });
  if (!written.ok()) {
    log.Warning("whose holds in the pool are ours is kept in the database alone",
                {{"path", path}, {"err", written.message()}});
  }
  return Status::Ok();
}

}  // namespace

Result<std::unique_ptr<Snapshotter>> Snapshotter::Open(const Options& options, Images& images,
                                                       base::Logger& log) {
  ASSIGN_OR_RETURN(Directories directories, Directories::Open(options.root));
  ASSIGN_OR_RETURN(std::optional<os::FileLock> lock, os::FileLock::Try(options.root + "/lock"));
  if (!lock) return AlreadyExistsError(options.root + ": another daxfs-snapshotter has it");
  const std::string database = options.root + "/snapshots.db";
  RETURN_IF_ERROR(PutLostAside(database, directories, images, log));
  auto reserve =
      std::make_unique<os::Reserve>(options.root + "/reserve", kReservePartBytes, kReserveParts);
  ASSIGN_OR_RETURN(std::unique_ptr<Store> store,
                   WithReserve(*reserve, [&] { return Store::Open(database); }));
  RETURN_IF_ERROR(KeepInstance(options.root + "/instance", *store, *reserve, log));
  std::unique_ptr<Snapshotter> snapshotter(new Snapshotter(options, *std::move(lock),
                                                           std::move(reserve), std::move(store),
                                                           std::move(directories), images, log));
  RETURN_IF_ERROR(snapshotter->Recover());
  return snapshotter;
}

// What changes cut off by a crash have left, without waiting for it.
Status Snapshotter::Recover() {
  ASSIGN_OR_RETURN(const std::vector<Snapshot> snapshots, store_->List(Filter()));
  std::vector<std::int64_t> known;
  for (const Snapshot& snapshot : snapshots) {
    known.push_back(snapshot.layer.id);
    if (snapshot.info.kind == Kind::kCommitted && !snapshot.usage) counting_.Add(known.back());
  }
  std::sort(known.begin(), known.end());
  ASSIGN_OR_RETURN(const std::vector<std::int64_t> there, directories_.List());
  // The number of one that was never committed to the store would be given to the next.
  Status skipped;
  if (!there.empty()) {
    const std::int64_t last = *std::max_element(there.begin(), there.end());
    skipped = WithReserve(*reserve_, [&] { return store_->SkipNumbers(last); });
  }
  for (const std::int64_t id : there) {
    if (std::binary_search(known.begin(), known.end(), id)) continue;
    if (!skipped.ok()) static_cast<void>(Dispose(id));
    disposal_.Add(id);
  }
  for (const Snapshot& snapshot : snapshots) Repair(snapshot);
  const Status settled = restorer_.Settle();
  if (!settled.ok()) log_.Warning("the pool is not settled", {{"err", settled.message()}});
  reserve_->Keep();
  return Status::Ok();
}

// The power may go when a row is on the disk and its directories are not.
void Snapshotter::Repair(const Snapshot& snapshot) {
  const std::int64_t id = snapshot.layer.id;
  Status repaired;
  if (snapshot.layer.image) {
    repaired = directories_.MakeMissing(snapshot);
  } else if (!os::Directory::Open(directories_.Layer(id)).ok()) {
    if (snapshot.info.kind == Kind::kCommitted) {
      log_.Error(
          "the files of a layer are lost, as power failures do: remove the image and pull it again",
          {{"key", snapshot.info.name}, {"directory", directories_.Layer(id)}});
      return;
    }
    const Result<Snapshot> whole = store_->GetById(id);
    repaired = whole.ok() ? Make(*whole) : whole.status();
  } else if (snapshot.info.kind == Kind::kActive) {
    repaired = directories_.MakeMissing(snapshot);
  }
  if (repaired.ok()) return;
  log_.Warning("a snapshot lacks directories",
               {{"key", snapshot.info.name}, {"err", repaired.message()}});
}

}  // namespace daxfs::snapshotter
