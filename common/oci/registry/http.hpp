// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "common/base/status.hpp"
#include "common/oci/byte_reader.hpp"

namespace daxfs::oci {

// What secures a connection.
struct TlsOptions {
  std::string ca_pem;        // certificates beside the system's, as text
  std::string certificate;   // PEM file, of this client; may be empty
  std::string key;           // PEM file, of the certificate
  bool skip_verify = false;  // whoever answers is believed
};

struct HttpRequest {
  std::string url;
  std::map<std::string, std::string> headers;
  std::string form;  // sent as POST, application/x-www-form-urlencoded; empty: GET
  TlsOptions tls;
  int connect_timeout_ms = 30000;
  int stall_timeout_ms = 30000;  // without a byte for so long it fails
  int total_timeout_ms = 0;      // until the last byte; 0: none
};

// An answer whose body is still coming. One thread at a time.
class HttpResponse : public ByteReader {
 public:
  virtual int status() const = 0;
  // Of a field, its name in lower case; empty if there is none. Of several the last, of
  // www-authenticate a list of all.
  virtual std::string Header(const std::string& name) const = 0;
  // Errors: kUnavailable when the connection breaks or stalls, also before the whole body was
  // there; kCancelled.
  Result<std::size_t> Read(std::span<std::byte> out) override = 0;
};

// Asks servers. Redirects are not followed, proxies are those of the environment ($https_proxy,
// $http_proxy, $no_proxy), as curl reads them.
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  // Returns when the headers are there. Thread safe. Errors: kUnavailable if there is no answer;
  // kFailedPrecondition if the server cannot be trusted, or a file of `tls` not be read;
  // kCancelled; kInvalidArgument for a URL that is none.
  virtual Result<std::unique_ptr<HttpResponse>> Ask(const HttpRequest& request) = 0;
};

// By libcurl. Gives up within a second once `cancelled` says so, which every thread asks.
std::unique_ptr<HttpClient> MakeHttpClient(std::function<bool()> cancelled);

// All of a body that is no longer than that. Errors: kResourceExhausted; the response's.
Result<std::string> ReadBody(HttpResponse& response, std::size_t limit_bytes);

// "%XX" for everything but unreserved characters (RFC 3986, 2.3).
std::string PercentEncode(std::string_view text);

// The parts of "scheme://host[:port]/rest"; all empty if it is none of http and https.
struct UrlParts {
  std::string scheme;
  std::string host;  // with its port
  std::string path;  // with its query, begins with "/" or is empty
};
UrlParts SplitUrl(std::string_view url);

// Where `location` leads, seen from `base`: absolute, or without scheme, or without host.
std::string ResolveUrl(const std::string& base, const std::string& location);

}  // namespace daxfs::oci
