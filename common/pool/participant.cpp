// SPDX-License-Identifier: Apache-2.0
// A participant's life: its host, its slot, what the dead have left.
#include "common/pool/participant.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "common/os/system.hpp"
#include "common/pool/building.hpp"
#include "common/pool/heart.hpp"

namespace daxfs::pool {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBeat{1000}, kMoment{20}, kSweepWait{2000};
constexpr int kTries = 8;

}  // namespace

Participant::Participant(std::unique_ptr<Memory> memory, HostIdentity host)
    : memory_(std::move(memory)), identity_(std::move(host)) {}

std::string Participant::LockPath(std::uint32_t slot) const {
  return identity_.run_dir + "/" + UuidText(memory_->uuid()) + "/slot-" + std::to_string(slot);
}

Result<std::unique_ptr<Participant>> Participant::Attach(std::unique_ptr<Memory> memory,
                                                         const HostIdentity& host,
                                                         const std::string& name) {
  std::unique_ptr<Participant> self(new Participant(std::move(memory), host));
  const std::string directory = host.run_dir + "/" + UuidText(self->memory_->uuid());
  RETURN_IF_ERROR(self->memory_->Settle(host.id));
  self->memory_->CountInto(self->contention_.data());
  RETURN_IF_ERROR(os::MakeDirectories(directory));
  // Who begins while it is stated to be off, for it was, joins once more.
  Status joined = self->Join(directory, name);
  for (int i = 1; i < kTries && joined.code() == StatusCode::kAborted; ++i) {
    std::this_thread::sleep_for(kMoment);
    joined = self->Join(directory, name);
  }
  RETURN_IF_ERROR(joined);
  const daxfs_pool& words = self->memory_->words();
  // Apart from others, so that what one builder takes lies together.
  self->next_row_ = self->slot_ * 37U % words.row_count;
  self->next_chunk_ = self->slot_ * 61U % self->memory_->chunks();
  self->beat_ = std::thread([raw = self.get()] { raw->Beat(); });
  self->SweepLocal();
  return self;
}

Status Participant::Join(const std::string& directory, const std::string& name) {
  {
    ASSIGN_OR_RETURN(const os::FileLock joining, os::FileLock::Wait(directory + "/host"));
    RETURN_IF_ERROR(JoinHost());
  }
  RETURN_IF_ERROR(TakeSlot());
  return BeginLife(name);
}

Status Participant::JoinHost() {
  const daxfs_pool& words = memory_->words();
  if (!memory_->IsOfItsEpoch()) {
    return FailedPreconditionError(memory_->name() + ": has been made anew meanwhile: start again");
  }
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes to C's bytes
  const auto* id = reinterpret_cast<const __u8*>(identity_.id.data());
  if (daxfs_host_join(&words, id, identity_.name.c_str(), &host_, &host_key_) != 0) {
    return ResourceExhaustedError(memory_->name() + ": all " + std::to_string(words.host_count) +
                                  " hosts are taken; fence those that are gone");
  }
  daxfs_host_info host = {};
  daxfs_host_read(&words, host_, &host);
  const auto heart = [&] {
    daxfs_host_read(&words, host_, &host);
    return host.heartbeat;
  };
  // A host with another boot's mark may be off, or may be a second one with the same id. Who is of
  // this boot, and sees other lock files, may just be saying so.
  if (host.boot != 0 && host.boot != identity_.boot && Changes(heart) &&
      host.boot != identity_.boot && host.key == host_key_) {
    return FailedPreconditionError(memory_->name() + ": a machine with this host's id " +
                                   UuidText(identity_.id) + " (\"" + host.name +
                                   "\") is alive in it; give each its own /etc/daxfs/host-id");
  }
  partition_life_ = daxfs_partition_begin(&words);
  return Status::Ok();
}

daxfs_attacher Participant::AsAttacher(const os::FileLock& lock) const {
  return {host_, host_key_, LockMark(identity_, lock)};
}

// Of daxfs_attach() and daxfs_succeed(): is the slot this one's?
Result<bool> Participant::IsTaken(int error) const {
  if (error != -ESTALE) return error == 0;
  return Status(
      StatusCode::kAborted,
      memory_->name() + ": this host is just being stated to be off (daxfsctl pool fence)");
}

// The lock comes first: who finds a slot of this host without one knows that its owner is dead.
Result<bool> Participant::TryFreeSlot(std::uint32_t slot) {
  const daxfs_pool& words = memory_->words();
  if (daxfs_word_state(daxfs_load(&words.slots[slot])) != DAXFS_SLOT_FREE) return false;
  ASSIGN_OR_RETURN(life_, os::FileLock::Try(LockPath(slot)));
  if (!life_) return false;
  const daxfs_attacher self = AsAttacher(*life_);
  return IsTaken(daxfs_attach(&words, slot, &self, &slot_word_));
}

