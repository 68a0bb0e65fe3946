// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/catalog.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "common/oci/blob_reader.hpp"

namespace daxfs::snapshotter {
namespace {

// As containerd's own limit for what it reads whole.
constexpr std::uint64_t kDocumentMaxBytes = 8U << 20U;

Blob BlobOf(const oci::Descriptor& descriptor) {
  return {descriptor.media_type, descriptor.digest, descriptor.size_bytes};
}

}  // namespace

// Compared with its digest.
Result<std::string> Catalog::ReadDocument(const Blob& blob, const std::string& name_space) {
  if (blob.size_bytes > kDocumentMaxBytes) return InvalidArgumentError("too large for a document");
  ASSIGN_OR_RETURN(std::unique_ptr<oci::ByteReader> stored, content_.Open(blob, name_space));
  oci::BlobReader reader(std::move(stored), blob.digest, blob.size_bytes);
  std::string text;
  std::array<std::byte, 65536> buffer{};
  for (;;) {
    ASSIGN_OR_RETURN(const std::size_t n, reader.Read(buffer));
    if (n == 0) return text;
    std::transform(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n),
                   std::back_inserter(text), [](std::byte b) { return static_cast<char>(b); });
  }
}

bool Catalog::IsThere(const Blob& blob, const std::string& name_space) {
  const Result<std::unique_ptr<oci::ByteReader>> stored = content_.Open(blob, name_space);
  if (!stored.ok()) return false;
  std::array<std::byte, 1> first{};
  return (*stored)->Read(first).ok();
}

// Those that are there: of an index for other platforms they are not.
std::vector<Blob> Catalog::Manifests(const NamedImage& image) {
  const Result<std::string> text = ReadDocument(image.target, image.name_space);
  if (!text.ok()) return {};
  const Result<oci::Manifest> parsed = oci::ParseManifest(*text);
  if (!parsed.ok()) return {};
  if (!parsed->is_index) return {image.target};
  std::vector<Blob> manifests;
  for (const oci::Descriptor& descriptor : parsed->manifests) {
    manifests.push_back(BlobOf(descriptor));
  }
  return manifests;
}

// Errors: kNotFound unless it has that layer.
Result<Blob> Catalog::LayerOf(const Blob& manifest, const std::string& name_space,
                              const oci::Digest& diff_id) {
  ASSIGN_OR_RETURN(const std::string text, ReadDocument(manifest, name_space));
  ASSIGN_OR_RETURN(const oci::Manifest parsed, oci::ParseManifest(text));
  if (parsed.is_index) return NotFoundError("an index in an index");
  ASSIGN_OR_RETURN(const std::string config_text, ReadDocument(BlobOf(parsed.config), name_space));
  ASSIGN_OR_RETURN(const oci::ImageConfig config, oci::ParseImageConfig(config_text));
  const auto found = std::find(config.diff_ids.begin(), config.diff_ids.end(), diff_id);
  if (found == config.diff_ids.end() || config.diff_ids.size() != parsed.layers.size()) {
    return NotFoundError("no such layer");
  }
  return BlobOf(parsed.layers[static_cast<std::size_t>(found - config.diff_ids.begin())]);
}

Result<StoredLayer> Catalog::FindLayer(const oci::Digest& diff_id) {
  ASSIGN_OR_RETURN(const std::vector<NamedImage> images, images_.List());
  const std::string layer = "layer " + diff_id.ToString();
  std::string advice = layer +
                       " is not in the pool any more, and no image containerd has says it has it: "
                       "daxfsctl doctor";
  for (const NamedImage& image : images) {
    for (const Blob& manifest : Manifests(image)) {
      const Result<Blob> blob = LayerOf(manifest, image.name_space, diff_id);
      if (!blob.ok()) continue;
      if (IsThere(*blob, image.name_space)) return StoredLayer{*blob, image.name_space};
      advice = layer + " of image " + image.name +
               " is neither in the pool nor in containerd's content store any more: ctr -n " +
               image.name_space + " content fetch " + image.name;
    }
  }
  return NotFoundError(advice);
}

}  // namespace daxfs::snapshotter
