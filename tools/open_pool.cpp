// SPDX-License-Identifier: Apache-2.0
#include "tools/open_pool.hpp"

#include <filesystem>
#include <string_view>
#include <utility>

#include "common/pool/config.hpp"
#include "common/pool/host.hpp"
#include "tools/record.hpp"

namespace daxfs::tools {
namespace {

constexpr std::string_view kPrefix = "pool:";

}  // namespace

Result<std::unique_ptr<pool::Memory>> OpenPool(const std::string& text, os::Access access) {
  ASSIGN_OR_RETURN(const pool::PoolConfig config, pool::ResolvePool(text));
  return pool::Memory::Open(config.devices, access);
}

Result<std::unique_ptr<pool::Participant>> JoinPool(const std::string& text,
                                                    const std::string& name) {
  ASSIGN_OR_RETURN(std::unique_ptr<pool::Memory> memory, OpenPool(text, os::Access::kWrite));
  ASSIGN_OR_RETURN(const pool::HostIdentity host, pool::ThisHost());
  return pool::Participant::Attach(std::move(memory), host, name);
}

Result<OpenedImage> OpenedImage::Open(const std::string& text, const std::string& program) {
  OpenedImage opened;
  if (!text.starts_with(kPrefix)) {
    ASSIGN_OR_RETURN(format::Image image, format::Image::Open(text));
    opened.image_.emplace(std::move(image));
    std::error_code error;
    opened.source_ = std::filesystem::canonical(text, error).string();
    return opened;
  }
  const std::size_t colon = text.find(':', kPrefix.size());
  if (colon == std::string::npos || colon + 1 == text.size()) {
    return InvalidArgumentError("\"" + text + "\": an image in a pool is pool:POOL:NAME or " +
                                "pool:POOL:sha256:...");
  }
  return OpenInPool(text.substr(kPrefix.size(), colon - kPrefix.size()), text.substr(colon + 1),
                    program);
}

Result<OpenedImage> OpenedImage::OpenInPool(const std::string& pool, const std::string& object,
                                            const std::string& program) {
  OpenedImage opened;
  ASSIGN_OR_RETURN(opened.participant_, JoinPool(pool, program));
  ASSIGN_OR_RETURN(pool::Use use, pool::FindAny(*opened.participant_, object));
  ASSIGN_OR_RETURN(const std::optional<Record> record, ReadRecord(*opened.participant_, use.ref()));
  if (record) return NotOneImage(pool, object, *record);
  ASSIGN_OR_RETURN(pool::Mapped mapped, pool::Mapped::Open(*opened.participant_, std::move(use)));
  opened.mapped_.emplace(std::move(mapped));
  Result<format::Image> image = format::Image::FromBytes(opened.mapped_->bytes());
  if (!image.ok()) return image.status().WithContext(object);
  opened.source_ = std::string(kPrefix) + pool + ":" + pool::DigestText(image->Info().root);
  opened.image_.emplace(*std::move(image));
  return opened;
}

}  // namespace daxfs::tools
