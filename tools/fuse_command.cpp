// SPDX-License-Identifier: Apache-2.0
#include "tools/fuse_command.hpp"

#include <algorithm>
#include <array>
#include <sstream>

namespace daxfs::tools {
namespace {

constexpr std::array<const char*, 12> kPassed = {
    "allow_other", "allow_root", "auto_unmount", "dev",   "nodev",   "suid",
    "nosuid",      "exec",       "noexec",       "atime", "noatime", "debug"};
// An image is read-only whatever mount(8) says.
constexpr std::array<const char*, 13> kDropped = {"defaults",
                                                  "ro",
                                                  "rw",
                                                  "auto",
                                                  "noauto",
                                                  "user",
                                                  "users",
                                                  "owner",
                                                  "group",
                                                  "nouser",
                                                  "nofail",
                                                  "_netdev",
                                                  "default_permissions"};

template <std::size_t kSize>
bool Holds(const std::array<const char*, kSize>& names, const std::string& name) {
  return std::any_of(names.begin(), names.end(), [&](const char* one) { return name == one; });
}

Status TakeOptions(const std::string& text, FuseCommand* command) {
  std::istringstream items(text);
  for (std::string item; std::getline(items, item, ',');) {
    if (Holds(kPassed, item)) {
      command->options.push_back(item);
    } else if (!item.empty() && !Holds(kDropped, item) && !item.starts_with("x-") &&
               !item.starts_with("comment=")) {
      return InvalidArgumentError("-o " + item + ": unknown option");
    }
  }
  return Status::Ok();
}

}  // namespace

Result<FuseCommand> ParseFuseCommand(const std::vector<std::string>& arguments) {
  FuseCommand command;
  std::vector<std::string> places;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--help" || argument == "-h") {
      command.help = true;
    } else if (argument == "--version" || argument == "-V") {
      command.version = true;
    } else if (argument == "-f") {
      command.foreground = true;
    } else if (argument == "-o") {
      if (++i == arguments.size()) return InvalidArgumentError("-o wants an argument");
      RETURN_IF_ERROR(TakeOptions(arguments[i], &command));
    } else if (argument.starts_with("-o")) {
      RETURN_IF_ERROR(TakeOptions(argument.substr(2), &command));
    } else if (argument.size() > 1 && argument[0] == '-') {
      return InvalidArgumentError("unknown option " + argument);
    } else {
      places.push_back(argument);
    }
  }
  if (command.help || command.version) return command;
  if (places.size() != 2) return InvalidArgumentError("wanted: IMAGE and MOUNTPOINT");
  command.image = places[0];
  command.mountpoint = places[1];
  return command;
}

}  // namespace daxfs::tools
