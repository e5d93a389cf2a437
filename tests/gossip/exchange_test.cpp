// Puts recorded requests to an agent built like the one that was recorded, and compares the answers: their kinds,
// number and order, sequence numbers, layers, and silence. What one run cannot have in common with another is left out:
// clocks, coordinates, the sequence numbers of the agent's own pings, and the order of table entries.
#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "gossip/serf.h"
#include "support/vectors.h"
#include "wire/packet.h"
#include "wire/stream.h"
#include "wire/transcribe.h"

namespace {

using namespace dcsim;
using namespace dcsim::gossip;
using namespace dcsim::literals;
using test::from_hex;
using test::Json;
using test::only_keys;
using test::to_hex;

/// "127.0.1.77:7946"
Endpoint endpoint_of(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const auto address = Address::parse(text.substr(0, colon));
  REQUIRE(address);
  return {*address, static_cast<std::uint16_t>(std::stoi(text.substr(colon + 1)))};
}

Address address_of(const Json& hex) { return *Address::from_bytes(from_hex(hex.get<std::string>().substr(4))); }

/// The first object in which the agent describes itself: an entry of a push/pull, or an alive message.
const Json* description(const Json& json, const std::string& node) {
  if (json.is_object() && json.contains("Meta") && json.contains("Vsn")) {
    const std::string name = json.value("Name", json.value("Node", std::string()));
    if (node.empty() || name == node) return &json;
  }
  if (!json.is_structured()) return nullptr;
  for (const Json& inner : json) {
    if (const Json* found = description(inner, node)) return found;
  }
  return nullptr;
}

const Json* own_description(const Json& file) {
  for (const Json& record : file.at("records")) {
    for (const char* answers : {"response_decoded", "responses"}) {
      if (!record.contains(answers)) continue;
      if (const Json* found = description(record.at(answers), file.value("agent_node", std::string()))) return found;
    }
  }
  return nullptr;
}

SerfConfig config_of(const Json& file) {
  const Json* self = own_description(file);
  REQUIRE(self != nullptr);
  SerfConfig c;
  c.node_name = self->value("Name", self->value("Node", std::string()));
  const Json tags = self->value("meta_tags", Json::object());
  for (const auto& [key, value] : tags.items()) c.tags[key] = value;
  c.protocol_version = from_hex(self->at("Vsn").get<std::string>().substr(4)).at(5);
  c.memberlist.name = c.node_name;
  c.memberlist.label = file.value("label", std::string());
  c.memberlist.advertise = {address_of(self->at("Addr")), self->at("Port").get<std::uint16_t>()};
  if (file.at("producer").get<std::string>().find("0.9.4") != std::string::npos) {
    c.memberlist.int_style = wire::IntStyle::kOld;
    c.memberlist.exhaustive_small_targets = false;
    c.memberlist.join_error_style = JoinErrorStyle::kAddressOnly;
    c.memberlist.reap_left = false;
  }
  const auto problem = c.problem();
  REQUIRE_MESSAGE(!problem, problem->text);
  return c;
}

/// The agent, its one neighbour being whoever asks.
class Agent final : public Actions, public SerfListener {
 public:
  struct Sent {
    Instant at;
    Endpoint to;
    Bytes payload;
  };

  explicit Agent(SerfConfig config) : serf_(std::move(config), directory_, workspace_, *this, *this, 1, "agent") {
    serf_.start(now_);
    run(100_ms);
  }

  void run(Duration d) {
    const Instant end = now_ + d;
    while (serf_.next_deadline() <= end) serf_.on_deadline(now_ = std::max(now_, serf_.next_deadline()));
    now_ = end;
  }
  void packet(const Endpoint& from, ByteView bytes) { serf_.on_packet(now_, from, Bytes(bytes)); }
  /// One connection and what is sent on it; the answer is in `answer`, `closed` tells whether the agent ended it.
  void connection(const Endpoint& from, ByteView bytes) {
    answer.clear();
    closed = false;
    const StreamId id{++streams_};
    serf_.on_stream_accepted(now_, id, from);
    serf_.on_stream_data(now_, id, Bytes(bytes));
    run(20_ms);
    if (!closed) serf_.on_stream_eof(now_, id);
  }
  Instant now() const { return now_; }

