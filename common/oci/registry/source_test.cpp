// SPDX-License-Identifier: Apache-2.0
#include "common/oci/registry/source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "common/oci/testing/layout_builder.hpp"
#include "common/os/testing/scratch.hpp"

namespace daxfs::oci {
namespace {

using testing::DescriptorJson;
using testing::DigestOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kIndexType = "application/vnd.oci.image.index.v1+json";
constexpr const char* kConfigType = "application/vnd.oci.image.config.v1+json";
constexpr const char* kLayerType = "application/vnd.oci.image.layer.v1.tar";

// What a server answers.
struct Reply {
  int status = 200;
  std::map<std::string, std::string> headers;
  std::string body;
  bool breaks = false;  // the connection, behind the body
};

class FakeResponse final : public HttpResponse {
 public:
  explicit FakeResponse(Reply reply) : reply_(std::move(reply)) {}
  int status() const override { return reply_.status; }
  std::string Header(const std::string& name) const override {
    const auto found = reply_.headers.find(name);
    return found == reply_.headers.end() ? std::string() : found->second;
  }
  Result<std::size_t> Read(std::span<std::byte> out) override {
    const std::size_t n = std::min<std::size_t>(std::min(out.size(), reply_.body.size() - at_), 7);
    if (n == 0 && reply_.breaks) return UnavailableError("the connection broke");
    std::copy_n(std::as_bytes(std::span(reply_.body)).begin() + static_cast<std::ptrdiff_t>(at_), n,
                out.begin());
    at_ += n;
    return n;
  }

 private:
  const Reply reply_;
  std::size_t at_ = 0;
};

// Servers by URL; each request is written down.
class FakeHttp final : public HttpClient {
 public:
  using Handler = std::function<Result<Reply>(const HttpRequest&)>;
  explicit FakeHttp(Handler handler) : handler_(std::move(handler)) {}
  Result<std::unique_ptr<HttpResponse>> Ask(const HttpRequest& request) override {
    ASSIGN_OR_RETURN(Reply reply, handler_(request));
    return std::unique_ptr<HttpResponse>(std::make_unique<FakeResponse>(std::move(reply)));
  }

 private:
  const Handler handler_;
};

std::string HeaderOf(const HttpRequest& request, const std::string& name) {
  const auto found = request.headers.find(name);
  return found == request.headers.end() ? std::string() : found->second;
}

class RegistrySourceTest : public ::testing::Test {
 protected:
  RegistrySourceTest() {
    config_ = R"({"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[")" +
              DigestOf(layer_) + "\"]}}";
    manifest_ = R"({"schemaVersion":2,"mediaType":")" + std::string(kManifestType) +
                R"(","config":)" + DescriptorJson(kConfigType, DigestOf(config_), config_.size()) +
                R"(,"layers":[)" + DescriptorJson(kLayerType, DigestOf(layer_), layer_.size()) +
                "]}";
    Serve("manifests/1", manifest_, kManifestType);
    Serve("manifests/" + DigestOf(manifest_), manifest_, kManifestType);
    Serve("blobs/" + DigestOf(config_), config_, "application/octet-stream");
    Serve("blobs/" + DigestOf(layer_), layer_, "application/octet-stream");
  }

  void Serve(const std::string& path, const std::string& body, const std::string& type) {
    served_["https://r.example/v2/team/image/" + path] = {200, {{"content-type", type}}, body};
  }

  // Answers with what is served; 404 for the rest.
  Result<Reply> Usual(const HttpRequest& request) {
    const auto found = served_.find(request.url);
    if (found == served_.end()) return Reply{404, {}, R"({"errors":[{"code":"NAME_UNKNOWN"}]})"};
    Reply reply = found->second;
    const std::string range = HeaderOf(request, "Range");
    if (!range.empty() && ranges_) {
      const std::size_t first = std::stoul(range.substr(6));
      reply.status = 206;
      reply.headers["content-range"] =
          "bytes " + std::to_string(first) + "-" + std::to_string(reply.body.size() - 1) + "/*";
      reply.body = reply.body.substr(first);
    }
    return reply;
  }

