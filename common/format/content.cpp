// SPDX-License-Identifier: Apache-2.0
#include "common/format/content.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "kernel-module/core/core.h"

namespace daxfs::format {
namespace {

constexpr std::size_t kStep = std::size_t{1} << 20U;  // between two calls of Advance

std::span<const std::byte> Zeros() {
  static constexpr std::array<std::byte, kStep> kZeros{};
  return kZeros;
}

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// At most a step of the file from `position` on, a hole as zeros.
Result<std::span<const std::byte>> BytesAt(const Image& image, const Inode& inode,
                                           std::uint64_t position) {
  ASSIGN_OR_RETURN(const DataRun run, image.RunAt(inode, position));
  const std::size_t n = std::min<std::uint64_t>(run.length, kStep);
  return run.hole ? Zeros().first(n) : run.bytes.first(n);
}

}  // namespace

Result<ContentDigest> DigestOfContent(const Image& image, const Inode& inode,
                                      const Advance& advance) {
  static const EVP_MD* const kAlgorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  DAXFS_CHECK(context != nullptr && EVP_DigestInit_ex(context.get(), kAlgorithm, nullptr) == 1);
  for (std::uint64_t at = 0; at < inode.size_bytes;) {
    ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, BytesAt(image, inode, at));
    DAXFS_CHECK(EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) == 1);
    at += bytes.size();
    RETURN_IF_ERROR(Tell(advance, bytes.size(), 0));
  }
  ContentDigest digest{};
  auto* out = reinterpret_cast<unsigned char*>(digest.data());
  DAXFS_CHECK(EVP_DigestFinal_ex(context.get(), out, nullptr) == 1);
  return digest;
}

Result<bool> SameContent(const Image& image, const Inode& inode, const Image& other_image,
                         const Inode& other, const Advance& advance) {
  if (inode.size_bytes != other.size_bytes) return false;
  for (std::uint64_t at = 0; at < inode.size_bytes;) {
    ASSIGN_OR_RETURN(const DataRun run, image.RunAt(inode, at));
    ASSIGN_OR_RETURN(const DataRun other_run, other_image.RunAt(other, at));
    std::uint64_t n = std::min(run.length, other_run.length);
    if (!run.hole || !other_run.hole) {
      n = std::min<std::uint64_t>(n, kStep);
      const std::span<const std::byte> a = run.hole ? Zeros() : run.bytes;
      const std::span<const std::byte> b = other_run.hole ? Zeros() : other_run.bytes;
      if (std::memcmp(a.data(), b.data(), n) != 0) return false;
    }
    at += n;
    RETURN_IF_ERROR(Tell(advance, n, 0));
  }
  return true;
}

Status ForEachExtent(const Image& image, const Inode& inode,
                     const std::function<Status(const FileExtent&)>& take) {
  const char* why = "no such number";
  const std::string name = "inode " + std::to_string(inode.number);
  daxfs_attr attr = {};
  if (daxfs_inode_get(&image.core(), inode.number, &attr, &why) != 0) {
    return DataLossError(name + ": " + why);
  }
  for (std::uint64_t i = 0; i < attr.data_count; ++i) {
    daxfs_map map = {};
    const int error = daxfs_extent_get(&image.core(), &attr, i, &map, &why);
    if (error == -EINVAL) return InvalidArgumentError(name + ": not a regular file");
    if (error != 0) return DataLossError(name + ": " + why);
    RETURN_IF_ERROR(take({map.logical, map.offset, map.length}));
  }
  return Status::Ok();
}

}  // namespace daxfs::format
