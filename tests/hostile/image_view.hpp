// SPDX-License-Identifier: Apache-2.0
// Where things lie in bytes that claim to be an image. Nothing is believed: every range is cut to
// the bytes there are. This shares format.h with core and none of its code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "daxfs/format.h"

namespace daxfs::hostile {

using Bytes = std::vector<uint8_t>;

struct Range {
  size_t offset = 0;
  size_t size = 0;
};

// A field of a record, from format.h.
struct Field {
  const char* name;
  size_t offset;
  size_t size;
};

enum class Record { kSuper, kSection, kInode, kDirent, kExtent, kXattr };

std::span<const Field> FieldsOf(Record record);

uint64_t Load(const Bytes& bytes, size_t offset, size_t size);
void Store(Bytes& bytes, size_t offset, size_t size, uint64_t value);

// Of a superblock, the numbers that say where things are.
struct Layout {
  struct Section {
    uint64_t offset = 0, size = 0, count = 0;
  };
  uint64_t image_size = 0, data_offset = 0, data_size = 0, meta_offset = 0, meta_size = 0;
  Section section[DAXFS_SECTION_COUNT];
};

// The layout as it stands; zeros where the bytes end before it does.
Layout LayoutOf(const Bytes& bytes);
void SetLayout(Bytes& bytes, const Layout& layout);

// Section `section`, or the data area if that is negative, cut to the bytes there are.
Range RangeOf(const Bytes& bytes, int section);

// The offsets of all records of a kind. Xattr headers are found by stepping over the section.
std::vector<size_t> RecordsOf(const Bytes& bytes, Record record);

// The size of one record in bytes; of xattrs, the header's.
size_t SizeOf(Record record);

enum class Seal { kNone, kChecksum, kRoot };

// Makes the checksum good again (kChecksum), or first the digests of the data area, the root and
// the UUID too (kRoot), as far as the bytes say where they are. The magic becomes whole.
void Reseal(Bytes& bytes, Seal seal);

}  // namespace daxfs::hostile
