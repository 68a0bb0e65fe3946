// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/format/verify.hpp"
#include "tools/context.hpp"

namespace daxfs::tools {

struct ImageCommand {
  std::string image;                                       // path of the image file
  std::string path = "/";                                  // ls: inside the image
  std::vector<std::string> paths;                          // stat, cat
  std::string other;                                       // diff: the second image
  std::string output = "-";                                // dump, extract
  bool json = false;                                       // one object a line
  bool recursive = false;                                  // ls
  bool layout = false;                                     // diff: also where things lie
  bool skip_sockets = false;                               // extract
  format::VerifyLevel level = format::VerifyLevel::kFull;  // verify
};

// One function a subcommand of `daxfsctl image`. Errors: those of the image; kNotFound for a path
// it does not have; kInvalidArgument where the path is of the wrong kind.
Status ShowInfo(const ImageCommand& command, Context& context);
Status ListDirectory(const ImageCommand& command, Context& context);
Status ShowStat(const ImageCommand& command, Context& context);
Status CopyContent(const ImageCommand& command, Context& context);
Status VerifyImage(const ImageCommand& command, Context& context);
Status DumpImage(const ImageCommand& command, Context& context);
// Requires: the output is dir:PATH or tar:FILE.
Status ExtractImage(const ImageCommand& command, Context& context);
// Sets context.differ.
Status DiffImage(const ImageCommand& command, Context& context);

}  // namespace daxfs::tools
