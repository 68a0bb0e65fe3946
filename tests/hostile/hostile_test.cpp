// SPDX-License-Identifier: Apache-2.0
// The mutator repeats itself, seals what it says it seals, and its seeds are good images.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>

#include "core.h"
#include "mutator.hpp"
#include "testing/walk.hpp"

namespace daxfs::hostile {
namespace {

using core_testing::Level;

core_testing::WalkResult WalkBytes(const Bytes& bytes) {
  return core_testing::Walk(bytes.data(), bytes.size(), 1000, 1 << 20);
}

TEST(HostileSeeds, AreWalkedWhole) {
  for (const SeedImage& image : HandMade()) {
    const auto result = WalkBytes(image.bytes);
    EXPECT_EQ(result.violation, "") << image.name;
    EXPECT_EQ(result.refused, Level::kNone) << image.name << ": " << result.why;
    EXPECT_GT(result.inodes, 1u) << image.name;
  }
}

TEST(HostileMutator, RepeatsItself) {
  const Mutator one(HandMade(), 7), same(HandMade(), 7), other(HandMade(), 8);
  int different = 0;
  for (const uint64_t index : {0U, 1U, 500U, 99999U}) {
    const Mutated made = one.Make(index), again = same.Make(index);
    EXPECT_EQ(made.bytes, again.bytes);
    EXPECT_EQ(made.story, again.story);
    EXPECT_NE(made.story, "");
    different += made.bytes != other.Make(index).bytes ? 1 : 0;
  }
  EXPECT_GT(different, 0);
}

// Every kind of mutation happens, on every kind of record, and every level refuses something.
TEST(HostileMutator, ReachesEverything) {
  const Mutator mutator(HandMade(), 1);
  std::map<std::string, int> told;
  std::map<Level, int> refused;
  for (uint64_t index = 0; index < 4000; ++index) {
    const Mutated made = mutator.Make(index);
    for (const char* word : {"bit at", "bytes at", "swapped", "copied", " of everything at",
                             "cut or grown", "moved by", "names mended", "image_size",
                             "xattr_start", "name_length", "logical", "value_length"})
      told[word] += made.story.find(word) != std::string::npos ? 1 : 0;
    const auto result = WalkBytes(made.bytes);
    EXPECT_EQ(result.violation, "") << index << ": " << made.story;
    ++refused[result.refused];
  }
  for (const auto& [word, times] : told) EXPECT_GT(times, 0) << word;
  for (const Level level : {Level::kSuperblock, Level::kSections, Level::kInode, Level::kDirent,
                            Level::kSymlink, Level::kExtent, Level::kXattr, Level::kNone})
    EXPECT_GT(refused[level], 5) << core_testing::NameOf(level);
}

TEST(HostileSeal, OpensWhatWasChanged) {
  const SeedImage image = HandMade()[0];
  daxfs_image opened;
  const char* why = "";
  Bytes bytes = image.bytes;
  Store(bytes, 0x80, 8, 4096);  // waste_size
  EXPECT_EQ(daxfs_image_open(&opened, bytes.data(), bytes.size(), &why), -EUCLEAN);
  EXPECT_STREQ(why, "superblock checksum");
  Reseal(bytes, Seal::kChecksum);
  EXPECT_EQ(daxfs_image_open(&opened, bytes.data(), bytes.size(), &why), 0) << why;
  EXPECT_EQ(opened.info.waste_size, 4096u);
}

TEST(HostileSeal, RootCoversDataAndMetadata) {
  const SeedImage image = HandMade()[0];
  const auto root_of = [](Bytes bytes) {
    Reseal(bytes, Seal::kRoot);
    return Bytes(bytes.begin() + 0x38, bytes.begin() + 0x58);
  };
  const Bytes root = root_of(image.bytes);
  EXPECT_EQ(root, root_of(image.bytes));
  for (const size_t at : {size_t{0x80}, size_t{4096}, RangeOf(image.bytes, 3).offset}) {
    Bytes changed = image.bytes;
    changed[at] = static_cast<uint8_t>(changed[at] ^ 1U);
    EXPECT_NE(root, root_of(changed)) << at;
  }
}

// Sealing must not itself reach outside, whatever the superblock says (run under the sanitizers).
TEST(HostileSeal, BelievesNothing) {
  for (const uint64_t value : {uint64_t{0}, ~uint64_t{0}, uint64_t{1} << 63U, uint64_t{4095}})
    for (const Field& field : FieldsOf(Record::kSuper)) {
      Bytes bytes = HandMade()[0].bytes;
      Store(bytes, field.offset, field.size, value);
      Reseal(bytes, Seal::kRoot);
      EXPECT_EQ(Load(bytes, 0, 8), DAXFS_IMAGE_MAGIC);
    }
  Bytes cut(100, 0xff);
  Reseal(cut, Seal::kRoot);
  EXPECT_EQ(cut, Bytes(100, 0xff));
}

// A walk while bytes change ends, and says nothing against core.
TEST(HostileWalk, SurvivesAnotherHost) {
  int differently = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Bytes bytes = HandMade()[seed % HandMade().size()].bytes;
    const uint64_t before = WalkBytes(bytes).checksum;
    Random random(seed);
    const auto result = core_testing::Walk(bytes.data(), bytes.size(), 1000, 1 << 20, [&] {
      if (!random.OneIn(8)) return;
      Bytes changed = bytes;
      Mutator::Poke(changed, random);
      std::memcpy(bytes.data(), changed.data(), bytes.size());
    });
    EXPECT_EQ(result.violation, "") << seed;
    differently += result.checksum != before ? 1 : 0;
  }
  EXPECT_GT(differently, 100);
}

}  // namespace
}  // namespace daxfs::hostile
