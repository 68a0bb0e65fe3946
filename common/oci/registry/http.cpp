// SPDX-License-Identifier: Apache-2.0
#include "common/oci/registry/http.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <mutex>
#include <utility>

namespace daxfs::oci {
namespace {

constexpr int kPollMs = 200;
constexpr std::size_t kAheadBytes = 1U << 20U;
constexpr std::size_t kHeadersMaxBytes = 256U << 10U;

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeMulti {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = std::min(text.find_first_not_of(kSpace), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

StatusCode CodeOf(CURLcode code) {
  switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return StatusCode::kInvalidArgument;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_ENGINE_NOTFOUND:
      return StatusCode::kFailedPrecondition;
    case CURLE_OUT_OF_MEMORY:
      return StatusCode::kResourceExhausted;
    default:
      return StatusCode::kUnavailable;
  }
}

// One exchange. libcurl is driven by whoever reads, so nothing comes that nobody waits for.
class Exchange final : public HttpResponse {
 public:
  Exchange(const HttpRequest& request, const std::function<bool()>& cancelled)
      : request_(request),
        cancelled_(cancelled),
        easy_(curl_easy_init()),
        multi_(curl_multi_init()) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() override {
    if (added_) curl_multi_remove_handle(multi_.get(), easy_.get());
  }

  Status Start() {
    if (!easy_ || !multi_) return ResourceExhaustedError("libcurl: no memory");
    RETURN_IF_ERROR(Configure());
    if (curl_multi_add_handle(multi_.get(), easy_.get()) != CURLM_OK) {
      return InternalError("libcurl takes no request");
    }
    added_ = true;
    while (!answered_ && !ended_) RETURN_IF_ERROR(Step());
    reading_ = true;
    if (!answered_) return error_.ok() ? UnavailableError("no answer") : error_;
    return Status::Ok();
  }

  int status() const override { return status_; }

  std::string Header(const std::string& name) const override {
    const auto found = headers_.find(name);
    return found == headers_.end() ? std::string() : found->second;
  }

  Result<std::size_t> Read(std::span<std::byte> out) override {
    while (taken_ == body_.size() && !ended_) RETURN_IF_ERROR(Step());
    if (taken_ == body_.size()) {
      if (!error_.ok()) return error_;
      return std::size_t{0};
    }
    const std::size_t count = std::min(out.size(), body_.size() - taken_);
    std::memcpy(out.data(), body_.data() + taken_, count);
    taken_ += count;
    if (taken_ == body_.size()) {
      body_.clear();
      taken_ = 0;
      if (paused_) {
        paused_ = false;
        curl_easy_pause(easy_.get(), CURLPAUSE_CONT);
      }
    }
    return count;
  }

 private:
  template <typename T>
  void Set(CURLoption option, T value) {
    configured_ = configured_ && curl_easy_setopt(easy_.get(), option, value) == CURLE_OK;
  }

  Status Configure() {
    Set(CURLOPT_URL, request_.url.c_str());
    Set(CURLOPT_PROTOCOLS_STR, "http,https");
    Set(CURLOPT_FOLLOWLOCATION, 0L);
    Set(CURLOPT_NOSIGNAL, 1L);
    Set(CURLOPT_ERRORBUFFER, said_);
    Set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request_.connect_timeout_ms));
    Set(CURLOPT_TIMEOUT_MS, static_cast<long>(request_.total_timeout_ms));
    Set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    Set(CURLOPT_LOW_SPEED_TIME, static_cast<long>((request_.stall_timeout_ms + 999) / 1000));
    Set(CURLOPT_HEADERFUNCTION, &Exchange::OnHeader);
    Set(CURLOPT_HEADERDATA, this);
    Set(CURLOPT_WRITEFUNCTION, &Exchange::OnBody);
    Set(CURLOPT_WRITEDATA, this);
    for (const auto& [name, value] : request_.headers) {
      curl_slist* longer = curl_slist_append(fields_.get(), (name + ": " + value).c_str());
      if (longer == nullptr) return ResourceExhaustedError("libcurl: no memory");
      static_cast<void>(fields_.release());
      fields_.reset(longer);
    }
    Set(CURLOPT_HTTPHEADER, fields_.get());
    if (!request_.form.empty()) {
      Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.form.size()));
      Set(CURLOPT_POSTFIELDS, request_.form.c_str());
    }
    ConfigureTls();
    if (!configured_) return InternalError("libcurl does not take an option");
    return Status::Ok();
  }

  void ConfigureTls() {
    const TlsOptions& tls = request_.tls;
    if (tls.skip_verify) {
      Set(CURLOPT_SSL_VERIFYPEER, 0L);
      Set(CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (!tls.certificate.empty()) {
      Set(CURLOPT_SSLCERT, tls.certificate.c_str());
      Set(CURLOPT_SSLKEY, tls.key.c_str());
    }
    // Instead of the system's file; the system's directory stays.
    if (!tls.ca_pem.empty()) {
      curl_blob blob{const_cast<char*>(tls.ca_pem.data()), tls.ca_pem.size(), CURL_BLOB_NOCOPY};
      Set(CURLOPT_CAINFO_BLOB, &blob);
    }
  }

  // Moves things on, and waits a moment if nothing moves.
  Status Step() {
    if (cancelled_()) return CancelledError("interrupted");
    int running = 0;
    if (curl_multi_perform(multi_.get(), &running) != CURLM_OK) {
      return InternalError("libcurl fails");
    }
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg == CURLMSG_DONE) End(message->data.result);
    }
    if (ended_ || taken_ < body_.size() || (answered_ && !reading_)) return Status::Ok();
    curl_multi_poll(multi_.get(), nullptr, 0, kPollMs, nullptr);
    return Status::Ok();
  }

  void End(CURLcode code) {
    ended_ = true;
    if (!failure_.ok()) {
      error_ = failure_;
    } else if (code != CURLE_OK) {
      const std::string text = said_[0] != '\0' ? said_ : curl_easy_strerror(code);
      error_ = Status(CodeOf(code), std::string(Trim(text)));
    } else {
      answered_ = true;
    }
  }

  static std::size_t OnHeader(char* data, std::size_t size, std::size_t count, void* self) {
    return static_cast<Exchange*>(self)->TakeHeader({data, size * count}) ? size * count : 0;
  }

  bool TakeHeader(std::string_view line) {
    header_bytes_ += line.size();
    if (header_bytes_ > kHeadersMaxBytes) {
      failure_ = UnavailableError("the headers have no end");
      return false;
    }
    if (line.starts_with("HTTP/")) {
      headers_.clear();  // of a proxy, or of an interim answer
      return true;
    }
    const std::string_view field = Trim(line);
    if (field.empty()) {
      long code = 0;
      curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &code);
      status_ = static_cast<int>(code);
      return true;
    }
    const std::size_t colon = field.find(':');
    if (colon != std::string_view::npos) {
      const std::string name = Lower(Trim(field.substr(0, colon)));
      const std::string_view value = Trim(field.substr(colon + 1));
      // Several fields of challenges are one list (RFC 9110, 5.3).
      std::string& known = headers_[name];
      const bool listed = name == "www-authenticate" && !known.empty();
      known = listed ? known + ", " + std::string(value) : std::string(value);
    }
    return true;
  }

  static std::size_t OnBody(char* data, std::size_t size, std::size_t count, void* self) {
    return static_cast<Exchange*>(self)->TakeBody({data, size * count});
  }

  std::size_t TakeBody(std::string_view data) {
    answered_ = true;
    if (body_.size() - taken_ >= kAheadBytes) {
      paused_ = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    body_.append(data);
    return data.size();
  }

  const HttpRequest request_;
  const std::function<bool()>& cancelled_;
  std::unique_ptr<curl_slist, FreeList> fields_;
  std::unique_ptr<CURL, FreeEasy> easy_;
  std::unique_ptr<CURLM, FreeMulti> multi_;
  char said_[CURL_ERROR_SIZE] = {};  // NOLINT(modernize-avoid-c-arrays): what libcurl writes to
  bool configured_ = true;
  bool added_ = false;
  bool answered_ = false;  // the headers are there
  bool reading_ = false;
  bool ended_ = false;
  bool paused_ = false;
  int status_ = 0;
  std::size_t header_bytes_ = 0;
  std::map<std::string, std::string> headers_;
  std::string body_;  // what has come
  std::size_t taken_ = 0;
  Status failure_;  // of a callback
  Status error_;
};