  SendStatus send_packet(const Endpoint& to, const Bytes& payload) override {
    sent.push_back({now_, to, payload});
    return SendStatus::kSent;
  }
  StreamId dial(const Endpoint&, Duration) override { return StreamId{++streams_}; }
  void stream_send(StreamId id, const Bytes& bytes) override {
    if (id.value == streams_) answer.insert(answer.end(), bytes.view().begin(), bytes.view().end());
  }
  void stream_close(StreamId id) override { closed |= id.value == streams_; }
  Cause note(const Notice&) override { return {}; }
  void because(Cause) override {}
  void on_member_event(const MemberEvent&, Cause) override {}
  void on_join_done(std::uint32_t, std::uint32_t, std::string_view, Cause) override {}
  void on_leave_done(Cause) override {}

  std::vector<Sent> sent;
  Buffer answer;
  bool closed = false;

 private:
  Instant now_{1'000'000'000};
  std::uint32_t streams_ = 0;
  Directory directory_;
  SerfWorkspace workspace_;
  Serf serf_;
};

Json message_json(const wire::PacketItem& item) {
  switch (item.type) {
    case wire::MessageType::kPing: {
      Json ping = test::decoded_json<wire::Ping>(item.body);
      ping.erase("SeqNo");  // the agent's own count
      return ping;
    }
    case wire::MessageType::kAck: {
      Json ack = test::decoded_json<wire::Ack>(item.body);
      if (ack.contains("payload_coordinate")) ack["Payload"] = "coordinate";
      ack.erase("payload_coordinate");
      return ack;
    }
    case wire::MessageType::kNack:
      return test::decoded_json<wire::Nack>(item.body);
    case wire::MessageType::kAlive:
      return test::decoded_json<wire::Alive>(item.body);
    default:
      return {{"type", wire::name_of(item.type)}};
  }
}

/// One datagram in all that two runs have in common. Both sides are read by one reader.
Json shape_of(std::string_view label, ByteView plain) {
  Json shape{{"label", label}, {"messages", Json::array()}};
  REQUIRE_FALSE(plain.empty());
  const bool crc = plain[0] == static_cast<std::uint8_t>(wire::MessageType::kHasCrc);
  shape["crc"] = crc;
  const std::size_t first = crc ? 5 : 0;
  shape["compressed"] = plain.size() > first && plain[first] == static_cast<std::uint8_t>(wire::MessageType::kCompress);
  wire::PacketReader reader;
  reader.start(plain);
  for (wire::PacketItem item; reader.next(item);) {
    CHECK(item.drop == wire::PacketDrop::kNone);
    shape["messages"].push_back(message_json(item));
  }
  return shape;
}

Json shape_of(const Buffer& datagram) {
  const wire::LabelSplit split = wire::split_label(datagram);
  return shape_of(split.label, split.rest);
}

/// Table entries by name; the clocks of the user state left out.
Json push_pull_shape(const wire::StreamFrame& frame) {
  Json shape{{"header", test::json_of(frame.header)}, {"size", frame.bare.size()}, {"nodes", Json::object()}};
  for (const wire::PushNodeState& node : frame.nodes) shape["nodes"][std::string(node.name)] = test::json_of(node);
  Json state = frame.user_state.empty() ? Json(nullptr) : test::serf_json(frame.user_state);
  for (const char* clock : {"LTime", "EventLTime", "QueryLTime"}) state.erase(clock);
  for (auto& status : state["StatusLTimes"]) status = 0;
  std::sort(state["LeftMembers"].begin(), state["LeftMembers"].end());
  shape["user_state"] = state;
  return shape;
}

Json shape_of(const wire::StreamFrame& frame, bool compressed) {
  Json shape{{"type", wire::name_of(frame.type)}, {"compressed", compressed}};
  if (frame.type == wire::MessageType::kAck) shape["message"] = test::json_of(frame.ack);
  if (frame.type == wire::MessageType::kErr) shape["message"] = test::json_of(frame.err);
  if (frame.type == wire::MessageType::kPushPull) shape["message"] = push_pull_shape(frame);
  return shape;
}

/// A whole exchange. Encryption is not implemented: an encrypted record is played in its recorded plaintext, and what
/// tests nothing but the keys is passed over.
class Exchange {
 public:
  explicit Exchange(const Json& file)
      : file_(file), agent_(config_of(file)), keyed_(!file.value("key_hex", std::string()).empty()) {
    only_keys(file,
              {"id", "type", "producer", "label", "key_hex", "agent_node", "client_addr", "agent_addr", "records"});
  }

