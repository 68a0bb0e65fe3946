// SPDX-License-Identifier: Apache-2.0
#include "common/oci/manifest.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

namespace daxfs::oci {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kReferenceAnnotation = "org.opencontainers.image.ref.name";

#if defined(__x86_64__)
constexpr std::string_view kHostArchitecture = "amd64";
#elif defined(__aarch64__)
constexpr std::string_view kHostArchitecture = "arm64";
#elif defined(__riscv) && __riscv_xlen == 64
constexpr std::string_view kHostArchitecture = "riscv64";
#else
#error "name this architecture as GOARCH does"
#endif

constexpr std::array<std::string_view, 2> kIndexTypes = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
};

constexpr std::array<std::string_view, 2> kManifestTypes = {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
};

constexpr std::array<std::string_view, 11> kLayerTypes = {
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
};

template <std::size_t N>
bool IsOneOf(std::string_view text, const std::array<std::string_view, N>& all) {
  return !text.empty() && std::find(all.begin(), all.end(), text) != all.end();
}

Result<Json> ParseObject(std::string_view text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return InvalidArgumentError("not well-formed JSON");
  if (!json.is_object()) return InvalidArgumentError("not a JSON object");
  return json;
}

// The string at `key`, empty if there is none. Errors: kInvalidArgument if it is something else.
Result<std::string> GetString(const Json& object, std::string_view key) {
  const auto member = object.find(key);
  if (member == object.end() || member->is_null()) return std::string();
  if (!member->is_string()) {
    return InvalidArgumentError("\"" + std::string(key) + "\" is not a string");
  }
  return member->get<std::string>();
}

Result<const Json*> GetArray(const Json& object, std::string_view key) {
  const auto member = object.find(key);
  if (member == object.end() || !member->is_array()) {
    return InvalidArgumentError("no array \"" + std::string(key) + "\"");
  }
  return &*member;
}

Result<Platform> GetPlatform(const Json& object) {
  Platform platform;
  ASSIGN_OR_RETURN(platform.os, GetString(object, "os"));
  ASSIGN_OR_RETURN(platform.architecture, GetString(object, "architecture"));
  ASSIGN_OR_RETURN(platform.variant, GetString(object, "variant"));
  return platform;
}

Result<Descriptor> ParseDescriptor(const Json& json) {
  if (!json.is_object()) return InvalidArgumentError("descriptor is not an object");
  Descriptor out;
  ASSIGN_OR_RETURN(out.media_type, GetString(json, "mediaType"));
  ASSIGN_OR_RETURN(const std::string digest, GetString(json, "digest"));
  ASSIGN_OR_RETURN(out.digest, Digest::Parse(digest));
  const auto size = json.find("size");
  if (size == json.end() || !size->is_number_unsigned()) {
    return InvalidArgumentError("descriptor " + digest + " has no size");
  }
  out.size_bytes = size->get<std::uint64_t>();
  const auto platform = json.find("platform");
  if (platform != json.end() && platform->is_object()) {
    ASSIGN_OR_RETURN(out.platform, GetPlatform(*platform));
  }
  const auto annotations = json.find("annotations");
  if (annotations != json.end() && annotations->is_object()) {
    ASSIGN_OR_RETURN(out.reference, GetString(*annotations, kReferenceAnnotation));
  }
  return out;
}

Status ParseDescriptors(const Json& array, std::vector<Descriptor>* out) {
  for (const Json& item : array) {
    ASSIGN_OR_RETURN(Descriptor descriptor, ParseDescriptor(item));
    out->push_back(std::move(descriptor));
  }
  return Status::Ok();
}

// The strings of the array at `key`; none if there is null, as for an image without a tag.
Result<std::vector<std::string>> GetStrings(const Json& object, std::string_view key) {
  std::vector<std::string> out;
  const auto member = object.find(key);
  if (member == object.end() || member->is_null()) return out;
  ASSIGN_OR_RETURN(const Json* array, GetArray(object, key));
  for (const Json& item : *array) {
    if (!item.is_string()) return InvalidArgumentError(std::string(key) + " holds no strings");
    out.push_back(item.get<std::string>());
  }
  return out;
}

std::string NormalVariant(const Platform& platform) {
  if (!platform.variant.empty()) return platform.variant;
  if (platform.architecture == "arm64") return "v8";
  return platform.architecture == "arm" ? "v7" : "";
}

}  // namespace

