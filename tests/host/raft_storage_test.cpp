#include "host/raft_storage.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "raft/memory_storage.h"
#include "support/alloc_counter.h"

using namespace dcsim;
using namespace dcsim::host;
using dcsim::test::allocations;
using raft::Index;
using raft::LogEntry;
using raft::StoreOp;
using raft::Term;

namespace {

constexpr std::uint16_t kKind = core::kTestKinds + 21;

std::vector<LogEntry> entries(Index from, std::size_t count, Term term = 1, std::size_t size = 20) {
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

raft::SnapshotMeta meta(Index index, Term term) {
  return {index, term, {{{raft::Suffrage::kVoter, "n1", "10.0.0.1:8300"}}}, 1};
}

bool same(const LogEntry& a, const LogEntry& b) {
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

DiskConfig losing(CrashLoss loss) {
  DiskConfig config;
  config.crash_loss = loss;
  return config;
}

/// One life of a server, for every crash point: appends, conflicts, votes, snapshots, cuts.
using Action = std::function<void(raft::Storage&, StoreOp)>;
std::vector<Action> script() {
  std::vector<Action> s;
  const auto append = [&s](Index from, std::size_t n, Term term) {
    s.push_back([=](raft::Storage& to, StoreOp op) { to.append({}, op, entries(from, n, term)); });
  };
  const auto remove = [&s](Index from, Index to_index) {
    s.push_back([=](raft::Storage& to, StoreOp op) { to.remove({}, op, from, to_index); });
  };
  const auto vote = [&s](Term term, Term vote_term, std::string who) {
    s.push_back([=](raft::Storage& to, StoreOp op) { to.save({}, op, {term, vote_term, who}); });
  };
  const auto snapshot = [&s](Index index, Term term) {
    s.push_back([=](raft::Storage& to, StoreOp op) {
      to.save_snapshot({}, op, meta(index, term),
                       Bytes(view_of("state " + std::to_string(index) + std::string(900, 's'))));
    });
  };
  vote(1, 0, "");
  append(1, 1, 1);
  append(2, 3, 1);
  vote(2, 1, "a");
  vote(2, 2, "b");
  append(5, 10, 2);
  append(15, 1, 2);
  remove(12, 15);
  append(12, 4, 3);
  vote(3, 2, "b");
  snapshot(10, 2);
  remove(1, 8);
  append(16, 20, 3);
  append(36, 1, 3);
  remove(9, 9);
  vote(4, 4, "a-rather-long-address.example.org:8300");
  snapshot(30, 3);
  remove(10, 30);
  append(37, 2, 4);
  snapshot(50, 5);
  remove(31, 38);
  append(51, 3, 5);
  snapshot(52, 5);
  remove(51, 52);
  append(54, 8, 6);
  vote(6, 6, "c");
  return s;
}

/// The states that the script passes through, as storage in memory shows them.
std::vector<Image> states_of(const std::vector<Action>& actions) {
  raft::MemoryStorage memory;
  std::vector<Image> states{Image::of(memory)};
  for (std::size_t i = 0; i < actions.size(); ++i) {
    actions[i](memory, i + 1);
    states.push_back(Image::of(memory));
  }
  return states;
}

RaftStorageConfig small() {
  RaftStorageConfig config;
  config.segment_size = 1000;
  return config;
}

/// Runs the script, waiting now and then; returns how many writes were handed over.
std::size_t play(Machine& m, const std::vector<Action>& actions) {
  std::size_t handed = 0;
  for (; handed < actions.size() && !m.stopped; ++handed) {
    actions[handed](m.store, handed + 1);
    if (handed % 3 != 1) m.settle();
  }
  m.settle();
  if (!m.stopped) m.idle();
  return handed;
}

/// What is there after a crash: a state of the script that has all that ended well.
void check_survival(Machine& m, const std::vector<Image>& states, std::size_t ended, std::size_t handed) {
  const Image found = Image::of(m.store);
  bool known = false;
  for (std::size_t i = ended; i <= handed && !known; ++i) known = found == states[i];
  CHECK(known);
  CHECK(m.store.durable().last_index == m.store.last_index());
  CHECK(m.store.durable().record == found.record);
}

void crash_everywhere(const RaftStorageConfig& config, const DiskConfig& disk, std::uint64_t seeds) {
  const auto actions = script();
  const auto states = states_of(actions);
  Machine whole(config, disk);
  REQUIRE(whole.start().empty());
  play(whole, actions);
  REQUIRE(whole.well() == actions.size());
  std::size_t runs = 0;
  for (std::size_t kind = 0; kind < kDiskOpCount; ++kind) {
    const auto op = static_cast<DiskOp>(kind);
    for (std::uint64_t k = 1; k <= whole.disk.submitted(op); ++k) {
      for (const auto moment : {CrashPoint::Moment::kBefore, CrashPoint::Moment::kDuring, CrashPoint::Moment::kAfter}) {
        for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
          CAPTURE(name_of(op));
          CAPTURE(k);
          CAPTURE(static_cast<int>(moment));
          CAPTURE(seed);
          Machine m(config, disk, seed);
          m.disk.set_crash_point({op, k, moment});
          std::size_t handed = 0;
          if (m.start() != "crashed") handed = play(m, actions);
          const std::size_t ended = m.well();
          CHECK(ended == m.done.size());
          ++runs;
          // The recovery is cut short as well, at some point, before it may finish.
          m.power_loss();
          m.disk.set_crash_point({DiskOp::kWrite, m.disk.submitted(DiskOp::kWrite) + 1 + seed % 5, moment});
          m.start();
          REQUIRE_MESSAGE(m.restart() == "", (m.lines.empty() ? std::string() : m.lines.back()));
          check_survival(m, states, ended, handed);
          // And it goes on.
          const Image before = Image::of(m.store);
          m.store.append({}, 999, entries(m.store.last_index() != 0 ? m.store.last_index() + 1 : 60, 1, 7));
          m.settle();
          REQUIRE(m.restart() == "");
          const Image after = Image::of(m.store);
          CHECK(after.log.size() == before.log.size() + 1);
          CHECK(after.log.back().term == 7);
        }
      }
    }
  }
  CHECK(runs > 400);
}

/// 12 entries in 4 batches, a vote and a snapshot of the first 5, all acknowledged and the disk at rest.
void fill(Machine& m) {
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

std::string last_segment(const Disk& disk) {
  std::string best;
  for (const std::string& name : disk.list()) {
    if (name.starts_with("wal-") && (name.size() > best.size() || (name.size() == best.size() && name > best)))
      best = name;
  }
  return best;
}

/// Either storage behind one face.
struct Either {
  virtual ~Either() = default;
  virtual raft::Storage& storage() = 0;
  virtual std::vector<std::pair<StoreOp, std::string>> ended() = 0;
  virtual void fail_next() = 0;
  virtual void crash() = 0;
};
struct InMemory : Either {
  raft::MemoryStorage memory{1_ms};
  raft::Storage& storage() override { return memory; }
  std::vector<std::pair<StoreOp, std::string>> ended() override {
    std::vector<std::pair<StoreOp, std::string>> out;
    while (const auto done = memory.take_done(Instant{1'000'000'000})) out.emplace_back(done->op, done->error);
    return out;
  }
  void fail_next() override { memory.fail_next("input/output error"); }
  void crash() override { memory.crash(); }
};
struct OnDisk : Either {
  Machine m{small(), losing(CrashLoss::kAll)};
  OnDisk() { REQUIRE(m.start().empty()); }
  raft::Storage& storage() override { return m.store; }
  std::vector<std::pair<StoreOp, std::string>> ended() override {
    m.settle();
    m.disk.set_faults({});
    return std::exchange(m.done, {});
  }
  void fail_next() override {
    DiskFaults faults;
    faults.write_error = 1'000'000'000;
    m.disk.set_faults(faults);
  }
  void crash() override { REQUIRE(m.restart().empty()); }
};

using Ended = std::vector<std::pair<StoreOp, std::string>>;

void contract(Either& e) {
  raft::Storage& s = e.storage();
  CHECK(s.first_index() == 0);
  CHECK(s.entries(1, 10).empty());
  CHECK(s.snapshot() == nullptr);
  // Reads see everything at once, durable or not; writes end in order.
  s.save({}, 1, {3, 3, "a:1"});
  s.append({}, 2, entries(1, 5));
  s.remove({}, 3, 4, 5);
  s.append({}, 4, entries(4, 3, 2));
  CHECK(s.record().current_term == 3);
  CHECK(s.last_index() == 6);
  CHECK(s.entries(4, 1).front().term == 2);
  CHECK(s.durable().last_index == 0);
  CHECK(s.durable().record.current_term == 0);
  CHECK(e.ended() == Ended{{1, ""}, {2, ""}, {3, ""}, {4, ""}});
  CHECK(s.durable().last_index == 6);
  CHECK(s.durable().last_term == 2);
  CHECK(s.durable().record.vote_candidate == "a:1");
  // What has ended survives, what has not is gone.
  s.append({}, 5, entries(7, 1, 3));
  s.save({}, 6, {9, 9, "z"});
  e.crash();
  CHECK(s.last_index() == 6);
  CHECK(same(s.entries(2, 1).front(), entries(1, 5)[1]));
  CHECK(s.record() == raft::StableRecord{3, 3, "a:1"});
  // A failed write leaves nothing, nor do those behind it, and what they removed is back.
  s.append({}, 7, entries(7, 2, 3));
  CHECK(e.ended() == Ended{{7, ""}});
  e.fail_next();
  s.remove({}, 8, 3, 8);
  s.append({}, 9, entries(3, 4, 4));
  s.save({}, 10, {5, 5, "c"});
  CHECK(e.ended() == Ended{{8, "input/output error"}, {9, "input/output error"}, {10, "input/output error"}});
  CHECK(s.last_index() == 8);
  CHECK(s.entries(1, 3).size() == 3);
  CHECK(s.entries(3, 1).front().term == 1);
  CHECK(s.record().current_term == 3);
  // Then it works again.
  s.save({}, 11, {5, 5, "c"});
  s.append({}, 12, entries(9, 1, 5));
  CHECK(e.ended() == Ended{{11, ""}, {12, ""}});
  // The newest snapshot stays, whatever comes late; the log's head goes after it.
  s.save_snapshot({}, 13, meta(7, 3), Bytes(view_of("seven")));
  s.save_snapshot({}, 14, meta(2, 1), Bytes(view_of("two")));
  s.remove({}, 15, 1, 6);
  CHECK(e.ended() == Ended{{13, ""}, {14, ""}, {15, ""}});
  CHECK(s.durable().snapshot_index == 7);
  e.crash();
  CHECK(s.snapshot()->index == 7);
  CHECK(s.snapshot()->configuration == meta(7, 3).configuration);
  CHECK(text_of(s.snapshot_state()) == "seven");
  CHECK(s.first_index() == 7);
  CHECK(s.last_index() == 9);
  CHECK(s.entries(1, 5).empty());
  CHECK(s.entries(8, 5).size() == 2);
  CHECK(s.entries(10, 5).empty());
  // A log that was emptied may begin anywhere.
  s.save_snapshot({}, 16, meta(100, 6), Bytes());
  s.remove({}, 17, 7, 9);
  CHECK(s.first_index() == 0);
  s.append({}, 18, entries(101, 2, 6));
  CHECK(e.ended() == Ended{{16, ""}, {17, ""}, {18, ""}});
  e.crash();
  CHECK(s.first_index() == 101);
  CHECK(s.durable().last_index == 102);
  CHECK(s.snapshot_state().empty());
}

}  // namespace

TEST_CASE("raft storage: checksums are those of iSCSI (RFC 3720 B.4) and of Go's crc64.ECMA") {
  CHECK(crc32c(view_of("123456789")) == 0xe3069283u);
  CHECK(crc32c(Buffer(32, 0)) == 0x8a9136aau);
  CHECK(crc32c(view_of("6789"), crc32c(view_of("12345"))) == 0xe3069283u);
  CHECK(crc64_ecma(view_of("123456789")) == 0x995dc9bbdf1939faull);
}

TEST_CASE("raft storage: the contract, in memory") {
  InMemory memory;
  contract(memory);
}
TEST_CASE("raft storage: the contract, on disk") {
  OnDisk disk;
  contract(disk);
}

TEST_CASE("raft storage: the script ends in the same state in memory, on disk and after a restart") {
  const auto states = states_of(script());
  for (const std::uint64_t segment : {200u, 1000u, 1u << 20}) {
    RaftStorageConfig config;
    config.segment_size = segment;
    Machine m(config);
    REQUIRE(m.start().empty());
    CHECK(m.store.fresh());
    play(m, script());
    CHECK(Image::of(m.store) == states.back());
    CHECK(m.restart() == "");
    CHECK_FALSE(m.store.fresh());
    CHECK(Image::of(m.store) == states.back());
    m.process_dies();
    CHECK(m.start().empty());
    CHECK(Image::of(m.store) == states.back());
    // Two snapshots are kept, and no segment whose entries are all gone.
    m.idle();
    const auto names = m.disk.list();
    CHECK(std::count_if(names.begin(), names.end(), [](const auto& n) { return n.starts_with("snapshot-"); }) == 2);
    CHECK(std::count_if(names.begin(), names.end(), [](const auto& n) { return n.ends_with(".tmp"); }) == 0);
    CHECK(m.store.segments() < 8);
  }
}

TEST_CASE("raft storage: at every crash point what ended well is there, whole, and nothing is mixed") {
  crash_everywhere(small(), losing(CrashLoss::kRandomSubset), 8);
}
TEST_CASE("raft storage: every crash point of a disk that keeps a prefix, nothing, or all that was not synced") {
  for (const auto loss : {CrashLoss::kPrefix, CrashLoss::kAll, CrashLoss::kNone})
    crash_everywhere(small(), losing(loss), 1);
}
TEST_CASE("raft storage: every crash point of a disk whose torn sectors harm their neighbours") {
  RaftStorageConfig config = small();
  config.segment_size = 6000;
  config.align = 512;
  DiskConfig disk;
  disk.harm_neighbours = true;
  crash_everywhere(config, disk, 2);
}

TEST_CASE("raft storage: waiting appends share one sync") {
  Machine m;
  REQUIRE(m.start().empty());
  m.idle();
  const auto before = m.disk.submitted(DiskOp::kSync);
  for (Index i = 1; i <= 50; ++i) m.store.append({}, i, entries(i, 1));
  m.settle();
  CHECK(m.well() == 50);
  CHECK(m.disk.submitted(DiskOp::kSync) - before <= 4);  // two batches, and the mark's
}

TEST_CASE("raft storage: what was acknowledged and is damaged is never served") {
  // Each byte of each file in turn, on a disk at rest.
  Machine plain({}, losing(CrashLoss::kAll));
  fill(plain);
  std::size_t refused = 0;
  for (const std::string& name : plain.disk.list()) {
    const std::uint64_t size = plain.disk.size(plain.disk.open(name));
    for (std::uint64_t at = 0; at<size; at += size> 2000 ? 37 : 5) {
      CAPTURE(name);
      CAPTURE(at);
      Machine m({}, losing(CrashLoss::kAll));
      fill(m);
      const Image before = Image::of(m.store);
      m.power_loss();
      m.disk.corrupt(name, at, 1);
      const std::string error = m.start();
      if (!error.empty()) {
        ++refused;
        CHECK(m.lines.back() == error);
        CHECK_FALSE(m.store.is_open());
        CHECK(m.store.last_index() == 0);
        CHECK(name.starts_with("wal-"));
        continue;
      }
      Image after = Image::of(m.store);
      if (name.starts_with("snapshot-")) {
        CHECK(after.snapshot == 0);  // the log still reaches: no harm
        CHECK(m.said("damaged snapshot passed over"));
        after.snapshot = before.snapshot;
      }
      CHECK(after == before);
    }
  }
  CHECK(refused > 100);
}

TEST_CASE("raft storage: both copies of the vote, a lost file, a lost segment: refused") {
  const auto start_after = [](auto&& harm) {
    Machine m(small(), losing(CrashLoss::kAll));
    fill(m);
    m.power_loss();
    harm(m.disk);
    m.engine.step();
    m.idle();
    return m.start();
  };
  CHECK(start_after([](Disk& d) { d.corrupt("stable", 0, 8192); }) ==
        "raft storage: stable: both copies of the vote are damaged");
  CHECK(start_after([](Disk& d) { d.unlink("stable"); }) == "raft storage: stable: the vote is missing");
  CHECK(start_after([](Disk& d) { d.unlink("wal-1"); }) != "");
  CHECK(start_after([](Disk& d) { d.unlink(last_segment(d)); }) != "");
  CHECK(start_after([](Disk& d) { d.wipe(); }) == "");
}

TEST_CASE("raft storage: damage with valid batches behind it is told from a torn end without the mark as well") {
  Machine m({}, losing(CrashLoss::kAll));
  fill(m);
  m.power_loss();
  m.disk.corrupt("mark", 0, 64);
  m.disk.corrupt("wal-1", 100, 1);
  CHECK(m.start().starts_with("raft storage: wal-1: damaged batch at 64, a later one at "));
}

TEST_CASE("raft storage: a damaged snapshot is passed over for an older one only if the log reaches back to it") {
  for (const bool cut : {false, true}) {
    Machine m({}, losing(CrashLoss::kAll));
    REQUIRE(m.start().empty());
    m.store.append({}, 1, entries(1, 20));
    m.store.save_snapshot({}, 2, meta(5, 1), Bytes(view_of("five")));
    m.store.save_snapshot({}, 3, meta(10, 1), Bytes(view_of("ten")));
    m.store.remove({}, 4, 1, cut ? 8 : 3);
    m.settle();
    m.idle();
    m.power_loss();
    m.disk.corrupt("snapshot-1-10-2", 70, 4);
    const std::string error = m.start();
    CHECK(m.said("snapshot-1-10-2: damaged snapshot passed over"));
    if (cut) {
      CHECK(error == "raft storage: the log is cut through 8, the newest readable snapshot ends at 5");
    } else {
      CHECK(error == "");
      CHECK(text_of(m.store.snapshot_state()) == "five");
      CHECK(m.store.first_index() == 4);
    }
  }
}

TEST_CASE("raft storage: a torn last batch is dropped, with a line, and no bytes of it come back") {
  std::size_t dropped = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    Machine m({}, losing(CrashLoss::kRandomSubset), seed);
    fill(m);
    m.disk.set_crash_point({DiskOp::kWrite, m.disk.submitted(DiskOp::kWrite) + 1, CrashPoint::Moment::kDuring});
    m.store.append({}, 50, entries(13, 30, 3, 100));
    m.settle();
    REQUIRE(m.stopped);
    REQUIRE(m.restart().empty());
    CHECK((m.store.last_index() == 12 || m.store.last_index() == 42));
    dropped += m.said("bytes of an unfinished write") ? 1 : 0;
    m.store.append({}, 51, entries(m.store.last_index() + 1, 1, 4));
    m.settle();
    const Index last = m.store.last_index();
    REQUIRE(m.restart().empty());
    CHECK(m.store.last_index() == last);
  }
  CHECK(dropped > 10);
}

TEST_CASE("raft storage: after a failed sync everything fails; a new process writes anew what may not be on the disk") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    Machine m({}, losing(CrashLoss::kAll), seed);
    fill(m);
    m.done.clear();
    DiskFaults faults;
    faults.sync_error = 1'000'000'000;
    m.disk.set_faults(faults);
    m.store.append({}, 50, entries(13, 20, 3, 100));
    m.settle();
    m.disk.set_faults({});
    CHECK(m.store.failed());
    CHECK(m.said("sync failed, no more is written"));
    m.store.append({}, 51, entries(13, 1, 3));
    m.store.save({}, 52, {9, 9, "x"});
    m.settle();
    CHECK(m.done == Ended{{50, "input/output error"}, {51, "input/output error"}, {52, "input/output error"}});
    CHECK(m.store.last_index() == 12);
    // The kernel's cache has the batch, the medium perhaps not; later syncs do not cover it.
    m.process_dies();
    REQUIRE(m.start().empty());
    const Image served = Image::of(m.store);
    CHECK(served.log.size() >= 12);
    REQUIRE(m.restart().empty());
    CHECK(Image::of(m.store) == served);
  }
}

TEST_CASE("raft storage: a disk that lies about syncs is found out, or loses only the end") {
  std::size_t refused = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    Machine m(small(), losing(CrashLoss::kRandomSubset), seed);
    fill(m);
    DiskFaults faults;
    faults.sync_lie = 500'000'000;
    m.disk.set_faults(faults);
    for (Index i = 13; i <= 40; ++i) {
      m.store.append({}, i + 100, entries(i, 1, 3));
      m.settle();
    }
    const Image all = Image::of(m.store);
    m.disk.set_faults({});
    const std::string error = m.restart();
    refused += error.empty() ? 0 : 1;
    if (!error.empty()) continue;
    const Image found = Image::of(m.store);
    REQUIRE(found.log.size() <= all.log.size());
    CHECK(std::equal(found.log.begin(), found.log.end(), all.log.begin(), same));
    CHECK(found.log.size() >= 12);
  }
  CHECK(refused > 20);
}

TEST_CASE("raft storage: a full disk fails what is written, and goes on when there is room") {
  Machine m(small(), losing(CrashLoss::kAll));
  fill(m);
  m.done.clear();
  m.disk.set_full(true);
  m.store.append({}, 50, entries(13, 40, 3, 100));  // needs a new segment
  m.store.save_snapshot({}, 51, meta(12, 2), Bytes(view_of("twelve")));
  m.settle();
  m.store.append({}, 52, entries(13, 1, 3));
  m.store.save({}, 53, {4, 4, "c"});
  m.settle();
  CHECK(m.done[0] == std::pair<StoreOp, std::string>{50, "no space left on device"});
  CHECK(m.done[1].second == "no space left on device");
  CHECK(m.done[2].second == "no space left on device");
  CHECK_FALSE(m.store.failed());
  CHECK(m.store.last_index() == 12);
  CHECK(m.store.snapshot()->index == 5);
  m.store.save({}, 54, {4, 4, "c"});  // no room needed: the vote's place is fixed
  m.settle();
  CHECK(m.done.back().second == "");
  m.disk.set_full(false);
  m.store.append({}, 55, entries(13, 40, 3, 100));
  m.settle();
  CHECK(m.done.back().second == "");
  REQUIRE(m.restart().empty());
  CHECK(m.store.last_index() == 52);
  CHECK(m.store.record().current_term == 4);
}

TEST_CASE("raft storage: write errors and short writes, at random, never harm what ended well") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Machine m(small(), losing(CrashLoss::kRandomSubset), seed);
    fill(m);
    DiskFaults faults;
    faults.write_error = 150'000'000;
    faults.write_short = 150'000'000;
    m.disk.set_faults(faults);
    StoreOp op = 100;
    for (int i = 0; i < 30 && !m.store.failed(); ++i) {
      m.store.append({}, ++op, entries(m.store.last_index() + 1, 3, 3));
      if (i % 4 == 0) m.store.save({}, ++op, {static_cast<Term>(i) + 4, 0, ""});
      m.settle();
    }
    const Image before = Image::of(m.store);
    m.disk.set_faults({});
    REQUIRE_MESSAGE(m.restart() == "", m.lines.back());
    const Image after = Image::of(m.store);
    CHECK(after.record.current_term >= before.record.current_term);
    CHECK(std::equal(before.log.begin(), before.log.end(), after.log.begin(), after.log.end(), same));
  }
}

