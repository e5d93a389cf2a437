#include <doctest/doctest.h>
#include <xxhash.h>

#include <algorithm>

#include "support/alloc_counter.h"
#include "trace/output.h"
#include "world.h"

using namespace dcsim;
using namespace dcsim::trace;
using namespace dcsim::trace::test;

namespace {

std::string digest_of(TracerOptions options, int count, std::uint64_t seed = 1) {
  World w(std::move(options));
  fill(w, count, seed);
  return w.tracer.digest_hex();
}

}  // namespace

TEST_CASE("digest: says what was recorded, whatever is kept of it") {
  const TemporaryFolder folder;
  for (const int count : {0, 1, 1023, 1024, 1025, 5000}) {
    CAPTURE(count);
    const std::string nothing = digest_of({}, count);
    CHECK(nothing.size() == 32);
    CHECK(nothing == digest_of({.keep = Keep::kMemory}, count));
    CHECK(nothing == digest_of({.keep = Keep::kMemory, .only = {Ev::kMemberFailed}}, count));
    CHECK(nothing == digest_of({.keep = Keep::kFile, .path = folder / "trace.bin"}, count));
    CHECK(nothing ==
          digest_of({.keep = Keep::kFile, .path = folder / "some.bin", .only = {Ev::kLog, Ev::kSuspect}}, count));
  }
}

TEST_CASE("digest: is pinned, so that every compiler and machine agrees on it") {
  World w;
  w.add(1, Ev::kProbeSent, "alpha-1.dc1", fields::probe(w.name("beta-2.dc1"), w.name("lan"), 7, 500_ms));
  CHECK(w.tracer.digest_hex() == "58e11c9cc883692c91c2ccf9df72a239");
}

TEST_CASE("digest: is XXH3-128 over the canonical stream") {
  World w;
  w.name("unused");
  w.add(1, Ev::kProbeSent, "alpha-1.dc1", fields::probe(w.name("beta-2.dc1"), w.name("lan"), 7, 500_ms));
  std::string stream = "dcsim-trace-1\n";
  for (const std::string name : {"alpha-1.dc1", "beta-2.dc1", "lan"}) {
    stream += std::string({static_cast<char>(name.size()), 0, 0, 0}) + name;
  }
  const Record r{1'000'000,    0,          1, static_cast<std::uint16_t>(Ev::kProbeSent), 0, 2, pack(3u, 0u),
                 pack(7u, 0u), 500'000'000};
  std::uint8_t image[48];
  encode(r, image);
  stream.append(reinterpret_cast<const char*>(image), sizeof image);
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(stream.data(), stream.size()));
  CHECK(std::equal(std::begin(canonical.digest), std::end(canonical.digest), w.tracer.digest().bytes.begin()));
}

TEST_CASE("digest: differs when any field differs") {
  const auto digest = [](auto&& change) {
    World w;
    const NameId a = w.name("a");
    const NameId b = w.name("b");
    const Cause first = w.tracer.append(Instant{1}, Ev::kMemberJoin, a, fields::member(b, a, b, 3));
    Record r{5,
             first.record,
             a.value,
             static_cast<std::uint16_t>(Ev::kPacketDropped),
             1,
             62,
             pack_endpoint(a, 1, 1),
             pack_endpoint(b, 2),
             pack(a, b)};
    change(r);
    w.tracer.append(Instant{r.t}, static_cast<Ev>(r.ev), NameId{r.node}, {r.x, r.a, r.b, r.c, r.d}, Cause{r.cause});
    return w.tracer.digest_hex();
  };
  const std::string same = digest([](Record&) {});
  CHECK(same == digest([](Record&) {}));
  CHECK(same != digest([](Record& r) { r.t = 6; }));
  CHECK(same != digest([](Record& r) { r.cause = 0; }));
  CHECK(same != digest([](Record& r) { r.node = 2; }));
  CHECK(same != digest([](Record& r) { r.ev = static_cast<std::uint16_t>(Ev::kPacketRejected); }));
  CHECK(same != digest([](Record& r) { r.x = 2; }));
  CHECK(same != digest([](Record& r) { r.a = 63; }));
  CHECK(same != digest([](Record& r) { r.b ^= std::uint64_t{1} << 40; }));
  CHECK(same != digest([](Record& r) { r.b ^= std::uint64_t{1} << 50; }));
  CHECK(same != digest([](Record& r) { std::swap(r.b, r.c); }));
  CHECK(same != digest([](Record& r) { r.d = pack(NameId{2}, NameId{1}); }));
}