// Its slot is taken over, and what it left is swept as this one's own: it takes a slot to sweep.
Result<bool> Participant::TryDeadSlot(std::uint32_t slot) {
  const daxfs_pool& words = memory_->words();
  const std::uint64_t word = daxfs_load(&words.slots[slot]);
  if (daxfs_word_state(word) == DAXFS_SLOT_DEAD) {
    ASSIGN_OR_RETURN(life_, os::FileLock::Try(LockPath(slot)));
    if (!life_) return false;
  } else if (!ProveDead(slot, word, &life_)) {
    return false;
  }
  const daxfs_attacher self = AsAttacher(*life_);
  return IsTaken(daxfs_succeed(&words, slot, &self, &slot_word_));
}

Result<bool> Participant::TryAllSlots() {
  using Try = Result<bool> (Participant::*)(std::uint32_t);
  for (const Try attempt : {&Participant::TryFreeSlot, &Participant::TryDeadSlot}) {
    for (slot_ = 0; slot_ < memory_->words().slot_count; ++slot_) {
      Result<bool> taken = (this->*attempt)(slot_);
      if (taken.ok() && *taken) return taken;
      life_.reset();
      if (!taken.ok()) return taken;
    }
  }
  return false;
}

// What somebody is sweeping is free in a moment, as may be what another took when this one looked.
bool Participant::SomeSlotIsChanging() const {
  const daxfs_pool& words = memory_->words();
  for (std::uint32_t slot = 0; slot < words.slot_count; ++slot) {
    if (daxfs_word_state(daxfs_load(&words.slots[slot])) != DAXFS_SLOT_ATTACHED) return true;
  }
  return false;
}

Status Participant::TakeSlot() {
  for (milliseconds waited{0}; waited < kSweepWait; waited += kMoment) {
    ASSIGN_OR_RETURN(const bool taken, TryAllSlots());
    if (taken) return Status::Ok();
    if (waited.count() != 0 && !SomeSlotIsChanging()) break;
    std::this_thread::sleep_for(kMoment);
  }
  return ResourceExhaustedError(
      memory_->name() + ": all " + std::to_string(memory_->words().slot_count) +
      " slots for participants are taken (daxfsctl pool info shows by " +
      "whom): end some, or fence hosts that are off; a pool made anew may " +
      "have more (daxfsctl pool create --participants)");
}

Status Participant::BeginLife(const std::string& name) {
  const daxfs_pool& words = memory_->words();
  const Status alive = memory_->LiveAs(slot_, slot_word_);
  // What is written from here on is this host's.
  RETURN_IF_ERROR(Enter().status());
  if (alive.error_number() == ESTALE || alive.error_number() == EPERM) {
    return alive.WithContext(
        "the kernel takes part as another host, was stated to be off, or has seen another pool "
        "there: compare its host_id= with daxfsctl pool info, else unmount its images, then "
        "daxfsctl detach and attach its devices");
  }
  RETURN_IF_ERROR(alive);
  daxfs_host_set_boot(&words, host_, identity_.boot);
  daxfs_participant_info info = {};
  info.heartbeat = info.started = os::WallClockSeconds();
  info.pid = os::ProcessId();
  info.kind = DAXFS_PARTICIPANT_PROGRAM;
  std::copy_n(name.begin(), std::min(name.size(), sizeof(info.name) - 1), std::begin(info.name));
  daxfs_participant_write(&words, slot_, &info);
  daxfs_heartbeat(&words, host_, slot_, info.started);
  return Status::Ok();
}

// Whether somebody has stated that this host is off: the slot is, or will be, another's life. In a
// pool made anew of the same memory another's slot may have the same word.
bool Participant::IsFenced() const {
  const daxfs_pool& words = memory_->words();
  return daxfs_load(&words.slots[slot_]) != slot_word_ ||
         daxfs_partition_over(&words, partition_life_) != 0 || !memory_->IsOfItsEpoch();
}

Status Participant::CheckBuilding(Ref ref) {
  ASSIGN_OR_RETURN(const std::unique_lock<std::mutex> lock, Enter());
  const std::uint64_t building = daxfs_word_make(DAXFS_ROW_BUILDING, slot_, ref.generation);
  if (daxfs_load(&memory_->words().rows[ref.row]) == building) return Status::Ok();
  return Status(StatusCode::kAborted,
                memory_->name() + ": this host was stated to be off while it was building");
}

