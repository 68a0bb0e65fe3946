// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/base/status.hpp"

namespace daxfs::os {

// A range of physical memory, in bytes.
struct PhysicalRange {
  std::uint64_t phys = 0;
  std::uint64_t size_bytes = 0;
};

// A device node that stands for shared memory: where the memory is, and who drives it. While a
// driver has the device nobody else can claim the range.
class DaxDevice {
 public:
  virtual ~DaxDevice() = default;

  // /dev/daxX.Y (by libdaxctl) or /dev/pmemN (by sysfs). Errors: kInvalidArgument for another name;
  // kNotFound; kFailedPrecondition if the memory is used as System RAM; kPermissionDenied when the
  // address is hidden from this user.
  static Result<std::unique_ptr<DaxDevice>> Open(const std::string& path);

  virtual PhysicalRange range() const = 0;
  // Whether a driver has it.
  virtual bool driven() const = 0;
  // Takes it from its driver. Errors: kFailedPrecondition while something uses it.
  virtual Status Unbind() = 0;
  // Gives it back to the driver it had. Requires: Unbind succeeded.
  virtual Status Rebind() = 0;
};

}  // namespace daxfs::os
