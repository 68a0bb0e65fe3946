// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/status.hpp"
#include "common/os/file_lock.hpp"
#include "common/pool/digest.hpp"
#include "common/pool/host.hpp"
#include "common/pool/memory.hpp"
#include "pool_index.h"
#include "pool_record.h"
#include "pool_slot.h"

namespace daxfs::pool {

class Participant;
class Building;

// One life of a row: what owner words, aliases and holds name. Row and partition, which is 0 unless
// the pool has several.
struct Ref {
  std::uint32_t row = 0;
  std::uint64_t generation = 0;
  std::uint32_t partition = 0;
  auto operator<=>(const Ref&) const = default;
};

// What a target of an alias or hold names; of a target that is no row, one that is in no pool.
inline Ref RefOf(const daxfs_pool& words, std::uint64_t target) {
  const std::uint32_t number = daxfs_reference_row(target);
  return {number % words.row_count, daxfs_word_generation(target), number / words.row_count};
}

enum class ObjectKind : std::uint32_t {
  kImage = DAXFS_OBJECT_IMAGE,
  kBlob = DAXFS_OBJECT_BLOB,
};

enum class AliasKind : std::uint32_t {
  kRoot = DAXFS_ALIAS_ROOT,
  kDiffId = DAXFS_ALIAS_DIFF_ID,
  kBlob = DAXFS_ALIAS_BLOB,
  kChain = DAXFS_ALIAS_CHAIN,
};

enum class HoldKind : std::uint32_t {
  kAdmin = DAXFS_HOLD_ADMIN,
  kSnapshot = DAXFS_HOLD_SNAPSHOT,
  kVolume = DAXFS_HOLD_VOLUME,
  kStage = DAXFS_HOLD_STAGE,
};

// A reference that lasts as long as this object and this process: what it names is not collected.
class Use {
 public:
  Use(Use&& other) noexcept
      : participant_(std::exchange(other.participant_, nullptr)), ref_(other.ref_) {}
  Use& operator=(Use&& other) noexcept;
  ~Use();

  Ref ref() const { return ref_; }
  // As a killed process leaves it. For tests.
  void ForgetForTesting() { participant_ = nullptr; }

 private:
  friend class Participant;
  Use(Participant* participant, Ref ref) : participant_(participant), ref_(ref) {}

  Participant* participant_;
  Ref ref_;
};

// What a look-up by an alias finds.
struct Key {
  AliasKind kind = AliasKind::kRoot;
  Digest digest{};
};

struct CollectOptions {
  std::uint64_t wanted_bytes = UINT64_MAX;    // stop when so much was freed,
  std::uint64_t wanted_objects = UINT64_MAX;  // or so many
  bool dry_run = false;                       // only say what would go, in which order
};

struct Collected {
  Ref ref;
  Digest digest{};
  std::uint64_t bytes = 0;  // of pool memory
  std::uint64_t used = 0;   // seconds since 1970
};

using WhenCollected = std::function<void(const std::vector<Collected>&)>;

// Errors: kInvalidArgument unless it has 1 to 192 bytes, no # and no sha256: in front.
Status CheckName(std::string_view name);

// States that the host with this number and key (HostView) can no longer reach the memory, for who
// takes no part: all its slots may be that host's. What it had is undone by whoever attaches next,
// or takes part. Errors: kNotFound if it is another's now.
Status StateOff(const Memory& memory, std::uint32_t host, std::uint64_t key);

// A process that takes part in a pool, in a slot of its own for as long as it lives: takes
// references, builds, collects. Thread safe. When the process ends, however it ends, what it used
// is free again; the other processes of its host see to that. Whose host was stated to be off can
// do nothing any more: everything that changes the pool says kAborted.
class Participant {
 public:
  // Attaches, in a dead one's slot if none is free; sweeps what dead processes of this host have
  // left. `name` is for people. Errors: kFailedPrecondition if another machine with this host's id
  // is alive; kResourceExhausted if all slots are taken.
  static Result<std::unique_ptr<Participant>> Attach(std::unique_ptr<Memory> memory,
                                                     const HostIdentity& host,
                                                     const std::string& name);
  // Leaves in order. Requires: no Use and no Building of it is left.
  ~Participant();
  Participant(const Participant&) = delete;
  Participant& operator=(const Participant&) = delete;

  // Ends as a killed process does: nothing is undone, and its lock is gone. For tests.
  void DieForTesting();

