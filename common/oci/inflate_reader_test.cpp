// SPDX-License-Identifier: Apache-2.0
#include "common/oci/inflate_reader.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <random>
#include <thread>
#include <utility>

#include "common/oci/read_ahead.hpp"
#include "common/oci/testing/tar_builder.hpp"
#include "common/oci/testing/text_source.hpp"

namespace daxfs::oci {
namespace {

using testing::Gzip;
using testing::TextReader;

Result<std::string> ReadAll(ByteReader& reader, std::size_t step) {
  std::string text;
  std::vector<std::byte> buffer(step);
  for (;;) {
    ASSIGN_OR_RETURN(const std::size_t n, reader.Read(buffer));
    if (n == 0) return text;
    text.append(reinterpret_cast<const char*>(buffer.data()), n);
  }
}

Result<std::string> Inflate(const std::string& bytes, std::size_t in_step, std::size_t out_step) {
  TextReader source(bytes, in_step);
  InflateReader reader(source);
  return ReadAll(reader, out_step);
}

std::string Sample(std::size_t size) {
  std::mt19937 random(1);
  std::string text;
  while (text.size() < size) text += std::to_string(random() % 5000) + "\n";
  text.resize(size);
  return text;
}

TEST(InflateReaderTest, PlainAndGzipInEveryStep) {
  const std::string text = Sample(70000);
  const std::string members = Gzip(text.substr(0, 1000)) + Gzip("") + Gzip(text.substr(1000));
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{3}, std::size_t{509}, std::size_t{1} << 20U}) {
    for (const std::string& bytes :
         {text, Gzip(text), members, members + std::string(1000, '\0'), Gzip(text) + '\0'}) {
      const Result<std::string> out = Inflate(bytes, step, step == 1 ? 7 : step);
      ASSERT_TRUE(out.ok()) << out.status().message() << " step " << step;
      EXPECT_EQ(*out, text);
    }
  }
}

TEST(InflateReaderTest, ShortStreams) {
  EXPECT_EQ(*Inflate("", 10, 10), "");
  EXPECT_EQ(*Inflate("a", 10, 10), "a");
  EXPECT_EQ(*Inflate("\x1f\x8b", 10, 10), "\x1f\x8b");
  EXPECT_EQ(*Inflate(Gzip(""), 10, 10), "");
}

// Cut anywhere, the stream fails; it never ends early with success.
TEST(InflateReaderTest, TruncatedAnywhereFails) {
  const std::string whole = Gzip(Sample(300)) + Gzip(Sample(100));
  const std::size_t first = Gzip(Sample(300)).size();
  for (std::size_t n = 3; n < whole.size(); ++n) {
    if (n == first) continue;  // a stream of one member is whole
    const Result<std::string> out = Inflate(whole.substr(0, n), 64, 64);
    EXPECT_EQ(out.status().code(), StatusCode::kDataLoss) << n;
  }
}

TEST(InflateReaderTest, DamageAndForeignBytesFail) {
  std::string damaged = Gzip(Sample(5000));
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 0x40);
  EXPECT_EQ(Inflate(damaged, 4096, 4096).status().code(), StatusCode::kDataLoss);
  std::string checksum = Gzip(Sample(50));
  checksum[checksum.size() - 6] = static_cast<char>(checksum[checksum.size() - 6] ^ 1);
  EXPECT_EQ(Inflate(checksum, 4096, 4096).status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(Inflate(Gzip("x") + "junk", 4096, 4096).status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(Inflate(Gzip("x") + std::string(300000, '\0') + "j", 4096, 4096).status().code(),
            StatusCode::kDataLoss);
}

TEST(InflateReaderTest, GzipHeadersMayCarryMore) {
  const std::string text = Sample(3000);
  const std::string bytes = testing::GzipWithExtra(text.substr(0, 100)) +
                            testing::GzipWithExtra("") + testing::GzipWithExtra(text.substr(100));
  for (const std::size_t step : {std::size_t{1}, std::size_t{64}, std::size_t{100000}}) {
    EXPECT_EQ(*Inflate(bytes, step, 500), text) << step;
  }
}

TEST(InflateReaderTest, ZstdFramesInEveryStep) {
  const std::string text = Sample(300000);
  const std::string toc = testing::ZstdSkippable(Sample(1000));
  const std::string one = testing::Zstd(text);
  const std::string frames = testing::Zstd(text.substr(0, 1000)) + testing::Zstd("") + toc +
                             testing::Zstd(text.substr(1000));
  for (const std::size_t step : {std::size_t{1}, std::size_t{509}, std::size_t{1} << 20U}) {
    for (const std::string& bytes : {one, frames, toc + one, toc + toc + frames + toc}) {
      const Result<std::string> out = Inflate(bytes, step, step == 1 ? 777 : step);
      ASSERT_TRUE(out.ok()) << out.status().message() << " step " << step;
      EXPECT_TRUE(*out == text) << step;
    }
  }
  EXPECT_EQ(*Inflate(testing::Zstd(""), 10, 10), "");
  EXPECT_EQ(*Inflate(toc, 10, 10), "");
}

TEST(InflateReaderTest, DamagedZstdFails) {
  const std::string first = testing::Zstd(Sample(300));
  const std::string whole = first + testing::Zstd(Sample(100));
  for (std::size_t n = 4; n < whole.size(); ++n) {
    if (n == first.size()) continue;  // a stream of one frame is whole
    EXPECT_EQ(Inflate(whole.substr(0, n), 64, 64).status().code(), StatusCode::kDataLoss) << n;
  }
  EXPECT_EQ(Inflate(first + "junk", 64, 64).status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(Inflate(first + std::string(8, '\0'), 64, 64).status().code(), StatusCode::kDataLoss);
  // A frame header that asks for a window of 2^41 bytes.
  const std::string window("\x28\xb5\x2f\xfd\x00\xf8rest of it", 17);
  EXPECT_EQ(Inflate(window, 64, 64).status().code(), StatusCode::kResourceExhausted);
}

TEST(InflateReaderTest, OtherCompressionsAreNamed) {
  for (const std::string& bytes : {std::string("BZh91AY&SY...."), std::string("\xfd"
                                                                              "7zXZ\0",
                                                                              6)}) {
    EXPECT_EQ(Inflate(bytes, 100, 100).status().code(), StatusCode::kUnimplemented);
  }
  EXPECT_EQ(*Inflate("BZh, a file name", 100, 100), "BZh, a file name");
}

TEST(InflateReaderTest, SourceErrorsPass) {
  for (const std::string& start :
       {std::string(), std::string("plain text"), Gzip("x").substr(0, 12)}) {
    TextReader source(start, 5, NotFoundError("gone"));
    InflateReader reader(source);
    EXPECT_EQ(ReadAll(reader, 16).status().code(), StatusCode::kNotFound);
  }
}

TEST(ReadAheadTest, PassesEverythingThenTheEnd) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{1} << 20U, std::size_t{9000001}}) {
    const std::string text = Sample(size);
    TextReader source(text, 100000);
    ReadAhead ahead(source);
    std::string out;
    for (;;) {
      const auto bytes = *ahead.Next();
      if (bytes.empty()) break;
      out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    EXPECT_EQ(out, text);
    EXPECT_TRUE(ahead.Next()->empty());
  }
}

