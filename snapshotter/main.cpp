// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/impl/service_type.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "common/base/log.hpp"
#include "common/containerd/content.hpp"
#include "common/os/file_io.hpp"
#include "common/os/process.hpp"
#include "common/os/service_manager.hpp"
#include "common/os/signal_watcher.hpp"
#include "common/os/system.hpp"
#include "common/os/unix_socket.hpp"
#include "common/pool/config.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/membership.hpp"
#include "common/rpc/server.hpp"
#include "snapshotter/admin_service.hpp"
#include "snapshotter/applier.hpp"
#include "snapshotter/catalog.hpp"
#include "snapshotter/command_line.hpp"
#include "snapshotter/diff_service.hpp"
#include "snapshotter/live.hpp"
#include "snapshotter/metrics.hpp"
#include "snapshotter/mounter.hpp"
#include "snapshotter/no_images.hpp"
#include "snapshotter/pool_images.hpp"
#include "snapshotter/snapshots_service.hpp"

namespace daxfs::snapshotter {
namespace {

constexpr std::chrono::seconds kDrain{10};

// A line for each call, which is counted: what failed in a way nobody expects as a warning, all
// else for debugging.
class CallLog final : public rpc::CallObserver {
 public:
  CallLog(base::Logger& log, Metrics& metrics) : log_(log), metrics_(metrics) {}
  void Ended(std::string_view method, std::string_view subject, const Status& status,
             std::chrono::nanoseconds took) override {
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
    const base::LogLevel level =
        IsExpected(status) ? base::LogLevel::kDebug : base::LogLevel::kWarning;
    log_.Log(level, method, {{"key", subject}, {"took_us", us}, {"status", status.ToString()}});
    metrics_.Ended(method, subject, status, took);
  }

