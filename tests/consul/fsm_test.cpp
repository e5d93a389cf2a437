#include "consul/fsm.h"

#include "state_fixture.h"
#include "wire/msgpack.h"

using namespace dcsim;
using namespace dcsim::test::state;

// agent/consul/fsm: fsm.go, commands_ce.go, snapshot.go, snapshot_ce.go.

namespace {

Machine furnished() {
  Machine m;
  RegisterRequest r = with(node("n1", "10.0.0.1", kIdA), service("web1", "web", {"v1"}));
  r.node_meta = {{"rack", "r1"}};
  r.service->weights = Weights{3, 2};
  r.service->meta = {{"version", "1"}};
  r.checks = {check("n1", "serfHealth", "passing"), check("n1", "web-up", "warning", "web1")};
  m(r);
  m(with(node("N2", "10.0.0.2", kIdB), service("Web", "Web")));
  m(with(node("n2", "10.0.0.3", kIdB), service("db", "db")));
  m(with(node("n2", "10.0.0.3", kIdB), service("db", "renamed")));
  m(with(node("n3"), service("web3", "web")));
  m(gone("n3"));
  Session s = held_by("s1", "n1");
  s.node_checks = {"serfHealth"};
  s.lock_delay = 15_s;
  s.ttl = "30s";
  m.session("create", s);
  m.kv("set", "a", "1");
  m.kv("lock", "lock", "held", 0, "s1");
  m.kv("set", "gone", "1");
  m.kv("delete", "gone");
  Coordinate c;
  c.node = "n1";
  c.coord = Coord{{1, 2, 3}, 0.5, 0.25, 1e-5};
  m(Coordinates{c});
  AutopilotSetConfigRequest autopilot;
  autopilot.config.cleanup_dead_servers = true;
  autopilot.config.last_contact_threshold = 200_ms;
  m(autopilot);
  return m;
}

Buffer bytes(std::initializer_list<int> list) { return Buffer(list.begin(), list.end()); }
Applied fatal(std::string text) { return {Applied::Kind::kFatal, false, std::move(text)}; }

Buffer header(std::uint64_t last_index) {
  Buffer out;
  wire::Writer w(out);
  w.map(1);
  w.key("LastIndex");
  w.unsigned_int(last_index);
  return w.finish(), out;
}

}  // namespace

TEST_CASE("fsm: unknown commands are ignored if they say so, else the server must stop") {
  Machine m;
  CHECK(m.fsm.apply(1, {}, bytes({128 | 77, 0x80})) == kDone);
  CHECK(m.fsm.ignored() == 1);
  CHECK(m.fsm.apply(2, {}, bytes({77, 0x80})) == fatal("failed to apply request: []byte{0x4d, 0x80}"));
  CHECK(m.fsm.apply(3, {}, bytes({4, 0})) == fatal("failed to apply request: []byte{0x4, 0x0}"));
  CHECK(m.fsm.ignored() == 1);
}

TEST_CASE("fsm: the ignore flag on a known command is no matter") {
  Machine m;
  Buffer payload;
  append_command(CommandType::kRegister, node("n1"), payload);
  payload[0] |= kIgnoreUnknownType;
  CHECK(m.fsm.apply(1, {}, payload) == kDone);
  CHECK(nodes(m).names == Texts{"n1"});
}

TEST_CASE("fsm: a payload that does not decode stops the server and changes nothing") {
  Machine m = furnished();
  const Buffer before = m.snapshot();
  CHECK(m.fsm.apply(90, {}, {}).kind == Applied::Kind::kFatal);
  for (const int type : {0, 1, 2, 3, 5, 6, 9}) {
    CAPTURE(type);
    CHECK(m.fsm.apply(91, {}, bytes({type})).kind == Applied::Kind::kFatal);
    CHECK(m.fsm.apply(92, {}, bytes({type, 0xc1})).kind == Applied::Kind::kFatal);
    CHECK(m.fsm.apply(93, {}, bytes({type, 0x01})).kind == Applied::Kind::kFatal);
    CHECK(m.fsm.apply(94, {}, bytes({type, 0x81, 0xa4, 'N', 'o'})).text.ends_with("EOF"));
  }
  CHECK(m.fsm.apply(95, {}, bytes({6, 0x91})) == fatal("failed to decode batch updates: EOF"));
  CHECK(m.snapshot() == before);
}

