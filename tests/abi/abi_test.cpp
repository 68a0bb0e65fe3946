// SPDX-License-Identifier: Apache-2.0
// What sizeof and offsetof cannot see: a structure of shared memory has no hidden padding.
#include <gtest/gtest.h>

#include <type_traits>

#include "daxfs/format.h"
#include "daxfs/pool_layout.h"

namespace {

template <typename T>
constexpr bool kSharedMemorySafe = std::is_standard_layout_v<T>&& std::is_trivially_copyable_v<T>&&
    std::has_unique_object_representations_v<T>;

static_assert(kSharedMemorySafe<daxfs_section>);
static_assert(kSharedMemorySafe<daxfs_super>);
static_assert(kSharedMemorySafe<daxfs_inode>);
static_assert(kSharedMemorySafe<daxfs_dirent>);
static_assert(kSharedMemorySafe<daxfs_extent>);
static_assert(kSharedMemorySafe<daxfs_xattr>);
static_assert(kSharedMemorySafe<daxfs_blob>);
static_assert(kSharedMemorySafe<daxfs_signature>);
static_assert(kSharedMemorySafe<daxfs_pool_super>);
static_assert(kSharedMemorySafe<daxfs_pool_device>);
static_assert(kSharedMemorySafe<daxfs_pool_live>);
static_assert(kSharedMemorySafe<daxfs_pool_host>);
static_assert(kSharedMemorySafe<daxfs_pool_slot>);
static_assert(kSharedMemorySafe<daxfs_pool_row>);
static_assert(kSharedMemorySafe<daxfs_pool_hold>);

struct Padded {
  daxfs_le32 a;
  daxfs_le64 b;
};

TEST(Abi, TheCheckSeesPadding) { EXPECT_FALSE(kSharedMemorySafe<Padded>); }

TEST(Abi, RecordsDivideAChunk) {
  EXPECT_EQ(DAXFS_PIECE_SIZE % sizeof(daxfs_inode), 0u);
  EXPECT_EQ(DAXFS_PIECE_SIZE % sizeof(daxfs_dirent), 0u);
  EXPECT_EQ(DAXFS_PIECE_SIZE % sizeof(daxfs_extent), 0u);
}

}  // namespace
