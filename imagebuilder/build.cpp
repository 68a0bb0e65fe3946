// SPDX-License-Identifier: Apache-2.0
#include "imagebuilder/build.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "common/containerd/source.hpp"
#include "common/convert/directory_source.hpp"
#include "common/convert/flatten.hpp"
#include "common/convert/tar_source.hpp"
#include "common/format/image.hpp"
#include "common/oci/docker_archive.hpp"
#include "common/oci/file_reader.hpp"
#include "common/oci/layer_stream.hpp"
#include "common/oci/layout.hpp"
#include "common/oci/registry/source.hpp"
#include "common/os/atomic_file.hpp"
#include "common/os/directory.hpp"
#include "common/os/file_io.hpp"
#include "common/os/stale.hpp"
#include "common/os/temp_dir.hpp"
#include "imagebuilder/build_dump.hpp"
#include "imagebuilder/destination.hpp"
#include "imagebuilder/layers.hpp"

namespace daxfs::imagebuilder {
namespace {

std::string WithoutTrailingSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// Said before the work instead of after it; the rename at the end checks again.
Status CheckFree(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::symlink_status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) return Status::Ok();
  return AlreadyExistsError(path + ": exists; --per-layer makes a new directory");
}

// An image that grows inside its own source would hold itself.
Status CheckOutside(const std::string& output, const std::string& source) {
  std::error_code error;
  const auto parent = std::filesystem::canonical(
      std::filesystem::absolute(std::filesystem::path(output)).parent_path(), error);
  const auto root = std::filesystem::canonical(source, error);
  if (error) return Status::Ok();  // opening them will say why
  const auto [end, unused] = std::mismatch(root.begin(), root.end(), parent.begin(), parent.end());
  if (end != root.end()) return Status::Ok();
  return InvalidArgumentError(output + ": is inside the directory it would be made of");
}

Result<BuildReport> BuildDirectory(const Options& options, Destination& out, Progress& progress) {
  if (!options.output.empty()) {
    RETURN_IF_ERROR(CheckOutside(options.output, options.source.path));
  }
  progress.Begin(options.source.path, 0);
  const auto make = [&](convert::Sink& sink) -> Result<convert::ImageSummary> {
    convert::ImageBuilder image(sink, ToBuildOptions(options));
    RETURN_IF_ERROR(convert::AddDirectory(image, options.source.path, progress));
    return image.Finish();
  };
  BuildReport report;
  ASSIGN_OR_RETURN(ImageReport image, out.Place(options.output, make));
  report.images.push_back(std::move(image));
  return report;
}

Result<os::UniqueFd> OpenTar(const std::string& path) {
  if (path != "-") return os::OpenForReading(path);
  if (os::IsTerminal(STDIN_FILENO)) {
    return InvalidArgumentError("tar:- reads standard input, which is a terminal");
  }
  return os::Duplicate(STDIN_FILENO);
}

Result<BuildReport> BuildTar(const Options& options, Destination& out, Progress& progress) {
  ASSIGN_OR_RETURN(os::UniqueFd fd, OpenTar(options.source.path));
  ASSIGN_OR_RETURN(const os::FileInfo info, os::StatFd(fd.get()));
  const auto make = [&](convert::Sink& sink) -> Result<convert::ImageSummary> {
    convert::ImageBuilder image(sink, ToBuildOptions(options));
    progress.Begin(options.source.path == "-" ? "standard input" : options.source.path,
                   info.size_bytes);
    oci::LayerStream stream(
        std::make_unique<oci::FileReader>(std::move(fd), progress.interrupted()), std::nullopt,
        std::nullopt);
    ASSIGN_OR_RETURN(
        const format::SourceInfo source,
        convert::ApplyStream({image.tree(), image.data(), image.xattrs(), options.profile}, stream,
                             progress)
            .WithContext(options.source.path));
    if (stream.position() == 0) {
      return InvalidArgumentError(options.source.path +
                                  ": no bytes at all (did the program before the pipe fail?)");
    }
    return image.Finish(source);
  };
  BuildReport report;
  ASSIGN_OR_RETURN(ImageReport image, out.Place(options.output, make));
  report.images.push_back(std::move(image));
  return report;
}

Status WriteText(const std::string& path, const std::string& text) {
  ASSIGN_OR_RETURN(const std::unique_ptr<os::AtomicFile> file, os::AtomicFile::Create(path));
  RETURN_IF_ERROR(file->Write(0, std::as_bytes(std::span(text))));
  return file->Commit();
}

// As files, in a directory that appears with everything in it or not at all.
Result<BuildReport> BuildPerLayer(const Options& options, const oci::ImageSource& images,
                                  const oci::ImageRef& source, Destination& out,
                                  Progress& progress) {
  BuildReport report;
  report.config_json = source.config_json;
  if (options.output.empty()) {
    ASSIGN_OR_RETURN(report.images, BuildLayers(options, images, source, "", out, progress));
    return report;
  }
  const std::string output = WithoutTrailingSlashes(options.output);
  RETURN_IF_ERROR(CheckFree(output));
  os::RemoveStaleParts(output);
  ASSIGN_OR_RETURN(os::TempDir directory, os::TempDir::Create(os::PartPrefix(output)));
  ASSIGN_OR_RETURN(report.images,
                   BuildLayers(options, images, source, directory.path(), out, progress));
  for (ImageReport& image : report.images) {
    image.path = std::filesystem::path(image.path).filename();
  }
  RETURN_IF_ERROR(WriteText(directory.path() + "/image.json", ImageJson(report)));
  RETURN_IF_ERROR(directory.RenameTo(output));
  return report;
}

Status ApplyLayer(const oci::ImageSource& images, const oci::LayerRef& layer,
                  const convert::TarTarget& target, Progress& progress) {
  ASSIGN_OR_RETURN(std::unique_ptr<oci::PositionedReader> stored, images.OpenLayer(layer));
  oci::LayerStream stream(std::move(stored), layer.digest, layer.diff_id);
  return convert::ApplyStream(target, stream, progress).status();
}

Result<BuildReport> BuildFlattened(const Options& options, const oci::ImageSource& images,
                                   const oci::ImageRef& source, Destination& out,
                                   Progress& progress) {
  const auto make = [&](convert::Sink& sink) -> Result<convert::ImageSummary> {
    convert::ImageBuilder image(sink, ToBuildOptions(options));
    for (std::size_t i = 0; i < source.layers.size(); ++i) {
      const oci::LayerRef& layer = source.layers[i];
      const std::string step = StepName(i, source.layers.size());
      progress.Begin(step, layer.size_bytes);
      // Symbolic links of a layer are resolved in that layer alone: it gets a tree of its own
      // first.
      convert::Tree tree([&](const convert::Node& node) { image.data().Release(node.data); });
      RETURN_IF_ERROR(ApplyLayer(images, layer, {tree, image.data(), image.xattrs()}, progress)
                          .WithContext(step));
      RETURN_IF_ERROR(convert::MergeLayer(image.tree(), tree, image.xattrs()).WithContext(step));
      progress.End();
    }
    return image.Finish();
  };
  BuildReport report;
  report.config_json = source.config_json;
  ASSIGN_OR_RETURN(ImageReport image, out.Place(options.output, make));
  report.images.push_back(std::move(image));
  return report;
}

Result<std::unique_ptr<oci::ImageSource>> OpenRegistry(const Options& options,
                                                       const Progress& progress) {
  ASSIGN_OR_RETURN(const oci::ImageReference image,
                   oci::ImageReference::Parse(options.source.path));
  oci::RegistryOptions registry;
  registry.authfile = options.authfile;
  registry.hosts = options.hosts;
  ASSIGN_OR_RETURN(std::unique_ptr<oci::RegistrySource> source,
                   oci::RegistrySource::Open(image, std::move(registry), progress.interrupted()));
  return std::unique_ptr<oci::ImageSource>(std::move(source));
}

Result<std::unique_ptr<oci::ImageSource>> OpenImages(const Options& options,
                                                     const Progress& progress) {
  const Source& source = options.source;
  if (source.kind == SourceKind::kRegistry) return OpenRegistry(options, progress);
  if (source.kind == SourceKind::kContainerd) {
    return std::unique_ptr<oci::ImageSource>(containerd::ImageInContainerd::Over(
        options.containerd, source.path, source.reference, progress.interrupted()));
  }
  if (source.kind == SourceKind::kDockerArchive) {
    ASSIGN_OR_RETURN(oci::DockerArchive archive, oci::DockerArchive::Open(source.path));
    return std::unique_ptr<oci::ImageSource>(
        std::make_unique<oci::DockerArchive>(std::move(archive)));
  }
  ASSIGN_OR_RETURN(oci::Layout layout, oci::Layout::Open(source.path));
  return std::unique_ptr<oci::ImageSource>(std::make_unique<oci::Layout>(std::move(layout)));
}

// Which layers would have to be made. Nothing of them is read.
Result<BuildReport> PlanImage(const oci::ImageRef& source, Destination& out, bool pool) {
  BuildReport report;
  const std::vector<oci::Digest> chains = ChainsOf(source);
  for (std::size_t i = 0; i < source.layers.size(); ++i) {
    const oci::LayerRef& layer = source.layers[i];
    ImageReport image;
    image.summary.source = {layer.diff_id.bytes, 0};
    image.stored_bytes = layer.size_bytes;
    ASSIGN_OR_RETURN(const bool there, out.HasLayer(chains[i], layer.diff_id));
    if (pool) image.how = there ? "found" : "missing";
    report.images.push_back(std::move(image));
  }
  return report;
}

Result<BuildReport> BuildImage(const Options& options, Destination& out, Progress& progress,
                               base::Logger& log) {
  ASSIGN_OR_RETURN(const std::unique_ptr<oci::ImageSource> images, OpenImages(options, progress));
  ASSIGN_OR_RETURN(
      const oci::ImageRef source,
      images->Find(options.source.reference, options.platform).WithContext(options.source.path));
  log.Info("image", {{"name", source.name},
                     {"platform", source.platform.ToString()},
                     {"layers", source.layers.size()}});
  if (options.dry_run) {
    return PlanImage(source, out, !options.pool.empty() && options.mode == Mode::kPerLayer);
  }
  return options.mode == Mode::kPerLayer ? BuildPerLayer(options, *images, source, out, progress)
                                         : BuildFlattened(options, *images, source, out, progress);
}

// What has the output's name is only replaced if it is an image too, and not the source.
Status CheckReplaced(const Options& options) {
  const std::string& output = options.output;
  std::error_code error;
  if (options.mode == Mode::kPerLayer || !std::filesystem::is_regular_file(output, error) ||
      std::filesystem::file_size(output, error) == 0) {
    return Status::Ok();  // making it says what is wrong
  }
  if (os::IsSameFile(output, options.source.path) || os::IsSameFile(output, options.data)) {
    return InvalidArgumentError(output + ": is what the image would be made of");
  }
  const Result<format::Image> old = format::Image::Open(output);
  if (old.status().code() != StatusCode::kInvalidArgument) return Status::Ok();
  return AlreadyExistsError(output + ": exists and is no DAXFS image; remove it first");
}

Result<BuildReport> BuildAny(const Options& options, Destination& out, Progress& progress,
                             base::Logger& log) {
  switch (options.source.kind) {
    case SourceKind::kDirectory:
      return BuildDirectory(options, out, progress);
    case SourceKind::kTar:
      return BuildTar(options, out, progress);
    case SourceKind::kDump:
      return BuildDump(options, out, progress);
    case SourceKind::kOciLayout:
    case SourceKind::kDockerArchive:
    case SourceKind::kRegistry:
    case SourceKind::kContainerd:
      return BuildImage(options, out, progress, log);
  }
  return InternalError("a source of no kind");
}

}  // namespace