  void run() {
    for (const Json& record : file_.at("records")) {
      INFO(file_.at("id").get<std::string>(), ": ", record.at("id").get<std::string>());
      only_keys(record, {"id", "transport", "request_hex", "request_decoded", "responses", "response_hex",
                         "response_decoded", "closed_by_agent"});
      const std::string transport = record.at("transport");
      REQUIRE_MESSAGE((transport == "udp" || transport == "tcp"), "unknown transport " << transport);
      const auto request = transport == "udp" ? datagram(record) : stream(record);
      if (!request) {
        ++skipped;
        continue;
      }
      transport == "udp" ? ask_packet(record, *request) : ask_stream(record, *request);
      ++played;
    }
  }

  int played = 0;
  int skipped = 0;

 private:
  /// Who asks: as the exchange says, or as the request says of itself.
  Endpoint client(const Json& record) const {
    if (file_.contains("client_addr")) return endpoint_of(file_.at("client_addr"));
    const Json decoded = record.value("request_decoded", Json::object());
    const Json message = decoded.value("message", Json::object());
    if (!message.contains("SourceAddr")) return {Address::v4(0x0a090901), 40000};
    return {address_of(message.at("SourceAddr")), message.at("SourcePort").get<std::uint16_t>()};
  }

  std::optional<Buffer> datagram(const Json& record) const {
    const std::string hex = record.at("request_hex");
    if (!keyed_) return from_hex(hex);
    const Json& decoded = record.at("request_decoded");
    if (!decoded.contains("encryption_version")) return std::nullopt;
    Buffer out;
    wire::append_label(decoded.value("label", std::string()), out);
    const Buffer plain = from_hex(decoded.at("plaintext_hex").get<std::string>());
    out.insert(out.end(), plain.begin(), plain.end());
    return out;
  }

  std::optional<Buffer> stream(const Json& record) const {
    const std::string hex = record.at("request_hex");
    if (!keyed_) return from_hex(hex);
    const Json& decoded = record.at("request_decoded");
    if (!decoded.contains("encrypted_len")) return std::nullopt;
    wire::Compressor compressor;
    Buffer out;
    const std::string label = decoded.value("label", std::string());
    wire::append_stream(from_hex(decoded.at("plain_hex").get<std::string>()),
                        {.label = label, .compress = decoded.contains("compressed_len")}, compressor, out);
    return out;
  }

  void ask_packet(const Json& record, const Buffer& request) {
    agent_.sent.clear();
    const Instant asked = agent_.now();
    agent_.packet(client(record), request);
    agent_.run(5_ms);
    Json expected = Json::array();
    std::vector<double> times;
    for (const Json& response : record.at("responses")) {
      if (response.contains("sent_reply_hex")) {
        only_keys(response, {"sent_reply_hex"});
        reply_to_ping(record, response);
        continue;
      }
      only_keys(response, {"t", "hex", "decoded"});
      times.push_back(response.value("t", 0.0));
      expected.push_back(recorded_shape(response));
    }
    agent_.run(800_ms);  // a relay is silent for ProbeTimeout first
    Json answered = Json::array();
    for (const Agent::Sent& s : agent_.sent) {
      CHECK(s.to == client(record));
      answered.push_back(shape_of(Buffer(s.payload.view().begin(), s.payload.view().end())));
    }
    CHECK_MESSAGE(answered == expected, "answered " << answered.dump() << ", recorded " << expected.dump());
    for (std::size_t i = 0; i < std::min(times.size(), agent_.sent.size()); ++i) {
      const double after = static_cast<double>((agent_.sent[i].at - asked).ns) / 1e9;
      CHECK(after == doctest::Approx(times[i]).epsilon(0.1).scale(1));  // within about 0.1 s
    }
  }

