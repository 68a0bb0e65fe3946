// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// A small image made by hand, record by record, so that a test can spoil any one of them. It owes
// nothing to the converter: the writer is never the only judge of the reader.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "encode.h"

namespace daxfs::core_testing {

// The parts of an image before they are bytes. Build() puts them together.
struct TinyImage {
  struct Entry {
    std::string name;
    uint32_t type;
    uint64_t ino;
    uint32_t hash;
  };
  struct Extent {
    uint64_t logical, offset, length;
  };

  std::vector<daxfs_attr> inodes;  // inodes[i] has number i + 1
  std::vector<Entry> entries;      // runs of directories, in the order of the section
  std::vector<Extent> extents;
  std::string names;  // symlink targets; names of entries are appended by Build()
  std::vector<uint8_t> xattrs;
  std::vector<uint8_t> data;                    // the data area, multiple of 4096 bytes
  std::function<void(daxfs_info&)> spoil_info;  // before the superblock is encoded
  std::function<void(std::vector<uint8_t>&)>
      spoil_bytes;  // of the whole image; the CRC is made afterwards
  std::function<void(std::vector<uint8_t>&)> spoil_sealed;  // of the whole image, after the CRC

  // Root with one of everything: file of two extents and a hole, empty file, symlink, directory
  // with a file of two names, device, whiteout, FIFO, socket; xattrs; a HUGE file would be too
  // large.
  static TinyImage OneOfEverything();

  // Entry with the right hash.
  static Entry Named(const std::string& name, uint32_t type, uint64_t ino);

  // The image's bytes. Digests and root are zero: core does not compute SHA-256.
  std::vector<uint8_t> Build() const;
};

}  // namespace daxfs::core_testing
