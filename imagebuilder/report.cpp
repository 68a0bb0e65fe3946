// SPDX-License-Identifier: Apache-2.0
#include "imagebuilder/report.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/base/units.hpp"

namespace daxfs::imagebuilder {
namespace {

using Json = nlohmann::ordered_json;

// File names need not be UTF-8; JSON has to be.
std::string Dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// Of the one tar it was made of.
std::string DiffId(const format::SourceInfo& source) {
  return oci::Digest{source.digest}.ToString();
}

Json LayerJson(const ImageReport& image) {
  Json json;
  json["diff_id"] = DiffId(*image.summary.source);
  if (image.how.empty()) json["path"] = image.path;
  json["size_bytes"] = image.summary.image_bytes;
  json["root"] = image.summary.root.ToString();
  return json;
}

Json FullJson(const ImageReport& image) {
  Json json;
  if (image.summary.source) json["diff_id"] = DiffId(*image.summary.source);
  if (image.how.empty() && !image.path.empty()) json["path"] = image.path;
  if (image.stored_bytes) json["stored_bytes"] = *image.stored_bytes;
  if (!image.how.empty()) json["how"] = image.how;
  if (image.summary.image_bytes == 0) return json;  // of one that was not made
  json["size_bytes"] = image.summary.image_bytes;
  json["root"] = image.summary.root.ToString();
  // Whoever did not build it knows no more of it.
  if (!image.how.empty() && image.summary.inodes == 0) return json;
  json["data_bytes"] = image.summary.data_bytes;
  json["metadata_bytes"] = image.summary.metadata_bytes;
  json["waste_bytes"] = image.summary.waste_bytes;
  json["shared_bytes"] = image.summary.shared_bytes;
  json["inodes"] = image.summary.inodes;
  json["implicit_directories"] = image.summary.implicit_directories;
  return json;
}

Json ReportJson(const BuildReport& report) {
  Json json;
  json["ok"] = true;
  if (report.dry_run) json["dry_run"] = true;
  if (report.pool.empty()) json["output"] = report.output;
  if (!report.pool.empty()) json["pool"] = report.pool;
  if (!report.name.empty()) json["name"] = report.name;
  json["images"] = Json::array();
  for (const ImageReport& image : report.images) json["images"].push_back(FullJson(image));
  json["source_bytes"] = report.source_bytes;
  json["entries"] = report.entries;
  json["elapsed_ms"] = report.elapsed_ms;
  return json;
}

Json StatusJson(const Status& status) {
  Json json;
  json["ok"] = false;
  json["code"] = StatusCodeName(status.code());
  json["error"] = status.message();
  return json;
}

// Of an image that is to be made, as far as that is known.
std::string PlanText(const ImageReport& image) {
  if (!image.stored_bytes) {
    return fmt::format("{}  {} inodes  root {}, not kept\n",
                       base::HumanSize(image.summary.image_bytes), image.summary.inodes,
                       image.summary.root.ToString());
  }
  return fmt::format("{}  {} stored{}\n", DiffId(*image.summary.source),
                     base::HumanSize(*image.stored_bytes),
                     image.how == "found"     ? ", was there"
                     : image.how == "missing" ? ", to be made"
                                              : "");
}

}  // namespace

std::string ImageJson(const BuildReport& report) {
  Json json;
  json["layers"] = Json::array();
  for (const ImageReport& image : report.images) json["layers"].push_back(LayerJson(image));
  json["config"] = Json::parse(report.config_json, nullptr, false);
  return Dump(json, 2) + "\n";
}

std::string SummaryJson(const BuildReport& report) { return Dump(ReportJson(report), -1); }

std::string FailureJson(const Status& status) { return Dump(StatusJson(status), -1); }

std::string ListJson(const std::string& pool, const std::vector<ListedReport>& reports,
                     std::size_t left) {
  Json sources = Json::array();
  std::size_t failed = 0;
  for (const ListedReport& one : reports) {
    Json json;
    json["source"] = one.source;
    json.update(one.report.ok() ? ReportJson(*one.report) : StatusJson(one.report.status()));
    sources.push_back(std::move(json));
    failed += one.report.ok() ? 0 : 1;
  }
  Json json;
  json["ok"] = failed == 0 && left == 0;
  json["pool"] = pool;
  json["sources"] = std::move(sources);
  json["failed"] = failed;
  json["interrupted_before"] = left;
  return Dump(json, -1);
}

std::string SummaryText(const BuildReport& report) {
  std::string text;
  for (const ImageReport& image : report.images) {
    const convert::ImageSummary& s = image.summary;
    if (report.dry_run) {
      text += PlanText(image);
      continue;
    }
    if (!image.how.empty()) {
      text += fmt::format("{}  {}  {}\n", s.root.ToString(), base::HumanSize(s.image_bytes),
                          image.how == "built" ? "placed" : "was there");
      continue;
    }
    text += fmt::format("{}  {}  {} inodes  root {}\n", image.path, base::HumanSize(s.image_bytes),
                        s.inodes, s.root.ToString());
  }
  return text;
}

}  // namespace daxfs::imagebuilder