 private:
  // Containerd asks for what may be there or not, and lives with both.
  static bool IsExpected(const Status& status) {
    return status.ok() || status.code() == StatusCode::kNotFound ||
           status.code() == StatusCode::kAlreadyExists || status.code() == StatusCode::kCancelled ||
           status.code() == StatusCode::kUnimplemented;
  }
  base::Logger& log_;
  Metrics& metrics_;
};

Result<os::UniqueFd> Listen(const std::string& address) {
  ASSIGN_OR_RETURN(os::UniqueFd inherited, os::InheritedSocket());
  if (inherited.valid()) return inherited;
  RETURN_IF_ERROR(os::MakeDirectories(std::filesystem::path(address).parent_path().string()));
  return os::ListenUnix(address);
}

// What a configured pool needs; without one everything is empty.
struct Pool {
  std::unique_ptr<containerd::Content> content;
  std::unique_ptr<containerd::NamedImages> named;
  std::unique_ptr<Catalog> catalog;
  std::unique_ptr<pool::Membership> membership;
  std::unique_ptr<Mounter> mounter;
  std::unique_ptr<Images> images;
};

// The pool may come later: who asks for it meanwhile is told why it cannot be used.
Pool ConnectPool(const Config& config, Metrics& metrics, base::Logger& log) {
  Pool made;
  if (config.pool.empty()) {
    log.Warning("no pool is configured: layers become directories, and other hosts get none");
    made.images = std::make_unique<NoImages>();
    return made;
  }
  made.content =
      containerd::ContentInFiles(config.content, containerd::ContentOverRpc(config.containerd));
  made.named = containerd::NamedImagesOverRpc(config.containerd);
  made.catalog = std::make_unique<Catalog>(*made.named, *made.content);
  made.membership = std::make_unique<pool::Membership>(config.pool, "daxfs-snapshotter");
  made.mounter =
      CountMounts(MakeMounterLater(config.backend, config.pool, config.fuse_program, log), metrics);
  made.images = std::make_unique<PoolImages>(*made.membership, *made.mounter, *made.catalog,
                                             *made.content, log);
  made.membership->CollectWhenFull([&](const std::vector<pool::Collected>& objects) {
    std::uint64_t bytes = 0;
    for (const pool::Collected& object : objects) bytes += object.bytes;
    metrics.Freed(objects.size(), bytes);
    log.Info("the pool was full: freed what nobody uses",
             {{"objects", objects.size()}, {"bytes", bytes}});
  });
  made.membership->WhenJoined([&](const pool::Participant& participant) {
    log.Info("joined the pool",
             {{"pool", config.pool}, {"uuid", pool::UuidText(participant.memory().uuid())}});
  });
  made.membership->WhenLost([&](const Status& why) {
    log.Warning("the pool has gone: what needs it fails until it is back",
                {{"err", why.message()}});
  });
  const Status joined = made.membership->Get().status();
  if (!joined.ok()) log.Warning("the pool cannot be used yet", {{"err", joined.message()}});
  return made;
}

// Since when it runs is for the caller.
Standing StandingOf(const Config& config, const Pool& pool) {
  Standing standing;
  standing.version = DAXFS_VERSION_TEXT;
  standing.root = config.root;
  standing.pool = config.pool;
  standing.containerd = config.containerd;
  standing.content = config.content;
  if (!pool.membership) return standing;
  const auto participant = pool.membership->Get();
  if (participant.ok()) {
    standing.pool_uuid = pool::UuidText((*participant)->memory().uuid());
  } else {
    standing.why_no_pool = participant.status().message();
  }
  standing.backend = pool.mounter->name();
  return standing;
}

std::int64_t NowNs() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

// What metrics look at.
Sources SourcesOf(Snapshotter& snapshotter, const Pool& pool) {
  return {[&] { return snapshotter.Look({}); },
          [&]() -> std::optional<pool::UsageView> {
            if (!pool.membership) return std::nullopt;
            const auto participant = pool.membership->Get();
            if (!participant.ok()) return std::nullopt;
            return pool::Usage((*participant)->memory());
          }};
}

// Reads the configuration as it is now.
using ReadAgain = std::function<std::variant<CommandLine, Leave>()>;

// Returns when the daemon is to end.
void FollowSignals(Live& live, const ReadAgain& read_again) {
  while (os::WaitForSignal() != os::DaemonSignal::kStop) {
    os::NotifyReloading();
    live.Reload(read_again());
    os::NotifyReady("serving");
  }
}

Status Serve(const Config& config, const ReadAgain& read_again, base::Logger& log) {
  RETURN_IF_ERROR(os::HoldSignals());
  Metrics metrics(DAXFS_VERSION_TEXT);
  const Pool pool = ConnectPool(config, metrics, log);
  ASSIGN_OR_RETURN(const std::unique_ptr<Snapshotter> snapshotter,
                   Snapshotter::Open({config.root, OverlayOptions(config),
                                      [&] { metrics.Placed(pool::How::kFound, 0); }},
                                     *pool.images, log));
  std::unique_ptr<Applier> applier;
  if (pool.membership) {
    applier = std::make_unique<Applier>(*snapshotter, *pool.membership, *pool.content, log);
  }
  CallLog calls(log, metrics);
  const std::unique_ptr<grpc::Service> snapshots = MakeSnapshotsService(*snapshotter, calls);
  const std::unique_ptr<grpc::Service> differ = MakeDiffService(applier.get(), metrics, calls);
  const auto standing = [&, started_ns = NowNs()] {
    Standing now = StandingOf(config, pool);
    now.started_ns = started_ns;
    return now;
  };
  const std::unique_ptr<grpc::Service> admin = MakeAdminService(*snapshotter, standing, calls);
  ASSIGN_OR_RETURN(os::UniqueFd listener, Listen(config.address));
  ASSIGN_OR_RETURN(
      const std::unique_ptr<rpc::Server> server,
      rpc::Server::Start(std::move(listener), {snapshots.get(), differ.get(), admin.get()}, log));
  log.Info("serving", {{"address", config.address}, {"root", config.root}});
  os::NotifyReady("serving");
  Live live(config, *snapshotter, metrics, SourcesOf(*snapshotter, pool), log);
  FollowSignals(live, read_again);
  log.Info("stopping");
  os::NotifyStopping();
  snapshotter->StopRestoring();
  server->Stop(kDrain);
  return Status::Ok();
}

// What --check-config says. A pool may come later.
int SayConfig(const CommandLine& line) {
  const auto warn = [](const std::string& what) {
    std::fprintf(stderr, "warning: %s\n", what.c_str());
  };
  if (!line.config.pool.empty()) {
    const Result<pool::PoolConfig> pool = pool::ResolvePool(line.config.pool);
    if (!pool.ok()) warn("pool: " + pool.status().message());
    for (const std::string& device : pool.ok() ? pool->devices : std::vector<std::string>()) {
      if (::access(device.c_str(), F_OK) != 0) warn("pool: " + device + " is not there");
    }
    if (line.config.backend != "kernel" && !os::IsProgram(line.config.fuse_program)) {
      warn("fuse_program: " + line.config.fuse_program + " is no program");
    }
  }
  std::printf("the configuration is right%s\n",
              line.file.empty() ? "; there is no file, so it is the built-in one" : "");
  return 0;
}

int Main(int argc, char** argv) {
  std::variant<CommandLine, Leave> parsed = ParseCommandLine(argc, argv);
  if (const Leave* leave = std::get_if<Leave>(&parsed)) {
    std::fputs(leave->text.c_str(), leave->exit_code == 0 ? stdout : stderr);
    return leave->exit_code;
  }
  CommandLine& line = std::get<CommandLine>(parsed);
  if (line.check_config) {
    return SayConfig(line);
  }
  // Snapshots' roots have the modes containers expect, whatever the umask was.
  ::umask(S_IWGRP | S_IWOTH);
  std::signal(SIGPIPE, SIG_IGN);
  base::StderrSink sink;
  line.log.color = os::ShowsColor(STDERR_FILENO);
  base::Logger log(sink, line.log);
  if (::geteuid() != 0) log.Warning("not run as root: nothing can be mounted for containers");
  const auto read_again = [&] { return ParseCommandLine(argc, argv); };
  const Status status = Serve(line.config, read_again, log);
  if (status.ok()) return 0;
  log.Failure("daxfs-snapshotter", status);
  return 1;
}

}  // namespace
}  // namespace daxfs::snapshotter

int main(int argc, char** argv) {
  try {
    return daxfs::snapshotter::Main(argc, argv);
  } catch (const std::exception& error) {  // a library's: ours throws nothing
    std::fprintf(stderr, "daxfs-snapshotter: %s\n", error.what());
    return 1;
  }
}
