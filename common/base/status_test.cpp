// SPDX-License-Identifier: Apache-2.0
#include "common/base/status.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace daxfs {
namespace {

TEST(StatusTest, ErrnoTable) {
  const struct {
    int error_number;
    StatusCode code;
  } cases[] = {
      {ENOENT, StatusCode::kNotFound},
      {EEXIST, StatusCode::kAlreadyExists},
      {EINVAL, StatusCode::kInvalidArgument},
      {EACCES, StatusCode::kPermissionDenied},
      {EPERM, StatusCode::kPermissionDenied},
      {ENOSPC, StatusCode::kResourceExhausted},
      {EDQUOT, StatusCode::kResourceExhausted},
      {ENOMEM, StatusCode::kResourceExhausted},
      {EMFILE, StatusCode::kResourceExhausted},
      {EBUSY, StatusCode::kFailedPrecondition},
      {ENOTEMPTY, StatusCode::kFailedPrecondition},
      {EAGAIN, StatusCode::kUnavailable},
      {EINTR, StatusCode::kUnavailable},
      {ECONNREFUSED, StatusCode::kUnavailable},
      {ETIMEDOUT, StatusCode::kDeadlineExceeded},
      {ENOSYS, StatusCode::kUnimplemented},
      {EOPNOTSUPP, StatusCode::kUnimplemented},
      {ESTALE, StatusCode::kAborted},
      {EIO, StatusCode::kDataLoss},
      {EBADMSG, StatusCode::kDataLoss},
      {EUCLEAN, StatusCode::kDataLoss},
      {ERANGE, StatusCode::kInternal},
  };
  for (const auto& c : cases) {
    const Status status = Status::FromErrno(c.error_number, "call(x)");
    EXPECT_EQ(status.code(), c.code) << c.error_number;
    EXPECT_EQ(status.error_number(), c.error_number);
    EXPECT_EQ(status.message().find("call(x): "), 0U);
  }
}

TEST(StatusTest, ContextIsPrefixedAndKeepsTheErrno) {
  const Status status = Status::FromErrno(EBUSY, "mount(a)").WithContext("stage volume v");
  EXPECT_EQ(status.message().find("stage volume v: mount(a): "), 0U);
  EXPECT_EQ(status.error_number(), EBUSY);
  EXPECT_TRUE(Status::Ok().WithContext("x").ok());
}

TEST(StatusTest, ToStringNamesTheCode) {
  EXPECT_EQ(Status::Ok().ToString(), "OK");
  EXPECT_EQ(NotFoundError("gone").ToString(), "NOT_FOUND: gone");
  EXPECT_EQ(StatusCodeName(static_cast<StatusCode>(99)), "UNKNOWN_CODE");
}

Result<std::unique_ptr<int>> Half(int n) {
  if (n % 2 != 0) return InvalidArgumentError("odd");
  return std::make_unique<int>(n / 2);
}

Result<int> Quarter(int n) {
  ASSIGN_OR_RETURN(const std::unique_ptr<int> half, Half(n));
  ASSIGN_OR_RETURN(const std::unique_ptr<int> quarter, Half(*half));
  return *quarter;
}

Status CheckQuarter(int n) {
  RETURN_IF_ERROR(Half(n).ok() ? Status::Ok() : InvalidArgumentError("first"));
  return Quarter(n).ok() ? Status::Ok() : InvalidArgumentError("second");
}

TEST(ResultTest, MacrosPassValuesAndFailures) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
  EXPECT_EQ(CheckQuarter(3).message(), "first");
  EXPECT_EQ(CheckQuarter(6).message(), "second");
  EXPECT_TRUE(CheckQuarter(8).ok());
  EXPECT_EQ(Half(3).WithContext("why").status().message(), "why: odd");
}

TEST(ResultDeathTest, ValueOfFailureStops) {
  EXPECT_DEATH({ *Half(3); }, "check failed");
}

}  // namespace
}  // namespace daxfs
