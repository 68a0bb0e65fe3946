// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/os/testing/scratch.hpp"
#include "snapshotter/snapshotter.hpp"

namespace daxfs::snapshotter::testing {

inline oci::Digest Numbered(unsigned char number) {
  oci::Digest digest;
  digest.bytes.fill(static_cast<std::byte>(number));
  return digest;
}

inline LayerImage ImageOf(unsigned char number) {
  return {Numbered(static_cast<unsigned char>(number + 100)), Numbered(number)};
}

// A pool of images without bytes; a mount is a name in a set.
class FakeImages final : public Images {
 public:
  Result<std::optional<LayerImage>> FindChain(const oci::Digest& chain) override {
    const std::lock_guard lock(mutex);
    RETURN_IF_ERROR(fails);
    const auto found = chains.find(chain);
    return found == chains.end() ? std::optional<LayerImage>() : found->second;
  }
  Status AddChain(const LayerImage& image, const oci::Digest& chain,
                  const std::optional<oci::Digest>& /*parent*/) override {
    const std::lock_guard lock(mutex);
    chains[chain] = image;
    return Status::Ok();
  }
  Status Hold(const LayerImage& image, const std::string& holder) override {
    const std::lock_guard lock(mutex);
    RETURN_IF_ERROR(hold_fails);
    if (changes_when_held && holds.contains(holder)) {
      changes_when_held = false;
      LoseLocked();
    }
    if (gone.contains(image.root)) return NotFoundError("it is gone");
    holds[holder] = image;
    return Status::Ok();
  }
  Status Drop(const std::string& holder) override {
    const std::lock_guard lock(mutex);
    holds.erase(holder);
    return Status::Ok();
  }
  Result<std::vector<std::string>> Reconcile(const std::string& prefix,
                                             const std::vector<std::string>& holders) override {
    const std::lock_guard lock(mutex);
    RETURN_IF_ERROR(fails);
    std::erase_if(holds, [&](const auto& hold) {
      return hold.first.rfind(prefix, 0) == 0 &&
             std::find(holders.begin(), holders.end(), hold.first) == holders.end();
    });
    std::vector<std::string> lost = holders;
    std::erase_if(lost, [&](const std::string& holder) { return holds.contains(holder); });
    return lost;
  }
  std::uint64_t Joined() override {
    if (throws && thrown++ == 0) throw std::runtime_error("a library's");
    return joined;
  }
  Result<bool> IsPlaced(const LayerImage& image) override {
    const std::lock_guard lock(mutex);
    return !gone.contains(image.root);
  }
  Result<LayerImage> Restore(const LayerImage& image, const std::string& holder,
                             const std::vector<std::string>& below,
                             const std::function<bool()>& cancelled) override {
    if (while_restoring) RETURN_IF_ERROR(while_restoring(cancelled));
    const std::lock_guard lock(mutex);
    RETURN_IF_ERROR(restore_fails);
    restored_over.push_back(below);
    gone.erase(image.root);
    const LayerImage again = {another_root ? *another_root : image.root, image.diff_id};
    holds[holder] = again;
    return again;
  }
  Result<bool> DependsOnBelow(const LayerImage& image) override {
    const std::lock_guard lock(mutex);
    return implicit.contains(image.root);
  }
  Result<snapshotter::Usage> Measure(const LayerImage& /*image*/) override {
    const std::lock_guard lock(mutex);
    return snapshotter::Usage{1234, 5};
  }
  Status Mount(const LayerImage& image, const std::string& path) override {
    const std::lock_guard lock(mutex);
    RETURN_IF_ERROR(fails);
    RETURN_IF_ERROR(mount_fails);
    if (mounted.contains(path)) return Status::Ok();
    if (gone.contains(image.root)) return NotFoundError("it is gone");
    if (mounted.size() >= room) {
      if (when_full) when_full();
      return ResourceExhaustedError("too many are mounted");
    }
    mounted.insert(path);
    mounted_of[path] = joined;
    return Status::Ok();
  }
  Status Unmount(const std::string& path) override {
    const std::scoped_lock lock(unmounting, mutex);
    RETURN_IF_ERROR(unmount_fails);
    mounted.erase(path);
    return Status::Ok();
  }
  Result<bool> Withdraw(const std::string& path) override {
    const std::lock_guard lock(mutex);
    RETURN_IF_ERROR(unmount_fails);
    return mounted.erase(path) > 0;
  }
  bool IsMounted(const std::string& path) {
    const std::lock_guard lock(mutex);
    return mounted.contains(path);
  }

