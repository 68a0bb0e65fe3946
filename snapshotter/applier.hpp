// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/log.hpp"
#include "common/base/status.hpp"
#include "common/containerd/content.hpp"
#include "common/oci/digest.hpp"
#include "common/pool/membership.hpp"
#include "common/pool/obtain.hpp"
#include "snapshotter/snapshotter.hpp"

namespace daxfs::snapshotter {

// A layer's tar, uncompressed.
struct Tar {
  oci::Digest digest;  // the diffID
  std::uint64_t size_bytes = 0;
  pool::How how = pool::How::kBuilt;  // its image was had
};

struct ApplyRequest {
  containerd::Blob blob;
  std::vector<Mount> mounts;
  std::string name_space;           // containerd's, of who asks
  std::function<bool()> cancelled;  // asked now and then
};

// Makes images of layers for active snapshots: what containerd's differ is asked for. A layer
// somebody has placed, or is placing, is not read again. Thread safe. Borrows all.
class Applier {
 public:
  Applier(Snapshotter& snapshotter, pool::Membership& membership, containerd::Content& content,
          base::Logger& log)
      : snapshotter_(snapshotter), membership_(membership), content_(content), log_(log) {}

  // Errors: kUnimplemented for mounts that are not ours and layers that are no tar, for others to
  // try; kDataLoss, kInvalidArgument for a layer that is wrong; kResourceExhausted for a full pool,
  // with what to do; kCancelled.
  Result<Tar> Apply(const ApplyRequest& request);

 private:
  Snapshotter& snapshotter_;
  pool::Membership& membership_;
  containerd::Content& content_;
  base::Logger& log_;
};

}  // namespace daxfs::snapshotter
