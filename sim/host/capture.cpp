#include "host/capture.h"

#include <fmt/format.h>

#include <algorithm>

#include "host/world.h"

namespace dcsim::host {

Result<std::unique_ptr<Capture>> Capture::make(World& world, const CaptureSpec& spec, const std::string& path) {
  std::unique_ptr<Capture> capture(new Capture(world, spec, path));
  for (const trace::MatcherSpec& m : spec.match) {
    Matcher compiled{m, {}};
    if (m.op == trace::MatchOp::kMatches || m.op == trace::MatchOp::kNotMatches) {
      try {
        compiled.regex = std::regex(m.text, std::regex::ECMAScript | std::regex::optimize);
      } catch (const std::regex_error&) {
        return Error{fmt::format("`{}` is not a regular expression", m.text)};
      }
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
      case trace::MatchOp::kMatches: return std::regex_match(value, m.regex);
      case trace::MatchOp::kNotMatches: return !std::regex_match(value, m.regex);
    }
    return false;
  });
}

void Capture::write(Instant at, const net::PacketInfo& p, std::uint32_t interface, trace::Direction direction, std::string comment) {
  trace::CapturedPacket out;
  out.t = at;
  out.interface = interface;
  out.direction = direction;
  out.proto = p.protocol == net::Protocol::kUdp ? trace::Proto::kUdp : p.protocol == net::Protocol::kTcp ? trace::Proto::kTcp : trace::Proto::kIcmp;
  out.src = {p.from.address.canonical(), p.from.port};
  out.dst = {p.to.address.canonical(), p.to.port};
  out.seq = p.tcp.seq;
  out.ack = p.tcp.ack;
  out.flags = p.tcp.flags;
  out.window = static_cast<std::uint16_t>(std::min<std::uint32_t>(p.tcp.window, 65535));
  if (p.protocol == net::Protocol::kIcmp) {
    out.icmp_type = 3;
    out.icmp_code = static_cast<std::uint8_t>(p.icmp);
  }
  if (p.payload) out.payload = *p.payload;
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