  Result<std::unique_ptr<RegistrySource>> Open(const std::string& name = "r.example/team/image:1") {
    RegistryOptions options;
    options.authfile = scratch_.Path("auth.json");
    os::testing::WriteFile(options.authfile, auth_);
    options.hosts.directory = scratch_.Path("certs.d");
    options.retry.attempts = 3;
    options.retry.sleep = [this](std::chrono::milliseconds pause) {
      pauses_.push_back(pause.count());
      return !interrupted_;
    };
    ASSIGN_OR_RETURN(const ImageReference image, ImageReference::Parse(name));
    return RegistrySource::Open(image, std::move(options),
                                std::make_unique<FakeHttp>([this](const HttpRequest& request) {
                                  asked_.push_back(request);
                                  return handler_ ? handler_(request) : Usual(request);
                                }));
  }

  Result<ImageRef> Find(const std::string& platform = "") {
    ASSIGN_OR_RETURN(source_, Open());
    return source_->Find("", platform);
  }

  // All of the image's one layer, in pieces.
  Result<std::string> ReadLayer() {
    ASSIGN_OR_RETURN(const ImageRef image, Find());
    ASSIGN_OR_RETURN(const std::unique_ptr<PositionedReader> blob,
                     source_->OpenLayer(image.layers.at(0)));
    std::string text;
    std::array<std::byte, 5> buffer{};
    for (;;) {
      ASSIGN_OR_RETURN(const std::size_t n, blob->Read(buffer));
      if (n == 0) return text;
      text.append(reinterpret_cast<const char*>(buffer.data()), n);
    }
  }

  const os::testing::Scratch scratch_;
  const std::string layer_ = "these are the bytes of a layer, and there are many of them";
  std::string config_;
  std::string manifest_;
  std::string auth_ = "{}";
  std::map<std::string, Reply> served_;
  bool ranges_ = true;
  bool interrupted_ = false;
  FakeHttp::Handler handler_;
  std::deque<HttpRequest> asked_;
  std::vector<std::int64_t> pauses_;
  std::unique_ptr<RegistrySource> source_;
};

TEST_F(RegistrySourceTest, AnImageIsFoundAndItsLayerRead) {
  const Result<ImageRef> image = Find();
  ASSERT_TRUE(image.ok()) << image.status().message();
  EXPECT_EQ(image->name, DigestOf(manifest_));
  EXPECT_EQ(image->config_json, config_);
  EXPECT_EQ(image->platform.ToString(), "linux/amd64");
  EXPECT_EQ(asked_.size(), 2U) << "the manifest once, and the config";
  EXPECT_THAT(HeaderOf(asked_[0], "Accept"), HasSubstr(kIndexType));
  const Result<std::string> read = ReadLayer();
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(*read, layer_);
}

TEST_F(RegistrySourceTest, OfAnIndexOnlyThePlatformsManifestIsRead) {
  const auto entry = [&](const std::string& digest, std::size_t size, const char* architecture) {
    return DescriptorJson(
        kManifestType, digest, size,
        R"(,"platform":{"os":"linux","architecture":")" + std::string(architecture) + "\"}");
  };
  const std::string index = R"({"schemaVersion":2,"mediaType":")" + std::string(kIndexType) +
                            R"(","manifests":[)" +
                            entry("sha256:" + std::string(64, 'a'), 5, "arm64") + "," +
                            entry(DigestOf(manifest_), manifest_.size(), "amd64") + "]}";
  Serve("manifests/1", index, kIndexType);
  const Result<ImageRef> image = Find("linux/amd64");
  ASSERT_TRUE(image.ok()) << image.status().message();
  EXPECT_EQ(image->name, DigestOf(manifest_));
  EXPECT_EQ(asked_.size(), 3U);
  const Status missing = Find("linux/s390x").status();
  EXPECT_EQ(missing.code(), StatusCode::kNotFound);
  EXPECT_THAT(missing.message(), HasSubstr("there is: linux/arm64, linux/amd64"));
}

