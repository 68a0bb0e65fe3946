// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "common/oci/digest.hpp"

namespace daxfs::oci {

// The digests of two ranges of one size. Each step of SHA-256 waits for the one before: where the
// processor has instructions for it (x86 SHA extensions), the steps of both alternate, and both
// take little longer than one. Elsewhere one after the other. Requires: a.size() == b.size().
std::array<Digest, 2> Sha256OfTwo(std::span<const std::byte> a, std::span<const std::byte> b);

// Whether this processor does so.
bool HashesTwoAtOnce();

}  // namespace daxfs::oci
