// SPDX-License-Identifier: Apache-2.0
#include "tools/containerd_config.hpp"

#include <toml++/toml.h>

#include <filesystem>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>

#include "common/os/file_io.hpp"
#include "common/os/process.hpp"
#include "common/os/system.hpp"
#include "common/os/unix_socket.hpp"

namespace daxfs::tools {
namespace {

constexpr std::size_t kLimit = 4 << 20;

using View = toml::node_view<const toml::node>;

std::string Text(const View& node) { return node.value_or(std::string()); }

// The first of them that is there: a newer containerd has another name for it.
std::string AnyText(const View& a, const View& b) { return a ? Text(a) : Text(b); }

ContainerdConfig Take(const toml::table& root) {
  ContainerdConfig config;
  const View plugins(root["plugins"]);
  const View unpack = plugins["io.containerd.transfer.v1.local"]["unpack_config"];
  if (const toml::array* entries = unpack.as_array()) {
    for (const toml::node& entry : *entries) {
      const View one(entry);
      config.unpack.push_back({Text(one["snapshotter"]), Text(one["differ"])});
    }
  }
  const View differs = plugins["io.containerd.service.v1.diff-service"]["default"];
  if (const toml::array* names = differs.as_array()) {
    for (const toml::node& name : *names) config.differs.push_back(Text(View(name)));
  }
  const View images = plugins["io.containerd.cri.v1.images"];
  const View cri = plugins["io.containerd.grpc.v1.cri"];
  config.pods_snapshotter = AnyText(images["snapshotter"], cri["containerd"]["snapshotter"]);
  config.sandbox_image = AnyText(images["pinned_images"]["sandbox"], cri["sandbox_image"]);
  return config;
}

// The one that runs, else that of $PATH: another version reads the file otherwise. "" if there is
// none.
std::string FindContainerd(const std::string& address) {
  const Result<int> running = os::ListenerAt(address);
  if (running.ok()) {
    std::error_code error;
    const std::string program =
        std::filesystem::read_symlink("/proc/" + std::to_string(*running) + "/exe", error);
    if (program.ends_with("/containerd") && os::IsProgram(program)) return program;
  }
  std::istringstream folders(os::Environment("PATH"));
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string program = folder + "/containerd";
    if (!folder.empty() && os::IsProgram(program)) return program;
  }
  return {};
}

// What a program said in the end: the reason, without what it warned of before.
std::string LastLine(std::string said) {
  said.erase(said.find_last_not_of(" \n") + 1);
  return said.substr(said.find_last_of('\n') + 1);
}

Result<ContainerdConfig> ReadFile(const std::string& path) {
  ASSIGN_OR_RETURN(const os::UniqueFd fd, os::OpenForReading(path));
  ASSIGN_OR_RETURN(const std::string text, os::ReadWholeFile(fd.get(), kLimit));
  ASSIGN_OR_RETURN(ContainerdConfig config, ParseContainerdConfig(text).WithContext(path));
  config.source = path + ", without what it imports";
  return config;
}

}  // namespace

Result<ContainerdConfig> ParseContainerdConfig(const std::string& toml) {
  try {
    return Take(toml::parse(toml));
  } catch (const toml::parse_error& error) {
    return InvalidArgumentError("line " + std::to_string(error.source().begin.line) + ": " +
                                std::string(error.description()));
  }
}

Result<ContainerdConfig> ReadContainerdConfig(const std::string& path, const std::string& address) {
  const std::string program = FindContainerd(address);
  if (program.empty()) return ReadFile(path);
  std::vector<std::string> command = {program};
  // Without a file it says what it is built with.
  if (os::OpenForReading(path).ok()) command.insert(command.end(), {"--config", path});
  command.insert(command.end(), {"config", "dump"});
  ASSIGN_OR_RETURN(const os::ProgramEnd end, os::RunProgram(command, os::Printed::kKept));
  if (end.exit_status != 0) {
    return FailedPreconditionError(program + " config dump: " + LastLine(end.said));
  }
  ASSIGN_OR_RETURN(ContainerdConfig config,
                   ParseContainerdConfig(end.printed).WithContext(program + " config dump"));
  config.source = "containerd config dump";
  return config;
}

}  // namespace daxfs::tools
