// Replays recorded scripts against one Serf node whose memberlist part is played by the test.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "gossip/serf.h"
#include "support/vectors.h"

namespace dcsim::gossip {

struct SerfInspector {
  static void reap(Serf& serf, Instant now) {
    serf.now_ = now;
    serf.reap(now);
  }
  static bool prune_waits(const Serf& serf) { return !serf.prune_waits_.empty(); }
};

}  // namespace dcsim::gossip

namespace {

using namespace dcsim;
using namespace dcsim::gossip;
using namespace dcsim::literals;
using test::Json;
using test::only_keys;

constexpr Versions kLibraryVersions{1, 5, 2, 2, 5, 4};

/// Takes what the node sends and reports; streams never connect.
class Stage final : public Actions, public SerfListener {
 public:
  SendStatus send_packet(const Endpoint& to, const Bytes& payload) override {
    packets.push_back({{"hex", test::to_hex(payload)}, {"to", to.text()}});
    return SendStatus::kSent;
  }
  StreamId dial(const Endpoint&, Duration) override { return dialled = StreamId{++streams}; }
  void stream_send(StreamId, const Bytes&) override {}
  void stream_close(StreamId) override {}
  Cause note(const Notice&) override { return {}; }
  void because(Cause) override {}

  void on_member_event(const MemberEvent& event, Cause) override {
    events.push_back(std::string(to_text(event.kind)) + ":" + std::string(serf->find(event.member)->name));
  }
  void on_join_done(std::uint32_t, std::uint32_t, std::string_view, Cause) override {}
  void on_leave_done(Cause) override {}
  void on_user_event(const UserEvent& e, Cause) override {
    events.push_back("user:" + std::string(e.name) + "@" + std::to_string(e.ltime) +
                     " payload=" + std::string(text_of(e.payload)) + " cc=" + (e.coalesce ? "true" : "false"));
  }
  void on_query(const Query& q, Cause) override {
    events.push_back("query:" + std::string(q.name) + "@" + std::to_string(q.ltime) +
                     " payload=" + std::string(text_of(q.payload)));
  }

  Serf* serf = nullptr;
  std::uint32_t streams = 0;
  StreamId dialled;
  Json packets = Json::array();
  std::vector<std::string> events;
};

class Script {
 public:
  explicit Script(const Json& vector) {
    only_keys(vector, {"id", "type", "local_node", "local_tags", "event_buffer", "query_buffer", "steps"});
    SerfConfig config;
    config.node_name = vector.at("local_node");
    for (const auto& [key, value] : vector.at("local_tags").items()) config.tags[key] = value;
    config.event_buffer = vector.value("event_buffer", 512u);
    config.query_buffer = vector.value("query_buffer", 512u);
    config.memberlist.advertise = {Address::v4(0x0a000001), 7946};
    config.memberlist.enable_compression = false;
    config.memberlist.probe_interval = config.memberlist.gossip_interval = config.memberlist.push_pull_interval = {0};
    config.reconnect_interval = config.queue_check_interval = config.reap_interval = 1_h * 10'000;
    REQUIRE_FALSE(config.problem());
    serf_.emplace(std::move(config), directory_, workspace_, stage_, stage_, 1, "script");
    stage_.serf = &*serf_;
    serf_->start(now_);
    stage_.events.clear();
  }

  void perform(const Json& step) {
    stage_.events.clear();
    stage_.packets.clear();
    const std::string op = step.at("op");
    Delegate& delegate = serf_->as_delegate();
    if (op == "memberlist_join" || op == "memberlist_update") {
      only_keys(step, {"op", "expect", "Addr", "Meta", "Node", "Port", "Vsn"});
      const NodeView node = node_of(step);
      op == "memberlist_join" ? delegate.notify_join(now_, node) : delegate.notify_update(now_, node);
    } else if (op == "memberlist_leave") {
      only_keys(step, {"op", "expect", "Addr", "Node", "Port", "State"});
      NodeView node;
      node.name = step.at("Node").get_ref<const std::string&>();
      node.id = directory_.intern(node.name);
      delegate.notify_leave(now_, node);
    } else if (op == "notify_msg") {
      delegate.notify_msg(now_, test::from_hex(step.at("hex").get<std::string>()));
    } else if (op == "merge_remote_state") {
      merge(step);
    } else if (op.starts_with("reap")) {
      now_ += time_before(step);
      SerfInspector::reap(*serf_, now_);
    } else {
      FAIL("unknown operation " << op);
    }
    now_ += 60_ms;
    while (serf_->next_deadline() <= now_) serf_->on_deadline(now_);
    // The recorded call did not return before a forced removal was through with waiting.
    while (SerfInspector::prune_waits(*serf_)) serf_->on_deadline(now_ = serf_->next_deadline());
  }

