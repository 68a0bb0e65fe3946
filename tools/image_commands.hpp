// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "common/base/status.hpp"
#include "common/format/verify.hpp"

namespace daxfs::tools {

// Takes what a command prints, in parts. Errors end the command (a closed pipe, a full disk).
using Output = std::function<Status(std::string_view)>;

struct ImageCommand {
  std::string image;       // path of the image file
  std::string path = "/";  // inside the image
  bool json = false;
  bool recursive = false;                                  // ls
  format::VerifyLevel level = format::VerifyLevel::kFull;  // verify
};

// One function a subcommand of `daxfsctl image`. Errors: those of the image; kNotFound for a path
// it does not have; kInvalidArgument where the path is of the wrong kind.
Status ShowInfo(const ImageCommand& command, const Output& out);
Status ListDirectory(const ImageCommand& command, const Output& out);
Status ShowStat(const ImageCommand& command, const Output& out);
Status CopyContent(const ImageCommand& command, const Output& out);
Status VerifyImage(const ImageCommand& command, const Output& out);

}  // namespace daxfs::tools
