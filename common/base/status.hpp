// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/check.hpp"

namespace daxfs {

// What kind of failure. Values and meanings are gRPC's (grpc/status.h), so a bridge is a cast.
enum class StatusCode : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// The code's name as gRPC writes it, for instance "NOT_FOUND"; "UNKNOWN_CODE" for other numbers.
std::string_view StatusCodeName(StatusCode code);

// Outcome of an operation: ok, or a code, a message for operators and the errno it came from (0 if
// none). Immutable but by assignment; safe to copy between threads.
class [[nodiscard]] Status {
 public:
  Status() = default;
  // Requires: code is not kOk.
  Status(StatusCode code, std::string message, int error_number = 0)
      : code_(code), errno_(error_number), message_(std::move(message)) {
    DAXFS_CHECK(code != StatusCode::kOk);
  }

  static Status Ok() { return {}; }
  // The one table from errno to code. `what` names the call and its object: "open(/dev/dax0.0)".
  // The message becomes "<what>: <strerror>". Requires: error_number > 0.
  static Status FromErrno(int error_number, std::string_view what);

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  int error_number() const { return errno_; }
  const std::string& message() const { return message_; }

  // The same failure on somebody's behalf: "<context>: <message>". Unchanged when ok.
  Status WithContext(std::string_view context) const;
  // "OK" or "NOT_FOUND: message".
  std::string ToString() const;

 private:
  StatusCode code_ = StatusCode::kOk;
  int errno_ = 0;
  std::string message_;
};

Status InvalidArgumentError(std::string message);
Status NotFoundError(std::string message);
Status AlreadyExistsError(std::string message);
Status FailedPreconditionError(std::string message);
Status UnimplementedError(std::string message);
Status ResourceExhaustedError(std::string message);
Status DataLossError(std::string message);
Status InternalError(std::string message);
Status CancelledError(std::string message);
Status UnavailableError(std::string message);

// A value or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  // Implicit on purpose: `return value;` and `return status;` both read well. The second requires
  // !status.ok().
  // NOLINTBEGIN(google-explicit-constructor): see above
  Result(T value) : value_(std::move(value)) {}
  Result(Status status) : status_(std::move(status)) { DAXFS_CHECK(!status_.ok()); }
  // NOLINTEND(google-explicit-constructor)

  bool ok() const { return value_.has_value(); }
  const Status& status() const& { return status_; }
  Status status() && { return std::move(status_); }

  // Requires: ok().
  T& operator*() & { return Value(); }
  const T& operator*() const& { return Value(); }
  // By value, so that `for (x : *Get())` does not outlive what it walks.
  T operator*() && { return std::move(Value()); }
  T* operator->() { return &Value(); }
  const T* operator->() const { return &Value(); }

  // The same result with the failure's message prefixed; a value passes unchanged.
  Result WithContext(std::string_view context) && {
    if (!ok()) return status_.WithContext(context);
    return std::move(*this);
  }

 private:
  T& Value() {
    DAXFS_CHECK(value_.has_value());
    return *value_;
  }
  const T& Value() const {
    DAXFS_CHECK(value_.has_value());
    return *value_;
  }

  Status status_;
  std::optional<T> value_;
};

}  // namespace daxfs

// NOLINTBEGIN(bugprone-macro-parentheses): arguments are declarations and names here
#define DAXFS_CONCAT_INNER(a, b) a##b
#define DAXFS_CONCAT(a, b) DAXFS_CONCAT_INNER(a, b)

// Returns from the enclosing function when `expr` (a Status) is not ok.
#define RETURN_IF_ERROR(expr)                      \
  do {                                             \
    ::daxfs::Status daxfs_status_ = (expr);        \
    if (!daxfs_status_.ok()) return daxfs_status_; \
  } while (false)

// `ASSIGN_OR_RETURN(auto fd, Open(path));` declares fd, or returns the failure.
#define ASSIGN_OR_RETURN(decl, expr) \
  ASSIGN_OR_RETURN_INNER(DAXFS_CONCAT(result_, __LINE__), decl, expr)
#define ASSIGN_OR_RETURN_INNER(result, decl, expr)     \
  auto result = (expr);                                \
  if (!result.ok()) return std::move(result).status(); \
  decl = *std::move(result)
// NOLINTEND(bugprone-macro-parentheses)
