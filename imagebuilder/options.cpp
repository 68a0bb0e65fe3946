// SPDX-License-Identifier: Apache-2.0
#include "imagebuilder/options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "common/base/units.hpp"
#include "common/oci/registry/reference.hpp"

namespace daxfs::imagebuilder {
namespace {

constexpr int kUsage = 2;
constexpr std::array<std::pair<std::string_view, SourceKind>, 7> kPrefixes = {{
    {"docker://", SourceKind::kRegistry},
    {"containerd:", SourceKind::kContainerd},
    {"dir:", SourceKind::kDirectory},
    {"tar:", SourceKind::kTar},
    {"oci:", SourceKind::kOciLayout},
    {"docker-archive:", SourceKind::kDockerArchive},
    {"dump:", SourceKind::kDump},
}};

// What the command line holds before it is checked.
struct Raw {
  std::string source;
  std::string output;
  std::string profile;
  std::string huge_min;
  std::string data;
  std::string log_level = "info";
  std::string log_format = "text";
  bool per_layer = false;
  bool flatten = false;
};

void DeclareRegistry(CLI::App& app, Options& options) {
  app.add_option("--authfile", options.authfile,
                 "credentials for docker:// (default: $REGISTRY_AUTH_FILE, podman's, docker's)")
      ->type_name("FILE");
  app.add_option("--containerd", options.containerd, "containerd's socket, for containerd:")
      ->type_name("SOCKET")
      ->capture_default_str();
  app.add_option("--hosts-dir", options.hosts.directory,
                 "mirrors and certificates, as containerd has them: DIR/HOST/hosts.toml (default: "
                 "/etc/containerd/certs.d)")
      ->type_name("DIR");
  app.add_option("--ca-file", options.hosts.ca_files,
                 "PEM certificates to trust beside the system's; may be given more than once")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.add_option("--insecure-registry", options.hosts.insecure,
                 "HOST[:PORT] that needs no valid certificate, or not even TLS; may be given more "
                 "than once")
      ->type_name("HOST")
      ->allow_extra_args(false);
}

void Declare(CLI::App& app, Raw& raw, Options& options) {
  app.add_option("SOURCE", raw.source,
                 "dir:PATH, tar:PATH or tar:- (standard input), oci:PATH[:REF] (an OCI image "
                 "layout), docker-archive:PATH[:TAG] (of docker save), docker://IMAGE (of a "
                 "registry), containerd:NAMESPACE/IMAGE (of its content store), dump:FILE (of "
                 "daxfsctl); tars may be gzip or zstd")
      ->type_name("");
  app.add_option(
         "--list", options.list,
         "instead of SOURCE: a file, or - for standard input, with lines SOURCE [NAME]; all "
         "of them go into the pool, also if some fail")
      ->type_name("FILE");
  app.add_option("-o,--output", raw.output, "image file to make; with --per-layer a directory")
      ->type_name("OUT");
  app.add_option("--pool", options.pool,
                 "instead of -o: place it in this pool, unless it is there; a name of "
                 "/etc/daxfs/pools.d or a path")
      ->type_name("POOL");
  app.add_option("--name", options.name,
                 "in a pool: find it by this name from now on, and keep it until the name goes "
                 "(daxfsctl pool rm)")
      ->type_name("NAME");
  app.add_flag("--per-layer", raw.per_layer,
               "one image a layer, and as files image.json beside them; in a pool the default");
  app.add_flag("--flatten", raw.flatten, "all layers merged into one image");
  app.add_option("--profile", raw.profile,
                 "layer: what containerd makes of it; archive: every attribute kept "
                 "(default: archive for dir: and tar:; images are always layer)")
      ->type_name("PROFILE");
  app.add_option("--platform", options.platform, "os/arch[/variant] (default: this host's)")
      ->type_name("PLATFORM");
  app.add_option("--huge-min", raw.huge_min,
                 "files of this size or more get 2 MiB alignment; 0: none (default: 8M)")
      ->type_name("SIZE");
  app.add_option("-j,--jobs", options.jobs,
                 "layers made at once (default: one a processor, up to 8)")
      ->type_name("N")
      ->check(CLI::Range(1U, 64U));
  app.add_option("--data", raw.data, "with dump: the directory or image that has the files' bytes")
      ->type_name("DIR|IMAGE");
  DeclareRegistry(app, options);
  app.add_flag("--dry-run", options.dry_run,
               "make nothing: say which layers there are, how large and whether the pool has them; "
               "without layers how large the image is");
  app.add_flag("--verify", options.verify, "read every image again and compare all its digests");
  app.add_flag("--json", options.json, "end with one line of JSON on standard output");
  app.add_option("--log-level", raw.log_level, "debug, info, warning or error")->type_name("LEVEL");
  app.add_option("--log-format", raw.log_format, "text or json")->type_name("FORMAT");
  app.set_version_flag("--version", "daxfs-build " DAXFS_VERSION_TEXT);
  app.footer("Exit status: 0 done, 1 failed and nothing left behind, 2 wrong usage.");
}

Status CheckMode(const Raw& raw, Options* options) {
  if (raw.per_layer && raw.flatten) {
    return InvalidArgumentError("--per-layer and --flatten exclude each other");
  }
  const bool asked = raw.per_layer || raw.flatten;
  const bool layers = HasLayers(options->source.kind);
  if (!layers && asked) {
    return InvalidArgumentError(
        "a directory, tar or dump has no layers: leave --per-layer and --flatten out");
  }
  if (!layers && !options->platform.empty()) {
    return InvalidArgumentError(
        "--platform chooses among images: a directory, tar or dump has none");
  }
  if (layers && !asked && options->pool.empty()) {
    return InvalidArgumentError(
        "an image has layers: choose --per-layer (one image each, OUT becomes a directory) or "
        "--flatten (one image)");
  }
  if (raw.per_layer || (layers && !asked)) options->mode = Mode::kPerLayer;
  if (raw.flatten) options->mode = Mode::kFlatten;
  return Status::Ok();
}

Status CheckData(const Raw& raw, Options* options) {
  const bool dump = options->source.kind == SourceKind::kDump;
  if (dump && !raw.profile.empty()) {
    return InvalidArgumentError("a dump says its own profile: leave --profile out");
  }
  if (dump && raw.data.empty()) {
    return InvalidArgumentError(
        "a dump holds no bytes of files: say with --data where they are (a directory or an image)");
  }
  if (!dump && !raw.data.empty()) return InvalidArgumentError("--data goes with dump: only");
  options->data = raw.data;
  return Status::Ok();
}

Status CheckProfile(const Raw& raw, Options* options) {
  const bool layers = HasLayers(options->source.kind);
  options->profile = layers ? convert::Profile::kLayer : convert::Profile::kArchive;
  if (raw.profile.empty()) return Status::Ok();
  if (raw.profile != "layer" && raw.profile != "archive") {
    return InvalidArgumentError(fmt::format("profile \"{}\": use layer or archive", raw.profile));
  }
  if (raw.profile == "archive" && layers) {
    return InvalidArgumentError(
        "the layers of an image mean what containerd makes of them: --profile archive is for tar: "
        "and dir:");
  }
  options->profile = raw.profile == "layer" ? convert::Profile::kLayer : convert::Profile::kArchive;
  return Status::Ok();
}

// Everything else is checked line by line.
Status CheckList(const Raw& raw, const Options& options) {
  if (!raw.source.empty()) return InvalidArgumentError("--list goes without SOURCE");
  if (options.pool.empty()) return InvalidArgumentError("--list goes with --pool");
  if (!options.name.empty()) {
    return InvalidArgumentError("--list goes without --name: names are in the list");
  }
  return Status::Ok();
}

Status Check(const Raw& raw, Options* options) {
  ASSIGN_OR_RETURN(options->log.level, base::ParseLogLevel(raw.log_level));
  ASSIGN_OR_RETURN(options->log.format, base::ParseLogFormat(raw.log_format));
  if (!options->list.empty()) return CheckList(raw, *options);
  if (raw.source.empty()) return InvalidArgumentError("SOURCE is required");
  ASSIGN_OR_RETURN(options->source, ParseSource(raw.source));
  if (raw.output.empty() == options->pool.empty()) {
    return InvalidArgumentError("say where it goes: either -o OUT or --pool POOL");
  }
  const bool of_registry = !options->authfile.empty() || !options->hosts.ca_files.empty() ||
                           !options->hosts.insecure.empty();
  if (of_registry && options->source.kind != SourceKind::kRegistry) {
    return InvalidArgumentError(
        "--authfile, --ca-file and --insecure-registry go with docker:// only");
  }
  if (options->pool.empty() && !options->name.empty()) {
    return InvalidArgumentError("--name goes with --pool");
  }
  if (raw.output == "-") return InvalidArgumentError("-o -: an image cannot go to a pipe");
  if (options->source.kind == SourceKind::kDockerArchive && options->source.path == "-") {
    return InvalidArgumentError("docker-archive: needs a file, it is read more than once");
  }
  options->output = raw.output;
  RETURN_IF_ERROR(CheckMode(raw, options));
  RETURN_IF_ERROR(CheckData(raw, options));
  RETURN_IF_ERROR(CheckProfile(raw, options));
  options->huge_min_given = !raw.huge_min.empty();
  const std::string huge_min = options->huge_min_given ? raw.huge_min : "8M";
  ASSIGN_OR_RETURN(options->huge_min_bytes, base::ParseSize(huge_min).WithContext("--huge-min"));
  if (options->dry_run && options->verify) {
    return InvalidArgumentError("--dry-run makes nothing that --verify could read");
  }
  return Status::Ok();
}

Leave UsageError(std::string_view message) {
  return {kUsage, fmt::format("daxfs-build: {}\nTry: daxfs-build --help\n", message),
          std::string(message)};
}

bool LooksLikeTar(std::string_view text) {
  constexpr std::array<std::string_view, 5> kEndings = {".tar", ".tar.gz", ".tgz", ".tar.zst",
                                                        ".tar.zstd"};
  return text == "-" || std::any_of(kEndings.begin(), kEndings.end(), [&](std::string_view ending) {
           return text.ends_with(ending);
         });
}

// "word:" at the front, but no Windows drive and no path.
std::string_view PrefixOf(std::string_view text) {
  const std::size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz-");
  const bool prefix = end != std::string_view::npos && end > 1 && text[end] == ':';
  return prefix ? text.substr(0, end + 1) : std::string_view();
}

Status NoPrefix(std::string_view text) {
  if (!PrefixOf(text).empty()) {
    return InvalidArgumentError(fmt::format(
        "SOURCE \"{}\": unknown prefix \"{}\"; use dir:, tar:, oci:, docker-archive:, docker://, "
        "containerd: or dump:",
        text, PrefixOf(text)));
  }
  if (LooksLikeTar(text)) {
    return InvalidArgumentError(fmt::format(
        "SOURCE \"{0}\" has no prefix: is it tar:{0} or docker-archive:{0} (of docker save)?",
        text));
  }
  return InvalidArgumentError(
      fmt::format("SOURCE \"{0}\" has no prefix: is it dir:{0} (a directory), oci:{0} (an OCI "
                  "image layout) or tar:{0}?",
                  text));
}

}  // namespace

Result<Source> ParseSource(std::string_view text) {
  const auto known = std::find_if(kPrefixes.begin(), kPrefixes.end(), [&](const auto& prefix) {
    return text.starts_with(prefix.first);
  });
  if (known == kPrefixes.end()) return NoPrefix(text);
  Source source;
  source.text = text;
  text.remove_prefix(known->first.size());
  source.kind = known->second;
  if (source.kind == SourceKind::kRegistry) {
    ASSIGN_OR_RETURN(const oci::ImageReference image, oci::ImageReference::Parse(text));
    source.path = image.ToString();
    return source;
  }
  if (source.kind == SourceKind::kContainerd) {
    const std::size_t slash = std::min(text.find('/'), text.size());
    source.path = text.substr(0, slash);
    source.reference = text.substr(std::min(slash + 1, text.size()));
    if (source.path.empty() || source.reference.empty()) {
      return InvalidArgumentError(
          "SOURCE containerd: wants NAMESPACE/IMAGE, for instance "
          "containerd:default/docker.io/library/debian:12");
    }
    return source;
  }
  const std::size_t colon = HasLayers(source.kind) ? text.find(':') : std::string_view::npos;
  source.path = text.substr(0, colon);
  if (colon != std::string_view::npos) source.reference = text.substr(colon + 1);
  if (source.path.empty()) return InvalidArgumentError("SOURCE names no path");
  return source;
}

std::variant<Options, Leave> ParseOptions(int argc, const char* const* argv) {
  CLI::App app("Makes DAXFS images of directories, tars, container images and dumps.",
               "daxfs-build");
  Raw raw;
  Options options;
  Declare(app, raw, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return Leave{0, app.help(), ""};
  } catch (const CLI::CallForVersion&) {
    return Leave{0, "daxfs-build " DAXFS_VERSION_TEXT "\n", ""};
  } catch (const CLI::ParseError& error) {
    return UsageError(error.what());
  }
  const Status status = Check(raw, &options);
  if (!status.ok()) return UsageError(status.message());
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--list") ++i;
    if (!argument.starts_with("--list")) options.arguments.emplace_back(argument);
  }
  return options;
}

Result<std::vector<Options>> ParseList(const Options& list, std::string_view text) {
  std::vector<Options> all;
  std::istringstream lines{std::string(text)};
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::istringstream words(line);
    std::string source, name, more;
    words >> source >> name >> more;
    if (source.empty() || source.starts_with('#')) continue;
    const std::string where = fmt::format("{}: line {}", list.list, number);
    if (!more.empty()) {
      return InvalidArgumentError(where + ": has more than SOURCE and NAME");
    }
    std::vector<std::string> arguments = {"daxfs-build"};
    arguments.insert(arguments.end(), list.arguments.begin(), list.arguments.end());
    if (!name.empty()) arguments.push_back("--name=" + name);
    arguments.insert(arguments.end(), {"--", source});
    std::vector<const char*> argv;
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    std::variant<Options, Leave> one = ParseOptions(static_cast<int>(argv.size()), argv.data());
    if (const Leave* wrong = std::get_if<Leave>(&one)) {
      return InvalidArgumentError(where + ": " + wrong->error);
    }
    all.push_back(std::get<Options>(std::move(one)));
  }
  if (all.empty()) return InvalidArgumentError(list.list + ": names no SOURCE");
  return all;
}

}  // namespace daxfs::imagebuilder
