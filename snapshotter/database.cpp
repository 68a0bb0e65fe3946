// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/database.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "common/os/unique_fd.hpp"

namespace daxfs::snapshotter {
namespace {

constexpr mode_t kPrivate = 0600;

Status Error(sqlite3* handle, std::string_view what) {
  const std::string message = std::string(what) + ": " + sqlite3_errmsg(handle);
  switch (sqlite3_errcode(handle)) {
    case SQLITE_FULL:
      return ResourceExhaustedError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return DataLossError(message);
    case SQLITE_CONSTRAINT:
      return AlreadyExistsError(message);
    default:
      return InternalError(message);
  }
}

// Who may read these files may lock them. SQLite gives each the mode of the first. Opens nothing
// that is there: to close it again would unlock what this process has locked of it.
Status MakePrivate(const std::string& path) {
  const os::UniqueFd made(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kPrivate));
  if (!made.valid() && errno != EEXIST) return Status::FromErrno(errno, path);
  for (const char* end : {"", "-wal", "-shm"}) {
    const std::string file = path + end;
    if (::chmod(file.c_str(), kPrivate) != 0 && errno != ENOENT) {
      return Status::FromErrno(errno, file);
    }
  }
  return Status::Ok();
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : statement_(std::exchange(other.statement_, nullptr)),
      status_(std::move(other.status_)),
      bound_(other.bound_) {}

Statement::~Statement() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

// Only memory can be short here, and a statement missing.
Statement& Statement::Bound(int result) {
  if (status_.ok() && result != SQLITE_OK) status_ = ResourceExhaustedError("database: no memory");
  return *this;
}

Statement& Statement::Bind(std::int64_t number) {
  return Bound(sqlite3_bind_int64(statement_, ++bound_, number));
}

Statement& Statement::Bind(std::optional<std::int64_t> number) {
  if (number) return Bind(*number);
  return Bound(sqlite3_bind_null(statement_, ++bound_));
}

Statement& Statement::Bind(std::string_view bytes) {
  // Without an address SQLite would bind NULL.
  const char* data = bytes.empty() ? "" : bytes.data();
  return Bound(sqlite3_bind_blob64(statement_, ++bound_, data, bytes.size(), SQLITE_TRANSIENT));
}

Result<bool> Statement::Step() {
  RETURN_IF_ERROR(status_);
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  return Error(sqlite3_db_handle(statement_), "database");
}

Status Statement::Run() { return Step().status(); }

std::int64_t Statement::Number(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::optional<std::int64_t> Statement::MaybeNumber(int column) const {
  if (sqlite3_column_type(statement_, column) == SQLITE_NULL) return std::nullopt;
  return Number(column);
}

std::string Statement::Bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return data == nullptr
             ? std::string()
             : std::string(static_cast<const char*>(data), static_cast<std::size_t>(size));
}

Result<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  RETURN_IF_ERROR(MakePrivate(path));
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
  const int result = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  std::unique_ptr<Database> database(new Database(handle));
  if (handle == nullptr) return ResourceExhaustedError(path + ": no memory");
  if (result != SQLITE_OK) return Error(handle, path);
  sqlite3_busy_timeout(handle, 10000);
  // FULL: what a call has said is on the disk, as with containerd's own store.
  const Status status = database->Execute(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;");
  if (!status.ok()) return status.WithContext(path);
  return database;
}

Database::~Database() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

Status Database::Execute(const std::string& sql) {
  if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) {
    return Status::Ok();
  }
  return Error(handle_, "database");
}

Statement Database::Prepare(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  if (statement == nullptr) {
    const int result =
        sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (result != SQLITE_OK) return {nullptr, Error(handle_, "database")};
  }
  return {statement, Status::Ok()};
}

std::int64_t Database::LastId() const { return sqlite3_last_insert_rowid(handle_); }

int Database::Changes() const { return sqlite3_changes(handle_); }

Status Database::Transact(const std::function<Status()>& body) {
  return Within("BEGIN IMMEDIATE", body);
}

Status Database::ReadOnly(const std::function<Status()>& body) { return Within("BEGIN", body); }

Status Database::Within(const char* begin, const std::function<Status()>& body) {
  RETURN_IF_ERROR(Prepare(begin).Run());
  const Undo undo{*this};
  RETURN_IF_ERROR(body());
  return Prepare("COMMIT").Run();
}

// A full disk may have ended it already, as COMMIT has; then there is nothing to undo.
Database::Undo::~Undo() {
  if (sqlite3_get_autocommit(database.handle_) == 0) {
    static_cast<void>(database.Prepare("ROLLBACK").Run());
  }
}

}  // namespace daxfs::snapshotter
