#include <doctest/doctest.h>

#include "base/rng.h"
#include "trace/bin_format.h"
#include "trace/convert.h"
#include "trace/output.h"
#include "trace/render.h"
#include "world.h"

using namespace dcsim;
using namespace dcsim::trace;
using namespace dcsim::trace::test;

namespace {

std::string json_of(const Recording& recording) {
  std::string out;
  write_json_lines(recording, [&](std::string_view text) { out += text; });
  return out;
}

std::string bytes_of(const std::string& path) { return read_file(path, 1 << 30).value(); }

std::string trace_bin(const TemporaryFolder& folder, int count, std::vector<Ev> only = {}) {
  World w({.keep = Keep::kFile, .path = folder / "trace.bin", .seed = 42, .only = std::move(only)});
  fill(w, count);
  REQUIRE(w.tracer.finish().ok());
  return folder / "trace.bin";
}

}  // namespace

TEST_CASE("trace.bin: comes back as it was recorded") {
  const TemporaryFolder folder;
  for (const int count : {0, 1, 1024, 3000}) {
    World w;
    fill(w, count);
    const Recording memory = w.tracer.recording();
    const auto file = Recording::load(trace_bin(folder, count));
    REQUIRE(file.ok());
    CHECK(file->complete());
    CHECK(file->seed() == 42);
    CHECK(file->size() == static_cast<std::uint64_t>(count));
    CHECK(json_of(*file) == json_of(memory));
    CHECK(file->checkpoints() == memory.checkpoints());
    CHECK(file->digest()->hex() == w.tracer.digest_hex());
    CHECK(file->recompute()->hex() == w.tracer.digest_hex());
    CHECK(Recording::load(folder.path)->size() == file->size());
  }
}

TEST_CASE("trace.bin: keeps the kinds asked for, under their numbers") {
  const TemporaryFolder folder;
  World w;
  fill(w, 5000);
  const Recording all = w.tracer.recording();
  const auto some = Recording::load(trace_bin(folder, 5000, {Ev::kMemberFailed, Ev::kSuspect}));
  REQUIRE(some.ok());
  CHECK(some->size() == 5000);
  CHECK(some->kept() > 0);
  CHECK_FALSE(some->recompute().has_value());
  std::uint64_t expected = 0;
  all.each([&](std::uint64_t n, const Record& r) {
    const bool wanted =
        r.ev == static_cast<std::uint16_t>(Ev::kMemberFailed) || r.ev == static_cast<std::uint16_t>(Ev::kSuspect);
    const auto found = some->at(n);
    CHECK(found.has_value() == wanted);
    if (found) CHECK(*found == r);
    expected += wanted;
    return true;
  });
  CHECK(some->kept() == expected);
}

TEST_CASE("trace.bin: a run that was killed is read up to its last whole block") {
  const TemporaryFolder folder;
  const std::string whole = bytes_of(trace_bin(folder, 3000));
  REQUIRE(write_file(folder / "cut.bin", std::string_view(whole).substr(0, whole.size() - 40)).ok());
  const auto cut = Recording::load(folder / "cut.bin");
  REQUIRE(cut.ok());
  CHECK_FALSE(cut->complete());
  CHECK(cut->size() == 2048);
}

TEST_CASE("trace.bin: hostile files are errors or harmless, never a crash") {
  const TemporaryFolder folder;
  const std::string good = bytes_of(trace_bin(folder, 1500));
  const auto survives = [&](const std::string& bytes) {
    REQUIRE(write_file(folder / "bad.bin", bytes).ok());
    auto recording = Recording::load(folder / "bad.bin");
    if (recording) (void)json_of(*recording);
    return recording.ok();
  };
  CHECK(survives(good));
  CHECK_FALSE(survives(good.substr(0, 20)));
  std::string version = good;
  version[8] = 9;
  CHECK_FALSE(survives(version));
  std::string many = good;
  many[bin::kHeaderBytes + 8] = '\xff';  // a block of 1279 records
  CHECK_FALSE(survives(many));
  std::string names = good;
  names[bin::kHeaderBytes + 16] = '\xff';
  names[bin::kHeaderBytes + 18] = '\xff';  // more names than bytes
  CHECK_FALSE(survives(names));
  Rng rng(1, "trace", "hostile");
  for (int i = 0; i < 300; ++i) {
    std::string noisy = good;
    for (int k = 0; k < 8; ++k) noisy[rng.below(noisy.size())] = static_cast<char>(rng.next());
    survives(noisy);
    survives(good.substr(0, rng.below(good.size())));
  }
}

