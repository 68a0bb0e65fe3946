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

containerd::Blob BlobOf(const oci::Descriptor& descriptor) {
  return {descriptor.media_type, descriptor.digest, descriptor.size_bytes};
}

// Of containerd, and says nothing of an image.
bool IsTransient(const Status& status) {
  return status.code() == StatusCode::kUnavailable ||
         status.code() == StatusCode::kDeadlineExceeded;
}

}  // namespace

// Compared with its digest.
Result<std::string> Catalog::ReadDocument(const containerd::Blob& blob,
                                          const std::string& name_space, Budget* budget) {
  if (blob.size_bytes > kDocumentMaxBytes) return InvalidArgumentError("too large for a document");
  if (budget->documents == 0 || blob.size_bytes > budget->bytes) {
    return Status(StatusCode::kResourceExhausted, "the image has too much to read");
  }
  --budget->documents;
  budget->bytes -= blob.size_bytes;
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

Status Catalog::CheckThere(const containerd::Blob& blob, const std::string& name_space) {
  ASSIGN_OR_RETURN(const std::unique_ptr<oci::ByteReader> stored, content_.Open(blob, name_space));
  std::array<std::byte, 1> first{};
  return stored->Read(first).status();
}

// What is wrong is of no image.
Status Catalog::AddImage(const containerd::NamedImage& image) {
  Budget budget;
  ASSIGN_OR_RETURN(const std::string text, ReadDocument(image.target, image.name_space, &budget));
  ASSIGN_OR_RETURN(const oci::Manifest parsed, oci::ParseManifest(text));
  if (!parsed.is_index) return AddLayers(parsed, image, &budget);
  for (const oci::Descriptor& descriptor : parsed.manifests) {
    // Those for other platforms are not there.
    const Status added = AddManifest(BlobOf(descriptor), image, &budget);
    if (IsTransient(added)) return added;
  }
  return Status::Ok();
}

Status Catalog::AddManifest(const containerd::Blob& manifest, const containerd::NamedImage& image,
                            Budget* budget) {
  ASSIGN_OR_RETURN(const std::string text, ReadDocument(manifest, image.name_space, budget));
  ASSIGN_OR_RETURN(const oci::Manifest parsed, oci::ParseManifest(text));
  if (parsed.is_index) return InvalidArgumentError("an index in an index");
  return AddLayers(parsed, image, budget);
}

Status Catalog::AddLayers(const oci::Manifest& manifest, const containerd::NamedImage& image,
                          Budget* budget) {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadDocument(BlobOf(manifest.config), image.name_space, budget));
  ASSIGN_OR_RETURN(const oci::ImageConfig config, oci::ParseImageConfig(text));
  if (config.diff_ids.size() != manifest.layers.size()) {
    return InvalidArgumentError("more layers than diffIDs, or fewer");
  }
  if (config.diff_ids.size() > budget->layers) {
    return Status(StatusCode::kResourceExhausted, "the image has too many layers");
  }
  budget->layers -= config.diff_ids.size();
  for (std::size_t i = 0; i < config.diff_ids.size(); ++i) {
    const oci::Descriptor& layer = manifest.layers[i];
    claims_.emplace(Claim{config.diff_ids[i], layer.digest, layer.size_bytes, layer.media_type,
                          image.name_space},
                    image.name);
  }
  return Status::Ok();
}

Status Catalog::Read() {
  const auto now = std::chrono::steady_clock::now();
  if (read_ && now - *read_ < fresh_) return Status::Ok();
  read_.reset();
  ASSIGN_OR_RETURN(const std::vector<containerd::NamedImage> images, images_.List());
  claims_.clear();
  for (const containerd::NamedImage& image : images) {
    const Status added = AddImage(image);
    if (IsTransient(added)) return added;
  }
  read_ = now;
  return Status::Ok();
}

Result<std::vector<StoredLayer>> Catalog::FindLayer(const oci::Digest& diff_id) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(Read());
  const std::string layer = "layer " + diff_id.ToString();
  Status missing = NotFoundError(layer +
                                 " is not in the pool any more, and no image containerd has says "
                                 "it has it: daxfsctl doctor");
  std::vector<StoredLayer> found;
  for (auto at = claims_.lower_bound(Claim{diff_id, {}, 0, "", ""});
       at != claims_.end() && at->first.diff_id == diff_id; ++at) {
    const auto& [claim, image] = *at;
    const containerd::Blob blob = {claim.media_type, claim.blob, claim.size_bytes};
    // Namespaces of one blob are neighbours.
    if (!found.empty() && found.back().blob == blob) continue;
    const Status there = CheckThere(blob, claim.name_space);
    if (there.ok()) {
      found.push_back({blob, claim.name_space});
    } else if (there.code() != StatusCode::kNotFound) {
      missing = there;
    } else if (missing.code() == StatusCode::kNotFound) {
      missing = NotFoundError(layer + " of image " + image +
                              " is neither in the pool nor in containerd's content store any "
                              "more: ctr -n " +
                              claim.name_space + " content fetch " + image);
    }
  }
  if (found.empty()) return missing;
  return found;
}

}  // namespace daxfs::snapshotter
