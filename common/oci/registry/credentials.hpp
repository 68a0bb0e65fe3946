// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/status.hpp"

namespace daxfs::oci {

// Who asks a registry.
struct Credentials {
  std::string user;
  std::string password;
  std::string identity_token;  // instead of both: exchanged for one that opens (OAuth 2.0 refresh)
};

// What `docker login` and its like leave: {"auths": {...}, "credHelpers": {...}, "credsStore": ""}
// (containers-auth.json(5), docker's config.json).
class CredentialStore {
 public:
  // `path` empty: the first there is of $REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json,
  // $DOCKER_CONFIG/config.json and ~/.docker/config.json; without any the store is empty. Errors:
  // kInvalidArgument for a damaged file; kNotFound for a `path` that is not there; by errno.
  static Result<CredentialStore> Open(const std::string& path);

  // For the file's text. Errors: kInvalidArgument.
  static Result<CredentialStore> Parse(std::string_view json);

  // Of the most specific entry for "host/repository"; helpers ("docker-credential-NAME" in $PATH)
  // are asked. Nothing if there is none. Errors: kFailedPrecondition if a helper is missing or
  // fails.
  Result<std::optional<Credentials>> Find(const std::string& host,
                                          const std::string& repository) const;

 private:
  std::map<std::string, Credentials> entries_;  // by "host" or "host/path"
  std::map<std::string, std::string> helpers_;  // by the same
  std::string helper_of_all_;
};

}  // namespace daxfs::oci