TEST_CASE("trace.jsonl: golden lines") {
  World w;
  const Cause start = w.add(0, Ev::kRunStart, "", {.a = w.name("three zones").value, .b = 7});
  const Cause probe =
      w.add(1500, Ev::kProbeSent, "alpha-1.dc1", fields::probe(w.name("beta-2.dc1"), w.name("lan"), 12, 500_ms), start);
  const Cause ping = w.send(1500, "alpha-1.dc1", "beta-2.dc1", "ping", probe);
  w.drop(1501, "alpha-1.dc1", "beta-2.dc1", "core-fw", "tenants-apart", ping);
  w.add(1502, Ev::kLog, "alpha-1.dc1",
        fields::log(LogLevel::kWarn, w.name("said \"no\"\n\x01\xff"), w.name("serf.lan")));
  w.add(1503, Ev::kConnStarted, "alpha-1.dc1",
        fields::connection(w.endpoint("fd00::1", 33000), w.endpoint("fd00::2", 8301)), probe);
  w.add(1504, Ev::kPacketSent, "alpha-1.dc1",
        fields::packet(Proto::kTcp, 0, w.endpoint("alpha-1.dc1", 33000), w.endpoint("beta-2.dc1", 8301), {}, 99, 0x12));
  CHECK(json_of(w.tracer.recording()) ==
        "{\"t\":0,\"n\":0,\"ev\":\"run-start\",\"scenario\":\"three zones\",\"seed\":7}\n"
        "{\"t\":1500000000,\"n\":1,\"ev\":\"probe-sent\",\"node\":\"alpha-1.dc1\",\"member\":\"beta-2.dc1\",\"pool\":"
        "\"lan\",\"seq\":12,\"timeout\":500000000,\"cause\":0}\n"
        "{\"t\":1500000000,\"n\":2,\"ev\":\"packet-sent\",\"node\":\"alpha-1.dc1\",\"proto\":\"udp\",\"bytes\":62,"
        "\"src\":\"alpha-1.dc1:8301\",\"dst\":\"beta-2.dc1:8301\",\"what\":\"ping\",\"cause\":1}\n"
        "{\"t\":1501000000,\"n\":3,\"ev\":\"packet-dropped\",\"node\":\"alpha-1.dc1\",\"proto\":\"udp\",\"bytes\":62,"
        "\"src\":\"alpha-1.dc1:8301\",\"dst\":\"beta-2.dc1:8301\",\"reason\":\"firewall\",\"culprit\":\"core-fw\","
        "\"rule\":\"tenants-apart\",\"cause\":2}\n"
        "{\"t\":1502000000,\"n\":4,\"ev\":\"log\",\"node\":\"alpha-1.dc1\",\"level\":\"warn\",\"subsystem\":\"serf."
        "lan\",\"text\":\"said \\\"no\\\"\\n\\u0001\xef\xbf\xbd\"}\n"
        "{\"t\":1503000000,\"n\":5,\"ev\":\"conn-started\",\"node\":\"alpha-1.dc1\",\"local\":\"[fd00::1]:33000\","
        "\"remote\":\"[fd00::2]:8301\",\"cause\":1}\n"
        "{\"t\":1504000000,\"n\":6,\"ev\":\"packet-sent\",\"node\":\"alpha-1.dc1\",\"proto\":\"tcp\",\"bytes\":0,"
        "\"src\":\"alpha-1.dc1:33000\",\"dst\":\"beta-2.dc1:8301\",\"seq\":99,\"flags\":\"SYN|ACK\"}\n");
}

TEST_CASE("trace.jsonl: the public file alone gives the same records and digest") {
  World w;
  const Cause probe = w.add(1, Ev::kProbeSent, "a.dc1", fields::probe(w.name("b.dc1"), w.name("lan"), 12, 500_ms));
  const Cause ping = w.send(1, "a.dc1", "b.dc1", "ping", probe);
  w.drop(2, "a.dc1", "b.dc1", "core-fw", "tenants-apart", ping);
  w.add(3, Ev::kPushPull, "a.dc1", fields::push_pull(w.name("b.dc1"), w.name("lan"), true, 3, 4, 5_ms));
  w.add(4, Ev::kClock, "a.dc1", {.a = w.name("skew").value, .d = static_cast<std::uint64_t>(-5)});
  w.add(5, Ev::kConnStarted, "a.dc1", fields::connection(w.endpoint("fd00::1", 33000), w.endpoint("fd00::2", 8301)),
        probe);
  w.add(6, Ev::kPacketSent, "a.dc1",
        fields::packet(Proto::kTcp, 0, w.endpoint("a.dc1", 1), w.endpoint("b.dc1", 2), {}, 9, 0x11));
  const Recording memory = w.tracer.recording();
  const std::string text = json_of(memory);
  const auto read = read_jsonl(text);
  REQUIRE_MESSAGE(read.ok(), (read.ok() ? "" : read.error().text));
  CHECK(json_of(*read) == text);
  CHECK(read->recompute()->hex() == w.tracer.digest_hex());
}

