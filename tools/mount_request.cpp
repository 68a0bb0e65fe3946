// SPDX-License-Identifier: Apache-2.0
#include "tools/mount_request.hpp"

#include <linux/mount.h>

#include <algorithm>
#include <array>
#include <sstream>

namespace daxfs::tools {
namespace {

struct Attribute {
  const char* name;
  std::uint64_t bit;
};

constexpr std::array<Attribute, 7> kAttributes = {{{"nosuid", MOUNT_ATTR_NOSUID},
                                                   {"nodev", MOUNT_ATTR_NODEV},
                                                   {"noexec", MOUNT_ATTR_NOEXEC},
                                                   {"noatime", MOUNT_ATTR_NOATIME},
                                                   {"nodiratime", MOUNT_ATTR_NODIRATIME},
                                                   {"relatime", MOUNT_ATTR_RELATIME},
                                                   {"strictatime", MOUNT_ATTR_STRICTATIME}}};

// Of mount(8) and fstab(5), nothing to the kernel.
// mount(8) says "rw" unless told otherwise; an image is read-only all the same.
constexpr std::array<const char*, 13> kDropped = {"defaults", "ro",    "rw",    "auto",   "noauto",
                                                  "user",     "users", "owner", "nouser", "nofail",
                                                  "suid",     "dev",   "exec"};

Status TakeFlags(const std::string& letters, MountCommand* command) {
  for (const char letter : letters) {
    switch (letter) {
      case 'f':
        command->fake = true;
        break;
      case 'v':
        command->verbose = true;
        break;
      case 's':  // sloppy: kept for mount(8); unknown options are still refused by the kernel
      case 'n':  // no mtab: there is none
        break;
      default:
        return InvalidArgumentError(std::string("unknown option -") + letter);
    }
  }
  return Status::Ok();
}

void TakeOption(const std::string& item, os::MountRequest* request) {
  if (item.empty() || item.rfind("x-", 0) == 0 || item.rfind("comment=", 0) == 0 ||
      item == "_netdev") {
    return;
  }
  if (std::any_of(kDropped.begin(), kDropped.end(), [&](auto name) { return item == name; })) {
    return;
  }
  for (const Attribute& attribute : kAttributes) {
    if (item == attribute.name) {
      request->attributes |= attribute.bit;
      return;
    }
  }
  const std::size_t equals = item.find('=');
  request->options.emplace_back(item.substr(0, equals),
                                equals == std::string::npos ? "" : item.substr(equals + 1));
}

}  // namespace

Result<MountCommand> ParseMountCommand(const std::vector<std::string>& arguments) {
  MountCommand command;
  std::vector<std::string> places;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--help" || argument == "-h") {
      command.help = true;
    } else if (argument == "--version" || argument == "-V") {
      command.version = true;
    } else if (argument == "-o" || argument == "-t" || argument == "-N") {
      if (++i == arguments.size()) return InvalidArgumentError(argument + " wants an argument");
      if (argument == "-N") return InvalidArgumentError("-N: other mount namespaces: use nsenter");
      if (argument == "-o") command.options += (command.options.empty() ? "" : ",") + arguments[i];
    } else if (argument.size() > 1 && argument[0] == '-') {
      RETURN_IF_ERROR(TakeFlags(argument.substr(1), &command));
    } else {
      places.push_back(argument);
    }
  }
  if (command.help || command.version) return command;
  if (places.size() != 2) return InvalidArgumentError("wanted: SOURCE and DIR");
  command.source = places[0];
  command.target = places[1];
  return command;
}

os::MountRequest MakeRequest(const MountCommand& command) {
  os::MountRequest request{"daxfs", command.source, command.target, {}, MOUNT_ATTR_RDONLY};
  std::istringstream items(command.options);
  for (std::string item; std::getline(items, item, ',');) TakeOption(item, &request);
  return request;
}

bool HasOption(const os::MountRequest& request, const std::string& key) {
  return std::any_of(request.options.begin(), request.options.end(),
                     [&](const auto& option) { return option.first == key; });
}

}  // namespace daxfs::tools
