// SPDX-License-Identifier: Apache-2.0
#include "imagebuilder/build.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "common/convert/directory_source.hpp"
#include "common/convert/flatten.hpp"
#include "common/convert/layer_source.hpp"
#include "common/oci/layer_stream.hpp"
#include "common/oci/layout.hpp"
#include "common/oci/tar_reader.hpp"
#include "common/os/atomic_file.hpp"
#include "common/os/temp_dir.hpp"
#include "imagebuilder/build_dump.hpp"

namespace daxfs::imagebuilder {
namespace {

convert::BuildOptions ToBuildOptions(const Options& options) {
  convert::BuildOptions out;
  out.layout.huge_min_bytes = options.huge_min_bytes;
  out.profile = options.profile;
  out.flattened = options.mode == Mode::kFlatten;
  return out;
}

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

Result<convert::FileSink> OpenSink(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<os::AtomicFile> file, os::AtomicFile::Create(path));
  return convert::FileSink(std::move(file));
}

Result<BuildReport> BuildDirectory(const Options& options, Progress& progress) {
  progress.Begin(options.source.path, 0);
  ASSIGN_OR_RETURN(convert::FileSink sink, OpenSink(options.output));
  convert::ImageBuilder image(sink, ToBuildOptions(options));
  RETURN_IF_ERROR(convert::AddDirectory(image, options.source.path, progress));
  BuildReport report;
  ASSIGN_OR_RETURN(const convert::ImageSummary summary, image.Finish());
  report.images.push_back({options.output, "", summary});
  return report;
}

// Reports the bytes of the blob that were read, which is what the total is known for.
class BlobMonitor final : public convert::Monitor {
 public:
  BlobMonitor(Progress& progress, const oci::LayerStream& stream)
      : progress_(progress), stream_(stream) {}
  Status Advance(std::uint64_t /*source_bytes*/, std::uint64_t entries) override {
    const std::uint64_t position = stream_.blob_position();
    return progress_.Advance(position - std::exchange(seen_, position), entries);
  }