  Json state() const {
    Json members = Json::array();
    for (const Member& m : serf_->members()) {
      members.push_back({{"name", m.name}, {"status", to_text(m.status)}, {"status_ltime", m.status_ltime}});
    }
    Json intents = Json::array();
    for (const IntentBuffer::Intent& i : serf_->intents()) {
      intents.push_back({{"ltime", i.ltime},
                         {"node", directory_.name(i.id)},
                         {"type", i.kind == IntentKind::kJoin ? "join" : "leave"}});
    }
    const SerfStats stats = serf_->stats();
    return {{"clock", stats.member_time},
            {"event_clock", stats.event_time},
            {"event_min_time", serf_->event_min_time()},
            {"event_queue_len", stats.event_queue},
            {"events", stage_.events},
            {"failed", names(serf_->table().failed())},
            {"intent_queue_len", stats.intent_queue},
            {"intents", by_node(intents)},
            {"left", names(serf_->table().left())},
            {"members", members},
            {"packets", stage_.packets},
            {"query_clock", stats.query_time},
            {"query_queue_len", stats.query_queue}};
  }

  static Json by_node(Json list) {
    std::sort(list.begin(), list.end(), [](const Json& a, const Json& b) { return a.at("node") < b.at("node"); });
    return list;
  }

 private:
  /// How long before a reap tick nothing happened: the one number of the step, whose name ends in its unit. Without one
  /// it is the time from tick to tick.
  static Duration time_before(const Json& step) {
    Duration time = 15_s;
    for (const auto& item : step.items()) {
      const std::string& key = item.key();
      const Json& value = item.value();
      if (key == "op" || key == "expect") continue;
      const auto in = [&key](std::string_view unit) { return key == unit || key.ends_with("_" + std::string(unit)); };
      const Duration unit = in("ns")                                ? Duration{1}
                            : in("ms")                              ? 1_ms
                            : in("s") || in("sec") || in("seconds") ? 1_s
                            : in("m") || in("min") || in("minutes") ? 1_s * 60
                            : in("h") || in("hours")                ? 1_h
                                                                    : Duration{0};
      REQUIRE_MESSAGE((unit > Duration{0} && value.is_number()), "unknown key \"" << key << "\" in a reap tick");
      time = Duration{static_cast<std::int64_t>(value.get<double>() * static_cast<double>(unit.ns))};
    }
    return time;
  }

  NodeView node_of(const Json& step) {
    NodeView node;
    node.name = step.at("Node").get_ref<const std::string&>();
    node.id = directory_.intern(node.name);
    node.address = *Address::from_bytes(test::from_hex(step.at("Addr").get<std::string>().substr(4)));
    node.port = step.value("Port", std::uint16_t{7946});
    node.vsn = kLibraryVersions;
    if (step.contains("Vsn")) {
      const Buffer vsn = test::from_hex(step.at("Vsn").get<std::string>().substr(4));
      std::copy_n(vsn.begin(), std::min(vsn.size(), node.vsn.size()), node.vsn.begin());
    }
    meta_ = test::from_hex(step.value("Meta", std::string("hex:ff80")).substr(4));
    node.meta = meta_;
    return node;
  }

  void merge(const Json& step) {
    only_keys(step, {"op", "expect", "event_join_ignore", "hex", "is_join", "msg"});
    const bool ignore = step.value("event_join_ignore", false);
    if (ignore) serf_->join(now_, 0, {{"10.0.0.2", "", {Address::v4(0x0a000002), 7946}, ""}}, true);
    serf_->as_delegate().merge_remote_state(now_, test::from_hex(step.at("hex").get<std::string>()),
                                            step.at("is_join"));
    if (ignore) serf_->on_stream_failed(now_, stage_.dialled, "gone");
  }

