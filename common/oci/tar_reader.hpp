// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/byte_reader.hpp"
#include "common/oci/tar_header.hpp"

struct archive;
struct archive_entry;

namespace daxfs::oci {

enum class TarType { kFile, kHardLink, kSymlink, kCharacter, kBlock, kDirectory, kFifo };

// One entry of a tar, its names and values as bytes, nothing cleaned or resolved.
struct TarEntry {
  TarType type = TarType::kFile;
  std::string name;
  std::string link_name;          // hard and symbolic links
  std::uint32_t permissions = 0;  // the lower 12 bits of the mode
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  std::int64_t mtime_seconds = 0;
  std::uint32_t mtime_nanoseconds = 0;
  std::uint64_t size_bytes = 0;                             // files
  std::vector<std::pair<std::string, std::string>> xattrs;  // from SCHILY.xattr.* records
  std::vector<std::pair<std::string, std::string>> extras;  // PAX records of IsExtraRecord
  // A typeflag on the way to this entry that is a file or a label to GNU tar and unknown to
  // containerd; '\0': none.
  char foreign_type = '\0';
  // The device number is from PAX records that containerd passes over, or there are such records.
  bool device_records = false;
  bool global = false;  // a global header says something of the entries behind it
};

// A part of a file: `zeros` zeros (a hole of a sparse file), then `bytes`. Both empty at the end of
// the file.
struct TarData {
  std::uint64_t zeros = 0;
  std::span<const std::byte> bytes;

  bool empty() const { return zeros == 0 && bytes.empty(); }
};

// The entries of a tar stream as Go's archive/tar reports them to containerd. Framing, checksums,
// numbers and GNU long names are libarchive's; types, PAX names and extended attributes come from
// the raw headers, because libarchive converts character sets and takes unknown types for files.
// Global PAX headers are ignored.
class TarReader {
 public:
  // Borrows `source`.
  static Result<std::unique_ptr<TarReader>> Open(ChunkSource& source);
  ~TarReader();

  // The next entry, or false at the end of the archive. Data of the one before is skipped.
  // Errors: kDataLoss for a damaged or truncated tar; kInvalidArgument for values out of range or
  // types nobody knows; the source's.
  Result<bool> Next(TarEntry* entry);
  // Where the data of the current entry begins in the stream, for an entry without holes.
  std::uint64_t data_offset() const;
  // More data of the current file, empty at its end; valid until the next call.
  Result<TarData> ReadData();

 private:
  struct FreeArchive {
    void operator()(archive* a) const;
  };
  explicit TarReader(ChunkSource& source);
  static long Pull(archive* a, void* self, const void** buffer);
  Status ArchiveError(const char* what);
  Status SkipData();
  Status CheckEnd();
  Result<RawHeader> CurrentHeader();
  Status TakeMap(archive_entry* from, const RawHeader& raw);
  Status CheckSparse() const;
  Status Fill(archive_entry* from, RawHeader raw, TarEntry* entry);

  ChunkSource& source_;
  std::unique_ptr<archive, FreeArchive> archive_;
  std::span<const std::byte> chunk_;  // what libarchive reads now
  std::uint64_t chunk_offset_ = 0;    // of chunk_ in the stream
  bool in_header_ = false;            // chunks that pass are kept for the raw headers
  std::uint64_t keep_from_ = 0;       // stream offset where they may begin
  std::vector<std::byte> kept_;       // bytes before chunk_, from kept_offset_ on
  std::uint64_t kept_offset_ = 0;
  Status source_status_;  // why Pull failed
  bool empty_ = false;    // a stream of no bytes is an archive of no entries
  bool has_data_ = false;
  bool global_ = false;
  std::uint64_t data_done_ = 0;
  std::uint64_t data_size_ = 0;
  // Of a sparse file: what its body has besides the map, what the map says, what was read.
  bool sparse_ = false;
  std::uint64_t sparse_stored_ = 0;
  std::uint64_t sparse_mapped_ = 0;
  std::uint64_t sparse_read_ = 0;
};

}  // namespace daxfs::oci
