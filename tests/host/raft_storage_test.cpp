#include "raft_storage_fixture.h"

using namespace dcsim;
using namespace dcsim::host;

namespace {

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
