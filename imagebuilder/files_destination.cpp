// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "common/os/atomic_file.hpp"
#include "imagebuilder/destination.hpp"

namespace daxfs::imagebuilder {
namespace {

class Files final : public Destination {
 public:
  Result<ImageReport> Place(const std::string& path, const Make& make) override {
    ASSIGN_OR_RETURN(std::unique_ptr<os::AtomicFile> file, os::AtomicFile::Create(path));
    convert::FileSink sink(std::move(file));
    ImageReport report;
    report.path = path;
    ASSIGN_OR_RETURN(report.summary, make(sink));
    return report;
  }
  Status Finish(const BuildReport& /*report*/) override { return Status::Ok(); }
};

}  // namespace

std::unique_ptr<Destination> FilesDestination() { return std::make_unique<Files>(); }

}  // namespace daxfs::imagebuilder
