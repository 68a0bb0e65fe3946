// SPDX-License-Identifier: Apache-2.0
#include "mutator.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

#include "core.h"

namespace daxfs::hostile {
namespace {

constexpr uint64_t kSmallBytes = 64 << 10;  // seeds up to this size are taken equally often
constexpr size_t kMostBytes = 4 << 20;      // no mutation grows an image beyond this

// How often each kind of record is aimed at. Most of what the superblock can say is refused at
// once, so it has a small share.
constexpr Record kAims[] = {Record::kSuper,  Record::kSection, Record::kInode,  Record::kInode,
                            Record::kInode,  Record::kInode,   Record::kInode,  Record::kInode,
                            Record::kDirent, Record::kDirent,  Record::kDirent, Record::kDirent,
                            Record::kExtent, Record::kExtent,  Record::kExtent, Record::kExtent,
                            Record::kXattr,  Record::kXattr,   Record::kXattr,  Record::kXattr};

// One image being spoiled.
class Spoiler {
 public:
  Spoiler(Mutated& image, const SeedImage& other, Random& random)
      : bytes_(image.bytes), story_(image.story), other_(other), random_(random) {}

  void Once() {
    switch (random_.Below(16)) {
      case 0:
        return FlipBit();
      case 1:
        return SetBytes();
      case 2:
        return SwapRecords();
      case 3:
        return CopyRecord();
      case 4:
        return Splice();
      case 5:
        return Resize();
      case 6:
        return Relayout();
      case 7:
        return MendNames();
      default:
        return SetField();
    }
  }

  void Poke() { random_.OneIn(4) ? SetBytes() : SetField(); }

 private:
  void Say(const std::string& text) { story_ += (story_.empty() ? "" : "; ") + text; }

  // Anywhere, but three times in four where metadata lies.
  size_t Place() {
    const Layout layout = LayoutOf(bytes_);
    const uint64_t meta = layout.meta_offset;
    if (meta < bytes_.size() && !random_.OneIn(4))
      return meta + random_.Below(bytes_.size() - meta);
    return random_.Below(bytes_.size());
  }

  void FlipBit() {
    const size_t at = Place();
    bytes_[at] = static_cast<uint8_t>(bytes_[at] ^ (1U << random_.Below(8)));
    Say("bit at " + std::to_string(at));
  }

  void SetBytes() {
    const size_t size = size_t{1} << random_.Below(4);
    const size_t at = Place() / size * size;
    Store(bytes_, at, size, random_.Next());
    Say(std::to_string(size) + " bytes at " + std::to_string(at));
  }

  // A value that has broken readers before, or one near a number this image is about.
  uint64_t Interesting(uint64_t old) {
    const Layout layout = LayoutOf(bytes_);
    const auto& section = layout.section[random_.Below(DAXFS_SECTION_COUNT)];
    const std::array<uint64_t, 14> around = {old,
                                             layout.image_size,
                                             layout.data_size,
                                             layout.meta_offset,
                                             layout.meta_size,
                                             section.size,
                                             section.count,
                                             section.offset,
                                             uint64_t{1} << 31U,
                                             uint64_t{1} << 32U,
                                             uint64_t{1} << 63U,
                                             uint64_t{1} << random_.Below(64),
                                             0,
                                             random_.Next()};
    constexpr std::array<uint64_t, 12> kSteps = {0,
                                                 0,
                                                 1,
                                                 ~uint64_t{0},
                                                 7,
                                                 8,
                                                 DAXFS_BLOCK_SIZE,
                                                 ~uint64_t{DAXFS_BLOCK_SIZE - 1},
                                                 DAXFS_CHUNK_SIZE,
                                                 255,
                                                 65536,
                                                 2};
    return around[random_.Below(around.size())] + kSteps[random_.Below(kSteps.size())];
  }

  void SetField() {
    const Record record = kAims[random_.Below(std::size(kAims))];
    const std::vector<size_t> records = RecordsOf(bytes_, record);
    if (records.empty()) return FlipBit();
    const auto fields = FieldsOf(record);
    const Field& field = fields[random_.Below(fields.size())];
    const size_t number = random_.Below(records.size());
    const size_t at = records[number] + field.offset;
    uint64_t value = Interesting(Load(bytes_, at, field.size));
    if (random_.OneIn(4))  // what another record says there
      value = Load(bytes_, records[random_.Below(records.size())] + field.offset, field.size);
    Store(bytes_, at, field.size, value);
    Say(std::string(field.name) + " of record " + std::to_string(number) + " = " +
        std::to_string(value));
  }

