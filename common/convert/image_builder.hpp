// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "common/base/status.hpp"
#include "common/convert/data_writer.hpp"
#include "common/convert/layout_planner.hpp"
#include "common/convert/sink.hpp"
#include "common/convert/tree.hpp"
#include "common/convert/xattr_table.hpp"
#include "common/format/image.hpp"
#include "common/oci/digest.hpp"

namespace daxfs::convert {

// What a source means: kLayer is what containerd makes of a layer, kArchive keeps every attribute.
enum class Profile { kLayer, kArchive };

struct BuildOptions {
  LayoutOptions layout;
  Profile profile = Profile::kLayer;
  bool flattened = false;  // several layers merged into one tree; recorded only
};

// Watches a build and may end it. Called from the building thread for every entry and every buffer.
class Monitor {
 public:
  virtual ~Monitor() = default;
  // `source_bytes` and `entries` more were taken from the source. A failure (kCancelled) ends the
  // build.
  virtual Status Advance(std::uint64_t source_bytes, std::uint64_t entries) = 0;
};

struct ImageSummary {
  oci::Digest root;
  std::uint64_t image_bytes = 0;
  std::uint64_t data_bytes = 0;  // data area, waste included
  std::uint64_t metadata_bytes = 0;
  std::uint64_t waste_bytes = 0;
  std::uint64_t shared_bytes = 0;  // of files stored once more than once
  std::uint64_t inodes = 0;
  std::uint64_t implicit_directories = 0;
  std::optional<format::SourceInfo> source;
};

// One image in the making: fill data() and tree(), then Finish. Borrows the sink; one thread.
class ImageBuilder {
 public:
  ImageBuilder(Sink& sink, const BuildOptions& options);

  const BuildOptions& options() const { return options_; }
  DataWriter& data() { return data_; }
  Tree& tree() { return tree_; }
  XattrTable& xattrs() { return xattrs_; }

  // Writes the metadata, the digests, the superblock and, last, the magic. `source`: the one tar it
  // was made of, which the image says. Errors: the sink's.
  Result<ImageSummary> Finish(const std::optional<format::SourceInfo>& source = {});

 private:
  Sink& sink_;
  const BuildOptions options_;
  DataWriter data_;
  XattrTable xattrs_;
  Tree tree_;
};

}  // namespace daxfs::convert
