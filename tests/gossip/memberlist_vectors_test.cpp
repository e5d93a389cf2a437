// Replays what memberlist itself did: arithmetic, broadcast queue and message rules, step by step.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "gossip/broadcast_queue.h"
#include "gossip/formulas.h"
#include "gossip/memberlist.h"
#include "harness.h"
#include "support/vectors.h"
#include "wire/stream.h"

namespace dcsim::gossip {

struct MemberlistInspector {
  static BroadcastQueue& queue(Memberlist& m) { return m.queue_; }
  static Suspicions& suspicions(Memberlist& m) { return m.suspicions_; }
  static MemberTable& table(Memberlist& m) { return m.table_; }
  /// No timers: the scripts drive the rules alone.
  static void stop_timers(Memberlist& m) {
    m.probe_ticker_.next = Instant::never();
    m.push_pull_next_ = Instant::never();
    m.config_.gossip_interval = Duration{0};
    m.next_deadline_ = Instant::never();
  }
};

}  // namespace dcsim::gossip

using namespace dcsim;
using namespace dcsim::gossip;
using test::from_hex;
using test::Json;
using test::to_hex;

namespace {

std::int64_t integer(const Json& j) { return j.get<std::int64_t>(); }

/// "hex:..." or null.
wire::OptBytes bytes_field(const Json& j, Buffer& store) {
  if (j.is_null()) return {};
  store = from_hex(j.get<std::string>().substr(4));
  return ByteView(store);
}

class ScriptDelegate : public test::EventLog {
 public:
  bool has_merge_delegate() const override { return true; }
  bool has_alive_delegate() const override { return alive_errors_used; }
  bool has_user_data() const override { return meta_used; }
  void node_meta(std::size_t, Buffer& out) override { out.insert(out.end(), meta.begin(), meta.end()); }
  std::optional<Error> notify_merge(std::span<const NodeView>) override { return merge_error; }
  std::optional<Error> notify_alive(const NodeView& node) override {
    const auto it = alive_errors.find(std::string(node.name));
    return it == alive_errors.end() ? std::nullopt : std::optional(Error{it->second});
  }

