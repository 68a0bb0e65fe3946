// SPDX-License-Identifier: Apache-2.0
#include "tools/snapshot_cli.hpp"

namespace daxfs::tools {
namespace {

CLI::App* Add(CLI::App& parent, SnapshotLine& line, const char* name, const char* help,
              Status (*command)(const SnapshotCommand&, Context&)) {
  CLI::App* app = parent.add_subcommand(name, help);
  app->add_option("--address", line.arguments.address, "socket of daxfs-snapshotter")
      ->capture_default_str();
  app->add_flag("--json", line.arguments.json, "JSON, one object a line");
  app->add_flag("--no-trunc", line.arguments.whole, "cut nothing to a terminal's width");
  app->callback([&line, command] { line.command = command; });
  return app;
}

}  // namespace

void DeclareSnapshot(CLI::App& app, SnapshotLine& line) {
  CLI::App* snapshot = app.add_subcommand("snapshot", "what daxfs-snapshotter has for containerd");
  snapshot->require_subcommand(1);
  CLI::App* ls = Add(*snapshot, line, "ls", "all snapshots", ListSnapshots);
  ls->add_option("--kind", line.arguments.kind, "only these: view, active or committed")
      ->check(CLI::IsMember({"view", "active", "committed"}));
  ls->add_flag("--missing", line.arguments.missing, "only those whose image is not in the pool");
  CLI::App* info =
      Add(*snapshot, line, "info", "everything about one, and all layers below it", ShowSnapshot);
  info->add_option("KEY", line.arguments.key, "its key, or its number")->required();
}

}  // namespace daxfs::tools