 private:
  Progress& progress_;
  const oci::LayerStream& stream_;
  std::uint64_t seen_ = 0;
};

Status StreamLayer(const oci::Layout& layout, const oci::LayerRef& layer,
                   const convert::LayerTarget& target, Progress& progress) {
  ASSIGN_OR_RETURN(std::unique_ptr<oci::BlobReader> blob, layout.OpenBlob(layer.descriptor));
  oci::LayerStream stream(std::move(blob), layer.descriptor.digest, layer.diff_id);
  BlobMonitor monitor(progress, stream);
  ASSIGN_OR_RETURN(const std::unique_ptr<oci::TarReader> reader, oci::TarReader::Open(stream));
  RETURN_IF_ERROR(convert::ApplyLayer(target, *reader, monitor));
  // What follows the archive belongs to the digests too.
  RETURN_IF_ERROR(stream.Drain());
  return monitor.Advance(0, 0);
}

std::string StepName(std::size_t index, std::size_t count) {
  return fmt::format("layer {} of {}", index + 1, count);
}

Status WriteText(const std::string& path, const std::string& text) {
  ASSIGN_OR_RETURN(const std::unique_ptr<os::AtomicFile> file, os::AtomicFile::Create(path));
  RETURN_IF_ERROR(file->Write(0, std::as_bytes(std::span(text))));
  return file->Commit();
}

Result<ImageReport> BuildLayer(const Options& options, const oci::Layout& layout,
                               const oci::LayerRef& layer, const std::string& path,
                               Progress& progress) {
  ASSIGN_OR_RETURN(convert::FileSink sink, OpenSink(path));
  convert::ImageBuilder image(sink, ToBuildOptions(options));
  RETURN_IF_ERROR(
      StreamLayer(layout, layer, {image.tree(), image.data(), image.xattrs()}, progress));
  ASSIGN_OR_RETURN(const convert::ImageSummary summary, image.Finish());
  return ImageReport{path, layer.diff_id.ToString(), summary};
}

// The directory appears with everything in it or not at all.
Result<BuildReport> BuildPerLayer(const Options& options, const oci::Layout& layout,
                                  const oci::ImageRef& source, Progress& progress) {
  const std::string output = WithoutTrailingSlashes(options.output);
  RETURN_IF_ERROR(CheckFree(output));
  ASSIGN_OR_RETURN(os::TempDir directory, os::TempDir::Create(output + ".part."));
  BuildReport report;
  report.config_json = source.config_json;
  for (std::size_t i = 0; i < source.layers.size(); ++i) {
    const oci::LayerRef& layer = source.layers[i];
    const std::string step = StepName(i, source.layers.size());
    const std::string name = fmt::format("{:02}-{}.daxfs", i, layer.diff_id.Hex());
    progress.Begin(step, layer.descriptor.size_bytes);
    Result<ImageReport> image =
        BuildLayer(options, layout, layer, directory.path() + "/" + name, progress);
    if (!image.ok()) return image.status().WithContext(step);
    image->path = name;
    report.images.push_back(*std::move(image));
    progress.End();
  }
  RETURN_IF_ERROR(WriteText(directory.path() + "/image.json", ImageJson(report)));
  RETURN_IF_ERROR(directory.RenameTo(output));
  return report;
}

Result<BuildReport> BuildFlattened(const Options& options, const oci::Layout& layout,
                                   const oci::ImageRef& source, Progress& progress) {
  ASSIGN_OR_RETURN(convert::FileSink sink, OpenSink(options.output));
  convert::ImageBuilder image(sink, ToBuildOptions(options));
  for (std::size_t i = 0; i < source.layers.size(); ++i) {
    const oci::LayerRef& layer = source.layers[i];
    const std::string step = StepName(i, source.layers.size());
    progress.Begin(step, layer.descriptor.size_bytes);
    // Symbolic links of a layer are resolved in that layer alone: it gets a tree of its own first.
    convert::Tree tree([&](const convert::Node& node) { image.data().Release(node.data); });
    RETURN_IF_ERROR(StreamLayer(layout, layer, {tree, image.data(), image.xattrs()}, progress)
                        .WithContext(step));
    RETURN_IF_ERROR(convert::MergeLayer(image.tree(), tree, image.xattrs()).WithContext(step));
    progress.End();
  }
  BuildReport report;
  report.config_json = source.config_json;
  ASSIGN_OR_RETURN(const convert::ImageSummary summary, image.Finish());
  report.images.push_back({options.output, "", summary});
  return report;
}

Result<BuildReport> BuildOci(const Options& options, Progress& progress, base::Logger& log) {
  ASSIGN_OR_RETURN(const oci::Layout layout, oci::Layout::Open(options.source.path));
  ASSIGN_OR_RETURN(
      const oci::ImageRef source,
      layout.Find(options.source.reference, options.platform).WithContext(options.source.path));
  log.Info("image", {{"manifest", source.manifest_digest.ToString()},
                     {"platform", source.platform.ToString()},
                     {"layers", source.layers.size()}});
  return options.mode == Mode::kPerLayer ? BuildPerLayer(options, layout, source, progress)
                                         : BuildFlattened(options, layout, source, progress);
}

Result<BuildReport> BuildSource(const Options& options, Progress& progress, base::Logger& log) {
  switch (options.source.kind) {
    case SourceKind::kDirectory:
      return BuildDirectory(options, progress);
    case SourceKind::kDump:
      return BuildDump(options, progress);
    default:
      return BuildOci(options, progress, log);
  }
}

}  // namespace

Result<BuildReport> Build(const Options& options, Progress& progress, base::Logger& log) {
  ASSIGN_OR_RETURN(BuildReport report, BuildSource(options, progress, log));
  report.output = options.output;
  report.source_bytes = progress.all_bytes();
  report.entries = progress.all_entries();
  report.elapsed_ms = progress.all_ms();
  return report;
}

}  // namespace daxfs::imagebuilder
