// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/log.hpp"
#include "common/base/status.hpp"
#include "common/convert/image_builder.hpp"
#include "common/oci/registry/hosts.hpp"

namespace daxfs::imagebuilder {

enum class SourceKind {
  kDirectory,
  kTar,
  kOciLayout,
  kDockerArchive,
  kRegistry,
  kContainerd,
  kDump
};

// Whether the source holds container images, which have layers.
constexpr bool HasLayers(SourceKind kind) {
  return kind == SourceKind::kOciLayout || kind == SourceKind::kDockerArchive ||
         kind == SourceKind::kRegistry || kind == SourceKind::kContainerd;
}

// SOURCE of the command line: "<prefix>:<rest>".
struct Source {
  std::string text;  // as it was typed
  SourceKind kind = SourceKind::kDirectory;
  // kTar: "-" is standard input; kRegistry: HOST/REPOSITORY[:TAG][@DIGEST]; kContainerd: namespace
  std::string path;
  std::string reference;  // of an image among several, may be empty; kContainerd: its name
};

// Errors: kInvalidArgument, without a prefix with a suggestion.
Result<Source> ParseSource(std::string_view text);

enum class Mode { kSingle, kPerLayer, kFlatten };

struct Options {
  Source source;
  std::string output;  // empty: the pool
  std::string pool;    // as pool::ResolvePool reads it; empty: files
  std::string name;    // of the image in the pool, may be empty
  Mode mode = Mode::kSingle;
  convert::Profile profile = convert::Profile::kLayer;
  std::uint64_t huge_min_bytes = 0;
  bool huge_min_given = false;  // otherwise a dump's own counts
  std::string data;             // kDump: directory or image the files' bytes come from
  std::string platform;         // "os/arch[/variant]", empty: this host's
  std::string authfile;         // kRegistry: of credentials, empty: where they usually are
  oci::HostsOptions hosts;      // kRegistry
  std::string containerd = "/run/containerd/containerd.sock";  // kContainerd: its socket
  unsigned jobs = 0;  // layers made at once; 0: as many as this machine is good for
  bool dry_run = false;
  bool verify = false;
  bool json = false;
  base::LogOptions log;
  std::string list;                    // file of many sources, then there is no `source`; or empty
  std::vector<std::string> arguments;  // of the command line, without that of the list
};

// The command line asks for something else than a build: print `text` and leave.
struct Leave {
  int exit_code = 0;
  std::string text;   // for stdout if exit_code is 0, else for stderr
  std::string error;  // what is wrong, alone
};

// Pure: reads nothing but its arguments.
std::variant<Options, Leave> ParseOptions(int argc, const char* const* argv);

// What the lines "SOURCE [NAME]" of a list ask for, each as if `list` were run with them; empty
// lines and those that begin with "#" ask for nothing. Errors: kInvalidArgument, with the line.
Result<std::vector<Options>> ParseList(const Options& list, std::string_view text);

}  // namespace daxfs::imagebuilder