TEST_F(RegistrySourceTest, WhatIsNotWhatItsDigestSaysIsRefused) {
  struct Case {
    std::string path;
    std::string said;
  };
  const Case cases[] = {{"blobs/" + DigestOf(config_), "sha256"},
                        {"blobs/" + DigestOf(layer_), "sha256"}};
  for (const Case& row : cases) {
    SCOPED_TRACE(row.path);
    const std::map<std::string, Reply> before = served_;
    std::string& body = served_["https://r.example/v2/team/image/" + row.path].body;
    body[3] ^= 1;
    const Status status = ReadLayer().status();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status.message();
    served_ = before;
  }
  served_["https://r.example/v2/team/image/manifests/1"].headers["docker-content-digest"] =
      "sha256:" + std::string(64, 'b');
  EXPECT_EQ(Find().status().code(), StatusCode::kDataLoss);
  source_ = *Open("r.example/team/image@sha256:" + std::string(64, 'c'));
  Serve("manifests/sha256:" + std::string(64, 'c'), manifest_, kManifestType);
  EXPECT_EQ(source_->Find("", "").status().code(), StatusCode::kDataLoss);
}

TEST_F(RegistrySourceTest, AConnectionThatBreaksIsMadeAgainWhereItBroke) {
  for (const bool ranges : {true, false}) {
    SCOPED_TRACE(ranges);
    ranges_ = ranges;
    int breaks = 0;
    asked_.clear();
    handler_ = [&](const HttpRequest& request) -> Result<Reply> {
      ASSIGN_OR_RETURN(Reply reply, Usual(request));
      if (request.url.find(DigestOf(layer_)) == std::string::npos || breaks == 2) return reply;
      ++breaks;
      // The end of an answer without a length looks the same.
      reply.breaks = breaks % 2 == 0;
      reply.body.resize(std::min<std::size_t>(reply.body.size(), ranges ? 9 : 9U * breaks));
      return reply;
    };
    const Result<std::string> read = ReadLayer();
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_EQ(*read, layer_);
    EXPECT_EQ(breaks, 2);
    EXPECT_EQ(HeaderOf(asked_.back(), "Range"), "bytes=18-");
  }
}

TEST_F(RegistrySourceTest, BreaksAreForgottenBehindAMebibyte) {
  constexpr std::size_t kMebibyte = std::size_t{1} << 20;
  const std::string large(5 * kMebibyte, 'x');
  LayerRef layer;
  layer.digest = Sha256::Of(std::as_bytes(std::span(large)));
  layer.size_bytes = large.size();
  Serve("blobs/" + DigestOf(large), large, "application/octet-stream");
  std::size_t each = 0;
  handler_ = [&](const HttpRequest& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(Reply reply, Usual(request));
    reply.body.resize(std::min(reply.body.size(), each));
    return reply;
  };
  for (const bool enough : {true, false}) {
    SCOPED_TRACE(enough);
    each = enough ? kMebibyte : kMebibyte / 4;
    asked_.clear();
    ASSERT_TRUE((source_ = std::move(*Open())));
    const auto blob = source_->OpenLayer(layer);
    ASSERT_TRUE(blob.ok()) << blob.status().message();
    std::vector<std::byte> buffer(large.size());
    Result<std::size_t> n(0);
    for (std::size_t at = 0; (n = (*blob)->Read(std::span(buffer).subspan(at))).ok() && *n > 0;) {
      at += *n;
    }
    EXPECT_EQ(n.ok(), enough);
    EXPECT_EQ(asked_.size(), enough ? 5 : 3);
  }
}

