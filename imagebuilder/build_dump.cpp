// SPDX-License-Identifier: Apache-2.0
#include "imagebuilder/build_dump.hpp"

#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "common/convert/dump_source.hpp"
#include "common/oci/file_reader.hpp"
#include "common/os/file_io.hpp"

namespace daxfs::imagebuilder {

Result<BuildReport> BuildDump(const Options& options, Destination& out, Progress& progress) {
  const bool standard_input = options.source.path == "-";
  const std::string name = standard_input ? "standard input" : options.source.path;
  ASSIGN_OR_RETURN(os::UniqueFd fd, standard_input ? os::Duplicate(STDIN_FILENO)
                                                   : os::OpenForReading(options.source.path));
  oci::FileReader file(std::move(fd), progress.interrupted());
  const auto read = [&file](std::span<std::byte> bytes) { return file.Read(bytes); };
  progress.Begin(name, 0);
  ASSIGN_OR_RETURN(convert::DumpSource dump, convert::DumpSource::Open(read).WithContext(name));
  ASSIGN_OR_RETURN(const std::unique_ptr<convert::DumpData> data,
                   convert::DumpData::Of(options.data));
  convert::BuildOptions build = dump.options();
  if (options.huge_min_given) build.layout.huge_min_bytes = options.huge_min_bytes;
  const auto make = [&](convert::Sink& sink) -> Result<convert::ImageSummary> {
    convert::ImageBuilder image(sink, build);
    RETURN_IF_ERROR(dump.AddTo(image, *data, progress).WithContext(name));
    return image.Finish(dump.source());
  };
  BuildReport report;
  ASSIGN_OR_RETURN(ImageReport image, out.Place(options.output, make));
  report.images.push_back(std::move(image));
  return report;
}

}  // namespace daxfs::imagebuilder
