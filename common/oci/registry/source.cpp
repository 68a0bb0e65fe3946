// SPDX-License-Identifier: Apache-2.0
#include "common/oci/registry/source.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <thread>
#include <utility>

#include "common/base/check.hpp"
#include "common/oci/blob_reader.hpp"

namespace daxfs::oci {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTick{100};
constexpr const char* kAccept =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

using Answer = std::unique_ptr<HttpResponse>;
using Headers = std::map<std::string, std::string>;
using Opener = std::function<Result<Answer>(const Headers&)>;

// The first byte of a partial answer ("bytes 10-19/20"); nothing if it does not say.
std::optional<std::uint64_t> FirstByte(const HttpResponse& response) {
  const std::string field = response.Header("content-range");
  constexpr std::string_view kUnit = "bytes ";
  if (!field.starts_with(kUnit)) return std::nullopt;
  std::uint64_t first = 0;
  const auto [end, error] =
      std::from_chars(field.data() + kUnit.size(), field.data() + field.size(), first);
  if (error != std::errc() || end == field.data() + field.size() || *end != '-') {
    return std::nullopt;
  }
  return first;
}

// A blob's bytes, of as many answers as it takes.
class ResumedReader final : public ByteReader {
 public:
  ResumedReader(Opener open, Answer answer, std::uint64_t size_bytes, RetryPolicy policy)
      : open_(std::move(open)),
        answer_(std::move(answer)),
        size_bytes_(size_bytes),
        policy_(std::move(policy)) {}

  Result<std::size_t> Read(std::span<std::byte> out) override {
    if (at_ == size_bytes_) return std::size_t{0};
    out = out.first(std::min<std::uint64_t>(out.size(), size_bytes_ - at_));
    milliseconds pause = policy_.first_pause;
    for (;;) {
      const Result<std::size_t> count = ReadOnce(out);
      if (count.ok()) {
        at_ += *count;
        return count;
      }
      if (at_ - counted_from_ >= kWorthABreak) {
        counted_from_ = at_;
        breaks_ = 0;
      }
      const bool again = count.status().code() == StatusCode::kUnavailable && !gone_;
      if (!again || ++breaks_ >= policy_.attempts) return count;
      broken_ = true;
      if (!policy_.sleep(pause)) return CancelledError("interrupted");
      pause = std::min(pause * 2, policy_.longest_pause);
    }
  }

 private:
  Result<std::size_t> ReadOnce(std::span<std::byte> out) {
    if (broken_) RETURN_IF_ERROR(Resume());
    broken_ = false;
    ASSIGN_OR_RETURN(const std::size_t n, answer_->Read(out));
    if (n > 0) return n;
    return UnavailableError("the answer ends at byte " + std::to_string(at_) + " of " +
                            std::to_string(size_bytes_));
  }
  // Goes on where it broke; who does not know ranges sends all of it again.
  Status Resume() {
    Headers headers;
    if (at_ > 0) headers["Range"] = "bytes=" + std::to_string(at_) + "-";
    Result<Answer> opened = open_(headers);
    gone_ = !opened.ok();  // that was tried often enough
    ASSIGN_OR_RETURN(answer_, std::move(opened));
    const std::uint64_t first =
        answer_->status() == 206 ? FirstByte(*answer_).value_or(at_) : std::uint64_t{0};
    if (first > at_) return InvalidArgumentError("answers with another range than was asked for");
    std::uint64_t known = at_ - first;
    std::array<std::byte, 65536> dropped{};
    while (known > 0) {
      const std::size_t wanted = std::min<std::uint64_t>(known, dropped.size());
      ASSIGN_OR_RETURN(const std::size_t n, answer_->Read(std::span(dropped).first(wanted)));
      if (n == 0) return UnavailableError("the answer ends before it gets anywhere");
      known -= n;
    }
    return Status::Ok();
  }

  // Connections that break are forgotten behind so many bytes; who sends less before each ends it.
  static constexpr std::uint64_t kWorthABreak = 1 << 20;

