// SPDX-License-Identifier: Apache-2.0
#include "common/oci/registry/client.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace daxfs::oci {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr int kRedirectsMax = 5;
constexpr int kDocumentTimeoutMs = 60000;
constexpr std::size_t kTokenMaxBytes = 1U << 20U;
constexpr std::size_t kSaidMaxBytes = 64U << 10U;  // of an error's body
constexpr std::size_t kSaidShown = 300;
constexpr std::string_view kClientId = "daxfs-build";

bool IsTransient(int status) {
  constexpr std::array<int, 6> kStatuses = {408, 429, 500, 502, 503, 504};
  return std::find(kStatuses.begin(), kStatuses.end(), status) != kStatuses.end();
}

bool IsRedirect(int status) {
  constexpr std::array<int, 5> kStatuses = {301, 302, 303, 307, 308};
  return std::find(kStatuses.begin(), kStatuses.end(), status) != kStatuses.end();
}

std::string EncodeBase64(const std::string& text) {
  std::string out((text.size() + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

std::string Basic(const Credentials& credentials) {
  return "Basic " + EncodeBase64(credentials.user + ":" + credentials.password);
}

// Seconds; a date is not read. Nothing if there is none.
std::optional<milliseconds> RetryAfter(const HttpResponse& response) {
  const std::string field = response.Header("retry-after");
  std::uint32_t seconds = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), seconds);
  if (error != std::errc() || end != field.data() + field.size()) return std::nullopt;
  return std::chrono::seconds(seconds);
}

// What a registry says of an error ({"errors": [{"code": "", "message": ""}]}), or the text's
// begin, on one line.
std::string Said(const std::string& body) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  std::string out = body;
  if (json.is_object() && json.contains("errors") && json["errors"].is_array() &&
      !json["errors"].empty() && json["errors"][0].is_object()) {
    const Json& first = json["errors"][0];
    const auto text = [&](const char* key) {
      return first.contains(key) && first[key].is_string() ? first[key].get<std::string>() : "";
    };
    out = text("code") + (text("message").empty() ? "" : ": " + text("message"));
  }
  out.resize(std::min(out.size(), kSaidShown));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

const Challenge* FindScheme(const std::vector<Challenge>& challenges, std::string_view scheme) {
  const auto found = std::find_if(challenges.begin(), challenges.end(),
                                  [&](const Challenge& c) { return c.scheme == scheme; });
  return found == challenges.end() ? nullptr : &*found;
}

}  // namespace

EndpointClient::EndpointClient(HttpClient& http, const CredentialStore& credentials,
                               Endpoint endpoint, std::string repository, RetryPolicy policy)
    : http_(http),
      credentials_(credentials),
      endpoint_(std::move(endpoint)),
      repository_(std::move(repository)),
      policy_(std::move(policy)) {}

Result<std::unique_ptr<HttpResponse>> EndpointClient::Get(
    const std::string& path, const std::map<std::string, std::string>& headers) {
  HttpRequest request;
  request.url = endpoint_.url + "/" + repository_ + "/" + path;
  // containerd, docs/hosts.md: a mirror of several registries has to know which is meant.
  if (!endpoint_.name_space.empty()) request.url += "?ns=" + PercentEncode(endpoint_.name_space);
  request.headers = endpoint_.headers;
  request.headers.insert(headers.begin(), headers.end());
  request.tls = endpoint_.tls;
  milliseconds pause = policy_.first_pause;
  Status failure;
  for (int attempt = 0; attempt < policy_.attempts; ++attempt) {
    if (attempt > 0) {
      if (!policy_.sleep(pause)) return CancelledError("interrupted");
      pause = std::min(pause * 2, policy_.longest_pause);
    }
    Result<std::unique_ptr<HttpResponse>> response = GetAuthorized(request);
    if (!response.ok()) {
      failure = response.status().WithContext(request.url);
      if (failure.code() == StatusCode::kUnavailable) continue;
      return failure;
    }
    const int status = (*response)->status();
    if (status == 200 || status == 206) return response;
    failure = ErrorOf(**response, request.url);
    if (!IsTransient(status)) return failure;
    const std::optional<milliseconds> wanted = RetryAfter(**response);
    if (wanted && *wanted > policy_.longest_pause) {
      return UnavailableError(fmt::format("{}; it asks to be let alone for {} s", failure.message(),
                                          wanted->count() / 1000));
    }
    if (wanted) pause = std::max(pause, *wanted);
  }
  return failure;
}

// With what authorization there is; the server says it if another one is wanted.
Result<std::unique_ptr<HttpResponse>> EndpointClient::GetAuthorized(HttpRequest request) {
  for (int turn = 0;; ++turn) {
    {
      const std::lock_guard lock(mutex_);
      if (!authorization_.empty()) request.headers["Authorization"] = authorization_;
    }
    bool elsewhere = false;
    ASSIGN_OR_RETURN(std::unique_ptr<HttpResponse> response, Follow(request, &elsewhere));
    const std::string field = response->Header("www-authenticate");
    // Whom a redirect leads to may not ask for the registry's password.
    if (response->status() != 401 || field.empty() || turn > 0 || elsewhere) return response;
    RETURN_IF_ERROR(Authenticate(field));
  }
}

