// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/janitor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <semaphore>
#include <stdexcept>
#include <thread>

namespace daxfs::snapshotter {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class Lines final : public base::LogSink {
 public:
  void Write(std::string_view line) override { text += std::string(line) + "\n"; }
  std::string text;
};

TEST(Janitor, TriesAllAndWhatFailedAgain) {
  Lines lines;
  base::Logger log(lines, {});
  std::map<std::int64_t, int> tries;
  std::atomic<bool> works = false;
  Janitor janitor(
      "sweeping",
      [&](std::int64_t id) -> Status {
        ++tries[id];
        if (id == 3) throw std::runtime_error("a library's");
        if (id == 2 && !works) return FailedPreconditionError("busy");
        return Status::Ok();
      },
      log);
  for (const std::int64_t id : {1, 2, 3}) janitor.Add(id);
  janitor.Drain();
  EXPECT_THAT(tries, ElementsAre(Pair(1, 1), Pair(2, 1), Pair(3, 1)));
  EXPECT_THAT(lines.text, HasSubstr("sweeping is put off number=2 err=busy"));
  works = true;
  janitor.Drain();
  janitor.Drain();
  EXPECT_THAT(tries, ElementsAre(Pair(1, 1), Pair(2, 2), Pair(3, 3)));
}

TEST(Janitor, SaysHowItWentWithOne) {
  constexpr std::chrono::milliseconds kLong{60000};
  Lines lines;
  base::Logger log(lines, {});
  std::mutex gate;
  std::atomic<bool> works = false;
  Janitor janitor(
      "sweeping",
      [&](std::int64_t) -> Status {
        const std::lock_guard lock(gate);
        return works ? Status::Ok() : NotFoundError("nowhere");
      },
      log);
  EXPECT_TRUE(janitor.Outcome(5, kLong)->ok()) << "nobody told it";
  {
    const std::lock_guard closed(gate);
    janitor.Add(5);
    EXPECT_TRUE(janitor.IsWaiting(5));
    EXPECT_FALSE(janitor.Outcome(5, std::chrono::milliseconds(1)));
  }
  EXPECT_EQ(janitor.Outcome(5, kLong)->code(), StatusCode::kNotFound);
  const auto always = [](const Status&) { return true; };
  {
    const std::lock_guard closed(gate);
    janitor.Retry([](const Status& status) { return status.code() != StatusCode::kNotFound; });
    EXPECT_FALSE(janitor.IsWaiting(5)) << "not worth it";
  }
  janitor.Retry(always);
  EXPECT_EQ(janitor.Outcome(5, kLong)->code(), StatusCode::kNotFound);
  EXPECT_EQ(lines.text.find("nowhere"), lines.text.rfind("nowhere")) << "said once";
  works = true;
  janitor.Retry(always);
  EXPECT_TRUE(janitor.Outcome(5, kLong)->ok());
  EXPECT_FALSE(janitor.IsWaiting(5));
}

TEST(Janitor, IsAwaitedUntilFewAreLeft) {
  Lines lines;
  base::Logger log(lines, {});
  std::counting_semaphore<> allowed(0);
  std::atomic<int> begun = 0;
  Janitor janitor(
      "sweeping",
      [&](std::int64_t id) {
        ++begun;
        allowed.acquire();
        return id == 1 ? FailedPreconditionError("busy") : Status::Ok();
      },
      log);
  for (const std::int64_t id : {1, 2, 3, 4}) janitor.Add(id);
  janitor.Await(4);
  allowed.release(2);
  janitor.Await(2);
  EXPECT_GE(begun, 2) << "nobody waited";
  EXPECT_EQ(janitor.Outcome(1, {})->code(), StatusCode::kFailedPrecondition);
  allowed.release(2);
  janitor.Await(0);
  EXPECT_EQ(begun, 4) << "what failed is not tried for that";
  std::thread draining([&] { janitor.Drain(); });
  allowed.release();
  draining.join();
  EXPECT_EQ(begun, 5);
}

TEST(Janitor, EndsWithWorkLeft) {
  Lines lines;
  base::Logger log(lines, {});
  std::atomic<int> done = 0;
  {
    Janitor janitor(
        "sweeping",
        [&](std::int64_t) {
          ++done;
          return Status::Ok();
        },
        log);
    for (std::int64_t id = 0; id < 1000; ++id) janitor.Add(id);
  }
  EXPECT_LE(done, 1000);
}

}  // namespace
}  // namespace daxfs::snapshotter
