// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/store.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "common/base/hex.hpp"
#include "common/base/log.hpp"
#include "common/os/system.hpp"

namespace daxfs::snapshotter {
namespace {

constexpr std::int64_t kVersion = 1;
constexpr std::string_view kReferenceLabel = "containerd.io/snapshot.ref";
constexpr const char* kTables = R"(
CREATE TABLE store (instance BLOB NOT NULL);
CREATE TABLE snapshots (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name BLOB NOT NULL UNIQUE,
  parent INTEGER REFERENCES snapshots (id),
  kind INTEGER NOT NULL,
  created_ns INTEGER NOT NULL,
  updated_ns INTEGER NOT NULL,
  bytes INTEGER,
  inodes INTEGER,
  root BLOB NOT NULL,
  diff_id BLOB NOT NULL,
  chain BLOB NOT NULL);
CREATE INDEX snapshots_parent ON snapshots (parent);
CREATE TABLE labels (
  snapshot INTEGER NOT NULL REFERENCES snapshots (id) ON DELETE CASCADE,
  key BLOB NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (snapshot, key)) WITHOUT ROWID;
CREATE INDEX labels_value ON labels (key, value);
)";

std::int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string Quoted(const std::string& key) { return "snapshot '" + base::Printable(key) + "'"; }

// A digest in a column; "" for none.
std::string ToColumn(const std::optional<oci::Digest>& digest) {
  if (!digest) return {};
  std::string bytes(digest->bytes.size(), '\0');
  std::transform(digest->bytes.begin(), digest->bytes.end(), bytes.begin(),
                 [](std::byte b) { return static_cast<char>(b); });
  return bytes;
}

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

#define DAXFS_SNAPSHOT_COLUMNS                                                             \
  "s.id, s.name, (SELECT name FROM snapshots WHERE id = s.parent), s.kind, s.created_ns, " \
  "s.updated_ns, s.bytes, s.inodes, s.root, s.diff_id, s.chain FROM snapshots s"

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

// What a bound statement over DAXFS_SNAPSHOT_COLUMNS finds first, whole.
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

// The row's number, nothing for "". `wrong_kind`: what it is to have a parent that is not
// committed.
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

}  // namespace

template <typename F>
auto Store::Write(F body) -> decltype(body()) {
  const std::lock_guard lock(write_mutex_);
  decltype(body()) result = InternalError("database: nothing was done");
  const Status status = writer_->Transact([&] {
    result = body();
    return result.status();
  });
  if (!status.ok()) return status;
  return result;
}

Status Store::Change(const std::function<Status()>& body) {
  const std::lock_guard lock(write_mutex_);
  return writer_->Transact(body);
}

template <typename F>
auto Store::Read(F body) -> decltype(body()) {
  const std::lock_guard lock(read_mutex_);
  decltype(body()) result = InternalError("database: nothing was done");
  const Status status = reader_->ReadOnly([&] {
    result = body();
    return result.status();
  });
  if (!status.ok()) return status;
  return result;
}

Result<std::unique_ptr<Store>> Store::Open(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<Database> writer, Database::Open(path));
  ASSIGN_OR_RETURN(std::unique_ptr<Database> reader, Database::Open(path));
  std::unique_ptr<Store> store(new Store(std::move(writer), std::move(reader)));
  const Status made = store->Change([&] { return store->MakeTables(); });
  if (!made.ok()) return made.WithContext(path);
  return store;
}