TEST_CASE("trace.jsonl: wrong lines are told by their number") {
  const auto error = [](std::string_view text) {
    const auto r = read_jsonl(text);
    return r.ok() ? std::string("fine") : r.error().text;
  };
  const std::string good = "{\"t\":1,\"n\":0,\"ev\":\"note\"}\n";
  CHECK(error(good) == "fine");
  CHECK(error("\n \n" + good) == "fine");
  CHECK(error(good + "{\"t\":1") == "line 2: not a JSON object");
  CHECK(error(good + "[1]") == "line 2: not a JSON object");
  CHECK(error("{\"t\":1,\"n\":0,\"ev\":\"member-faild\"}") == "line 1: unknown event `member-faild`");
  CHECK(error("{\"t\":1.5,\"n\":0,\"ev\":\"note\"}") == "line 1: no time `t` in integer nanoseconds");
  CHECK(error("{\"t\":1,\"n\":-1,\"ev\":\"note\"}") == "line 1: no record number `n`");
  CHECK(error(good + good) == "line 2: record numbers do not ascend");
  CHECK(error("{\"t\":1,\"n\":3,\"ev\":\"note\",\"cause\":3}") == "line 1: a cause that is not before its effect");
  CHECK(error("{\"t\":1,\"n\":3,\"ev\":\"packet-sent\",\"src\":\"nowhere\"}") == "line 1: malformed field `src`");
  CHECK(error("{\"t\":1,\"n\":3,\"ev\":\"packet-sent\",\"proto\":\"ipx\"}") == "line 1: malformed field `proto`");
  CHECK(error(std::string(100'000, '[')) == "line 1: nested too deeply");
  CHECK(error("{\"t\":1,\"n\":4294967294,\"ev\":\"note\"}") == "fine");
  CHECK(error("{\"t\":1,\"n\":4294967295,\"ev\":\"note\"}") == "line 1: no record number `n`");
}

TEST_CASE("recording: paths that hold no trace are errors") {
  const TemporaryFolder folder;
  CHECK(Recording::load(folder.path).error().text == folder.path + ": holds neither trace.bin nor trace.jsonl");
  CHECK(Recording::load(folder / "absent").error().text == (folder / "absent") + ": No such file or directory");
}

TEST_CASE("render: durations read and print as in Go") {
  for (const auto& [ns, text] :
       std::initializer_list<std::pair<std::int64_t, std::string>>{{0, "0s"},
                                                                   {1, "1ns"},
                                                                   {1500, "1.5us"},
                                                                   {250'000'000, "250ms"},
                                                                   {1'500'000'000, "1.5s"},
                                                                   {90'000'000'000, "1m30s"},
                                                                   {3'600'000'000'000, "1h0m0s"},
                                                                   {-5, "-5ns"}}) {
    CHECK(duration_text(ns) == text);
    std::int64_t back = 1;
    if (ns >= 0) {
      CHECK(parse_duration(text, back));
      CHECK(back == ns);
    }
  }
  std::int64_t ns = 0;
  CHECK(parse_duration("12.5", ns));
  CHECK(ns == 12'500'000'000);
  CHECK(parse_duration("1d", ns));
  CHECK(ns == 86'400'000'000'000);
  for (const char* bad : {"", "s", "1x", "1m30", ".", "1..5s", "99999999999s", "9999999999h", "-1s"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_duration(bad, ns));
  }
}

TEST_CASE("record: every kind has a name, a meaning and fields that do not overlap") {
  for (std::size_t i = 0; i < kEvCount; ++i) {
    const KindSpec& kind = kind_spec(static_cast<std::uint16_t>(i));
    CAPTURE(kind.name);
    CHECK(find_kind(kind.name) == static_cast<Ev>(i));
    CHECK_FALSE(kind.meaning.empty());
    Record all{};
    for (const FieldSpec& f : kind.fields()) {
      // Setting one field to ones must not disturb another: each starts from zero and is still readable at the end.
      const std::uint64_t width = f.type == FieldType::kEndpoint ? (std::uint64_t{1} << 48) - 1 : ~std::uint64_t{0};
      Record alone{};
      set_slot(alone, f.slot, f.type == FieldType::kEndpoint ? width : 0xffff);
      CHECK((all.x & alone.x) == 0);
      CHECK((all.a & alone.a) == 0);
      CHECK((all.b & alone.b) == 0);
      CHECK((all.c & alone.c) == 0);
      CHECK((all.d & alone.d) == 0);
      all.x |= alone.x, all.a |= alone.a, all.b |= alone.b, all.c |= alone.c, all.d |= alone.d;
    }
  }
  CHECK(kind_spec(std::uint16_t{9999}).name == "unknown");
  CHECK(kinds_reference().find("packet-dropped") != std::string::npos);
}
