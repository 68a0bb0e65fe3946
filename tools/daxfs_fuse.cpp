// SPDX-License-Identifier: Apache-2.0
// daxfs-fuse: the same images through FUSE, for machines without the kernel module. Nothing is
// shared between kernels this way: every byte is copied into this kernel's page cache.
#define FUSE_USE_VERSION 312

#include <fuse_lowlevel.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/log.hpp"
#include "common/os/process.hpp"
#include "tools/fuse_command.hpp"
#include "tools/fuse_filesystem.hpp"
#include "tools/open_pool.hpp"

namespace daxfs::tools {
namespace {

constexpr int kFailed = 1;
constexpr int kUsageError = 2;
constexpr int kNoImage = 3;
constexpr int kNoRoom = 4;
constexpr double kForever = std::numeric_limits<double>::max();  // images do not change

constexpr const char* kUsage = R"(Usage: daxfs-fuse [-f] [-o OPTIONS] IMAGE MOUNTPOINT

Mounts a DAXFS image read-only through FUSE. This is not the kernel module: the image's pages are
copied into the page cache instead of being mapped.

IMAGE is a file, or pool:POOL:NAME or pool:POOL:sha256:DIGEST, an image in a pool, which stays there
as long as it is mounted.

  -f            stay in the foreground
  -o OPTIONS    allow_other allow_root auto_unmount; dev suid exec atime and their opposites;
                debug; what mount(8) adds (ro, rw, defaults, x-...) has no effect
  --help  --version

Unmount with umount or fusermount3 -u; SIGTERM and SIGINT unmount too.
Exit status: 0 mounted (with -f: unmounted again), 1 failed, 2 wrong usage, 3 no such IMAGE,
4 something is used up: its pool takes no participant more.
)";

FuseFilesystem& Self(fuse_req_t request) {
  return *static_cast<FuseFilesystem*>(fuse_req_userdata(request));
}

int ErrnoOf(const Status& status) {
  if (status.error_number() != 0) return status.error_number();
  switch (status.code()) {
    case StatusCode::kDataLoss:
      return EUCLEAN;
    case StatusCode::kNotFound:
      return ENOENT;
    case StatusCode::kInvalidArgument:
      return EINVAL;
    default:
      return EIO;
  }
}

void Refuse(fuse_req_t request, const Status& status) { fuse_reply_err(request, ErrnoOf(status)); }

fuse_entry_param ToParam(const struct stat& attributes) {
  fuse_entry_param param = {};
  param.ino = attributes.st_ino;
  param.generation = 1;
  param.attr = attributes;
  param.attr_timeout = kForever;
  param.entry_timeout = kForever;
  return param;
}

void Init(void* /*self*/, fuse_conn_info* connection) {
  // Nothing changes behind the kernel's back; permissions are its own business, ACLs included.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_AUTO_INVAL_DATA);
  constexpr unsigned kWanted = FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_CACHE_SYMLINKS |
                               FUSE_CAP_ASYNC_READ | FUSE_CAP_POSIX_ACL | FUSE_CAP_READDIRPLUS |
                               FUSE_CAP_READDIRPLUS_AUTO;
  connection->want |= connection->capable & kWanted;
}

void Lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  const Result<struct stat> found = Self(request).Lookup(parent, name);
  if (!found.ok() && ErrnoOf(found.status()) != ENOENT) return Refuse(request, found.status());
  // Number 0: there is no such name, and never will be.
  const struct stat nothing {};
  const fuse_entry_param param = ToParam(found.ok() ? *found : nothing);
  fuse_reply_entry(request, &param);
}

void GetAttributes(fuse_req_t request, fuse_ino_t number, fuse_file_info* /*file*/) {
  const Result<struct stat> attributes = Self(request).GetAttributes(number);
  if (!attributes.ok()) return Refuse(request, attributes.status());
  fuse_reply_attr(request, &*attributes, kForever);
}

void ReadLink(fuse_req_t request, fuse_ino_t number) {
  const Result<std::string> target = Self(request).ReadLink(number);
  if (!target.ok()) return Refuse(request, target.status());
  fuse_reply_readlink(request, target->c_str());
}

void Open(fuse_req_t request, fuse_ino_t number, fuse_file_info* file) {
  const Status status = Self(request).Open(number);
  if (!status.ok()) return Refuse(request, status);
  file->keep_cache = 1;
  file->noflush = 1;
  fuse_reply_open(request, file);
}

void OpenDirectory(fuse_req_t request, fuse_ino_t number, fuse_file_info* file) {
  const Status status = Self(request).OpenDirectory(number);
  if (!status.ok()) return Refuse(request, status);
  file->keep_cache = 1;
  file->cache_readdir = 1;
  fuse_reply_open(request, file);
}

