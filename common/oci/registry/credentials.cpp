// SPDX-License-Identifier: Apache-2.0
#include "common/oci/registry/credentials.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>
#include <vector>

#include "common/os/file_io.hpp"
#include "common/os/process.hpp"
#include "common/os/system.hpp"

namespace daxfs::oci {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kFileMax = 4U << 20U;
constexpr std::string_view kTokenUser = "<token>";  // what helpers call an identity token's user
constexpr std::string_view kDockerHub = "docker.io";
constexpr std::string_view kDockerHubKey =
    "https://index.docker.io/v1/";  // what helpers know it by

// Entries may be URLs, as docker wrote them once.
std::string HostOf(std::string_view key) {
  const std::size_t scheme = key.find("://");
  if (scheme != std::string_view::npos) key.remove_prefix(scheme + 3);
  while (key.ends_with('/')) key.remove_suffix(1);
  for (const std::string_view version : {"/v1", "/v2"}) {
    if (key.ends_with(version)) key.remove_suffix(version.size());
  }
  return key == "index.docker.io" ? std::string(kDockerHub) : std::string(key);
}

Result<std::string> DecodeBase64(const std::string& text) {
  std::string out(text.size() / 4 * 3, '\0');
  const int length = text.size() % 4 != 0
                         ? -1
                         : EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                           reinterpret_cast<const unsigned char*>(text.data()),
                                           static_cast<int>(text.size()));
  if (length < 0) return InvalidArgumentError("\"auth\" is not base64");
  // The padding counts as zeros.
  const std::size_t padding = text.size() - std::min(text.find('='), text.size());
  out.resize(static_cast<std::size_t>(length) - std::min<std::size_t>(padding, 2));
  return out;
}

std::string Text(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<Credentials> ParseEntry(const Json& entry) {
  if (!entry.is_object()) return InvalidArgumentError("is no object");
  Credentials out{Text(entry, "username"), Text(entry, "password"), Text(entry, "identitytoken")};
  const std::string auth = Text(entry, "auth");
  if (auth.empty()) return out;
  ASSIGN_OR_RETURN(const std::string both, DecodeBase64(auth));
  const std::size_t colon = both.find(':');
  if (colon == std::string::npos) return InvalidArgumentError("\"auth\" is no user:password");
  out.user = both.substr(0, colon);
  out.password = both.substr(colon + 1);
  return out;
}

bool IsEmpty(const Credentials& credentials) {
  return credentials.user.empty() && credentials.identity_token.empty();
}

// The first of $PATH; empty if there is none.
std::string FindProgram(const std::string& name) {
  std::istringstream folders(os::Environment("PATH"));
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string program = folder + "/" + name;
    if (folder.starts_with('/') && os::IsProgram(program)) return program;
  }
  return {};
}

// docker-credential-helpers' protocol: the host on standard input, JSON on standard output.
Result<std::optional<Credentials>> AskHelper(const std::string& helper, const std::string& host) {
  const std::string name = "docker-credential-" + helper;
  const std::string program = FindProgram(name);
  if (program.empty() || helper.find('/') != std::string::npos) {
    return FailedPreconditionError(name + ", which the registry " + host +
                                   " wants, is not in $PATH: install it, or name another file "
                                   "with --authfile");
  }
  ASSIGN_OR_RETURN(const os::ProgramEnd end,
                   os::RunProgram({program, "get"}, os::Printed::kKept,
                                  host == kDockerHub ? kDockerHubKey : std::string_view(host)));
  if (end.exit_status != 0) {
    // What helpers say of a host they do not know, on standard output.
    if (end.printed.find("credentials not found") != std::string::npos) {
      return std::optional<Credentials>();
    }
    return FailedPreconditionError(name + " fails for " + host + ": " +
                                   (end.said.empty() ? end.printed : end.said));
  }
  const Json json = Json::parse(end.printed, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return FailedPreconditionError(name + " does not answer with JSON");
  Credentials out{Text(json, "Username"), Text(json, "Secret"), ""};
  if (out.user == kTokenUser) out = {"", "", out.password};
  return std::optional<Credentials>(std::move(out));
}

std::vector<std::string> UsualPlaces() {
  std::vector<std::string> places;
  const auto add = [&](const char* variable, const char* rest) {
    const std::string value = os::Environment(variable);
    if (!value.empty()) places.push_back(value + rest);
  };
  add("REGISTRY_AUTH_FILE", "");
  add("XDG_RUNTIME_DIR", "/containers/auth.json");
  add("DOCKER_CONFIG", "/config.json");
  add("HOME", "/.docker/config.json");
  return places;
}

}  // namespace

Result<CredentialStore> CredentialStore::Parse(std::string_view json) {
  const Json object = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return InvalidArgumentError("not a JSON object");
  CredentialStore store;
  const auto auths = object.find("auths");
  if (auths != object.end() && auths->is_object()) {
    for (const auto& [key, entry] : auths->items()) {
      Result<Credentials> credentials = ParseEntry(entry);
      if (!credentials.ok()) return credentials.status().WithContext("auths, " + key);
      if (!IsEmpty(*credentials)) store.entries_[HostOf(key)] = *std::move(credentials);
    }
  }
  const auto helpers = object.find("credHelpers");
  if (helpers != object.end() && helpers->is_object()) {
    for (const auto& [key, helper] : helpers->items()) {
      if (helper.is_string()) store.helpers_[HostOf(key)] = helper.get<std::string>();
    }
  }
  store.helper_of_all_ = Text(object, "credsStore");
  return store;
}

Result<CredentialStore> CredentialStore::Open(const std::string& path) {
  std::string found = path;
  for (const std::string& place : UsualPlaces()) {
    std::error_code error;
    if (found.empty() && std::filesystem::exists(place, error)) found = place;
  }
  if (found.empty()) return CredentialStore();
  ASSIGN_OR_RETURN(const os::UniqueFd fd, os::OpenForReading(found));
  ASSIGN_OR_RETURN(const std::string text, os::ReadWholeFile(fd.get(), kFileMax));
  return Parse(text).WithContext(found);
}

Result<std::optional<Credentials>> CredentialStore::Find(const std::string& host,
                                                         const std::string& repository) const {
  std::string key = host + "/" + repository;
  for (;;) {
    const auto helper = helpers_.find(key);
    if (helper != helpers_.end()) return AskHelper(helper->second, key);
    const auto entry = entries_.find(key);
    if (entry != entries_.end()) return std::optional<Credentials>(entry->second);
    const std::size_t slash = key.rfind('/');
    if (slash == std::string::npos) break;
    key.resize(slash);
  }
  if (!helper_of_all_.empty()) return AskHelper(helper_of_all_, host);
  return std::optional<Credentials>();
}

}  // namespace daxfs::oci