class CurlClient final : public HttpClient {
 public:
  explicit CurlClient(std::function<bool()> cancelled) : cancelled_(std::move(cancelled)) {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  }

  Result<std::unique_ptr<HttpResponse>> Ask(const HttpRequest& request) override {
    auto exchange = std::make_unique<Exchange>(request, cancelled_);
    RETURN_IF_ERROR(exchange->Start());
    return std::unique_ptr<HttpResponse>(std::move(exchange));
  }

 private:
  const std::function<bool()> cancelled_;
};

}  // namespace

std::unique_ptr<HttpClient> MakeHttpClient(std::function<bool()> cancelled) {
  return std::make_unique<CurlClient>(std::move(cancelled));
}

Result<std::string> ReadBody(HttpResponse& response, std::size_t limit_bytes) {
  std::string text;
  std::array<std::byte, 16384> buffer{};
  for (;;) {
    ASSIGN_OR_RETURN(const std::size_t n, response.Read(buffer));
    if (n == 0) return text;
    if (text.size() + n > limit_bytes) {
      return ResourceExhaustedError("an answer of more than " + std::to_string(limit_bytes) +
                                    " bytes");
    }
    text.append(reinterpret_cast<const char*>(buffer.data()), n);
  }
}

std::string PercentEncode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x80 && std::isalnum(byte) != 0) ||
        std::string_view("-._~").find(c) != std::string_view::npos) {
      out.push_back(c);
    } else {
      out += {'%', kDigits[byte >> 4U], kDigits[byte & 15U]};
    }
  }
  return out;
}

UrlParts SplitUrl(std::string_view url) {
  UrlParts parts;
  const std::size_t colon = url.find("://");
  if (colon == std::string_view::npos) return {};
  parts.scheme = Lower(url.substr(0, colon));
  if (parts.scheme != "http" && parts.scheme != "https") return {};
  url.remove_prefix(colon + 3);
  const std::size_t end = std::min(url.find_first_of("/?#"), url.size());
  parts.host = url.substr(0, end);
  parts.path = url.substr(end);
  if (parts.host.empty() || parts.host.find('@') != std::string::npos) return {};
  return parts;
}

std::string ResolveUrl(const std::string& base, const std::string& location) {
  const std::size_t colon = location.find("://");
  if (colon != std::string::npos && colon < location.find_first_of("/?#")) return location;
  const UrlParts parts = SplitUrl(base);
  if (location.starts_with("//")) return parts.scheme + ":" + location;
  const std::string origin = parts.scheme + "://" + parts.host;
  if (location.starts_with('/')) return origin + location;
  const std::string path = parts.path.substr(0, parts.path.find('?'));
  return origin + path.substr(0, path.rfind('/') + 1) + location;
}

}  // namespace daxfs::oci