TEST_CASE("digest: goes by the names' texts, not by when or why they were interned") {
  World plain;
  World busy;
  for (int i = 0; i < 100; ++i) busy.name("unrelated " + std::to_string(i));
  busy.name("b");  // interned in another order, too
  for (World* w : {&plain, &busy}) {
    w->send(1, "a", "b", "ping");
    w->drop(2, "a", "b", "fw", "rule", Cause{1});
  }
  CHECK(plain.tracer.digest_hex() == busy.tracer.digest_hex());
  World other;
  other.send(1, "a", "b", "ping");
  other.drop(2, "a", "b", "fw", "rulf", Cause{1});
  CHECK(plain.tracer.digest_hex() != other.tracer.digest_hex());
}

TEST_CASE("digest: asking for it in the middle changes nothing") {
  World asked;
  World not_asked;
  for (World* w : {&asked, &not_asked}) {
    for (int i = 0; i < 3000; ++i) {
      w->send(i, "a" + std::to_string(i % 7), "b" + std::to_string(i % 5), "gossip");
      if (w == &asked && i % 100 == 0) (void)w->tracer.digest();
    }
  }
  CHECK(asked.tracer.digest_hex() == not_asked.tracer.digest_hex());
  CHECK(asked.tracer.checkpoints() == not_asked.tracer.checkpoints());
  CHECK(asked.tracer.checkpoints().size() == 2);
}

TEST_CASE("digest: the canonical image is little-endian and comes back") {
  const Record r{0x0102030405060708, 0x11121314, 0x21222324, 0x3132, 0x4142, 0x51525354, 0x6162636465666768, 7, 8};
  std::uint8_t image[48];
  encode(r, image);
  CHECK(image[0] == 0x08);
  CHECK(image[7] == 0x01);
  CHECK(image[8] == 0x14);
  CHECK(image[16] == 0x32);
  CHECK(image[20] == 0x54);
  CHECK(image[24] == 0x68);
  CHECK(decode(image) == r);
}

TEST_CASE("tracer: a record's cause is what append said about its parent") {
  World w;
  const Cause first = w.add(1, Ev::kProbeSent, "a");
  const Cause second = w.add(2, Ev::kProbeTimeout, "a", {}, first);
  CHECK(first.record == 1);
  CHECK(second.record == 2);
  const Recording recording = w.tracer.recording();
  CHECK(recording.at(1)->cause == 1);
  CHECK(recording.at(0)->cause == 0);
}

TEST_CASE("tracer: appends and seals without allocating once its names are known") {
  NameTable names;
  Tracer tracer(names);
  const NameId a = names.intern("a");
  const NameId b = names.intern("b");
  const auto run = [&](int count) {
    for (int i = 0; i < count; ++i) {
      tracer.append(Instant{i}, Ev::kPacketSent, a,
                    fields::packet(Proto::kUdp, 62, pack_endpoint(a, 1), pack_endpoint(b, 2), a));
    }
  };
  run(3000);
  const auto before = dcsim::test::allocations();
  run(100'000);
  const auto after = dcsim::test::allocations();
  CHECK(after == before);
}

TEST_CASE("tracer: a record that names what was never interned is a broken invariant") {
  World w;
  w.tracer.append(Instant{0}, Ev::kLog, NameId{12345});
  CHECK_THROWS_AS((void)w.tracer.digest(), InvariantBroken);
}

TEST_CASE("tracer: a file that cannot be written is reported at the end") {
  World w({.keep = Keep::kFile, .path = "/nonexistent/folder/trace.bin"});
  fill(w, 3000);
  const auto done = w.tracer.finish();
  REQUIRE_FALSE(done.ok());
  CHECK(done.error().text.find("No such file or directory") != std::string::npos);
}

TEST_CASE("tracer: the last records are told for a crash report") {
  World w;
  w.add(1500, Ev::kMemberJoin, "a.dc1", fields::member(w.name("b.dc1"), w.name("lan")));
  w.add(2500, Ev::kMemberFailed, "a.dc1", fields::member(w.name("b.dc1"), w.name("lan")));
  const auto lines = w.tracer.last_lines(1);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] == "     2.500000000  a.dc1              member-failed     member=b.dc1 pool=lan  #1\n");
}