Result<Platform> Platform::Parse(std::string_view text) {
  std::array<std::string, 3> parts;
  std::string_view rest = text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::size_t slash = i == 2 ? rest.size() : std::min(rest.find('/'), rest.size());
    parts.at(i) = rest.substr(0, slash);
    rest.remove_prefix(std::min(slash + 1, rest.size()));
  }
  const bool more = parts[2].find('/') != std::string::npos;
  if (parts[0].empty() || parts[1].empty() || more || text.ends_with('/')) {
    return InvalidArgumentError("platform \"" + std::string(text) +
                                "\" is not os/arch[/variant] (example: linux/amd64)");
  }
  return Platform{parts[0], parts[1], parts[2]};
}

Platform Platform::Host() { return {"linux", std::string(kHostArchitecture), ""}; }

std::string Platform::ToString() const {
  if (empty()) return "unknown";
  return os + "/" + architecture + (variant.empty() ? "" : "/" + variant);
}

bool Platform::Accepts(const Platform& offered) const {
  if (os != offered.os || architecture != offered.architecture) return false;
  if (variant.empty() && NormalVariant(*this).empty()) return true;
  return NormalVariant(*this) == NormalVariant(offered);
}

Result<Manifest> ParseManifest(std::string_view json) {
  ASSIGN_OR_RETURN(const Json object, ParseObject(json));
  const auto version = object.find("schemaVersion");
  if (version != object.end() && version->is_number_integer() && version->get<int>() == 1) {
    return UnimplementedError("manifests of schema version 1 are not supported");
  }
  ASSIGN_OR_RETURN(const std::string media_type, GetString(object, "mediaType"));
  Manifest manifest;
  manifest.is_index =
      IsIndexType(media_type) || (media_type.empty() && object.contains("manifests"));
  if (manifest.is_index) {
    ASSIGN_OR_RETURN(const Json* manifests, GetArray(object, "manifests"));
    RETURN_IF_ERROR(ParseDescriptors(*manifests, &manifest.manifests));
    return manifest;
  }
  ASSIGN_OR_RETURN(const Json* layers, GetArray(object, "layers"));
  RETURN_IF_ERROR(ParseDescriptors(*layers, &manifest.layers));
  const auto config = object.find("config");
  if (config == object.end()) return InvalidArgumentError("manifest without a config");
  ASSIGN_OR_RETURN(manifest.config, ParseDescriptor(*config).WithContext("config"));
  return manifest;
}

Result<std::vector<DockerManifest>> ParseDockerManifests(std::string_view json) {
  const Json array = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (array.is_discarded() || !array.is_array()) {
    return InvalidArgumentError("not a JSON array of images");
  }
  std::vector<DockerManifest> all;
  for (const Json& object : array) {
    if (!object.is_object()) return InvalidArgumentError("an image is not an object");
    DockerManifest manifest;
    ASSIGN_OR_RETURN(manifest.config, GetString(object, "Config"));
    ASSIGN_OR_RETURN(manifest.tags, GetStrings(object, "RepoTags"));
    ASSIGN_OR_RETURN(manifest.layers, GetStrings(object, "Layers"));
    if (manifest.config.empty()) return InvalidArgumentError("an image without a Config");
    all.push_back(std::move(manifest));
  }
  return all;
}

Result<ImageConfig> ParseImageConfig(std::string_view json) {
  ASSIGN_OR_RETURN(const Json object, ParseObject(json));
  ImageConfig config;
  ASSIGN_OR_RETURN(config.platform, GetPlatform(object));
  const auto rootfs = object.find("rootfs");
  if (rootfs == object.end() || !rootfs->is_object()) {
    return InvalidArgumentError("no rootfs: not the config of a container image");
  }
  ASSIGN_OR_RETURN(const Json* diff_ids, GetArray(*rootfs, "diff_ids"));
  for (const Json& item : *diff_ids) {
    if (!item.is_string()) return InvalidArgumentError("a diff_id is not a string");
    ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(item.get<std::string>()));
    config.diff_ids.push_back(digest);
  }
  return config;
}

Status CheckLayoutVersion(std::string_view json) {
  ASSIGN_OR_RETURN(const Json object, ParseObject(json));
  ASSIGN_OR_RETURN(const std::string version, GetString(object, "imageLayoutVersion"));
  if (version.empty()) return InvalidArgumentError("no imageLayoutVersion");
  if (version != "1.0.0") {
    return UnimplementedError("image layout version " + version + " is not supported");
  }
  return Status::Ok();
}

bool IsManifestType(std::string_view media_type) { return IsOneOf(media_type, kManifestTypes); }
bool IsIndexType(std::string_view media_type) { return IsOneOf(media_type, kIndexTypes); }

Status CheckLayerType(std::string_view media_type) {
  if (IsOneOf(media_type, kLayerTypes)) return Status::Ok();
  return UnimplementedError("layers of type \"" + std::string(media_type) + "\" are not supported");
}

}  // namespace daxfs::oci
