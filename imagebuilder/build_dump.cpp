// SPDX-License-Identifier: Apache-2.0
#include "imagebuilder/build_dump.hpp"

#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "common/convert/dump_source.hpp"
#include "common/oci/file_reader.hpp"
#include "common/os/atomic_file.hpp"
#include "common/os/file_io.hpp"

namespace daxfs::imagebuilder {

Result<BuildReport> BuildDump(const Options& options, Progress& progress) {
  const bool standard_input = options.source.path == "-";
  const std::string name = standard_input ? "standard input" : options.source.path;
  ASSIGN_OR_RETURN(os::UniqueFd fd, standard_input ? os::Duplicate(STDIN_FILENO)
                                                   : os::OpenForReading(options.source.path));
  oci::FileReader file(std::move(fd), progress.interrupted());
  const auto read = [&file](std::span<std::byte> out) { return file.Read(out); };
  progress.Begin(name, 0);
  ASSIGN_OR_RETURN(convert::DumpSource dump, convert::DumpSource::Open(read).WithContext(name));
  ASSIGN_OR_RETURN(const std::unique_ptr<convert::DumpData> data,
                   convert::DumpData::Of(options.data));
  convert::BuildOptions build = dump.options();
  if (options.huge_min_given) build.layout.huge_min_bytes = options.huge_min_bytes;
  ASSIGN_OR_RETURN(std::unique_ptr<os::AtomicFile> out, os::AtomicFile::Create(options.output));
  convert::FileSink sink(std::move(out));
  convert::ImageBuilder image(sink, build);
  RETURN_IF_ERROR(dump.AddTo(image, *data, progress).WithContext(name));
  BuildReport report;
  ASSIGN_OR_RETURN(const convert::ImageSummary summary, image.Finish());
  report.images.push_back({options.output, "", summary});
  return report;
}

}  // namespace daxfs::imagebuilder
