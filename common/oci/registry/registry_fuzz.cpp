// SPDX-License-Identifier: Apache-2.0
// A registry that answers with any bytes: statuses, headers, bodies, where connections break. What
// it is asked is what daxfs-build asks, all of it read; afterwards nobody has waited for ever, and
// no credentials went where none belong.
#include <fuzzer/FuzzedDataProvider.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "common/oci/registry/challenge.hpp"
#include "common/oci/registry/source.hpp"

namespace daxfs::oci {
namespace {

constexpr const char* kHost = "r.example";
constexpr const char* kPassword = "correct horse";
constexpr int kAnswersMax = 200;

class FuzzedResponse final : public HttpResponse {
 public:
  explicit FuzzedResponse(FuzzedDataProvider& data)
      : status_(data.PickValueInArray({200, 200, 200, 206, 301, 307, 401, 404, 429, 500, 503})) {
    for (int i = data.ConsumeIntegralInRange(0, 4); i > 0; --i) {
      const std::string name =
          data.PickValueInArray({"www-authenticate", "location", "content-type", "content-range",
                                 "docker-content-digest", "retry-after"});
      headers_[name] = data.ConsumeRandomLengthString(200);
    }
    breaks_ = data.ConsumeBool();
    body_ = data.ConsumeRandomLengthString(4096);
  }
  int status() const override { return status_; }
  std::string Header(const std::string& name) const override {
    const auto found = headers_.find(name);
    return found == headers_.end() ? std::string() : found->second;
  }
  Result<std::size_t> Read(std::span<std::byte> out) override {
    const std::size_t n = std::min(out.size(), body_.size() - at_);
    if (n == 0 && breaks_) return UnavailableError("the connection broke");
    std::copy_n(std::as_bytes(std::span(body_)).begin() + static_cast<std::ptrdiff_t>(at_), n,
                out.begin());
    at_ += n;
    return n;
  }

 private:
  const int status_;
  std::map<std::string, std::string> headers_;
  bool breaks_ = false;
  std::string body_;
  std::size_t at_ = 0;
};

class FuzzedHttp final : public HttpClient {
 public:
  explicit FuzzedHttp(FuzzedDataProvider& data) : data_(data) {}
  Result<std::unique_ptr<HttpResponse>> Ask(const HttpRequest& request) override {
    if (++asked_ > kAnswersMax) std::abort();  // it would never end
    // A password goes to its host alone, or to whom that host names for tokens.
    const bool token = request.url.find("service=") != std::string::npos || !request.form.empty() ||
                       request.url.find("scope=") != std::string::npos;
    const bool has_password = request.headers.contains("Authorization") &&
                              request.headers.at("Authorization").starts_with("Basic ");
    if (has_password && !token && SplitUrl(request.url).host != kHost) std::abort();
    if (data_.remaining_bytes() == 0) return UnavailableError("nobody answers");
    return std::unique_ptr<HttpResponse>(std::make_unique<FuzzedResponse>(data_));
  }

 private:
  FuzzedDataProvider& data_;
  int asked_ = 0;
};

// A file of credentials that leaves nothing behind.
std::string WriteAuthFile() {
  const int fd = ::memfd_create("auth.json", MFD_CLOEXEC);
  const std::string text = std::string(R"({"auths":{")") + kHost +
                           R"(":{"username":"user","password":")" + kPassword + "\"}}}";
  if (fd < 0 || ::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    std::abort();
  }
  return "/proc/self/fd/" + std::to_string(fd);
}

void Pull(FuzzedDataProvider& data) {
  static const std::string authfile = WriteAuthFile();
  RegistryOptions options;
  options.authfile = authfile;
  options.hosts.directory = "/nonexistent";
  options.retry.sleep = [](std::chrono::milliseconds) { return true; };
  const Result<ImageReference> image = ImageReference::Parse(std::string(kHost) + "/team/image:1");
  const Result<std::unique_ptr<RegistrySource>> source =
      RegistrySource::Open(*image, std::move(options), std::make_unique<FuzzedHttp>(data));
  if (!source.ok()) std::abort();
  const Result<ImageRef> found = (*source)->Find("", data.ConsumeBool() ? "" : "linux/amd64");
  LayerRef layer;
  layer.digest = Sha256::Of({});
  layer.size_bytes = data.ConsumeIntegralInRange<std::uint64_t>(0, 10000);
  if (found.ok() && !found->layers.empty()) layer = found->layers[0];
  const Result<std::unique_ptr<PositionedReader>> blob = (*source)->OpenLayer(layer);
  if (!blob.ok()) return;
  std::array<std::byte, 512> buffer{};
  for (;;) {
    const Result<std::size_t> n = (*blob)->Read(buffer);
    if (!n.ok() || *n == 0) return;
  }
}

}  // namespace
}  // namespace daxfs::oci

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace daxfs::oci;
  FuzzedDataProvider data(bytes, size);
  switch (data.ConsumeIntegralInRange(0, 3)) {
    case 0:
      static_cast<void>(ImageReference::Parse(data.ConsumeRemainingBytesAsString()));
      break;
    case 1:
      static_cast<void>(ParseChallenges(data.ConsumeRemainingBytesAsString()));
      break;
    case 2:
      static_cast<void>(CredentialStore::Parse(data.ConsumeRemainingBytesAsString()));
      break;
    default:
      Pull(data);
  }
  return 0;
}
