// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace daxfs::oci::testing {

// A layer as it goes into a layout.
struct LayerSpec {
  std::string tar;
  bool gzip = false;
};

// Writes OCI layouts, right ones and, through its parts, wrong ones. Stops the test when a file
// cannot be made.
class LayoutBuilder {
 public:
  // Makes the directory, `oci-layout` and an empty blob store.
  explicit LayoutBuilder(std::string path);

  const std::string& path() const { return path_; }
  // Stores bytes as a blob: its digest as text.
  std::string AddBlob(const std::string& bytes);
  // A whole image: its manifest's digest and size.
  std::pair<std::string, std::size_t> AddImage(const std::vector<LayerSpec>& layers,
                                               const std::string& architecture = "amd64",
                                               const std::string& variant = "");
  // An index.json of one image without platform or name.
  void WriteIndex(const std::pair<std::string, std::size_t>& manifest);
  // Any index.json.
  void WriteIndexJson(const std::string& json);

 private:
  std::string path_;
};

// The digest of bytes as text.
std::string DigestOf(const std::string& bytes);

// A descriptor as JSON, `more` (",\"key\":...") inside.
std::string DescriptorJson(const std::string& media_type, const std::string& digest,
                           std::size_t size_bytes, const std::string& more = "");

}  // namespace daxfs::oci::testing