  std::mutex unmounting;  // nobody does while a test has it
  std::mutex mutex;
  std::map<oci::Digest, LayerImage> chains;
  std::map<std::string, LayerImage> holds;
  std::size_t Held() {
    const std::lock_guard lock(mutex);
    return holds.size();
  }
  // As a pool that is made anew.
  void Lose(bool everything) {
    const std::lock_guard lock(mutex);
    if (everything) {
      for (const auto& [holder, image] : holds) gone.insert(image.root);
    }
    LoseLocked();
  }
  void LoseLocked() {
    holds.clear();
    ++joined;
  }

  std::set<std::string> mounted;
  std::size_t room = SIZE_MAX;
  std::function<void()> when_full;
  std::map<std::string, std::uint64_t> mounted_of;  // which pool, counted as joined
  bool changes_when_held = false;                   // by who has held it, once
  std::set<oci::Digest> gone;
  std::set<oci::Digest> implicit;  // have directories no entry names
  std::vector<std::vector<std::string>> restored_over;
  std::optional<oci::Digest> another_root;
  std::atomic<std::uint64_t> joined = 1;
  Status fails;
  Status hold_fails;
  Status mount_fails;
  Status unmount_fails;
  Status restore_fails;
  std::function<Status(const std::function<bool()>& cancelled)> while_restoring;
  std::atomic<bool> throws = false;  // once
  std::atomic<int> thrown = 0;
};

class SnapshotterTest : public ::testing::Test {
 protected:
  SnapshotterTest() : log_(sink_, {base::LogLevel::kError}) { Reopen(); }
  void Reopen() {
    snapshotter_.reset();
    Result<std::unique_ptr<Snapshotter>> opened =
        Snapshotter::Open({scratch_.path(), {"index=off"}, [this] { ++found_; }}, images_, log_);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    snapshotter_ = *std::move(opened);
  }
  std::string Path(int id, const std::string& below) const {
    return scratch_.path() + "/snapshots/" + std::to_string(id) + "/" + below;
  }
  std::vector<std::string> Directories() {
    static_cast<void>(snapshotter_->Cleanup());
    std::vector<std::string> names;
    for (int id = 1; id < 20; ++id) {
      if (::access(Path(id, "").c_str(), F_OK) == 0) names.push_back(std::to_string(id));
    }
    return names;
  }
  Mount PrepareOne(const std::string& key, const std::string& parent, const Labels& labels = {}) {
    const Result<std::vector<Mount>> mounts = snapshotter_->Prepare(key, parent, labels);
    EXPECT_TRUE(mounts.ok()) << mounts.status().message();
    return mounts.ok() ? mounts->front() : Mount();
  }
  // A layer as containerd pulls one: prepared, applied, committed as its chain.
  void Pull(unsigned char number, const std::string& name, const std::string& parent) {
    const Mount mount = PrepareOne("extract", parent);
    const Result<Snapshot> target = snapshotter_->FindTarget({mount});
    ASSERT_TRUE(target.ok()) << target.status().message();
    ASSERT_TRUE(snapshotter_->SetImage(*target, ImageOf(number)).ok());
    const Status committed = snapshotter_->Commit({name, "extract", "", {}});
    ASSERT_TRUE(committed.ok()) << committed.message();
  }

  os::testing::Scratch scratch_;
  base::StderrSink sink_;
  base::Logger log_;
  FakeImages images_;
  std::atomic<int> found_ = 0;  // layers, by Prepare
  std::unique_ptr<Snapshotter> snapshotter_;
};

}  // namespace daxfs::snapshotter::testing
