// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.hpp"
#include "common/convert/dump_data.hpp"
#include "common/convert/image_builder.hpp"

namespace daxfs::convert {

// Fills a buffer with more text as far as there is any: the bytes read, 0 at the end.
using TextReader = std::function<Result<std::size_t>(std::span<std::byte>)>;

// Lines of foreign text. Memory: one line.
class LineReader {
 public:
  explicit LineReader(TextReader read) : read_(std::move(read)) {}
  LineReader(LineReader&&) = default;  // no copies: rest_ points into buffer_
  LineReader& operator=(LineReader&&) = default;

  // The next line without its newline, or false at the end. Errors: the reader's; kInvalidArgument
  // for more than kDumpLineMax bytes and for a last line without a newline.
  Result<bool> Next(std::string* line);
  std::uint64_t number() const { return number_; }

 private:
  TextReader read_;
  std::vector<std::byte> buffer_;
  std::span<const std::byte> rest_;
  std::uint64_t number_ = 0;
};

// A dump (docs/dump.md) becomes an image again. Attributes are taken as they stand there, whatever
// the profile; data is given to the image in the order of the lines, which is the order a directory
// is converted in. Errors name the line and the path.
class DumpSource {
 public:
  // Reads the header. Errors: kInvalidArgument for what is no dump; kUnimplemented for another
  // version; the reader's.
  static Result<DumpSource> Open(TextReader read);

  // The options the dumped image was built with.
  const BuildOptions& options() const { return options_; }
  // The tar it was made of.
  const std::optional<format::SourceInfo>& source() const { return source_; }

  // Adds everything to an empty image. At most once. Errors: kInvalidArgument, kOutOfRange for
  // lines that are wrong; kFailedPrecondition if size or sha256 of a file is not the dump's; those
  // of `data`, of the image and of the monitor.
  Status AddTo(ImageBuilder& image, DumpData& data, Monitor& monitor);

 private:
  explicit DumpSource(LineReader lines) : lines_(std::move(lines)) {}
  Status ReadHeader();
  Status ReadOptions();

  LineReader lines_;
  std::string line_;  // the first behind the header
  BuildOptions options_;
  std::optional<format::SourceInfo> source_;
};

}  // namespace daxfs::convert
