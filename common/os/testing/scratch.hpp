// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "common/os/temp_dir.hpp"

namespace daxfs::os::testing {

// A directory of one test's own, under $TMPDIR or /tmp; removed when it goes. Stops the test if it
// cannot.
class Scratch {
 public:
  Scratch();

  const std::string& path() const { return dir_.path(); }
  std::string Path(std::string_view name) const { return dir_.path() + "/" + std::string(name); }

 private:
  TempDir dir_;
};

// Writes (reads) a small file, stopping the test on failure.
void WriteFile(const std::string& path, std::string_view content);
std::string ReadFile(const std::string& path);
// How many entries the directory has.
std::size_t CountEntries(const std::string& path);

}  // namespace daxfs::os::testing
