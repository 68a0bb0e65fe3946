// SPDX-License-Identifier: Apache-2.0
#include "common/os/file_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "common/os/unique_fd.hpp"

namespace daxfs::os {
namespace {

constexpr std::uint64_t kBlockBytes = 512;  // of st_blocks
constexpr std::uint64_t kEntriesBetweenLooks = 1000;
// Directories open at a time. While removing, what lies deeper is moved up first.
constexpr std::size_t kDepthMax = 64;

struct CloseDirectory {
  void operator()(DIR* stream) const { ::closedir(stream); }
};
using Stream = std::unique_ptr<DIR, CloseDirectory>;

bool IsDots(std::string_view name) { return name == "." || name == ".."; }

// A directory directly in `parent`, or above it, on the same mount.
Result<Stream> OpenIn(int parent, const char* name, std::uint64_t resolve = RESOLVE_BENEATH) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  if (parent != AT_FDCWD) how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | resolve;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, parent, name, &how, sizeof(how))));
  if (!fd.valid()) return Status::FromErrno(errno, name);
  Stream stream(::fdopendir(fd.get()));
  if (!stream) return Status::FromErrno(errno, name);
  fd.Release();
  return stream;
}

// The next name that is not "." or ".."; nothing at the end.
const dirent* Next(DIR* stream) {
  for (;;) {
    const dirent* entry = ::readdir(stream);
    if (entry == nullptr || !IsDots(entry->d_name)) return entry;
  }
}

// Removes one directory's content, keeping the first error and going on.
class Remover {
 public:
  explicit Remover(Stream top) { levels_.push_back({std::move(top), {}}); }

  Status Run() {
    while (!levels_.empty()) {
      const dirent* entry = Next(levels_.back().stream.get());
      if (entry != nullptr) {
        Remove(entry->d_name);
      } else {
        Leave();
      }
    }
    return status_;
  }

 private:
  struct Level {
    Stream stream;
    std::string name;  // in the level above
  };

  int FdOf(std::size_t level) const { return ::dirfd(levels_[level].stream.get()); }

  void Keep(int error, const std::string& name) {
    if (status_.ok()) status_ = Status::FromErrno(error, name);
  }

  void Remove(const std::string& name) {
    const int directory = FdOf(levels_.size() - 1);
    if (::unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) return;
    if (errno != EISDIR) return Keep(errno, name);
    if (levels_.size() >= kDepthMax) return MoveUp(directory, name);
    Result<Stream> opened = OpenIn(directory, name.c_str());
    if (opened.ok()) {
      levels_.push_back({*std::move(opened), name});
    } else if (opened.status().error_number() != ENOENT && status_.ok()) {
      status_ = opened.status();
    }
  }

  void MoveUp(int directory, const std::string& name) {
    const std::string moved = ".deep" + std::to_string(moves_++);
    if (::renameat2(directory, name.c_str(), FdOf(0), moved.c_str(), RENAME_NOREPLACE) != 0) {
      Keep(errno, name);
    }
  }

  void Leave() {
    const std::string name = levels_.back().name;
    // What came meanwhile, or was moved up here, may lie in front of where reading is.
    if (levels_.size() == 1 && moves_ > moves_seen_) {
      moves_seen_ = moves_;
      ::rewinddir(levels_.back().stream.get());
      return;
    }
    levels_.pop_back();
    if (levels_.empty()) return;
    if (::unlinkat(FdOf(levels_.size() - 1), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      Keep(errno, name);
    }
  }

  std::vector<Level> levels_;
  std::uint64_t moves_ = 0;
  std::uint64_t moves_seen_ = 0;
  Status status_;
};

// Counts one directory's content.
class Measurer {
 public:
  explicit Measurer(const std::function<bool()>& cancelled) : cancelled_(cancelled) {}
  const TreeUsage& usage() const { return usage_; }

  Status Run(Stream top) {
    struct stat info {};
    if (::fstat(::dirfd(top.get()), &info) != 0) return Status::FromErrno(errno, "fstat");
    Count(info);
    Enter(std::move(top), info);
    for (std::uint64_t entries = 0; !levels_.empty(); ++entries) {
      // Asking gRPC takes ten times as long as looking at a file.
      if (entries % kEntriesBetweenLooks == 0 && cancelled_()) {
        return CancelledError("counting was given up");
      }
      const dirent* entry = Next(levels_.back().stream.get());
      RETURN_IF_ERROR(entry == nullptr ? Leave() : Look(entry->d_name));
    }
    return Status::Ok();
  }

