// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace daxfs::snapshotter {

// Values as in containerd.services.snapshots.v1.Kind.
enum class Kind { kView = 1, kActive = 2, kCommitted = 3 };

// "view", "active" or "committed".
const char* KindName(Kind kind);

using Labels = std::map<std::string, std::string>;

// A snapshot as containerd knows it. Keys and names are opaque bytes.
struct Info {
  std::string name;
  std::string parent;  // "" for none
  Kind kind = Kind::kActive;
  std::int64_t created_ns = 0;  // since 1970
  std::int64_t updated_ns = 0;
  Labels labels;
  bool operator==(const Info&) const = default;
};

// What a snapshot takes itself, without its parents.
struct Usage {
  std::int64_t bytes = 0;
  std::int64_t inodes = 0;
  bool operator==(const Usage&) const = default;
};

// One mount of those that make a snapshot visible, as mount(8) takes it.
struct Mount {
  std::string type;
  std::string source;
  std::vector<std::string> options;
  bool operator==(const Mount&) const = default;
};

}  // namespace daxfs::snapshotter
