// Replays recorded scripts against one Serf node whose memberlist part is played by the test.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "gossip/serf.h"
#include "support/vectors.h"

namespace {

using namespace dcsim;
using namespace dcsim::gossip;
using namespace dcsim::literals;
using test::Json;

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
    SerfConfig config;
    config.node_name = vector.at("local_node");
    for (const auto& [key, value] : vector.at("local_tags").items()) config.tags[key] = value;
    config.event_buffer = vector.value("event_buffer", 512u);
    config.query_buffer = vector.value("query_buffer", 512u);
    config.memberlist.advertise = {Address::v4(0x0a000001), 7946};
    config.memberlist.enable_compression = false;
    config.memberlist.probe_interval = config.memberlist.gossip_interval = config.memberlist.push_pull_interval = {0};
    config.reconnect_interval = config.queue_check_interval = 1_h * 1000;
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
      const NodeView node = node_of(step);
      op == "memberlist_join" ? delegate.notify_join(now_, node) : delegate.notify_update(now_, node);
    } else if (op == "memberlist_leave") {
      NodeView node;
      node.name = step.at("Node").get_ref<const std::string&>();
      node.id = directory_.intern(node.name);
      delegate.notify_leave(now_, node);
    } else if (op == "notify_msg") {
      delegate.notify_msg(now_, test::from_hex(step.at("hex").get<std::string>()));
    } else if (op == "merge_remote_state") {
      merge(step);
    } else if (op.starts_with("reap")) {
      now_ += Duration{step.value("seconds", std::int64_t{15}) * 1'000'000'000};
    } else {
      FAIL("unknown operation " << op);
    }
    now_ += 60_ms;
    while (serf_->next_deadline() <= now_) serf_->on_deadline(now_);
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
  NodeView node_of(const Json& step) {
    NodeView node;
    node.name = step.at("Node").get_ref<const std::string&>();
    node.id = directory_.intern(node.name);
    node.address = *Address::from_bytes(test::from_hex(step.at("Addr").get<std::string>().substr(4)));
    node.port = step.value("Port", std::uint16_t{7946});
    node.vsn = kLibraryVersions;
    meta_ = test::from_hex(step.value("Meta", std::string("hex:ff80")).substr(4));
    node.meta = meta_;
    return node;
  }

  void merge(const Json& step) {
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