 private:
  struct Level {
    Stream stream;  // of the deepest kDepthMax
    std::pair<dev_t, ino_t> identity;
    long position = 0;  // behind what was read of a stream that is closed
  };

  void Count(const struct stat& info) {
    if (info.st_nlink > 1 && !S_ISDIR(info.st_mode) &&
        !seen_.emplace(info.st_dev, info.st_ino).second) {
      return;
    }
    usage_.bytes += static_cast<std::uint64_t>(info.st_blocks) * kBlockBytes;
    ++usage_.inodes;
  }

  Status Look(const char* name) {
    const int directory = ::dirfd(levels_.back().stream.get());
    struct stat info {};
    if (::fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return errno == ENOENT ? Status::Ok() : Status::FromErrno(errno, name);
    }
    Count(info);
    if (!S_ISDIR(info.st_mode)) return Status::Ok();
    Result<Stream> below = OpenIn(directory, name);
    if (!below.ok()) {
      const int error = below.status().error_number();
      const bool gone = error == ENOENT || error == ENOTDIR || error == EXDEV || error == ELOOP;
      return gone ? Status::Ok() : std::move(below).status();
    }
    if (::fstat(::dirfd(below->get()), &info) != 0) return Status::FromErrno(errno, name);
    Enter(*std::move(below), info);
    return Status::Ok();
  }

  void Enter(Stream stream, const struct stat& directory) {
    levels_.push_back({std::move(stream), {directory.st_dev, directory.st_ino}, 0});
    if (levels_.size() <= kDepthMax) return;
    Level& high = levels_[levels_.size() - 1 - kDepthMax];
    if (!high.stream) return;
    high.position = ::telldir(high.stream.get());
    high.stream.reset();
  }

  // Back to the directory above, open again where it was.
  Status Leave() {
    const Stream left = std::move(levels_.back().stream);
    levels_.pop_back();
    if (levels_.empty() || levels_.back().stream) return Status::Ok();
    Level& above = levels_.back();
    ASSIGN_OR_RETURN(above.stream, OpenIn(::dirfd(left.get()), "..", 0));
    struct stat info {};
    if (::fstat(::dirfd(above.stream.get()), &info) != 0 ||
        above.identity != std::pair(info.st_dev, info.st_ino)) {
      return UnavailableError("a directory was moved while it was counted");
    }
    ::seekdir(above.stream.get(), above.position);
    return Status::Ok();
  }

  const std::function<bool()>& cancelled_;
  TreeUsage usage_;
  std::set<std::pair<dev_t, ino_t>> seen_;  // those with several names
  std::vector<Level> levels_;
};

}  // namespace

Status RemoveTree(const std::string& path) {
  Result<Stream> top = OpenIn(AT_FDCWD, path.c_str());
  if (!top.ok()) {
    return top.status().error_number() == ENOENT ? Status::Ok() : std::move(top).status();
  }
  const Status emptied = Remover(*std::move(top)).Run();
  if (!emptied.ok()) return emptied.WithContext(path);
  return RemoveDirectory(path);
}

Result<TreeUsage> MeasureTree(const std::string& path, const std::function<bool()>& cancelled) {
  ASSIGN_OR_RETURN(Stream top, OpenIn(AT_FDCWD, path.c_str()));
  Measurer measurer(cancelled);
  const Status measured = measurer.Run(std::move(top));
  if (!measured.ok()) return measured.WithContext(path);
  return measurer.usage();
}

Status MakeDirectory(const std::string& path, std::uint32_t mode) {
  return ::mkdir(path.c_str(), mode) == 0 ? Status::Ok() : Status::FromErrno(errno, path);
}

Status RemoveDirectory(const std::string& path) {
  return ::rmdir(path.c_str()) == 0 ? Status::Ok() : Status::FromErrno(errno, path);
}

Status ChangeOwner(const std::string& path, std::uint32_t uid, std::uint32_t gid) {
  return ::lchown(path.c_str(), uid, gid) == 0 ? Status::Ok() : Status::FromErrno(errno, path);
}

}  // namespace daxfs::os
