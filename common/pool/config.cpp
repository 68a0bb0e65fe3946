// SPDX-License-Identifier: Apache-2.0
#include "common/pool/config.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>

#include "common/base/units.hpp"
#include "common/os/file_io.hpp"
#include "common/os/system.hpp"

namespace daxfs::pool {
namespace {

constexpr const char* kDirectory = "/etc/daxfs/pools.d";
constexpr const char* kSuffix = ".yaml";
constexpr const char* kAttached = "/dev/daxfs/";
constexpr std::size_t kFileLimit = 65536;

std::string Directory() {
  const std::string given = os::Environment("DAXFS_POOLS_DIR");
  return given.empty() ? kDirectory : given;
}

Status WrongLine(const YAML::Node& node, const std::string& what) {
  return InvalidArgumentError("line " + std::to_string(node.Mark().line + 1) + ": " + what);
}

Result<std::string> Text(const YAML::Node& node, const std::string& key) {
  if (!node.IsScalar() || node.Scalar().empty()) return WrongLine(node, key + ": wants a text");
  return node.Scalar();
}

Status TakeDevices(const YAML::Node& node, PoolConfig* config) {
  if (!node.IsSequence() || node.size() == 0) {
    return WrongLine(node, "devices: wants a list of paths");
  }
  for (const YAML::Node& device : node) {
    ASSIGN_OR_RETURN(std::string path, Text(device, "devices"));
    config->devices.push_back(std::move(path));
  }
  return Status::Ok();
}

Status Take(const std::string& key, const YAML::Node& node, PoolConfig* config) {
  if (key == "devices") return TakeDevices(node, config);
  ASSIGN_OR_RETURN(const std::string text, Text(node, key));
  if (key == "label") {
    config->label = text;
    return Status::Ok();
  }
  if (key != "size" && key != "phys") {
    return WrongLine(node, key + ": no such key; there is: devices, phys, size, label");
  }
  const Result<std::uint64_t> number = base::ParseSize(text);
  if (!number.ok()) return WrongLine(node, key + ": " + number.status().message());
  if (key == "size") config->size_bytes = *number;
  if (key == "phys") config->phys = *number;
  return Status::Ok();
}

std::vector<std::string> SplitPaths(std::string_view text) {
  std::vector<std::string> paths;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    if (comma > 0) paths.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return paths;
}

}  // namespace

Result<PoolConfig> ParsePoolConfig(const std::string& name, const std::string& yaml) {
  PoolConfig config;
  config.name = name;
  try {
    const YAML::Node root = YAML::Load(yaml);
    if (!root.IsMap()) return InvalidArgumentError("wants `devices:` and a list of paths");
    for (const auto& entry : root) {
      RETURN_IF_ERROR(Take(entry.first.Scalar(), entry.second, &config));
    }
  } catch (const YAML::Exception& error) {
    return InvalidArgumentError("line " + std::to_string(error.mark.line + 1) + ": " + error.msg);
  }
  if (config.phys && (!config.devices.empty() || config.size_bytes == 0)) {
    return InvalidArgumentError("phys: goes with size, and without devices");
  }
  if (config.devices.empty() && !config.phys) return InvalidArgumentError("names no devices");
  return config;
}

std::vector<std::string> KnownPools() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(Directory(), error)) {
    if (entry.path().extension() == kSuffix) names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<PoolConfig> ResolvePool(std::string_view text) {
  if (text.find('/') != std::string_view::npos) {
    PoolConfig config;
    config.devices = SplitPaths(text);
    return config;
  }
  const std::string name(text);
  const std::string attached = kAttached + name;
  std::error_code error;
  if (!name.empty() && std::filesystem::exists(attached, error)) {
    PoolConfig config;
    config.name = name;
    config.devices = {attached};
    return config;
  }
  ASSIGN_OR_RETURN(PoolConfig config, ReadPoolConfig(name));
  if (config.phys) {
    return FailedPreconditionError("pool " + name +
                                   " is at a physical address: daxfsctl pool attach " + name +
                                   " makes the kernel show it");
  }
  return config;
}

Result<PoolConfig> ReadPoolConfig(const std::string& name) {
  const std::string path = Directory() + "/" + name + kSuffix;
  std::error_code error;
  if (name.empty() || !std::filesystem::exists(path, error)) {
    std::string known;
    for (const std::string& other : KnownPools()) known += (known.empty() ? "" : ", ") + other;
    return NotFoundError("no pool \"" + name + "\": " +
                         (known.empty() ? Directory() + " has none" : "there is " + known) +
                         "; a path has a / in it");
  }
  ASSIGN_OR_RETURN(const os::UniqueFd fd, os::OpenForReading(path));
  ASSIGN_OR_RETURN(const std::string yaml,
                   os::ReadWholeFile(fd.get(), kFileLimit).WithContext(path));
  return ParsePoolConfig(name, yaml).WithContext(path);
}

}  // namespace daxfs::pool
