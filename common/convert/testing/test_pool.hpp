// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "common/base/check.hpp"
#include "common/convert/testing/build.hpp"
#include "common/pool/building.hpp"
#include "common/pool/digest.hpp"
#include "common/pool/host.hpp"
#include "common/pool/participant.hpp"

namespace daxfs::convert::testing {

// A pool in two files, in which this process takes part, and as the same host the programs it
// starts. All of it lies in `directory`. Stops the test if that fails.
class TestPool {
 public:
  explicit TestPool(const std::string& directory)
      : devices_({directory + "/pool", directory + "/more"}),
        path_(devices_[0] + "," + devices_[1]) {
    ::setenv("DAXFS_HOST_ID", "6d6f756e-7465-7200-0000-000000000001", 1);
    ::setenv("DAXFS_RUN_DIR", (directory + "/run").c_str(), 1);
    pool::CreateOptions options;
    options.devices = devices_;
    options.size_bytes = std::uint64_t{16} << 20U;
    DAXFS_CHECK(pool::CreatePool(options).ok());
    participant_ = Join();
  }

  // Takes part in it, once more.
  std::unique_ptr<pool::Participant> Join() const {
    Result<std::unique_ptr<pool::Memory>> memory = pool::Memory::Open(devices_, os::Access::kWrite);
    DAXFS_CHECK(memory.ok());
    Result<std::unique_ptr<pool::Participant>> joined =
        pool::Participant::Attach(*std::move(memory), *pool::ThisHost(), "test");
    DAXFS_CHECK(joined.ok());
    return *std::move(joined);
  }

  // As a command line names it.
  const std::string& path() const { return path_; }
  pool::Participant& participant() { return *participant_; }

  // Finishes the image; nobody uses it until somebody mounts it. Says its root.
  pool::Digest Place(BuiltImage& image, const std::string& name = "") {
    const Result<ImageSummary> summary = image.Finish();
    DAXFS_CHECK(summary.ok());
    const Result<std::unique_ptr<pool::Building>> building =
        participant_->Begin(pool::ObjectKind::kImage);
    DAXFS_CHECK(building.ok() && (*building)->Write(0, image.raw()).ok());
    DAXFS_CHECK((*building)->Seal(image.raw().size()).ok());
    const Result<pool::Building::Published> published = (*building)->Publish(summary->root.bytes);
    DAXFS_CHECK(published.ok());
    DAXFS_CHECK(name.empty() || participant_->SetName(published->use, name).ok());
    return summary->root.bytes;
  }

 private:
  const std::vector<std::string> devices_;
  const std::string path_;
  std::unique_ptr<pool::Participant> participant_;
};

}  // namespace daxfs::convert::testing
