// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <system_error>
#include <utility>

#include "common/format/verify.hpp"
#include "common/os/atomic_file.hpp"
#include "common/os/file_io.hpp"
#include "imagebuilder/destination.hpp"

namespace daxfs::imagebuilder {
namespace {

class LayerFile final : public BuiltLayer {
 public:
  LayerFile(ImageReport report, format::Image image)
      : BuiltLayer(std::move(report)), image_(std::move(image)) {}
  const format::Image& image() const override { return image_; }

 private:
  const format::Image image_;
};

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
  Result<std::unique_ptr<BuiltLayer>> MakeLayer(const std::string& path,
                                                const convert::PlaceLayerRequest& layer,
                                                const convert::Below& below,
                                                convert::Monitor& monitor) override {
    const Make make = [&](convert::Sink& sink) {
      return convert::MakeLayer(layer, sink, monitor, below);
    };
    ASSIGN_OR_RETURN(ImageReport report, Place(path, make));
    ASSIGN_OR_RETURN(format::Image image, format::Image::Open(path));
    return std::unique_ptr<BuiltLayer>(
        std::make_unique<LayerFile>(std::move(report), std::move(image)));
  }
  Result<std::unique_ptr<BuiltLayer>> FindLayer(const oci::Digest& /*chain*/,
                                                const oci::Digest& /*diff_id*/) override {
    return std::unique_ptr<BuiltLayer>();
  }
  Result<bool> HasLayer(const oci::Digest& /*chain*/, const oci::Digest& /*diff_id*/) override {
    return false;
  }
  Status AddLayer(const BuiltLayer& /*layer*/, const oci::Digest& /*chain*/,
                  const std::optional<oci::Digest>& /*parent*/) override {
    return Status::Ok();
  }
  Status VerifyPlaced(const ImageReport& image, const format::Advance& advance) override {
    const Status verified = VerifyFile(image.path, advance);
    std::error_code ignored;
    if (!verified.ok()) std::filesystem::remove(image.path, ignored);
    return verified;
  }
  Status Finish(const BuildReport& /*report*/) override { return Status::Ok(); }

 private:
  static Status VerifyFile(const std::string& path, const format::Advance& advance) {
    ASSIGN_OR_RETURN(const format::Image image, format::Image::Open(path));
    return format::Verify(image, format::VerifyLevel::kFull, advance).status().WithContext(path);
  }
};

// A file that gets no name.
class Unnamed final : public os::OutputFile {
 public:
  explicit Unnamed(std::unique_ptr<os::OutputFile> file) : file_(std::move(file)) {}
  Status Write(std::uint64_t offset, std::span<const std::byte> data) override {
    return file_->Write(offset, data);
  }
  Status Read(std::uint64_t offset, std::span<std::byte> out) override {
    return file_->Read(offset, out);
  }
  Status Zero(std::uint64_t offset, std::uint64_t length) override {
    return file_->Zero(offset, length);
  }
  Status Truncate(std::uint64_t size_bytes) override { return file_->Truncate(size_bytes); }
  Status Commit() override { return Status::Ok(); }

 private:
  const std::unique_ptr<os::OutputFile> file_;
};

class Nowhere final : public Destination {
 public:
  explicit Nowhere(std::unique_ptr<Destination> there) : there_(std::move(there)) {}

  Result<ImageReport> Place(const std::string& /*path*/, const Make& make) override {
    ASSIGN_OR_RETURN(std::unique_ptr<os::AtomicFile> file,
                     os::AtomicFile::Create(os::TemporaryDirectory() + "/daxfs-dry-run"));
    convert::FileSink sink(std::make_unique<Unnamed>(std::move(file)));
    ImageReport report;
    ASSIGN_OR_RETURN(report.summary, make(sink));
    return report;
  }
  Result<std::unique_ptr<BuiltLayer>> MakeLayer(const std::string& /*path*/,
                                                const convert::PlaceLayerRequest& /*layer*/,
                                                const convert::Below& /*below*/,
                                                convert::Monitor& /*monitor*/) override {
    return InternalError("no layer is made in a dry run");
  }
  Result<std::unique_ptr<BuiltLayer>> FindLayer(const oci::Digest& chain,
                                                const oci::Digest& diff_id) override {
    return there_->FindLayer(chain, diff_id);
  }
  Result<bool> HasLayer(const oci::Digest& chain, const oci::Digest& diff_id) override {
    return there_->HasLayer(chain, diff_id);
  }
  Status AddLayer(const BuiltLayer& /*layer*/, const oci::Digest& /*chain*/,
                  const std::optional<oci::Digest>& /*parent*/) override {
    return InternalError("no layer is made in a dry run");
  }
  Status VerifyPlaced(const ImageReport& /*image*/, const format::Advance& /*advance*/) override {
    return InternalError("nothing is placed in a dry run");
  }
  Status Finish(const BuildReport& /*report*/) override { return Status::Ok(); }

 private:
  const std::unique_ptr<Destination> there_;
};

}  // namespace

std::unique_ptr<Destination> FilesDestination() { return std::make_unique<Files>(); }

std::unique_ptr<Destination> NoDestination(std::unique_ptr<Destination> out) {
  return std::make_unique<Nowhere>(std::move(out));
}

}  // namespace daxfs::imagebuilder
