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
  if (image.how.empty()) json["path"] = image.path;
  json["size_bytes"] = image.summary.image_bytes;
  json["root"] = image.summary.root.ToString();
  if (!image.how.empty()) json["how"] = image.how;
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

}  // namespace

std::string ImageJson(const BuildReport& report) {
  Json json;
  json["layers"] = Json::array();
  for (const ImageReport& image : report.images) json["layers"].push_back(LayerJson(image));
  json["config"] = Json::parse(report.config_json, nullptr, false);
  return Dump(json, 2) + "\n";
}

std::string SummaryJson(const BuildReport& report) {
  Json json;
  json["ok"] = true;
  if (report.pool.empty()) json["output"] = report.output;
  if (!report.pool.empty()) json["pool"] = report.pool;
  if (!report.name.empty()) json["name"] = report.name;
  json["images"] = Json::array();
  for (const ImageReport& image : report.images) json["images"].push_back(FullJson(image));
  json["source_bytes"] = report.source_bytes;
  json["entries"] = report.entries;
  json["elapsed_ms"] = report.elapsed_ms;
  return Dump(json, -1);
}

std::string FailureJson(const Status& status) {
  Json json;
  json["ok"] = false;
  json["code"] = StatusCodeName(status.code());
  json["error"] = status.message();
  return Dump(json, -1);
}

std::string SummaryText(const BuildReport& report) {
  std::string text;
  for (const ImageReport& image : report.images) {
    const convert::ImageSummary& s = image.summary;
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
