// Replays what memberlist itself did: arithmetic, broadcast queue and message rules, step by step.
#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <sstream>

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
  /// Ports of 0 stay: filling them in is a matter of reading packets and streams, not of the rules.
  static void keep_ports(Memberlist& m) { m.config_.bind_port = 0; }

  // The rules themselves, as whoever recorded them called them.
  static void alive(Memberlist& m, Instant now, const wire::Alive& alive) {
    const auto claim = Memberlist::claim_of(alive);
    REQUIRE(claim);
    within(m, now, [&] { m.alive_node(now, *claim, false, 0); });
  }
  static void suspect(Memberlist& m, Instant now, const wire::Suspect& s) {
    within(m, now, [&] { m.suspect_node(now, s.node, s.incarnation, s.from); });
  }
  static void dead(Memberlist& m, Instant now, const wire::Dead& d) {
    within(m, now, [&] { m.dead_node(now, d.node, d.incarnation, d.from); });
  }
  static std::optional<Error> merge(Memberlist& m, Instant now, bool join, std::span<const wire::PushNodeState> nodes) {
    wire::StreamFrame frame;
    frame.type = wire::MessageType::kPushPull;
    frame.header.join = join;
    frame.nodes = nodes;
    std::optional<Error> error;
    within(m, now, [&] { error = m.merge_remote(now, frame); });
    return error;
  }

 private:
  template <class Act>
  static void within(Memberlist& m, Instant now, Act act) {
    const bool outer = m.enter(now);
    act();
    m.settle(now, outer);
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
    MemberlistInspector::keep_ports(*list_);
    MemberlistInspector::queue(*list_).reset();
    delegate_.events.clear();
  }

  void run(const Json& step) {
    const std::string op = step.at("op").get<std::string>();
    INFO(step_, " ", op, " ", step.dump());
    delegate_.events.clear();
    now_ += Duration{1};
    Buffer a, m, v;
    if (op == "alive") {
      test::only_keys(step, {"op", "expect", "Addr", "Incarnation", "Meta", "Node", "Port", "Vsn"});
      wire::Alive alive;
      const std::string node = step.at("Node").get<std::string>();
      alive.addr = bytes_field(step.at("Addr"), a);
      alive.incarnation = static_cast<std::uint32_t>(integer(step.at("Incarnation")));
      alive.meta = bytes_field(step.at("Meta"), m);
      alive.node = node;
      alive.port = static_cast<std::uint16_t>(integer(step.at("Port")));
      alive.vsn = bytes_field(step.at("Vsn"), v);
      MemberlistInspector::alive(*list_, now_, alive);
    } else if (op == "suspect" || op == "dead") {
      test::only_keys(step, {"op", "expect", "From", "Incarnation", "Node"});
      const std::string node = step.at("Node").get<std::string>(), from = step.at("From").get<std::string>();
      const auto incarnation = static_cast<std::uint32_t>(integer(step.at("Incarnation")));
      op == "suspect" ? MemberlistInspector::suspect(*list_, now_, {from, incarnation, node})
                      : MemberlistInspector::dead(*list_, now_, {from, incarnation, node});
    } else if (op == "merge_remote_state") {
      merge(step);
    } else if (op == "drain_queue") {
      test::only_keys(step, {"op", "expect"});
      MemberlistInspector::queue(*list_).reset();
    } else if (op == "age_state_change") {
      test::only_keys(step, {"op", "expect", "Node", "seconds"});
      const MemberId id = directory_.find(step.at("Node").get<std::string>());
      MemberTable& table = MemberlistInspector::table(*list_);
      table.set_state(id, table.state(id), now_ - Duration{integer(step.at("seconds")) * 1'000'000'000});
    } else if (op == "set_alive_delegate_error") {
      test::only_keys(step, {"op", "expect", "Node", "error"});
      const std::string node = step.at("Node").get<std::string>();
      const Json& error = step.at("error");
      delegate_.alive_errors.erase(node);
      if (error.is_string() && error != "") delegate_.alive_errors[node] = error.get<std::string>();
    } else if (op == "leave_local_only") {
      test::only_keys(step, {"op", "expect"});
      list_->leave(now_, Duration{1'000'000'000'000});
      MemberlistInspector::stop_timers(*list_);
    } else if (op == "update_local_meta") {
      test::only_keys(step, {"op", "expect", "Meta"});
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
    test::only_keys(step, {"op", "expect", "join", "nodes", "merge_delegate_error", "expect_error", "expect_error_pattern"});
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
    const std::optional<Error> refused = MemberlistInspector::merge(*list_, now_, step.at("join").get<bool>(), nodes);
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
    test::only_keys(expect, {"est_num_nodes", "health_score", "events", "nodes", "queue", "timers"});
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
      test::only_keys(n, {"name", "addr", "port", "state", "inc", "meta", "vsn"});
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
      test::only_keys(expected.at(i), {"key", "transmits", "hex"});
      const std::string key = expected.at(i).at("key").get<std::string>();
      CHECK(queue.at(i).key == (key.empty() ? 0 : name_hash(key)));
      CHECK(queue.at(i).transmits == expected.at(i).at("transmits").get<std::uint32_t>());
      CHECK(to_hex(queue.at(i).message) == expected.at(i).at("hex").get<std::string>());
    }
  }

  void compare_timers(const Json& expected) {
    Suspicions& suspicions = MemberlistInspector::suspicions(*list_);
    CHECK(suspicions.size() == (expected.is_null() ? 0 : expected.size()));
    if (expected.is_null()) return;
    for (const Json& t : expected) {
      test::only_keys(t, {"node", "k", "n", "min_ns", "max_ns", "from_set"});
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
};

/// One script against the broadcast queue.
class QueueScript {
 public:
  explicit QueueScript(const Json& vector)
      : vector_(vector),
        queue_(static_cast<std::uint32_t>(integer(vector.at("retransmit_mult")))),
        nodes_(static_cast<std::uint32_t>(integer(vector.at("num_nodes")))) {
    test::only_keys(vector, {"id", "type", "num_nodes", "retransmit_mult", "steps"});
  }

  void run() {
    for (const Json& step : vector_.at("steps")) {
      INFO(vector_.at("id").get<std::string>(), " ", step.dump());
      queue_.clear_finished();
      perform(step, step.at("op").get<std::string>());
      if (step.contains("expect_num")) CHECK(static_cast<std::int64_t>(queue_.size()) == integer(step.at("expect_num")));
      if (!step.contains("expect_finished")) continue;
      std::vector<std::string> finished;
      for (const BroadcastTag tag : queue_.finished()) finished.push_back(ids_[tag - 1]);
      CHECK(finished == texts(step.at("expect_finished")));
    }
  }

 private:
  static std::vector<std::string> texts(const Json& list) {
    return list.is_null() ? std::vector<std::string>{} : list.get<std::vector<std::string>>();
  }

  void perform(const Json& step, const std::string& op) {
    if (op == "named" || op == "unique") {
      test::only_keys(step, {"op", "expect_finished", "expect_num", "id", "name", "size"});
      Bytes message{ByteView(Buffer(step.at("size").get<std::size_t>(), 0x55))};
      ids_.push_back(step.at("id").get<std::string>());
      messages_.push_back(message);
      const auto tag = static_cast<BroadcastTag>(ids_.size());
      const std::string name = op == "named" ? step.at("name").get<std::string>() : "";  // an empty one is none
      name.empty() ? queue_.queue_unique(message, {}, tag) : queue_.queue(name_hash(name), message, {}, tag);
    } else if (op == "get") {
      test::only_keys(step, {"op", "expect_finished", "expect_num", "expect_sent", "limit", "overhead"});
      const auto size = [&](const char* key) { return static_cast<std::size_t>(std::max<std::int64_t>(0, integer(step.at(key)))); };
      Outgoing out;
      queue_.get(nodes_, size("overhead"), size("limit"), out);
      std::vector<std::string> sent;
      for (const Bytes& b : out.parts) sent.push_back(id_of(b));
      CHECK(sent == texts(step.at("expect_sent")));
    } else if (op == "prune") {
      std::int64_t keep = -1;  // the number in it, whatever it is called
      for (const auto& item : step.items()) {
        if (item.value().is_number() && item.key() != "expect_num") keep = item.value().get<std::int64_t>();
      }
      REQUIRE(keep >= 0);
      queue_.prune(static_cast<std::size_t>(keep));
    } else if (op == "reset") {
      queue_.reset();
    } else if (op == "num") {
      test::only_keys(step, {"op", "expect_finished", "expect_num"});
      REQUIRE(step.contains("expect_num"));
    } else {
      FAIL("unknown step ", op);
    }
  }

  const std::string& id_of(const Bytes& message) const {
    for (std::size_t i = 0; i < messages_.size(); ++i) {
      if (messages_[i].data() == message.data()) return ids_[i];
    }
    FAIL("sent what was never queued");
    return ids_[0];
  }

  const Json& vector_;
  BroadcastQueue queue_;
  std::uint32_t nodes_;
  std::vector<std::string> ids_;  // by tag - 1
  std::vector<Bytes> messages_;
};

/// The same from the shorthand of a test: "named n1 30; get 60 -> a". Ids are a, b, c, ... in the order of queueing.
Json queue_script(std::string_view steps, int nodes = 3) {
  Json vector = {{"id", steps}, {"num_nodes", nodes}, {"retransmit_mult", 4}, {"steps", Json::array()}};
  char id = 'a';
  std::istringstream all{std::string(steps)};
  for (std::string line; std::getline(all, line, ';');) {
    std::istringstream words(line.substr(0, line.find("->")));
    std::vector<std::string> w{std::istream_iterator<std::string>(words), {}}, marks;
    if (const auto arrow = line.find("->"); arrow != std::string::npos) {
      std::istringstream rest(line.substr(arrow + 2));
      marks.assign(std::istream_iterator<std::string>(rest), {});
    }
    Json step = {{"op", w.at(0)}};
    if (w[0] == "named") step.update({{"id", std::string(1, id++)}, {"name", w.at(1)}, {"size", std::stoi(w.at(2))}});
    if (w[0] == "unique") step.update({{"id", std::string(1, id++)}, {"size", std::stoi(w.at(1))}});
    if (w[0] == "get") step.update({{"overhead", 2}, {"limit", std::stoi(w.at(1))}, {"expect_sent", marks}});
    if (w[0] == "prune") step["keep"] = std::stoi(w.at(1));
    if (w[0] == "num") step["expect_num"] = std::stoi(w.at(1));
    if (w[0] != "get" && w[0] != "num") step["expect_finished"] = marks;
    vector["steps"].push_back(step);
  }
  return vector;
}

}  // namespace

TEST_CASE("memberlist queue.go: equal lengths go newest first, where ids start anew whenever the queue runs empty") {
  for (const char* steps : {
           // The second n1 takes id 2 before the first one goes and the ids start anew, so n2 with id 1 is older to it.
           "named n1 30; named n1 30 -> a; named n2 30; get 60 -> b; get 60 -> c",
           "named n1 30; named n2 30; get 60 -> b; get 60 -> a",
           // Everything is taken out before it is put back: c gets the id that a has, but not its tier.
           "named n1 30; unique 30; get 1000 -> b a; named n3 30; get 1000 -> c b a",
           // At length c comes where a is, in its tier, and a is lost without a word.
           "named n1 30; get 1000 -> a; named n2 30; get 40 -> b; num 1; get 1000 -> b",
           // The name of what was lost is still known: the next n1 finishes it, and takes what is in its place away.
           "named n1 30; get 1000 -> a; named n2 30; get 40 -> b; named n1 31 -> a; num 1; get 1000 -> c",
           "unique 30; get 1000 -> a; unique 30; get 40 -> b; num 1; prune 0 -> b; num 0; unique 30; get 40 -> c",
           // Pruned to nothing, the ids start anew as well.
           "unique 30; unique 30; prune 0 -> a b; named n1 30; named n2 30; get 1000 -> d c",
           "unique 10; unique 20; unique 20; prune 2 -> a; prune 1 -> b; get 1000 -> c",
           "named n1 10; unique 10; named n1 10 -> a; get 1000 -> c b; reset -> c b; num 0",
       }) {
    QueueScript(queue_script(steps)).run();
  }
}

TEST_CASE("memberlist queue.go: a burst's room is given back, and the queue works as before") {
  BroadcastQueue queue(1);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 5000; ++i) queue.queue(name_hash(std::to_string(i)), Bytes(Buffer(40, 1)));
    CHECK(queue.heap_bytes() > 5000 * 40);
    Outgoing out;
    if (round == 2) {
      queue.prune(0);
    } else {
      queue.get(3, 2, 5000 * 42, out);
      CHECK(out.parts.size() == 5000);
    }
    CHECK(queue.empty());
    CHECK(queue.heap_bytes() < 256 * 1024);
  }
}

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
    test::only_keys(v, {"id", "type", "n", "k", "elapsed_ns", "min_ns", "max_ns", "remaining_ns"});
    const Duration left =
        remaining_suspicion_time(v.at("n").get<int>(), v.at("k").get<int>(), {integer(v.at("elapsed_ns"))},
                                 {integer(v.at("min_ns"))}, {integer(v.at("max_ns"))});
    CHECK(left.ns == integer(v.at("remaining_ns")));
  }
}

