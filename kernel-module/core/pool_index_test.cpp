// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// pool_index.h and granules alone, over real words; what happens when many step at once is
// tests/sim's matter.
#include "pool_index.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "pool_slot.h"

namespace {

constexpr __u32 kFirst = DAXFS_ALIAS_ROOT;

// A key whose digest is made of `number`; the same bucket words give the same buckets.
daxfs_key Key(__u64 number, __u32 kind = kFirst) {
  return {{number * 0x9e3779b97f4a7c15, number, number, ~number}, kind};
}

// Eight rows ready in generation 1, two slots, and one table of names of any size.
class Index : public testing::Test {
 protected:
  Index() { Size(1, 2); }
  void Size(__u32 buckets, __u32 overflow) {
    const size_t rows = buckets * DAXFS_BUCKET_ROWS + overflow;
    words.assign(rows, {});
    bodies.assign(rows * DAXFS_NAME_WORDS, {});
    used = {};
    pool.rows = row_words.data();
    pool.slots = slots.data();
    pool.uses = uses.data();
    pool.row_count = 8;
    pool.slot_count = 2;
    pool.use_words = 1;
    pool.partition_count = 1;
    for (auto& row : row_words) daxfs_store(&row, daxfs_word_make(DAXFS_ROW_READY, 0, 1));
    pool.names = {words.data(), bodies.data(), &used,   DAXFS_NAME_WORDS,
                  buckets,      overflow,      {7, 11}, DAXFS_ROLE_SHARED};
  }
  daxfs_alias Insert(const daxfs_key& key, __u64 target) {
    daxfs_alias alias = {};
    EXPECT_EQ(daxfs_index_insert(&pool, &index, 0, &key, target, nullptr, &alias), 0);
    return alias;
  }
  int Find(const daxfs_key& key, daxfs_alias* alias, __u32 from = 0) {
    return daxfs_index_find(&pool, &index, &key, from, alias);
  }
  // Row of the first alias with that key; -1: none.
  int FoundRow(const daxfs_key& key) {
    daxfs_alias alias = {};
    return Find(key, &alias) == 0 ? static_cast<int>(daxfs_reference_row(alias.target)) : -1;
  }
  void EndLife(__u32 row) {
    const __u64 generation = daxfs_word_generation(daxfs_load(&row_words[row]));
    daxfs_store(&row_words[row], daxfs_word_make(DAXFS_ROW_FREE, 0, generation + 1));
  }
  __u32 State(__u32 position) { return daxfs_word_state(daxfs_load(&words[position])); }
  __u64 Sequence(__u32 position) { return daxfs_word_generation(daxfs_load(&words[position])); }

