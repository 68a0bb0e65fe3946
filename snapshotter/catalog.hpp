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
#include "common/containerd/content.hpp"
#include "common/containerd/images.hpp"
#include "common/oci/digest.hpp"
#include "common/oci/manifest.hpp"

namespace daxfs::snapshotter {

struct StoredLayer {
  containerd::Blob blob;
  std::string name_space;
};

// Finds layers by what their images say of them. Thread safe. Borrows both.
class Catalog {
 public:
  // What it has read of all images is good for so long: many layers are asked for at once.
  static constexpr std::chrono::seconds kFresh{5};
  Catalog(containerd::NamedImages& images, containerd::Content& content,
          std::chrono::seconds fresh = kFresh)
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
  Result<std::string> ReadDocument(const containerd::Blob& blob, const std::string& name_space,
                                   Budget* budget);
  // Errors: kNotFound if it is not; of containerd.
  Status CheckThere(const containerd::Blob& blob, const std::string& name_space);
  Status AddImage(const containerd::NamedImage& image);
  Status AddManifest(const containerd::Blob& manifest, const containerd::NamedImage& image,
                     Budget* budget);
  Status AddLayers(const oci::Manifest& manifest, const containerd::NamedImage& image,
                   Budget* budget);

  containerd::NamedImages& images_;
  containerd::Content& content_;
  const std::chrono::seconds fresh_;
  std::mutex mutex_;
  std::map<Claim, std::string> claims_;                        // with an image; under mutex_
  std::optional<std::chrono::steady_clock::time_point> read_;  // when; under mutex_
};

}  // namespace daxfs::snapshotter
