// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/digest.hpp"
#include "snapshotter/database.hpp"
#include "snapshotter/filter.hpp"
#include "snapshotter/snapshot.hpp"

namespace daxfs::snapshotter {

// An image of a layer in the pool.
struct LayerImage {
  oci::Digest root;     // of the image itself
  oci::Digest diff_id;  // of the tar it was made of
  bool operator==(const LayerImage&) const = default;
};

// What a snapshot holds itself: its image, or what is in its directory.
struct Layer {
  std::int64_t id = 0;  // never given twice
  std::optional<LayerImage> image;
};

// A snapshot as the store has it.
struct Snapshot {
  Layer layer;
  Info info;
  std::optional<Usage> usage;        // of a committed one, once counted
  std::optional<oci::Digest> chain;  // its chainID, if all its layers are images we know
  std::vector<Layer> parents;        // the nearest first
};

struct CommitRequest {
  std::string name;
  std::string key;
  std::string parent;  // of one that had none, "" otherwise
  Labels labels;
};

// The metadata of all snapshots, in one SQLite file: an RPC is one transaction. Errors have the
// codes of containerd's own store. Thread safe; who reads does not wait for who writes.
class Store {
 public:
  // Makes the file if it is missing. Errors: kUnimplemented for one of a newer version; as
  // Statement::Step.
  static Result<std::unique_ptr<Store>> Open(const std::string& path);

  // Different for every store that was ever made: what it holds elsewhere carries it.
  const std::string& instance() const { return instance_; }
  // It goes on with what another held.
  Status Inherit(const std::string& instance);
  // Who holds a snapshot's image in the pool, whichever hosts and stores there are.
  std::string HolderPrefix() const { return instance_ + "/"; }
  std::string HolderOf(std::int64_t id) const { return HolderPrefix() + std::to_string(id); }

  // What belongs to a change and lies outside: called inside the transaction, which a failure
  // undoes.
  using Within = std::function<Status(const Snapshot& snapshot)>;
  // What that has done, or a part of it, is to go: the change was undone, for whatever reason.
  // Called before anything else is changed.
  using Undone = std::function<void(const Snapshot& snapshot)>;

  // A new active one or view. Errors: kAlreadyExists; kNotFound, kInvalidArgument for a parent that
  // is missing, or not committed.
  Result<Snapshot> Create(Kind kind, const std::string& key, const std::string& parent,
                          const Labels& labels, const Within& within, const Undone& undone = {});
  // A new committed one of an image somebody else has placed, `chain` the chainID it was found by:
  // it is known by that only if it follows from what is below. Errors: as Create;
  // kFailedPrecondition if another chainID follows.
  Result<Snapshot> CreateCommitted(const std::string& name, const std::string& parent,
                                   const Labels& labels, const LayerImage& image,
                                   const oci::Digest& chain, const Within& within,
                                   const Undone& undone = {});
  // Errors: kAlreadyExists for the name; kNotFound for key or parent; kFailedPrecondition unless
  // key is active and the parent committed; kInvalidArgument to change a parent.
  Result<Snapshot> Commit(const CommitRequest& request, const Within& within,
                          const Undone& undone = {});
  // What was removed. Errors: kNotFound; kFailedPrecondition while it has children.
  Result<Snapshot> Remove(const std::string& key);
  Result<Snapshot> RemoveById(std::int64_t id);
  // `paths`: "labels" or "labels.KEY"; none for all that can be changed. An empty value deletes a
  // label. Errors: kNotFound; kInvalidArgument.
  Result<Info> Update(const Info& info, const std::vector<std::string>& paths);

  // An active snapshot has that image for its layer. Errors: kNotFound if it has gone meanwhile;
  // kFailedPrecondition if it is no longer active or has one.
  Status SetImage(std::int64_t id, const LayerImage& image, const Within& within,
                  const Undone& undone = {});
  // The snapshot, whatever it is, has that image instead of the one it had. Nothing happens if it
  // has gone.
  Status ReplaceImage(std::int64_t id, const LayerImage& image);
  // All there are, without parents, while nothing changes.
  Status WhileUnchanged(const std::function<Status(const std::vector<Snapshot>&)>& body);
  // New ones get numbers above that.
  Status SkipNumbers(std::int64_t last);
  // Of a committed one; nothing happens if it has gone.
  Status SetUsage(std::int64_t id, const Usage& usage);

  // Errors: kNotFound.
  Result<Snapshot> Get(const std::string& key);
  // What is to be said of it; asks for no parents.
  Result<Info> Stat(const std::string& key);
  Result<Snapshot> GetById(std::int64_t id);
  // The committed one with that label containerd.io/snapshot.ref and that parent, if there is one.
  Result<std::optional<Snapshot>> FindReference(const std::string& reference,
                                                const std::string& parent);
  // All that match, without parents.
  Result<std::vector<Snapshot>> List(const Filter& filter);

 private:
  Store(std::unique_ptr<Database> writer, std::unique_ptr<Database> reader)
      : writer_(std::move(writer)), reader_(std::move(reader)) {}
  static Result<std::unique_ptr<Store>> OpenTables(const std::string& path);
  Status MakeTables();
  Result<Snapshot> Insert(const Snapshot& snapshot, const Within& within, const Undone& undone,
                          const std::optional<oci::Digest>& said = {});
  Result<Snapshot> RemoveFound(Result<Snapshot> found);
  // What `body` returns, a Result, out of one transaction.
  template <typename F>
  auto Write(F body, const std::function<void()>& undone = {}) -> decltype(body());
  Status Change(const std::function<Status()>& body, const std::function<void()>& undone = {});
  template <typename F>
  auto Read(F body) -> decltype(body());

  std::mutex write_mutex_;
  std::mutex read_mutex_;
  const std::unique_ptr<Database> writer_;  // under write_mutex_
  const std::unique_ptr<Database> reader_;  // under read_mutex_
  std::string instance_;
};

}  // namespace daxfs::snapshotter
