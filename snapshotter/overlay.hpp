// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "snapshotter/snapshot.hpp"

namespace daxfs::snapshotter {

struct Owner {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

// Who root is on this host for a container whose ids are mapped, by the labels
// containerd.io/snapshot/uidmapping and .../gidmapping ("CONTAINER:HOST:LENGTH", several with
// commas); nothing without them. Errors: kInvalidArgument if they map no root.
Result<std::optional<Owner>> MappedRoot(const Labels& labels);

// What a snapshot is mounted of.
struct Pieces {
  Kind kind = Kind::kActive;
  std::string upper;                // directory that is written to
  std::string work;                 // OverlayFS's own
  std::vector<std::string> lowers;  // the uppermost first
};

// The mounts that show it, OverlayFS's with `options` besides: a bind mount where there is nothing
// to lay over each other. Errors: kFailedPrecondition above the 500 layers OverlayFS takes.
Result<std::vector<Mount>> ComposeMounts(const Pieces& pieces, const Labels& labels,
                                         const std::vector<std::string>& options);

// Whether directories that are written to under OverlayFS may say that their content is elsewhere
// in the layers below (redirect_dir, metacopy), by these options or by what the kernel does
// without.
bool MayRedirect(const std::vector<std::string>& options);

// Of such a mount, the directory that is written to; nothing if there is none.
std::optional<std::string> WrittenDirectory(const Mount& mount);

}  // namespace daxfs::snapshotter