TEST_CASE("fsm: every truncation of a command is refused or applied, never worse") {
  Buffer payload;
  RegisterRequest r = with(node("n1", "10.0.0.1", kIdA), service("web1", "web", {"v1"}));
  r.checks = {check("n1", "web-up", "passing", "web1")};
  append_command(CommandType::kRegister, r, payload);
  for (std::size_t n = 0; n < payload.size(); ++n) {
    Fsm fsm;
    CHECK(fsm.apply(1, {}, ByteView(payload).subspan(0, n)).kind == Applied::Kind::kFatal);
    CHECK(fsm.store().nodes().empty());
  }
}

TEST_CASE("fsm: the same log gives the same bytes") { CHECK(furnished().snapshot() == furnished().snapshot()); }

TEST_CASE("fsm: a snapshot restores everything, with its indexes") {
  Machine m = furnished();
  const Buffer saved = m.snapshot();
  Machine other;
  other(node("stale"));
  REQUIRE_FALSE(other.fsm.restore(saved));
  CHECK(other.snapshot() == saved);

  CHECK(nodes(other) == nodes(m));
  CHECK(nodes(other).names == Texts{"n1", "n2"});
  for (const char* name : {"web", "db", "renamed", "none"}) {
    CAPTURE(name);
    CHECK(instances(other, name) == instances(m, name));
    CHECK(healthy(other, name, false) == healthy(m, name, false));
  }
  CHECK(in_state(other, "any") == in_state(m, "any"));
  CHECK(list(other, "") == list(m, ""));
  CHECK(list(other, "go") == list(m, "go"));
  CHECK(sessions(other) == sessions(m));
  CHECK(other.store().autopilot() == m.store().autopilot());
  CHECK(other.store().node("n1")->services.at("web1").weights == Weights{3, 2});
  CHECK(other.store().node("n1")->services.at("web1").index == RaftIndex{1, 1});
  CHECK(other.store().node_by_id(kIdB)->node.node == "n2");

  // What hangs together still does: the session's check fails, and its lock goes.
  other.index = m.index;
  other(with(node("n1", "10.0.0.1", kIdA), check("n1", "serfHealth", "critical")));
  CHECK(sessions(other).names.empty());
  CHECK(get(other, "lock").entries[0].session.empty());
}

TEST_CASE("fsm: a restored server and one that applied the log stay equal") {
  Machine m = furnished();
  Machine other;
  REQUIRE_FALSE(other.fsm.restore(m.snapshot()));
  other.index = m.index;
  for (Machine* each : {&m, &other}) {
    (*each)(with(node("n2", "10.0.0.4", kIdB), service("db", "db", {"x"})));
    (*each)(gone("n1", "web1"));
    each->kv("delete-tree", "");
    each->session("destroy", held_by("s1", ""));
    (*each)(gone("n1"));
  }
  CHECK(m.snapshot() == other.snapshot());
}

TEST_CASE("fsm: an empty store has a snapshot too") {
  Machine m;
  const Buffer saved = m.snapshot();
  Buffer expected = header(0);
  const Buffer chunks = bytes({29, 0x81, 0xa8, 'C', 'h', 'u', 'n', 'k', 'M', 'a', 'p', 0x80});
  expected.insert(expected.end(), chunks.begin(), chunks.end());
  CHECK(saved == expected);
  Machine other = furnished();
  CHECK_FALSE(other.fsm.restore(saved));
  CHECK(other.snapshot() == saved);
}

