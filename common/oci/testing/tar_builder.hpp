// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace daxfs::oci::testing {

// One tar header as its writer wants it, sane or not.
struct TarSpec {
  char type = '0';
  std::string name;
  std::string data;
  std::string link;
  std::uint32_t mode = 0644;
  std::uint64_t uid = 0;
  std::uint64_t gid = 0;
  std::int64_t mtime = 0;
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::string magic = std::string("ustar\0", 6) + "00";  // empty: a V7 header
  std::vector<std::pair<std::size_t, std::string>> raw;  // bytes of the header by their offset
  std::string extension;                                 // whole blocks between header and data
};

// A header with the attributes that profiles treat differently.
TarSpec Owned(char type, const std::string& name, std::uint32_t mode, std::uint64_t uid,
              std::int64_t mtime);

// Writes tars header by header, without libarchive, so that every trap can be laid.
class TarBuilder {
 public:
  TarBuilder& Add(const TarSpec& spec);
  TarBuilder& File(const std::string& name, const std::string& data);
  TarBuilder& Directory(const std::string& name, std::uint32_t mode = 0755);
  TarBuilder& Symlink(const std::string& name, const std::string& target);
  TarBuilder& HardLink(const std::string& name, const std::string& target);
  // An extended header for the next entry; type 'x', or 'g' for a global one.
  TarBuilder& Pax(const std::vector<std::pair<std::string, std::string>>& records, char type = 'x');
  // GNU long name ('L') or long link ('K').
  TarBuilder& GnuLong(char type, const std::string& text);
  TarBuilder& Raw(std::string_view bytes);
  // The tar with its two closing blocks.
  std::string Finish() const { return bytes_ + std::string(1024, '\0'); }
  // Without them.
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// `text` as one gzip member.
std::string Gzip(std::string_view text);
// The same with an extra field, a name and a comment in its header, as eStargz and others write it.
std::string GzipWithExtra(std::string_view text);
// `text` as one zstd frame.
std::string Zstd(std::string_view text);
// A skippable zstd frame.
std::string ZstdSkippable(std::string_view text);

}  // namespace daxfs::oci::testing