  Buffer meta;
  std::optional<Error> merge_error;
  std::map<std::string, std::string> alive_errors;
  // The recorded node had no delegates but those that its script needs.
  bool alive_errors_used = false;
  bool meta_used = false;
};

class Script {
 public:
  explicit Script(const Json& vector)
      : port_(net_.port("self", endpoint(vector), directory_)), step_(vector.at("id").get<std::string>()) {
    MemberlistConfig config = MemberlistConfig::lan();
    config.name = vector.at("local_node").get<std::string>();
    config.advertise = endpoint(vector);
    config.suspicion_mult = vector.at("suspicion_mult").get<int>();
    config.probe_interval = Duration{integer(vector.at("probe_interval_ms")) * 1'000'000};
    config.dead_node_reclaim_time = Duration{integer(vector.at("dead_node_reclaim_s")) * 1'000'000'000};
    for (const Json& step : vector.at("steps")) {
      delegate_.alive_errors_used |= step.at("op") == "set_alive_delegate_error";
      delegate_.meta_used |= step.at("op") == "update_local_meta";
    }
    list_ = std::make_unique<Memberlist>(config, directory_, workspace_, port_, delegate_, 1, "self");
    port_.attach(*list_);
    list_->start(now_);
    MemberlistInspector::stop_timers(*list_);
    MemberlistInspector::queue(*list_).clear();
    delegate_.events.clear();
  }

  void run(const Json& step) {
    const std::string op = step.at("op").get<std::string>();
    INFO(step_, " ", op, " ", step.dump());
    delegate_.events.clear();
    now_ += Duration{1};
    Buffer message, a, m, v;
    if (op == "alive") {
      wire::Alive alive;
      const std::string node = step.at("Node").get<std::string>();
      alive.addr = bytes_field(step.at("Addr"), a);
      alive.incarnation = static_cast<std::uint32_t>(integer(step.at("Incarnation")));
      alive.meta = bytes_field(step.at("Meta"), m);
      alive.node = node;
      alive.port = static_cast<std::uint16_t>(integer(step.at("Port")));
      alive.vsn = bytes_field(step.at("Vsn"), v);
      wire::encode(alive, message);
      list_->on_packet(now_, test::address(99), Bytes(message));
    } else if (op == "suspect" || op == "dead") {
      const std::string node = step.at("Node").get<std::string>(), from = step.at("From").get<std::string>();
      const auto incarnation = static_cast<std::uint32_t>(integer(step.at("Incarnation")));
      op == "suspect" ? wire::encode(wire::Suspect{from, incarnation, node}, message)
                      : wire::encode(wire::Dead{from, incarnation, node}, message);
      list_->on_packet(now_, test::address(99), Bytes(message));
    } else if (op == "merge_remote_state") {
      merge(step);
    } else if (op == "drain_queue") {
      MemberlistInspector::queue(*list_).clear();
    } else if (op == "age_state_change") {
      const MemberId id = directory_.find(step.at("Node").get<std::string>());
      MemberTable& table = MemberlistInspector::table(*list_);
      table.set_state(id, table.state(id), now_ - Duration{integer(step.at("seconds")) * 1'000'000'000});
    } else if (op == "set_alive_delegate_error") {
      delegate_.alive_errors[step.at("Node").get<std::string>()] = step.at("error").get<std::string>();
    } else if (op == "leave_local_only") {
      list_->leave(now_, Duration{1'000'000'000'000});
      MemberlistInspector::stop_timers(*list_);
    } else if (op == "update_local_meta") {
      delegate_.meta = from_hex(step.at("Meta").get<std::string>().substr(4));
      list_->update_node(now_, Duration{1'000'000'000'000});
      MemberlistInspector::stop_timers(*list_);
    } else {
      FAIL("unknown step ", op);
    }
    if (step.contains("expect")) compare(step.at("expect"));
  }

 private:
  static Endpoint endpoint(const Json& vector) {
    const Buffer bytes = from_hex(vector.at("local_addr").get<std::string>().substr(4));
    return {*Address::from_bytes(bytes), static_cast<std::uint16_t>(integer(vector.at("local_port")))};
  }

  void merge(const Json& step) {
    std::deque<Buffer> stores;
    std::deque<std::string> names;
    std::vector<wire::PushNodeState> nodes;
    const auto field = [&](const Json& j) { return bytes_field(j, stores.emplace_back()); };
    for (const Json& n : step.at("nodes")) {
      wire::PushNodeState node;
      node.addr = field(n.at("Addr"));
      node.incarnation = static_cast<std::uint32_t>(integer(n.at("Incarnation")));
      node.meta = field(n.at("Meta"));
      node.name = names.emplace_back(n.at("Name").get<std::string>());
      node.port = static_cast<std::uint16_t>(integer(n.at("Port")));
      node.state = integer(n.at("State"));
      node.vsn = field(n.at("Vsn"));
      nodes.push_back(node);
    }
    delegate_.merge_error.reset();
    if (step.contains("merge_delegate_error") && !step.at("merge_delegate_error").get<std::string>().empty()) {
      delegate_.merge_error = Error{step.at("merge_delegate_error").get<std::string>()};
    }
    Buffer frame;
    wire::append_push_pull(step.at("join").get<bool>(), nodes, {}, frame);
    const StreamId id{next_stream_++};
    list_->on_stream_accepted(now_, id, test::address(99));
    const std::size_t before = net_.records.size();
    list_->on_stream_data(now_, id, Bytes(frame));
    const test::FakeNet::Record* refused = net_.first(NoticeKind::kMergeRefused, "", "", before);
    const std::string error = refused ? refused->text : "";
    if (step.contains("expect_error_pattern")) {
      const std::string pattern = step.at("expect_error_pattern").get<std::string>();
      const std::size_t hole = pattern.find("<name>");
      CHECK(error.starts_with(pattern.substr(0, hole)));
      CHECK(error.ends_with(pattern.substr(hole + 6)));
      CHECK(error.size() >= pattern.size() - 6);
    } else if (step.contains("expect_error") && step.at("expect_error").is_string()) {
      CHECK(error == step.at("expect_error").get<std::string>());
    } else {
      CHECK(error == "");
    }
  }

  void compare(const Json& expect) {
    CHECK(static_cast<std::int64_t>(list_->num_nodes()) == integer(expect.at("est_num_nodes")));
    CHECK(list_->health_score() == expect.at("health_score").get<int>());
    std::vector<std::string> events;
    for (const Json& e : expect.at("events")) events.push_back(e.get<std::string>());
    CHECK(delegate_.events == events);
    compare_nodes(expect.at("nodes"));
    compare_queue(expect.at("queue"));
    compare_timers(expect.at("timers"));
  }

  void compare_nodes(const Json& nodes) {
    const MemberTable& table = list_->table();
    CHECK(table.size() == nodes.size());
    for (const Json& n : nodes) {
      const std::string name = n.at("name").get<std::string>();
      INFO(name);
      const MemberId id = directory_.find(name);
      REQUIRE(id.valid());
      REQUIRE(table.contains(id));
      const NodeView view = table.view(id);
      Buffer a, m, v;
      CHECK(to_hex(view.address.bytes()) == to_hex(bytes_field(n.at("addr"), a).data));
      CHECK(view.port == n.at("port").get<int>());
      CHECK(static_cast<int>(view.state) == n.at("state").get<int>());
      CHECK(static_cast<std::int64_t>(view.incarnation) == integer(n.at("inc")));
      CHECK(to_hex(view.meta) == to_hex(bytes_field(n.at("meta"), m).data));
      CHECK(to_hex(view.vsn) == to_hex(bytes_field(n.at("vsn"), v).data));
    }
  }

  void compare_queue(const Json& expected) {
    const BroadcastQueue& queue = MemberlistInspector::queue(*list_);
    REQUIRE(queue.size() == (expected.is_null() ? 0 : expected.size()));
    for (std::size_t i = 0; i < queue.size(); ++i) {
      CHECK(queue.at(i).key == name_hash(expected.at(i).at("key").get<std::string>()));
      CHECK(queue.at(i).transmits == expected.at(i).at("transmits").get<std::uint32_t>());
      CHECK(to_hex(queue.at(i).message) == expected.at(i).at("hex").get<std::string>());
    }
  }

  void compare_timers(const Json& expected) {
    Suspicions& suspicions = MemberlistInspector::suspicions(*list_);
    CHECK(suspicions.size() == (expected.is_null() ? 0 : expected.size()));
    if (expected.is_null()) return;
    for (const Json& t : expected) {
      const Suspicion* s = suspicions.find(directory_.find(t.at("node").get<std::string>()));
      REQUIRE(s != nullptr);
      CHECK(std::max(s->wanted, 0) == t.at("k").get<int>());
      CHECK(s->confirmed == t.at("n").get<int>());
      CHECK(s->min.ns == integer(t.at("min_ns")));
      CHECK(s->max.ns == integer(t.at("max_ns")));
      std::vector<std::string> from, want;
      for (const MemberId id : s->accusers) from.emplace_back(directory_.name(id));
      for (const Json& f : t.at("from_set")) want.push_back(f.get<std::string>());
      std::sort(from.begin(), from.end());
      std::sort(want.begin(), want.end());
      CHECK(from == want);
    }
  }

  test::FakeNet net_;
  Directory directory_;
  Workspace workspace_;
  test::FakeNet::Port& port_;
  ScriptDelegate delegate_;
  std::unique_ptr<Memberlist> list_;
  std::string step_;
  Instant now_{1'000'000'000};
  std::uint32_t next_stream_ = 0;
};

}  // namespace

TEST_CASE("memberlist vectors: retransmit limit, suspicion timeout and push/pull scale for every recorded table size") {
  const Json file = test::load_vectors("formulas.json");
  REQUIRE(!file.at("vectors").empty());
  for (const Json& v : file.at("vectors")) {
    if (v.at("type") != "formula") continue;
    const auto n = static_cast<std::uint32_t>(integer(v.at("n")));
    CAPTURE(n);
    for (const int mult : {2, 4, 6}) {
      const std::string key = "retransmitLimit_mult" + std::to_string(mult);
      if (v.contains(key))
        CHECK(retransmit_limit(static_cast<std::uint32_t>(mult), n) == v.at(key).get<std::uint32_t>());
    }
    const auto timeout = [&](const MemberlistConfig& c) {
      return suspicion_timeout(c.suspicion_mult, n, c.probe_interval).ns;
    };
    CHECK(timeout(MemberlistConfig::lan()) == integer(v.at("suspicionTimeout_ns_lan")));
    CHECK(timeout(MemberlistConfig::wan()) == integer(v.at("suspicionTimeout_ns_wan")));
    CHECK(timeout(MemberlistConfig::local()) == integer(v.at("suspicionTimeout_ns_local")));
    CHECK(push_pull_scale(Duration{30'000'000'000}, n).ns == integer(v.at("pushPullScale_ns_30s")));
    CHECK(push_pull_scale(Duration{60'000'000'000}, n).ns == integer(v.at("pushPullScale_ns_60s")));
  }
}

TEST_CASE("memberlist vectors: remaining suspicion time for every recorded confirmation count") {
  const Json file = test::load_vectors("formulas.json");
  REQUIRE(!file.at("vectors").empty());
  for (const Json& v : file.at("vectors")) {
    if (v.at("type") != "remainingSuspicionTime") continue;
    CAPTURE(v.dump());
    const Duration left =
        remaining_suspicion_time(v.at("n").get<int>(), v.at("k").get<int>(), {integer(v.at("elapsed_ns"))},
                                 {integer(v.at("min_ns"))}, {integer(v.at("max_ns"))});
    CHECK(left.ns == integer(v.at("remaining_ns")));
  }
}

TEST_CASE("memberlist suspicion.go: a ratio on the edge of a millisecond is cut the same everywhere") {
  CHECK(remaining_suspicion_time(1, 3, {0}, {2'000'000'000}, {30'000'000'000}) == Duration{16'000'000'000});
}

TEST_CASE("memberlist vectors: the transmit-limited queue sends and finishes what memberlist's did") {
  const Json file = test::load_vectors("broadcast_queue.json");
  REQUIRE(!file.at("vectors").empty());
  for (const Json& v : file.at("vectors")) {
    BroadcastQueue queue(static_cast<std::uint32_t>(integer(v.at("retransmit_mult"))));
    const auto nodes = static_cast<std::uint32_t>(integer(v.at("num_nodes")));
    std::map<std::uint32_t, std::string> ids;
    std::map<const std::uint8_t*, std::string> sent_ids;
    for (const Json& step : v.at("steps")) {
      INFO(v.at("id").get<std::string>(), " ", step.dump());
      const std::string op = step.at("op").get<std::string>();
      queue.clear_finished();
      if (op == "named" || op == "unique") {
        const auto tag = static_cast<std::uint32_t>(ids.size() + 1);
        ids[tag] = step.at("id").get<std::string>();
        Bytes message{ByteView(Buffer(step.at("size").get<std::size_t>(), 0x55))};
        sent_ids[message.data()] = ids[tag];
        if (op == "named") {
          queue.queue(name_hash(step.at("name").get<std::string>()), std::move(message), {}, tag);
        } else {
          queue.queue_unique(std::move(message), {}, tag);
        }
      } else if (op == "get") {
        Outgoing out;
        queue.get(nodes, step.at("overhead").get<std::size_t>(), step.at("limit").get<std::size_t>(), out);
        std::vector<std::string> sent, expected;
        for (const Bytes& b : out.parts) sent.push_back(sent_ids.at(b.data()));
        if (!step.at("expect_sent").is_null()) expected = step.at("expect_sent").get<std::vector<std::string>>();
        CHECK(sent == expected);
      } else if (op == "prune") {
        queue.prune(step.contains("keep") ? step.at("keep").get<std::size_t>()
                                          : step.at("max_retain").get<std::size_t>());
      } else if (op == "num") {
        CHECK(queue.size() == step.at("expect_num").get<std::size_t>());
      } else {
        FAIL("unknown step ", op);
      }
      if (step.contains("expect_finished")) {
        std::vector<std::string> finished;
        for (const BroadcastTag tag : queue.finished()) finished.push_back(ids.at(tag));
        CHECK(finished == step.at("expect_finished").get<std::vector<std::string>>());
      }
    }
  }
}

TEST_CASE("memberlist vectors: alive, suspect, dead and merged state change a node as they changed memberlist's") {
  const Json file = test::load_vectors("membership_state.json");
  REQUIRE(!file.at("vectors").empty());
  for (const Json& v : file.at("vectors")) {
    Script script(v);
    for (const Json& step : v.at("steps")) script.run(step);
  }
}