Status Store::MakeTables() {
  std::int64_t version = 0;
  {
    Statement statement = writer_->Prepare("PRAGMA user_version");
    RETURN_IF_ERROR(statement.Step().status());
    version = statement.Number(0);
  }
  if (version > kVersion) {
    return UnimplementedError("was written by a newer version (" + std::to_string(version) +
                              ", this one knows " + std::to_string(kVersion) + ")");
  }
  if (version == 0) {
    std::array<std::byte, 8> bytes{};
    RETURN_IF_ERROR(os::RandomBytes(bytes));
    RETURN_IF_ERROR(writer_->Execute(kTables));
    RETURN_IF_ERROR(
        writer_->Prepare("INSERT INTO store (instance) VALUES (?)").Bind(base::ToHex(bytes)).Run());
    RETURN_IF_ERROR(writer_->Execute("PRAGMA user_version = " + std::to_string(kVersion)));
  }
  Statement statement = writer_->Prepare("SELECT instance FROM store");
  ASSIGN_OR_RETURN(const bool found, statement.Step());
  if (!found) return DataLossError("has no instance");
  instance_ = statement.Bytes(0);
  return Status::Ok();
}

Result<Snapshot> Store::Create(Kind kind, const std::string& key, const std::string& parent,
                               const Labels& labels, const Within& within) {
  Snapshot snapshot;
  snapshot.info = {key, parent, kind, 0, 0, labels};
  return Insert(snapshot, within);
}

Result<Snapshot> Store::CreateCommitted(const std::string& name, const std::string& parent,
                                        const Labels& labels, const LayerImage& image,
                                        const oci::Digest& chain, const Within& within) {
  Snapshot snapshot;
  snapshot.info = {name, parent, Kind::kCommitted, 0, 0, labels};
  snapshot.layer.image = image;
  snapshot.chain = chain;
  return Insert(snapshot, within);
}

