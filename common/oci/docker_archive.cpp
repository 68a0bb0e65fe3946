// SPDX-License-Identifier: Apache-2.0
#include "common/oci/docker_archive.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "common/oci/file_reader.hpp"
#include "common/oci/inflate_reader.hpp"
#include "common/oci/read_ahead.hpp"
#include "common/oci/tar_reader.hpp"
#include "common/os/directory.hpp"
#include "common/os/file_io.hpp"

namespace daxfs::oci {
namespace {

constexpr const char* kManifest = "manifest.json";
constexpr std::size_t kTextMax = std::size_t{8} << 20U;
constexpr std::size_t kMembersMax = 100000;
constexpr int kLinksMax = 8;
constexpr std::size_t kCopyBytes = std::size_t{1} << 20U;

// "./a//b/../c" and "/a/c" are both "a/c"; nothing leads above the archive's root.
std::string MemberName(const std::string& name) {
  const std::string clean = ("/" / std::filesystem::path(name).relative_path()).lexically_normal();
  const std::size_t end = clean.find_last_not_of('/');
  return end == std::string::npos ? std::string() : clean.substr(1, end);
}

std::string LinkTarget(const TarEntry& entry, const std::string& name) {
  if (entry.type == TarType::kHardLink) return MemberName(entry.link_name);
  return MemberName(std::filesystem::path(name).parent_path() / entry.link_name);
}

// The inflated archive in a file of its own.
Result<os::UniqueFd> Spool(InflateReader& archive) {
  ASSIGN_OR_RETURN(os::UniqueFd fd, os::OpenUnnamed());
  std::vector<std::byte> buffer(kCopyBytes);
  for (std::uint64_t at = 0;;) {
    ASSIGN_OR_RETURN(const std::size_t n, archive.Read(buffer));
    if (n == 0) {
      RETURN_IF_ERROR(os::Truncate(fd.get(), at));
      return fd;
    }
    const auto bytes = std::span(buffer).first(n);
    const auto zero = [](std::byte b) { return b == std::byte{0}; };
    // A bomb of zeros costs no disk.
    if (!std::all_of(bytes.begin(), bytes.end(), zero)) {
      RETURN_IF_ERROR(os::PWriteAll(fd.get(), at, bytes));
    }
    at += n;
  }
}

bool HasTag(const DockerManifest& manifest, const std::string& reference) {
  return std::any_of(manifest.tags.begin(), manifest.tags.end(), [&](const std::string& tag) {
    return tag == reference || tag == reference + ":latest";
  });
}

std::string NameOf(const DockerManifest& manifest) {
  return manifest.tags.empty() ? manifest.config : manifest.tags.front();
}

// A config called after its digest, as "HEX.json" or "blobs/sha256/HEX".
Status CheckConfig(const std::string& name, const std::string& text) {
  const std::string stem = std::filesystem::path(name).stem();
  const Result<Digest> named = Digest::Parse("sha256:" + stem);
  if (!named.ok()) return Status::Ok();
  const Digest actual = Sha256::Of(std::as_bytes(std::span(text)));
  if (actual == *named) return Status::Ok();
  return DataLossError(name + ": its bytes have " + actual.ToString());
}

}  // namespace

Result<DockerArchive> DockerArchive::Open(const std::string& path) {
  ASSIGN_OR_RETURN(os::UniqueFd opened, os::OpenForReading(path));
  ASSIGN_OR_RETURN(const os::FileInfo info, os::StatFd(opened.get()));
  auto fd = std::make_shared<const os::UniqueFd>(std::move(opened));
  RangeReader stored(fd, 0, info.size_bytes);
  InflateReader inflated(stored);
  ASSIGN_OR_RETURN(const bool compressed, inflated.IsCompressed());
  if (compressed) {
    ASSIGN_OR_RETURN(os::UniqueFd spooled, Spool(inflated).WithContext(path));
    fd = std::make_shared<const os::UniqueFd>(std::move(spooled));
  }
  DockerArchive archive(std::move(fd));
  RETURN_IF_ERROR(archive.Index().WithContext(path));
  if (!archive.members_.contains(kManifest)) {
    return InvalidArgumentError(path + ": no docker archive (it has no manifest.json)");
  }
  return archive;
}

Status DockerArchive::Index() {
  ASSIGN_OR_RETURN(const os::FileInfo info, os::StatFd(fd_->get()));
  RangeReader bytes(fd_, 0, info.size_bytes);
  ReadAhead ahead(bytes);
  ASSIGN_OR_RETURN(const std::unique_ptr<TarReader> reader, TarReader::Open(ahead));
  TarEntry entry;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader->Next(&entry));
    if (!more) return Status::Ok();
    const std::string name = MemberName(entry.name);
    const bool link = entry.type == TarType::kSymlink || entry.type == TarType::kHardLink;
    if (entry.type != TarType::kFile && !link) continue;
    if (members_.size() >= kMembersMax) return ResourceExhaustedError("more than 100000 members");
    Member member;
    if (link) {
      member.link = LinkTarget(entry, name);
    } else {
      member.offset = reader->data_offset();
      member.size_bytes = entry.size_bytes;
    }
    members_[name] = std::move(member);
  }
}