  // False from the moment on that its host is stated to be off, or another pool is where this one
  // was. It stays false.
  bool IsMember() const { return !IsFenced() && memory_->IsStillThere(); }

  const Memory& memory() const { return *memory_; }
  std::uint32_t slot() const { return slot_; }
  std::uint32_t host() const { return host_; }

  // The object a key, or a name, points to; nothing if there is none that is ready. Errors:
  // kAborted when others keep changing it.
  Result<std::optional<Use>> Find(const Key& key);
  // Whether it would be found; counts as no use of it. Errors: kAborted.
  Result<bool> Has(const Key& key);
  Result<std::optional<Use>> FindName(std::string_view name);
  Result<std::optional<Use>> Take(Ref ref);

  // A new object in the making. Errors: kResourceExhausted without a free row.
  Result<std::unique_ptr<Building>> Begin(ObjectKind kind);

  // One way more to find the object. One that is there already is no error. Errors:
  // kResourceExhausted.
  Status AddAlias(const Use& use, const Key& key, const Digest* parent = nullptr);
  // The name points to that object from now on, whatever it pointed to before. Errors:
  // kInvalidArgument for an empty name or one above 192 bytes; kResourceExhausted; kAborted.
  Status SetName(const Use& use, std::string_view name);
  // Errors: kNotFound.
  Status RemoveName(std::string_view name);

  // A reference that stays when this process ends, until it is dropped or the host is fenced. One
  // of this host with the same kind and name is replaced. Errors: kResourceExhausted.
  Status Hold(const Use& use, HoldKind kind, std::string_view name);
  // SetName, and an administrator's hold of what it points to. Of several that give one name at
  // once the last one's object has both. Errors: as SetName and Hold.
  Status NameAndHold(const Use& use, std::string_view name);
  // Drops this host's hold. Errors: kNotFound.
  Status DropHold(HoldKind kind, std::string_view name);
  // Drops this host's holds of that name and of its parts, "NAME#0" and so on. Returns how many.
  std::uint32_t DropHolds(HoldKind kind, std::string_view name);
  // Those of its parts from that number on alone.
  std::uint32_t DropParts(HoldKind kind, std::string_view name, std::size_t from);

  // From now on who finds the pool full frees what nobody refers to first, the longest unused
  // before others, and goes on; unless all of that were too little. `collected` is told what went,
  // from any thread. Before others use this object.
  void CollectWhenFull(WhenCollected collected);
  // Frees objects nobody refers to, the longest unused first.
  std::vector<Collected> Collect(const CollectOptions& options);
  // Frees this object if nobody refers to it. Errors: kFailedPrecondition while somebody does;
  // kNotFound.
  Status CollectOne(Ref ref);

  // Counts an object that another was building.
  void CountWait();

  // Makes a chunk without small objects in use whole again; whether it did.
  bool MergeChunk(std::uint32_t chunk);

  // Undoes what dead processes of this host have left, at once. Returns how many there were.
  std::uint32_t SweepLocal();
  // StateOff, and what it had is undone. Errors: kInvalidArgument for this host itself; its.
  Status Fence(std::uint32_t host, std::uint64_t key);
  // The same of the host of a partition, in a partitioned pool. What is in that partition stays,
  // for all to read; what that host used and held in the others can be collected.
  Status FencePartition(std::uint32_t partition);

  // Who builds what `asked_for` stands for, and how far he is; see obtain.hpp.
  struct Builder {
    Ref ref;
    std::uint64_t progress = 0;
  };
  std::optional<Builder> FindBuilder(const Digest& asked_for);
  // This one does, if nobody else does; what it builds is `ref`. Errors: kResourceExhausted.
  Result<bool> Announce(const Digest& asked_for, Ref ref);
  void Withdraw(const Digest& asked_for, Ref ref);

 private:
  friend class Use;
  friend class Building;

