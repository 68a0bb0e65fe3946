// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/status.hpp"
#include "common/oci/digest.hpp"

namespace daxfs::oci {

// What an image is called in a registry (distribution, reference: "[host[:port]/]repository[:tag]
// [@digest]").
struct ImageReference {
  std::string host;        // as written, its port too; "docker.io" where there is none
  std::string repository;  // "library/debian"
  std::string tag;         // may be empty beside a digest; "latest" where neither is given
  std::optional<Digest> digest;

  // As people write it: "debian", "localhost:5000/team/image:1", "host/image@sha256:...". Errors:
  // kInvalidArgument, saying which part is wrong.
  static Result<ImageReference> Parse(std::string_view text);

  std::string ToString() const;
};

}  // namespace daxfs::oci
