// SPDX-License-Identifier: Apache-2.0
#include "imagebuilder/layers.hpp"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "common/convert/implicit.hpp"
#include "common/format/verify.hpp"

namespace daxfs::imagebuilder {
namespace {

using Built = std::unique_ptr<BuiltLayer>;

// What all threads have done, until the one that shows it looks.
class Counted final : public convert::Monitor {
 public:
  Status Advance(std::uint64_t source_bytes, std::uint64_t entries) override {
    Add(source_bytes, entries);
    return stopped() ? CancelledError("another layer has failed") : Status::Ok();
  }
  void Add(std::uint64_t source_bytes, std::uint64_t entries) {
    bytes_.fetch_add(source_bytes, std::memory_order_relaxed);
    entries_.fetch_add(entries, std::memory_order_relaxed);
  }
  Status Tell(Progress& progress) {
    return progress.Advance(bytes_.exchange(0), entries_.exchange(0));
  }
  void Stop() { stopped_.store(true, std::memory_order_relaxed); }
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> entries_{0};
  std::atomic<bool> stopped_{false};
};

// Threads that make layers by their number, the lowest first. The first failure stops all.
class Makers {
 public:
  using Make = std::function<Result<Built>(std::size_t index, convert::Monitor& monitor)>;

  // `give_up` is called behind the first failure, by whoever has failed: what others wait for ends.
  Makers(std::size_t count, unsigned threads, Make make, std::function<void()> give_up)
      : count_(count), make_(std::move(make)), give_up_(std::move(give_up)) {
    const std::size_t wanted = std::min<std::size_t>(count, threads);
    threads_.reserve(wanted);
    while (threads_.size() < wanted) {
      try {
        threads_.emplace_back([this] { Run(); });
      } catch (const std::system_error&) {  // too many: fewer do
        if (threads_.empty()) throw;
        return;
      }
    }
  }
  ~Makers() {
    counted_.Stop();
    if (taken_ < count_) give_up_();  // what stands still would be waited for
    for (std::thread& thread : threads_) thread.join();
  }
  Makers(const Makers&) = delete;
  Makers& operator=(const Makers&) = delete;

  // Waits for it; each once. Errors: of the first that failed, whichever was asked for.
  Result<Built> Take(std::size_t index, Progress& progress) {
    for (;;) {
      RETURN_IF_ERROR(counted_.Tell(progress));
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, kLook, [&] { return failed_.has_value() || made_.contains(index); });
      if (failed_) return *failed_;
      const auto found = made_.find(index);
      if (found == made_.end()) continue;
      Built built = std::move(found->second);
      made_.erase(found);
      ++taken_;
      lock.unlock();
      RETURN_IF_ERROR(counted_.Tell(progress));
      return built;
    }
  }
  // For work of the thread that takes: counts it, and ends it as soon as the whole has ended.
  // Errors: of the first that failed; kCancelled.
  Status Advance(std::uint64_t source_bytes, std::uint64_t entries, Progress& progress) {
    counted_.Add(source_bytes, entries);
    RETURN_IF_ERROR(counted_.Tell(progress));
    return counted_.stopped() ? Failure().value_or(CancelledError("stopped")) : Status::Ok();
  }
  std::optional<Status> Failure() {
    const std::scoped_lock lock(mutex_);
    return failed_;
  }

 private:
  static constexpr std::chrono::milliseconds kLook{100};

  void Run() {
    ::pthread_setname_np(::pthread_self(), "layer");
    for (;;) {
      const std::size_t index = next_.fetch_add(1);
      if (index >= count_ || counted_.stopped()) return;
      Result<Built> built = InternalError("was not made");
      try {
        built = make_(index, counted_);
      } catch (const std::exception& error) {  // a library's: it must not leave the thread
        built = InternalError(error.what());
      }
      const std::scoped_lock lock(mutex_);
      if (built.ok()) {
        made_.emplace(index, *std::move(built));
      } else if (!counted_.stopped()) {
        failed_ = built.status().WithContext(StepName(index, count_));
        counted_.Stop();
        give_up_();
      }
      changed_.notify_all();
    }
  }

  const std::size_t count_;
  std::size_t taken_ = 0;
  const Make make_;
  const std::function<void()> give_up_;
  Counted counted_;
  std::atomic<std::size_t> next_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::size_t, Built> made_;  // under mutex_, as the next
  std::optional<Status> failed_;
  std::vector<std::thread> threads_;
};

std::uint64_t StoredBytes(const oci::ImageRef& source) {
  std::uint64_t all = 0;
  for (const oci::LayerRef& layer : source.layers) all += layer.size_bytes;
  return all;
}

// Each has buffers, and what it reads keeps a second thread busy.
unsigned DefaultJobs() { return std::clamp(std::thread::hardware_concurrency(), 1U, 8U); }

// The monitor of the thread that takes.
class Own final : public convert::Monitor {
 public:
  Own(Makers& makers, Progress& progress) : makers_(makers), progress_(progress) {}
  Status Advance(std::uint64_t source_bytes, std::uint64_t entries) override {
    return makers_.Advance(source_bytes, entries, progress_);
  }

