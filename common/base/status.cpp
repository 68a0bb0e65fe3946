// SPDX-License-Identifier: Apache-2.0
#include "common/base/status.hpp"

#include <array>
#include <cerrno>
#include <system_error>

namespace daxfs {
namespace {

constexpr std::array<std::string_view, 17> kCodeNames = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

struct ErrnoRow {
  int error_number;
  StatusCode code;
};

constexpr ErrnoRow kErrnoTable[] = {
    {ENOENT, StatusCode::kNotFound},          {ENXIO, StatusCode::kNotFound},
    {ENODEV, StatusCode::kNotFound},          {EEXIST, StatusCode::kAlreadyExists},
    {EINVAL, StatusCode::kInvalidArgument},   {ENAMETOOLONG, StatusCode::kInvalidArgument},
    {ENOTDIR, StatusCode::kInvalidArgument},  {EISDIR, StatusCode::kInvalidArgument},
    {ELOOP, StatusCode::kInvalidArgument},    {EACCES, StatusCode::kPermissionDenied},
    {EPERM, StatusCode::kPermissionDenied},   {EROFS, StatusCode::kPermissionDenied},
    {ENOSPC, StatusCode::kResourceExhausted}, {EDQUOT, StatusCode::kResourceExhausted},
    {ENOMEM, StatusCode::kResourceExhausted}, {EMFILE, StatusCode::kResourceExhausted},
    {ENFILE, StatusCode::kResourceExhausted}, {EFBIG, StatusCode::kResourceExhausted},
    {EBUSY, StatusCode::kFailedPrecondition}, {ENOTEMPTY, StatusCode::kFailedPrecondition},
    {EXDEV, StatusCode::kFailedPrecondition}, {EAGAIN, StatusCode::kUnavailable},
    {EINTR, StatusCode::kUnavailable},        {ECONNREFUSED, StatusCode::kUnavailable},
    {ETIMEDOUT, StatusCode::kDeadlineExceeded},
    {ENOSYS, StatusCode::kUnimplemented},     {EOPNOTSUPP, StatusCode::kUnimplemented},
    {ESTALE, StatusCode::kAborted},           {EIO, StatusCode::kDataLoss},
    {EBADMSG, StatusCode::kDataLoss},         {EUCLEAN, StatusCode::kDataLoss},
};

StatusCode CodeOfErrno(int error_number) {
  for (const ErrnoRow& row : kErrnoTable) {
    if (row.error_number == error_number) return row.code;
  }
  return StatusCode::kInternal;
}

}  // namespace

std::string_view StatusCodeName(StatusCode code) {
  const auto index = static_cast<std::size_t>(code);
  return index < kCodeNames.size() ? kCodeNames.at(index) : "UNKNOWN_CODE";
}

Status Status::FromErrno(int error_number, std::string_view what) {
  DAXFS_CHECK(error_number > 0);
  std::string message(what);
  message += ": ";
  message += std::generic_category().message(error_number);
  return {CodeOfErrno(error_number), std::move(message), error_number};
}

Status Status::WithContext(std::string_view context) const {
  if (ok()) return *this;
  std::string message(context);
  message += ": ";
  message += message_;
  return {code_, std::move(message), errno_};
}

std::string Status::ToString() const {
  if (ok()) return "OK";
  std::string text(StatusCodeName(code_));
  text += ": ";
  text += message_;
  return text;
}

Status InvalidArgumentError(std::string message) {
  return {StatusCode::kInvalidArgument, std::move(message)};
}
Status NotFoundError(std::string message) { return {StatusCode::kNotFound, std::move(message)}; }
Status AlreadyExistsError(std::string message) {
  return {StatusCode::kAlreadyExists, std::move(message)};
}
Status FailedPreconditionError(std::string message) {
  return {StatusCode::kFailedPrecondition, std::move(message)};
}
Status UnimplementedError(std::string message) {
  return {StatusCode::kUnimplemented, std::move(message)};
}
Status ResourceExhaustedError(std::string message) {
  return {StatusCode::kResourceExhausted, std::move(message)};
}
Status DataLossError(std::string message) { return {StatusCode::kDataLoss, std::move(message)}; }
Status InternalError(std::string message) { return {StatusCode::kInternal, std::move(message)}; }
Status CancelledError(std::string message) { return {StatusCode::kCancelled, std::move(message)}; }
Status UnavailableError(std::string message) {
  return {StatusCode::kUnavailable, std::move(message)};
}

}  // namespace daxfs
