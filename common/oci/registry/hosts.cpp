// SPDX-License-Identifier: Apache-2.0
#include "common/oci/registry/hosts.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "common/os/file_io.hpp"

namespace daxfs::oci {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFileMax = 1U << 20U;
constexpr std::string_view kDockerHub = "docker.io";
constexpr std::string_view kDockerHubApi = "registry-1.docker.io";

Result<std::string> ReadText(const std::string& path) {
  ASSIGN_OR_RETURN(const os::UniqueFd fd, os::OpenForReading(path));
  return os::ReadWholeFile(fd.get(), kFileMax).WithContext(path);
}

Status AddAuthority(const std::string& path, TlsOptions* tls) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(path));
  if (text.find("-----BEGIN") == std::string::npos) {
    return InvalidArgumentError(path + ": holds no certificate in PEM");
  }
  tls->ca_pem += text;
  if (!tls->ca_pem.ends_with('\n')) tls->ca_pem += '\n';
  return Status::Ok();
}

// One file of containerd's configuration of a host.
class HostsFile {
 public:
  explicit HostsFile(std::string path) : path_(std::move(path)) {}

  // `registry`: without the file.
  Result<std::vector<Endpoint>> Read(const std::vector<Endpoint>& registry) const {
    ASSIGN_OR_RETURN(const std::string text, ReadText(path_));
    // Thrown by the library, and its alone.
    try {
      const toml::table root = toml::parse(text, path_);
      return Take(root, registry);
    } catch (const toml::parse_error& error) {
      return Wrong(error.source().begin.line, std::string(error.description()));
    }
  }

 private:
  Status Wrong(std::uint32_t line, const std::string& what) const {
    return InvalidArgumentError(fmt::format("{}:{}: {}", path_, line, what));
  }
  Status Wrong(const toml::node& node, const std::string& what) const {
    return Wrong(node.source().begin.line, what);
  }

  Result<std::vector<Endpoint>> Take(const toml::table& root,
                                     std::vector<Endpoint> registry) const {
    std::vector<Endpoint> out;
    // Mirrors in the order they are written in.
    std::vector<std::pair<std::string, const toml::table*>> mirrors;
    if (const toml::node* hosts = root.get("host")) {
      if (!hosts->is_table()) return Wrong(*hosts, "\"host\" is no table");
      for (const auto& [name, node] : *hosts->as_table()) {
        if (!node.is_table()) return Wrong(node, "a host is no table");
        mirrors.emplace_back(name.str(), node.as_table());
      }
    }
    std::sort(mirrors.begin(), mirrors.end(), [](const auto& a, const auto& b) {
      return a.second->source().begin.line < b.second->source().begin.line;
    });
    for (const auto& [name, table] : mirrors) {
      ASSIGN_OR_RETURN(std::optional<Endpoint> endpoint, TakeHost(name, *table));
      if (endpoint) out.push_back(*std::move(endpoint));
    }
    if (const toml::node* server = root.get("server")) {
      const auto url = server->value<std::string>();
      if (!url) return Wrong(*server, "\"server\" is no string");
      registry.resize(1);
      const std::string before = SplitUrl(registry[0].url).host;
      ASSIGN_OR_RETURN(registry[0].url, ApiOf(*url, root, *server));
      const std::string host = SplitUrl(registry[0].url).host;
      // What is known of the registry does not count for another host.
      if (host != before) {
        registry[0].host = host;
        registry[0].tls.skip_verify = false;
      }
    }
    for (Endpoint& itself : registry) {
      ASSIGN_OR_RETURN(const bool pulls, TakeKeys(root, &itself));
      if (pulls) out.push_back(std::move(itself));
    }
    if (out.empty()) return Wrong(1, "no host is left that may be pulled from");
    return out;
  }

  Result<std::optional<Endpoint>> TakeHost(const std::string& name,
                                           const toml::table& table) const {
    Endpoint out;
    ASSIGN_OR_RETURN(out.url, ApiOf(name, table, table));
    out.host = SplitUrl(out.url).host;
    ASSIGN_OR_RETURN(const bool pulls, TakeKeys(table, &out));
    if (!pulls) return std::optional<Endpoint>();
    return std::optional<Endpoint>(std::move(out));
  }

  // "/v2" is added, but to a URL whose path is to be taken as it is.
  Result<std::string> ApiOf(std::string url, const toml::table& table,
                            const toml::node& where) const {
    if (url.find("://") == std::string::npos) url = "https://" + url;
    const UrlParts parts = SplitUrl(url);
    if (parts.scheme.empty()) return Wrong(where, "\"" + url + "\" is no http or https URL");
    while (url.ends_with('/')) url.pop_back();
    const bool as_it_is = table["override_path"].value_or(false);
    return as_it_is || url.ends_with("/v2") ? url : url + "/v2";
  }

  // A string, or several.
  Result<std::vector<std::string>> Strings(const toml::node& node) const {
    std::vector<std::string> out;
    if (const auto one = node.value<std::string>()) return std::vector<std::string>{*one};
    if (!node.is_array()) return Wrong(node, "neither a string nor an array of strings");
    for (const toml::node& item : *node.as_array()) {
      const auto text = item.value<std::string>();
      if (!text) return Wrong(item, "not a string");
      out.push_back(*text);
    }
    return out;
  }

  std::string Absolute(const std::string& path) const {
    return path.starts_with('/') ? path : (fs::path(path_).parent_path() / path).string();
  }