Result<Snapshot> Store::Insert(const Snapshot& snapshot, const Within& within) {
  const Info& info = snapshot.info;
  const std::optional<LayerImage>& image = snapshot.layer.image;
  return Write([&]() -> Result<Snapshot> {
    ASSIGN_OR_RETURN(const std::optional<std::int64_t> parent_id,
                     FindParent(*writer_, info.parent, StatusCode::kInvalidArgument));
    const std::int64_t now = NowNs();
    Statement insert = writer_->Prepare(
        "INSERT INTO snapshots (name, parent, kind, created_ns, updated_ns, root, diff_id, chain) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    insert.Bind(info.name).Bind(parent_id).Bind(static_cast<std::int64_t>(info.kind));
    insert.Bind(now).Bind(now);
    insert.Bind(image ? ToColumn(image->root) : "").Bind(image ? ToColumn(image->diff_id) : "");
    insert.Bind(ToColumn(snapshot.chain));
    const Status inserted = insert.Run();
    if (inserted.code() == StatusCode::kAlreadyExists) {
      return AlreadyExistsError(Quoted(info.name) + " already exists");
    }
    RETURN_IF_ERROR(inserted);
    RETURN_IF_ERROR(SetLabels(*writer_, writer_->LastId(), info.labels));
    ASSIGN_OR_RETURN(Snapshot made, MustFind(*writer_, info.name));
    RETURN_IF_ERROR(within(made));
    return made;
  });
}

namespace {

// The snapshot that is to be committed. Errors: as Store::Commit.
Result<Snapshot> FindActive(Database& database, const CommitRequest& request) {
  ASSIGN_OR_RETURN(const std::optional<Snapshot> taken, Find(database, request.name));
  if (taken) return AlreadyExistsError("committed " + Quoted(request.name) + " already exists");
  ASSIGN_OR_RETURN(Snapshot active, MustFind(database, request.key));
  if (active.info.kind != Kind::kActive) {
    return FailedPreconditionError(Quoted(request.key) + " is not active");
  }
  const bool changes = !request.parent.empty() && request.parent != active.info.parent;
  if (changes && !active.info.parent.empty()) {
    return InvalidArgumentError("the parent of " + Quoted(request.key) +
                                " cannot be changed when it is committed");
  }
  if (changes) active.info.parent = request.parent;
  return active;
}

// SHA-256("PARENT DIFFID"), the image-spec's chainID; nothing unless all below is known, too.
Result<std::optional<oci::Digest>> ChainOf(Database& database, const Snapshot& snapshot) {
  if (!snapshot.layer.image) return std::optional<oci::Digest>();
  const oci::Digest& diff_id = snapshot.layer.image->diff_id;
  if (snapshot.info.parent.empty()) return std::optional<oci::Digest>(diff_id);
  ASSIGN_OR_RETURN(const Snapshot parent, MustFind(database, snapshot.info.parent));
  if (!parent.chain) return std::optional<oci::Digest>();
  return std::optional<oci::Digest>(oci::ChainId(*parent.chain, diff_id));
}

}  // namespace

Result<Snapshot> Store::Commit(const CommitRequest& request, const Within& within) {
  return Write([&]() -> Result<Snapshot> {
    ASSIGN_OR_RETURN(const Snapshot active, FindActive(*writer_, request));
    ASSIGN_OR_RETURN(const std::optional<std::int64_t> parent_id,
                     FindParent(*writer_, active.info.parent, StatusCode::kFailedPrecondition));
    ASSIGN_OR_RETURN(const std::optional<oci::Digest> chain, ChainOf(*writer_, active));
    const std::int64_t now = NowNs();
    Statement update = writer_->Prepare(
        "UPDATE snapshots SET name = ?, parent = ?, kind = ?, created_ns = ?, updated_ns = ?, "
        "chain = ? WHERE id = ?");
    update.Bind(request.name).Bind(parent_id).Bind(static_cast<std::int64_t>(Kind::kCommitted));
    update.Bind(now).Bind(now).Bind(ToColumn(chain)).Bind(active.layer.id);
    RETURN_IF_ERROR(update.Run());
    RETURN_IF_ERROR(SetLabels(*writer_, active.layer.id, request.labels));
    ASSIGN_OR_RETURN(Snapshot committed, MustFind(*writer_, request.name));
    RETURN_IF_ERROR(within(committed));
    return committed;
  });
}

Result<Snapshot> Store::Remove(const std::string& key) {
  return Write([&]() -> Result<Snapshot> {
    ASSIGN_OR_RETURN(Snapshot removed, MustFind(*writer_, key));
    Statement children = writer_->Prepare("SELECT 1 FROM snapshots WHERE parent = ? LIMIT 1");
    children.Bind(removed.layer.id);
    ASSIGN_OR_RETURN(const bool has_children, children.Step());
    if (has_children) {
      return FailedPreconditionError("cannot remove " + Quoted(key) + ": it has children");
    }
    RETURN_IF_ERROR(
        writer_->Prepare("DELETE FROM snapshots WHERE id = ?").Bind(removed.layer.id).Run());
    return removed;
  });
}

namespace {

constexpr std::string_view kLabelPath = "labels.";

// Labels after an Update. Errors: kInvalidArgument for what cannot be changed.
Result<Labels> Updated(Labels labels, const Info& info, const std::vector<std::string>& paths) {
  if (paths.empty()) return info.labels;
  for (const std::string& path : paths) {
    if (path == "labels") {
      labels = info.labels;
    } else if (path.rfind(kLabelPath, 0) == 0) {
      const std::string key = path.substr(kLabelPath.size());
      const auto found = info.labels.find(key);
      labels[key] = found == info.labels.end() ? "" : found->second;
    } else {
      return InvalidArgumentError("cannot update '" + base::Printable(path) + "' of " +
                                  Quoted(info.name));
    }
  }
  return labels;
}

}  // namespace

Result<Info> Store::Update(const Info& info, const std::vector<std::string>& paths) {
  return Write([&]() -> Result<Info> {
    ASSIGN_OR_RETURN(const Snapshot snapshot, MustFind(*writer_, info.name));
    ASSIGN_OR_RETURN(const Labels labels, Updated(snapshot.info.labels, info, paths));
    RETURN_IF_ERROR(SetLabels(*writer_, snapshot.layer.id, labels));
    RETURN_IF_ERROR(writer_->Prepare("UPDATE snapshots SET updated_ns = ? WHERE id = ?")
                        .Bind(NowNs())
                        .Bind(snapshot.layer.id)
                        .Run());
    ASSIGN_OR_RETURN(Snapshot after, MustFind(*writer_, info.name));
    return std::move(after.info);
  });
}

Status Store::SetImage(std::int64_t id, const LayerImage& image, const Within& within) {
  return Change([&]() -> Status {
    ASSIGN_OR_RETURN(const Snapshot snapshot, FindById(*writer_, id));
    if (snapshot.info.kind != Kind::kActive || snapshot.layer.image) {
      return FailedPreconditionError(Quoted(snapshot.info.name) +
                                     " is not active, or has a layer applied already");
    }
    RETURN_IF_ERROR(writer_->Prepare("UPDATE snapshots SET root = ?, diff_id = ? WHERE id = ?")
                        .Bind(ToColumn(image.root))
                        .Bind(ToColumn(image.diff_id))
                        .Bind(id)
                        .Run());
    return within(snapshot);
  });
}

Status Store::ReplaceImage(std::int64_t id, const LayerImage& image) {
  return Change([&] {
    return writer_->Prepare("UPDATE snapshots SET root = ?, diff_id = ? WHERE id = ?")
        .Bind(ToColumn(image.root))
        .Bind(ToColumn(image.diff_id))
        .Bind(id)
        .Run();
  });
}

Status Store::WhileUnchanged(const std::function<Status(const std::vector<Snapshot>&)>& body) {
  return Change([&]() -> Status {
    ASSIGN_OR_RETURN(const std::vector<Snapshot> all, ListFrom(*writer_, Filter()));
    return body(all);
  });
}

Status Store::SetUsage(std::int64_t id, const Usage& usage) {
  return Change([&] {
    return writer_->Prepare("UPDATE snapshots SET bytes = ?, inodes = ? WHERE id = ?")
        .Bind(usage.bytes)
        .Bind(usage.inodes)
        .Bind(id)
        .Run();
  });
}

Result<Snapshot> Store::Get(const std::string& key) {
  return Read([&] { return MustFind(*reader_, key); });
}

Result<Info> Store::Stat(const std::string& key) {
  return Read([&]() -> Result<Info> {
    Statement statement = reader_->Prepare("SELECT " DAXFS_SNAPSHOT_COLUMNS " WHERE s.name = ?");
    statement.Bind(key);
    ASSIGN_OR_RETURN(const bool found, statement.Step());
    if (!found) return NotFoundError(Quoted(key) + " does not exist");
    Snapshot snapshot = FromRow(statement);
    RETURN_IF_ERROR(AddLabels(*reader_, &snapshot));
    return std::move(snapshot.info);
  });
}

Result<Snapshot> Store::GetById(std::int64_t id) {
  return Read([&] { return FindById(*reader_, id); });
}

Result<std::optional<Snapshot>> Store::FindReference(const std::string& reference,
                                                     const std::string& parent) {
  return Read([&] {
    Statement statement = reader_->Prepare(
        "SELECT " DAXFS_SNAPSHOT_COLUMNS
        " JOIN labels l ON l.snapshot = s.id LEFT JOIN snapshots p ON p.id = s.parent "
        "WHERE l.key = ? AND l.value = ? AND s.kind = ? AND ifnull(p.name, x'') = ?");
    statement.Bind(kReferenceLabel).Bind(reference);
    statement.Bind(static_cast<std::int64_t>(Kind::kCommitted)).Bind(parent);
    return FindOne(*reader_, std::move(statement));
  });
}

Result<std::vector<Snapshot>> Store::List(const Filter& filter) {
  return Read([&] { return ListFrom(*reader_, filter); });
}

}  // namespace daxfs::snapshotter
