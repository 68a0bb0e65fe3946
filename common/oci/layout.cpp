// SPDX-License-Identifier: Apache-2.0
#include "common/oci/layout.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/check.hpp"
#include "common/oci/blob_reader.hpp"
#include "common/os/file_io.hpp"

namespace daxfs::oci {
namespace {

constexpr std::size_t kTextMax = std::size_t{8} << 20U;  // registries cut manifests off at 4 MiB
constexpr std::size_t kLayersMax = 1024;                 // runtimes stop at 127 to 500
constexpr int kMaxDepth = 4;
constexpr std::size_t kMaxImages = 1000;

std::string NameOf(const Descriptor& descriptor) {
  std::string name = descriptor.digest.ToString();
  if (!descriptor.reference.empty()) name = descriptor.reference + " (" + name + ")";
  return name;
}

std::string BlobPath(const Digest& digest) { return "blobs/sha256/" + digest.Hex(); }

std::string ListOf(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::vector<Descriptor> Named(const std::vector<Descriptor>& all, const std::string& reference) {
  std::vector<Descriptor> out;
  for (const Descriptor& descriptor : all) {
    if (reference.empty() || descriptor.reference == reference) out.push_back(descriptor);
  }
  return out;
}

std::vector<std::string> ReferencesOf(const std::vector<Descriptor>& all) {
  std::vector<std::string> names;
  names.reserve(all.size());
  for (const Descriptor& descriptor : all) names.push_back(NameOf(descriptor));
  return names;
}

}  // namespace

Status CheckLayerCount(const ImageConfig& config, std::size_t count) {
  if (count > kLayersMax) {
    return ResourceExhaustedError(std::to_string(count) + " layers: at most 1024 are taken");
  }
  if (config.diff_ids.size() == count) return Status::Ok();
  return InvalidArgumentError("manifest has " + std::to_string(count) + " layers, its config " +
                              std::to_string(config.diff_ids.size()));
}

Result<Layout> Layout::Open(const std::string& path) {
  ASSIGN_OR_RETURN(os::Directory directory, os::Directory::Open(path));
  Layout layout(std::move(directory));
  const Result<std::string> version = layout.ReadText("oci-layout");
  if (!version.ok() && version.status().code() == StatusCode::kNotFound) {
    return InvalidArgumentError(path + ": no OCI image layout (it has no file oci-layout)");
  }
  if (!version.ok()) return version.status();
  RETURN_IF_ERROR(CheckLayoutVersion(*version).WithContext(path + "/oci-layout"));
  return layout;
}

Result<std::string> Layout::ReadText(const std::string& name) const {
  ASSIGN_OR_RETURN(const os::UniqueFd fd, directory_.OpenFile(name));
  return os::ReadWholeFile(fd.get(), kTextMax).WithContext(name);
}

Result<std::unique_ptr<PositionedReader>> Layout::OpenBlob(const Digest& digest,
                                                           std::uint64_t size_bytes) const {
  ASSIGN_OR_RETURN(os::UniqueFd fd, directory_.OpenFile(BlobPath(digest)));
  return std::unique_ptr<PositionedReader>(
      std::make_unique<BlobReader>(std::move(fd), digest, size_bytes));
}

Result<std::unique_ptr<PositionedReader>> Layout::OpenLayer(const LayerRef& layer) const {
  DAXFS_CHECK(layer.digest.has_value());
  return OpenBlob(*layer.digest, layer.size_bytes);
}

Result<std::string> Layout::ReadBlobText(const Descriptor& descriptor) const {
  if (descriptor.size_bytes > kTextMax) {
    return InvalidArgumentError(descriptor.digest.ToString() + ": too large for a JSON document");
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<PositionedReader> blob,
                   OpenBlob(descriptor.digest, descriptor.size_bytes));
  std::string text;
  std::array<std::byte, 16384> buffer{};
  for (;;) {
    ASSIGN_OR_RETURN(const std::size_t n, blob->Read(buffer));
    if (n == 0) return text;
    text.append(reinterpret_cast<const char*>(buffer.data()), n);
  }
}

// All image manifests below the given descriptors; nested indexes are opened; each digest is
// read once, however often it is named.
Status Layout::Collect(const std::vector<Descriptor>& descriptors, int depth,
                       std::set<std::string>* seen, std::vector<Descriptor>* found) const {
  if (depth > kMaxDepth) return InvalidArgumentError("indexes nested too deeply");
  for (const Descriptor& descriptor : descriptors) {
    if (!seen->insert(descriptor.digest.Hex()).second) continue;
    if (seen->size() > kMaxImages) return InvalidArgumentError("too many images in one layout");
    ASSIGN_OR_RETURN(const std::string text, ReadBlobText(descriptor));
    ASSIGN_OR_RETURN(const Manifest manifest,
                     ParseManifest(text).WithContext(descriptor.digest.ToString()));
    if (manifest.is_index) {
      RETURN_IF_ERROR(Collect(manifest.manifests, depth + 1, seen, found));
      continue;
    }
    found->push_back(descriptor);
  }
  return Status::Ok();
}

Result<ImageRef> Layout::Load(const Descriptor& descriptor) const {
  ASSIGN_OR_RETURN(const std::string text, ReadBlobText(descriptor));
  ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(text));
  ImageRef image;
  image.name = descriptor.digest.ToString();
  ASSIGN_OR_RETURN(image.config_json, ReadBlobText(manifest.config));
  ASSIGN_OR_RETURN(const ImageConfig config,
                   ParseImageConfig(image.config_json)
                       .WithContext("config " + manifest.config.digest.ToString()));
  image.platform = config.platform;
  RETURN_IF_ERROR(CheckLayerCount(config, manifest.layers.size()));
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
    const Descriptor& layer = manifest.layers[i];
    RETURN_IF_ERROR(CheckLayerType(layer.media_type));
    image.layers.push_back(
        {config.diff_ids[i], layer.digest, layer.size_bytes, BlobPath(layer.digest)});
  }
  return image;
}

