// SPDX-License-Identifier: Apache-2.0
#include "common/oci/tar_reader.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cerrno>
#include <limits>

namespace daxfs::oci {
namespace {

constexpr std::uint64_t kKeptMax = std::uint64_t{64} << 20U;
constexpr std::int64_t kIdMax = 0xfffffffe;  // the kernel keeps the last one for "unchanged"
constexpr std::int64_t kDeviceMax = 0xffffffff;

std::string OrEmpty(const char* text) { return text == nullptr ? std::string() : text; }

Result<TarType> TypeOf(char flag, const std::string& name) {
  switch (flag) {
    case '\0':
      return name.ends_with('/') ? TarType::kDirectory : TarType::kFile;
    case '0':
    case '7':  // contiguous
    case 'S':  // old GNU sparse
      return TarType::kFile;
    case '1':
      return TarType::kHardLink;
    case '2':
      return TarType::kSymlink;
    case '3':
      return TarType::kCharacter;
    case '4':
      return TarType::kBlock;
    case '5':
      return TarType::kDirectory;
    case '6':
      return TarType::kFifo;
    default:
      return InvalidArgumentError(name + ": unhandled tar header type " +
                                  std::to_string(static_cast<unsigned char>(flag)));
  }
}

Result<std::uint32_t> InRange(std::int64_t value, std::int64_t max, const char* what) {
  if (value < 0 || value > max) {
    return InvalidArgumentError(std::string(what) + " " + std::to_string(value) +
                                " is out of range");
  }
  return static_cast<std::uint32_t>(value);
}

// containerd's createTarFile knows neither.
char ForeignType(const RawHeader& raw) {
  if (raw.volume_label) return 'V';
  return raw.type == 'S' || raw.type == '7' ? raw.type : '\0';
}

}  // namespace

void TarReader::FreeArchive::operator()(archive* a) const { archive_read_free(a); }

TarReader::TarReader(ChunkSource& source) : source_(source), archive_(archive_read_new()) {
  DAXFS_CHECK(archive_ != nullptr);
}

TarReader::~TarReader() = default;

// libarchive wants more bytes: its own are used up, so what must stay is copied first.
long TarReader::Pull(archive* a, void* self, const void** buffer) {
  auto* reader = static_cast<TarReader*>(self);
  if (reader->in_header_) {
    const std::uint64_t end = reader->chunk_offset_ + reader->chunk_.size();
    const std::uint64_t from = std::max(reader->keep_from_, reader->chunk_offset_);
    if (reader->kept_.empty()) reader->kept_offset_ = from;
    const auto tail = reader->chunk_.subspan(std::min(end, from) - reader->chunk_offset_);
    reader->kept_.insert(reader->kept_.end(), tail.begin(), tail.end());
  }
  reader->chunk_offset_ += reader->chunk_.size();
  reader->chunk_ = {};
  Result<std::span<const std::byte>> next = reader->source_.Next();
  if (next.ok() && reader->kept_.size() > kKeptMax)
    next = InvalidArgumentError("tar headers without end");
  if (!next.ok()) {
    reader->source_status_ = next.status();
    archive_set_error(a, EIO, "%s", next.status().message().c_str());
    return ARCHIVE_FATAL;
  }
  reader->chunk_ = *next;
  *buffer = reader->chunk_.data();
  return static_cast<long>(reader->chunk_.size());
}

Result<std::unique_ptr<TarReader>> TarReader::Open(ChunkSource& source) {
  std::unique_ptr<TarReader> reader(new TarReader(source));
  archive* a = reader->archive_.get();
  DAXFS_CHECK(archive_read_support_format_tar(a) == ARCHIVE_OK);
  reader->in_header_ = true;
  const int result = archive_read_open(a, reader.get(), nullptr, Pull, nullptr);
  const bool nothing = reader->chunk_.empty() && reader->chunk_offset_ == 0;
  reader->empty_ = nothing && reader->source_status_.ok();
  if (result != ARCHIVE_OK && !reader->empty_) return reader->ArchiveError("open");
  return reader;
}

Status TarReader::ArchiveError(const char* what) {
  if (!source_status_.ok()) return source_status_;
  return DataLossError(std::string("tar: ") + what + ": " +
                       OrEmpty(archive_error_string(archive_.get())));
}

Status TarReader::SkipData() {
  while (has_data_) {
    ASSIGN_OR_RETURN(const TarData data, ReadData());
    if (data.empty()) break;
  }
  return Status::Ok();
}

Result<bool> TarReader::Next(TarEntry* entry) {
  if (empty_) return false;
  RETURN_IF_ERROR(SkipData());
  const std::int64_t consumed = archive_filter_bytes(archive_.get(), 0);
  // The first header may have been read while the archive was opened.
  if (consumed > 0) {
    kept_.clear();
    keep_from_ = static_cast<std::uint64_t>(consumed);
  }
  in_header_ = true;
  archive_entry* from = nullptr;
  const int result = archive_read_next_header(archive_.get(), &from);
  in_header_ = false;
  if (result == ARCHIVE_EOF) {
    RETURN_IF_ERROR(CheckEnd());
    return false;
  }
  // A warning is about a character set or an attribute that is taken from the raw header below.
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return ArchiveError("header");
  ASSIGN_OR_RETURN(RawHeader raw, CurrentHeader());
  sparse_ = raw.sparse;
  if (sparse_) RETURN_IF_ERROR(TakeMap(from, raw));
  RETURN_IF_ERROR(Fill(from, std::move(raw), entry));
  has_data_ = true;
  data_done_ = 0;
  data_size_ = entry->size_bytes;
  return true;
}

// Two blocks of zeros end an archive, and so does the end of the stream, behind one of them too.
// One of them and more bytes is damage: Go's reader says so, libarchive ends without a word.
Status TarReader::CheckEnd() {
  const auto marker = static_cast<std::uint64_t>(archive_read_header_position(archive_.get()));
  const auto end = static_cast<std::uint64_t>(archive_filter_bytes(archive_.get(), 0));
  if (end - marker != kTarBlock) return Status::Ok();
  bool more = end < chunk_offset_ + chunk_.size();
  if (!more) {
    ASSIGN_OR_RETURN(const std::span<const std::byte> next, source_.Next());
    more = !next.empty();
  }
  if (more) return DataLossError("tar: a lone block of zeros with more behind it");
  return Status::Ok();
}

// libarchive takes whatever data there is, whatever the map says.
Status TarReader::TakeMap(archive_entry* from, const RawHeader& raw) {
  const auto start = static_cast<std::uint64_t>(archive_read_header_position(archive_.get()));
  // Format 1.0 has the map before the data; old GNU files have theirs in headers.
  const std::uint64_t map = raw.type == 'S' ? 0 : data_offset() - start - raw.header_bytes;
  if (map > raw.body_bytes) return DataLossError("tar: a sparse file's map beyond its end");
  sparse_stored_ = raw.body_bytes - map;
  sparse_read_ = 0;
  sparse_mapped_ = 0;
  if (archive_entry_sparse_reset(from) == 0) {  // all of the file, or nothing; there is no next
    const auto size = static_cast<std::uint64_t>(archive_entry_size(from));
    if (sparse_stored_ > 0 && !raw.no_pieces) sparse_mapped_ = size;
    return Status::Ok();
  }
  la_int64_t offset = 0;
  la_int64_t length = 0;
  while (archive_entry_sparse_next(from, &offset, &length) == ARCHIVE_OK) {
    sparse_mapped_ += static_cast<std::uint64_t>(length);
  }
  return Status::Ok();
}

Status TarReader::CheckSparse() const {
  if (sparse_read_ == sparse_stored_ && sparse_read_ == sparse_mapped_) return Status::Ok();
  return DataLossError("tar: a sparse file's data is not what its map says");
}

std::uint64_t TarReader::data_offset() const {
  return static_cast<std::uint64_t>(archive_filter_bytes(archive_.get(), 0));
}

Result<RawHeader> TarReader::CurrentHeader() {
  const auto start = static_cast<std::uint64_t>(archive_read_header_position(archive_.get()));
  std::vector<std::byte> joined;
  return ReadRawHeader([&](std::uint64_t relative,
                           std::size_t length) -> std::span<const std::byte> {
    const std::uint64_t offset = start + relative;
    if (offset >= chunk_offset_) {
      const std::uint64_t at = offset - chunk_offset_;
      if (at > chunk_.size() || length > chunk_.size() - at) return {};
      return chunk_.subspan(at, length);
    }
    if (offset < kept_offset_ || offset - kept_offset_ > kept_.size()) return {};
    const auto kept = std::span(kept_).subspan(offset - kept_offset_);
    if (kept.size() >= length) return kept.first(length);
    joined.assign(kept.begin(), kept.end());
    const std::size_t rest = length - kept.size();
    if (rest > chunk_.size()) return {};
    joined.insert(joined.end(), chunk_.begin(), chunk_.begin() + static_cast<std::ptrdiff_t>(rest));
    return joined;
  });
}

Status TarReader::Fill(archive_entry* from, RawHeader raw, TarEntry* entry) {
  entry->name = raw.path.empty() ? OrEmpty(archive_entry_pathname(from)) : raw.path;
  ASSIGN_OR_RETURN(entry->type, TypeOf(raw.type, entry->name));
  entry->link_name.clear();
  if (entry->type == TarType::kHardLink || entry->type == TarType::kSymlink) {
    const char* link = entry->type == TarType::kSymlink ? archive_entry_symlink(from)
                                                        : archive_entry_hardlink(from);
    entry->link_name = raw.link_path.empty() ? OrEmpty(link) : raw.link_path;
  }
  entry->permissions = raw.permissions;
  ASSIGN_OR_RETURN(
      entry->uid,
      InRange(raw.uid.value_or(archive_entry_uid(from)), kIdMax, "uid").WithContext(entry->name));
  ASSIGN_OR_RETURN(
      entry->gid,
      InRange(raw.gid.value_or(archive_entry_gid(from)), kIdMax, "gid").WithContext(entry->name));
  entry->device_major = 0;
  entry->device_minor = 0;
  if (entry->type == TarType::kCharacter || entry->type == TarType::kBlock) {
    ASSIGN_OR_RETURN(entry->device_major,
                     InRange(static_cast<std::int64_t>(archive_entry_rdevmajor(from)), kDeviceMax,
                             "device major number"));
    ASSIGN_OR_RETURN(entry->device_minor,
                     InRange(static_cast<std::int64_t>(archive_entry_rdevminor(from)), kDeviceMax,
                             "device minor number"));
  }
  const TarTime mtime = raw.mtime.value_or(TarTime{archive_entry_mtime(from), 0});
  entry->mtime_seconds = mtime.seconds;
  entry->mtime_nanoseconds = mtime.nanoseconds;
  entry->size_bytes = 0;
  if (entry->type == TarType::kFile) {
    const std::int64_t size = archive_entry_size(from);
    if (size < 0) return InvalidArgumentError(entry->name + ": negative size");
    entry->size_bytes = static_cast<std::uint64_t>(size);
  }
  entry->foreign_type = ForeignType(raw);
  entry->device_records = raw.device_records;
  global_ = global_ || raw.global;
  entry->global = global_;
  entry->xattrs = std::move(raw.xattrs);
  entry->extras = std::move(raw.extras);
  return Status::Ok();
}

Result<TarData> TarReader::ReadData() {
  const void* bytes = nullptr;
  std::size_t size = 0;
  la_int64_t offset = 0;
  const int result = archive_read_data_block(archive_.get(), &bytes, &size, &offset);
  if (result != ARCHIVE_OK && result != ARCHIVE_EOF) return ArchiveError("data");
  TarData data;
  if (result == ARCHIVE_EOF) {
    has_data_ = false;
    if (sparse_) RETURN_IF_ERROR(CheckSparse());
    // A sparse file may end in a hole.
    if (data_done_ < data_size_) data.zeros = data_size_ - data_done_;
    data_done_ = data_size_;
    return data;
  }
  const auto start = static_cast<std::uint64_t>(offset);
  if (offset < 0 || start < data_done_) return DataLossError("tar: data out of order");
  data.zeros = start - data_done_;
  data.bytes = std::span(static_cast<const std::byte*>(bytes), size);
  data_done_ = start + size;
  sparse_read_ += size;
  return data;
}

}  // namespace daxfs::oci
