// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/catalog.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
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

// What is wrong is of no image.
Status Catalog::AddLayers(const Blob& manifest, const NamedImage& image) {
  ASSIGN_OR_RETURN(const std::string text, ReadDocument(manifest, image.name_space));
  ASSIGN_OR_RETURN(const oci::Manifest parsed, oci::ParseManifest(text));
  if (parsed.is_index) return InvalidArgumentError("an index in an index");
  ASSIGN_OR_RETURN(const std::string config_text,
                   ReadDocument(BlobOf(parsed.config), image.name_space));
  ASSIGN_OR_RETURN(const oci::ImageConfig config, oci::ParseImageConfig(config_text));
  if (config.diff_ids.size() != parsed.layers.size()) {
    return InvalidArgumentError("more layers than diffIDs, or fewer");
  }
  for (std::size_t i = 0; i < config.diff_ids.size(); ++i) {
    layers_.emplace(config.diff_ids[i],
                    Entry{{BlobOf(parsed.layers[i]), image.name_space}, image.name});
  }
  return Status::Ok();
}

Status Catalog::Read() {
  const auto now = std::chrono::steady_clock::now();
  if (read_ && now - *read_ < fresh_) return Status::Ok();
  ASSIGN_OR_RETURN(const std::vector<NamedImage> images, images_.List());
  layers_.clear();
  for (const NamedImage& image : images) {
    for (const Blob& manifest : Manifests(image)) static_cast<void>(AddLayers(manifest, image));
  }
  read_ = now;
  return Status::Ok();
}

Result<StoredLayer> Catalog::FindLayer(const oci::Digest& diff_id) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(Read());
  const std::string layer = "layer " + diff_id.ToString();
  std::string advice = layer +
                       " is not in the pool any more, and no image containerd has says it has it: "
                       "daxfsctl doctor";
  const auto [first, last] = layers_.equal_range(diff_id);
  for (auto entry = first; entry != last; ++entry) {
    const StoredLayer& stored = entry->second.layer;
    if (IsThere(stored.blob, stored.name_space)) return stored;
    advice = layer + " of image " + entry->second.image +
             " is neither in the pool nor in containerd's content store any more: ctr -n " +
             stored.name_space + " content fetch " + entry->second.image;
  }
  return NotFoundError(advice);
}

}  // namespace daxfs::snapshotter
