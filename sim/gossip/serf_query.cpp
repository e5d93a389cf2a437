// Queries of others: filters, acknowledgements, relays and Serf's own `_serf_` queries (query.go, internal_query.go).
#include <algorithm>
#include <utility>

#include "base/regex.h"
#include "gossip/serf.h"

namespace dcsim::gossip {

namespace {

constexpr std::string_view kInternalPrefix = "_serf_";
constexpr Duration kLongestTimeout{365ll * 24 * 3600 * 1'000'000'000};
constexpr std::uint8_t kRelayProtocol = 5;

}  // namespace

bool Serf::on_query(Instant now, const wire::serf::Query& query) {
  query_clock_.witness(query.ltime);
  switch (queries_.offer(query_clock_.time(), query.ltime, query.id)) {
    case RingVerdict::kNew:
      break;
    case RingVerdict::kTooOld:
      notice({.kind = SerfNoticeKind::kOldQuery,
              .value = static_cast<std::int64_t>(query.ltime),
              .limit = static_cast<std::int64_t>(query_clock_.time()),
              .text = query.name});
      return false;
    default:
      return false;
  }
  listener_.on_query_received(query.name);
  const bool rebroadcast = (query.flags & wire::serf::kQueryFlagNoBroadcast) == 0;
  if (!passes_filters(query)) return rebroadcast;
  if ((query.flags & wire::serf::kQueryFlagAck) != 0) respond(query, wire::serf::kQueryFlagAck, {});
  if (query.name.starts_with(kInternalPrefix)) {
    on_internal_query(query);
  } else {
    const Duration timeout = std::clamp(query.timeout, Duration{0}, kLongestTimeout);
    listener_.on_query({query.ltime, query.id, query.name, query.payload.data, query.source_node, now + timeout},
                       actions_.current());
  }
  return rebroadcast;
}

bool Serf::passes_filters(const wire::serf::Query& query) const {
  wire::OptBytes encoded;
  for (wire::serf::BytesReader filters(query.filters); filters.next(encoded);) {
    wire::serf::Filter filter;
    if (!wire::serf::decode(encoded.data, filter)) return false;
    if (filter.kind == wire::serf::Filter::Kind::kNodes) {
      bool named = false;
      std::string_view name;
      for (wire::serf::TextReader names(filter.nodes); names.next(name);) named = named || name == config_.node_name;
      if (!named) return false;
    } else if (filter.kind == wire::serf::Filter::Kind::kTag) {
      const auto tag = config_.tags.find(filter.tag);
      const std::string_view value = tag == config_.tags.end() ? std::string_view() : std::string_view(tag->second);
      const auto expression = Regex::compile(filter.expr);
      if (!expression || !expression->matches(value)) return false;
    } else {
      return false;
    }
  }
  return true;
}

void Serf::respond(const wire::serf::Query& query, std::uint32_t flags, const wire::OptBytes& payload) {
  Buffer response;
  wire::serf::encode(wire::serf::QueryResponse{flags, config_.node_name, query.id, query.ltime, payload}, response);
  if (flags == 0 && response.size() > config_.query_response_size_limit) return;
  const auto address = Address::from_bytes(query.addr.data);
  if (!address || address->empty()) return;
  memberlist_->send_to_address(now_, {address->canonical(), query.port}, response);
  if (query.relay_factor > 0) relay_response(query, response);
}

void Serf::relay_response(const wire::serf::Query& query, ByteView response) {
  const std::size_t wanted = query.relay_factor;
  if (members_.size() < wanted + 1) return;  // not worth it in a tiny pool
  Buffer message;
  wire::serf::Relay relay;
  relay.dest_ip = query.addr;
  relay.dest_port = query.port;
  relay.dest_name = query.source_node;
  relay.inner = response;
  wire::serf::encode(relay, message, config_.memberlist.int_style);
  if (message.size() > config_.query_response_size_limit) return;

  std::vector<MemberId> all;
  each_member([&](MemberId id, MemberStatus) { all.push_back(id); });
  std::vector<MemberId> chosen;  // query.go kRandomMembers
  for (std::size_t draws = 3 * all.size(); draws > 0 && chosen.size() < wanted; --draws) {
    const MemberId id = all[relay_draw_.below(all.size())];
    if (id == self_ || members_.status(id) != MemberStatus::kAlive || members_.record(id).vsn[1] < kRelayProtocol)
      continue;
    if (std::find(chosen.begin(), chosen.end(), id) == chosen.end()) chosen.push_back(id);
  }
  for (const MemberId id : chosen) {
    const AliveRecord& record = members_.record(id);
    memberlist_->send_to_address(now_, {record.address.canonical(), record.port}, message);
  }
}

void Serf::on_internal_query(const wire::serf::Query& query) {
  const std::string_view name = query.name.substr(kInternalPrefix.size());
  if (name == "conflict") {
    answer_conflict(query);
  } else if (name == "list-keys") {
    answer_key_query(query, "Keyring is empty (encryption not enabled)");
  } else if (name == "install-key" || name == "use-key" || name == "remove-key") {
    wire::serf::KeyRequest request;
    const bool readable = !query.payload.empty() && wire::serf::decode(query.payload.data.subspan(1), request);
    answer_key_query(query, readable ? "No keyring to modify (encryption not enabled)" : "");
  }  // "ping" wants the acknowledgement alone; others are not known to anybody
}

/// What we hold the name in question for; nil if we do not know it. The node itself stays silent.
void Serf::answer_conflict(const wire::serf::Query& query) {
  const std::string_view name = text_of(query.payload.data);
  if (name == config_.node_name) return;
  wire::serf::Member answer;
  answer.nil = true;
  wire::serf::Items tags;
  const MemberId id = directory_.find(name);
  if (members_.contains(id)) {
    const AliveRecord& record = members_.record(id);
    const auto decoded = tags_of(record.meta());
    for (const auto& [key, value] : *decoded) tags.add_tag(key, value);
    answer.nil = false;
    answer.addr = record.address.bytes();
    answer.protocol_min = record.vsn[0];
    answer.protocol_max = record.vsn[1];
    answer.protocol_cur = record.vsn[2];
    answer.delegate_min = record.vsn[3];
    answer.delegate_max = record.vsn[4];
    answer.delegate_cur = record.vsn[5];
    answer.name = name;
    answer.port = record.port;
    answer.status = static_cast<std::int64_t>(members_.status(id));
    answer.tags = tags.list();
  }
  Buffer payload;
  wire::serf::encode(answer, payload, config_.memberlist.int_style);
  respond(query, 0, ByteView(payload));
}

void Serf::answer_key_query(const wire::serf::Query& query, std::string_view text) {
  Buffer payload;
  wire::serf::KeyResponse answer;
  answer.message = text;
  wire::serf::encode(answer, payload);
  respond(query, 0, ByteView(payload));
}

}  // namespace dcsim::gossip
