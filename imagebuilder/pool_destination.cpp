// SPDX-License-Identifier: Apache-2.0
#include <utility>
#include <vector>

#include "common/convert/pool_sink.hpp"
#include "common/pool/config.hpp"
#include "common/pool/obtain.hpp"
#include "imagebuilder/destination.hpp"

namespace daxfs::imagebuilder {
namespace {

const char* HowText(pool::How how) {
  switch (how) {
    case pool::How::kFound:
      return "found";
    case pool::How::kWaited:
      return "waited";
    case pool::How::kBuilt:
      return "built";
  }
  return "";
}

class InPool final : public Destination {
 public:
  InPool(std::unique_ptr<pool::Participant> participant, const Options& options, Progress& progress)
      : participant_(std::move(participant)), options_(options), progress_(progress) {}

  Result<ImageReport> Place(const Wanted& wanted, const Make& make) override {
    ImageReport report;
    const pool::Build build = [&](pool::Building& building) -> Result<pool::Digest> {
      convert::PoolSink sink(building);
      ASSIGN_OR_RETURN(report.summary, make(sink));
      return report.summary.root.bytes;
    };
    ASSIGN_OR_RETURN(pool::Obtained placed, Obtain(wanted, build));
    const daxfs_object_info object = Describe(placed.use);
    std::copy_n(std::as_bytes(std::span(object.digest)).begin(), report.summary.root.bytes.size(),
                report.summary.root.bytes.begin());
    report.summary.image_bytes = object.size;
    report.how = HowText(placed.how);
    if (wanted.layer != nullptr) report.diff_id = wanted.layer->diff_id.ToString();
    uses_.push_back(std::move(placed.use));
    return report;
  }

  // Of layers the name stands for the list of them.
  Status Finish(const BuildReport& report) override {
    if (options_.name.empty()) return Status::Ok();
    const bool layers = options_.mode == Mode::kPerLayer;
    if (layers) {
      const std::string json = ImageJson(report);
      ASSIGN_OR_RETURN(pool::Use record,
                       pool::PutBlob(*participant_, std::as_bytes(std::span(json))));
      for (std::size_t i = 0; i < uses_.size(); ++i) {
        RETURN_IF_ERROR(participant_->Hold(uses_[i], pool::HoldKind::kAdmin,
                                           options_.name + "#" + std::to_string(i)));
      }
      uses_.push_back(std::move(record));
    }
    RETURN_IF_ERROR(participant_->NameAndHold(uses_.back(), options_.name));
    // What the name stood for before may have had more layers.
    participant_->DropParts(pool::HoldKind::kAdmin, options_.name, layers ? uses_.size() - 1 : 0);
    return Status::Ok();
  }

 private:
  // A layer is looked up by what it is made of, so it is made once for all hosts; the digest of
  // anything else is only known when it is made.
  Result<pool::Obtained> Obtain(const Wanted& wanted, const pool::Build& build) {
    pool::ObtainOptions waiting;
    waiting.waiting = [this](std::uint64_t /*progress_bytes*/) { return progress_.Advance(0, 0); };
    if (wanted.layer != nullptr && !options_.huge_min_given) {
      ASSIGN_OR_RETURN(
          pool::Obtained obtained,
          pool::Obtain(*participant_, {pool::AliasKind::kDiffId, wanted.layer->diff_id.bytes},
                       build, waiting));
      if (wanted.layer->digest) {
        RETURN_IF_ERROR(participant_->AddAlias(
            obtained.use, {pool::AliasKind::kBlob, wanted.layer->digest->bytes}));
      }
      return obtained;
    }
    ASSIGN_OR_RETURN(const std::unique_ptr<pool::Building> building,
                     participant_->Begin(pool::ObjectKind::kImage));
    ASSIGN_OR_RETURN(const pool::Digest digest, build(*building));
    ASSIGN_OR_RETURN(pool::Building::Published published, building->Publish(digest));
    return pool::Obtained{std::move(published.use),
                          published.existed ? pool::How::kFound : pool::How::kBuilt};
  }

  daxfs_object_info Describe(const pool::Use& use) const {
    daxfs_object_info object;
    daxfs_object_read(&participant_->memory().partition(use.ref().partition), use.ref().row,
                      &object);
    return object;
  }

  const std::unique_ptr<pool::Participant> participant_;
  const Options& options_;
  Progress& progress_;
  std::vector<pool::Use> uses_;  // until they have names, nobody may collect them
};

}  // namespace

Result<std::unique_ptr<Destination>> PoolDestination(const Options& options, Progress& progress) {
  if (!options.name.empty()) RETURN_IF_ERROR(pool::CheckName(options.name));
  // Layers are held as NAME#0 and so on.
  constexpr std::size_t kLayerNameMax = DAXFS_POOL_TEXT_MAX - 8;
  if (options.mode == Mode::kPerLayer && options.name.size() > kLayerNameMax) {
    return InvalidArgumentError("--name: with --per-layer a name has at most " +
                                std::to_string(kLayerNameMax) + " bytes");
  }
  ASSIGN_OR_RETURN(const pool::PoolConfig config, pool::ResolvePool(options.pool));
  ASSIGN_OR_RETURN(std::unique_ptr<pool::Memory> memory,
                   pool::Memory::Open(config.devices, os::Access::kWrite));
  ASSIGN_OR_RETURN(const pool::HostIdentity host, pool::ThisHost());
  ASSIGN_OR_RETURN(std::unique_ptr<pool::Participant> participant,
                   pool::Participant::Attach(std::move(memory), host, "daxfs-build"));
  return std::unique_ptr<Destination>(
      std::make_unique<InPool>(std::move(participant), options, progress));
}

}  // namespace daxfs::imagebuilder
