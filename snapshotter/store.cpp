// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/store.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "common/base/hex.hpp"
#include "common/base/log.hpp"
#include "common/os/system.hpp"
#include "snapshotter/rows.hpp"

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

// SHA-256("PARENT DIFFID"), the image-spec's chainID; nothing unless all below is known, too.
Result<std::optional<oci::Digest>> ChainOf(Database& database, const Snapshot& snapshot) {
  if (!snapshot.layer.image) return std::optional<oci::Digest>();
  const oci::Digest& diff_id = snapshot.layer.image->diff_id;
  if (snapshot.info.parent.empty()) return std::optional<oci::Digest>(diff_id);
  ASSIGN_OR_RETURN(const Snapshot parent, MustFind(database, snapshot.info.parent));
  if (!parent.chain) return std::optional<oci::Digest>();
  return std::optional<oci::Digest>(oci::ChainId(*parent.chain, diff_id));
}

// Calls what undoes, also after an exception, unless all is done.
class Undoing {
 public:
  explicit Undoing(const std::function<void()>& undo) : undo_(undo) {}
  ~Undoing() {
    if (undo_ && !done_) undo_();
  }
  Undoing(const Undoing&) = delete;
  Undoing& operator=(const Undoing&) = delete;
  Status Done(Status status) {
    done_ = status.ok();
    return status;
  }

 private:
  const std::function<void()>& undo_;
  bool done_ = false;
};

// What is done within a change, and of what it is undone if it was begun.
class Outside {
 public:
  Outside(const Store::Within& within, const Store::Undone& undone)
      : within_(within), undone_(undone) {}
  Status Do(const Snapshot& snapshot) {
    begun_ = snapshot;
    return within_(snapshot);
  }
  std::function<void()> Undo() {
    return [this] {
      if (begun_ && undone_) undone_(*begun_);
    };
  }

 private:
  const Store::Within& within_;
  const Store::Undone& undone_;
  std::optional<Snapshot> begun_;
};

}  // namespace

Status Store::Change(const std::function<Status()>& body, const std::function<void()>& undone) {
  const std::lock_guard lock(write_mutex_);
  Undoing undoing(undone);
  return undoing.Done(writer_->Transact(body));
}

template <typename F>
auto Store::Write(F body, const std::function<void()>& undone) -> decltype(body()) {
  decltype(body()) result = InternalError("database: nothing was done");
  const auto keep = [&] {
    result = body();
    return result.status();
  };
  const Status status = Change(keep, undone);
  if (!status.ok()) return status;
  return result;
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

Result<std::unique_ptr<Store>> Store::OpenTables(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<Database> writer, Database::Open(path));
  ASSIGN_OR_RETURN(std::unique_ptr<Database> reader, Database::Open(path));
  std::unique_ptr<Store> store(new Store(std::move(writer), std::move(reader)));
  const Status made = store->Change([&] { return store->MakeTables(); });
  if (!made.ok()) return made.WithContext(path);
  return store;
}

