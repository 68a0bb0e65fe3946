// SPDX-License-Identifier: Apache-2.0
#include "common/oci/read_ahead.hpp"

#include <pthread.h>

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

namespace daxfs::oci {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 18U;

}  // namespace

ReadAhead::ReadAhead(ByteReader& source, ByteWatcher* watcher)
    : source_(source), watcher_(watcher) {
  for (Slot& slot : slots_) slot.bytes.resize(kBufferBytes);
  try {
    if (watcher_ != nullptr) watching_ = std::thread([this] { Watch(); });
    reading_ = std::thread([this] { Run(); });
  } catch (...) {  // too many threads
    Stop();
    throw;
  }
}

ReadAhead::~ReadAhead() { Stop(); }

void ReadAhead::Stop() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread* thread : {&reading_, &watching_}) {
    if (thread->joinable()) thread->join();
  }
}

bool ReadAhead::HasRoom() const {
  const std::size_t done = watcher_ == nullptr ? taken_ : std::min(taken_, seen_);
  return filled_ - done < kBuffers;
}

// Full buffers, so that the two threads meet rarely.
Status ReadAhead::Fill(Slot* slot) {
  slot->size = 0;
  while (slot->size < slot->bytes.size()) {
    ASSIGN_OR_RETURN(const std::size_t n, source_.Read(std::span(slot->bytes).subspan(slot->size)));
    if (n == 0) break;
    slot->size += n;
  }
  return Status::Ok();
}

void ReadAhead::Run() {
  ::pthread_setname_np(::pthread_self(), "inflate");
  for (;;) {
    Slot* slot = nullptr;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stop_ || HasRoom(); });
      if (stop_) return;
      slot = &slots_.at(filled_ % kBuffers);
    }
    Status status;
    try {
      status = Fill(slot);
    } catch (const std::exception& error) {  // a library's: it must not leave the thread
      status = InternalError(error.what());
    }
    const std::scoped_lock lock(mutex_);
    if (slot->size > 0) ++filled_;
    ended_ = !status.ok() || slot->size < slot->bytes.size();
    whole_ = ended_ && watcher_ == nullptr;
    status_ = std::move(status);
    changed_.notify_all();
    if (ended_) return;
  }
}

void ReadAhead::Watch() {
  ::pthread_setname_np(::pthread_self(), "digest");
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || ended_ || filled_ > seen_; });
    if (stop_) return;
    if (filled_ == seen_) break;
    const Slot& slot = slots_.at(seen_ % kBuffers);
    lock.unlock();
    watcher_->See(std::span<const std::byte>(slot.bytes.data(), slot.size));
    lock.lock();
    ++seen_;
    changed_.notify_all();
  }
  try {
    if (status_.ok()) status_ = watcher_->End();
  } catch (const std::exception& error) {  // as above
    status_ = InternalError(error.what());
  }
  whole_ = true;
  changed_.notify_all();
}

Result<std::span<const std::byte>> ReadAhead::Next() {
  std::unique_lock lock(mutex_);
  if (std::exchange(holding_, false)) {
    ++taken_;
    changed_.notify_all();
  }
  changed_.wait(lock, [this] { return whole_ || filled_ > taken_; });
  if (filled_ > taken_) {
    holding_ = true;
    const Slot& slot = slots_.at(taken_ % kBuffers);
    return std::span<const std::byte>(slot.bytes.data(), slot.size);
  }
  if (!status_.ok()) return status_;
  return std::span<const std::byte>();
}

}  // namespace daxfs::oci
