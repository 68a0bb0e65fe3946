// SPDX-License-Identifier: Apache-2.0
// Spoils images: at random, and where format.h says that a number lies.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "image_view.hpp"

namespace daxfs::hostile {

// Numbers from a seed, the same on every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint64_t Next() { return engine_(); }
  // 0 to `end` - 1; 0 if there is nothing to choose from.
  uint64_t Below(uint64_t end) { return end == 0 ? 0 : Next() % end; }
  bool OneIn(uint64_t count) { return Below(count) == 0; }

 private:
  std::mt19937_64 engine_;
};

struct SeedImage {
  std::string name;
  Bytes bytes;
  uint64_t share = 1000;  // how often it is taken, among images of its size
};

struct Mutated {
  std::string from;   // the seed's name
  std::string story;  // what was done to it, in order
  Bytes bytes;
  Seal seal = Seal::kNone;
  bool live = false;  // its bytes are to change while they are read
};

class Mutator {
 public:
  // `seeds` are not empty; small ones are taken more often than large ones.
  Mutator(std::vector<SeedImage> seeds, uint64_t seed);

  // Input number `index`; the same for the same seeds and seed.
  Mutated Make(uint64_t index) const;

  // Changes one field or a few bytes in place, as another host may while they are read.
  static void Poke(Bytes& bytes, Random& random);

 private:
  const SeedImage& Choose(Random& random) const;

  std::vector<SeedImage> seeds_;
  std::vector<uint64_t> weights_;  // running sums
  uint64_t seed_;
};

// Hand-made images, each with much of one thing: hard cases of directories, extents, xattrs, HUGE.
std::vector<SeedImage> HandMade();

// Every *.daxfs in a folder, in the order of their names; together as often taken as the hand-made.
std::vector<SeedImage> Folder(const std::string& path);

}  // namespace daxfs::hostile