TEST(ReadAheadTest, ErrorsComeBehindTheBytesBeforeThem) {
  TextReader source(Sample(3000000), 100000, NotFoundError("gone"));
  ReadAhead ahead(source);
  std::size_t size = 0;
  Status status;
  while (status.ok()) {
    const auto bytes = ahead.Next();
    status = bytes.status();
    if (bytes.ok()) size += bytes->size();
  }
  EXPECT_EQ(size, 3000000U);
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(ahead.Next().status().code(), StatusCode::kNotFound);
}

// Remembers what it saw; says `at_end` then.
class Witness final : public ByteWatcher {
 public:
  explicit Witness(Status at_end = Status::Ok(), std::chrono::milliseconds each = {})
      : at_end_(std::move(at_end)), each_(each) {}
  void See(std::span<const std::byte> bytes) override {
    std::this_thread::sleep_for(each_);
    seen.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  Status End() override {
    ended = true;
    return at_end_;
  }

  std::string seen;
  bool ended = false;

 private:
  const Status at_end_;
  const std::chrono::milliseconds each_;
};

TEST(ReadAheadTest, AWatcherSeesEverythingBeforeTheEnd) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1} << 20U, std::size_t{9000001}}) {
    const std::string text = Sample(size);
    TextReader source(text, 100000);
    Witness slow(Status::Ok(), std::chrono::milliseconds(5));
    ReadAhead ahead(source, &slow);
    while (!ahead.Next()->empty()) {
    }
    EXPECT_TRUE(slow.ended);
    EXPECT_EQ(slow.seen, text);
  }
}

TEST(ReadAheadTest, AWatchersVerdictIsTheEnd) {
  TextReader source(Sample(3000000), 100000);
  Witness witness(DataLossError("another"));
  ReadAhead ahead(source, &witness);
  std::size_t size = 0;
  auto bytes = ahead.Next();
  for (; bytes.ok(); bytes = ahead.Next()) size += bytes->size();
  EXPECT_EQ(size, 3000000U);
  EXPECT_EQ(bytes.status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(ahead.Next().status().code(), StatusCode::kDataLoss);
}

TEST(ReadAheadTest, AWatcherIsNotAskedAboutWhatCouldNotBeRead) {
  TextReader source(Sample(3000000), 100000, NotFoundError("gone"));
  Witness witness(DataLossError("another"));
  ReadAhead ahead(source, &witness);
  Status status;
  while (status.ok()) status = ahead.Next().status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_FALSE(witness.ended);
}

TEST(ReadAheadTest, MayBeLeftEarlyWhileItIsWatched) {
  TextReader source(Sample(20000000), 1000000);
  Witness slow(Status::Ok(), std::chrono::milliseconds(20));
  ReadAhead ahead(source, &slow);
  EXPECT_TRUE(ahead.Next().ok());
}

TEST(ReadAheadTest, MayBeLeftEarly) {
  TextReader source(Sample(20000000), 1000000);
  ReadAhead ahead(source);
  EXPECT_TRUE(ahead.Next().ok());
}

}  // namespace
}  // namespace daxfs::oci