  daxfs_pool pool = {};
  daxfs_index& index = pool.names;
  std::array<daxfs_word, 8> row_words = {};
  std::array<daxfs_word, 2> slots = {}, uses = {};
  std::vector<daxfs_word> words, bodies;
  daxfs_word used = {};
};

TEST_F(Index, AKeyIsItsDigestAsNumbersAndItsKind) {
  std::array<__u8, DAXFS_DIGEST_SIZE> digest = {};
  for (size_t i = 0; i < digest.size(); ++i) digest[i] = static_cast<__u8>(i + 1);
  daxfs_key key = {};
  daxfs_key_make(&key, DAXFS_ALIAS_NAME, digest.data());
  EXPECT_EQ(key.digest[0], 0x0807060504030201U);
  EXPECT_EQ(key.digest[3], 0x201f1e1d1c1b1a19U);
  EXPECT_EQ(key.kind, DAXFS_ALIAS_NAME);
  EXPECT_EQ(daxfs_index_rows(&index), 10U);
}

TEST_F(Index, FoundByItsWholeKeyAndKindUntilItIsRemoved) {
  const daxfs_alias alias = Insert(Key(5), daxfs_reference(3, 1));
  EXPECT_EQ(FoundRow(Key(5)), 3);
  for (int word = 0; word < 4; ++word) {
    daxfs_key other = Key(5);
    other.digest[word] ^= 1ULL << 40;
    EXPECT_EQ(FoundRow(other), -1) << word;
  }
  EXPECT_EQ(FoundRow(Key(5, DAXFS_ALIAS_CHAIN)), -1);
  daxfs_alias found = {};
  EXPECT_EQ(Find(Key(5), &found, alias.position + 1), -ENOENT);
  EXPECT_EQ(Find(Key(5), &found, alias.position), 0);
  EXPECT_EQ(found.word, alias.word);
  EXPECT_EQ(daxfs_word_slot(found.word), Key(5).digest[2]) << "the tag";
  EXPECT_EQ(daxfs_index_remove(&index, &alias), 0);
  EXPECT_EQ(daxfs_index_remove(&index, &alias), -ESTALE);
  EXPECT_EQ(FoundRow(Key(5)), -1);
  EXPECT_EQ(Sequence(alias.position), 3U) << "claimed, committed, free";
}

TEST_F(Index, WhatAnAliasSaysIsStoredWithIt) {
  const std::string text(DAXFS_POOL_TEXT_MAX, 'n');
  const daxfs_key key = Key(9);
  daxfs_alias alias = {};
  std::array<__u64, DAXFS_NAME_WORDS> body = {};
  for (const int size : {0, 1, 8, 13, DAXFS_POOL_TEXT_MAX}) {
    const __u32 length = static_cast<__u32>(size);
    const daxfs_alias_extra extra = {{21, 22}, text.data(), length};
    ASSERT_EQ(daxfs_index_insert(&pool, &index, 0, &key, daxfs_reference(1, 1), &extra, &alias), 0);
    EXPECT_EQ(daxfs_index_read(&index, alias.position, body.data()), alias.word);
    EXPECT_EQ(body[DAXFS_BODY_KIND], key.kind | __u64{length} << 32);
    EXPECT_EQ(body[DAXFS_BODY_TARGET], daxfs_reference(1, 1));
    EXPECT_EQ(body[DAXFS_BODY_PARENT + 1], 22U);
    std::string stored(DAXFS_POOL_TEXT_MAX, 0);
    for (size_t i = 0; i < stored.size(); ++i)
      stored[i] = static_cast<char>(body[DAXFS_BODY_TEXT + i / 8] >> (i % 8 * 8));
    EXPECT_EQ(stored, text.substr(0, length) + std::string(DAXFS_POOL_TEXT_MAX - length, 0));
    EXPECT_EQ(daxfs_index_remove(&index, &alias), 0);
  }
  const daxfs_alias_extra longer = {{}, text.data(), DAXFS_POOL_TEXT_MAX + 1};
  EXPECT_EQ(daxfs_index_insert(&pool, &index, 0, &key, 1, &longer, &alias), -EINVAL);
  index.body_words = DAXFS_ALIAS_WORDS;
  const daxfs_alias_extra shorter = {{}, text.data(), 1};
  EXPECT_EQ(daxfs_index_insert(&pool, &index, 0, &key, 1, &shorter, &alias), -EINVAL);
  EXPECT_EQ(FoundRow(key), -1);
}

TEST_F(Index, AtFourFifthsAllAreFound) {
  Size(1 << 14, 64);
  const __u64 count = (DAXFS_BUCKET_ROWS << 14) * 8 / 10;
  for (__u64 i = 0; i < count; ++i) Insert(Key(i), daxfs_reference(i % 8, 1));
  EXPECT_LT(daxfs_load(&used), 50U) << "two perfectly random choices need about 20";
  __u64 wrong = 0;
  for (__u64 i = 0; i < count; ++i) wrong += FoundRow(Key(i)) != static_cast<int>(i % 8);
  EXPECT_EQ(wrong, 0U);
  for (__u64 i = 0; i < 1000; ++i) wrong += FoundRow(Key(count + i)) != -1;
  EXPECT_EQ(wrong, 0U);
}

// A look-up fetches the body there before it knows that it is the one.
TEST_F(Index, TheKeySaysWhichRowOfABucketItTakes) {
  Size(1 << 10, 0);
  std::array<int, DAXFS_BUCKET_ROWS> taken = {};
  for (__u64 i = 0; i < 256; ++i) {
    const daxfs_alias first = Insert(Key(i), daxfs_reference(i % 8, 1));
    ++taken[first.position % DAXFS_BUCKET_ROWS];
    EXPECT_EQ(daxfs_index_remove(&index, &first), 0);
    const daxfs_alias again = Insert(Key(i), daxfs_reference(i % 8, 1));
    EXPECT_EQ(again.position, first.position);
  }
  for (const int count : taken) EXPECT_GT(count, 0);
}

TEST_F(Index, ASmallTableFillsToItsLastRowThenOrphansAreTaken) {
  for (const __u32 buckets : {0U, 1U, 2U}) {
    SCOPED_TRACE(buckets);
    Size(buckets, 3);
    const __u32 rows = daxfs_index_rows(&index);
    for (__u32 i = 0; i < rows; ++i) Insert(Key(i), daxfs_reference(i % 8, 1));
    EXPECT_EQ(daxfs_load(&used), 3U);
    for (__u32 i = 0; i < rows; ++i) EXPECT_EQ(FoundRow(Key(i)), static_cast<int>(i % 8));
    daxfs_alias alias = {};
    const daxfs_key key = Key(100);
    EXPECT_EQ(daxfs_index_insert(&pool, &index, 0, &key, 1, nullptr, &alias), -ENOSPC);
    EndLife(2);
    EXPECT_EQ(FoundRow(Key(2)), -1);
    alias = Insert(key, daxfs_reference(4, 1));
    EXPECT_EQ(FoundRow(key), 4);
    EXPECT_EQ(daxfs_index_remove(&index, &alias), 0);
    EXPECT_EQ(Insert(Key(101), daxfs_reference(5, 1)).position, alias.position);
  }
}

TEST_F(Index, DamageIsNeitherFoundNorTaken) {
  daxfs_alias alias = {};
  const daxfs_key key = Key(1);
  for (__u32 i = 0; i < 10; ++i) alias = Insert(key, daxfs_reference(0, 1));
  const std::pair<__u64, int> kTargets[] = {{daxfs_reference(8, 1), -ENOSPC},  // beyond the table
                                            {daxfs_reference(DAXFS_ROW_MAX, 1), -ENOSPC},
                                            {1ULL << 24, -ENOSPC},  // no row, but a generation
                                            {daxfs_reference(0, 1), -ENOSPC},  // alive
                                            {0, 0},                            // none at all
                                            {daxfs_reference(0, 2), 0}};       // another life
  for (const auto& [target, taken] : kTargets) {
    daxfs_store(&bodies[alias.position * DAXFS_NAME_WORDS + DAXFS_BODY_TARGET], target);
    daxfs_alias found = {}, other = {};
    EXPECT_EQ(Find(key, &found, alias.position), target == daxfs_reference(0, 1) ? 0 : -ENOENT);
    EXPECT_EQ(daxfs_index_insert(&pool, &index, 0, &key, daxfs_reference(0, 1), nullptr, &other),
              taken)
        << std::hex << target;
  }
  daxfs_store(&used, ~0ULL);  // the mark: no row behind the table is read
  EXPECT_EQ(FoundRow(Key(2)), -1);
  EXPECT_EQ(daxfs_index_insert(&pool, &index, 0, &key, 1, nullptr, &alias), -ENOSPC);
  for (const __u64 word : {5ULL, 15ULL, 0xfffffff5ULL, 0xfffffffffffffff3ULL}) {
    daxfs_store(&words[0], word);  // states and fields nobody writes
    EXPECT_EQ(FoundRow(Key(2)), -1);
    EXPECT_EQ(daxfs_index_insert(&pool, &index, 0, &key, 1, nullptr, &alias), -ENOSPC);
  }
}

TEST_F(Index, AFlipChangesTheTargetAndTheWord) {
  daxfs_alias alias = Insert(Key(3), daxfs_reference(1, 1));
  daxfs_alias before = alias;
  EXPECT_EQ(daxfs_index_flip(&index, 1, &alias, daxfs_reference(2, 1)), 0);
  EXPECT_EQ(FoundRow(Key(3)), 2);
  EXPECT_EQ(alias.target, daxfs_reference(2, 1));
  EXPECT_EQ(daxfs_load(&words[alias.position]), alias.word);
  EXPECT_EQ(daxfs_index_flip(&index, 1, &before, daxfs_reference(4, 1)), -ESTALE);
  daxfs_alias wrong = alias;
  wrong.target = daxfs_reference(7, 1);
  EXPECT_EQ(daxfs_index_flip(&index, 1, &wrong, daxfs_reference(4, 1)), -ESTALE);
  EXPECT_EQ(FoundRow(Key(3)), 2);
  ASSERT_EQ(Find(Key(3), &alias), 0);
  before = alias;
  daxfs_store(&words[alias.position], daxfs_word_make(DAXFS_ALIAS_MOVING, 1, 40));
  EXPECT_EQ(daxfs_index_flip(&index, 0, &before, daxfs_reference(4, 1)), -EBUSY);
  EXPECT_EQ(FoundRow(Key(3)), 2) << "what moves is found";
  ASSERT_EQ(Find(Key(3), &alias), 0);
  EXPECT_EQ(daxfs_index_flip(&index, 0, &alias, daxfs_reference(4, 1)), -EBUSY);
  EXPECT_EQ(daxfs_index_remove(&index, &alias), -ESTALE) << "it is its mover's";
}

// Of a row with the same key that was there before: what a unique insert makes of it.
TEST_F(Index, AUniqueKeyHasOneRow) {
  struct Case {
    const char* name;
    std::function<void(Index_AUniqueKeyHasOneRow_Test&)> before;
    int force, result;
  };
  const auto word = [](__u32 position, __u32 state, __u32 slot) {
    return [=](Index_AUniqueKeyHasOneRow_Test& test) {
      test.Insert(Key(1), daxfs_reference(0, 1));
      for (__u32 i = 1; i <= position; ++i) test.Insert(Key(1), daxfs_reference(0, 1));
      for (__u32 i = 0; i < position; ++i)
        daxfs_store(&test.words[i], daxfs_word_make(DAXFS_ALIAS_FREE, 0, 9));
      daxfs_store(&test.words[position], daxfs_word_make(state, slot, 9));
    };
  };
  const __u32 tag = 1;  // of Key(1)
  const Case kCases[] = {
      {"none", [](auto&) {}, 0, 0},
      {"committed", word(0, DAXFS_ALIAS_COMMITTED, tag), 0, -EEXIST},
      {"committed, force", word(0, DAXFS_ALIAS_COMMITTED, tag), 1, -EEXIST},
      {"moving", word(0, DAXFS_ALIAS_MOVING, 1), 1, -EEXIST},
      {"tentative before", word(0, DAXFS_ALIAS_TENTATIVE, 1), 0, -EAGAIN},
      {"tentative before, force", word(0, DAXFS_ALIAS_TENTATIVE, 1), 1, 0},
      {"tentative behind", word(3, DAXFS_ALIAS_TENTATIVE, 1), 0, 0},
      {"claimed", word(0, DAXFS_ALIAS_CLAIMED, 1), 0, 0},
      {"committed to what is gone",
       [&](auto& test) {
         word(0, DAXFS_ALIAS_COMMITTED, tag)(test);
         test.EndLife(0);
       },
       0, 0},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    Size(0, 5);  // rows are taken in order
    c.before(*this);
    const daxfs_key key = Key(1);
    daxfs_alias alias = {};
    EXPECT_EQ(daxfs_index_insert_unique(&pool, &index, 0, &key, daxfs_reference(5, 1), nullptr,
                                        c.force, &alias),
              c.result);
    int committed = 0, left_over = 0;
    for (__u32 i = 0; i < daxfs_index_rows(&index); ++i) {
      committed += State(i) == DAXFS_ALIAS_COMMITTED || State(i) == DAXFS_ALIAS_MOVING;
      left_over += (State(i) == DAXFS_ALIAS_CLAIMED || State(i) == DAXFS_ALIAS_TENTATIVE) &&
                   daxfs_word_slot(daxfs_load(&words[i])) == 0;
    }
    EXPECT_EQ(committed, c.result == -EAGAIN ? 0 : 1);
    EXPECT_EQ(left_over, 0);
    EXPECT_EQ(FoundRow(key), c.result == 0 ? 5 : c.result == -EEXIST ? 0 : -1);
    EXPECT_TRUE(c.result != -EEXIST || alias.target == daxfs_reference(0, 1));
  }
}

TEST_F(Index, ASweepFreesTheClaimedAndKeepsTheMoving) {
  Size(0, 10);
  const daxfs_alias moving = Insert(Key(1), daxfs_reference(1, 1));
  const __u32 kStates[] = {DAXFS_ALIAS_CLAIMED, DAXFS_ALIAS_TENTATIVE};
  for (const __u32 slot : {0U, 1U})
    for (const __u32 state : kStates)
      daxfs_store(&words[1 + slot * 2 + state - 1], daxfs_word_make(state, slot, 4));
  daxfs_store(&words[moving.position], daxfs_word_make(DAXFS_ALIAS_MOVING, 1, 4));
  Insert(Key(0x10001), daxfs_reference(2, 1));  // committed, its tag is the dead one's number
  daxfs_index_sweep(&index, 1);
  EXPECT_EQ(FoundRow(Key(1)), 1);
  EXPECT_EQ(FoundRow(Key(0x10001)), 2);
  const __u32 kExpected[] = {DAXFS_ALIAS_COMMITTED, DAXFS_ALIAS_CLAIMED, DAXFS_ALIAS_TENTATIVE,
                             DAXFS_ALIAS_FREE, DAXFS_ALIAS_FREE};
  for (__u32 i = 0; i < 5; ++i) EXPECT_EQ(State(i), kExpected[i]) << i;
  EXPECT_EQ(Sequence(3), 5U);
}

TEST_F(Index, AnObjectIsFoundReadyWithAUse) {
  Size(0, 10);  // rows are taken, and so found, in order
  const daxfs_key key = Key(8);
  daxfs_alias alias = {};
  int had = 0;
  EXPECT_EQ(daxfs_object_find(&pool, 1, &pool, &index, &key, &alias, &had), -ENOENT);
  for (const __u32 row : {2U, 3U, 4U, 5U}) Insert(key, daxfs_reference(row, 1));
  EndLife(2);
  daxfs_store(&row_words[3], daxfs_word_make(DAXFS_ROW_BUILDING, 0, 1));
  daxfs_store(&row_words[4], daxfs_word_make(DAXFS_ROW_DYING, 0, 1));
  EXPECT_EQ(daxfs_object_find(&pool, 1, &pool, &index, &key, &alias, &had), 0);
  EXPECT_EQ(alias.target, daxfs_reference(4, 1));
  EXPECT_EQ(had, 0);
  EXPECT_EQ(daxfs_load(&uses[1]), 1U << 4);
  EXPECT_EQ(daxfs_load(&row_words[4]), daxfs_word_make(DAXFS_ROW_READY, 0, 1)) << "rescued";
  EXPECT_EQ(daxfs_object_find(&pool, 1, &pool, &index, &key, &alias, &had), 0);
  EXPECT_EQ(had, 1);
  daxfs_use_drop(&pool, 1, 4);
  EndLife(4);
  EndLife(5);
  EXPECT_EQ(daxfs_object_find(&pool, 1, &pool, &index, &key, &alias, &had), -ENOENT);
  EXPECT_EQ(daxfs_load(&uses[1]), 0U);
}

TEST_F(Index, ABuilderAdoptsWhatIsReadyAndPublishesElse) {
  const daxfs_key key = Key(8);
  daxfs_alias alias = {};
  int had = 0;
  const auto end_build = [&](__u32 row) {
    daxfs_store(&row_words[row], daxfs_word_make(DAXFS_ROW_BUILDING, 1, 5));
    return daxfs_row_publish_or_adopt(&pool, &index, 1, row, 5, &key, &alias, &had);
  };
  EXPECT_EQ(end_build(0), 0);
  EXPECT_EQ(daxfs_load(&uses[1]), 1U);
  Insert(key, daxfs_reference(0, 5));
  Insert(key, daxfs_reference(1, 5));
  EXPECT_EQ(end_build(1), -EEXIST);
  EXPECT_EQ(alias.target, daxfs_reference(0, 5));
  EXPECT_EQ(had, 1);
  EXPECT_EQ(daxfs_load(&row_words[1]), daxfs_word_make(DAXFS_ROW_FREE, 0, 6));
  daxfs_use_drop(&pool, 1, 0);
  EXPECT_EQ(end_build(2), -EEXIST);
  EXPECT_EQ(had, 0);
  EXPECT_EQ(daxfs_load(&uses[1]), 1U) << "with a use of it";
  daxfs_use_drop(&pool, 1, 0);
  daxfs_store(&row_words[3], daxfs_word_make(DAXFS_ROW_FREE, 0, 6));  // swept meanwhile
  EXPECT_EQ(daxfs_row_publish_or_adopt(&pool, &index, 1, 3, 5, &key, &alias, &had), -ESTALE);
  EXPECT_EQ(daxfs_load(&uses[1]), 0U);
}

// Two chunks that may be split, over the same eight rows.
class Granules : public Index {
 protected:
  Granules() {
    pool.owners = owners.data();
    pool.granules = granules.data();
    pool.owner_count = 2;
    pool.granule_count = 2 * DAXFS_CHUNK_GRANULES;
    daxfs_store(&row_words[0], daxfs_word_make(DAXFS_ROW_BUILDING, 0, 1));
  }
  std::array<daxfs_word, 2> owners = {};
  std::array<daxfs_word, 2 * DAXFS_CHUNK_GRANULES> granules = {};
};

TEST_F(Granules, AChunkIsSplitTakenInPartsAndMerged) {
  EXPECT_EQ(daxfs_chunk_merge(&pool, 1, 1), -ENOENT);
  EXPECT_EQ(daxfs_granules_take(&pool, 32, 1, 0, 1), -EBUSY) << "not split";
  EXPECT_EQ(daxfs_chunk_split(&pool, 1), 0);
  EXPECT_EQ(daxfs_chunk_split(&pool, 1), -EBUSY);
  EXPECT_EQ(daxfs_chunk_take(&pool, 1, 0, 1), -EBUSY);
  EXPECT_EQ(daxfs_granules_take(&pool, 60, 5, 0, 1), -EINVAL) << "beyond the chunk";
  EXPECT_EQ(daxfs_granules_take(&pool, 60, 4, 0, 1), 0);
  EXPECT_EQ(daxfs_granules_take(&pool, 57, 5, 0, 1), -EBUSY);
  EXPECT_EQ(daxfs_load(&granules[57]), 0U) << "all or none";
  EXPECT_EQ(daxfs_load(&granules[60]), daxfs_reference(0, 1));
  EXPECT_EQ(daxfs_chunk_merge(&pool, 1, 1), -EBUSY);
  EXPECT_EQ(daxfs_load(&owners[1]), DAXFS_OWNER_SPLIT);
  EXPECT_EQ(daxfs_row_abandon(&pool, 0, 0, 1), 0);
  EXPECT_EQ(daxfs_load(&granules[60]), 0U) << "reclaimed with the row";
  daxfs_store(&granules[40], daxfs_reference(0, 1));  // an orphan
  EXPECT_EQ(daxfs_chunk_merge(&pool, 1, 1), 0);
  EXPECT_EQ(daxfs_load(&owners[1]), 0U);
  EXPECT_EQ(daxfs_load(&granules[40]), 0U);
}

TEST_F(Granules, ADeadMergerLeavesASplitChunk) {
  daxfs_store(&owners[0], daxfs_owner_merging(0));
  daxfs_store(&owners[1], daxfs_owner_merging(1));
  EXPECT_TRUE(daxfs_owner_is_split(daxfs_load(&owners[1])));
  EXPECT_FALSE(daxfs_owner_is_split(daxfs_reference(0, 2)));
  EXPECT_EQ(daxfs_granules_take(&pool, 0, 1, 0, 1), -EBUSY);
  daxfs_store(&slots[1], daxfs_word_make(DAXFS_SLOT_DEAD, 0, 0));
  EXPECT_EQ(daxfs_sweep(&pool, 0, 1), 0);
  EXPECT_EQ(daxfs_load(&owners[0]), daxfs_owner_merging(0));
  EXPECT_EQ(daxfs_load(&owners[1]), DAXFS_OWNER_SPLIT);
}

}  // namespace
