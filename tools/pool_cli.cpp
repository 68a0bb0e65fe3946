// SPDX-License-Identifier: Apache-2.0
#include "tools/pool_cli.hpp"

#include "common/base/units.hpp"

namespace daxfs::tools {
namespace {

using Command = Status (*)(const PoolCommand&, Context&);

CLI::App* Add(CLI::App& parent, PoolLine& line, const char* name, const char* help, Command command,
              bool is_long = false) {
  CLI::App* app = parent.add_subcommand(name, help);
  app->add_option("POOL", line.arguments.pool,
                  "a name of /etc/daxfs/pools.d, or a path; several devices with commas")
      ->required();
  app->add_flag("--json", line.arguments.json, "JSON, one object a line");
  app->callback([&line, command, is_long] {
    line.command = command;
    line.is_long = is_long;
  });
  return app;
}

void DeclareMakers(CLI::App& pool, PoolLine& line) {
  PoolCommand& arguments = line.arguments;
  CLI::App* create = Add(pool, line, "create", "make a pool, empty", CreatePool);
  create->add_option("--size", line.size, "make the file so large; use so much of a device");
  create->add_option("--max-size", line.max_size, "it may grow to that later, by resize");
  create->add_option("--label", arguments.label, "for people, up to 64 bytes");
  create->add_option("--rows", arguments.rows, "objects (default: 8 for each 2 MiB)");
  create->add_option("--aliases", arguments.aliases, "digests by which they are found");
  create->add_option("--participants", arguments.slots, "processes and kernels at once (256)");
  create->add_option("--hosts", arguments.hosts, "hosts (64)");
  create->add_option("--partition", arguments.partitions,
                     "for memory without coherence: the id of each host, once for each");
  create->add_flag("--force", arguments.force, "over whatever is there, which is lost");
  CLI::App* resize = Add(pool, line, "resize", "make it larger or smaller, in use", ResizePool);
  resize->add_option("SIZE", line.size, "of its last device; up to what create --max-size said")
      ->required();
  CLI::App* attach =
      Add(pool, line, "attach", "have the kernel module show it as /dev/daxfs/POOL", AttachPool);
  attach->add_option("--phys", arguments.phys, "physical address (default: pools.d says where)");
  attach->add_option("--size", line.size, "bytes from there on");
  Add(pool, line, "detach", "take that name away again", DetachPool);
  CLI::App* put = Add(pool, line, "put", "place a file or directory", PutIntoPool, true);
  put->add_option("SOURCE", arguments.source, "file or directory")->required();
  put->add_option("NAME", arguments.name, "find it by this name")->required();
  CLI::App* get = Add(pool, line, "get", "copy a file or directory out", GetFromPool, true);
  get->add_option("OBJECT", arguments.objects, "name or sha256:... of it")->required()->expected(1);
  get->add_option("-o,--output", arguments.output,
                  "file or directory to make; - for a file: "
                  "standard output")
      ->required();
}

void DeclareKeepers(CLI::App& pool, PoolLine& line) {
  PoolCommand& arguments = line.arguments;
  CLI::App* rm = Add(pool, line, "rm", "remove names, and what only they kept", RemoveFromPool);
  rm->add_option("OBJECT", arguments.objects, "name, or sha256:...")->required();
  CLI::App* gc = Add(pool, line, "gc", "free what nobody uses or holds, the longest unused first",
                     CollectPool);
  gc->add_option("--bytes", line.wanted, "only so much (\"4G\"; default: all)");
  gc->add_flag("-n,--dry-run", arguments.dry_run, "only show what would go, in this order");
  CLI::App* fence =
      Add(pool, line, "fence", "state that a host is off, and free what it had", FencePool);
  fence->add_option("HOST", arguments.host, "number, name or id (daxfsctl pool info)")->required();
  fence->add_flag("--powered-off", arguments.powered_off,
                  "it can no longer reach this memory: I know");
  CLI::App* check = Add(pool, line, "check", "look at every word of it", CheckPool);
  check->add_flag("--repair", arguments.repair, "free what the dead have left");
}

void DeclareViewers(CLI::App& pool, PoolLine& line) {
  CLI::App* info = Add(pool, line, "info", "room, hosts, participants", ShowPool);
  CLI::App* ls = Add(pool, line, "ls", "its objects; of an image its layers", ListPool);
  ls->add_option("OBJECT", line.arguments.objects, "only this one, by name or sha256:...")
      ->expected(0, 1);
  for (CLI::App* app : {info, ls}) {
    app->add_flag("--no-trunc", line.arguments.whole, "cut nothing to a terminal's width");
  }
  CLI::App* watch = Add(pool, line, "watch", "info, again and again", WatchPool, true);
  watch->add_option("-i,--interval", line.arguments.interval_seconds, "seconds (1)")
      ->check(CLI::Range(0.1, 3600.0));
  watch->add_option("-c,--count", line.arguments.count, "how often (default: until interrupted)");
}

}  // namespace

void DeclarePool(CLI::App& app, PoolLine& line) {
  CLI::App* pool = app.add_subcommand("pool", "many images in one memory, for many hosts");
  pool->require_subcommand(1);
  DeclareMakers(*pool, line);
  DeclareViewers(*pool, line);
  DeclareKeepers(*pool, line);
}

Status CheckPoolLine(PoolLine* line) {
  if (!line->size.empty()) {
    ASSIGN_OR_RETURN(line->arguments.size_bytes, base::ParseSize(line->size).WithContext("--size"));
  }
  if (!line->max_size.empty()) {
    ASSIGN_OR_RETURN(line->arguments.max_size_bytes,
                     base::ParseSize(line->max_size).WithContext("--max-size"));
  }
  if (!line->wanted.empty()) {
    ASSIGN_OR_RETURN(line->arguments.wanted_bytes,
                     base::ParseSize(line->wanted).WithContext("--bytes"));
  }
  return Status::Ok();
}

}  // namespace daxfs::tools
