#include "host/capture.h"

#include <fmt/format.h>

#include <algorithm>

#include "host/world.h"

namespace dcsim::host {

Result<std::unique_ptr<Capture>> Capture::make(World& world, const CaptureSpec& spec, const std::string& path) {
  std::unique_ptr<Capture> capture(new Capture(world, spec, path));
  for (const trace::MatcherSpec& m : spec.match) {
    Matcher compiled{m, std::nullopt};
    if (m.op == trace::MatchOp::kMatches || m.op == trace::MatchOp::kNotMatches) {
      auto pattern = trace::Pattern::compile(m.text);
      if (!pattern) return pattern.error();
      compiled.pattern = *pattern;
    }
    if (m.label == "link") capture->needs_links_ = true;
    capture->matchers_.push_back(std::move(compiled));
  }
  return capture;
}

std::string Capture::label(std::string_view key, HostId at, const net::PacketInfo& p, net::LinkId link) const {
  if (key == "link") return link.valid() ? std::string(world_.network().link_name(link)) : std::string();
  if (key == "port") return fmt::format("{}/{}", p.to.port, net::name_of(p.protocol));
  if (key == "proto") return std::string(net::name_of(p.protocol));
  const auto host_text = [&](HostId h) { return h.valid() ? std::string(world_.network().host_name(h)) : std::string(); };
  if (key == "from") return host_text(p.from_host);
  if (key == "to") return host_text(p.to_host);
  if (!at.valid()) return {};
  const AgentSpec& spec = world_.spec(AgentId{at.value});
  if (key == "node" || key == "agent" || key == "name") return spec.full_name;
  if (key == "zone") return spec.zone;
  if (key == "dc") return spec.dc;
  for (const auto& [k, v] : spec.labels) {
    if (k == key) return v;
  }
  return {};
}

bool Capture::matches(HostId at, const net::PacketInfo& p, net::LinkId link) const {
  return std::all_of(matchers_.begin(), matchers_.end(), [&](const Matcher& m) {
    const std::string value = label(m.spec.label, at, p, link);
    switch (m.spec.op) {
      case trace::MatchOp::kEqual: return value == m.spec.text;
      case trace::MatchOp::kNotEqual: return value != m.spec.text;
      case trace::MatchOp::kMatches: return m.pattern->matches(value);
      case trace::MatchOp::kNotMatches: return !m.pattern->matches(value);
    }
    return false;
  });
}

namespace {

trace::Proto proto_of(net::Protocol p) {
  return p == net::Protocol::kUdp ? trace::Proto::kUdp : p == net::Protocol::kTcp ? trace::Proto::kTcp : trace::Proto::kIcmp;
}

/// Destination unreachable of RFC 792, or what RFC 4443 has for it.
void set_icmp(trace::CapturedPacket& out, net::IcmpError error) {
  out.icmp_type = 3;
  out.icmp_code = static_cast<std::uint8_t>(error);
  if (out.dst.address.is_v4()) return;
  using E = net::IcmpError;
  out.icmp_type = error == E::kFragmentationNeeded ? 2 : 1;
  switch (error) {
    case E::kNetUnreachable:
    case E::kFragmentationNeeded: out.icmp_code = 0; return;
    case E::kHostUnreachable: out.icmp_code = 3; return;
    case E::kProtocolUnreachable:
    case E::kPortUnreachable: out.icmp_code = 4; return;
    default: out.icmp_code = 1;  // administratively prohibited
  }
}

/// The head of the packet that an ICMP error is about.
Bytes quote_of(const net::PacketInfo& p) {
  trace::CapturedPacket original;
  original.proto = proto_of(p.quoted_protocol);
  original.src = {p.quoted_from.address.canonical(), p.quoted_from.port};
  original.dst = {p.quoted_to.address.canonical(), p.quoted_to.port};
  original.seq = p.quoted_seq;
  const std::uint32_t headers = net::ip_header_of(original.dst.address) + (original.proto == trace::Proto::kTcp ? net::kTcpHeader : net::kUdpHeader);
  original.payload = Bytes(Buffer(p.quoted_bytes > headers ? p.quoted_bytes - headers : 0));  // for the lengths in the headers
  return trace::icmp_quote(original);
}

}  // namespace

void Capture::write(Instant at, const net::PacketInfo& p, std::uint32_t interface, trace::Direction direction, std::string comment) {
  trace::CapturedPacket out;
  out.t = at;
  out.interface = interface;
  out.direction = direction;
  out.proto = proto_of(p.protocol);
  out.src = {p.from.address.canonical(), p.from.port};
  out.dst = {p.to.address.canonical(), p.to.port};
  out.seq = p.tcp.seq;
  out.ack = p.tcp.ack;
  out.flags = p.tcp.flags;
  out.window = static_cast<std::uint16_t>(std::min<std::uint32_t>(p.tcp.window, 65535));
  if (p.segment) out.option_bytes = static_cast<std::uint8_t>(p.segment->write_options(out.options.data()));
  if (p.protocol == net::Protocol::kIcmp) {
    set_icmp(out, p.icmp);
    out.payload = quote_of(p);
  } else if (p.payload) {
    out.payload = *p.payload;
  }
  out.comment = std::move(comment);
  writer_.write(out);
}

void Capture::sent(Instant at, const net::PacketInfo& p) {
  if (needs_links_ || !p.from_host.valid() || !matches(p.from_host, p, {})) return;
  write(at, p, writer_.interface(world_.network().host_name(p.from_host)), trace::Direction::kOutbound, {});
}

void Capture::delivered(Instant at, const net::PacketInfo& p) {
  if (needs_links_ || !p.to_host.valid() || !matches(p.to_host, p, {})) return;
  write(at, p, writer_.interface(world_.network().host_name(p.to_host)), trace::Direction::kInbound, {});
}

void Capture::hop(Instant at, const net::PacketInfo& p, net::LinkId link) {
  if (!needs_links_ || !matches(p.from_host, p, link)) return;
  const std::string_view on = p.from_host.valid() ? world_.network().host_name(p.from_host) : world_.network().link_name(link);
  write(at, p, writer_.interface(on), trace::Direction::kOutbound, fmt::format("on link {}", world_.network().link_name(link)));
}

void Capture::dropped(Instant at, const net::PacketInfo& p, const net::Drop& drop) {
  if (!spec_.drops || !drop.firewall.valid() || (!needs_links_ && !matches(p.from_host, p, {}) && !matches(p.to_host, p, {}))) return;
  const std::string_view firewall = world_.network().firewall(drop.firewall).name();
  write(at, p, writer_.interface(firewall, "firewall"), trace::Direction::kInbound,
        fmt::format("{} by {}, rule {}", drop.reason == net::DropReason::kReject ? "rejected" : "dropped", firewall,
                    world_.network().firewall(drop.firewall).rule_name(drop.rule)));
}

}  // namespace dcsim::host
