// SPDX-License-Identifier: Apache-2.0
#include "tools/record.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "common/pool/digest.hpp"
#include "common/pool/view.hpp"
#include "tools/text.hpp"

namespace daxfs::tools {
namespace {

using Json = nlohmann::json;

// An error names so many layers; who has more lists them.
constexpr std::size_t kNamedLayers = 8;

std::optional<std::string> DigestOf(const Json& layer, const char* key) {
  const auto found = layer.find(key);
  if (found == layer.end() || !found->is_string()) return std::nullopt;
  const auto& text = found->get_ref<const std::string&>();
  if (!pool::ParseDigest(text).ok()) return std::nullopt;
  return text;
}

}  // namespace

std::optional<Record> ParseRecord(std::span<const std::byte> bytes) {
  const auto* const text = reinterpret_cast<const char*>(bytes.data());
  const Json json = Json::parse(text, text + bytes.size(), nullptr, false);
  if (!json.is_object() || !json.contains("layers") || !json["layers"].is_array()) {
    return std::nullopt;
  }
  Record record;
  for (const Json& layer : json["layers"]) {
    if (!layer.is_object() || !layer.contains("size_bytes")) return std::nullopt;
    const std::optional<std::string> digest = DigestOf(layer, "root");
    const std::optional<std::string> diff_id = DigestOf(layer, "diff_id");
    const Json& size = layer["size_bytes"];
    if (!digest || !diff_id || !size.is_number_unsigned()) return std::nullopt;
    record.push_back({*digest, *diff_id, size.get<std::uint64_t>()});
  }
  return record;
}

Result<std::optional<Record>> ReadRecord(pool::Participant& participant, pool::Ref ref) {
  ASSIGN_OR_RETURN(std::optional<pool::Use> use, participant.Take(ref));
  if (!use) return std::optional<Record>();
  daxfs_object_info object;
  daxfs_object_read(&participant.memory().partition(ref.partition), ref.row, &object);
  if (object.kind != DAXFS_OBJECT_BLOB) return std::optional<Record>();
  ASSIGN_OR_RETURN(const pool::Mapped mapped, pool::Mapped::Open(participant, *std::move(use)));
  return ParseRecord(mapped.bytes());
}

Status NotOneImage(const std::string& pool, const std::string& name, const Record& record) {
  std::string layers;
  for (std::size_t i = 0; i < record.size() && i < kNamedLayers; ++i) {
    layers += (i == 0 ? " " : ", ") + record[i].digest;
  }
  if (record.size() > kNamedLayers) {
    layers += fmt::format(" and {} more", record.size() - kNamedLayers);
  }
  return InvalidArgumentError(fmt::format(
      "\"{}\" is an image of {}, not one image; name one of them, the lowest first:{} (daxfsctl "
      "pool ls {} {})",
      PrintableName(name), Counted(record.size(), "layer"), layers, pool, PrintableName(name)));
}

}  // namespace daxfs::tools
