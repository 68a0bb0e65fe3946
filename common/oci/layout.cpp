// SPDX-License-Identifier: Apache-2.0
#include "common/oci/layout.hpp"

#include <utility>

#include "common/base/check.hpp"
#include "common/oci/blob_reader.hpp"
#include "common/os/file_io.hpp"

namespace daxfs::oci {
namespace {

std::string BlobPath(const Digest& digest) { return "blobs/sha256/" + digest.Hex(); }

std::vector<Descriptor> Named(const std::vector<Descriptor>& all, const std::string& reference) {
  std::vector<Descriptor> out;
  for (const Descriptor& descriptor : all) {
    if (reference.empty() || descriptor.reference == reference) out.push_back(descriptor);
  }
  return out;
}

std::vector<std::string> ReferencesOf(const std::vector<Descriptor>& all) {
  std::vector<std::string> names;
  names.reserve(all.size());
  for (const Descriptor& descriptor : all) names.push_back(NameOf(descriptor));
  return names;
}

}  // namespace

Result<Layout> Layout::Open(const std::string& path) {
  ASSIGN_OR_RETURN(os::Directory directory, os::Directory::Open(path));
  Layout layout(std::move(directory));
  const Result<std::string> version = layout.ReadText("oci-layout");
  if (!version.ok() && version.status().code() == StatusCode::kNotFound) {
    return InvalidArgumentError(path + ": no OCI image layout (it has no file oci-layout)");
  }
  if (!version.ok()) return version.status();
  RETURN_IF_ERROR(CheckLayoutVersion(*version).WithContext(path + "/oci-layout"));
  return layout;
}

Result<std::string> Layout::ReadText(const std::string& name) const {
  ASSIGN_OR_RETURN(const os::UniqueFd fd, directory_.OpenFile(name));
  return os::ReadWholeFile(fd.get(), kDocumentMaxBytes).WithContext(name);
}

Result<std::unique_ptr<PositionedReader>> Layout::OpenBlob(const Digest& digest,
                                                           std::uint64_t size_bytes) const {
  ASSIGN_OR_RETURN(os::UniqueFd fd, directory_.OpenFile(BlobPath(digest)));
  return std::unique_ptr<PositionedReader>(
      std::make_unique<BlobReader>(std::move(fd), digest, size_bytes));
}

Result<std::unique_ptr<PositionedReader>> Layout::OpenLayer(const LayerRef& layer) const {
  DAXFS_CHECK(layer.digest.has_value());
  return OpenBlob(*layer.digest, layer.size_bytes);
}

Result<std::string> Layout::ReadDocument(const Descriptor& descriptor) const {
  ASSIGN_OR_RETURN(const std::unique_ptr<PositionedReader> blob,
                   OpenBlob(descriptor.digest, descriptor.size_bytes));
  return oci::ReadText(descriptor, *blob);
}

Result<ImageRef> Layout::Find(const std::string& reference, const std::string& platform) const {
  ASSIGN_OR_RETURN(const std::string text, ReadText("index.json"));
  ASSIGN_OR_RETURN(const Manifest index, ParseManifest(text).WithContext("index.json"));
  if (!index.is_index) return InvalidArgumentError("index.json is not an image index");
  const std::vector<Descriptor> named = Named(index.manifests, reference);
  if (named.empty()) {
    return NotFoundError("no image \"" + reference +
                         "\" in the layout; it has: " + ListOf(ReferencesOf(index.manifests)));
  }
  ASSIGN_OR_RETURN(ImageRef image, FindImage(*this, named, platform));
  for (LayerRef& layer : image.layers) layer.location = BlobPath(*layer.digest);
  return image;
}

}  // namespace daxfs::oci