void Read(fuse_req_t request, fuse_ino_t number, std::size_t size, off_t offset,
          fuse_file_info* /*file*/) {
  const Result<std::vector<struct iovec>> pieces =
      Self(request).Read(number, static_cast<std::uint64_t>(offset), size);
  if (!pieces.ok()) return Refuse(request, pieces.status());
  fuse_reply_iov(request, pieces->data(), static_cast<int>(pieces->size()));
}

// `add` puts one entry into the rest of the reply and says how much it would need.
template <typename Add>
void List(fuse_req_t request, fuse_ino_t number, std::size_t size, off_t offset, bool whole,
          Add add) {
  std::vector<char> reply(size);
  std::size_t used = 0;
  for (auto at = static_cast<std::uint64_t>(offset);;) {
    const Result<FuseFilesystem::Entry> entry = Self(request).EntryAt(number, at, whole);
    if (!entry.ok() && used == 0 && entry.status().code() != StatusCode::kNotFound) {
      return Refuse(request, entry.status());
    }
    if (!entry.ok()) break;
    const std::size_t needed = add(reply.data() + used, size - used, *entry);
    if (needed > size - used) break;
    used += needed;
    at = entry->next;
  }
  fuse_reply_buf(request, reply.data(), used);
}

void ReadDirectory(fuse_req_t request, fuse_ino_t number, std::size_t size, off_t offset,
                   fuse_file_info* /*file*/) {
  List(request, number, size, offset, false,
       [&](char* to, std::size_t room, const FuseFilesystem::Entry& entry) {
         return fuse_add_direntry(request, to, room, entry.name.c_str(), &entry.attributes,
                                  static_cast<off_t>(entry.next));
       });
}

void ReadDirectoryPlus(fuse_req_t request, fuse_ino_t number, std::size_t size, off_t offset,
                       fuse_file_info* /*file*/) {
  List(request, number, size, offset, true,
       [&](char* to, std::size_t room, const FuseFilesystem::Entry& entry) {
         fuse_entry_param param = ToParam(entry.attributes);
         if (!entry.good) param.ino = 0;  // listed, to be looked up when somebody wants it
         return fuse_add_direntry_plus(request, to, room, entry.name.c_str(), &param,
                                       static_cast<off_t>(entry.next));
       });
}

// The two steps of getxattr(2) and listxattr(2): how many bytes, then the bytes.
void ReplyXattr(fuse_req_t request, std::string_view value, std::size_t size) {
  if (size == 0) {
    fuse_reply_xattr(request, value.size());
  } else if (value.size() > size) {
    fuse_reply_err(request, ERANGE);
  } else {
    fuse_reply_buf(request, value.data(), value.size());
  }
}

void GetXattr(fuse_req_t request, fuse_ino_t number, const char* name, std::size_t size) {
  const Result<std::string_view> value = Self(request).GetXattr(number, name);
  if (!value.ok()) return Refuse(request, value.status());
  ReplyXattr(request, *value, size);
}

void ListXattrs(fuse_req_t request, fuse_ino_t number, std::size_t size) {
  const Result<std::string> names = Self(request).ListXattrs(number);
  if (!names.ok()) return Refuse(request, names.status());
  ReplyXattr(request, *names, size);
}

void Statistics(fuse_req_t request, fuse_ino_t /*number*/) {
  const struct statvfs statistics = Self(request).Statistics();
  fuse_reply_statfs(request, &statistics);
}

void Seek(fuse_req_t request, fuse_ino_t number, off_t offset, int whence,
          fuse_file_info* /*file*/) {
  const Result<std::uint64_t> found =
      Self(request).Seek(number, static_cast<std::uint64_t>(offset), whence == SEEK_HOLE);
  if (!found.ok()) return Refuse(request, found.status());
  fuse_reply_lseek(request, static_cast<off_t>(*found));
}

fuse_lowlevel_ops Operations() {
  fuse_lowlevel_ops operations = {};
  operations.init = Init;
  operations.lookup = Lookup;
  operations.getattr = GetAttributes;
  operations.readlink = ReadLink;
  operations.open = Open;
  operations.read = Read;
  operations.opendir = OpenDirectory;
  operations.readdir = ReadDirectory;
  operations.readdirplus = ReadDirectoryPlus;
  operations.getxattr = GetXattr;
  operations.listxattr = ListXattrs;
  operations.statfs = Statistics;
  operations.lseek = Seek;
  return operations;
}

// libfuse's arguments: freed with their owner.
class Arguments {
 public:
  Arguments() { Add("daxfs-fuse"); }
  ~Arguments() {
    fuse_opt_free_args(&args_);
    std::free(options_);
  }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  // One option, whatever characters are in it.
  void AddOption(const std::string& option) {
    DAXFS_CHECK(fuse_opt_add_opt_escaped(&options_, option.c_str()) == 0);
  }
  fuse_args* Get() {
    Add("-o");
    Add(options_);
    return &args_;
  }

