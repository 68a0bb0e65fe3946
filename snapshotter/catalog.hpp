// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
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

// By containerd.services.images.v1 and namespaces.v1 on containerd's socket at `address`; connects
// when it is first asked.
std::unique_ptr<NamedImages> NamedImagesOverRpc(const std::string& address);

struct StoredLayer {
  Blob blob;
  std::string name_space;
};

// Finds layers by what their images say of them. Thread safe. Borrows both.
class Catalog {
 public:
  Catalog(NamedImages& images, Content& content) : images_(images), content_(content) {}

  // A blob that is there of the layer with that diffID, as an image's configuration and manifest
  // say; neither is proved. Errors: kNotFound if none is there, with the image whose layer it is
  // and what to type; as NamedImages::List.
  Result<StoredLayer> FindLayer(const oci::Digest& diff_id);

 private:
  Result<std::string> ReadDocument(const Blob& blob, const std::string& name_space);
  bool IsThere(const Blob& blob, const std::string& name_space);
  std::vector<Blob> Manifests(const NamedImage& image);
  Result<Blob> LayerOf(const Blob& manifest, const std::string& name_space,
                       const oci::Digest& diff_id);

  NamedImages& images_;
  Content& content_;
};

}  // namespace daxfs::snapshotter