Result<std::unique_ptr<HttpResponse>> EndpointClient::Follow(HttpRequest request, bool* elsewhere) {
  for (int redirects = 0;; ++redirects) {
    ASSIGN_OR_RETURN(std::unique_ptr<HttpResponse> response, http_.Ask(request));
    if (!IsRedirect(response->status())) return response;
    if (redirects == kRedirectsMax) return InvalidArgumentError("redirected without an end");
    const std::string location = response->Header("location");
    const UrlParts from = SplitUrl(request.url);
    const std::string url = ResolveUrl(request.url, location);
    const UrlParts to = SplitUrl(url);
    if (location.empty() || to.scheme.empty()) {
      return InvalidArgumentError("redirected to \"" + location + "\", which is no URL");
    }
    if (from.scheme == "https" && to.scheme == "http") {
      return FailedPreconditionError("redirected from TLS to " + url + ", which has none");
    }
    if (to.scheme == "http" && !MayBePlain(to.host, endpoint_.insecure)) {
      return FailedPreconditionError("redirected to " + url + ", without TLS");
    }
    if (to.host != from.host) {
      *elsewhere = true;
      // Storage elsewhere, which is let in by the URL itself.
      request.headers.erase("Authorization");
      for (const auto& [name, unused] : endpoint_.headers) request.headers.erase(name);
      request.tls.certificate.clear();
      request.tls.key.clear();
    }
    request.url = url;
  }
}

Status EndpointClient::Authenticate(const std::string& field) {
  const std::vector<Challenge> challenges = ParseChallenges(field);
  std::string authorization;
  if (const Challenge* bearer = FindScheme(challenges, "bearer")) {
    ASSIGN_OR_RETURN(const std::string token, FetchToken(*bearer));
    authorization = "Bearer " + token;
  } else if (FindScheme(challenges, "basic") != nullptr) {
    ASSIGN_OR_RETURN(const auto credentials, credentials_.Find(endpoint_.host, repository_));
    if (!credentials || credentials->user.empty()) return Status::Ok();  // 401 it stays
    authorization = Basic(*credentials);
  } else {
    return UnimplementedError("wants an authentication that is not supported: " + field);
  }
  const std::lock_guard lock(mutex_);
  authorization_ = std::move(authorization);
  return Status::Ok();
}

// distribution, docs/spec/auth/{token,oauth}.md.
Result<std::string> EndpointClient::FetchToken(const Challenge& challenge) {
  const std::string realm = challenge.Get("realm");
  const UrlParts parts = SplitUrl(realm);
  if (parts.scheme.empty()) return InvalidArgumentError("its realm \"" + realm + "\" is no URL");
  const UrlParts own = SplitUrl(endpoint_.url);
  const bool plain = own.scheme == "http" && MayBePlain(parts.host, endpoint_.insecure);
  if (parts.scheme == "http" && !plain) {
    return FailedPreconditionError("wants credentials sent to " + realm + ", without TLS");
  }
  ASSIGN_OR_RETURN(const auto credentials, credentials_.Find(endpoint_.host, repository_));
  const std::string wanted = challenge.Get("scope");
  const std::string scope = wanted.empty() ? "repository:" + repository_ + ":pull" : wanted;
  const std::string query =
      "service=" + PercentEncode(challenge.Get("service")) + "&scope=" + PercentEncode(scope);
  HttpRequest request;
  request.tls = endpoint_.tls;
  request.total_timeout_ms = kDocumentTimeoutMs;
  request.url = realm;
  if (credentials && !credentials->identity_token.empty()) {
    request.form = "grant_type=refresh_token&client_id=" + std::string(kClientId) + "&" + query +
                   "&refresh_token=" + PercentEncode(credentials->identity_token);
  } else {
    request.url += (realm.find('?') == std::string::npos ? "?" : "&") + query;
    if (credentials) request.headers["Authorization"] = Basic(*credentials);
  }
  Result<std::unique_ptr<HttpResponse>> response = http_.Ask(request);
  if (!response.ok()) return response.status().WithContext(realm);
  if ((*response)->status() != 200) return ErrorOf(**response, realm);
  Result<std::string> body = ReadBody(**response, kTokenMaxBytes);
  if (!body.ok()) return body.status().WithContext(realm);
  const Json json = Json::parse(*body, nullptr, /*allow_exceptions=*/false);
  for (const char* key : {"token", "access_token"}) {
    if (json.is_object() && json.contains(key) && json[key].is_string()) {
      std::string token = json[key].get<std::string>();
      const bool clean = token.find_first_of("\r\n") == std::string::npos;
      if (!token.empty() && clean) return token;
    }
  }
  return InvalidArgumentError(realm + ": answers without a token");
}

Status EndpointClient::ErrorOf(HttpResponse& response, const std::string& url) {
  const Result<std::string> body = ReadBody(response, kSaidMaxBytes);
  const std::string said = body.ok() ? Said(*body) : std::string();
  const std::string text =
      fmt::format("{}: {}{}{}", url, response.status(), said.empty() ? "" : " ", said);
  switch (response.status()) {
    case 401:
      return Status(StatusCode::kUnauthenticated,
                    text +
                        "; log in (docker login, or --authfile) or check the name: registries "
                        "say this of images that are not there, too");
    case 403:
      return Status(StatusCode::kPermissionDenied, text);
    case 404:
      return NotFoundError(text);
    default:
      return IsTransient(response.status()) ? UnavailableError(text) : InvalidArgumentError(text);
  }
}

}  // namespace daxfs::oci