 private:
  void Add(const char* argument) { DAXFS_CHECK(fuse_opt_add_arg(&args_, argument) == 0); }

  fuse_args args_ = FUSE_ARGS_INIT(0, nullptr);
  char* options_ = nullptr;
};

struct DestroySession {
  void operator()(fuse_session* session) const { fuse_session_destroy(session); }
};

// Answers the kernel until the mount is gone or a signal comes.
Status Serve(fuse_session* session) {
  const std::unique_ptr<fuse_loop_config, void (*)(fuse_loop_config*)> config(
      fuse_loop_cfg_create(), fuse_loop_cfg_destroy);
  const int result = fuse_session_loop_mt(session, config.get());
  if (result < 0) return Status::FromErrno(-result, "/dev/fuse");
  return Status::Ok();  // positive: the signal that ended it
}

void Announce(const std::string& image, const std::string& mountpoint) {
  std::fprintf(stderr,
               "daxfs-fuse: %s on %s through FUSE; this is not the kernel module: its pages are "
               "copied, not shared\n",
               image.c_str(), mountpoint.c_str());
}

void Complain(const Status& status) {
  std::fprintf(stderr, "daxfs-fuse: %s\n", status.message().c_str());
}

// Of an image that cannot be opened.
int ExitStatusOf(const Status& status) {
  if (status.code() == StatusCode::kNotFound) return kNoImage;
  return status.code() == StatusCode::kResourceExhausted ? kNoRoom : kFailed;
}

// Serves the mount until it is gone. `background`: who is told that it is there, or null.
int Mount(const FuseCommand& command, const std::string& image, const std::string& mountpoint,
          FuseFilesystem& filesystem, os::Background* background) {
  Arguments arguments;
  for (const std::string& option : command.options) arguments.AddOption(option);
  for (const char* option : {"ro", "default_permissions", "subtype=daxfs"}) {
    arguments.AddOption(option);
  }
  arguments.AddOption("fsname=daxfs-fuse#" + image);
  const fuse_lowlevel_ops operations = Operations();
  const std::unique_ptr<fuse_session, DestroySession> session(
      fuse_session_new(arguments.Get(), &operations, sizeof(operations), &filesystem));
  // What went wrong libfuse has said itself.
  if (session == nullptr || fuse_set_signal_handlers(session.get()) != 0) return kFailed;
  Status status;
  const bool mounted = fuse_session_mount(session.get(), mountpoint.c_str()) == 0;
  if (mounted) {
    Announce(image, mountpoint);
    if (background != nullptr) status = background->Detach();
    if (status.ok()) status = Serve(session.get());
    fuse_session_unmount(session.get());
  }
  fuse_remove_signal_handlers(session.get());
  if (!status.ok()) Complain(status);
  return mounted && status.ok() ? 0 : kFailed;
}

int Run(const FuseCommand& command) {
  // Whole: a program in the background works in the root directory.
  std::error_code error;
  const std::string mountpoint = std::filesystem::canonical(command.mountpoint, error).string();
  if (!error && !std::filesystem::is_directory(mountpoint, error) && !error) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  if (error) {
    Complain(Status::FromErrno(error.value(), command.mountpoint));
    return kFailed;
  }
  std::optional<os::Background> background;
  if (!command.foreground) {
    // Before it takes part in a pool: it is this process that serves.
    Result<os::Background> begun = os::Background::Begin();
    if (!begun.ok()) {
      Complain(begun.status());
      return kFailed;
    }
    background.emplace(*std::move(begun));
  }
  const Result<OpenedImage> opened = OpenedImage::Open(command.image, "daxfs-fuse");
  if (!opened.ok()) {
    Complain(opened.status());
    return ExitStatusOf(opened.status());
  }
  base::StderrSink sink;
  base::Logger log(sink, {base::LogLevel::kInfo, base::LogFormat::kText, false});
  FuseFilesystem filesystem(**opened, log);
  return Mount(command, opened->source(), mountpoint, filesystem,
               background ? &*background : nullptr);
}

int Main(const std::vector<std::string>& arguments) {
  const Result<FuseCommand> command = ParseFuseCommand(arguments);
  if (!command.ok()) {
    std::fprintf(stderr, "daxfs-fuse: %s\nTry: daxfs-fuse --help\n",
                 command.status().message().c_str());
    return kUsageError;
  }
  if (command->help || command->version) {
    std::fputs(command->help ? kUsage : "daxfs-fuse " DAXFS_VERSION_TEXT "\n", stdout);
    return 0;
  }
  return Run(*command);
}

}  // namespace
}  // namespace daxfs::tools

int main(int argc, char** argv) {
  try {
    return daxfs::tools::Main({argv + 1, argv + argc});
  } catch (const std::exception& error) {  // a library's: ours throws nothing
    std::fprintf(stderr, "daxfs-fuse: %s\n", error.what());
    return 1;
  }
}