  // Whether it may be pulled from.
  Result<bool> TakeKeys(const toml::table& table, Endpoint* out) const {
    bool pulls = true;
    if (const toml::node* capabilities = table.get("capabilities")) {
      ASSIGN_OR_RETURN(const std::vector<std::string> names, Strings(*capabilities));
      const auto has = [&](const char* name) {
        return std::find(names.begin(), names.end(), name) != names.end();
      };
      pulls = has("pull");
      out->resolves = has("resolve");
    }
    if (const toml::node* authorities = table.get("ca")) {
      ASSIGN_OR_RETURN(const std::vector<std::string> paths, Strings(*authorities));
      for (const std::string& path : paths) {
        RETURN_IF_ERROR(AddAuthority(Absolute(path), &out->tls));
      }
    }
    RETURN_IF_ERROR(TakeClient(table, out));
    out->tls.skip_verify = table["skip_verify"].value_or(out->tls.skip_verify);
    if (const toml::table* headers = table["header"].as_table()) {
      for (const auto& [name, node] : *headers) {
        ASSIGN_OR_RETURN(const std::vector<std::string> values, Strings(node));
        out->headers[std::string(name.str())] = fmt::format("{}", fmt::join(values, ", "));
      }
    }
    return pulls;
  }

  // "client": a file with both, or pairs of a certificate and its key, of which the first counts.
  Status TakeClient(const toml::table& table, Endpoint* out) const {
    const toml::node* client = table.get("client");
    if (client == nullptr) return Status::Ok();
    const toml::array* items = client->as_array();
    const toml::node& first = items != nullptr && !items->empty() ? *items->get(0) : *client;
    ASSIGN_OR_RETURN(const std::vector<std::string> files, Strings(first));
    if (files.empty() || files.size() > 2) return Wrong(*client, "not a certificate and its key");
    out->tls.certificate = Absolute(files.front());
    out->tls.key = Absolute(files.back().empty() ? files.front() : files.back());
    return Status::Ok();
  }

  const std::string path_;
};

// "host:5000" as directories call it.
std::string DirectoryName(const std::string& host) {
  const std::size_t colon = host.rfind(':');
  if (colon == std::string::npos || host.ends_with(']')) return host;
  return host.substr(0, colon) + "_" + host.substr(colon + 1) + "_";
}

// Of docker's layout: NAME.crt are authorities, NAME.cert and NAME.key this client's.
Status TakeCertificates(const fs::path& directory, Endpoint* out) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    if (file.extension() == ".crt") RETURN_IF_ERROR(AddAuthority(file, &out->tls));
    if (file.extension() != ".cert") continue;
    fs::path key = file;
    key.replace_extension(".key");
    if (!fs::exists(key, error)) {
      return InvalidArgumentError(file.string() + ": its key " + key.string() + " is missing");
    }
    out->tls.certificate = file;
    out->tls.key = key;
  }
  return Status::Ok();
}

bool IsInsecure(const std::string& host, const std::vector<std::string>& insecure) {
  return std::find(insecure.begin(), insecure.end(), host) != insecure.end();
}

Status CheckPlain(const Endpoint& endpoint, const HostsOptions& options) {
  const UrlParts parts = SplitUrl(endpoint.url);
  if (parts.scheme == "https" || MayBePlain(parts.host, options.insecure)) return Status::Ok();
  return FailedPreconditionError(parts.host +
                                 " would be asked without TLS: name it with --insecure-registry if "
                                 "that is meant");
}

Result<std::vector<Endpoint>> Configured(const std::string& host, std::vector<Endpoint> registry,
                                         const HostsOptions& options) {
  std::error_code error;
  for (const std::string& name : {DirectoryName(host), host, std::string("_default")}) {
    const fs::path directory = fs::path(options.directory) / name;
    if (options.directory.empty() || !fs::is_directory(directory, error)) continue;
    const fs::path file = directory / "hosts.toml";
    if (fs::exists(file, error)) return HostsFile(file).Read(registry);
    for (Endpoint& endpoint : registry) RETURN_IF_ERROR(TakeCertificates(directory, &endpoint));
    break;
  }
  return registry;
}

// Where nobody listens between, or that is accepted, plain HTTP is tried behind TLS.
std::vector<Endpoint> Unconfigured(const std::string& host, const HostsOptions& options) {
  Endpoint registry;
  registry.host = host;
  registry.url =
      fmt::format("https://{}/v2", host == kDockerHub ? kDockerHubApi : std::string_view(host));
  registry.tls.skip_verify = IsInsecure(host, options.insecure);
  std::vector<Endpoint> out{registry};
  if (MayBePlain(host, options.insecure)) {
    registry.url = fmt::format("http://{}/v2", host);
    out.push_back(registry);
  }
  return out;
}

}  // namespace

bool IsLoopback(const std::string& host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1) == "[::1]";
  const std::string name = host.substr(0, host.find(':'));
  return name == "localhost" ||
         (name.starts_with("127.") && name.find_first_not_of("0123456789.") == std::string::npos);
}

bool MayBePlain(const std::string& host, const std::vector<std::string>& insecure) {
  return IsLoopback(host) || IsInsecure(host, insecure);
}

Result<std::vector<Endpoint>> FindEndpoints(const std::string& host, const HostsOptions& options) {
  ASSIGN_OR_RETURN(std::vector<Endpoint> endpoints,
                   Configured(host, Unconfigured(host, options), options));
  for (Endpoint& endpoint : endpoints) {
    for (const std::string& file : options.ca_files) {
      RETURN_IF_ERROR(AddAuthority(file, &endpoint.tls));
    }
    RETURN_IF_ERROR(CheckPlain(endpoint, options));
    endpoint.insecure = options.insecure;
    const std::string asked = SplitUrl(endpoint.url).host;
    const bool itself = asked == host || (host == kDockerHub && asked == kDockerHubApi);
    if (!itself) endpoint.name_space = host;
    if (IsInsecure(asked, options.insecure)) endpoint.tls.skip_verify = true;
  }
  return endpoints;
}

}  // namespace daxfs::oci
