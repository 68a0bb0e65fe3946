// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/snapshotter.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "common/os/directory.hpp"
#include "common/os/file_tree.hpp"
#include "snapshotter/overlay.hpp"
#include "snapshotter/with_reserve.hpp"

namespace daxfs::snapshotter {
namespace {

constexpr const char* kReferenceLabel = "containerd.io/snapshot.ref";
// Of a layer that has a parent which is only said when it is committed (containerd 2.4 and later,
// where the snapshotter was given the capability `rebase`).
constexpr const char* kParentLabel = "containerd.io/snapshot/parent-chain-id";

// So many of what was removed may wait for their directories, mounts and holds to go: clients that
// are quicker would use up the pool's slots, or the disk.
constexpr std::uint64_t kDisposalsMost = 32;

std::string Quoted(const std::string& key) { return "snapshot '" + base::Printable(key) + "'"; }

}  // namespace

Snapshotter::Snapshotter(const Options& options, os::FileLock lock,
                         std::unique_ptr<os::Reserve> reserve, std::unique_ptr<Store> store,
                         Directories directories, Images& images, base::Logger& log)
    : overlay_options_(options.overlay_options),
      found_(options.found),
      lock_(std::move(lock)),
      reserve_(std::move(reserve)),
      store_(std::move(store)),
      directories_(std::move(directories)),
      limits_(directories_.folder(), log),
      images_(images),
      log_(log),
      disposal_(
          "removing a snapshot's directory", [this](std::int64_t id) { return Dispose(id); }, log),
      counting_(
          "counting what a snapshot takes", [this](std::int64_t id) { return Count(id); }, log),
      restorer_(
          *store_, directories_, images,
          [this](const Layer& layer) { return MountLayer(layer).status(); },
          [this](const Snapshot& snapshot) { Announce(snapshot); }, log) {}

Result<std::vector<Mount>> Snapshotter::Prepare(const std::string& key, const std::string& parent,
                                                const Labels& labels) {
  const auto reference = labels.find(kReferenceLabel);
  if (reference != labels.end()) {
    if (parent.empty() && labels.contains(kParentLabel)) {
      return Stage(key, reference->second, labels);
    }
    RETURN_IF_ERROR(AdoptIfPlaced(reference->second, parent, labels));
  }
  ASSIGN_OR_RETURN(Made made, Create(Kind::kActive, key, parent, labels));
  return std::move(made.mounts);
}

// An active snapshot, with its image if somebody has placed that: then what it is mounted of is
// read-only, upon which containerd commits it without applying anything.
Result<std::vector<Mount>> Snapshotter::Stage(const std::string& key, const std::string& reference,
                                              const Labels& labels) {
  ASSIGN_OR_RETURN(Made made, Create(Kind::kActive, key, "", labels));
  const std::optional<LayerImage> image = FindPlaced(reference);
  if (!image) return std::move(made.mounts);
  const std::int64_t id = made.snapshot.layer.id;
  const Status set = SetImage(made.snapshot, *image);
  if (!set.ok()) {
    log_.Warning("an image in the pool is not used",
                 {{"chain", reference}, {"err", set.message()}});
    return std::move(made.mounts);
  }
  const Result<std::string> layer = MountLayer({id, image});
  if (!layer.ok()) {
    RemoveAgain(id);  // as in Create
    return layer.status();
  }
  TellFound(reference);
  return ComposeMounts({Kind::kView, *layer, "", {}}, labels, {});
}

// The image of that chain, if it can be had.
std::optional<LayerImage> Snapshotter::FindPlaced(const std::string& reference) {
  const Result<oci::Digest> chain = oci::Digest::Parse(reference);
  if (!chain.ok()) return std::nullopt;  // nobody can have placed it under that
  const Result<std::optional<LayerImage>> image = images_.FindChain(*chain);
  if (image.ok()) return *image;
  log_.Warning("the pool was not asked", {{"chain", reference}, {"err", image.status().message()}});
  return std::nullopt;
}

Result<std::vector<Mount>> Snapshotter::View(const std::string& key, const std::string& parent,
                                             const Labels& labels) {
  ASSIGN_OR_RETURN(Made made, Create(Kind::kView, key, parent, labels));
  return std::move(made.mounts);
}

Status Snapshotter::Make(const Snapshot& snapshot) {
  const std::int64_t id = snapshot.layer.id;
  RETURN_IF_ERROR(limits_.Clear(directories_.Path(id)));  // of a number that is given again
  RETURN_IF_ERROR(directories_.Make(snapshot));
  if (snapshot.info.kind != Kind::kActive) return Status::Ok();
  if (const std::optional<std::uint64_t> most = limits_.Wanted(snapshot.info.labels)) {
    RETURN_IF_ERROR(limits_.Set(
        id, {directories_.Path(id), directories_.Layer(id), directories_.Work(id)}, *most));
  }
  ASSIGN_OR_RETURN(const std::optional<Owner> owner, MappedRoot(snapshot.info.labels));
  if (owner) return os::ChangeOwner(directories_.Layer(id), owner->uid, owner->gid);
  // The root of a layer's image belongs to root, as that of a new directory.
  if (snapshot.parents.empty() || snapshot.parents.front().image) return Status::Ok();
  ASSIGN_OR_RETURN(const os::Directory below,
                   os::Directory::Open(directories_.Layer(snapshot.parents.front().id)));
  ASSIGN_OR_RETURN(const os::FileInfo root, below.Stat(""));
  return os::ChangeOwner(directories_.Layer(id), root.uid, root.gid);
}

Result<Snapshotter::Made> Snapshotter::Create(Kind kind, const std::string& key,
                                              const std::string& parent, const Labels& labels) {
  ASSIGN_OR_RETURN(
      Snapshot made,
      store_->Create(
          kind, key, parent, labels, [this](const Snapshot& snapshot) { return Make(snapshot); },
          [this](const Snapshot& s) { static_cast<void>(RemoveDirectories(s.layer.id)); }));
  // Containerd holds a lock meanwhile.
  Result<std::vector<Mount>> mounts = MountsOf(made, Patience::kSecond);
  if (!mounts.ok()) {
    // Who asked knows nothing of it. Meanwhile the key may be of another.
    RemoveAgain(made.layer.id);
    return mounts.status();
  }
  return Made{std::move(made), *std::move(mounts)};
}

// Errors: kAlreadyExists when it is there with that label and parent. Whatever else goes wrong is
// no reason not to pull.
Status Snapshotter::AdoptIfPlaced(const std::string& reference, const std::string& parent,
                                  const Labels& labels) {
  const Status adopted = AlreadyExistsError(Quoted(reference) + " is in the pool");
  ASSIGN_OR_RETURN(std::optional<Snapshot> known, store_->FindReference(reference, parent));
  if (known && CanBeHad(*known)) return adopted;
  const std::optional<LayerImage> image = FindPlaced(reference);
  if (!image) return Status::Ok();
  const oci::Digest chain = *oci::Digest::Parse(reference);
  const auto make = [&](const Snapshot& s) {
    RETURN_IF_ERROR(images_.Hold(*image, store_->HolderOf(s.layer.id)));
    return Make(s);
  };
  const auto undo = [this](const Snapshot& s) {
    static_cast<void>(RemoveDirectories(s.layer.id));
    static_cast<void>(images_.Drop(store_->HolderOf(s.layer.id)));
  };
  const auto create = [&](const std::string& name) {
    return store_->CreateCommitted(name, parent, labels, *image, chain, make, undo);
  };
  Result<Snapshot> made = create(reference);
  if (made.status().code() == StatusCode::kAlreadyExists) {
    // Somebody was quicker, or it is the same chain over another parent.
    ASSIGN_OR_RETURN(known, store_->FindReference(reference, parent));
    if (known && CanBeHad(*known)) return adopted;
    made = create(reference + " " + parent);
  }
  if (!made.ok()) {
    log_.Warning("an image in the pool is not used",
                 {{"chain", reference}, {"err", made.status().message()}});
    return Status::Ok();
  }
  counting_.Add(made->layer.id);
  TellFound(reference);
  return adopted;
}

// Not of one whose image is lost: a pull brings the blob it can be placed from again.
bool Snapshotter::CanBeHad(const Snapshot& known) {
  if (!known.layer.image) return true;
  const Result<bool> placed = images_.IsPlaced(*known.layer.image);
  return !placed.ok() || *placed;
}

void Snapshotter::TellFound(const std::string& chain) {
  log_.Info("layer", {{"chain", chain}, {"how", "found"}});
  found_();
}

// Locks nothing: what is mounted stays, and two that mount at once mount once (Images).
Result<std::vector<Mount>> Snapshotter::MountsOf(const Snapshot& snapshot, Patience patience) {
  RETURN_IF_ERROR(restorer_.Settle());
  Result<std::vector<Mount>> mounts = Compose(snapshot);
  if (mounts.status().code() != StatusCode::kNotFound) return mounts;
  RETURN_IF_ERROR(RestoreLayers(snapshot, patience));
  ASSIGN_OR_RETURN(const Snapshot restored, store_->GetById(snapshot.layer.id));
  return Compose(restored);
}

// Of its parents and its own.
Status Snapshotter::RestoreLayers(const Snapshot& snapshot, Patience patience) {
  const bool own = snapshot.layer.image || snapshot.parents.empty();
  const std::int64_t id = own ? snapshot.layer.id : snapshot.parents.front().id;
  return patience == Patience::kAll ? restorer_.Restore(id) : restorer_.RestoreSoon(id);
}

Result<std::vector<Mount>> Snapshotter::Compose(const Snapshot& snapshot) {
  const Layer& own = snapshot.layer;
  Pieces pieces;
  pieces.kind = snapshot.info.kind;
  pieces.upper = own.image ? directories_.Over(own.id) : directories_.Layer(own.id);
  pieces.work = directories_.Work(own.id);
  ASSIGN_OR_RETURN(pieces.lowers, MountBelow(snapshot));
  if (own.image) {
    // A Commit that failed may have had no room to make them again.
    RETURN_IF_ERROR(directories_.MakeMissing(snapshot));
    ASSIGN_OR_RETURN(std::string layer, MountLayer(own));
    pieces.lowers.insert(pieces.lowers.begin(), std::move(layer));
  }
  return ComposeMounts(pieces, snapshot.info.labels, OverlayOptions());
}

void Snapshotter::SetOverlayOptions(std::vector<std::string> options) {
  const std::lock_guard lock(options_mutex_);
  overlay_options_ = std::move(options);
}

std::vector<std::string> Snapshotter::OverlayOptions() {
  const std::lock_guard lock(options_mutex_);
  return overlay_options_;
}

// Where it is to be seen.
Result<std::string> Snapshotter::MountLayer(const Layer& layer) {
  std::string path = directories_.Layer(layer.id);
  if (!layer.image) return path;
  Status mounted = images_.Mount(*layer.image, path);
  if (mounted.code() == StatusCode::kResourceExhausted) {
    disposal_.Drain();  // mounts of what was removed have the room
    mounted = images_.Mount(*layer.image, path);
  }
  RETURN_IF_ERROR(mounted);
  return path;
}

Result<std::vector<std::string>> Snapshotter::LayersBelow(const Snapshot& snapshot) {
  RETURN_IF_ERROR(restorer_.Settle());
  Result<std::vector<std::string>> paths = MountBelow(snapshot);
  if (paths.status().code() != StatusCode::kNotFound) return paths;
  RETURN_IF_ERROR(RestoreLayers(snapshot, Patience::kAll));
  ASSIGN_OR_RETURN(const Snapshot restored, store_->GetById(snapshot.layer.id));
  return MountBelow(restored);
}

// A layer that is there again further up, as layers with nothing in them are, changes nothing:
// where it has an entry, whiteout or opaque directory, so has the upper one. OverlayFS refuses it
// ("too many levels of symbolic links"), for to the kernel both are one filesystem. Only a redirect
// in a directory between them would look for it there: then it stays, and is refused.
Result<std::vector<std::string>> Snapshotter::MountBelow(const Snapshot& snapshot) {
  std::set<oci::Digest> above;
  if (snapshot.layer.image) above.insert(snapshot.layer.image->root);
  std::vector<std::string> paths;
  for (const Layer& layer : snapshot.parents) {
    if (!layer.image && !above.empty() && MayRedirect(OverlayOptions())) above.clear();
    if (layer.image && !above.insert(layer.image->root).second) continue;
    ASSIGN_OR_RETURN(std::string path, MountLayer(layer));
    paths.push_back(std::move(path));
  }
  return paths;
}

bool Snapshotter::IsLowest(const Snapshot& snapshot) {
  return snapshot.parents.empty() && !snapshot.info.labels.contains(kParentLabel);
}

Result<std::vector<Mount>> Snapshotter::Mounts(const std::string& key) {
  ASSIGN_OR_RETURN(const Snapshot snapshot, store_->Get(key));
  if (snapshot.info.kind == Kind::kCommitted) {
    return FailedPreconditionError(Quoted(key) + " is not active or a view");
  }
  Result<std::vector<Mount>> mounts = MountsOf(snapshot, Patience::kAll);
  // Of what somebody has removed meanwhile anything may be missing.
  if (!mounts.ok()) RETURN_IF_ERROR(store_->GetById(snapshot.layer.id).status());
  return mounts;
}

Status Snapshotter::Commit(const CommitRequest& request) {
  bool removed_over = false;
  const auto check = [&](const Snapshot& s) {
    if (!s.layer.image) return Status::Ok();
    // Of an image's layer nothing else may be there, or it would be lost.
    const Status removed = os::RemoveDirectory(directories_.Over(s.layer.id));
    removed_over = removed.ok();
    if (removed.ok() || removed.code() == StatusCode::kNotFound) return Status::Ok();
    return FailedPreconditionError(Quoted(request.key) +
                                   " holds a layer that was applied and files written over it");
  };
  const auto undo = [&](const Snapshot& s) {
    if (removed_over) static_cast<void>(MakeOver(s.layer.id));
  };
  ASSIGN_OR_RETURN(const Snapshot committed, store_->Commit(request, check, undo));
  if (request.parent.empty() || IsTheSameOverAll(committed.layer)) Announce(committed);
  counting_.Add(committed.layer.id);
  return Status::Ok();
}

// What is below was not known when it was made.
bool Snapshotter::IsTheSameOverAll(const Layer& layer) {
  if (!layer.image) return false;
  const Result<bool> depends = images_.DependsOnBelow(*layer.image);
  return depends.ok() && !*depends;
}

// Others find the layer by the chain, if that is what it was committed as.
void Snapshotter::Announce(const Snapshot& committed) {
  if (!committed.chain || !committed.layer.image) return;
  const std::string& name = committed.info.name;
  const std::string chain = committed.chain->ToString();
  if (name.size() < chain.size() || name.substr(name.size() - chain.size()) != chain) return;
  std::optional<oci::Digest> parent;
  if (!committed.info.parent.empty()) {
    const Result<Snapshot> below = store_->Get(committed.info.parent);
    if (below.ok()) parent = below->chain;
  }
  const Status added = images_.AddChain(*committed.layer.image, *committed.chain, parent);
  if (!added.ok()) {
    log_.Warning("other hosts will not find a layer by its chain",
                 {{"chain", chain}, {"err", added.message()}});
  }
}

Status Snapshotter::Remove(const std::string& key) {
  // On a full disk this is what makes room.
  return Removed(WithReserve(*reserve_, [&] { return store_->Remove(key); }));
}

// What was made, and nobody was told of.
void Snapshotter::RemoveAgain(std::int64_t id) {
  static_cast<void>(Removed(WithReserve(*reserve_, [&] { return store_->RemoveById(id); })));
}

// What is to be done behind that.
Status Snapshotter::Removed(const Result<Snapshot>& removed) {
  RETURN_IF_ERROR(removed.status());
  const Layer& layer = removed->layer;
  // There are only so many, and directories may wait for long; a mount keeps its image itself.
  if (layer.image) static_cast<void>(images_.Drop(store_->HolderOf(layer.id)));
  disposal_.Add(layer.id);
  disposal_.Await(kDisposalsMost);
  return Status::Ok();
}

// What a removed snapshot had.
Status Snapshotter::Dispose(std::int64_t id) {
  RETURN_IF_ERROR(images_.Unmount(directories_.Layer(id)));
  RETURN_IF_ERROR(RemoveDirectories(id));
  reserve_->Keep();
  return images_.Drop(store_->HolderOf(id));
}

Status Snapshotter::RemoveDirectories(std::int64_t id) {
  RETURN_IF_ERROR(limits_.Clear(directories_.Path(id)));
  return directories_.Remove(id);
}

Result<Info> Snapshotter::Stat(const std::string& key) { return store_->Stat(key); }

Result<Info> Snapshotter::Update(const Info& info, const std::vector<std::string>& paths) {
  return store_->Update(info, paths);
}

Result<std::vector<Info>> Snapshotter::List(const std::vector<std::string>& filters) {
  ASSIGN_OR_RETURN(const Filter filter, Filter::Parse(filters));
  ASSIGN_OR_RETURN(std::vector<Snapshot> snapshots, store_->List(filter));
  std::vector<Info> infos;
  infos.reserve(snapshots.size());
  for (Snapshot& snapshot : snapshots) infos.push_back(std::move(snapshot.info));
  return infos;
}

Result<Usage> Snapshotter::Measure(const std::string& key, const std::function<bool()>& cancelled) {
  ASSIGN_OR_RETURN(const Snapshot snapshot, store_->Get(key));
  if (snapshot.usage) return *snapshot.usage;
  if (snapshot.info.kind == Kind::kView) return Usage();
  return MeasureLayer(snapshot, cancelled);
}

Result<Usage> Snapshotter::MeasureLayer(const Snapshot& snapshot,
                                        const std::function<bool()>& cancelled) {
  const Layer& layer = snapshot.layer;
  if (layer.image && snapshot.info.kind == Kind::kCommitted) return images_.Measure(*layer.image);
  const std::string written =
      layer.image ? directories_.Over(layer.id) : directories_.Layer(layer.id);
  ASSIGN_OR_RETURN(const os::TreeUsage usage, os::MeasureTree(written, cancelled));
  return Usage{static_cast<std::int64_t>(usage.bytes), static_cast<std::int64_t>(usage.inodes)};
}

// Of a committed one, to be said again without counting.
Status Snapshotter::Count(std::int64_t id) {
  const Result<Snapshot> snapshot = store_->GetById(id);
  if (snapshot.status().code() == StatusCode::kNotFound) return Status::Ok();
  RETURN_IF_ERROR(snapshot.status());
  ASSIGN_OR_RETURN(const Usage usage, MeasureLayer(*snapshot, [] { return false; }));
  return store_->SetUsage(id, usage);
}

Status Snapshotter::Cleanup() {
  disposal_.Drain();
  return Status::Ok();
}

Result<Snapshot> Snapshotter::FindTarget(const std::vector<Mount>& mounts) {
  const Status not_ours = UnimplementedError("these mounts are of no empty snapshot of daxfs");
  if (mounts.empty()) return not_ours;
  const std::optional<std::string> written = WrittenDirectory(mounts.back());
  if (!written) return not_ours;
  const std::optional<std::int64_t> id = directories_.IdOf(*written);
  if (!id) return not_ours;
  Result<Snapshot> snapshot = store_->GetById(*id);
  if (!snapshot.ok() || snapshot->info.kind != Kind::kActive || snapshot->layer.image) {
    return not_ours;
  }
  ASSIGN_OR_RETURN(const os::Directory directory, os::Directory::Open(*written));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, directory.Names());
  if (!names.empty()) return not_ours;
  return snapshot;
}

Status Snapshotter::SetImage(const Snapshot& target, const LayerImage& image) {
  const auto make = [&](const Snapshot& snapshot) {
    RETURN_IF_ERROR(images_.Hold(image, store_->HolderOf(snapshot.layer.id)));
    return MakeOver(snapshot.layer.id);
  };
  const auto undo = [this](const Snapshot& snapshot) {
    static_cast<void>(images_.Drop(store_->HolderOf(snapshot.layer.id)));
  };
  return store_->SetImage(target.layer.id, image, make, undo);
}

// What is written over the image that is its layer.
Status Snapshotter::MakeOver(std::int64_t id) {
  const Status made = os::MakeDirectory(directories_.Over(id), 0755);
  return made.code() == StatusCode::kAlreadyExists ? Status::Ok() : made;
}

}  // namespace daxfs::snapshotter
