// SPDX-License-Identifier: Apache-2.0
#include "imagebuilder/build.hpp"

#include <memory>
#include <utility>

#include "common/convert/directory_source.hpp"
#include "common/os/atomic_file.hpp"

namespace daxfs::imagebuilder {
namespace {

convert::BuildOptions ToBuildOptions(const Options& options) {
  convert::BuildOptions out;
  out.layout.huge_min_bytes = options.huge_min_bytes;
  out.profile = options.profile;
  out.flattened = options.mode == Mode::kFlatten;
  return out;
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
  report.output = options.output;
  report.images.push_back({options.output, "", summary});
  report.source_bytes = progress.source_bytes();
  report.entries = progress.entries();
  report.elapsed_ms = progress.elapsed_ms();
  progress.End();
  return report;
}

}  // namespace

Result<BuildReport> Build(const Options& options, Progress& progress, base::Logger& log) {
  log.Debug("build", {{"source", options.source.path}, {"output", options.output}});
  return BuildDirectory(options, progress);
}

}  // namespace daxfs::imagebuilder
