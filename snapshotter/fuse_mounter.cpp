// SPDX-License-Identifier: Apache-2.0
// Mounts by daxfs-fuse, one process each, which takes part in the pool itself.
#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "common/os/mount.hpp"
#include "common/os/process.hpp"
#include "common/os/unique_fd.hpp"
#include "snapshotter/mounter.hpp"

namespace daxfs::snapshotter {
namespace {

constexpr const char* kFuse = "/dev/fuse";
// docs/daxfs-fuse.md, exit status
constexpr int kNoImage = 3;
constexpr int kNoRoom = 4;
// As a layer in a directory: for all, with device nodes and set-id bits.
constexpr const char* kOptions = "allow_other,dev,suid";

class FuseMounter final : public Mounter {
 public:
  FuseMounter(std::string pool, std::string program)
      : pool_(std::move(pool)), program_(std::move(program)) {}

  const char* name() const override { return "fuse"; }

  Status Mount(const oci::Digest& root, const std::string& path) override {
    // What is left there of a process that was killed.
    RETURN_IF_ERROR(os::Unmount(path));
    const std::string image = "pool:" + pool_ + ":" + root.ToString();
    const Result<os::ProgramEnd> end = os::RunProgram({program_, "-o", kOptions, image, path});
    // Not kNotFound, which would be said of the image.
    if (!end.ok()) return FailedPreconditionError(end.status().message());
    if (end->exit_status == 0) return Status::Ok();
    if (end->exit_status == kNoImage) return NotFoundError(end->said);
    if (end->exit_status == kNoRoom) return ResourceExhaustedError(end->said);
    return InternalError(program_ + ": exit status " + std::to_string(end->exit_status) + ": " +
                         end->said);
  }
  // Its process ends with its last user.
  Status Unmount(const std::string& path) override { return os::Unmount(path); }

 private:
  const std::string pool_;
  const std::string program_;
};

}  // namespace

Result<std::unique_ptr<Mounter>> MakeFuseMounter(const std::string& pool,
                                                 const std::string& fuse_program) {
  const os::UniqueFd fuse(::open(kFuse, O_RDWR | O_CLOEXEC));
  if (!fuse.valid()) {
    const Status why = Status::FromErrno(errno, kFuse);
    return FailedPreconditionError(why.message() + ": modprobe fuse");
  }
  if (!os::IsProgram(fuse_program)) {
    return FailedPreconditionError("there is no program " + fuse_program + ": install daxfs-fuse");
  }
  return std::unique_ptr<Mounter>(std::make_unique<FuseMounter>(pool, fuse_program));
}

}  // namespace daxfs::snapshotter
