#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "host/raft_storage.h"
#include "raft/memory_storage.h"
#include "support/alloc_counter.h"

/// A machine with a Raft log on a disk that can fail it, for the tests of host::RaftStorage.
namespace dcsim::host {

using dcsim::test::allocations;
using raft::Index;
using raft::LogEntry;
using raft::StoreOp;
using raft::Term;

constexpr std::uint16_t kKind = core::kTestKinds + 21;

inline std::vector<LogEntry> entries(Index from, std::size_t count, Term term = 1, std::size_t size = 20) {
  std::vector<LogEntry> out(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i].index = from + i;
    out[i].term = term;
    out[i].appended_at = wire::GoTime::from_unix(1'700'000'000'123'456'789 + static_cast<std::int64_t>(i));
    std::string text = std::to_string(from + i) + "/" + std::to_string(term) + " ";
    while (text.size() < size) text += static_cast<char>('a' + (from + text.size()) % 26);
    out[i].data = Bytes(view_of(text));
    if (i % 3 == 1) out[i].extensions = Bytes(view_of("ext"));
  }
  return out;
}

inline raft::SnapshotMeta meta(Index index, Term term) {
  return {index, term, {{{raft::Suffrage::kVoter, "n1", "10.0.0.1:8300"}}}, 1};
}

inline bool same(const LogEntry& a, const LogEntry& b) {
  return a.index == b.index && a.term == b.term && a.type == b.type && a.appended_at == b.appended_at &&
         text_of(a.data) == text_of(b.data) && text_of(a.extensions) == text_of(b.extensions);
}

/// What a storage shows, to compare.
struct Image {
  raft::StableRecord record;
  std::vector<LogEntry> log;
  Index snapshot = 0;

  static Image of(const raft::Storage& storage) {
    Image image;
    image.record = storage.record();
    for (Index i = storage.first_index(); i != 0 && i <= storage.last_index();) {
      const auto some = storage.entries(i, 100);
      REQUIRE_FALSE(some.empty());
      image.log.insert(image.log.end(), some.begin(), some.end());
      i += some.size();
    }
    if (storage.snapshot()) image.snapshot = storage.snapshot()->index;
    return image;
  }
  bool operator==(const Image& other) const {
    return record == other.record && snapshot == other.snapshot &&
           std::equal(log.begin(), log.end(), other.log.begin(), other.log.end(), same);
  }
};

/// A machine with a disk and a store on it.
struct Machine : RaftStorageOutput {
  explicit Machine(RaftStorageConfig config = {}, DiskConfig disk_config = {}, std::uint64_t seed = 1)
      : set(engine, kKind), store(config, *this), disk(set.add("dc1/s1", seed, disk_config, store)) {
    store.attach(disk);
  }
  void on_opened(std::string_view error) override { opened = std::string(error); }
  void on_stored(StoreOp op, std::string_view error) override {
    if (!quiet) done.emplace_back(op, error);
    if (then) then(op, error);
  }
  void on_crash_point() override { stopped = true; }
  void log(raft::LogLevel, std::string_view line) override { lines.emplace_back(line); }

  /// The error, or "crashed".
  std::string start() {
    opened.reset();
    store.open();
    while (!opened && !stopped && engine.step()) {
    }
    return opened.value_or("crashed");
  }
  void settle() {
    while (!stopped && store.outstanding() > 0 && engine.step()) {
    }
  }
  /// Also what no one waits for.
  void idle() {
    while (!stopped && engine.step()) {
    }
  }
  void power_loss() {
    disk.crash();
    store.close();
    stopped = false;
    disk.set_crash_point({});
  }
  void process_dies() {
    disk.kill_process();
    store.close();
    stopped = false;
  }
  std::string restart() {
    power_loss();
    return start();
  }
  std::size_t well() const {
    return static_cast<std::size_t>(
        std::count_if(done.begin(), done.end(), [](const auto& d) { return d.second.empty(); }));
  }
  bool said(std::string_view part) const {
    return std::any_of(lines.begin(), lines.end(), [&](const auto& l) { return l.find(part) != std::string::npos; });
  }

  core::Engine engine;
  DiskSet set;
  RaftStorage store;
  Disk& disk;
  std::vector<std::pair<StoreOp, std::string>> done;
  std::function<void(StoreOp, std::string_view)> then;
  std::optional<std::string> opened;
  std::vector<std::string> lines;
  bool stopped = false;
  bool quiet = false;
};

inline DiskConfig losing(CrashLoss loss) {
  DiskConfig config;
  config.crash_loss = loss;
  return config;
}

inline RaftStorageConfig small() {
  RaftStorageConfig config;
  config.segment_size = 1000;
  return config;
}

/// 12 entries in 4 batches, a vote and a snapshot of the first 5, all acknowledged and the disk at rest.
inline void fill(Machine& m) {
  REQUIRE(m.start().empty());
  m.store.save({}, 1, {2, 2, "a"});
  m.settle();
  for (Index i = 1; i <= 10; i += 3) {
    m.store.append({}, 1 + i, entries(i, 3, 2));
    m.settle();
  }
  m.store.save_snapshot({}, 20, meta(5, 2), Bytes(view_of("five")));
  m.settle();
  m.store.save({}, 21, {3, 3, "b"});
  m.settle();
  m.idle();
  REQUIRE(m.well() == m.done.size());
}

inline std::string last_segment(const Disk& disk) {
  std::string best;
  for (const std::string& name : disk.list()) {
    if (name.starts_with("wal-") && (name.size() > best.size() || (name.size() == best.size() && name > best)))
      best = name;
  }
  return best;
}

using Ended = std::vector<std::pair<StoreOp, std::string>>;

}  // namespace dcsim::host
