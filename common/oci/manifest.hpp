// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/digest.hpp"

namespace daxfs::oci {

// "os/arch[/variant]" in the image-spec's words (GOOS, GOARCH).
struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;

  // Errors: kInvalidArgument.
  static Result<Platform> Parse(std::string_view text);
  // linux and this machine's architecture.
  static Platform Host();

  std::string ToString() const;
  // Whether an image for `offered` is what this platform asks for: same os and architecture, and
  // the same variant where one is asked for ("arm64" is "arm64/v8", "arm" is "arm/v7").
  bool Accepts(const Platform& offered) const;
  bool empty() const { return os.empty() && architecture.empty(); }
};

struct Descriptor {
  std::string media_type;
  Digest digest;
  std::uint64_t size_bytes = 0;
  Platform platform;      // empty where the descriptor has none
  std::string reference;  // annotation org.opencontainers.image.ref.name
};

// An index or a manifest, whichever it is.
struct Manifest {
  bool is_index = false;
  std::vector<Descriptor> manifests;  // of an index
  Descriptor config;                  // of a manifest
  std::vector<Descriptor> layers;     // of a manifest
};

struct ImageConfig {
  Platform platform;
  std::vector<Digest> diff_ids;
};

// One image of a docker archive: what its manifest.json says of it.
struct DockerManifest {
  std::string config;  // member
  std::vector<std::string> tags;
  std::vector<std::string> layers;  // members, lowest first
};

// Errors: kInvalidArgument.
Result<std::vector<DockerManifest>> ParseDockerManifests(std::string_view json);

// Both kinds, in OCI's and Docker's spelling. Only what is used here is checked.
// Errors: kInvalidArgument saying what is wrong; kUnimplemented for schema version 1.
Result<Manifest> ParseManifest(std::string_view json);

// Errors: kInvalidArgument.
Result<ImageConfig> ParseImageConfig(std::string_view json);

// Checks the version in an `oci-layout` file. Errors: kInvalidArgument, kUnimplemented.
Status CheckLayoutVersion(std::string_view json);

// Whether this media type is that of one image's manifest; of an index of them.
bool IsManifestType(std::string_view media_type);
bool IsIndexType(std::string_view media_type);

// Whether a layer of this media type is a tar that can be read. Errors: kUnimplemented naming the
// type.
Status CheckLayerType(std::string_view media_type);

}  // namespace daxfs::oci
