// SPDX-License-Identifier: Apache-2.0
// Snapshots as rows of the store's tables, inside somebody's transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/digest.hpp"
#include "snapshotter/database.hpp"
#include "snapshotter/filter.hpp"
#include "snapshotter/store.hpp"

namespace daxfs::snapshotter {

// What FromRow reads; the tail of a statement comes behind it.
#define DAXFS_SNAPSHOT_COLUMNS                                                             \
  "s.id, s.name, (SELECT name FROM snapshots WHERE id = s.parent), s.kind, s.created_ns, " \
  "s.updated_ns, s.bytes, s.inodes, s.root, s.diff_id, s.chain FROM snapshots s"

// A key as messages say it.
std::string Quoted(const std::string& key);

// A digest in a column; "" for none.
std::string ToColumn(const std::optional<oci::Digest>& digest);

// Without labels and parents.
Snapshot FromRow(const Statement& row);
Status AddLabels(Database& database, Snapshot* snapshot);

// What a bound statement over DAXFS_SNAPSHOT_COLUMNS finds first, whole.
Result<std::optional<Snapshot>> FindOne(Database& database, Statement statement);
Result<std::optional<Snapshot>> Find(Database& database, const std::string& key);
// Errors: kNotFound.
Result<Snapshot> MustFind(Database& database, const std::string& key);
Result<Snapshot> FindById(Database& database, std::int64_t id);
// The row's number, nothing for "". `wrong_kind`: what it is to have a parent that is not
// committed.
Result<std::optional<std::int64_t>> FindParent(Database& database, const std::string& parent,
                                               StatusCode wrong_kind);
// All that match, by number, without parents.
Result<std::vector<Snapshot>> ListFrom(Database& database, const Filter& filter);

// Instead of those it has.
Status SetLabels(Database& database, std::int64_t id, const Labels& labels);

}  // namespace daxfs::snapshotter