TEST_CASE("fsm: restoring wakes every waiter and forgets lock delays") {
  Machine m = furnished();
  m.now = Instant{} + 5_s;
  m.session("destroy", held_by("s1", ""));
  CHECK(m.store().kv().lock_delay("lock") == Instant{} + 20_s);
  WatchSet watch;
  get(m, "whatever", &watch);
  const WaiterId id = m.store().watchers().wait(watch);
  REQUIRE_FALSE(m.fsm.restore(m.snapshot()));
  std::vector<WaiterId> woken;
  m.store().watchers().take_woken(woken);
  CHECK(woken == std::vector<WaiterId>{id});
  CHECK(m.store().kv().lock_delay("lock") == Instant{});
  CHECK(m.store().watchers().wait(watch) > id);  // IDs go on
}

TEST_CASE("fsm: a snapshot row of an unknown type is refused as Consul refuses it") {
  Machine m;
  Buffer snapshot = header(5);
  const std::size_t at = snapshot.size();
  snapshot.insert(snapshot.end(), {77, 0x80});
  CHECK(m.fsm.restore(snapshot)->text == "msg type <77> is a Consul Enterprise log entry. Consul CE cannot restore it");
  snapshot[at] = 50;
  CHECK(m.fsm.restore(snapshot)->text == "Unrecognized msg type 50");
  snapshot[at] = 1;  // a deregistration is a command, not state
  CHECK(m.fsm.restore(snapshot)->text == "Unrecognized msg type 1");
}

TEST_CASE("fsm: a snapshot that does not hang together is refused, and the old state stays") {
  Machine m = furnished();
  const Buffer before = m.snapshot();
  Session orphan = held_by("s9", "nowhere");
  Buffer snapshot = header(5);
  append_command(CommandType::kSession, orphan, snapshot);
  CHECK(m.fsm.restore(snapshot)->text == "Missing node registration");
  snapshot = header(5);
  append_command(CommandType::kRegister, with(node("n1"), check("n1", "c", "passing", "web1")), snapshot);
  CHECK(m.fsm.restore(snapshot)->text.ends_with("Missing service registration"));
  snapshot = header(5);
  append_command(CommandType::kKvs, DirEntry{}, snapshot);
  CHECK(m.fsm.restore(snapshot));
  CHECK(m.fsm.restore({}));
  CHECK(m.snapshot() == before);
}

TEST_CASE("fsm: a truncated snapshot is refused unless it ends between two rows; flipped bytes do no harm") {
  const Machine source = furnished();
  const Buffer saved = source.snapshot();
  Machine m = furnished();
  std::size_t refused_cuts = 0;
  for (std::size_t n = 0; n < saved.size(); ++n) {
    Fsm fsm;
    const auto error = fsm.restore(ByteView(saved).subspan(0, n));
    if (error) {
      ++refused_cuts;
      CHECK(fsm.store().nodes().empty());
    }
  }
  CHECK(refused_cuts > saved.size() * 9 / 10);
  for (std::size_t at = 0; at < saved.size(); ++at)
    for (const std::uint8_t mask : {0x01, 0x80, 0xff}) {
      Buffer bent = saved;
      bent[at] ^= mask;
      Fsm fsm;
      if (fsm.restore(bent)) continue;
      // Accepted: then it is a state like any other, which can be saved and read again.
      Buffer once;
      fsm.snapshot(once);
      Fsm again;
      REQUIRE_FALSE(again.restore(once));
    }
}

TEST_CASE("fsm: a row that claims a huge list costs no memory") {
  Fsm fsm;
  Buffer snapshot = header(1);
  snapshot.insert(snapshot.end(), {6, 0xdd, 0xff, 0xff, 0xff, 0xff});
  CHECK(fsm.restore(snapshot));
  CHECK(fsm.apply(1, {}, bytes({6, 0xdd, 0xff, 0xff, 0xff, 0xff})).kind == Applied::Kind::kFatal);
}