TEST_CASE("raft storage: wrong bytes read now and then are read again") {
  std::size_t good = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    Machine m({}, losing(CrashLoss::kAll), seed);
    fill(m);
    const Image before = Image::of(m.store);
    DiskFaults faults;
    faults.read_wrong_byte = 100'000'000;
    faults.read_error = 20'000'000;
    m.power_loss();
    m.disk.set_faults(faults);
    if (!m.start().empty()) continue;
    ++good;
    Image after = Image::of(m.store);
    if (m.said("snapshot passed over")) after.snapshot = before.snapshot;
    CHECK(after == before);
  }
  CHECK(good > 80);
}

TEST_CASE("raft storage: a stall makes writes late, not lost") {
  Machine m;
  fill(m);
  m.disk.stall(10_s);
  const Instant before = m.engine.now();
  m.store.append({}, 50, entries(13, 1));
  m.settle();
  CHECK(m.engine.now() - before >= 10_s);
  CHECK(m.done.back() == std::pair<StoreOp, std::string>{50, ""});
}

TEST_CASE("raft storage: files of any bytes are refused or read, never worse") {
  const std::vector<StoredFile> files{
      {"mark", {}},  {"snapshot-2-5-1", {}}, {"stable", {}},     {"wal-1", {}},
      {"wal-2", {}}, {"wal-", {}},           {"snapshot-9", {}}, {"wal-99999999999999999999", {}}};
  Rng draw(1, "bytes", "test");
  for (int round = 0; round < 3000; ++round) {
    std::vector<StoredFile> harmed = files;
    for (StoredFile& file : harmed) {
      Buffer bytes(draw.below(300));
      for (auto& byte : bytes) byte = static_cast<std::uint8_t>(draw.next());
      if (draw.below(2) == 0 && bytes.size() > 64) {  // a header that is right, with numbers that are not
        Buffer header;
        put_segment_header({draw.below(4), draw.next(), draw.next(), draw.next(), draw.next(), draw.next()}, header);
        std::copy(header.begin(), header.end(), bytes.begin());
      }
      file.data = Bytes(bytes);
      if (file.name == "stable") {
        Buffer slots;
        put_slot(1, {1, 1, "a"}, slots);
        file.data = Bytes(slots);
      }
    }
    RecoveredLog out;
    CHECK(recover_log(harmed, 8, out) != "");
  }
}

TEST_CASE("raft storage: an append allocates nothing once buffers have grown") {
  RaftStorageConfig config;
  config.segment_size = 64u << 20;
  Machine m(config);
  REQUIRE(m.start().empty());
  m.quiet = true;
  const auto batch = entries(1, 64, 1, 60);
  std::vector<LogEntry> now = batch;
  Index next = 1;
  const auto round = [&] {
    for (LogEntry& entry : now) entry.index = next++;
    m.store.append({}, next, now);
    m.settle();
  };
  for (int i = 0; i < 260; ++i) round();  // the log's and the file's memory doubles now and then
  const auto before = allocations();
  for (int i = 0; i < 10; ++i) round();
  CHECK(allocations() - before <= 2);
}
