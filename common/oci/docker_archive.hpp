// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/image_source.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::oci {

// What `docker save` writes: a tar with `manifest.json`, the configs and the layers it names, each
// as a member of its own, a link to one, or (from version 25 on) a blob of an OCI layout (moby,
// image/spec/v1.2.md "Combined Image JSON + Filesystem Changeset Format"). A compressed archive is
// inflated into an unnamed temporary file first, because members are read in another order than
// they come.
class DockerArchive final : public ImageSource {
 public:
  // Reads the table of members. Errors: kInvalidArgument if it is no such archive; kDataLoss for a
  // damaged tar; by errno.
  static Result<DockerArchive> Open(const std::string& path);

  // As ImageSource; `reference` is one of the image's tags, ":latest" may be left out. Configs
  // named by their digest are compared with it.
  Result<ImageRef> Find(const std::string& reference, const std::string& platform) const override;
  Result<std::unique_ptr<PositionedReader>> OpenLayer(const LayerRef& layer) const override;

 private:
  struct Member {
    std::uint64_t offset = 0;
    std::uint64_t size_bytes = 0;
    std::string link;  // absolute in the archive; empty: the member itself
  };
  explicit DockerArchive(std::shared_ptr<const os::UniqueFd> fd) : fd_(std::move(fd)) {}
  Status Index();
  Result<Member> FindMember(const std::string& name) const;
  Result<std::string> ReadMember(const std::string& name) const;
  Result<ImageRef> Load(const DockerManifest& manifest) const;

  std::shared_ptr<const os::UniqueFd> fd_;
  std::map<std::string, Member> members_;
};

}  // namespace daxfs::oci
