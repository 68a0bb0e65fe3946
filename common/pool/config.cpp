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

// What `phys` and `size` list, before they are put together.
struct Numbers {
  std::vector<std::uint64_t> phys;
  std::vector<std::uint64_t> size;
};

Status TakeNumber(const YAML::Node& node, const std::string& key,
                  std::vector<std::uint64_t>* numbers) {
  ASSIGN_OR_RETURN(const std::string text, Text(node, key));
  const Result<std::uint64_t> number = base::ParseSize(text);
  if (!number.ok()) return WrongLine(node, key + ": " + number.status().message());
  numbers->push_back(*number);
  return Status::Ok();
}

Status Take(const std::string& key, const YAML::Node& node, PoolConfig* config, Numbers* numbers) {
  if (key == "devices") return TakeDevices(node, config);
  if (key == "label") {
    ASSIGN_OR_RETURN(config->label, Text(node, key));
    return Status::Ok();
  }
  if (key != "size" && key != "phys") {
    return WrongLine(node, key + ": no such key; there is: devices, phys, size, label");
  }
  std::vector<std::uint64_t>* const list = key == "size" ? &numbers->size : &numbers->phys;
  if (!node.IsSequence()) return TakeNumber(node, key, list);
  for (const YAML::Node& number : node) RETURN_IF_ERROR(TakeNumber(number, key, list));
  return Status::Ok();
}

Status PutTogether(const Numbers& numbers, PoolConfig* config) {
  if (!config->devices.empty()) {
    if (!numbers.phys.empty()) return InvalidArgumentError("phys: goes without devices");
    if (numbers.size.size() > 1) return InvalidArgumentError("size: devices have one");
    if (!numbers.size.empty()) config->size_bytes = numbers.size.front();
    return Status::Ok();
  }
  if (numbers.phys.empty()) return InvalidArgumentError("names no devices");
  if (numbers.phys.size() != numbers.size.size()) {
    return InvalidArgumentError("phys: goes with size, as many of one as of the other");
  }
  for (std::size_t i = 0; i < numbers.phys.size(); ++i) {
    config->ranges.push_back({numbers.phys[i], numbers.size[i]});
  }
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

std::string PoolsDirectory() {
  const std::string given = os::Environment("DAXFS_POOLS_DIR");
  return given.empty() ? kDirectory : given;
}

Result<PoolConfig> ParsePoolConfig(const std::string& name, const std::string& yaml) {
  PoolConfig config;
  config.name = name;
  Numbers numbers;
  try {
    const YAML::Node root = YAML::Load(yaml);
    if (!root.IsMap()) return InvalidArgumentError("wants `devices:` and a list of paths");
    for (const auto& entry : root) {
      RETURN_IF_ERROR(Take(entry.first.Scalar(), entry.second, &config, &numbers));
    }
  } catch (const YAML::Exception& error) {
    return InvalidArgumentError("line " + std::to_string(error.mark.line + 1) + ": " + error.msg);
  }
  RETURN_IF_ERROR(PutTogether(numbers, &config));
  return config;
}

std::string AttachedName(const std::string& name, std::size_t index) {
  return index == 0 ? name : name + "." + std::to_string(index);
}

bool IsAttached(const std::string& attached_name) {
  std::error_code error;
  return std::filesystem::exists(AttachedPath(attached_name), error);
}

std::string AttachedPath(const std::string& attached_name) { return kAttached + attached_name; }

std::vector<std::string> KnownPools() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(PoolsDirectory(), error)) {
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
  if (!name.empty() && IsAttached(name)) {
    PoolConfig config;
    config.name = name;
    for (std::size_t i = 0; IsAttached(AttachedName(name, i)); ++i) {
      config.devices.push_back(AttachedPath(AttachedName(name, i)));
    }
    return config;
  }
  ASSIGN_OR_RETURN(PoolConfig config, ReadPoolConfig(name));
  if (!config.ranges.empty()) {
    return FailedPreconditionError("pool " + name +
                                   " is at a physical address: daxfsctl pool attach " + name +
                                   " makes the kernel show it");
  }
  return config;
}

Result<PoolConfig> ReadPoolConfig(const std::string& name) {
  const std::string path = PoolsDirectory() + "/" + name + kSuffix;
  std::error_code error;
  if (name.empty() || !std::filesystem::exists(path, error)) {
    std::string known;
    for (const std::string& other : KnownPools()) known += (known.empty() ? "" : ", ") + other;
    return NotFoundError("no pool \"" + name + "\": " +
                         (known.empty() ? PoolsDirectory() + " has none" : "there is " + known) +
                         "; a path has a / in it");
  }
  ASSIGN_OR_RETURN(const os::UniqueFd fd, os::OpenForReading(path));
  ASSIGN_OR_RETURN(const std::string yaml,
                   os::ReadWholeFile(fd.get(), kFileLimit).WithContext(path));
  return ParsePoolConfig(name, yaml).WithContext(path);
}

}  // namespace daxfs::pool
