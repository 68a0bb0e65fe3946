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

enum class SourceKind { kDirectory, kTar, kOciLayout, kDockerArchive, kRegistry, kDump };

// Whether the source holds container images, which have layers.
constexpr bool HasLayers(SourceKind kind) {
  return kind == SourceKind::kOciLayout || kind == SourceKind::kDockerArchive ||
         kind == SourceKind::kRegistry;
}

// SOURCE of the command line: "<prefix>:<rest>".
struct Source {
  SourceKind kind = SourceKind::kDirectory;
  std::string path;       // kTar: "-" is standard input; kRegistry: HOST/REPOSITORY[:TAG][@DIGEST]
  std::string reference;  // of an image among several, may be empty
};

// Errors: kInvalidArgument without a prefix, with a suggestion; kUnimplemented for a prefix that is
// known and not supported yet.
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
  bool json = false;
  base::LogOptions log;
};

// The command line asks for something else than a build: print `text` and leave.
struct Leave {
  int exit_code = 0;
  std::string text;   // for stdout if exit_code is 0, else for stderr
  std::string error;  // what is wrong, alone
};

// Pure: reads nothing but its arguments.
std::variant<Options, Leave> ParseOptions(int argc, const char* const* argv);

}  // namespace daxfs::imagebuilder