TEST_CASE("memberlist suspicion.go: a ratio on the edge of a millisecond is cut the same everywhere") {
  CHECK(remaining_suspicion_time(1, 3, {0}, {2'000'000'000}, {30'000'000'000}) == Duration{16'000'000'000});
}

TEST_CASE("memberlist suspicion.go: with no confirmation wanted the time is the minimum, with many it still shrinks") {
  const Duration min{2'000'000'000}, max{30'000'000'000};
  CHECK(remaining_suspicion_time(0, 0, {0}, min, max) == min);
  CHECK(remaining_suspicion_time(2, 0, {500'000'000}, min, max) == Duration{1'500'000'000});
  CHECK(remaining_suspicion_time(1, -1, {0}, min, max) == max);
  CHECK(remaining_suspicion_time(0, -2, {0}, min, max) == min);
  CHECK(remaining_suspicion_time(0, 99, {0}, min, max) == max);
  CHECK(remaining_suspicion_time(9, 99, {0}, min, max) == Duration{16'000'000'000});  // ln 10 is half of ln 100
  CHECK(remaining_suspicion_time(99, 99, {0}, min, max) == min);
}

TEST_CASE("memberlist vectors: the transmit-limited queue sends and finishes what memberlist's did") {
  const Json file = test::load_vectors("broadcast_queue.json");
  REQUIRE(!file.at("vectors").empty());
  for (const Json& v : file.at("vectors")) QueueScript(v).run();
}

TEST_CASE("memberlist vectors: alive, suspect, dead and merged state change a node as they changed memberlist's") {
  const Json file = test::load_vectors("membership_state.json");
  REQUIRE(!file.at("vectors").empty());
  for (const Json& v : file.at("vectors")) {
    Script script(v);
    for (const Json& step : v.at("steps")) script.run(step);
  }
}
