// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// pool.h alone, step by step, over real words; what happens when many step at once is tests/sim's
// matter.
#include "pool.h"

#include <gtest/gtest.h>

#include <array>

#include "pool_slot.h"

namespace {

// Two slots, attached; 70 rows, so that a use word is not the first; two chunks; one hold.
class Pool : public testing::Test {
 protected:
  static constexpr __u32 kRows = 70;
  Pool() {
    pool.rows = rows.data();
    pool.slots = slots.data();
    pool.uses = uses.data();
    pool.owners = owners.data();
    pool.hosts = hosts.data();
    pool.hold_states = &hold[0];
    pool.hold_targets = &hold[1];
    pool.row_count = kRows;
    pool.slot_count = 2;
    pool.use_words = daxfs_use_words(kRows);
    pool.partition_count = 1;
    pool.owner_count = 2;
    pool.hold_count = 1;
    for (__u32 host = 0; host < hosts.size(); ++host) daxfs_store(&hosts[host], KeyOf(host));
    EXPECT_EQ(Attach(0, 3), 0);
    EXPECT_EQ(Attach(1, 3), 0);
  }
  static __u64 KeyOf(__u32 host) { return 0x460001 + (__u64{host} << 16); }
  int Attach(__u32 slot, __u32 host, __u64 lock = 0) {
    __u64 word = 0;
    const daxfs_attacher who = {host, KeyOf(host & 0xffff), lock};
    return daxfs_attach(&pool, slot, &who, &word);
  }
  int Prove(__u64 word, __u64 lock, __u32 host = 3) {
    const daxfs_attacher who = {host, KeyOf(3), lock};
    return daxfs_prove_dead(&pool, 1, word, &who);
  }
  __u32 RowState(__u32 row) { return daxfs_word_state(daxfs_load(&rows[row])); }
  // Publishes `row` with chunk 0; slot 0 has the builder's use of it.
  __u64 Publish(__u32 row) {
    __u64 generation = 0;
    EXPECT_EQ(daxfs_row_claim(&pool, 0, row, &generation), 0);
    EXPECT_EQ(daxfs_chunk_take(&pool, 0, row, generation), 0);
    EXPECT_EQ(daxfs_row_publish(&pool, 0, row, generation), 0);
    return generation;
  }