TEST_F(RegistrySourceTest, AManifestWhoseConnectionBreaksIsAskedForAgain) {
  int asked = 0;
  handler_ = [&](const HttpRequest& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(Reply reply, Usual(request));
    if (request.url.find("manifests/1") == std::string::npos) return reply;
    reply.breaks = ++asked < 3;
    if (reply.breaks) reply.body.resize(10);
    return reply;
  };
  EXPECT_TRUE(Find().ok());
  EXPECT_EQ(asked, 3);
  EXPECT_THAT(pauses_, ElementsAre(200, 400));
}

TEST_F(RegistrySourceTest, WhoNeverGetsAnywhereIsLeft) {
  handler_ = [&](const HttpRequest& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(Reply reply, Usual(request));
    if (request.url.find(DigestOf(layer_)) != std::string::npos) reply.body.clear();
    return reply;
  };
  const Status status = ReadLayer().status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("ends at byte 0 of"));
  EXPECT_THAT(pauses_, ElementsAre(200, 400));
}

TEST_F(RegistrySourceTest, TransientFailuresAreTriedAgain) {
  int failures = 0;
  for (const int status : {408, 429, 500, 502, 503, 504}) {
    SCOPED_TRACE(status);
    failures = 2;
    handler_ = [&](const HttpRequest& request) -> Result<Reply> {
      if (failures-- > 0) return Reply{status, {}, ""};
      return Usual(request);
    };
    EXPECT_TRUE(Find().ok());
  }
  handler_ = [&](const HttpRequest&) -> Result<Reply> { return Reply{503, {}, "busy\n"}; };
  const Status status = Find().status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("https://r.example/v2/team/image/manifests/1: 503 busy"));
  interrupted_ = true;
  EXPECT_EQ(Find().status().code(), StatusCode::kCancelled);
}

TEST_F(RegistrySourceTest, RetryAfterIsObeyedUpToALimit) {
  int asked = 0;
  std::string wanted = "7";
  handler_ = [&](const HttpRequest& request) -> Result<Reply> {
    if (asked++ == 0) return Reply{429, {{"retry-after", wanted}}, ""};
    return Usual(request);
  };
  EXPECT_TRUE(Find().ok());
  EXPECT_THAT(pauses_, ElementsAre(7000));
  asked = 0;
  wanted = "3600";
  EXPECT_THAT(Find().status().message(), HasSubstr("let alone for 3600 s"));
}

