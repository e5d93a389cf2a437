#include <algorithm>
#include <string>

#include "gossip/memberlist.h"

namespace dcsim::gossip {
namespace {

/// The range of versions that every alive member understands (memberlist state.go: verifyProtocol).
struct Window {
  std::uint8_t protocol_low = 0, protocol_high = 255;
  std::uint8_t delegate_low = 0, delegate_high = 255;

  void narrow(const std::uint8_t* vsn) {
    protocol_low = std::max(protocol_low, vsn[0]);
    protocol_high = std::min(protocol_high, vsn[1]);
    delegate_low = std::max(delegate_low, vsn[3]);
    delegate_high = std::min(delegate_high, vsn[4]);
  }

  std::optional<Error> reject(std::string_view name, std::uint8_t protocol, std::uint8_t delegate) const {
    if (protocol < protocol_low || protocol > protocol_high)
      return text(name, "", protocol, protocol_low, protocol_high);
    if (delegate < delegate_low || delegate > delegate_high) {
      return text(name, "delegate ", delegate, delegate_low, delegate_high);
    }
    return std::nullopt;
  }

  static Error text(std::string_view name, std::string_view kind, int version, int low, int high) {
    return {"Node '" + std::string(name) + "' " + std::string(kind) + "protocol version (" + std::to_string(version) +
            ") is incompatible: [" + std::to_string(low) + ", " + std::to_string(high) + "]"};
  }
};

}  // namespace

std::optional<Error> Memberlist::verify_protocol(std::span<const wire::PushNodeState> remote) const {
  Window window;
  for (const wire::PushNodeState& node : remote) {
    if (node.state == 0 && node.vsn.data.size() >= 5) window.narrow(node.vsn.data.data());
  }
  for (std::size_t i = 0; i < table_.size(); ++i) {
    const MemberId id = table_.at(i);
    if (table_.state(id) == MemberState::kAlive) window.narrow(table_.record(id).vsn.data());
  }
  for (const wire::PushNodeState& node : remote) {
    const ByteView vsn = node.vsn.data;
    const std::uint8_t protocol = vsn.size() > 2 ? vsn[2] : 0, delegate = vsn.size() > 5 ? vsn[5] : 0;
    if (auto error = window.reject(node.name, protocol, delegate)) return error;
  }
  for (std::size_t i = 0; i < table_.size(); ++i) {
    const MemberId id = table_.at(i);
    const Versions& vsn = table_.record(id).vsn;
    if (auto error = window.reject(directory_.name(id), vsn[2], vsn[5])) return error;
  }
  return std::nullopt;
}

std::optional<Error> Memberlist::ask_merge_delegate(std::span<const wire::PushNodeState> remote) {
  std::vector<NodeView> nodes;
  nodes.reserve(remote.size());
  for (const wire::PushNodeState& entry : remote) {
    NodeView node;
    node.id = directory_.find(entry.name);
    node.name = entry.name;
    node.address = Address::from_claim(entry.addr.data).value_or(Address{});
    node.port = port_of(entry.port);
    node.meta = entry.meta.data;
    node.meta_nil = entry.meta.nil;
    std::copy_n(entry.vsn.data.begin(), std::min(entry.vsn.data.size(), node.vsn.size()), node.vsn.begin());
    node.state = static_cast<MemberState>(std::clamp<std::int64_t>(entry.state, 0, 3));
    node.incarnation = entry.incarnation;
    nodes.push_back(node);
  }
  return delegate_.notify_merge(nodes);
}

// net.go: mergeRemoteState; state.go: mergeState.
// Hot: an entry that says what is known already costs one name comparison and one of the record.
std::optional<Error> Memberlist::merge_remote(Instant now, const wire::StreamFrame& frame) {
  if (auto error = verify_protocol(frame.nodes)) return error;
  const bool join = frame.header.join;
  if (join && merge_delegate_) {
    if (auto error = ask_merge_delegate(frame.nodes)) return error;
  }
  std::size_t hint = 0;
  for (const wire::PushNodeState& entry : frame.nodes) {
    const MemberId id = find_next(entry.name, hint);
    if (id.valid() && holds_same(id, entry)) continue;
    actions_.because({});
    merge_entry(now, entry);
  }
  actions_.because({});
  if (!frame.user_state.empty() && user_data_) delegate_.merge_remote_state(now, frame.user_state, join);
  return std::nullopt;
}

// Entries mostly come in canonical order, so the next name is mostly the next one of the directory.
MemberId Memberlist::find_next(std::string_view name, std::size_t& hint) const {
  const std::vector<MemberId>& order = directory_.canonical_order();
  for (std::size_t i = hint; i < std::min(order.size(), hint + 4); ++i) {
    if (directory_.name(order[i]) != name) continue;
    hint = i + 1;
    return order[i];
  }
  ++hint;
  return directory_.find(name);
}

// An alive entry that repeats what is held alive changes nothing, whatever the delegate would say.
bool Memberlist::holds_same(MemberId member, const wire::PushNodeState& entry) const {
  if (entry.state != 0 || !table_.contains(member)) return false;
  if (table_.state(member) != MemberState::kAlive || table_.incarnation(member) != entry.incarnation) return false;
  const AliveRecord& r = table_.record(member);
  return r.port == entry.port && text_of(r.address.bytes()) == text_of(entry.addr.data) &&
         text_of(r.vsn) == text_of(entry.vsn.data) && text_of(r.meta()) == text_of(entry.meta.data);
}

void Memberlist::merge_entry(Instant now, const wire::PushNodeState& entry) {
  switch (entry.state) {
    case 0:
      if (const std::optional<Claim> claim =
              claim_of({entry.addr, entry.incarnation, entry.meta, entry.name, port_of(entry.port), entry.vsn})) {
        alive_node(now, *claim, false, 0);
      }
      return;
    case 1:
    case 2:
      return suspect_node(now, entry.name, entry.incarnation, config_.name);  // dead is only a suspicion here
    case 3:
      return dead_node(now, entry.name, entry.incarnation, entry.name);
    default:
      return;
  }
}

}  // namespace dcsim::gossip