  daxfs_pool pool = {};
  std::array<daxfs_word, kRows> rows = {};
  std::array<daxfs_word, 2> slots = {}, owners = {}, hold = {};
  std::array<daxfs_word, 4> uses = {};
  std::array<daxfs_word, 10> hosts = {};
};

TEST_F(Pool, WordsAreLaidOutAsThePageSays) {
  EXPECT_EQ(daxfs_word_make(DAXFS_ROW_DYING, 0x1234, 0xabcdef0123), 0xabcdef0123012343U);
  EXPECT_EQ(daxfs_word_state(0xabcdef0123012343U), DAXFS_ROW_DYING);
  EXPECT_EQ(daxfs_word_slot(0xabcdef0123012343U), 0x1234U);
  EXPECT_EQ(daxfs_word_generation(0xabcdef0123012343U), 0xabcdef0123U);
  EXPECT_EQ(daxfs_reference(5, 7), 0x7000006U);
  EXPECT_EQ(daxfs_reference_row(0x7000006U), 5U);
  EXPECT_EQ(daxfs_reference_row(daxfs_reference(DAXFS_ROW_MAX, 1)), DAXFS_ROW_MAX);
  EXPECT_GT(daxfs_reference_row(0x7000000U), DAXFS_ROW_MAX);
}

TEST_F(Pool, ALifeFromFreeToFree) {
  const __u64 generation = Publish(69);
  EXPECT_EQ(generation, 0U);
  EXPECT_EQ(RowState(69), DAXFS_ROW_READY);
  EXPECT_EQ(daxfs_load(&uses[1]), 1U << 5);
  EXPECT_EQ(daxfs_load(&owners[0]), daxfs_reference(69, 0));
  EXPECT_EQ(daxfs_collect(&pool, 1, 69), -EBUSY);
  daxfs_use_drop(&pool, 0, 69);
  EXPECT_EQ(daxfs_collect(&pool, 1, 69), 0);
  EXPECT_EQ(daxfs_load(&rows[69]), daxfs_word_make(DAXFS_ROW_FREE, 0, 1));
  EXPECT_EQ(daxfs_load(&owners[0]), 0U);
  EXPECT_EQ(daxfs_collect(&pool, 1, 69), -ENOENT);
  EXPECT_EQ(daxfs_use_take(&pool, 1, 69, generation), -ENOENT);
  EXPECT_EQ(daxfs_load(&uses[3]), 0U);
}

TEST_F(Pool, WhatIsTakenIsBusy) {
  const __u64 generation = Publish(3);
  __u64 other = 0;
  EXPECT_EQ(daxfs_row_claim(&pool, 1, 3, &other), -EBUSY);
  EXPECT_EQ(daxfs_row_claim(&pool, 1, 4, &other), 0);
  EXPECT_EQ(daxfs_chunk_take(&pool, 0, 4, other), -EBUSY);
  EXPECT_EQ(daxfs_chunk_free_orphan(&pool, 0), -EBUSY);
  EXPECT_EQ(daxfs_chunk_free_orphan(&pool, 1), -EBUSY);
  EXPECT_EQ(Attach(1, 3), -EBUSY);
  EXPECT_EQ(daxfs_use_take(&pool, 1, 4, other), -ENOENT);  // not published yet
  EXPECT_EQ(daxfs_row_abandon(&pool, 0, 4, other), -ESTALE);
  EXPECT_EQ(daxfs_row_abandon(&pool, 1, 4, other), 0);
  EXPECT_EQ(daxfs_row_publish(&pool, 1, 4, other), -ESTALE);
  EXPECT_EQ(daxfs_load(&uses[2]), 0U);
  EXPECT_EQ(daxfs_use_take(&pool, 1, 3, generation), 0);
}

TEST_F(Pool, AnOrphanIsTakenDamageIsNot) {
  daxfs_store(&rows[3], daxfs_word_make(DAXFS_ROW_READY, 0, 8));
  __u64 generation = 0;
  EXPECT_EQ(daxfs_row_claim(&pool, 0, 4, &generation), 0);
  const std::pair<__u64, int> kOwners[] = {
      {daxfs_reference(3, 7), 0}, {daxfs_reference(3, 8), -EBUSY},
      {daxfs_reference(5, 0), 0}, {daxfs_reference(kRows, 0), -EBUSY},
      {0x7000000, -EBUSY},        {0, 0}};
  for (const auto& [owner, taken] : kOwners) {
    daxfs_store(&owners[1], owner);
    EXPECT_EQ(daxfs_chunk_take(&pool, 1, 4, generation), taken) << std::hex << owner;
  }
}

TEST_F(Pool, AnAbsentChunkIsNobodysUntilItIsAdded) {
  const __u64 generation = Publish(3);
  EXPECT_EQ(daxfs_chunk_remove(&pool, 0), -EBUSY) << "it has an owner";
  EXPECT_EQ(daxfs_chunk_add(&pool, 0), -ENOENT);
  EXPECT_EQ(daxfs_chunk_add(&pool, 1), -ENOENT) << "it is free already";
  EXPECT_EQ(daxfs_chunk_remove(&pool, 1), 0);
  EXPECT_EQ(daxfs_load(&owners[1]), 0x3000000U);
  EXPECT_EQ(daxfs_chunk_remove(&pool, 1), -EBUSY);
  EXPECT_FALSE(daxfs_owner_is_split(daxfs_load(&owners[1])));
  __u64 other = 0;
  EXPECT_EQ(daxfs_row_claim(&pool, 0, 4, &other), 0);
  EXPECT_EQ(daxfs_chunk_take(&pool, 1, 4, other), -EBUSY);
  EXPECT_EQ(daxfs_chunk_split(&pool, 1), -EBUSY);
  EXPECT_EQ(daxfs_chunk_merge(&pool, 0, 1), -ENOENT);
  EXPECT_EQ(daxfs_chunk_free_orphan(&pool, 1), -EBUSY);
  EXPECT_EQ(daxfs_row_abandon(&pool, 0, 4, other), 0);
  EXPECT_EQ(daxfs_load(&owners[1]), DAXFS_OWNER_ABSENT);
  EXPECT_EQ(daxfs_chunk_add(&pool, 1), 0);
  daxfs_store(&owners[1], daxfs_reference(3, generation + 1));
  EXPECT_EQ(daxfs_chunk_remove(&pool, 1), 0) << "an orphan";
}

TEST_F(Pool, AHoldKeepsAndDyingIsRescued) {
  const __u64 generation = Publish(0);
  __u64 word = 0;
  EXPECT_EQ(daxfs_hold_take(&pool, 1, 0, &pool, 0, generation + 1, nullptr, &word), -ENOENT);
  EXPECT_EQ(daxfs_hold_take(&pool, 1, 0, &pool, 0, generation, nullptr, &word), 0);
  EXPECT_EQ(word, daxfs_word_make(DAXFS_HOLD_VALID, 3, 2)) << "the host's number, not the slot's";
  EXPECT_EQ(daxfs_hold_take(&pool, 1, 0, &pool, 0, generation, nullptr, &word), -EBUSY);
  daxfs_use_drop(&pool, 0, 0);
  EXPECT_EQ(daxfs_collect(&pool, 0, 0), -EBUSY);
  EXPECT_EQ(daxfs_hold_drop(&pool, 0, word + (1U << 24)), -ENOENT);
  EXPECT_EQ(daxfs_hold_drop(&pool, 0, word), 0);
  EXPECT_EQ(daxfs_hold_drop(&pool, 0, word), -ENOENT);
  daxfs_store(&rows[0], daxfs_word_make(DAXFS_ROW_DYING, 0, generation));
  EXPECT_EQ(daxfs_use_take(&pool, 1, 0, generation), 0);
  EXPECT_EQ(RowState(0), DAXFS_ROW_READY);
}

TEST_F(Pool, WhoLeavesInOrderLeavesNothing) {
  daxfs_detach(&pool, 1);
  EXPECT_EQ(Attach(1, DAXFS_HOST_KERNEL | 5), 0);
  EXPECT_EQ(daxfs_word_slot(daxfs_load(&slots[1])), 5U);
  EXPECT_TRUE(daxfs_slot_is_kernel(daxfs_load(&slots[1])));
  EXPECT_FALSE(daxfs_slot_is_kernel(daxfs_load(&slots[0])));
  const __u64 generation = Publish(3);
  daxfs_detach(&pool, 0);
  EXPECT_EQ(daxfs_load(&uses[0]), 0U);
  EXPECT_EQ(daxfs_load(&slots[0]), daxfs_word_make(DAXFS_SLOT_FREE, 0, 1));
  EXPECT_EQ(daxfs_use_take(&pool, 1, 3, generation), 0) << "what it has published stays";
  EXPECT_EQ(daxfs_mark_dead(&pool, 1, 0), -ESTALE);
  EXPECT_EQ(daxfs_mark_dead(&pool, 1, daxfs_load(&slots[1])), 0);
  daxfs_detach(&pool, 1);
  EXPECT_EQ(daxfs_word_state(daxfs_load(&slots[1])), DAXFS_SLOT_DEAD);
}

TEST_F(Pool, ALockProvesADeathOfItsOwnFileOrOfAnEarlierBootOnly) {
  constexpr __u64 kBoot = 5ULL << 32, kOther = 6ULL << 32;
  std::array<daxfs_pool_slot, 2> records = {};
  pool.slot_records = records.data();
  daxfs_detach(&pool, 1);
  const auto lock = [&] { return daxfs_load(&records[1].lock); };
  for (const __u64 of : {kBoot | 1, kOther | 2}) {
    EXPECT_EQ(Attach(1, 3, of), 0);
    const __u64 word = daxfs_load(&slots[1]);
    EXPECT_EQ(lock(), of ^ (daxfs_word_generation(word) * 0x9e3779b1U & 0xffffffffU))
        << "of this life";
    const bool same_boot = of >> 32 == kBoot >> 32;
    EXPECT_EQ(Prove(word, kBoot | 2), same_boot ? -EPERM : 0);
    EXPECT_EQ(Prove(word, of), same_boot ? 0 : -ESTALE);
    EXPECT_EQ(daxfs_sweep(&pool, 0, 1), 0);
    EXPECT_EQ(lock(), daxfs_word_generation(daxfs_load(&slots[1])) << 16) << "of no other life";
  }
  // It died before it had its lock in the record, in which the last one's is no more.
  __u64 word = daxfs_load(&slots[1]);
  daxfs_store(&slots[1], daxfs_word_make(DAXFS_SLOT_ATTACHED, 3, daxfs_word_generation(word)));
  word = daxfs_load(&slots[1]);
  EXPECT_EQ(Prove(word, kBoot | 2, 4), -ESTALE) << "another's number";
  EXPECT_EQ(Prove(word, kBoot | 2), 0);
  EXPECT_EQ(daxfs_sweep(&pool, 0, 1), 0);
  EXPECT_EQ(Attach(1, 3, kBoot | 1), 0);
  daxfs_detach(&pool, 1);
  EXPECT_EQ(lock(), daxfs_word_generation(daxfs_load(&slots[1])) << 16);
}

TEST_F(Pool, AHostStatedToBeOffHasNothingLeft) {
  const __u64 generation = Publish(3);
  __u64 word = 0, built = 0;
  EXPECT_EQ(daxfs_hold_take(&pool, 0, 0, &pool, 3, generation, nullptr, &word), 0);
  EXPECT_EQ(daxfs_row_claim(&pool, 0, 4, &built), 0);
  daxfs_detach(&pool, 1);
  EXPECT_EQ(Attach(1, 9), 0);
  EXPECT_EQ(daxfs_fence_host(&pool, 8, KeyOf(8)), 0);
  EXPECT_EQ(daxfs_fence_host(&pool, 3, KeyOf(4)), -ESTALE);
  EXPECT_EQ(daxfs_load(&hold[0]), word) << "another host, or another key";
  EXPECT_EQ(daxfs_fence_host(&pool, 3, KeyOf(3)), 0);
  EXPECT_EQ(daxfs_load(&hosts[3]), 2U) << "free, and given back once";
  EXPECT_EQ(daxfs_word_state(daxfs_load(&hold[0])), DAXFS_HOLD_FREE);
  EXPECT_EQ(daxfs_word_state(daxfs_load(&slots[0])), DAXFS_SLOT_DEAD);
  EXPECT_EQ(daxfs_word_state(daxfs_load(&slots[1])), DAXFS_SLOT_ATTACHED) << "another host";
  EXPECT_EQ(daxfs_sweep(&pool, 1, 0), 0);
  EXPECT_EQ(daxfs_word_state(daxfs_load(&slots[0])), DAXFS_SLOT_FREE);
  EXPECT_EQ(RowState(4), DAXFS_ROW_FREE);
  EXPECT_EQ(daxfs_collect(&pool, 1, 3), 0);
}

// Who began to state it died; so did who began under the number, or it gives way.
TEST_F(Pool, NobodyBeginsUnderTheNumberOfAHostThatIsBeingEnded) {
  daxfs_detach(&pool, 1);
  daxfs_store(&hosts[3], daxfs_key_leaving(KeyOf(3)));
  EXPECT_EQ(Attach(1, 3), -ESTALE);
  EXPECT_EQ(Attach(1, 3 | DAXFS_HOST_KERNEL), -EBUSY) << "it is dead, for anyone to sweep";
  EXPECT_EQ(daxfs_sweep(&pool, 0, 1), 0);
  EXPECT_EQ(Attach(1, 3 | DAXFS_HOST_KERNEL), -ESTALE);
  EXPECT_EQ(daxfs_sweep(&pool, 0, 1), 0);
  EXPECT_EQ(Attach(1, 9), 0);
  EXPECT_EQ(daxfs_fence_host(&pool, 3, daxfs_load(&hosts[3])), 0) << "it is ended by the next";
  EXPECT_EQ(daxfs_word_state(daxfs_load(&slots[0])), DAXFS_SLOT_DEAD);
  EXPECT_EQ(daxfs_load(&hosts[3]), 2U) << "free, and given back once";
  EXPECT_EQ(daxfs_sweep(&pool, 1, 0), 0);
  EXPECT_EQ(Attach(0, 3), -ESTALE) << "its number is nobody's";
}

TEST_F(Pool, AHostLeavesOnlyWithoutSlots) {
  EXPECT_EQ(daxfs_host_leave(&pool, 3, KeyOf(3)), -EBUSY);
  EXPECT_EQ(daxfs_load(&hosts[3]), KeyOf(3));
  daxfs_detach(&pool, 0);
  daxfs_detach(&pool, 1);
  EXPECT_EQ(daxfs_host_leave(&pool, 3, KeyOf(4)), -ESTALE);
  EXPECT_EQ(daxfs_host_leave(&pool, 3, KeyOf(3)), 0);
  EXPECT_EQ(daxfs_load(&hosts[3]), 2U) << "free, and given back once";
}

TEST_F(Pool, WhoFindsNoSlotFreeTakesADeadOneOver) {
  __u64 word = 0, built = 0;
  const daxfs_attacher who = {5, KeyOf(5), 0};
  EXPECT_EQ(daxfs_succeed(&pool, 0, &who, &word), -EBUSY) << "it is alive";
  const __u64 generation = Publish(3);
  EXPECT_EQ(daxfs_row_claim(&pool, 0, 4, &built), 0);
  const __u64 life = daxfs_load(&slots[0]);
  EXPECT_EQ(daxfs_mark_dead(&pool, 0, life), 0);
  EXPECT_EQ(daxfs_succeed(&pool, 0, &who, &word), 0);
  EXPECT_EQ(word, daxfs_load(&slots[0]));
  EXPECT_EQ(word, daxfs_word_make(DAXFS_SLOT_ATTACHED, 5, daxfs_word_generation(life) + 1));
  EXPECT_EQ(RowState(4), DAXFS_ROW_FREE);
  EXPECT_EQ(daxfs_use_take(&pool, 0, 3, generation), 0);
  daxfs_use_drop(&pool, 0, 3);
  EXPECT_EQ(daxfs_collect(&pool, 1, 3), 0) << "the dead one's use is gone";
  EXPECT_EQ(daxfs_succeed(&pool, 0, &who, &word), -EBUSY);
}

TEST_F(Pool, ASweepUndoesWhatTheDeadLeft) {
  EXPECT_EQ(daxfs_sweep(&pool, 1, 0), -ENOENT);
  const __u64 generation = Publish(0);
  __u64 built = 0;
  EXPECT_EQ(daxfs_row_claim(&pool, 0, 1, &built), 0);
  EXPECT_EQ(daxfs_chunk_take(&pool, 1, 1, built), 0);
  daxfs_store(&hold[0], daxfs_word_make(DAXFS_HOLD_CLAIMED, 0, 4));
  daxfs_store(&rows[2], daxfs_word_make(DAXFS_ROW_DYING, 0, 5));
  daxfs_store(&rows[3], daxfs_word_make(DAXFS_ROW_RECLAIMING, 0, 6));
  daxfs_store(&slots[0], daxfs_word_make(DAXFS_SLOT_DEAD, 0, 0));
  EXPECT_EQ(daxfs_sweep(&pool, 1, 0), 0);
  EXPECT_EQ(daxfs_load(&rows[0]), daxfs_word_make(DAXFS_ROW_READY, 0, generation));
  EXPECT_EQ(daxfs_load(&rows[1]), daxfs_word_make(DAXFS_ROW_FREE, 0, built + 1));
  EXPECT_EQ(daxfs_load(&rows[2]), daxfs_word_make(DAXFS_ROW_FREE, 0, 6));
  EXPECT_EQ(daxfs_load(&rows[3]), daxfs_word_make(DAXFS_ROW_FREE, 0, 6));
  EXPECT_EQ(daxfs_load(&hold[0]), daxfs_word_make(DAXFS_HOLD_FREE, 0, 4));
  EXPECT_EQ(daxfs_load(&owners[1]), 0U);
  EXPECT_EQ(daxfs_load(&uses[0]), 0U);
  EXPECT_EQ(daxfs_load(&slots[0]), daxfs_word_make(DAXFS_SLOT_FREE, 0, 1));
}

}  // namespace
