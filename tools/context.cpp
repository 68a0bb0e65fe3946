// SPDX-License-Identifier: Apache-2.0
#include "tools/context.hpp"

#include <memory>

#include "common/os/atomic_file.hpp"

namespace daxfs::tools {

Status WriteOutput(const std::string& path, Context& context,
                   const std::function<Status(const Output&)>& write) {
  if (path == "-") return write(context.out);
  ASSIGN_OR_RETURN(const std::unique_ptr<os::AtomicFile> file, os::AtomicFile::Create(path));
  std::uint64_t offset = 0;
  RETURN_IF_ERROR(write([&](std::string_view text) {
    offset += text.size();
    return file->Write(offset - text.size(), std::as_bytes(std::span(text)));
  }));
  return file->Commit();
}

}  // namespace daxfs::tools
