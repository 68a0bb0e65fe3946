// SPDX-License-Identifier: Apache-2.0
#include "common/oci/find_image.hpp"

#include <array>
#include <set>
#include <utility>

namespace daxfs::oci {
namespace {

constexpr std::size_t kLayersMax = 1024;  // runtimes stop at 127 to 500
constexpr int kMaxDepth = 4;
constexpr std::size_t kMaxImages = 1000;

// Image manifests below descriptors.
class Collector {
 public:
  explicit Collector(const DocumentSource& documents) : documents_(documents) {}

  // Each digest once, however often it is named.
  Status Collect(const std::vector<Descriptor>& descriptors, int depth = 0) {
    if (depth > kMaxDepth) return InvalidArgumentError("indexes nested too deeply");
    for (const Descriptor& descriptor : descriptors) {
      if (!seen_.insert(descriptor.digest).second) continue;
      if (seen_.size() > kMaxImages) return InvalidArgumentError("too many images in one index");
      if (IsManifestType(descriptor.media_type)) {
        found_.push_back(descriptor);
        continue;
      }
      ASSIGN_OR_RETURN(const std::string text, documents_.ReadDocument(descriptor));
      ASSIGN_OR_RETURN(const Manifest manifest,
                       ParseManifest(text).WithContext(descriptor.digest.ToString()));
      if (manifest.is_index) {
        RETURN_IF_ERROR(Collect(manifest.manifests, depth + 1));
      } else {
        found_.push_back(descriptor);
      }
    }
    return Status::Ok();
  }

  const std::vector<Descriptor>& found() const { return found_; }

 private:
  const DocumentSource& documents_;
  std::set<Digest> seen_;
  std::vector<Descriptor> found_;
};

Result<ImageRef> Load(const DocumentSource& documents, const Descriptor& descriptor) {
  ASSIGN_OR_RETURN(const std::string text, documents.ReadDocument(descriptor));
  ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(text));
  if (manifest.is_index) return InvalidArgumentError("an index that is called a manifest");
  ImageRef image;
  image.name = descriptor.digest.ToString();
  ASSIGN_OR_RETURN(image.config_json, documents.ReadDocument(manifest.config));
  ASSIGN_OR_RETURN(const ImageConfig config,
                   ParseImageConfig(image.config_json)
                       .WithContext("config " + manifest.config.digest.ToString()));
  image.platform = config.platform;
  RETURN_IF_ERROR(CheckLayerCount(config, manifest.layers.size()));
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
    const Descriptor& layer = manifest.layers[i];
    RETURN_IF_ERROR(CheckLayerType(layer.media_type));
    image.layers.push_back({config.diff_ids[i], layer.digest, layer.size_bytes, ""});
  }
  return image;
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

std::string NameOf(const Descriptor& descriptor) {
  std::string name = descriptor.digest.ToString();
  if (!descriptor.reference.empty()) name = descriptor.reference + " (" + name + ")";
  return name;
}

std::string ListOf(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

Result<std::string> ReadText(const Descriptor& descriptor, PositionedReader& blob) {
  if (descriptor.size_bytes > kDocumentMaxBytes) {
    return InvalidArgumentError(descriptor.digest.ToString() + ": too large for a JSON document");
  }
  std::string text;
  std::array<std::byte, 16384> buffer{};
  for (;;) {
    ASSIGN_OR_RETURN(const std::size_t n, blob.Read(buffer));
    if (n == 0) return text;
    text.append(reinterpret_cast<const char*>(buffer.data()), n);
  }
}

Result<ImageRef> FindImage(const DocumentSource& documents, const std::vector<Descriptor>& named,
                           const std::string& platform) {
  Platform wanted = Platform::Host();
  if (!platform.empty()) {
    ASSIGN_OR_RETURN(wanted, Platform::Parse(platform));
  }
  Collector images(documents);
  RETURN_IF_ERROR(images.Collect(named));
  if (images.found().size() == 1 && platform.empty()) return Load(documents, images.found()[0]);

  std::vector<ImageRef> fitting;
  std::vector<std::string> fitting_names;
  std::vector<std::string> offered;
  for (const Descriptor& descriptor : images.found()) {
    const bool says = !descriptor.platform.empty();
    if (says) offered.push_back(descriptor.platform.ToString());
    if (says && !wanted.Accepts(descriptor.platform)) continue;
    ASSIGN_OR_RETURN(ImageRef image, Load(documents, descriptor).WithContext(NameOf(descriptor)));
    if (!says) offered.push_back(image.platform.ToString());
    if (!says && !wanted.Accepts(image.platform)) continue;
    fitting_names.push_back(NameOf(descriptor));
    fitting.push_back(std::move(image));
  }
  if (fitting.empty()) {
    return NotFoundError("no image for " + wanted.ToString() + "; there is: " + ListOf(offered));
  }
  if (fitting.size() > 1) {
    return FailedPreconditionError("several images fit, choose one by its name or digest: " +
                                   ListOf(fitting_names));
  }
  return std::move(fitting[0]);
}

}  // namespace daxfs::oci