  const Opener open_;
  Answer answer_;
  const std::uint64_t size_bytes_;
  const RetryPolicy policy_;
  std::uint64_t at_ = 0;
  std::uint64_t counted_from_ = 0;  // the place since which breaks are counted
  int breaks_ = 0;
  bool broken_ = false;  // answer_, which is not where at_ is
  bool gone_ = false;
};

// Of this thread; false once it is cancelled.
std::function<bool(milliseconds)> SleepUnless(std::function<bool()> cancelled) {
  return [cancelled = std::move(cancelled)](milliseconds pause) {
    const auto end = std::chrono::steady_clock::now() + pause;
    while (!cancelled() && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(kTick);
    }
    return !cancelled();
  };
}

Status TooLarge(const Descriptor& descriptor) {
  return InvalidArgumentError(descriptor.digest.ToString() + ": too large for a JSON document");
}

std::string MediaType(const HttpResponse& response) {
  std::string type = response.Header("content-type");
  type.resize(std::min(type.find_first_of("; "), type.size()));
  return type;
}

}  // namespace

Result<std::unique_ptr<RegistrySource>> RegistrySource::Open(const ImageReference& image,
                                                             RegistryOptions options,
                                                             const std::atomic<bool>& interrupted) {
  auto given_up = std::make_shared<std::atomic<bool>>(false);
  const std::function<bool()> cancelled = [&interrupted, given_up] {
    return interrupted.load(std::memory_order_relaxed) || given_up->load(std::memory_order_relaxed);
  };
  if (!options.retry.sleep) options.retry.sleep = SleepUnless(cancelled);
  ASSIGN_OR_RETURN(std::unique_ptr<RegistrySource> source,
                   Open(image, std::move(options), MakeHttpClient(cancelled)));
  source->given_up_ = std::move(given_up);
  return source;
}

Result<std::unique_ptr<RegistrySource>> RegistrySource::Open(const ImageReference& image,
                                                             RegistryOptions options,
                                                             std::unique_ptr<HttpClient> http) {
  ASSIGN_OR_RETURN(CredentialStore credentials, CredentialStore::Open(options.authfile));
  ASSIGN_OR_RETURN(std::vector<Endpoint> endpoints, FindEndpoints(image.host, options.hosts));
  std::unique_ptr<RegistrySource> source(
      new RegistrySource(image, std::move(options), std::move(http), std::move(credentials)));
  for (Endpoint& endpoint : endpoints) {
    auto asked = std::make_unique<Asked>();
    asked->client =
        std::make_unique<EndpointClient>(*source->http_, source->credentials_, std::move(endpoint),
                                         image.repository, source->options_.retry);
    source->endpoints_.push_back(std::move(asked));
  }
  return source;
}

RegistrySource::RegistrySource(ImageReference image, RegistryOptions options,
                               std::unique_ptr<HttpClient> http, CredentialStore credentials)
    : image_(std::move(image)),
      options_(std::move(options)),
      http_(std::move(http)),
      credentials_(std::move(credentials)) {}

// Those that did not answer before come last. What is said of a failure is what all of them said.
template <typename Ask>
auto RegistrySource::AskAll(bool resolving, const Ask& ask) const
    -> decltype(ask(std::declval<EndpointClient&>())) {
  std::vector<Asked*> order;
  for (const std::unique_ptr<Asked>& asked : endpoints_) {
    if (!resolving || asked->client->endpoint().resolves) order.push_back(asked.get());
  }
  std::stable_partition(order.begin(), order.end(), [](const Asked* a) { return !a->down; });
  Status failure = FailedPreconditionError("no host of hosts.toml may say what a tag means");
  std::string said;
  for (Asked* asked : order) {
    auto answer = ask(*asked->client);
    if (answer.ok() || answer.status().code() == StatusCode::kCancelled) return answer;
    const StatusCode code = answer.status().code();
    asked->down = code == StatusCode::kUnavailable || code == StatusCode::kFailedPrecondition;
    said += (said.empty() ? "" : "; ") + answer.status().message();
    failure = Status(code, said);
  }
  return failure;
}