TEST_F(RegistrySourceTest, TokensAreFetchedOnceAndSent) {
  auth_ = R"({"auths": {"r.example": {"auth": "dXNlcjpwYXNz"}}})";
  int tokens = 0;
  handler_ = [&](const HttpRequest& request) -> Result<Reply> {
    if (request.url.starts_with("https://auth.example/token")) {
      ++tokens;
      EXPECT_EQ(
          request.url,
          "https://auth.example/token?service=r.example&scope=repository%3Ateam%2Fimage%3Apull");
      EXPECT_EQ(HeaderOf(request, "Authorization"), "Basic dXNlcjpwYXNz");
      return Reply{200, {}, R"({"token": "t1", "expires_in": 60})"};
    }
    if (HeaderOf(request, "Authorization") != "Bearer t1") {
      return Reply{401,
                   {{"www-authenticate",
                     R"(Bearer realm="https://auth.example/token",service="r.example")"}},
                   ""};
    }
    return Usual(request);
  };
  EXPECT_TRUE(ReadLayer().ok());
  EXPECT_EQ(tokens, 1);
}

TEST_F(RegistrySourceTest, AnIdentityTokenIsExchanged) {
  auth_ = R"({"auths": {"r.example": {"identitytoken": "id&1"}}})";
  handler_ = [&](const HttpRequest& request) -> Result<Reply> {
    if (request.url == "https://auth.example/token") {
      EXPECT_THAT(request.form, HasSubstr("grant_type=refresh_token"));
      EXPECT_THAT(request.form, HasSubstr("refresh_token=id%261"));
      return Reply{200, {}, R"({"access_token": "t2"})"};
    }
    if (HeaderOf(request, "Authorization") == "Bearer t2") return Usual(request);
    return Reply{401, {{"www-authenticate", R"(Bearer realm="https://auth.example/token")"}}, ""};
  };
  EXPECT_TRUE(Find().ok());
}

TEST_F(RegistrySourceTest, WhoIsNotLetInIsToldWhatToDo) {
  handler_ = [&](const HttpRequest&) -> Result<Reply> {
    return Reply{401,
                 {{"www-authenticate", "Basic realm=x"}},
                 R"({"errors":[{"code":"UNAUTHORIZED","message":"no"}]})"};
  };
  const Status status = Find().status();
  EXPECT_EQ(status.code(), StatusCode::kUnauthenticated);
  EXPECT_THAT(status.message(), HasSubstr("401 UNAUTHORIZED: no; log in"));
  const std::pair<const char*, const char*> challenges[] = {
      {"Negotiate", "not supported: Negotiate"},
      {"Bearer realm=\"ftp://x\"", "is no URL"},
      {"Bearer realm=\"http://x/t\"", "without TLS"},
  };
  for (const auto& [challenge, said] : challenges) {
    handler_ = [&, sent = std::string(challenge)](const HttpRequest&) -> Result<Reply> {
      return Reply{401, {{"www-authenticate", sent}}, ""};
    };
    EXPECT_THAT(Find().status().message(), HasSubstr(said));
  }
}

TEST_F(RegistrySourceTest, RedirectsTakeNoCredentialsElsewhere) {
  auth_ = R"({"auths": {"r.example": {"auth": "dXNlcjpwYXNz"}}})";
  handler_ = [&](const HttpRequest& request) -> Result<Reply> {
    if (request.url.starts_with("https://storage.example/")) {
      EXPECT_EQ(HeaderOf(request, "Authorization"), "");
      return Reply{200, {}, layer_};
    }
    if (HeaderOf(request, "Authorization").empty()) {
      return Reply{401, {{"www-authenticate", "Basic realm=x"}}, ""};
    }
    if (request.url.find(DigestOf(layer_)) != std::string::npos) {
      return Reply{307, {{"location", "https://storage.example/x?signed=1"}}, ""};
    }
    return Usual(request);
  };
  const Result<std::string> read = ReadLayer();
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(*read, layer_);
  const std::pair<const char*, const char*> bad[] = {
      {"http://storage.example/x", "from TLS to"},
      {"", "is no URL"},
      {"ftp://x/", "is no URL"},
      {"/v2/team/image/manifests/1", "without an end"},
  };
  for (const auto& [location, said] : bad) {
    handler_ = [&, to = std::string(location)](const HttpRequest&) -> Result<Reply> {
      return Reply{302, {{"location", to}}, ""};
    };
    EXPECT_THAT(Find().status().message(), HasSubstr(said)) << location;
  }
}

TEST_F(RegistrySourceTest, WhoARedirectLeadsToGetsNoPassword) {
  auth_ = R"({"auths": {"r.example": {"auth": "dXNlcjpwYXNz"}}})";
  handler_ = [&](const HttpRequest& request) -> Result<Reply> {
    if (SplitUrl(request.url).host == "storage.example") {
      EXPECT_EQ(HeaderOf(request, "Authorization"), "") << request.url;
      EXPECT_EQ(request.url, "https://storage.example/x") << "its token is not asked for";
      return Reply{
          401, {{"www-authenticate", R"(Bearer realm="https://storage.example/token")"}}, ""};
    }
    if (request.url.find(DigestOf(layer_)) != std::string::npos) {
      return Reply{307, {{"location", "https://storage.example/x"}}, ""};
    }
    return Usual(request);
  };
  EXPECT_EQ(ReadLayer().status().code(), StatusCode::kUnauthenticated);
}

TEST_F(RegistrySourceTest, NothingLeadsFromLoopbackToPlainHttpElsewhere) {
  auth_ = R"({"auths": {"127.0.0.1:5000": {"auth": "dXNlcjpwYXNz"}}})";
  const std::pair<Reply, const char*> bad[] = {
      {{401, {{"www-authenticate", R"(Bearer realm="http://auth.example/token")"}}, ""},
       "without TLS"},
      {{307, {{"location", "http://storage.example/x"}}, ""}, "without TLS"},
  };
  for (const auto& [reply, said] : bad) {
    handler_ = [&, sent = reply](const HttpRequest& request) -> Result<Reply> {
      const UrlParts parts = SplitUrl(request.url);
      if (parts.scheme == "https") return UnavailableError("no TLS here");
      EXPECT_EQ(parts.host, "127.0.0.1:5000");
      return sent;
    };
    const Result<std::unique_ptr<RegistrySource>> source = Open("127.0.0.1:5000/team/image:1");
    ASSERT_TRUE(source.ok()) << source.status().message();
    EXPECT_THAT((*source)->Find("", "").status().message(), HasSubstr(said));
  }
}

TEST_F(RegistrySourceTest, WithoutRangesItMayBreakMoreThanOnce) {
  ranges_ = false;
  int asked = 0;
  handler_ = [&](const HttpRequest& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(Reply reply, Usual(request));
    if (request.url.find(DigestOf(layer_)) == std::string::npos || ++asked > 2) return reply;
    reply.body.resize(asked == 1 ? 20 : 10);  // the second time before what is known already
    reply.breaks = true;
    return reply;
  };
  const Result<std::string> read = ReadLayer();
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(*read, layer_);
  EXPECT_EQ(asked, 3);
}

TEST(UrlTest, AUrlInAQueryIsNoUrl) {
  EXPECT_EQ(ResolveUrl("https://r/a/b", "/s?from=https://x/y"), "https://r/s?from=https://x/y");
  EXPECT_EQ(ResolveUrl("https://r/a/b", "https://x/y"), "https://x/y");
  EXPECT_EQ(ResolveUrl("https://r/a/b", "c"), "https://r/a/c");
}

TEST_F(RegistrySourceTest, AnswersWithoutAnEndAreCutOff) {
  Serve("manifests/1", std::string((8U << 20U) + 1, ' '), kManifestType);
  EXPECT_EQ(Find().status().code(), StatusCode::kResourceExhausted);
}

TEST_F(RegistrySourceTest, MirrorsAreAskedFirstAndLeftWhenTheyAreDown) {
  const std::string folder = scratch_.Path("certs.d/r.example");
  std::filesystem::create_directories(folder);
  os::testing::WriteFile(folder + "/hosts.toml", R"([host."https://m1.example"]
  capabilities = ["pull"]
[host."https://m2.example"]
)");
  handler_ = [&](const HttpRequest& request) -> Result<Reply> {
    const UrlParts parts = SplitUrl(request.url);
    if (parts.host == "m1.example") return UnavailableError("connection refused");
    if (parts.host == "m2.example") return Reply{404, {}, ""};
    return Usual(request);
  };
  ASSERT_TRUE(ReadLayer().ok());
  std::vector<std::string> hosts;
  for (const HttpRequest& request : asked_) {
    hosts.push_back(SplitUrl(request.url).host);
    EXPECT_EQ(request.url.ends_with("?ns=r.example"), hosts.back() != "r.example")
        << "a mirror is told which registry is meant";
  }
  EXPECT_THAT(hosts,
              ElementsAre("m2.example", "r.example",                               // the tag
                          "m1.example", "m1.example", "m1.example", "m2.example",  // the config
                          "r.example", "m2.example", "r.example"));                // the layer
}

}  // namespace
}  // namespace daxfs::oci
