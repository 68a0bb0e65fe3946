// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "common/containerd/content.hpp"
#include "common/oci/file_reader.hpp"
#include "common/os/file_io.hpp"

namespace daxfs::containerd {
namespace {

class Files final : public Content {
 public:
  Files(std::string directory, std::unique_ptr<Content> other)
      : directory_(std::move(directory)), other_(std::move(other)) {}

  Result<std::unique_ptr<oci::ByteReader>> Open(const Blob& blob,
                                                const std::string& name_space) override {
    const std::string path = directory_ + "/blobs/sha256/" + blob.digest.Hex();
    Result<os::UniqueFd> fd = os::OpenForReading(path);
    if (!fd.ok()) return other_->Open(blob, name_space);
    return std::unique_ptr<oci::ByteReader>(
        std::make_unique<oci::DescriptorReader>(*std::move(fd)));
  }

 private:
  const std::string directory_;
  const std::unique_ptr<Content> other_;
};

}  // namespace

std::unique_ptr<Content> ContentInFiles(const std::string& directory,
                                        std::unique_ptr<Content> other) {
  return std::make_unique<Files>(directory, std::move(other));
}

}  // namespace daxfs::containerd