Result<RegistrySource::Document> RegistrySource::Resolve() const {
  const std::string wanted = image_.digest ? image_.digest->ToString() : image_.tag;
  return AskAll(!image_.digest.has_value(), [&](EndpointClient& client) -> Result<Document> {
    Answer answer;
    Result<std::string> text = UnavailableError("was not asked for");
    milliseconds pause = options_.retry.first_pause;
    for (int attempt = 1;; ++attempt) {
      ASSIGN_OR_RETURN(answer, client.Get("manifests/" + wanted, {{"Accept", kAccept}}));
      text = ReadBody(*answer, kDocumentMaxBytes);
      const bool broke = text.status().code() == StatusCode::kUnavailable;
      if (!broke || attempt >= options_.retry.attempts) break;
      if (!options_.retry.sleep(pause)) return CancelledError("interrupted");
      pause = std::min(pause * 2, options_.retry.longest_pause);
    }
    if (!text.ok()) return text.status().WithContext(client.endpoint().url + ": the manifest");
    Descriptor descriptor;
    descriptor.media_type = MediaType(*answer);
    descriptor.digest = Sha256::Of(std::as_bytes(std::span(*text)));
    descriptor.size_bytes = text->size();
    const std::string said = answer->Header("docker-content-digest");
    const bool other = said.starts_with("sha256:") && said != descriptor.digest.ToString();
    if (other || (image_.digest && *image_.digest != descriptor.digest)) {
      return DataLossError(client.endpoint().url + ": sends a manifest that is not " +
                           (image_.digest ? image_.digest->ToString() : said) + ", but " +
                           descriptor.digest.ToString());
    }
    return Document{std::move(descriptor), *std::move(text)};
  });
}

Result<std::string> RegistrySource::ReadDocument(const Descriptor& descriptor) const {
  if (descriptor.size_bytes > kDocumentMaxBytes) return TooLarge(descriptor);
  const bool manifest = IsManifestType(descriptor.media_type) || IsIndexType(descriptor.media_type);
  const std::string path = (manifest ? "manifests/" : "blobs/") + descriptor.digest.ToString();
  const Headers accept = manifest ? Headers{{"Accept", kAccept}} : Headers{};
  return AskAll(false, [&](EndpointClient& client) -> Result<std::string> {
    const Opener open = [&](const Headers& more) {
      Headers headers = accept;
      headers.insert(more.begin(), more.end());
      return client.Get(path, headers);
    };
    ASSIGN_OR_RETURN(Answer answer, open({}));
    BlobReader blob(std::make_unique<ResumedReader>(open, std::move(answer), descriptor.size_bytes,
                                                    options_.retry),
                    descriptor.digest, descriptor.size_bytes);
    return ReadText(descriptor, blob).WithContext(client.endpoint().url + ": " + path);
  });
}

Result<ImageRef> RegistrySource::Find(const std::string& /*reference*/,
                                      const std::string& platform) const {
  // What was asked for is read once, the rest as it is needed.
  class Documents final : public DocumentSource {
   public:
    Documents(const RegistrySource& source, const Document& top) : source_(source), top_(top) {}
    Result<std::string> ReadDocument(const Descriptor& descriptor) const override {
      if (descriptor.digest == top_.descriptor.digest) return top_.text;
      return source_.ReadDocument(descriptor);
    }

   private:
    const RegistrySource& source_;
    const Document& top_;
  };
  ASSIGN_OR_RETURN(const Document top, Resolve());
  return FindImage(Documents(*this, top), {top.descriptor}, platform);
}

Result<std::unique_ptr<PositionedReader>> RegistrySource::OpenLayer(const LayerRef& layer) const {
  DAXFS_CHECK(layer.digest.has_value());
  const std::string path = "blobs/" + layer.digest->ToString();
  const Opener open = [this, path](const Headers& headers) {
    return AskAll(false, [&](EndpointClient& client) { return client.Get(path, headers); });
  };
  ASSIGN_OR_RETURN(Answer answer, open({}));
  return std::unique_ptr<PositionedReader>(std::make_unique<BlobReader>(
      std::make_unique<ResumedReader>(open, std::move(answer), layer.size_bytes, options_.retry),
      *layer.digest, layer.size_bytes));
}

void RegistrySource::GiveUp() const { given_up_->store(true); }

}  // namespace daxfs::oci