Result<BuildReport> Build(const Options& options, Progress& progress, base::Logger& log) {
  if (!options.dry_run) RETURN_IF_ERROR(CheckReplaced(options));
  std::unique_ptr<Destination> out = FilesDestination();
  if (!options.pool.empty()) {
    ASSIGN_OR_RETURN(out, PoolDestination(options));
  }
  if (options.dry_run) out = NoDestination(std::move(out));
  const std::uint64_t bytes_before = progress.all_bytes();
  const std::uint64_t entries_before = progress.all_entries();
  const std::int64_t ms_before = progress.all_ms();
  ASSIGN_OR_RETURN(BuildReport report, BuildAny(options, *out, progress, log));
  // Layers are verified as they are made.
  if (options.verify && options.mode != Mode::kPerLayer) {
    progress.Begin("verify", report.images[0].summary.data_bytes);
    const auto watch = [&](std::uint64_t, std::uint64_t) { return progress.Advance(0, 0); };
    RETURN_IF_ERROR(out->VerifyPlaced(report.images[0], watch));
    progress.End();
  }
  RETURN_IF_ERROR(out->Finish(report));
  report.dry_run = options.dry_run;
  report.output = options.output;
  report.pool = options.pool;
  report.name = options.name;
  report.source_bytes = progress.all_bytes() - bytes_before;
  report.entries = progress.all_entries() - entries_before;
  report.elapsed_ms = progress.all_ms() - ms_before;
  return report;
}

}  // namespace daxfs::imagebuilder
