// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
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

  // The blobs that are there of the layer with that diffID, as images' configurations and manifests
  // say, each once. An image may lie: nothing is proved. Errors: kNotFound if none is there, with
  // the image whose layer it is and what to type; as NamedImages::List.
  Result<std::vector<StoredLayer>> FindLayer(const oci::Digest& diff_id);

 private:
  // What is still read of one image: whoever pushed it wrote it.
  struct Budget {
    std::uint32_t documents = 1000;
    std::uint64_t bytes = 64U << 20U;
    std::size_t layers = 10000;
  };
  // What an image says of a layer, ordered by diffID, then by blob.
  struct Claim {
    oci::Digest diff_id;
    oci::Digest blob;
    std::uint64_t size_bytes = 0;
    std::string media_type;
    std::string name_space;
    auto operator<=>(const Claim&) const = default;
  };
  Status Read();
  Result<std::string> ReadDocument(const Blob& blob, const std::string& name_space, Budget* budget);
  // Errors: kNotFound if it is not; of containerd.
  Status CheckThere(const Blob& blob, const std::string& name_space);
  Status AddImage(const NamedImage& image);
  Status AddManifest(const Blob& manifest, const NamedImage& image, Budget* budget);
  Status AddLayers(const oci::Manifest& manifest, const NamedImage& image, Budget* budget);

  NamedImages& images_;
  Content& content_;
  const std::chrono::seconds fresh_;
  std::mutex mutex_;
  std::map<Claim, std::string> claims_;                        // with an image; under mutex_
  std::optional<std::chrono::steady_clock::time_point> read_;  // when; under mutex_
};

}  // namespace daxfs::snapshotter
