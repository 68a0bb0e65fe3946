// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/convert/image_builder.hpp"

namespace daxfs::imagebuilder {

// One image that was made.
struct ImageReport {
  std::string path;  // empty in a pool
  convert::ImageSummary summary;
  // Of one in a pool: found, waited (another built it), built; before it is made: missing.
  std::string how = {};
  std::optional<std::uint64_t> stored_bytes = {};  // of a layer, where it comes from
};

struct BuildReport {
  bool dry_run = false;
  std::string output;
  std::string pool;  // instead of an output
  std::string name;  // in the pool
  std::vector<ImageReport> images;
  std::string config_json;  // the image's config, empty for a directory
  std::uint64_t source_bytes = 0;
  std::uint64_t entries = 0;
  std::int64_t elapsed_ms = 0;
};

// image.json of --per-layer: {layers: [{diff_id, path, size_bytes, root}], config}. Same build,
// same bytes.
std::string ImageJson(const BuildReport& report);

// The closing line of --json, without newline.
std::string SummaryJson(const BuildReport& report);

// The same for a build that failed.
std::string FailureJson(const Status& status);

// What became of one source of a list.
struct ListedReport {
  std::string source;
  Result<BuildReport> report;
};
// The closing line of --json of a list, `left` of which were not begun: {ok, pool, sources: [...],
// failed, interrupted_before}.
std::string ListJson(const std::string& pool, const std::vector<ListedReport>& reports,
                     std::size_t left);

// The closing lines for a person.
std::string SummaryText(const BuildReport& report);

}  // namespace daxfs::imagebuilder
