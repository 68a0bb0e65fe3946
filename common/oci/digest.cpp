// SPDX-License-Identifier: Apache-2.0
#include "common/oci/digest.hpp"

#include <openssl/evp.h>

#include "common/base/hex.hpp"
#include "common/base/vector_registers.hpp"

namespace daxfs::oci {
namespace {

// Looked up once: EVP_sha256() would be fetched from its provider again at every init.
const EVP_MD* Algorithm() {
  static const EVP_MD* const kAlgorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  DAXFS_CHECK(kAlgorithm != nullptr);
  return kAlgorithm;
}

}  // namespace

Result<Digest> Digest::Parse(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  const std::string quoted = "digest \"" + std::string(text.substr(0, 100)) + "\"";
  if (!text.starts_with(kPrefix)) {
    if (text.find(':') == std::string_view::npos) {
      return InvalidArgumentError(quoted + ": no algorithm in front");
    }
    return UnimplementedError(quoted + ": only sha256 is supported");
  }
  Digest digest;
  RETURN_IF_ERROR(base::FromHex(text.substr(kPrefix.size()), digest.bytes).WithContext(quoted));
  return digest;
}

std::string Digest::Hex() const { return base::ToHex(bytes); }

void Sha256::FreeContext::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  DAXFS_CHECK(context_ != nullptr);
  Reset();
}

Sha256::~Sha256() = default;

void Sha256::Reset() { DAXFS_CHECK(EVP_DigestInit_ex(context_.get(), Algorithm(), nullptr) == 1); }

void Sha256::Update(std::span<const std::byte> bytes) {
  base::ClearUpperHalves();
  DAXFS_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

Digest Sha256::Finish() {
  Digest digest;
  unsigned length = 0;
  auto* out = reinterpret_cast<unsigned char*>(digest.bytes.data());
  DAXFS_CHECK(EVP_DigestFinal_ex(context_.get(), out, &length) == 1);
  DAXFS_CHECK(length == digest.bytes.size());
  Reset();
  return digest;
}

Digest Sha256::Of(std::span<const std::byte> bytes) {
  Sha256 hasher;
  hasher.Update(bytes);
  return hasher.Finish();
}

Digest ChainId(const Digest& parent, const Digest& diff_id) {
  const std::string text = parent.ToString() + " " + diff_id.ToString();
  return Sha256::Of(std::as_bytes(std::span(text)));
}

}  // namespace daxfs::oci