  Json names(std::span<const SerfMembers::Gone> list) const {
    std::vector<std::string> out;
    for (const SerfMembers::Gone& gone : list) out.emplace_back(directory_.name(gone.id));
    std::sort(out.begin(), out.end());
    return out;
  }

  Directory directory_;
  SerfWorkspace workspace_;
  Stage stage_;
  Instant now_{1'000'000'000};
  Buffer meta_;
  std::optional<Serf> serf_;
};

TEST_CASE("serf: a script's forced removal of a leaving member, and its reap ticks, are over when the step is") {
  const Json join{{"op", "memberlist_join"}, {"Node", "b"}, {"Addr", "hex:0a000002"}};
  const Json gone{{"op", "memberlist_leave"}, {"Node", "b"}};
  const auto leave = [](std::string_view ltime, std::string_view prune) {
    return Json{{"op", "notify_msg"},
                {"hex", "0083a54c54696d65" + std::string(ltime) + "a44e6f6465a162a55072756e65" + std::string(prune)}};
  };
  const Json vector{{"id", "own"}, {"local_node", "self"}, {"local_tags", Json::object()}};
  const auto after = [&](std::initializer_list<Json> steps) {
    Script script(vector);
    for (const Json& step : steps) script.perform(step);
    return script.state();
  };
  const auto names = [](const Json& state) {
    std::vector<std::string> out;
    for (const Json& m : state.at("members")) out.push_back(m.at("name"));
    return out;
  };
  Json state = after({join, leave("05", "c3")});
  CHECK(names(state) == std::vector<std::string>{"self"});
  CHECK(state.at("events") == Json{"member-reap:b"});
  CHECK(state.at("intent_queue_len") == 1);
  state = after({join, leave("05", "c2"), leave("06", "c3")});
  CHECK(names(state) == std::vector<std::string>{"self"});
  state = after({join, gone, leave("05", "c3")});
  CHECK(names(state) == std::vector<std::string>{"self"});
  CHECK(state.at("events") == Json{"member-leave:b", "member-reap:b"});
  CHECK(state.at("left").empty());
  // A failed member goes after more than a day, a buffered intent after five minutes.
  state = after({join, gone, {{"op", "reap_tick"}, {"hours", 23}}});
  CHECK(state.at("failed") == Json{"b"});
  state = after({join, gone, {{"op", "reap"}, {"advance_h", 24}}});
  CHECK(names(state) == std::vector<std::string>{"self"});
  CHECK(state.at("events") == Json{"member-reap:b"});
  state = after({leave("05", "c2"), {{"op", "reap"}}});
  CHECK(state.at("intents").size() == 1);
  state = after({leave("05", "c2"), {{"op", "reap"}, {"seconds", 301}}});
  CHECK(state.at("intents").empty());
}

TEST_CASE("serf: recorded scripts end each step in the recorded state") {
  std::size_t steps = 0;
  const Json file = test::load_vectors("serf_state.json");
  for (const Json& vector : file.at("vectors")) {
    INFO("script " << vector.at("id").get<std::string>());
    Script script(vector);
    for (std::size_t i = 0; i < vector.at("steps").size(); ++i) {
      const Json& step = vector.at("steps")[i];
      INFO("step " << i << " " << step.at("op").get<std::string>());
      script.perform(step);
      const Json state = script.state();
      for (const auto& item : step.at("expect").items()) {
        const std::string key = item.key();
        const Json& expected = item.value();
        REQUIRE_MESSAGE(state.contains(key), key);
        Json wanted = key == "intents" ? Script::by_node(expected) : expected;
        if (key == "failed" || key == "left") std::sort(wanted.begin(), wanted.end());
        CHECK_MESSAGE(state.at(key) == wanted, key << " is " << state.at(key).dump() << ", recorded " << wanted.dump());
      }
      ++steps;
    }
  }
  CHECK(steps > 0);
}

}  // namespace