Result<std::unique_ptr<Store>> Store::Open(const std::string& path) {
  Result<std::unique_ptr<Store>> store = OpenTables(path);
  if (store.status().code() != StatusCode::kDataLoss) return store;
  return DataLossError(store.status().message() +
                       "; moved away, it is as if it were lost (docs/snapshotter.md)");
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

namespace {

// More than a message can say to who lists them.
constexpr std::size_t kNameMaxBytes = 64U << 10U;
constexpr std::size_t kLabelsMaxBytes = 1U << 20U;

Status CheckSizes(const std::string& name, const Labels& labels) {
  if (name.size() > kNameMaxBytes) {
    return InvalidArgumentError("a name of " + std::to_string(name.size()) +
                                " bytes: at most 65536 are taken");
  }
  std::size_t bytes = 0;
  for (const auto& [key, value] : labels) bytes += key.size() + value.size();
  if (bytes <= kLabelsMaxBytes) return Status::Ok();
  return InvalidArgumentError("labels of " + std::to_string(bytes) + " bytes of " + Quoted(name) +
                              ": at most 1048576 are taken");
}

}  // namespace

Result<Snapshot> Store::Create(Kind kind, const std::string& key, const std::string& parent,
                               const Labels& labels, const Within& within, const Undone& undone) {
  Snapshot snapshot;
  snapshot.info = {key, parent, kind, 0, 0, labels};
  return Insert(snapshot, within, undone);
}

Result<Snapshot> Store::CreateCommitted(const std::string& name, const std::string& parent,
                                        const Labels& labels, const LayerImage& image,
                                        const oci::Digest& chain, const Within& within,
                                        const Undone& undone) {
  Snapshot snapshot;
  snapshot.info = {name, parent, Kind::kCommitted, 0, 0, labels};
  snapshot.layer.image = image;
  return Insert(snapshot, within, undone, chain);
}

Result<Snapshot> Store::Insert(const Snapshot& snapshot, const Within& within, const Undone& undone,
                               const std::optional<oci::Digest>& said) {
  const Info& info = snapshot.info;
  const std::optional<LayerImage>& image = snapshot.layer.image;
  RETURN_IF_ERROR(CheckSizes(info.name, info.labels));
  Outside outside(within, undone);
  const auto insert_it = [&]() -> Result<Snapshot> {
    ASSIGN_OR_RETURN(const std::optional<std::int64_t> parent_id,
                     FindParent(*writer_, info.parent, StatusCode::kInvalidArgument));
    ASSIGN_OR_RETURN(const std::optional<oci::Digest> chain, ChainOf(*writer_, snapshot));
    if (said && chain && *chain != *said) {
      return FailedPreconditionError("what is below " + Quoted(info.name) + " makes it the chain " +
                                     chain->ToString());
    }
    const std::int64_t now = NowNs();
    Statement insert = writer_->Prepare(
        "INSERT INTO snapshots (name, parent, kind, created_ns, updated_ns, root, diff_id, chain) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    insert.Bind(info.name).Bind(parent_id).Bind(static_cast<std::int64_t>(info.kind));
    insert.Bind(now).Bind(now);
    insert.Bind(image ? ToColumn(image->root) : "").Bind(image ? ToColumn(image->diff_id) : "");
    insert.Bind(ToColumn(chain));
    const Status inserted = insert.Run();
    if (inserted.code() == StatusCode::kAlreadyExists) {
      return AlreadyExistsError(Quoted(info.name) + " already exists");
    }
    RETURN_IF_ERROR(inserted);
    RETURN_IF_ERROR(SetLabels(*writer_, writer_->LastId(), info.labels));
    ASSIGN_OR_RETURN(Snapshot made, MustFind(*writer_, info.name));
    RETURN_IF_ERROR(outside.Do(made));
    return made;
  };
  return Write(insert_it, outside.Undo());
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

}  // namespace

Result<Snapshot> Store::Commit(const CommitRequest& request, const Within& within,
                               const Undone& undone) {
  RETURN_IF_ERROR(CheckSizes(request.name, request.labels));
  Outside outside(within, undone);
  const auto commit = [&]() -> Result<Snapshot> {
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
    RETURN_IF_ERROR(outside.Do(committed));
    return committed;
  };
  return Write(commit, outside.Undo());
}

Result<Snapshot> Store::Remove(const std::string& key) {
  return Write([&] { return RemoveFound(MustFind(*writer_, key)); });
}

Result<Snapshot> Store::RemoveById(std::int64_t id) {
  return Write([&] { return RemoveFound(FindById(*writer_, id)); });
}

// Inside a transaction.
Result<Snapshot> Store::RemoveFound(Result<Snapshot> found) {
  RETURN_IF_ERROR(found.status());
  Statement children = writer_->Prepare("SELECT 1 FROM snapshots WHERE parent = ? LIMIT 1");
  children.Bind(found->layer.id);
  ASSIGN_OR_RETURN(const bool has_children, children.Step());
  if (has_children) {
    return FailedPreconditionError("cannot remove " + Quoted(found->info.name) +
                                   ": it has children");
  }
  RETURN_IF_ERROR(
      writer_->Prepare("DELETE FROM snapshots WHERE id = ?").Bind(found->layer.id).Run());
  return found;
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
    RETURN_IF_ERROR(CheckSizes(info.name, labels));
    RETURN_IF_ERROR(SetLabels(*writer_, snapshot.layer.id, labels));
    RETURN_IF_ERROR(writer_->Prepare("UPDATE snapshots SET updated_ns = ? WHERE id = ?")
                        .Bind(NowNs())
                        .Bind(snapshot.layer.id)
                        .Run());
    ASSIGN_OR_RETURN(Snapshot after, MustFind(*writer_, info.name));
    return std::move(after.info);
  });
}

Status Store::SetImage(std::int64_t id, const LayerImage& image, const Within& within,
                       const Undone& undone) {
  Outside outside(within, undone);
  const auto set = [&]() -> Status {
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
    return outside.Do(snapshot);
  };
  return Change(set, outside.Undo());
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

Status Store::SkipNumbers(std::int64_t last) {
  return Change([&]() -> Status {
    {
      Statement given =
          writer_->Prepare("SELECT seq FROM sqlite_sequence WHERE name = 'snapshots'");
      ASSIGN_OR_RETURN(const bool found, given.Step());
      if (found && given.Number(0) >= last) return Status::Ok();
    }
    RETURN_IF_ERROR(writer_->Prepare("DELETE FROM sqlite_sequence WHERE name = 'snapshots'").Run());
    return writer_->Prepare("INSERT INTO sqlite_sequence (name, seq) VALUES ('snapshots', ?)")
        .Bind(last)
        .Run();
  });
}

Status Store::Inherit(const std::string& instance) {
  const Status changed = Change(
      [&] { return writer_->Prepare("UPDATE store SET instance = ?").Bind(instance).Run(); });
  if (changed.ok()) instance_ = instance;
  return changed;
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