  Json recorded_shape(const Json& response) const {
    const Buffer bytes = from_hex(response.at("hex").get<std::string>());
    if (!keyed_) return shape_of(bytes);
    const Json& decoded = response.at("decoded");
    return shape_of(decoded.value("label", std::string()), from_hex(decoded.at("plaintext_hex").get<std::string>()));
  }

  /// The client answers the ping that the agent just sent it.
  void reply_to_ping(const Json& record, const Json& response) {
    REQUIRE_FALSE(agent_.sent.empty());
    const wire::LabelSplit pinged = wire::split_label(agent_.sent.back().payload);
    wire::PacketReader reader;
    reader.start(pinged.rest);
    wire::Ping ping;
    wire::PacketItem item;
    REQUIRE(reader.next(item));
    REQUIRE(wire::decode(item.body, ping));
    const std::string ignored = "ignored";
    wire::Ack ack;
    ack.payload = view_of(ignored);
    const Buffer recorded = from_hex(response.at("sent_reply_hex").get<std::string>());
    if (!keyed_) REQUIRE(wire::decode(ByteView(recorded).subspan(1), ack));
    ack.seq_no = ping.seq_no;
    Buffer bytes;
    wire::append_label(file_.value("label", std::string()), bytes);
    wire::encode(ack, bytes);
    agent_.packet(client(record), bytes);
    agent_.run(5_ms);
  }

  void ask_stream(const Json& record, const Buffer& request) {
    agent_.connection(client(record), request);
    if (record.contains("closed_by_agent")) CHECK(agent_.closed == record.at("closed_by_agent").get<bool>());
    const Buffer recorded = from_hex(record.at("response_hex").get<std::string>());
    CHECK(agent_.answer.empty() == recorded.empty());
    if (recorded.empty() || agent_.answer.empty()) return;
    wire::StreamWorkspace ws;
    wire::StreamFrame frame;
    wire::StreamError error{};
    REQUIRE(wire::parse_plain_frame(agent_.answer, ws, frame, error) == wire::StreamStatus::kComplete);
    const Json ours = shape_of(frame, frame.compressed);
    const Json& decoded = record.at("response_decoded");
    const Buffer plain = keyed_ ? from_hex(decoded.at("plain_hex").get<std::string>()) : recorded;
    REQUIRE(wire::parse_plain_frame(plain, ws, frame, error) == wire::StreamStatus::kComplete);
    const Json theirs = shape_of(frame, decoded.contains("compressed_len"));
    CHECK(test::difference(theirs, ours) == "");
    if (!keyed_ && frame.type != wire::MessageType::kPushPull) CHECK(to_hex(agent_.answer) == to_hex(recorded));
  }

  const Json& file_;
  Agent agent_;
  bool keyed_;
};

TEST_CASE("exchanges: an agent answers every recorded request as the recorded agent did, or not at all") {
  const std::vector<std::string> files = test::vector_files("exchange_");
  if (files.empty()) MESSAGE("no exchanges among the vectors");
  int played = 0, skipped = 0;
  for (const std::string& name : files) {
    const Json file = test::load_vectors(name);
    Exchange exchange(file);
    exchange.run();
    CHECK(exchange.played > 0);
    played += exchange.played;
    skipped += exchange.skipped;
  }
  if (skipped > 0)
    MESSAGE(skipped << " of " << played + skipped << " requests test the keys only: encryption is not implemented");
}

}  // namespace
