// SPDX-License-Identifier: Apache-2.0
// FIPS 180-4, "SHA-256"; the order of the state's words is that of the instructions (Intel SDM,
// SHA256RNDS2).
#include "common/oci/sha256_two.hpp"

#include "common/base/check.hpp"
#include "common/base/vector_registers.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#endif

namespace daxfs::oci {
namespace {

std::array<Digest, 2> OneAfterTheOther(std::span<const std::byte> a, std::span<const std::byte> b) {
  return {Sha256::Of(a), Sha256::Of(b)};
}

#if defined(__x86_64__)

constexpr std::size_t kBlock = 64;
constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kStreams = 2;

alignas(16) constexpr std::array<std::uint32_t, 64> kRound = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// a to h of FIPS 180-4.
using State = std::array<std::uint32_t, 8>;
constexpr State kInitial = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                            0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

using Streams = std::array<const std::byte*, kStreams>;

// The states behind `blocks` more blocks of each stream.
__attribute__((target("sha,sse4.1,ssse3"))) void Compress(std::array<State, kStreams>* states,
                                                          Streams at, std::size_t blocks) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i abef[kStreams];
  __m128i cdgh[kStreams];
  for (std::size_t s = 0; s < kStreams; ++s) {
    const auto* words = reinterpret_cast<const __m128i*>((*states)[s].data());
    const __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128(words), 0xB1);
    const __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), 0x1B);
    abef[s] = _mm_alignr_epi8(cdab, efgh, 8);
    cdgh[s] = _mm_blend_epi16(efgh, cdab, 0xF0);
  }
  for (; blocks > 0; --blocks) {
    const __m128i abef_before[kStreams] = {abef[0], abef[1]};
    const __m128i cdgh_before[kStreams] = {cdgh[0], cdgh[1]};
    __m128i words[kStreams][4];  // the last 16 of the message schedule
#pragma GCC unroll 16
    for (std::size_t i = 0; i < 16; ++i) {  // four rounds each
#pragma GCC unroll 2
      for (std::size_t s = 0; s < kStreams; ++s) {
        __m128i* const w = words[s];
        if (i < 4) {
          const auto* block = reinterpret_cast<const __m128i*>(at[s]);
          w[i] = _mm_shuffle_epi8(_mm_loadu_si128(block + i), big_endian);
        } else {
          const __m128i& last = w[(i + 3) % 4];
          const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]),
                                            _mm_alignr_epi8(last, w[(i + 2) % 4], 4));
          w[i % 4] = _mm_sha256msg2_epu32(sum, last);
        }
        const auto* round = reinterpret_cast<const __m128i*>(kRound.data());
        const __m128i mixed = _mm_add_epi32(w[i % 4], _mm_load_si128(round + i));
        cdgh[s] = _mm_sha256rnds2_epu32(cdgh[s], abef[s], mixed);
        abef[s] = _mm_sha256rnds2_epu32(abef[s], cdgh[s], _mm_shuffle_epi32(mixed, 0x0E));
      }
    }
    for (std::size_t s = 0; s < kStreams; ++s) {
      abef[s] = _mm_add_epi32(abef[s], abef_before[s]);
      cdgh[s] = _mm_add_epi32(cdgh[s], cdgh_before[s]);
      at[s] += kBlock;
    }
  }
  for (std::size_t s = 0; s < kStreams; ++s) {
    auto* words = reinterpret_cast<__m128i*>((*states)[s].data());
    const __m128i feba = _mm_shuffle_epi32(abef[s], 0x1B);
    const __m128i dchg = _mm_shuffle_epi32(cdgh[s], 0xB1);
    _mm_storeu_si128(words, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128(words + 1, _mm_alignr_epi8(dchg, feba, 8));
  }
}

// What is left behind the whole blocks, a one, zeros, and the length in bits.
using LastBlocks = std::array<std::byte, 2 * kBlock>;
std::size_t Pad(std::span<const std::byte> bytes, LastBlocks* out) {
  const std::span<const std::byte> rest = bytes.last(bytes.size() % kBlock);
  out->fill(std::byte{0});
  std::copy(rest.begin(), rest.end(), out->begin());
  (*out)[rest.size()] = std::byte{0x80};
  const std::size_t size = rest.size() + kLengthBytes < kBlock ? kBlock : 2 * kBlock;
  const std::uint64_t bits = __builtin_bswap64(bytes.size() * std::uint64_t{8});
  std::memcpy(out->data() + size - kLengthBytes, &bits, sizeof(bits));
  return size / kBlock;
}

Digest ToDigest(const State& state) {
  Digest digest;
  for (std::size_t i = 0; i < state.size(); ++i) {
    const std::uint32_t word = __builtin_bswap32(state[i]);
    std::memcpy(digest.bytes.data() + i * sizeof(word), &word, sizeof(word));
  }
  return digest;
}

std::array<Digest, 2> InTurns(std::span<const std::byte> a, std::span<const std::byte> b) {
  base::ClearUpperHalves();
  std::array<State, kStreams> states = {kInitial, kInitial};
  Compress(&states, {a.data(), b.data()}, a.size() / kBlock);
  std::array<LastBlocks, kStreams> last;
  const std::size_t blocks = Pad(a, &last[0]);
  Pad(b, &last[1]);
  Compress(&states, {last[0].data(), last[1].data()}, blocks);
  return {ToDigest(states[0]), ToDigest(states[1])};
}

// The instructions, and those of SSSE3 and SSE4.1 they are used with.
bool HasInstructions() {
  constexpr unsigned kSha = 1U << 29U;
  constexpr unsigned kSse = (1U << 9U) | (1U << 19U);
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kSse) != kSse) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & kSha) != 0;
}

#else

std::array<Digest, 2> InTurns(std::span<const std::byte> a, std::span<const std::byte> b) {
  return OneAfterTheOther(a, b);
}
bool HasInstructions() { return false; }

#endif

}  // namespace

bool HashesTwoAtOnce() {
  static const bool kHas = HasInstructions();
  return kHas;
}

std::array<Digest, 2> Sha256OfTwo(std::span<const std::byte> a, std::span<const std::byte> b) {
  DAXFS_CHECK(a.size() == b.size());
  return HashesTwoAtOnce() ? InTurns(a, b) : OneAfterTheOther(a, b);
}

}  // namespace daxfs::oci
