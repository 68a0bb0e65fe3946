// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/rows.hpp"

#include <algorithm>
#include <utility>

#include "common/base/log.hpp"

namespace daxfs::snapshotter {
namespace {

std::optional<oci::Digest> FromColumn(const std::string& bytes) {
  oci::Digest digest;
  if (bytes.size() != digest.bytes.size()) return std::nullopt;
  std::transform(bytes.begin(), bytes.end(), digest.bytes.begin(),
                 [](char c) { return static_cast<std::byte>(c); });
  return digest;
}

std::optional<LayerImage> ImageFrom(const std::string& root, const std::string& diff_id) {
  const std::optional<oci::Digest> first = FromColumn(root);
  const std::optional<oci::Digest> second = FromColumn(diff_id);
  if (!first || !second) return std::nullopt;
  return LayerImage{*first, *second};
}

// One statement: an image has tens of layers, and each call on a container asks for all.
Status AddParents(Database& database, Snapshot* snapshot) {
  Statement parents = database.Prepare(
      "WITH RECURSIVE below (depth, id) AS (SELECT 1, parent FROM snapshots WHERE id = ? "
      "UNION ALL SELECT b.depth + 1, s.parent FROM below b JOIN snapshots s ON s.id = b.id) "
      "SELECT s.id, s.root, s.diff_id FROM below b JOIN snapshots s ON s.id = b.id "
      "ORDER BY b.depth");
  parents.Bind(snapshot->layer.id);
  for (;;) {
    ASSIGN_OR_RETURN(const bool found, parents.Step());
    if (!found) return Status::Ok();
    snapshot->parents.push_back({parents.Number(0), ImageFrom(parents.Bytes(1), parents.Bytes(2))});
  }
}

}  // namespace

std::string Quoted(const std::string& key) { return "snapshot '" + base::Printable(key) + "'"; }

std::string ToColumn(const std::optional<oci::Digest>& digest) {
  if (!digest) return {};
  std::string bytes(digest->bytes.size(), '\0');
  std::transform(digest->bytes.begin(), digest->bytes.end(), bytes.begin(),
                 [](std::byte b) { return static_cast<char>(b); });
  return bytes;
}

Snapshot FromRow(const Statement& row) {
  Snapshot snapshot;
  snapshot.layer.id = row.Number(0);
  snapshot.info.name = row.Bytes(1);
  snapshot.info.parent = row.Bytes(2);
  snapshot.info.kind = static_cast<Kind>(row.Number(3));
  snapshot.info.created_ns = row.Number(4);
  snapshot.info.updated_ns = row.Number(5);
  if (row.MaybeNumber(6)) snapshot.usage = Usage{row.Number(6), row.Number(7)};
  snapshot.layer.image = ImageFrom(row.Bytes(8), row.Bytes(9));
  snapshot.chain = FromColumn(row.Bytes(10));
  return snapshot;
}

Status AddLabels(Database& database, Snapshot* snapshot) {
  Statement labels = database.Prepare("SELECT key, value FROM labels WHERE snapshot = ?");
  labels.Bind(snapshot->layer.id);
  for (;;) {
    ASSIGN_OR_RETURN(const bool found, labels.Step());
    if (!found) return Status::Ok();
    snapshot->info.labels[labels.Bytes(0)] = labels.Bytes(1);
  }
}

Result<std::optional<Snapshot>> FindOne(Database& database, Statement statement) {
  ASSIGN_OR_RETURN(const bool found, statement.Step());
  if (!found) return std::optional<Snapshot>();
  Snapshot snapshot = FromRow(statement);
  RETURN_IF_ERROR(AddLabels(database, &snapshot));
  RETURN_IF_ERROR(AddParents(database, &snapshot));
  return std::optional<Snapshot>(std::move(snapshot));
}

Result<std::optional<Snapshot>> Find(Database& database, const std::string& key) {
  Statement statement = database.Prepare("SELECT " DAXFS_SNAPSHOT_COLUMNS " WHERE s.name = ?");
  statement.Bind(key);
  return FindOne(database, std::move(statement));
}

Result<Snapshot> MustFind(Database& database, const std::string& key) {
  ASSIGN_OR_RETURN(std::optional<Snapshot> found, Find(database, key));
  if (!found) return NotFoundError(Quoted(key) + " does not exist");
  return *std::move(found);
}

Result<Snapshot> FindById(Database& database, std::int64_t id) {
  Statement statement = database.Prepare("SELECT " DAXFS_SNAPSHOT_COLUMNS " WHERE s.id = ?");
  statement.Bind(id);
  ASSIGN_OR_RETURN(std::optional<Snapshot> found, FindOne(database, std::move(statement)));
  if (!found) return NotFoundError("snapshot number " + std::to_string(id) + " does not exist");
  return *std::move(found);
}

Result<std::optional<std::int64_t>> FindParent(Database& database, const std::string& parent,
                                               StatusCode wrong_kind) {
  if (parent.empty()) return std::optional<std::int64_t>();
  Statement statement = database.Prepare("SELECT id, kind FROM snapshots WHERE name = ?");
  statement.Bind(parent);
  ASSIGN_OR_RETURN(const bool found, statement.Step());
  if (!found) return NotFoundError("parent " + Quoted(parent) + " does not exist");
  if (static_cast<Kind>(statement.Number(1)) != Kind::kCommitted) {
    return Status(wrong_kind, "parent " + Quoted(parent) + " is not committed");
  }
  return std::optional<std::int64_t>(statement.Number(0));
}

Result<std::vector<Snapshot>> ListFrom(Database& database, const Filter& filter) {
  std::vector<Snapshot> result;
  Statement all = database.Prepare("SELECT " DAXFS_SNAPSHOT_COLUMNS " ORDER BY s.id");
  for (;;) {
    ASSIGN_OR_RETURN(const bool found, all.Step());
    if (!found) return result;
    Snapshot snapshot = FromRow(all);
    RETURN_IF_ERROR(AddLabels(database, &snapshot));
    if (filter.Matches(snapshot.info)) result.push_back(std::move(snapshot));
  }
}

Status SetLabels(Database& database, std::int64_t id, const Labels& labels) {
  RETURN_IF_ERROR(database.Prepare("DELETE FROM labels WHERE snapshot = ?").Bind(id).Run());
  for (const auto& [key, value] : labels) {
    if (value.empty()) continue;  // as containerd's store does
    RETURN_IF_ERROR(database.Prepare("INSERT INTO labels (snapshot, key, value) VALUES (?, ?, ?)")
                        .Bind(id)
                        .Bind(key)
                        .Bind(value)
                        .Run());
  }
  return Status::Ok();
}

}  // namespace daxfs::snapshotter
