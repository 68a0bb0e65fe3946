// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/blob_reader.hpp"
#include "common/oci/manifest.hpp"
#include "common/os/directory.hpp"

namespace daxfs::oci {

struct LayerRef {
  Descriptor descriptor;
  Digest diff_id;
};

// One image of a layout, everything but the layers' bytes read and verified.
struct ImageRef {
  Digest manifest_digest;
  Platform platform;
  std::vector<LayerRef> layers;  // lowest first
  std::string config_json;
};

// An OCI image layout: a directory with `oci-layout`, `index.json` and `blobs/` (image-spec,
// image-layout.md). Blobs are only ever opened by digest, below the directory.
class Layout {
 public:
  // Errors: kInvalidArgument if it is none; kUnimplemented for another version; by errno.
  static Result<Layout> Open(const std::string& path);

  // The image called `reference` in the index (empty: any), for `platform` (empty: this host's;
  // then a layout with one single image yields that one). Nested indexes are searched. Errors:
  // kNotFound, listing what there is; kFailedPrecondition if several fit; kDataLoss.
  Result<ImageRef> Find(const std::string& reference, const std::string& platform) const;

  // The blob as a stream that verifies itself. Errors: kNotFound, by errno.
  Result<std::unique_ptr<BlobReader>> OpenBlob(const Descriptor& descriptor) const;

 private:
  explicit Layout(os::Directory directory) : directory_(std::move(directory)) {}
  Result<std::string> ReadText(const std::string& name) const;
  Result<std::string> ReadBlobText(const Descriptor& descriptor) const;
  Status Collect(const std::vector<Descriptor>& descriptors, int depth, std::set<std::string>* seen,
                 std::vector<Descriptor>* found) const;
  Result<ImageRef> Load(const Descriptor& descriptor) const;

  os::Directory directory_;
};

}  // namespace daxfs::oci
