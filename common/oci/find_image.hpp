// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/byte_reader.hpp"
#include "common/oci/image_source.hpp"
#include "common/oci/manifest.hpp"

namespace daxfs::oci {

// A JSON document is not longer: registries cut manifests off at 4 MiB.
inline constexpr std::uint64_t kDocumentMaxBytes = 8U << 20U;

// Where indexes, manifests and configs are.
class DocumentSource {
 public:
  virtual ~DocumentSource() = default;
  // The whole document, its size and digest compared. Errors: kNotFound, kDataLoss; the source's.
  virtual Result<std::string> ReadDocument(const Descriptor& descriptor) const = 0;
};

// All of a blob that is a document. Errors: kInvalidArgument if it is too large; the reader's.
Result<std::string> ReadText(const Descriptor& descriptor, PositionedReader& blob);

// The one image among those `named` and below (indexes may hold indexes) for `platform`; empty:
// this host's, or whatever there is if there is but one. Documents are read only where a descriptor
// does not say enough. Locations of layers are left empty. Errors: kNotFound, listing what there
// is; kFailedPrecondition if several fit; kInvalidArgument for damaged documents; the source's.
Result<ImageRef> FindImage(const DocumentSource& documents, const std::vector<Descriptor>& named,
                           const std::string& platform);

// For messages: its reference, where it has one, and its digest.
std::string NameOf(const Descriptor& descriptor);
// "a, b, c".
std::string ListOf(const std::vector<std::string>& names);

}  // namespace daxfs::oci