  Record AnyRecord() {
    constexpr Record kRecords[] = {Record::kInode, Record::kDirent, Record::kExtent,
                                   Record::kSection};
    return kRecords[random_.Below(std::size(kRecords))];
  }

  void SwapRecords() { TwoRecords(true); }
  void CopyRecord() { TwoRecords(false); }

  void TwoRecords(bool swap) {
    const Record record = AnyRecord();
    const std::vector<size_t> records = RecordsOf(bytes_, record);
    if (records.size() < 2) return SetField();
    uint8_t* from = bytes_.data() + records[random_.Below(records.size())];
    uint8_t* to = bytes_.data() + records[random_.Below(records.size())];
    if (from == to) return SetField();
    if (swap)
      std::swap_ranges(from, from + SizeOf(record), to);
    else
      std::memcpy(to, from, SizeOf(record));
    Say(std::string(swap ? "records swapped" : "record copied") + " at " +
        std::to_string(to - bytes_.data()));
  }

  // A run of another image's bytes.
  void Splice() {
    const size_t most = std::min(other_.bytes.size(), bytes_.size());
    const size_t size = std::min<size_t>(most, size_t{8} << random_.Below(10));
    const size_t to = std::min(Place() / 8 * 8, bytes_.size() - size);
    const size_t from = random_.OneIn(2) ? std::min(to, other_.bytes.size() - size)
                                         : random_.Below((other_.bytes.size() - size) / 8 + 1) * 8;
    std::memcpy(bytes_.data() + to, other_.bytes.data() + from, size);
    Say(std::to_string(size) + " bytes of " + other_.name + " at " + std::to_string(to));
  }

  // Fewer or more bytes than the image says; three times in four whole blocks.
  void Resize() {
    size_t size = bytes_.size();
    if (random_.OneIn(2))
      size = random_.Below(size);
    else
      size = std::min(kMostBytes, size + random_.Below(3 * DAXFS_BLOCK_SIZE));
    if (!random_.OneIn(4)) size = size / DAXFS_BLOCK_SIZE * DAXFS_BLOCK_SIZE;
    bytes_.resize(std::max<size_t>(size, 8));
    Say("cut or grown to " + std::to_string(bytes_.size()));
  }

  // One section, or the data area, gets another size, and all that follows from it is made right,
  // in numbers that may wrap: such a superblock is consistent, and records are read where others
  // lie.
  void Relayout() {
    Layout layout = LayoutOf(bytes_);
    const std::array<uint64_t, 8> records = {sizeof(daxfs_inode),
                                             sizeof(daxfs_dirent),
                                             sizeof(daxfs_extent),
                                             1,
                                             1,
                                             sizeof(daxfs_blob),
                                             DAXFS_DIGEST_SIZE,
                                             1};
    const uint64_t which = random_.Below(DAXFS_SECTION_COUNT + 1);
    uint64_t delta = random_.Below(9) - 4;
    if (which == DAXFS_SECTION_COUNT) {
      layout.data_size += delta * DAXFS_BLOCK_SIZE;
      layout.meta_offset = layout.data_offset + layout.data_size;
    } else {
      auto& section = layout.section[which];
      if (records[which] == 1 && random_.OneIn(2)) delta *= DAXFS_SECTION_ALIGN;
      section.size += delta * records[which];
      section.count = records[which] == 1 ? section.count : section.size / records[which];
    }
    daxfs_info info = {};
    info.data_offset = layout.data_offset;
    info.data_size = layout.data_size;
    layout.section[DAXFS_SECTION_DIGESTS].count = daxfs_piece_count(&info);
    layout.section[DAXFS_SECTION_DIGESTS].size =
        layout.section[DAXFS_SECTION_DIGESTS].count * DAXFS_DIGEST_SIZE;
    Arrange(layout);
    SetLayout(bytes_, layout);
    if (layout.image_size <= kMostBytes && !random_.OneIn(8))
      bytes_.resize(std::max<uint64_t>(layout.image_size, 8));
    Say("section " + std::to_string(which) + " moved by " + std::to_string(delta));
  }

