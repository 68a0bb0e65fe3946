// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/config/config.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include "common/os/file_io.hpp"

namespace daxfs::snapshotter {
namespace {

constexpr std::size_t kFileLimit = 65536;
constexpr std::size_t kSocketPathMost = 107;

Status WrongLine(const YAML::Node& node, const std::string& what) {
  return InvalidArgumentError("line " + std::to_string(node.Mark().line + 1) + ": " + what);
}

Status TakePath(const std::string& key, const YAML::Node& node, std::string* out) {
  const std::string wrong = WrongPath(key, node.IsScalar() ? node.Scalar() : "");
  if (!wrong.empty()) return WrongLine(node, wrong);
  *out = node.Scalar();
  return Status::Ok();
}

// Of a mount whose layers, and what they share, are for the daemon to say.
Status TakeOverlayOption(const YAML::Node& node, Config* config) {
  const std::string option = node.IsScalar() ? node.Scalar() : "";
  const std::string name = option.substr(0, option.find('='));
  constexpr std::string_view kOurs[] = {"lowerdir", "lowerdir+", "datadir+",
                                        "upperdir", "workdir",   "index"};
  if (option.empty() || option.find(',') != std::string::npos) {
    return WrongLine(node, "overlay_options: wants one option to an item");
  }
  if (std::find(std::begin(kOurs), std::end(kOurs), name) != std::end(kOurs)) {
    return WrongLine(node, "overlay_options: " + name + " is set by daxfs-snapshotter");
  }
  config->overlay_options.push_back(option);
  return Status::Ok();
}

// Those that are paths.
std::string* PathOf(const std::string& key, Config* config) {
  if (key == "root") return &config->root;
  if (key == "address") return &config->address;
  if (key == "fuse_program") return &config->fuse_program;
  if (key == "containerd") return &config->containerd;
  if (key == "content") return &config->content;
  return nullptr;
}

// "HOST:PORT".
Status TakeMetrics(const YAML::Node& node, Config* config) {
  const std::string value = node.IsScalar() ? node.Scalar() : "";
  const std::size_t colon = value.rfind(':');
  const std::string port = colon == std::string::npos ? "" : value.substr(colon + 1);
  if (colon == 0 || port.empty() || port.size() > 5 ||
      port.find_first_not_of("0123456789") != std::string::npos || std::stoi(port) > 65535) {
    return WrongLine(node, "metrics: wants an address and a port, as 127.0.0.1:9464");
  }
  config->metrics = value;
  return Status::Ok();
}

Status Take(const std::string& key, const YAML::Node& node, Config* config) {
  if (key == "metrics") return TakeMetrics(node, config);
  if (key == "log_level") {
    const Result<base::LogLevel> level = base::ParseLogLevel(node.IsScalar() ? node.Scalar() : "");
    if (!level.ok()) return WrongLine(node, "log_level: wants debug, info, warning or error");
    config->log_level = *level;
    return Status::Ok();
  }
  if (std::string* path = PathOf(key, config)) return TakePath(key, node, path);
  if (key == "pool") {
    if (!node.IsScalar() || node.Scalar().empty()) return WrongLine(node, "pool: wants a name");
    config->pool = node.Scalar();
    return Status::Ok();
  }
  if (key == "backend") {
    const std::string value = node.IsScalar() ? node.Scalar() : "";
    if (value != "auto" && value != "kernel" && value != "fuse") {
      return WrongLine(node, "backend: wants auto, kernel or fuse");
    }
    config->backend = value;
    return Status::Ok();
  }
  if (key == "overlay_options") {
    if (!node.IsSequence()) return WrongLine(node, "overlay_options: wants a list");
    for (const YAML::Node& option : node) RETURN_IF_ERROR(TakeOverlayOption(option, config));
    return Status::Ok();
  }
  return WrongLine(node, key +
                             ": no such key; there is: root, address, pool, backend, fuse_program, "
                             "containerd, content, overlay_options, metrics, log_level");
}

}  // namespace

std::vector<std::string> ChangedForRestart(const Config& now, const Config& wanted) {
  struct Key {
    const char* name;
    std::string Config::*value;
  };
  constexpr Key kKeys[] = {
      {"root", &Config::root},
      {"address", &Config::address},
      {"pool", &Config::pool},
      {"backend", &Config::backend},
      {"fuse_program", &Config::fuse_program},
      {"containerd", &Config::containerd},
      {"content", &Config::content},
  };
  std::vector<std::string> changed;
  for (const Key& key : kKeys) {
    if (now.*key.value != wanted.*key.value) changed.emplace_back(key.name);
  }
  return changed;
}

std::string WrongPath(const std::string& key, const std::string& path) {
  if (path.find(": ") != std::string::npos || path.find('\n') != std::string::npos) {
    return key + ": holds what looks like another key: is its quote closed?";
  }
  if (path.rfind('/', 0) != 0) return key + ": wants an absolute path";
  // OverlayFS separates layers and options by these.
  if (key == "root" && path.find_first_of(":,\\") != std::string::npos) {
    return key + ": may have no ':', ',' or '\\'";
  }
  if (key == "address" && path.size() > kSocketPathMost) {
    return key + ": a socket's path has " + std::to_string(kSocketPathMost) + " bytes at most";
  }
  return {};
}

Result<Config> ParseConfig(const std::string& yaml) {
  Config config;
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(yaml);
    if (documents.empty()) return config;
    if (documents.size() > 1) {
      return WrongLine(documents[1], "a second document (---): only one is read");
    }
    const YAML::Node& root = documents[0];
    if (root.IsNull()) return config;  // comments alone
    if (!root.IsMap()) return InvalidArgumentError("wants `key: value` lines");
    std::set<std::string> seen;
    for (const auto& entry : root) {
      if (!seen.insert(entry.first.Scalar()).second) {
        return WrongLine(entry.first, entry.first.Scalar() + ": is there twice");
      }
      RETURN_IF_ERROR(Take(entry.first.Scalar(), entry.second, &config));
    }
  } catch (const YAML::Exception& error) {
    return InvalidArgumentError("line " + std::to_string(error.mark.line + 1) + ": " + error.msg);
  }
  return config;
}

Result<Config> ReadConfig(const std::string& path) {
  ASSIGN_OR_RETURN(const os::UniqueFd fd, os::OpenForReading(path));
  ASSIGN_OR_RETURN(const std::string text, os::ReadWholeFile(fd.get(), kFileLimit));
  return ParseConfig(text).WithContext(path);
}

}  // namespace daxfs::snapshotter
