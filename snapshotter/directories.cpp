// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/directories.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <string_view>

#include "common/os/directory.hpp"
#include "common/os/file_tree.hpp"
#include "common/os/system.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::snapshotter {
namespace {

// All of `text` as a number without sign or zeros in front.
std::optional<std::int64_t> ParseId(std::string_view text) {
  std::int64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  constexpr std::int64_t kMost = std::int64_t{1} << 48;  // nobody gets there
  if (error != std::errc() || end != text.data() + text.size() || std::to_string(id) != text ||
      id < 1 || id > kMost) {
    return std::nullopt;
  }
  return id;
}

constexpr std::uint32_t kPrivate = 0700;
constexpr std::uint32_t kRootMode = 0755;  // of every container's root, as containerd's
constexpr std::uint32_t kWorkMode = 0711;

}  // namespace

Result<Directories> Directories::Open(const std::string& root) {
  RETURN_IF_ERROR(os::MakeDirectories(root));
  const std::string snapshots = root + "/snapshots";
  const Status made = os::MakeDirectory(snapshots, kPrivate);
  if (!made.ok() && made.code() != StatusCode::kAlreadyExists) return made;
  return Directories(snapshots);
}

Status Directories::Make(const Snapshot& snapshot) const {
  const std::int64_t id = snapshot.layer.id;
  Status made = os::MakeDirectory(Path(id), kPrivate);
  if (made.code() == StatusCode::kAlreadyExists) {
    RETURN_IF_ERROR(Remove(id));
    made = os::MakeDirectory(Path(id), kPrivate);
  }
  if (made.ok()) made = os::MakeDirectory(Layer(id), kRootMode);
  if (made.ok() && snapshot.info.kind == Kind::kActive) {
    made = os::MakeDirectory(Work(id), kWorkMode);
  }
  if (!made.ok()) static_cast<void>(Remove(id));
  return made;
}

Status Directories::MakeMissing(const Snapshot& snapshot) const {
  const std::int64_t id = snapshot.layer.id;
  const auto make = [](const std::string& path, std::uint32_t mode) {
    const Status made = os::MakeDirectory(path, mode);
    return made.code() == StatusCode::kAlreadyExists ? Status::Ok() : made;
  };
  RETURN_IF_ERROR(make(Path(id), kPrivate));
  if (snapshot.info.kind != Kind::kActive) return Status::Ok();
  RETURN_IF_ERROR(make(Work(id), kWorkMode));
  // What is written over an image.
  return snapshot.layer.image ? make(Over(id), kRootMode) : Status::Ok();
}

Status Directories::Remove(std::int64_t id) const { return os::RemoveTree(Path(id)); }

Result<std::string> Directories::PutAside() const {
  std::string aside = root_ + ".lost-" + std::to_string(os::WallClockSeconds());
  if (::rename(root_.c_str(), aside.c_str()) != 0) return Status::FromErrno(errno, aside);
  RETURN_IF_ERROR(os::MakeDirectory(root_, kPrivate));
  const std::string above = root_.substr(0, root_.rfind('/'));
  const os::UniqueFd fd(::open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || ::fsync(fd.get()) != 0) return Status::FromErrno(errno, above);
  return aside;
}

Result<std::vector<std::int64_t>> Directories::List() const {
  ASSIGN_OR_RETURN(const os::Directory directory, os::Directory::Open(root_));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, directory.Names());
  std::vector<std::int64_t> ids;
  for (const std::string& name : names) {
    if (const std::optional<std::int64_t> id = ParseId(name)) ids.push_back(*id);
  }
  return ids;
}

std::optional<std::int64_t> Directories::IdOf(const std::string& path) const {
  const std::string prefix = root_ + "/";
  if (path.rfind(prefix, 0) != 0) return std::nullopt;
  const std::string_view rest = std::string_view(path).substr(prefix.size());
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view name = rest.substr(slash);
  if (name != "/fs" && name != "/up") return std::nullopt;
  return ParseId(rest.substr(0, slash));
}

}  // namespace daxfs::snapshotter
