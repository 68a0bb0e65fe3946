// SPDX-License-Identifier: Apache-2.0
#include "common/os/dax_device.hpp"

#include <daxctl/libdaxctl.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <regex>

#include "common/base/units.hpp"
#include "common/os/file_io.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::os {
namespace {

constexpr std::size_t kSysfsLimit = 4096;
constexpr std::uint64_t kSectorBytes = 512;

Result<std::uint64_t> ReadNumber(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return Status::FromErrno(errno, path);
  ASSIGN_OR_RETURN(std::string text, ReadWholeFile(fd.get(), kSysfsLimit));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return base::ParseSize(text).WithContext(path);
}

Status WriteText(const std::string& path, const std::string& text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return Status::FromErrno(errno, path);
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return Status::FromErrno(errno, path);
  }
  return Status::Ok();
}

// The canonical path, or "" if there is nothing.
std::string RealPath(const std::string& path) {
  char resolved[PATH_MAX];
  return ::realpath(path.c_str(), resolved) == nullptr ? "" : resolved;
}

struct ContextDeleter {
  void operator()(daxctl_ctx* context) const { daxctl_unref(context); }
};

// A character device of the dax bus.
class CharacterDevice final : public DaxDevice {
 public:
  static Result<std::unique_ptr<DaxDevice>> Find(const std::string& name) {
    daxctl_ctx* raw = nullptr;
    if (const int error = daxctl_new(&raw); error != 0) {
      return Status::FromErrno(-error, "libdaxctl");
    }
    std::unique_ptr<daxctl_ctx, ContextDeleter> context(raw);
    daxctl_region* region = nullptr;
    daxctl_region_foreach(context.get(), region) {
      daxctl_dev* device = nullptr;
      daxctl_dev_foreach(region, device) {
        if (name == daxctl_dev_get_devname(device)) return Make(std::move(context), device, name);
      }
    }
    return NotFoundError("/dev/" + name + ": no such dax device; daxctl list -D shows them");
  }

  PhysicalRange range() const override {
    return {daxctl_dev_get_resource(device_), daxctl_dev_get_size(device_)};
  }
  bool driven() const override { return daxctl_dev_is_enabled(device_) != 0; }
  Status Unbind() override {
    const int error = daxctl_dev_disable(device_);
    return error == 0 ? Status::Ok() : Status::FromErrno(-error, "unbind " + name_);
  }
  Status Rebind() override {
    const int error = daxctl_dev_enable_devdax(device_);
    return error == 0 ? Status::Ok() : Status::FromErrno(-error, "bind " + name_);
  }

 private:
  CharacterDevice(std::unique_ptr<daxctl_ctx, ContextDeleter> context, daxctl_dev* device,
                  std::string name)
      : context_(std::move(context)), device_(device), name_(std::move(name)) {}

  static Result<std::unique_ptr<DaxDevice>> Make(
      std::unique_ptr<daxctl_ctx, ContextDeleter> context, daxctl_dev* device,
      const std::string& name) {
    if (daxctl_dev_get_memory(device) != nullptr) {
      return FailedPreconditionError("/dev/" + name +
                                     " is System RAM; free it with: daxctl reconfigure-device "
                                     "--mode=devdax " +
                                     name);
    }
    if (daxctl_dev_get_resource(device) == 0) {
      return Status(StatusCode::kPermissionDenied,
                    "/dev/" + name + ": its physical address is shown to root only");
    }
    return std::unique_ptr<DaxDevice>(new CharacterDevice(std::move(context), device, name));
  }

  std::unique_ptr<daxctl_ctx, ContextDeleter> context_;
  daxctl_dev* device_;
  std::string name_;
};

// A block device of the nvdimm bus; below it lies the namespace that a driver has.
class PmemDevice final : public DaxDevice {
 public:
  static Result<std::unique_ptr<DaxDevice>> Find(const std::string& name) {
    const std::string device = RealPath("/sys/block/" + name + "/device");
    if (device.empty()) return NotFoundError("/dev/" + name + ": no such pmem device");
    PhysicalRange range;
    ASSIGN_OR_RETURN(range.phys, ReadNumber(device + "/resource"));
    if (range.phys == 0) {
      return Status(StatusCode::kPermissionDenied,
                    "/dev/" + name + ": its physical address is shown to root only");
    }
    ASSIGN_OR_RETURN(range.size_bytes, ReadNumber("/sys/block/" + name + "/size"));
    range.size_bytes *= kSectorBytes;
    return std::unique_ptr<DaxDevice>(new PmemDevice(name, device, range));
  }

  PhysicalRange range() const override { return range_; }
  bool driven() const override { return !RealPath(device_ + "/driver").empty(); }
  Status Unbind() override {
    // The kernel would pull it from under a mounted filesystem.
    if (!UniqueFd(::open(("/dev/" + name_).c_str(), O_RDONLY | O_EXCL | O_CLOEXEC)).valid()) {
      return Status::FromErrno(errno, "/dev/" + name_ + " is in use");
    }
    driver_ = RealPath(device_ + "/driver");
    return WriteText(driver_ + "/unbind", Leaf());
  }
  Status Rebind() override { return WriteText(driver_ + "/bind", Leaf()); }

 private:
  PmemDevice(std::string name, std::string device, PhysicalRange range)
      : name_(std::move(name)), device_(std::move(device)), range_(range) {}

  std::string Leaf() const { return device_.substr(device_.rfind('/') + 1); }

  std::string name_;
  std::string device_;  // in sysfs
  PhysicalRange range_;
  std::string driver_;
};

}  // namespace

Result<std::unique_ptr<DaxDevice>> DaxDevice::Open(const std::string& path) {
  static const std::regex kDax("/dev/(dax[0-9]+\\.[0-9]+)");
  static const std::regex kPmem("/dev/(pmem[0-9]+(\\.[0-9]+)?)");
  std::smatch match;
  if (std::regex_match(path, match, kDax)) return CharacterDevice::Find(match[1]);
  if (std::regex_match(path, match, kPmem)) return PmemDevice::Find(match[1]);
  return InvalidArgumentError(path + ": neither /dev/daxX.Y nor /dev/pmemN");
}

}  // namespace daxfs::os
