// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <exception>
#include <map>
#include <utility>

namespace daxfs::snapshotter {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using Labels = std::vector<ClientMetric::Label>;

// Seconds; containerd holds a lock during most calls, Apply may take minutes.
const prometheus::Histogram::BucketBoundaries kBuckets = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};

std::string NameOf(Sight::State state) {
  switch (state) {
    case Sight::State::kDirectory:
      return "directory";
    case Sight::State::kPlaced:
      return "placed";
    case Sight::State::kMissing:
      return "missing";
    case Sight::State::kRebuilding:
      return "rebuilding";
    case Sight::State::kUnknown:
      break;
  }
  return "unknown";
}

MetricFamily Gauge(const std::string& name, const std::string& help) {
  MetricFamily family;
  family.name = "daxfs_snapshotter_" + name;
  family.help = help;
  family.type = prometheus::MetricType::Gauge;
  return family;
}

void Add(MetricFamily& family, Labels labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

MetricFamily Snapshots(const std::vector<Sight>& sights) {
  MetricFamily family =
      Gauge("snapshots", "Snapshots there are, by kind and where their layer is.");
  std::map<std::pair<std::string, std::string>, double> counts;
  for (const Sight& sight : sights) {
    counts[{KindName(sight.snapshot.info.kind), NameOf(sight.state)}] += 1;
  }
  for (const auto& [names, count] : counts) {
    Add(family, {{"kind", names.first}, {"state", names.second}}, count);
  }
  return family;
}

std::vector<MetricFamily> Pool(const pool::UsageView& usage) {
  MetricFamily chunks = Gauge("pool_chunks", "Chunks of 2 MiB of the pool, by what they are.");
  const std::uint32_t others =
      usage.chunks_free + usage.chunks_split + usage.chunks_orphan + usage.chunks_damaged;
  const std::uint32_t whole = usage.chunks > others ? usage.chunks - others : 0;
  Add(chunks, {{"state", "free"}}, usage.chunks_free);
  Add(chunks, {{"state", "split"}}, usage.chunks_split);
  Add(chunks, {{"state", "whole"}}, whole);
  Add(chunks, {{"state", "orphan"}}, usage.chunks_orphan);
  Add(chunks, {{"state", "damaged"}}, usage.chunks_damaged);
  MetricFamily holds = Gauge("pool_holds", "Holds of objects in the pool, of all hosts.");
  Add(holds, {}, usage.holds_used);
  MetricFamily objects = Gauge("pool_objects", "Objects in the pool.");
  Add(objects, {}, usage.rows_used);
  MetricFamily room = Gauge("pool_collectable_bytes", "What a collection would free.");
  Add(room, {}, static_cast<double>(usage.collectable_bytes));
  return {chunks, holds, objects, room};
}

void Append(std::vector<MetricFamily>& all, std::vector<MetricFamily> more) {
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

// What was counted, and what is there now.
std::vector<MetricFamily> Gather(const prometheus::Registry& registry, const Sources& sources) {
  std::vector<MetricFamily> all = registry.Collect();
  const Result<std::vector<Sight>> sights = sources.snapshots();
  if (sights.ok()) all.push_back(Snapshots(*sights));
  const std::optional<pool::UsageView> usage = sources.pool();
  if (usage) Append(all, Pool(*usage));
  return all;
}

// A family of what is counted here.
template <typename Builder>
auto& Make(Builder builder, const std::string& name, const std::string& help,
           prometheus::Registry& registry) {
  return builder.Name("daxfs_snapshotter_" + name).Help(help).Register(registry);
}

}  // namespace

struct Metrics::Families {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& calls =
      Make(prometheus::BuildCounter(), "calls_total", "Calls that have ended, by gRPC's code.",
           registry);
  prometheus::Family<prometheus::Histogram>& seconds =
      Make(prometheus::BuildHistogram(), "call_seconds", "How long calls took.", registry);
  prometheus::Family<prometheus::Counter>& layers =
      Make(prometheus::BuildCounter(), "layers_total",
           "Layers that were asked for: built here, found in the pool, or waited for.", registry);
  prometheus::Counter& bytes =
      Make(prometheus::BuildCounter(), "layer_bytes_total",
           "Bytes of tar, uncompressed, of the layers built here.", registry)
          .Add({});
  prometheus::Counter& freed_objects =
      Make(prometheus::BuildCounter(), "collected_objects_total",
           "Objects this process has freed because the pool was full.", registry)
          .Add({});
  prometheus::Counter& freed_bytes = Make(prometheus::BuildCounter(), "collected_bytes_total",
                                          "Bytes of pool memory they had.", registry)
                                         .Add({});
  prometheus::Family<prometheus::Counter>& mounts =
      Make(prometheus::BuildCounter(), "mounts_total", "Images that were to be mounted.", registry);
};

Metrics::Metrics(const std::string& version) : families_(std::make_unique<Families>()) {
  Make(prometheus::BuildGauge(), "build_info", "1, and what is running.", families_->registry)
      .Add({{"version", version}})
      .Set(1);
  // There from the beginning: a rate needs a first value.
  for (const pool::How how : {pool::How::kBuilt, pool::How::kFound, pool::How::kWaited}) {
    families_->layers.Add({{"how", pool::HowText(how)}});
  }
  for (const char* result : {"ok", "failed"}) families_->mounts.Add({{"result", result}});
}

Metrics::~Metrics() = default;

void Metrics::Ended(std::string_view method, std::string_view /*subject*/, const Status& status,
                    std::chrono::nanoseconds took) {
  const std::string name(method);
  const std::string code(StatusCodeName(status.code()));
  families_->calls.Add({{"method", name}, {"code", code}}).Increment();
  families_->seconds.Add({{"method", name}}, kBuckets)
      .Observe(std::chrono::duration<double>(took).count());
}

void Metrics::Placed(pool::How how, std::uint64_t bytes) {
  families_->layers.Add({{"how", pool::HowText(how)}}).Increment();
  if (how == pool::How::kBuilt) families_->bytes.Increment(static_cast<double>(bytes));
}

void Metrics::Mounted(bool succeeded) {
  families_->mounts.Add({{"result", succeeded ? "ok" : "failed"}}).Increment();
}

void Metrics::Freed(std::uint64_t objects, std::uint64_t bytes) {
  families_->freed_objects.Increment(static_cast<double>(objects));
  families_->freed_bytes.Increment(static_cast<double>(bytes));
}

std::string Metrics::Text(const Sources& sources) const {
  return prometheus::TextSerializer().Serialize(Gather(families_->registry, sources));
}

namespace {

class CountedMounter final : public Mounter {
 public:
  CountedMounter(std::unique_ptr<Mounter> mounter, Metrics& metrics)
      : mounter_(std::move(mounter)), metrics_(metrics) {}
  const char* name() const override { return mounter_->name(); }
  Status Mount(const oci::Digest& root, const std::string& path) override {
    Status status = mounter_->Mount(root, path);
    metrics_.Mounted(status.ok());
    return status;
  }
  Status Unmount(const std::string& path) override { return mounter_->Unmount(path); }

 private:
  const std::unique_ptr<Mounter> mounter_;
  Metrics& metrics_;
};

// What a reader gets; outlives none of what it looks at.
class Collected final : public prometheus::Collectable {
 public:
  Collected(const prometheus::Registry& registry, Sources sources)
      : registry_(registry), sources_(std::move(sources)) {}
  std::vector<MetricFamily> Collect() const override { return Gather(registry_, sources_); }

 private:
  const prometheus::Registry& registry_;
  const Sources sources_;
};

}  // namespace

std::unique_ptr<Mounter> CountMounts(std::unique_ptr<Mounter> mounter, Metrics& metrics) {
  return std::make_unique<CountedMounter>(std::move(mounter), metrics);
}

struct MetricsServer::Exposed {
  explicit Exposed(const std::string& address) : exposer(address) {}
  prometheus::Exposer exposer;
  std::shared_ptr<Collected> collected;  // the exposer keeps it weakly
};

MetricsServer::MetricsServer(std::unique_ptr<Exposed> exposed) : exposed_(std::move(exposed)) {}
MetricsServer::~MetricsServer() = default;

Result<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& address,
                                                            const Metrics& metrics,
                                                            Sources sources) {
  try {
    auto exposed = std::make_unique<Exposed>(address);
    exposed->collected =
        std::make_shared<Collected>(metrics.families_->registry, std::move(sources));
    exposed->exposer.RegisterCollectable(exposed->collected);
    return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(exposed)));
  } catch (const std::exception& error) {
    return InvalidArgumentError("metrics: " + address + " cannot be served: " + error.what());
  }
}

int MetricsServer::port() const { return exposed_->exposer.GetListeningPorts().front(); }

}  // namespace daxfs::snapshotter
