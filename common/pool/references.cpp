// SPDX-License-Identifier: Apache-2.0
// Finding objects, and referring to them: uses, aliases, names, holds.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <random>

#include "common/os/system.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/participant.hpp"
#include "common/pool/room.hpp"

namespace daxfs::pool {
namespace {

constexpr const char* kRemoveNames = "daxfsctl pool rm takes names away, and their holds";

constexpr int kTries = 64;
constexpr int kForcedTry = 16;  // by then whoever holds the name tentative has stalled or died
constexpr std::uint64_t kTouchSeconds = 60;

daxfs_key MakeKey(std::uint32_t kind, const Digest& digest) {
  daxfs_key key;
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes to C's bytes
  daxfs_key_make(&key, kind, reinterpret_cast<const __u8*>(digest.data()));
  return key;
}

daxfs_key NameKey(std::string_view name) { return MakeKey(DAXFS_ALIAS_NAME, Sha256(name)); }

// An alias may name what has gone since.
bool IsThere(const daxfs_pool& home, Ref ref) {
  if (ref.row >= home.row_count) return false;
  const std::uint64_t word = daxfs_load(&home.rows[ref.row]);
  const std::uint32_t state = daxfs_word_state(word);
  return daxfs_word_generation(word) == ref.generation &&
         (state == DAXFS_ROW_READY || state == DAXFS_ROW_DYING);
}

// Two who lose against each other must not go on in step.
void WaitALittle() {
  static thread_local std::minstd_rand random{std::random_device{}()};
  std::this_thread::sleep_for(std::chrono::microseconds(50 + random() % 1000));
}

}  // namespace

Use& Use::operator=(Use&& other) noexcept {
  if (this == &other) return *this;
  if (participant_ != nullptr) participant_->Drop(ref_);
  participant_ = std::exchange(other.participant_, nullptr);
  ref_ = other.ref_;
  return *this;
}

Use::~Use() {
  if (participant_ != nullptr) participant_->Drop(ref_);
}

void Participant::Drop(Ref ref) {
  const std::lock_guard lock(mutex_);
  const auto found = uses_.find(ref);
  DAXFS_CHECK(found != uses_.end());
  if (--found->second > 0) return;
  uses_.erase(found);
  // Of a slot that is another's by now, not a bit may be touched.
  if (IsFenced()) return;
  TouchLocked(ref);
  daxfs_target_drop(&memory_->words(), slot_, TargetOf(ref));
}

std::uint64_t Participant::TargetOf(Ref ref) const {
  return daxfs_target(&memory_->partition(ref.partition), ref.row, ref.generation);
}

// For whoever decides what to collect; once a minute is enough, and leaves others' caches alone.
// Another host's record is not ours to write.
void Participant::TouchLocked(Ref ref) {
  if (!IsOwn(ref)) return;
  daxfs_word* used = &memory_->words().row_records[ref.row].used;
  const std::uint64_t now = os::WallClockSeconds();
  if (now >= daxfs_load(used) + kTouchSeconds) daxfs_store(used, now);
}

Result<std::optional<Use>> Participant::Take(Ref ref) {
  ASSIGN_OR_RETURN(const std::unique_lock<std::mutex> lock, Enter());
  if (const auto found = uses_.find(ref); found != uses_.end()) {
    ++found->second;
    return std::optional(Use(this, ref));
  }
  if (ref.row >= memory_->words().row_count || ref.partition >= memory_->partition_count()) {
    return std::optional<Use>();
  }
  const int error = daxfs_target_take(&memory_->words(), slot_, TargetOf(ref));
  if (error == -ENOENT) return std::optional<Use>();
  if (error != 0) return FromCore(error, "take a use");
  uses_[ref] = 1;
  TouchLocked(ref);
  return std::optional(Use(this, ref));
}

// In the own partition first, then in the others': whatever is there is as good.
Result<std::optional<Use>> Participant::Find(daxfs_index daxfs_pool::*table, const daxfs_key& key) {
  Result<std::optional<Use>> found = std::optional<Use>();
  for (std::uint32_t i = 0; i < memory_->partition_count(); ++i) {
    const std::uint32_t number = (memory_->partition() + i) % memory_->partition_count();
    Result<std::optional<Use>> there = FindAt(memory_->partition(number), table, key);
    if (there.ok() && there->has_value()) return there;
    if (!there.ok()) found = std::move(there);
  }
  return found;
}

Result<std::optional<Use>> Participant::FindAt(const daxfs_pool& home,
                                               daxfs_index daxfs_pool::*table,
                                               const daxfs_key& key) {
  ASSIGN_OR_RETURN(const std::unique_lock<std::mutex> lock, Enter());
  daxfs_alias alias = {};
  int had = 0;
  int error = -EAGAIN;
  for (int i = 0; i < kTries && error == -EAGAIN; ++i) {
    error = daxfs_object_find(&memory_->words(), slot_, &home, &(home.*table), &key, &alias, &had);
  }
  if (error == -ENOENT) return std::optional<Use>();
  if (error == -EAGAIN) return Status(StatusCode::kAborted, "look-up: others keep changing it");
  if (error != 0) return FromCore(error, "look-up");
  const Ref ref = RefOf(memory_->words(), alias.target);
  ++uses_[ref];
  TouchLocked(ref);
  return std::optional(Use(this, ref));
}

Result<Participant::PublishedRow> Participant::PublishRow(Ref ref, const Digest& digest) {
  RETURN_IF_ERROR(memory_->Seal(ref.row, ref.generation));
  const daxfs_pool& words = memory_->words();
  const daxfs_key key = MakeKey(DAXFS_ALIAS_ROOT, digest);
  ASSIGN_OR_RETURN(const std::unique_lock<std::mutex> lock, Enter());
  daxfs_alias alias = {};
  int had = 0;
  const int error = daxfs_row_publish_or_adopt(&words, &words.aliases, slot_, ref.row,
                                               ref.generation, &key, &alias, &had);
  if (error != 0 && error != -EEXIST) {
    return Status(StatusCode::kAborted,
                  memory_->name() + ": this host was stated to be off while it was building");
  }
  const Ref kept = error == 0 ? ref : RefOf(words, alias.target);
  ++uses_[kept];
  return PublishedRow{Use(this, kept), error == -EEXIST};
}

Result<std::optional<Use>> Participant::Find(const Key& key) {
  return Find(&daxfs_pool::aliases, MakeKey(static_cast<__u32>(key.kind), key.digest));
}

Result<bool> Participant::Has(const Key& key) {
  const std::lock_guard lock(mutex_);
  const daxfs_key wanted = MakeKey(static_cast<__u32>(key.kind), key.digest);
  for (std::uint32_t number = 0; number < memory_->partition_count(); ++number) {
    const daxfs_pool& home = memory_->partition(number);
    daxfs_alias alias = {};
    int error = -EAGAIN;
    for (int i = 0; i < kTries && error == -EAGAIN; ++i) {
      error = daxfs_index_find(&home, &home.aliases, &wanted, 0, &alias);
    }
    if (error == 0 && IsThere(home, RefOf(memory_->words(), alias.target))) return true;
    if (error == -EAGAIN) return Status(StatusCode::kAborted, "look-up: others keep changing it");
  }
  return false;
}

Result<std::optional<Use>> Participant::FindName(std::string_view name) {
  return Find(&daxfs_pool::names, NameKey(name));
}

std::optional<Participant::Builder> Participant::FindBuilder(const Digest& asked_for) {
  const daxfs_key key = MakeKey(DAXFS_ALIAS_INTENT, asked_for);
  const std::lock_guard lock(mutex_);
  for (std::uint32_t i = 0; i < memory_->partition_count(); ++i) {
    const daxfs_pool& home =
        memory_->partition((memory_->partition() + i) % memory_->partition_count());
    daxfs_alias alias = {};
    if (daxfs_index_find(&home, &home.aliases, &key, 0, &alias) != 0) continue;
    const Ref ref = RefOf(home, alias.target);
    if (ref.partition != home.partition) continue;  // damage: everybody builds at home
    return Builder{ref, daxfs_load_anew(home.role, &home.row_records[ref.row].progress, 1)};
  }
  return std::nullopt;
}

Result<bool> Participant::Announce(const Digest& asked_for, Ref ref) {
  return WithRoom({}, [&] { return TryAnnounce(asked_for, ref); });
}

Result<bool> Participant::TryAnnounce(const Digest& asked_for, Ref ref) {
  const daxfs_pool& words = memory_->words();
  const daxfs_key key = MakeKey(DAXFS_ALIAS_INTENT, asked_for);
  const daxfs_alias_extra extra = {};
  for (int i = 0; i < kTries; ++i) {
    int error = 0;
    {
      ASSIGN_OR_RETURN(const std::unique_lock<std::mutex> lock, Enter());
      daxfs_alias alias = {};
      error = daxfs_index_insert_unique(&words, &words.aliases, slot_, &key, TargetOf(ref), &extra,
                                        i >= kForcedTry ? 1 : 0, &alias);
    }
    if (error == 0) return true;
    if (error == -EEXIST) return false;
    if (error == -ENOSPC) return NoAlias();
    if (error != -EAGAIN) return FromCore(error, "announce what is being built");
    WaitALittle();
  }
  return false;
}

void Participant::Withdraw(const Digest& asked_for, Ref ref) {
  const daxfs_pool& words = memory_->words();
  const daxfs_key key = MakeKey(DAXFS_ALIAS_INTENT, asked_for);
  const std::lock_guard lock(mutex_);
  if (IsFenced()) return;
  daxfs_alias alias = {};
  for (std::uint32_t from = 0; daxfs_index_find(&words, &words.aliases, &key, from, &alias) == 0;
       from = alias.position + 1) {
    if (RefOf(words, alias.target) == ref) daxfs_index_remove(&words.aliases, &alias);
  }
}

Status Participant::AddAlias(const Use& use, const Key& key, const Digest* parent) {
  return WithRoom({}, [&] { return TryAlias(use, key, parent); });
}

Status Participant::TryAlias(const Use& use, const Key& key, const Digest* parent) {
  const daxfs_pool& words = memory_->words();
  const daxfs_key wanted = MakeKey(static_cast<__u32>(key.kind), key.digest);
  ASSIGN_OR_RETURN(const std::unique_lock<std::mutex> lock, Enter());
  daxfs_alias alias = {};
  for (std::uint32_t from = 0; daxfs_index_find(&words, &words.aliases, &wanted, from, &alias) == 0;
       from = alias.position + 1) {
    if (RefOf(words, alias.target) == use.ref()) return Status::Ok();
  }
  daxfs_alias_extra extra = {};
  if (parent != nullptr) std::memcpy(extra.parent, parent->data(), sizeof(extra.parent));
  const int error = daxfs_index_insert(&words, &words.aliases, slot_, &wanted, TargetOf(use.ref()),
                                       &extra, &alias);
  return error == -ENOSPC ? NoAlias() : FromCore(error, "alias");
}

int Participant::PutNameLocked(const daxfs_key& key, std::uint64_t target, std::string_view name,
                               bool force) {
  const daxfs_pool& words = memory_->words();
  daxfs_alias alias = {};
  int error = daxfs_index_find(&words, &words.names, &key, 0, &alias);
  if (error == 0) {
    if (alias.target == target) return 0;
    error = daxfs_index_flip(&words.names, slot_, &alias, target);
    return error == -ESTALE || error == -EBUSY ? -EAGAIN : error;
  }
  if (error != -ENOENT) return error;
  daxfs_alias_extra extra = {};
  extra.text = name.data();
  extra.length = static_cast<__u32>(name.size());
  error = daxfs_index_insert_unique(&words, &words.names, slot_, &key, target, &extra,
                                    force ? 1 : 0, &alias);
  return error == -EEXIST ? -EAGAIN : error;
}

Status CheckName(std::string_view name) {
  if (name.empty() || name.size() > DAXFS_POOL_TEXT_MAX) {
    return InvalidArgumentError("a name has 1 to " + std::to_string(DAXFS_POOL_TEXT_MAX) +
                                " bytes");
  }
  if (name.find('#') != std::string_view::npos) {
    return InvalidArgumentError("name \"" + std::string(name) +
                                "\": has a #, which stands before the number of a layer");
  }
  if (name.starts_with("sha256:")) {
    return InvalidArgumentError("name \"" + std::string(name) +
                                "\": begins with sha256:, as digests do");
  }
  return Status::Ok();
}

Status Participant::SetName(const Use& use, std::string_view name) {
  RETURN_IF_ERROR(CheckName(name));
  const daxfs_key key = NameKey(name);
  const std::uint64_t target = TargetOf(use.ref());
  for (int i = 0; i < kTries; ++i) {
    int error = 0;
    {
      ASSIGN_OR_RETURN(const std::unique_lock<std::mutex> lock, Enter());
      error = PutNameLocked(key, target, name, i >= kForcedTry);
    }
    if (error == -ENOSPC) return NoEntry("no room for another name", kRemoveNames, "--rows");
    if (error != -EAGAIN) return FromCore(error, "name");
    WaitALittle();
  }
  return Status(StatusCode::kAborted,
                "name \"" + std::string(name) +
                    "\": another participant is changing it and has stalled; fence its host");
}

Status Participant::RemoveName(std::string_view name) {
  const daxfs_pool& words = memory_->words();
  const daxfs_key key = NameKey(name);
  for (int i = 0; i < kTries; ++i) {
    {
      ASSIGN_OR_RETURN(const std::unique_lock<std::mutex> lock, Enter());
      daxfs_alias alias = {};
      const int error = daxfs_index_find(&words, &words.names, &key, 0, &alias);
      if (error == -ENOENT) return NotFoundError("no name \"" + std::string(name) + "\"");
      if (error == 0 && daxfs_index_remove(&words.names, &alias) == 0) return Status::Ok();
    }
    WaitALittle();
  }
  return Status(StatusCode::kAborted,
                "name \"" + std::string(name) + "\": others keep changing it");
}

std::optional<Participant::FoundHold> Participant::FindHold(HoldKind kind,
                                                            std::string_view name) const {
  const daxfs_pool& words = memory_->words();
  for (std::uint32_t i = 0; i < words.hold_count; ++i) {
    const std::uint64_t word = daxfs_load(&words.hold_states[i]);
    if (daxfs_word_state(word) != DAXFS_HOLD_VALID || daxfs_word_slot(word) != host_) continue;
    FoundHold found{i, {}};
    if (daxfs_hold_read(&words, i, &found.info) == 0) continue;
    if (found.info.kind == static_cast<__u32>(kind) &&
        std::string_view(found.info.name, found.info.name_length) == name) {
      return found;
    }
  }
  return std::nullopt;
}

Status Participant::Hold(const Use& use, HoldKind kind, std::string_view name) {
  RETURN_IF_ERROR(CheckName(name.substr(0, name.find('#'))));
  if (name.size() > DAXFS_POOL_TEXT_MAX) return InvalidArgumentError("name of a hold: too long");
  const daxfs_pool& words = memory_->words();
  const Ref ref = use.ref();
  ASSIGN_OR_RETURN(const std::unique_lock<std::mutex> lock, Enter());
  const std::optional<FoundHold> old = FindHold(kind, name);
  if (old && RefOf(words, old->info.target) == ref) return Status::Ok();
  const daxfs_hold_note note = {os::WallClockSeconds(), static_cast<__u32>(kind),
                                static_cast<__u32>(name.size()), name.data()};
  for (std::uint32_t i = 0; i < words.hold_count; ++i) {
    if (daxfs_word_state(daxfs_load(&words.hold_states[i])) != DAXFS_HOLD_FREE) continue;
    __u64 word = 0;
    const int error = daxfs_hold_take(&words, slot_, i, &memory_->partition(ref.partition), ref.row,
                                      ref.generation, &note, &word);
    if (error == -EBUSY) continue;
    if (error != 0) return FromCore(error, "hold");
    if (old) daxfs_hold_drop(&words, old->row, old->info.word);
    return Status::Ok();
  }
  return NoEntry("all " + std::to_string(words.hold_count) + " holds are taken", kRemoveNames,
                 "--rows");
}

Status Participant::NameAndHold(const Use& use, std::string_view name) {
  RETURN_IF_ERROR(Hold(use, HoldKind::kAdmin, name));
  RETURN_IF_ERROR(SetName(use, name));
  std::optional<Ref> held;
  // Whoever changes the hold looks at the name behind that: what others named meanwhile is held.
  for (int i = 0; i < kTries; ++i) {
    ASSIGN_OR_RETURN(const std::optional<Use> named, FindName(name));
    if (!named || named->ref() == held) return Status::Ok();
    RETURN_IF_ERROR(Hold(*named, HoldKind::kAdmin, name));
    held = named->ref();
  }
  return Status(StatusCode::kAborted,
                "name \"" + std::string(name) + "\": others keep changing it");
}

// What was held until now counts as used until now.
int Participant::DropHoldLocked(std::uint32_t row, const daxfs_hold_info& info) {
  const daxfs_pool& words = memory_->words();
  if (TargetLives(*memory_, info.target)) TouchLocked(RefOf(words, info.target));
  return daxfs_hold_drop(&words, row, info.word);
}

Status Participant::DropHold(HoldKind kind, std::string_view name) {
  ASSIGN_OR_RETURN(const std::unique_lock<std::mutex> lock, Enter());
  const std::optional<FoundHold> found = FindHold(kind, name);
  if (!found) return NotFoundError("this host holds nothing for \"" + std::string(name) + "\"");
  return FromCore(DropHoldLocked(found->row, found->info), "drop a hold");
}

template <typename F>
std::uint32_t Participant::DropHoldsIf(HoldKind kind, F is_meant) {
  const daxfs_pool& words = memory_->words();
  std::uint32_t dropped = 0;
  const std::lock_guard lock(mutex_);
  if (IsFenced()) return 0;
  for (std::uint32_t i = 0; i < words.hold_count; ++i) {
    daxfs_hold_info info;
    if (daxfs_hold_read(&words, i, &info) == 0 || info.host != host_ ||
        info.kind != static_cast<__u32>(kind)) {
      continue;
    }
    if (!is_meant(std::string_view(info.name, info.name_length))) continue;
    dropped += DropHoldLocked(i, info) == 0 ? 1U : 0U;
  }
  return dropped;
}

std::uint32_t Participant::DropHolds(HoldKind kind, std::string_view name) {
  const std::string part = std::string(name) + "#";
  return DropHoldsIf(kind,
                     [&](std::string_view text) { return text == name || text.starts_with(part); });
}

std::uint32_t Participant::DropParts(HoldKind kind, std::string_view name, std::size_t from) {
  const std::string part = std::string(name) + "#";
  return DropHoldsIf(kind, [&](std::string_view text) {
    if (!text.starts_with(part)) return false;
    std::size_t number = 0;
    const std::string_view digits = text.substr(part.size());
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return number >= from;
  });
}

}  // namespace daxfs::pool