Result<std::unique_lock<std::mutex>> Participant::Enter() {
  std::unique_lock lock(mutex_);
  if (!IsFenced()) return lock;
  return Status(StatusCode::kAborted,
                memory_->name() + ": this host was stated to be off (daxfsctl pool fence): what " +
                    "this process used and built may be others' by now; end it, and start again");
}

void Participant::Beat() {
  std::unique_lock lock(beat_mutex_);
  while (!beat_wake_.wait_for(lock, kBeat, [this] { return leaving_; })) {
    const daxfs_pool& words = memory_->words();
    if (IsFenced()) continue;
    // Once more: who was slow when it was stated to be off may have written its own there.
    daxfs_host_set_boot(&words, host_, identity_.boot);
    daxfs_heartbeat(&words, host_, slot_, os::WallClockSeconds());
    const std::lock_guard counting(mutex_);
    daxfs_contention_write(&words, slot_, contention_.data());
  }
}

void Participant::StopBeating() {
  if (!beat_.joinable()) return;
  {
    const std::lock_guard lock(beat_mutex_);
    leaving_ = true;
  }
  beat_wake_.notify_all();
  beat_.join();
}

Participant::~Participant() {
  StopBeating();
  if (!life_) return;
  DAXFS_CHECK(uses_.empty());
  const daxfs_pool& words = memory_->words();
  if (IsFenced()) return;
  daxfs_contention_write(&words, slot_, contention_.data());
  daxfs_detach(&words, slot_);
  memory_->LinesToMemory();
}

void Participant::DieForTesting() {
  StopBeating();
  life_.reset();
}

// Whether the slot's owner is of this host and dead; then its lock is in `life`. As long as we have
// that nobody else who sees its directory takes the slot. It proves something only of who would
// hold the same file: processes of one boot that see different directories (containers,
// $DAXFS_RUN_DIR) know nothing of each other.
bool Participant::ProveDead(std::uint32_t slot, std::uint64_t word,
                            std::optional<os::FileLock>* life) const {
  if (daxfs_word_state(word) != DAXFS_SLOT_ATTACHED || daxfs_word_slot(word) != host_ ||
      daxfs_slot_is_kernel(word) != 0) {
    return false;
  }
  Result<std::optional<os::FileLock>> taken = os::FileLock::Try(LockPath(slot));
  if (!taken.ok() || !*taken) return false;
  *life = *std::move(taken);
  const daxfs_attacher self = AsAttacher(**life);
  return daxfs_prove_dead(&memory_->words(), slot, word, &self) == 0;
}

// Whether the slot was that of somebody dead, and nothing of it is left now.
bool Participant::SweepLocked(std::uint32_t slot) {
  const daxfs_pool& words = memory_->words();
  const std::uint64_t word = daxfs_load(&words.slots[slot]);
  std::optional<os::FileLock> life;
  ProveDead(slot, word, &life);
  return daxfs_sweep(&words, slot_, slot) == 0;
}

std::uint32_t Participant::SweepLocal() {
  const std::lock_guard lock(mutex_);
  if (IsFenced()) return 0;
  std::uint32_t swept = 0;
  // A dead sweeper leaves others behind it: as long as there is progress, once more.
  for (std::uint32_t before = swept + 1; before != swept;) {
    before = swept;
    for (std::uint32_t slot = 0; slot < memory_->words().slot_count; ++slot) {
      if (slot != slot_ && SweepLocked(slot)) ++swept;
    }
  }
  return swept;
}

Status StateOff(const Memory& memory, std::uint32_t host, std::uint64_t key) {
  const daxfs_pool& words = memory.words();
  if (memory.IsOfItsEpoch() && host < words.host_count && daxfs_key_is_free(key) == 0 &&
      daxfs_fence_host(&words, host, key) == 0) {
    return Status::Ok();
  }
  return NotFoundError("no such host");
}

Status Participant::Fence(std::uint32_t host, std::uint64_t key) {
  {
    ASSIGN_OR_RETURN(const std::unique_lock<std::mutex> lock, Enter());
    if (host == host_) return InvalidArgumentError("a host that runs this command is not off");
    RETURN_IF_ERROR(StateOff(*memory_, host, key));
  }
  SweepLocal();
  return Status::Ok();
}

Status Participant::FencePartition(std::uint32_t partition) {
  if (partition == memory_->partition()) {
    return InvalidArgumentError("a host that runs this command is not off");
  }
  if (partition >= memory_->partition_count()) return NotFoundError("no such host");
  ASSIGN_OR_RETURN(const std::unique_lock<std::mutex> lock, Enter());
  daxfs_partition_off(&memory_->words(), partition);
  return Status::Ok();
}

void Participant::CountWait() {
  const std::lock_guard lock(mutex_);
  ++contention_[DAXFS_CONTENTION_WAITS];
}

}  // namespace daxfs::pool
