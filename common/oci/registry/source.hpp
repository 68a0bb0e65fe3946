// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/find_image.hpp"
#include "common/oci/image_source.hpp"
#include "common/oci/registry/client.hpp"
#include "common/oci/registry/reference.hpp"

namespace daxfs::oci {

struct RegistryOptions {
  std::string authfile;  // empty: where docker and podman have theirs
  HostsOptions hosts;
  RetryPolicy retry;  // its `sleep` may be empty: a real one, that `interrupted` ends
};

// A repository of a registry and what of it is asked for. Mirrors and the registry are asked in
// turn, until one has it. Every document and layer is compared with its digest.
class RegistrySource final : public ImageSource {
 public:
  // Asks nobody yet. Gives up once `interrupted` is true; borrowed. Errors: of
  // CredentialStore::Open and FindEndpoints.
  static Result<std::unique_ptr<RegistrySource>> Open(const ImageReference& image,
                                                      RegistryOptions options,
                                                      const std::atomic<bool>& interrupted);
  // The same, asking through `http`.
  static Result<std::unique_ptr<RegistrySource>> Open(const ImageReference& image,
                                                      RegistryOptions options,
                                                      std::unique_ptr<HttpClient> http);

  // As ImageSource; the reference is the one of Open, and `reference` empty.
  Result<ImageRef> Find(const std::string& reference, const std::string& platform) const override;
  // A connection that breaks is made again where it broke.
  Result<std::unique_ptr<PositionedReader>> OpenLayer(const LayerRef& layer) const override;
  void GiveUp() const override;

 private:
  // What was asked for: an index or a manifest.
  struct Document {
    Descriptor descriptor;
    std::string text;
  };
  // An endpoint, and whether it did not answer.
  struct Asked {
    std::unique_ptr<EndpointClient> client;
    std::atomic<bool> down{false};
  };

  RegistrySource(ImageReference image, RegistryOptions options, std::unique_ptr<HttpClient> http,
                 CredentialStore credentials);
  Result<Document> Resolve() const;
  Result<std::string> ReadDocument(const Descriptor& descriptor) const;
  template <typename Ask>
  auto AskAll(bool resolving, const Ask& ask) const
      -> decltype(ask(std::declval<EndpointClient&>()));

  std::shared_ptr<std::atomic<bool>> given_up_ = std::make_shared<std::atomic<bool>>(false);
  const ImageReference image_;
  const RegistryOptions options_;
  const std::unique_ptr<HttpClient> http_;
  const CredentialStore credentials_;
  std::vector<std::unique_ptr<Asked>> endpoints_;
};

}  // namespace daxfs::oci