Result<ImageRef> Layout::Find(const std::string& reference, const std::string& platform) const {
  Platform wanted = Platform::Host();
  if (!platform.empty()) {
    ASSIGN_OR_RETURN(wanted, Platform::Parse(platform));
  }
  ASSIGN_OR_RETURN(const std::string text, ReadText("index.json"));
  ASSIGN_OR_RETURN(const Manifest index, ParseManifest(text).WithContext("index.json"));
  if (!index.is_index) return InvalidArgumentError("index.json is not an image index");
  const std::vector<Descriptor> named = Named(index.manifests, reference);
  if (named.empty()) {
    return NotFoundError("no image \"" + reference +
                         "\" in the layout; it has: " + ListOf(ReferencesOf(index.manifests)));
  }
  std::vector<Descriptor> all;
  std::set<std::string> seen;
  RETURN_IF_ERROR(Collect(named, 0, &seen, &all));
  if (all.size() == 1 && platform.empty()) return Load(all[0]);

  std::vector<ImageRef> fitting;
  std::vector<std::string> fitting_names;
  std::vector<std::string> offered;
  for (const Descriptor& descriptor : all) {
    const bool says = !descriptor.platform.empty();
    if (says) offered.push_back(descriptor.platform.ToString());
    if (says && !wanted.Accepts(descriptor.platform)) continue;
    ASSIGN_OR_RETURN(ImageRef image, Load(descriptor).WithContext(NameOf(descriptor)));
    if (!says) offered.push_back(image.platform.ToString());
    if (!says && !wanted.Accepts(image.platform)) continue;
    fitting_names.push_back(NameOf(descriptor));
    fitting.push_back(std::move(image));
  }
  if (fitting.empty()) {
    return NotFoundError("no image for " + wanted.ToString() + "; there is: " + ListOf(offered));
  }
  if (fitting.size() > 1) {
    return FailedPreconditionError("several images fit, choose one with oci:PATH:REF: " +
                                   ListOf(fitting_names));
  }
  return std::move(fitting[0]);
}

}  // namespace daxfs::oci
