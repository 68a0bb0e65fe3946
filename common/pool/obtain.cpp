// SPDX-License-Identifier: Apache-2.0
#include "common/pool/obtain.hpp"

#include <thread>

namespace daxfs::pool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kSweepEvery{250};

// Watches one builder after the other.
class Patience {
 public:
  explicit Patience(std::chrono::milliseconds limit) : limit_(limit) {}

  // Whether it is still worth waiting for that one.
  bool Left(const Participant::Builder& builder) {
    const Clock::time_point now = Clock::now();
    if (!started_ || builder.ref != ref_ || builder.progress != progress_) {
      started_ = true;
      ref_ = builder.ref;
      progress_ = builder.progress;
      since_ = now;
    }
    return now - since_ < limit_;
  }

 private:
  const std::chrono::milliseconds limit_;
  bool started_ = false;
  Ref ref_;
  std::uint64_t progress_ = 0;
  Clock::time_point since_;
};

Result<Obtained> BuildAnnounced(Participant& participant, const Key& key, Building& building,
                                const Build& build) {
  ASSIGN_OR_RETURN(const Digest digest, build(building));
  ASSIGN_OR_RETURN(Building::Published published, building.Publish(digest));
  RETURN_IF_ERROR(participant.AddAlias(published.use, key));
  return Obtained{std::move(published.use), published.existed ? How::kFound : How::kBuilt};
}

}  // namespace

const char* HowText(How how) {
  switch (how) {
    case How::kFound:
      return "found";
    case How::kWaited:
      return "waited";
    case How::kBuilt:
      return "built";
  }
  return "";
}

Result<Obtained> Obtain(Participant& participant, const Key& key, const Build& build,
                        const ObtainOptions& options) {
  Patience patience(options.patience);
  Clock::time_point swept = Clock::now();
  bool waited = false;
  for (;;) {
    ASSIGN_OR_RETURN(std::optional<Use> found, participant.Find(key));
    if (found) return Obtained{*std::move(found), waited ? How::kWaited : How::kFound};
    const std::optional<Participant::Builder> other = participant.FindBuilder(key.digest);
    const bool alone = other && !patience.Left(*other);
    if (other && !alone) {
      // It may be published and not yet have its alias.
      ASSIGN_OR_RETURN(std::optional<Use> taken, participant.Take(other->ref));
      if (taken) return Obtained{*std::move(taken), How::kWaited};
      if (!waited) participant.CountWait();
      waited = true;
      if (options.waiting) RETURN_IF_ERROR(options.waiting(other->progress));
      std::this_thread::sleep_for(options.poll);
      if (Clock::now() - swept >= kSweepEvery) {
        participant.SweepLocal();
        swept = Clock::now();
      }
      continue;
    }
    ASSIGN_OR_RETURN(const std::unique_ptr<Building> building,
                     participant.Begin(ObjectKind::kImage));
    if (!alone) {
      ASSIGN_OR_RETURN(const bool first, participant.Announce(key.digest, building->ref()));
      if (!first) continue;
      // Who was there before may have finished between the look-up and the announcement.
      ASSIGN_OR_RETURN(found, participant.Find(key));
    }
    if (found) {
      participant.Withdraw(key.digest, building->ref());
      return Obtained{*std::move(found), How::kFound};
    }
    Result<Obtained> built = BuildAnnounced(participant, key, *building, build);
    participant.Withdraw(key.digest, building->ref());
    return built;
  }
}

Result<Use> PutBlob(Participant& participant, std::span<const std::byte> bytes) {
  constexpr std::size_t kBlobMax = 65536;
  if (bytes.size() > kBlobMax) {
    return Status(StatusCode::kOutOfRange, "a blob has at most 64 KiB");
  }
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes as text
  const Digest digest = Sha256({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  ASSIGN_OR_RETURN(std::optional<Use> found, participant.Find({AliasKind::kRoot, digest}));
  if (found) return *std::move(found);
  ASSIGN_OR_RETURN(const std::unique_ptr<Building> building, participant.Begin(ObjectKind::kBlob));
  RETURN_IF_ERROR(building->Write(0, bytes));
  RETURN_IF_ERROR(building->Seal(bytes.size()));
  ASSIGN_OR_RETURN(Building::Published published, building->Publish(digest));
  return std::move(published.use);
}

}  // namespace daxfs::pool
