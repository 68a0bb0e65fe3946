// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/digest.hpp"
#include "common/oci/manifest.hpp"
#include "snapshotter/content.hpp"

namespace daxfs::snapshotter {

// An image containerd has a name for.
struct NamedImage {
  std::string name_space;
  std::string name;
  Blob target;  // its index or manifest
};

// Thread safe.
class NamedImages {
 public:
  virtual ~NamedImages() = default;
  // Of all namespaces. Errors: kUnavailable while containerd does not answer.
  virtual Result<std::vector<NamedImage>> List() = 0;
};

// By containerd.services.images.v1 and namespaces.v1 on containerd's socket at `address`.
std::unique_ptr<NamedImages> NamedImagesOverRpc(const std::string& address);

struct StoredLayer {
  Blob blob;
  std::string name_space;
};

// Finds layers by what their images say of them. Thread safe. Borrows both.
class Catalog {
 public:
  // What it has read of all images is good for so long: many layers are asked for at once.
  static constexpr std::chrono::seconds kFresh{5};
  Catalog(NamedImages& images, Content& content, std::chrono::seconds fresh = kFresh)
      : images_(images), content_(content), fresh_(fresh) {}

  // A blob that is there of the layer with that diffID, as an image's configuration and manifest
  // say; neither is proved. Errors: kNotFound if none is there, with the image whose layer it is
  // and what to type; as NamedImages::List.
  Result<StoredLayer> FindLayer(const oci::Digest& diff_id);

 private:
  struct Entry {
    StoredLayer layer;
    std::string image;
  };
  Status Read();
  Result<std::string> ReadDocument(const Blob& blob, const std::string& name_space);
  bool IsThere(const Blob& blob, const std::string& name_space);
  std::vector<Blob> Manifests(const NamedImage& image);
  Status AddLayers(const Blob& manifest, const NamedImage& image);

  NamedImages& images_;
  Content& content_;
  const std::chrono::seconds fresh_;
  std::mutex mutex_;
  std::multimap<oci::Digest, Entry> layers_;                   // by diffID; under mutex_
  std::optional<std::chrono::steady_clock::time_point> read_;  // when; under mutex_
};

}  // namespace daxfs::snapshotter
