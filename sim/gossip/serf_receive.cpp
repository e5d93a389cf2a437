// Serf messages that arrive as memberlist user messages (delegate.go NotifyMsg).
#include <algorithm>
#include <utility>

#include "gossip/serf.h"

namespace dcsim::gossip {

using wire::serf::MessageType;

void Serf::notify_msg(Instant now, ByteView message) {
  // Hot: once per gossiped Serf message, mostly an intent that is known already.
  now_ = now;
  if (message.empty()) return;
  listener_.on_message(false, message.size());
  const ByteView body = message.subspan(1);
  switch (static_cast<MessageType>(message[0])) {
    case MessageType::kLeave:
      return on_leave_message(now, message);
    case MessageType::kJoin:
      return on_join_message(now, message);
    case MessageType::kUserEvent: {
      wire::serf::UserEvent event;
      if (!wire::serf::decode(body, event)) return undecodable("user event");
      if (on_user_event(event)) event_queue_.queue_unique(workspace_.broadcasts.share(message), actions_.current());
      return;
    }
    case MessageType::kQuery: {
      wire::serf::Query query;
      if (!wire::serf::decode(body, query)) return undecodable("query");
      if (on_query(now, query)) query_queue_.queue_unique(workspace_.broadcasts.share(message), actions_.current());
      return;
    }
    case MessageType::kQueryResponse: {
      wire::serf::QueryResponse response;
      if (!wire::serf::decode(body, response)) return undecodable("query response");
      notice({.kind = SerfNoticeKind::kOrphanResponse,
              .value = response.id,
              .limit = static_cast<std::int64_t>(response.ltime),
              .text = response.from});
      return;
    }
    case MessageType::kRelay: {
      wire::serf::Relay relay;
      if (!wire::serf::decode(body, relay)) return undecodable("relay header");
      const auto address = Address::from_bytes(relay.dest_ip.data);
      if (!address || address->empty() || relay.dest_port < 0 || relay.dest_port > 0xffff) return;
      memberlist_->send_to_address(now, {address->canonical(), static_cast<std::uint16_t>(relay.dest_port)},
                                   relay.inner);
      return;
    }
    default:
      notice({.kind = SerfNoticeKind::kUnknownMessage, .value = message[0]});
  }
}

void Serf::undecodable(std::string_view name) { notice({.kind = SerfNoticeKind::kUndecodable, .text = name}); }

void Serf::on_leave_message(Instant now, ByteView message) {
  wire::serf::Leave leave;
  if (!wire::serf::decode(message.subspan(1), leave)) return undecodable("leave");
  const MemberId id = directory_.intern(leave.node);
  if (!id.valid()) return;
  switch (on_leave_intent(now, id, leave.ltime, leave.prune)) {
    case Verdict::kIgnore:
      break;
    case Verdict::kRebroadcast:
      intent_queue_.queue_unique(workspace_.broadcasts.share(message), actions_.current());
      break;
    case Verdict::kPruneWaits:
      prune_waits_.back().rebroadcast = Bytes(message);
      break;
  }
}

void Serf::on_join_message(Instant now, ByteView message) {
  wire::serf::Join join;
  if (!wire::serf::decode(message.subspan(1), join)) return undecodable("join");
  const MemberId id = directory_.intern(join.node);
  if (id.valid() && on_join_intent(now, id, join.ltime)) {
    intent_queue_.queue_unique(workspace_.broadcasts.share(message), actions_.current());
  }
}

bool Serf::on_user_event(const wire::serf::UserEvent& event) {
  event_clock_.witness(event.ltime);
  if (event.ltime < event_min_time_) return false;
  switch (events_.offer(event_clock_.time(), event.ltime, event.name, event.payload)) {
    case RingVerdict::kNew:
      break;
    case RingVerdict::kTooOld:
      notice({.kind = SerfNoticeKind::kOldEvent,
              .value = static_cast<std::int64_t>(event.ltime),
              .limit = static_cast<std::int64_t>(event_clock_.time()),
              .text = event.name});
      return false;
    default:
      return false;
  }
  listener_.on_user_event({event.ltime, event.name, event.payload.data, event.cc}, actions_.current());
  return true;
}

}  // namespace dcsim::gossip
