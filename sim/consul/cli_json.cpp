#include "consul/cli_json.h"

#include <fmt/format.h>

#include "consul/agent_config.h"
#include "consul/command.h"

namespace dcsim::consul {

namespace {
constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The proleptic Gregorian date of a day counted from 1970-01-01.
struct Date {
  std::int64_t year;
  int month, day;
};
Date date_of(std::int64_t days) {
  days += 719'468;
  const std::int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const std::int64_t doe = days - era * 146'097;
  const std::int64_t yoe = (doe - doe / 1460 + doe / 36'524 - doe / 146'096) / 365;
  const std::int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const std::int64_t mp = (5 * doy + 2) / 153;
  const int month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  return {yoe + era * 400 + (month <= 2 ? 1 : 0), month, static_cast<int>(doy - (153 * mp + 2) / 5 + 1)};
}

void indexes(JsonWriter& w, const wire::rpc::RaftIndex& index) {
  w.member("CreateIndex", index.create_index).member("ModifyIndex", index.modify_index);
}

void weights(JsonWriter& w, const wire::rpc::Weights& value) {
  w.begin_object().member("Passing", value.passing).member("Warning", value.warning).end_object();
}

/// Consul's answer has room for a proxy in every service.
void no_proxy(JsonWriter& w, std::string_view proxy, std::string_view connect) {
  w.key(proxy).begin_object().member("Mode", "");
  w.key("MeshGateway").begin_object().end_object();
  w.key("Expose").begin_object().end_object().end_object();
  w.key(connect).begin_object().end_object();
}

std::string_view serf_word(std::int64_t status) {
  static constexpr std::string_view kWords[] = {"none", "alive", "leaving", "left", "failed"};
  return status >= 0 && status < 5 ? kWords[status] : kWords[0];
}
}  // namespace

void JsonWriter::newline() {
  if (!pretty_) return;
  out_ += '\n';
  for (std::size_t i = 0; i < depth_; ++i) out_ += indent_;
}

/// What stands before a value: nothing behind its key, else the comma of an array.
void JsonWriter::value() {
  if (!after_key_ && depth_ > 0) {
    if (!first_) out_ += ',';
    newline();
  }
  after_key_ = false;
  first_ = false;
}

JsonWriter& JsonWriter::open(char bracket) {
  value();
  out_ += bracket;
  ++depth_;
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  --depth_;
  if (!first_) newline();
  out_ += bracket;
  first_ = false;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  if (!first_) out_ += ',';
  newline();
  out_ += go_json(name);
  out_ += pretty_ ? ": " : ":";
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::text(std::string_view v) {
  value();
  out_ += go_json(v);
  return *this;
}
JsonWriter& JsonWriter::number(std::int64_t v) {
  value();
  out_ += std::to_string(v);
  return *this;
}
JsonWriter& JsonWriter::unsigned_number(std::uint64_t v) {
  value();
  out_ += std::to_string(v);
  return *this;
}
JsonWriter& JsonWriter::boolean(bool v) {
  value();
  out_ += v ? "true" : "false";
  return *this;
}
JsonWriter& JsonWriter::null() {
  value();
  out_ += "null";
  return *this;
}
JsonWriter& JsonWriter::bytes(ByteView v) {
  if (v.empty()) return null();
  value();
  out_ += '"' + base64(v) + '"';
  return *this;
}

JsonWriter& JsonWriter::texts(const wire::rpc::Texts& values) {
  begin_array();
  for (const std::string& v : values) text(v);
  return end_array();
}

JsonWriter& JsonWriter::map(const wire::rpc::TextMap& values, bool empty_is_null) {
  if (values.empty() && empty_is_null) return null();
  begin_object();
  for (const auto& [name, v] : values) member(name, v);
  return end_object();
}

std::string base64(ByteView data) {
  std::string out;
  out.reserve((data.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < data.size(); i += 3) {
    const std::size_t left = data.size() - i;
    std::uint32_t block = static_cast<std::uint32_t>(data[i]) << 16;
    if (left > 1) block |= static_cast<std::uint32_t>(data[i + 1]) << 8;
    if (left > 2) block |= data[i + 2];
    out += kBase64[block >> 18];
    out += kBase64[block >> 12 & 63];
    out += left > 1 ? kBase64[block >> 6 & 63] : '=';
    out += left > 2 ? kBase64[block & 63] : '=';
  }
  return out;
}

bool base64_decode(std::string_view text, Buffer& out, std::size_t& bad) {
  const std::string_view alphabet(kBase64, 64);
  std::size_t body = text.size();
  while (body > 0 && text.size() - body < 2 && text[body - 1] == '=') --body;
  bad = text.size();
  std::uint32_t block = 0;
  int bits = 0;
  for (std::size_t i = 0; i < body; ++i) {
    const auto at = alphabet.find(text[i]);
    if (at == std::string_view::npos) {
      bad = i;
      return false;
    }
    block = block << 6 | static_cast<std::uint32_t>(at);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out.push_back(static_cast<std::uint8_t>(block >> bits));
  }
  return text.size() % 4 == 0;
}

std::string go_time(const wire::GoTime& time, bool round_to_seconds) {
  std::int64_t seconds = time.seconds - wire::GoTime::kUnixEpoch;
  std::int64_t nanoseconds = time.nanoseconds;
  if (round_to_seconds) {
    if (nanoseconds >= 500'000'000) ++seconds;
    nanoseconds = 0;
  }
  std::int64_t days = seconds / 86'400, rest = seconds % 86'400;
  if (rest < 0) {
    rest += 86'400;
    --days;
  }
  const Date d = date_of(days);
  std::string fraction;
  if (nanoseconds != 0) {
    fraction = fmt::format(".{:09}", nanoseconds);
    while (fraction.back() == '0') fraction.pop_back();
  }
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}Z", d.year, d.month, d.day, rest / 3600, rest / 60 % 60, rest % 60, fraction);
}

void to_json(JsonWriter& w, const wire::rpc::DirEntry& e) {
  w.begin_object().member("LockIndex", e.lock_index).member("Key", e.key).member("Flags", e.flags);
  w.key("Value").bytes(e.value);
  if (!e.session.empty()) w.member("Session", e.session);
  indexes(w, e.index);
  w.end_object();
}

void to_json(JsonWriter& w, const wire::rpc::Node& n) {
  w.begin_object().member("ID", n.id).member("Node", n.node).member("Address", n.address).member("Datacenter", n.datacenter);
  w.key("TaggedAddresses").map(n.tagged_addresses, true);
  w.key("Meta").map(n.meta, true);
  indexes(w, n.index);
  w.end_object();
}

void to_json(JsonWriter& w, const wire::rpc::NodeService& s) {
  w.begin_object();
  if (!s.kind.empty()) w.member("Kind", s.kind);
  w.member("ID", s.id).member("Service", s.service).key("Tags").texts(s.tags).member("Address", s.address);
  w.key("Meta").map(s.meta, true).member("Port", s.port);
  w.key("Weights");
  weights(w, s.weights.value_or(wire::rpc::Weights{}));
  w.member("EnableTagOverride", s.enable_tag_override);
  no_proxy(w, "Proxy", "Connect");
  w.member("PeerName", "");
  indexes(w, s.index);
  w.end_object();
}

void to_json(JsonWriter& w, const wire::rpc::ServiceNode& s) {
  w.begin_object().member("ID", s.id).member("Node", s.node).member("Address", s.address).member("Datacenter", s.datacenter);
  w.key("TaggedAddresses").map(s.tagged_addresses, true).key("NodeMeta").map(s.node_meta, true);
  w.member("ServiceKind", s.service_kind).member("ServiceID", s.service_id).member("ServiceName", s.service_name);
  w.key("ServiceTags").texts(s.service_tags).member("ServiceAddress", s.service_address).key("ServiceWeights");
  weights(w, s.service_weights);
  w.key("ServiceMeta").map(s.service_meta).member("ServicePort", s.service_port).member("ServiceSocketPath", "");
  w.member("ServiceEnableTagOverride", s.service_enable_tag_override);
  no_proxy(w, "ServiceProxy", "ServiceConnect");
  indexes(w, s.index);
  w.end_object();
}

void to_json(JsonWriter& w, const wire::rpc::HealthCheck& c) {
  w.begin_object().member("Node", c.node).member("CheckID", c.check_id).member("Name", c.name).member("Status", c.status);
  w.member("Notes", c.notes).member("Output", c.output).member("ServiceID", c.service_id).member("ServiceName", c.service_name);
  w.key("ServiceTags").texts(c.service_tags).member("Type", c.type).member("Interval", c.interval).member("Timeout", c.timeout);
  w.member("ExposedPort", std::int64_t{0}).key("Definition").begin_object().end_object();
  indexes(w, c.index);
  w.end_object();
}

void to_json(JsonWriter& w, const wire::rpc::CheckServiceNode& n) {
  w.begin_object().key("Node");
  if (n.node) to_json(w, *n.node);
  else w.null();
  w.key("Service");
  if (n.service) to_json(w, *n.service);
  else w.null();
  w.key("Checks").begin_array();
  for (const auto& check : n.checks) to_json(w, check);
  w.end_array().end_object();
}

void to_json(JsonWriter& w, const wire::rpc::RaftServer& s) {
  w.begin_object().member("ID", s.id).member("Node", s.node).member("Address", s.address).member("Leader", s.leader);
  w.member("ProtocolVersion", s.protocol_version).member("Voter", s.voter).member("LastIndex", s.last_index).end_object();
}

void to_json(JsonWriter& w, const wire::rpc::AutopilotConfig& c) {
  w.begin_object().member("CleanupDeadServers", c.cleanup_dead_servers);
  w.member("LastContactThreshold", go_duration(c.last_contact_threshold)).member("MaxTrailingLogs", c.max_trailing_logs);
  w.member("MinQuorum", c.min_quorum).member("ServerStabilizationTime", go_duration(c.server_stabilization_time));
  w.member("RedundancyZoneTag", c.redundancy_zone_tag).member("DisableUpgradeMigration", c.disable_upgrade_migration);
  w.member("UpgradeVersionTag", c.upgrade_version_tag);
  indexes(w, c.index);
  w.end_object();
}

void to_json(JsonWriter& w, const wire::rpc::AutopilotState& s) {
  w.begin_object().member("Healthy", s.healthy).member("FailureTolerance", s.failure_tolerance);
  w.member("OptimisticFailureTolerance", s.failure_tolerance).key("Servers").begin_object();
  for (const auto& [id, server] : s.servers) {
    w.key(id).begin_object().member("ID", server.server.id).member("Name", server.server.name).member("Address", server.server.address);
    w.member("NodeStatus", server.server.node_status).member("Version", server.server.version);
    w.member("LastContact", go_duration(server.stats.last_contact)).member("LastTerm", server.stats.last_term);
    w.member("LastIndex", server.stats.last_index).member("Healthy", server.health.healthy);
    w.member("StableSince", go_time(server.health.stable_since, false)).member("ReadReplica", false).member("Status", server.state);
    w.key("Meta").map(server.server.meta, true).member("NodeType", server.server.node_type).end_object();
  }
  w.end_object().member("Leader", s.leader).key("Voters").texts(s.voters).end_object();
}

void to_json(JsonWriter& w, const wire::rpc::AutopilotHealthReply& h) {
  w.begin_object().member("Healthy", h.healthy).member("FailureTolerance", h.failure_tolerance).key("Servers");
  if (h.servers.empty()) {
    w.null().end_object();
    return;
  }
  w.begin_array();
  for (const auto& s : h.servers) {
    w.begin_object().member("ID", s.id).member("Name", s.name).member("Address", s.address).member("SerfStatus", serf_word(s.serf_status));
    w.member("Version", s.version).member("Leader", s.leader).member("LastContact", go_duration(s.last_contact));
    w.member("LastTerm", s.last_term).member("LastIndex", s.last_index).member("Healthy", s.healthy).member("Voter", s.voter);
    w.member("StableSince", go_time(s.stable_since, true)).end_object();
  }
  w.end_array().end_object();
}

}  // namespace dcsim::consul
