#include "raft_storage_fixture.h"

using namespace dcsim;
using namespace dcsim::host;

/// Damaged files, failing and lying syncs, full and slow disks.

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