  static void Arrange(Layout& layout) {
    uint64_t next = layout.meta_offset;
    for (int i = 0; i < DAXFS_SECTION_COUNT; ++i) {
      if (i == DAXFS_SECTION_SIGNATURE) layout.meta_size = next - layout.meta_offset;
      layout.section[i].offset = next;
      next = (next + layout.section[i].size + DAXFS_SECTION_ALIGN - 1) &
             ~uint64_t{DAXFS_SECTION_ALIGN - 1};
    }
    layout.image_size = (next + DAXFS_BLOCK_SIZE - 1) & ~uint64_t{DAXFS_BLOCK_SIZE - 1};
  }

  // Every hash made right and every directory put in order, as far as their names can be read: a
  // spoiled name then is no longer refused for its hash.
  void MendNames() {
    const Range names = RangeOf(bytes_, DAXFS_SECTION_NAMES);
    for (const size_t at : RecordsOf(bytes_, Record::kDirent)) {
      const uint64_t name = Load(bytes_, at + offsetof(daxfs_dirent, name), 8);
      const uint64_t length = Load(bytes_, at + offsetof(daxfs_dirent, name_length), 2);
      if (name > names.size || length > names.size - name) continue;
      const char* text = reinterpret_cast<const char*>(bytes_.data()) + names.offset + name;
      Store(bytes_, at + offsetof(daxfs_dirent, hash), 4,
            daxfs_name_hash(text, static_cast<uint32_t>(length)));
    }
    const Range entries = RangeOf(bytes_, DAXFS_SECTION_DIRENTS);
    const uint64_t count = entries.size / sizeof(daxfs_dirent);
    for (const size_t at : RecordsOf(bytes_, Record::kInode)) {
      const uint64_t first = Load(bytes_, at + offsetof(daxfs_inode, data_start), 8);
      const uint64_t length = Load(bytes_, at + offsetof(daxfs_inode, data_count), 8);
      const bool directory = (Load(bytes_, at, 4) & 0170000) == 0040000;
      if (!directory || length == 0 || first > count || length > count - first) continue;
      SortByHash(entries.offset + first * sizeof(daxfs_dirent), length);
    }
    Say("names mended");
  }

  void SortByHash(size_t at, uint64_t count) {
    std::vector<std::array<uint8_t, sizeof(daxfs_dirent)>> run(count);
    std::memcpy(run.data(), bytes_.data() + at, count * sizeof(daxfs_dirent));
    std::stable_sort(run.begin(), run.end(), [](const auto& a, const auto& b) {
      uint32_t left = 0, right = 0;  // the hash is the first field
      std::memcpy(&left, a.data(), sizeof(left));
      std::memcpy(&right, b.data(), sizeof(right));
      return left < right;
    });
    std::memcpy(bytes_.data() + at, run.data(), count * sizeof(daxfs_dirent));
  }

  Bytes& bytes_;
  std::string& story_;
  const SeedImage& other_;
  Random& random_;
};

}  // namespace

Mutator::Mutator(std::vector<SeedImage> seeds, uint64_t seed)
    : seeds_(std::move(seeds)), seed_(seed) {
  uint64_t sum = 0;
  for (const SeedImage& image : seeds_) {
    sum += 1 + image.share * kSmallBytes / std::max<uint64_t>(kSmallBytes, image.bytes.size());
    weights_.push_back(sum);
  }
}

const SeedImage& Mutator::Choose(Random& random) const {
  const uint64_t at = random.Below(weights_.back());
  const auto found = std::upper_bound(weights_.begin(), weights_.end(), at);
  return seeds_[static_cast<size_t>(found - weights_.begin())];
}

Mutated Mutator::Make(uint64_t index) const {
  Random random(seed_ * 0x9e3779b97f4a7c15 + index);
  const SeedImage& from = Choose(random);
  const SeedImage& other = Choose(random);
  Mutated made;
  made.from = from.name;
  made.bytes = from.bytes;
  Spoiler spoiler(made, other, random);
  for (uint64_t left = 1 + random.Below(4); left > 0; --left) spoiler.Once();
  constexpr Seal kSeals[] = {Seal::kNone,     Seal::kChecksum, Seal::kChecksum, Seal::kRoot,
                             Seal::kChecksum, Seal::kRoot,     Seal::kRoot,     Seal::kRoot};
  made.seal = kSeals[random.Below(std::size(kSeals))];
  Reseal(made.bytes, made.seal);
  made.live = random.OneIn(8);
  return made;
}

void Mutator::Poke(Bytes& bytes, Random& random) {
  static const SeedImage kNone;
  Mutated image;
  image.bytes.swap(bytes);
  Spoiler(image, kNone, random).Poke();
  image.bytes.swap(bytes);
}

}  // namespace daxfs::hostile
