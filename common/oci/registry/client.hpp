// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/manifest.hpp"
#include "common/oci/registry/challenge.hpp"
#include "common/oci/registry/credentials.hpp"
#include "common/oci/registry/hosts.hpp"
#include "common/oci/registry/http.hpp"

namespace daxfs::oci {

// How often and how long a request is tried again.
struct RetryPolicy {
  int attempts = 5;
  std::chrono::milliseconds first_pause{200};  // doubled each time
  std::chrono::milliseconds longest_pause{30000};
  // Waits; false to give up.
  std::function<bool(std::chrono::milliseconds)> sleep;
};

// One registry, asked at one of its endpoints (OCI distribution-spec 1.1, "Pull"): authentication
// as the server wants it (RFC 6750 bearer tokens, basic), redirects without credentials for other
// hosts, transient failures (no connection, 429, 5xx) tried again, Retry-After obeyed.
class EndpointClient {
 public:
  // Borrows `http` and `credentials`. `repository`: as a reference has it.
  EndpointClient(HttpClient& http, const CredentialStore& credentials, Endpoint endpoint,
                 std::string repository, RetryPolicy policy);

  // GET of "/REPOSITORY/" and `path`, answered with 200 or 206. Thread safe. Errors: kNotFound;
  // kUnauthenticated and kPermissionDenied, saying whether there were credentials; kUnavailable
  // when it was tried often enough; kInvalidArgument for an answer that is none; kCancelled.
  Result<std::unique_ptr<HttpResponse>> Get(const std::string& path,
                                            const std::map<std::string, std::string>& headers);

  const Endpoint& endpoint() const { return endpoint_; }

 private:
  Result<std::unique_ptr<HttpResponse>> GetOnce(const std::string& path,
                                                const std::map<std::string, std::string>& headers);
  // `elsewhere` becomes true if another host has answered.
  Result<std::unique_ptr<HttpResponse>> Follow(HttpRequest request, bool* elsewhere);
  Result<std::unique_ptr<HttpResponse>> GetAuthorized(HttpRequest request);
  Status Authenticate(const std::string& field);
  Result<std::string> FetchToken(const Challenge& challenge);
  Status ErrorOf(HttpResponse& response, const std::string& url);

  HttpClient& http_;
  const CredentialStore& credentials_;
  const Endpoint endpoint_;
  const std::string repository_;
  const RetryPolicy policy_;
  std::mutex mutex_;
  std::string authorization_;  // header; under mutex_
};

}  // namespace daxfs::oci