  Participant(std::unique_ptr<Memory> memory, HostIdentity host);
  Status Join(const std::string& directory, const std::string& name);
  Status JoinHost();
  Status TakeSlot();
  Result<bool> TryAllSlots();
  Result<bool> TryFreeSlot(std::uint32_t slot);
  Result<bool> TryDeadSlot(std::uint32_t slot);
  daxfs_attacher AsAttacher(const os::FileLock& lock) const;
  Result<bool> IsTaken(int error) const;
  bool SomeSlotIsChanging() const;
  Status BeginLife(const std::string& name);
  bool ProveDead(std::uint32_t slot, std::uint64_t word, std::optional<os::FileLock>* life) const;
  std::string LockPath(std::uint32_t slot) const;
  bool IsFenced() const;
  // The lock over this slot's words, which are its own. Errors: kAborted if they are not any more.
  Result<std::unique_lock<std::mutex>> Enter();
  void Beat();
  void StopBeating();
  bool SweepLocked(std::uint32_t slot);
  void Drop(Ref ref);
  void TouchLocked(Ref ref);
  Result<std::optional<Use>> Find(daxfs_index daxfs_pool::*table, const daxfs_key& key);
  Result<std::optional<Use>> FindAt(const daxfs_pool& home, daxfs_index daxfs_pool::*table,
                                    const daxfs_key& key);
  int PutNameLocked(const daxfs_key& key, std::uint64_t target, std::string_view name, bool force);
  struct FoundHold {
    std::uint32_t row;
    daxfs_hold_info info;
  };
  std::optional<FoundHold> FindHold(HoldKind kind, std::string_view name) const;
  int DropHoldLocked(std::uint32_t row, const daxfs_hold_info& info);
  template <typename F>
  std::uint32_t DropHoldsIf(HoldKind kind, F is_meant);
  std::uint64_t TargetOf(Ref ref) const;
  bool IsOwn(Ref ref) const { return ref.partition == memory_->partition(); }
  // For Building.
  Result<std::uint32_t> TakeChunk(const Building& building);
  Result<std::uint32_t> TakeGranules(Ref ref, std::uint32_t count);
  // What somebody has found none of: so many chunks, granules side by side, or else an entry of a
  // table.
  struct Need {
    std::uint64_t chunks = 0;
    std::uint32_t granules = 0;
  };
  struct Attempts {
    int made = 0;  // objects went
    int idle = 0;  // none did; others may be at it
  };
  // Whether it is worth to look again.
  bool MakeRoom(const Need& need, Attempts& attempts);
  // `look`, and again as often as there may be room meanwhile.
  template <typename Look>
  auto WithRoom(const Need& need, Look look) -> decltype(look());
  Result<std::unique_ptr<Building>> TryBegin(ObjectKind kind);
  Result<bool> TryAnnounce(const Digest& asked_for, Ref ref);
  Status TryAlias(const Use& use, const Key& key, const Digest* parent);
  Result<std::uint32_t> TryChunk(Ref ref);
  Result<std::uint32_t> TryGranules(Ref ref, std::uint32_t count);
  std::optional<std::uint32_t> TakeGranulesLocked(Ref ref, std::uint32_t count);
  std::optional<std::uint32_t> TakeFreeChunkLocked(Ref ref);
  struct PublishedRow {
    Use use;
    bool adopted;
  };
  Result<PublishedRow> PublishRow(Ref ref, const Digest& digest);
  Status CheckBuilding(Ref ref);
  // Errors for who found nothing free: memory; entries of a table, for more of which `create` has
  // that option.
  Status NoMemory(std::uint64_t has_bytes, std::uint64_t wanted_bytes, bool at_least) const;
  Status NoAlias() const;
  Status NoEntry(const std::string& what, const std::string& advice, const char* option) const;

  const std::unique_ptr<Memory> memory_;
  const HostIdentity identity_;
  std::uint32_t host_ = 0;
  __u64 host_key_ = 0;
  std::uint32_t slot_ = 0;
  __u64 slot_word_ = 0;               // of this life; another: this host was stated to be off
  std::uint64_t partition_life_ = 0;  // likewise, of a partitioned pool
  std::optional<os::FileLock> life_;  // held as long as the slot is ours

  std::mutex mutex_;  // over this slot's words, and what follows; held where a name says Locked
  std::map<Ref, std::uint32_t> uses_;  // users behind each use bit
  std::uint32_t next_row_ = 0;         // where the search for free ones goes on
  std::uint32_t next_chunk_ = 0;
  std::uint32_t granule_chunk_ = 0;
  std::array<__u64, DAXFS_CONTENTION_COUNT> contention_{};
  WhenCollected collected_;  // nothing: a full pool stays full

  std::mutex beat_mutex_;
  std::condition_variable beat_wake_;
  bool leaving_ = false;
  std::thread beat_;
};

}  // namespace daxfs::pool