// Follows links. Errors: kNotFound.
Result<DockerArchive::Member> DockerArchive::FindMember(const std::string& name) const {
  std::string at = MemberName(name);
  for (int links = 0; links <= kLinksMax; ++links) {
    const auto found = members_.find(at);
    if (found == members_.end()) return NotFoundError(name + ": not in the archive");
    if (found->second.link.empty()) return found->second;
    at = found->second.link;
  }
  return InvalidArgumentError(name + ": too many links");
}

Result<std::string> DockerArchive::ReadMember(const std::string& name) const {
  ASSIGN_OR_RETURN(const Member member, FindMember(name));
  if (member.size_bytes > kTextMax) {
    return InvalidArgumentError(name + ": too large for a JSON document");
  }
  std::string text(member.size_bytes, '\0');
  RETURN_IF_ERROR(os::PReadExact(fd_->get(), member.offset, std::as_writable_bytes(std::span(text)))
                      .WithContext(name));
  return text;
}

Result<ImageRef> DockerArchive::Load(const DockerManifest& manifest) const {
  ImageRef image;
  image.name = NameOf(manifest);
  ASSIGN_OR_RETURN(image.config_json, ReadMember(manifest.config));
  RETURN_IF_ERROR(CheckConfig(manifest.config, image.config_json));
  ASSIGN_OR_RETURN(const ImageConfig config,
                   ParseImageConfig(image.config_json).WithContext(manifest.config));
  image.platform = config.platform;
  RETURN_IF_ERROR(CheckLayerCount(config, manifest.layers.size()));
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
    ASSIGN_OR_RETURN(const Member member, FindMember(manifest.layers[i]));
    image.layers.push_back(
        {config.diff_ids[i], std::nullopt, member.size_bytes, manifest.layers[i]});
  }
  return image;
}

Result<ImageRef> DockerArchive::Find(const std::string& reference,
                                     const std::string& platform) const {
  ASSIGN_OR_RETURN(const std::string text, ReadMember(kManifest));
  ASSIGN_OR_RETURN(const std::vector<DockerManifest> all,
                   ParseDockerManifests(text).WithContext(kManifest));
  std::vector<DockerManifest> fitting;
  std::string offered;
  for (const DockerManifest& manifest : all) {
    offered += (offered.empty() ? "" : ", ") + NameOf(manifest);
    if (reference.empty() || HasTag(manifest, reference)) fitting.push_back(manifest);
  }
  if (fitting.empty()) {
    return NotFoundError("no image \"" + reference + "\" in the archive; it has: " + offered);
  }
  if (fitting.size() > 1) {
    return FailedPreconditionError("several images fit, choose one with docker-archive:PATH:TAG: " +
                                   offered);
  }
  ASSIGN_OR_RETURN(ImageRef image, Load(fitting.front()));
  if (platform.empty()) return image;
  ASSIGN_OR_RETURN(const Platform wanted, Platform::Parse(platform));
  if (wanted.Accepts(image.platform)) return image;
  return NotFoundError("no image for " + wanted.ToString() +
                       "; there is: " + image.platform.ToString());
}

Result<std::unique_ptr<PositionedReader>> DockerArchive::OpenLayer(const LayerRef& layer) const {
  ASSIGN_OR_RETURN(const Member member, FindMember(layer.location));
  return std::unique_ptr<PositionedReader>(
      std::make_unique<RangeReader>(fd_, member.offset, member.size_bytes));
}

}  // namespace daxfs::oci
