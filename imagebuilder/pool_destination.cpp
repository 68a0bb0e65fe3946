// SPDX-License-Identifier: Apache-2.0
#include <utility>
#include <vector>

#include "common/convert/pool_sink.hpp"
#include "common/format/verify.hpp"
#include "common/pool/config.hpp"
#include "common/pool/obtain.hpp"
#include "common/pool/view.hpp"
#include "imagebuilder/destination.hpp"

namespace daxfs::imagebuilder {
namespace {

class LayerInPool final : public BuiltLayer {
 public:
  LayerInPool(ImageReport report, pool::Mapped mapped, format::Image image, bool of_chain)
      : BuiltLayer(std::move(report)),
        mapped_(std::move(mapped)),
        image_(std::move(image)),
        of_chain_(of_chain) {}
  bool is_of_chain() const override { return of_chain_; }
  const format::Image& image() const override { return image_; }
  const pool::Use& use() const { return mapped_.use(); }

 private:
  const pool::Mapped mapped_;
  const format::Image image_;
  const bool of_chain_;
};

class InPool final : public Destination {
 public:
  InPool(std::unique_ptr<pool::Participant> participant, const Options& options)
      : participant_(std::move(participant)), options_(options) {}

  Result<ImageReport> Place(const std::string& /*path*/, const Make& make) override {
    ASSIGN_OR_RETURN(const std::unique_ptr<pool::Building> building,
                     participant_->Begin(pool::ObjectKind::kImage));
    convert::PoolSink sink(*building);
    ASSIGN_OR_RETURN(const convert::ImageSummary summary, make(sink));
    ASSIGN_OR_RETURN(pool::Building::Published published, building->Publish(summary.root.bytes));
    return Keep(std::move(published.use), summary,
                published.existed ? pool::How::kFound : pool::How::kBuilt);
  }

  // A layer is looked up by what it is made of, so it is made once for all hosts. One with other
  // options than they have is not for them to find.
  Result<std::unique_ptr<BuiltLayer>> MakeLayer(const std::string& /*path*/,
                                                const convert::PlaceLayerRequest& layer,
                                                const convert::Below& below,
                                                convert::Monitor& monitor) override {
    ASSIGN_OR_RETURN(convert::PlacedLayer placed,
                     options_.huge_min_given
                         ? convert::PlaceLayerApart(*participant_, layer, below, monitor)
                         : convert::PlaceLayerOver(*participant_, layer, below, monitor));
    ImageReport report;
    if (placed.built) report.summary = *placed.built;
    report.summary.root = placed.root;
    report.summary.image_bytes = ImageBytes(placed.use);
    report.summary.source = {placed.diff_id.bytes, placed.tar_bytes};
    report.how = pool::HowText(placed.how);
    ASSIGN_OR_RETURN(pool::Mapped mapped, pool::Mapped::Open(*participant_, std::move(placed.use)));
    ASSIGN_OR_RETURN(format::Image image, format::Image::FromBytes(mapped.bytes()));
    return std::unique_ptr<BuiltLayer>(std::make_unique<LayerInPool>(
        std::move(report), std::move(mapped), std::move(image), false));
  }
  // One that is another over what is below can be found by its chain alone.
  Result<std::unique_ptr<BuiltLayer>> FindLayer(const oci::Digest& chain,
                                                const oci::Digest& diff_id) override {
    if (options_.huge_min_given) return std::unique_ptr<BuiltLayer>();  // made for these options
    ASSIGN_OR_RETURN(std::optional<pool::Use> use,
                     participant_->Find({pool::AliasKind::kChain, chain.bytes}));
    if (!use) return std::unique_ptr<BuiltLayer>();
    ImageReport report;
    report.summary.image_bytes = ImageBytes(*use);
    ASSIGN_OR_RETURN(pool::Mapped mapped, pool::Mapped::Open(*participant_, *std::move(use)));
    ASSIGN_OR_RETURN(format::Image image, format::Image::FromBytes(mapped.bytes()));
    const format::ImageInfo info = image.Info();
    if (!info.source || info.source->digest != diff_id.bytes) return std::unique_ptr<BuiltLayer>();
    report.summary.root.bytes = info.root;
    report.summary.source = *info.source;
    report.how = pool::HowText(pool::How::kFound);
    return std::unique_ptr<BuiltLayer>(std::make_unique<LayerInPool>(
        std::move(report), std::move(mapped), std::move(image), true));
  }
  Result<bool> HasLayer(const oci::Digest& chain, const oci::Digest& diff_id) override {
    if (options_.huge_min_given) return false;
    ASSIGN_OR_RETURN(const bool there, participant_->Has({pool::AliasKind::kChain, chain.bytes}));
    if (there) return true;
    return participant_->Has({pool::AliasKind::kDiffId, diff_id.bytes});
  }
  Status VerifyPlaced(const ImageReport& /*report*/, const format::Advance& advance) override {
    ASSIGN_OR_RETURN(std::optional<pool::Use> again, participant_->Take(uses_.back().ref()));
    if (!again) return InternalError("an object in use is gone");
    ASSIGN_OR_RETURN(const pool::Mapped mapped,
                     pool::Mapped::Open(*participant_, *std::move(again)));
    ASSIGN_OR_RETURN(const format::Image image, format::Image::FromBytes(mapped.bytes()));
    return format::Verify(image, format::VerifyLevel::kFull, advance).status();
  }
  Status AddLayer(const BuiltLayer& layer, const oci::Digest& chain,
                  const std::optional<oci::Digest>& parent) override {
    const pool::Use& use = static_cast<const LayerInPool&>(layer).use();
    ASSIGN_OR_RETURN(std::optional<pool::Use> again, participant_->Take(use.ref()));
    if (!again) return InternalError("an object in use is gone");
    uses_.push_back(*std::move(again));
    if (options_.huge_min_given) return Status::Ok();
    pool::Digest below{};
    if (parent) below = parent->bytes;
    return participant_->AddAlias(use, {pool::AliasKind::kChain, chain.bytes},
                                  parent ? &below : nullptr);
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
  ImageReport Keep(pool::Use use, const convert::ImageSummary& summary, pool::How how) {
    uses_.push_back(std::move(use));
    ImageReport report;
    report.summary = summary;
    report.how = pool::HowText(how);
    return report;
  }

  std::uint64_t ImageBytes(const pool::Use& use) const {
    daxfs_object_info object;
    daxfs_object_read(&participant_->memory().partition(use.ref().partition), use.ref().row,
                      &object);
    return object.size;
  }

  const std::unique_ptr<pool::Participant> participant_;
  const Options& options_;
  std::vector<pool::Use> uses_;  // until they have names, nobody may collect them
};

}  // namespace

Result<std::unique_ptr<Destination>> PoolDestination(const Options& options) {
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
  return std::unique_ptr<Destination>(std::make_unique<InPool>(std::move(participant), options));
}

}  // namespace daxfs::imagebuilder
