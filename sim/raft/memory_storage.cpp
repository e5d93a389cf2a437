#include "raft/memory_storage.h"

#include <algorithm>

#include "base/check.h"

namespace dcsim::raft {

void MemoryStorage::Image::append(std::span<const LogEntry> entries) {
  for (const LogEntry& entry : entries) {
    DCSIM_CHECK(log.size() == head || entry.index == log.back().index + 1);
    log.push_back(entry);
  }
}

void MemoryStorage::Image::remove(Index from, Index to) {
  if (first() == 0) return;
  DCSIM_CHECK(from <= first() || to >= last());
  if (to >= last()) {
    while (last() != 0 && last() >= from) log.pop_back();
  } else {
    while (first() != 0 && first() <= to) log[head++] = {};
    if (head > 1024 && head * 2 > log.size()) {
      log.erase(log.begin(), log.begin() + static_cast<std::ptrdiff_t>(head));
      head = 0;
    }
  }
  if (log.size() == head) {
    log.clear();
    head = 0;
  }
}

void MemoryStorage::Image::take(const Snapshot& newer) {
  if (!snapshot || newer.meta.index >= snapshot->meta.index) snapshot = newer;
}

void MemoryStorage::Image::take(const Write& write) {
  switch (write.kind) {
    case Write::Kind::kSave:
      record = write.record;
      break;
    case Write::Kind::kAppend:
      append(write.entries);
      break;
    case Write::Kind::kRemove:
      remove(write.from, write.to);
      break;
    case Write::Kind::kSnapshot:
      take(write.snapshot);
      break;
  }
}

std::span<const LogEntry> MemoryStorage::entries(Index from, std::size_t most) const {
  const Index first = seen_.first();
  if (first == 0 || from < first || from > seen_.last()) return {};
  const std::size_t at = seen_.head + static_cast<std::size_t>(from - first);
  return std::span<const LogEntry>(seen_.log).subspan(at, std::min(most, seen_.log.size() - at));
}

DurableView MemoryStorage::durable() const {
  const Index last = durable_.last();
  return {durable_.record, durable_.first(), last, last != 0 ? durable_.log.back().term : 0,
          durable_.snapshot ? durable_.snapshot->meta.index : 0};
}

MemoryStorage::Write& MemoryStorage::add(Instant now, Write::Kind kind, StoreOp op) {
  Write write;
  write.kind = kind;
  write.op = op;
  write.due = now + delay_;
  if (!pending_.empty()) write.due = std::max(write.due, pending_[pending_.size() - 1].due);
  write.error = std::exchange(fail_, {});
  if (kind == Write::Kind::kAppend && !spare_.empty()) {
    write.entries = std::move(spare_.back());
    spare_.pop_back();
  }
  pending_.push(std::move(write));
  return pending_[pending_.size() - 1];
}

void MemoryStorage::save(Instant now, StoreOp op, const StableRecord& record) {
  seen_.record = add(now, Write::Kind::kSave, op).record = record;
}

void MemoryStorage::append(Instant now, StoreOp op, std::span<const LogEntry> entries) {
  Write& write = add(now, Write::Kind::kAppend, op);
  write.entries.assign(entries.begin(), entries.end());
  seen_.append(write.entries);
}

void MemoryStorage::remove(Instant now, StoreOp op, Index from, Index to) {
  Write& write = add(now, Write::Kind::kRemove, op);
  write.from = from;
  write.to = to;
  seen_.remove(from, to);
}

void MemoryStorage::save_snapshot(Instant now, StoreOp op, const SnapshotMeta& meta, const Bytes& state) {
  Write& write = add(now, Write::Kind::kSnapshot, op);
  write.snapshot = {meta, state};
  seen_.take(write.snapshot);
}

std::optional<MemoryStorage::Done> MemoryStorage::take_done(Instant now) {
  if (next_due() > now || pending_.empty()) return std::nullopt;
  Write write = pending_.pop();
  Done done{write.op, write.error};
  if (write.error.empty()) {
    durable_.take(write);
  } else {
    for (std::size_t i = 0; i < pending_.size(); ++i) pending_[i].error = write.error;
    seen_ = durable_;
  }
  write.entries.clear();
  if (write.kind == Write::Kind::kAppend) spare_.push_back(std::move(write.entries));
  return done;
}

void MemoryStorage::crash(std::size_t kept, std::size_t kept_entries) {
  for (std::size_t i = 0; i < kept && !pending_.empty(); ++i) {
    const Write write = pending_.pop();
    if (write.error.empty()) durable_.take(write);
  }
  if (!pending_.empty() && pending_.front().kind == Write::Kind::kAppend && pending_.front().error.empty()) {
    const auto& entries = pending_.front().entries;
    durable_.append(std::span<const LogEntry>(entries).first(std::min(kept_entries, entries.size())));
  }
  pending_.clear();
  fail_.clear();
  hangs_ = false;
  seen_ = durable_;
}

}  // namespace dcsim::raft