 private:
  Makers& makers_;
  Progress& progress_;
};

// What is below a layer that is not the lowest; borrows all.
convert::Below BelowOf(const std::vector<Built>& layers, Own& own) {
  std::vector<const format::Image*> images;
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
    images.push_back(&(*layer)->image());
  }
  convert::Below below;
  below.find = [&own, find = convert::FindInImages(std::move(images))](
                   const std::string& path) -> Result<std::optional<convert::LowerDirectory>> {
    RETURN_IF_ERROR(own.Advance(0, 0));
    return find(path);
  };
  return below;
}

}  // namespace

std::string StepName(std::size_t index, std::size_t count) {
  return fmt::format("layer {} of {}", index + 1, count);
}

convert::BuildOptions ToBuildOptions(const Options& options) {
  convert::BuildOptions out;
  out.layout.huge_min_bytes = options.huge_min_bytes;
  out.profile = options.profile;
  out.flattened = options.mode == Mode::kFlatten;
  return out;
}

std::vector<oci::Digest> ChainsOf(const oci::ImageRef& source) {
  std::vector<oci::Digest> chains;
  for (const oci::LayerRef& layer : source.layers) {
    chains.push_back(chains.empty() ? layer.diff_id : oci::ChainId(chains.back(), layer.diff_id));
  }
  return chains;
}

std::string LayerFileName(std::size_t index, const oci::Digest& diff_id) {
  return fmt::format("{:02}-{}.daxfs", index, diff_id.Hex());
}

// Most layers are the same over all others: they are made before it is known what is below, and
// made again where that shows.
Result<std::vector<ImageReport>> BuildLayers(const Options& options, const oci::ImageSource& images,
                                             const oci::ImageRef& source,
                                             const std::string& directory, Destination& out,
                                             Progress& progress) {
  const std::size_t count = source.layers.size();
  const std::vector<oci::Digest> chains = ChainsOf(source);
  const auto make = [&](std::size_t index, const convert::Below& below, convert::Monitor& monitor) {
    const oci::LayerRef& layer = source.layers[index];
    convert::PlaceLayerRequest request;
    request.key = {pool::AliasKind::kDiffId, layer.diff_id.bytes};
    request.open = [&] { return images.OpenLayer(layer); };
    request.stored_digest = layer.digest;
    request.diff_id = layer.diff_id;
    request.options = ToBuildOptions(options);
    request.waiting.waiting = [&](std::uint64_t /*bytes*/) { return monitor.Advance(0, 0); };
    const std::string path = directory + "/" + LayerFileName(index, layer.diff_id);
    return out.MakeLayer(path, request, below, monitor);
  };
  progress.Begin(fmt::format("{} layers", count), StoredBytes(source));
  const unsigned jobs = options.jobs > 0 ? options.jobs : DefaultJobs();
  Makers makers(
      count, jobs,
      [&](std::size_t index, convert::Monitor& monitor) -> Result<Built> {
        ASSIGN_OR_RETURN(Built there, out.FindLayer(chains[index], source.layers[index].diff_id));
        if (there != nullptr) return there;
        convert::Below below;
        below.nothing = index == 0;
        return make(index, below, monitor);
      },
      [&] { images.GiveUp(); });
  Own own(makers, progress);
  // What this thread has met, or that which has ended it.
  const auto failed = [&](const Status& status, std::size_t index) {
    return makers.Failure().value_or(Status(status).WithContext(StepName(index, count)));
  };
  std::vector<Built> layers;
  std::vector<ImageReport> reports;
  for (std::size_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(Built layer, makers.Take(i, progress));
    if (i > 0 && !layer->is_of_chain()) {
      const convert::Below below = BelowOf(layers, own);
      const Result<bool> differs = convert::DiffersOver(layer->image(), below);
      if (!differs.ok()) return failed(differs.status(), i);
      if (*differs) {
        Result<Built> again = make(i, below, own);
        if (!again.ok()) return failed(again.status(), i);
        layer = *std::move(again);
      }
    }
    if (options.verify) {
      const auto watch = [&](std::uint64_t, std::uint64_t) { return own.Advance(0, 0); };
      const Result<format::VerifySummary> verified =
          format::Verify(layer->image(), format::VerifyLevel::kFull, watch);
      if (!verified.ok()) return failed(verified.status(), i);
    }
    RETURN_IF_ERROR(
        out.AddLayer(*layer, chains[i], i > 0 ? std::optional(chains[i - 1]) : std::nullopt));
    reports.push_back(layer->report());
    reports.back().stored_bytes = source.layers[i].size_bytes;
    layers.push_back(std::move(layer));
  }
  RETURN_IF_ERROR(own.Advance(0, 0));
  progress.End();
  return reports;
}

}  // namespace daxfs::imagebuilder
