// SPDX-License-Identifier: Apache-2.0
// Any bytes as each of the JSON documents an image consists of.
#include <cstdint>
#include <string_view>

#include "common/oci/manifest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  static_cast<void>(daxfs::oci::ParseManifest(json));
  static_cast<void>(daxfs::oci::ParseImageConfig(json));
  static_cast<void>(daxfs::oci::CheckLayoutVersion(json));
  static_cast<void>(daxfs::oci::Platform::Parse(json));
  return 0;
}
