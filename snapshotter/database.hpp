// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/status.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace daxfs::snapshotter {

// A prepared statement while it is used; parameters are bound in order. Resets itself.
class Statement {
 public:
  // Without a statement: why there is none, which Step says.
  Statement(sqlite3_stmt* statement, Status status)
      : statement_(statement), status_(std::move(status)) {}
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  Statement& Bind(std::int64_t number);
  Statement& Bind(std::optional<std::int64_t> number);  // none: NULL
  Statement& Bind(std::string_view bytes);              // as a blob

  // Whether there is a row, or one more. Errors: kResourceExhausted for a full disk, kDataLoss for
  // a damaged file, kAlreadyExists for what has to be unique, else kInternal.
  Result<bool> Step();
  // The same of a statement that has no rows.
  Status Run();

  // Columns of the row, from 0 on.
  std::int64_t Number(int column) const;
  std::optional<std::int64_t> MaybeNumber(int column) const;
  std::string Bytes(int column) const;

 private:
  Statement& Bound(int result);

  sqlite3_stmt* statement_;
  Status status_;
  int bound_ = 0;
};

// One connection to an SQLite file in WAL mode. One thread at a time.
class Database {
 public:
  // Makes the file if it is missing. Errors: as Statement::Step; kInternal.
  static Result<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Several statements without parameters or rows.
  Status Execute(const std::string& sql);
  // A literal that is not in use; kept prepared.
  Statement Prepare(const char* sql);
  // The number the last inserted row has.
  std::int64_t LastId() const;
  // How many rows the last statement changed.
  int Changes() const;

  // Runs `body` in a transaction: all of it, on the disk, or if it fails nothing.
  Status Transact(const std::function<Status()>& body);
  // The same for what only reads: one state of the file.
  Status ReadOnly(const std::function<Status()>& body);

 private:
  explicit Database(sqlite3* handle) : handle_(handle) {}
  Status Within(const char* begin, const std::function<Status()>& body);
  // The end of a transaction, also by an exception.
  struct Undo {
    Database& database;
    ~Undo();
  };

  sqlite3* handle_;
  std::map<const char*, sqlite3_stmt*> statements_;  // by address: they are literals
};

}  // namespace daxfs::snapshotter
