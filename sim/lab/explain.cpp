#include "lab/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "consul/agent_config.h"
#include "consul/command.h"
#include "lab/stage.h"

namespace dcsim::lab {

namespace {

std::string percent(net::Billionths p) { return fmt::format("{:g}%", static_cast<double>(p) / 1e7); }

std::string link_text(const net::LinkAttributes& l) {
  std::string out = consul::go_duration(l.latency);
  if (l.jitter.ns > 0) out += fmt::format(" ± {}", consul::go_duration(l.jitter));
  if (l.loss > 0) out += fmt::format(", loss {}", percent(l.loss));
  if (l.bandwidth > 0) out += fmt::format(", {:g} Mbit/s", static_cast<double>(l.bandwidth) / 1e6);
  return out;
}

std::string outcome_text(const net::PathReport& r, net::Protocol protocol) {
  if (r.arrives()) return fmt::format("arrives after {}", consul::go_duration(r.latency));
  std::string out = fmt::format("does not arrive: {}", net::name_of(r.drop.reason));
  if (r.error == net::SocketError::kTimedOut) {
    out += protocol == net::Protocol::kTcp ? "; the sender hears nothing, a dial ends with \"i/o timeout\"" : "; the sender hears nothing";
  } else if (r.error != net::SocketError::kNone) {
    out += fmt::format("; the sender sees \"{}\"", net::text_of(r.error));
  }
  return out;
}

std::string story(Stage& stage, HostId from, const Endpoint& to, net::Protocol protocol, std::uint16_t from_port, bool& arrives) {
  const net::PathReport report = stage.path(from, to, protocol, from_port);
  arrives = report.arrives();
  std::string out;
  for (const auto& step : report.steps) {
    switch (step.kind) {
      case net::PathReport::Step::Kind::kLink:
        out += fmt::format("  link      {} -> {}  ({}: {})\n", step.from, step.to, step.name, link_text(step.link));
        break;
      case net::PathReport::Step::Kind::kNat: out += fmt::format("  nat       {}: {} -> {}\n", step.name, step.from, step.to); break;
      case net::PathReport::Step::Kind::kPartition: out += fmt::format("  partition {}\n", step.name); break;
      case net::PathReport::Step::Kind::kFirewall: {
        const char* verdict = step.verdict.kind == net::VerdictKind::kAccept ? "accept" : step.verdict.kind == net::VerdictKind::kDrop ? "drop" : "reject";
        out += fmt::format("  firewall  {} ({}): {} by rule {}\n", step.name, step.from, verdict, step.to);
        const net::FirewallId id = stage.network().find_firewall(step.name);
        net::PacketMeta meta;
        meta.flow = {stage.network().address_of(from), to.address.canonical(), from_port, to.port, protocol};
        meta.from_host = from;
        meta.to_host = report.to_host;
        meta.at = step.from == "input" ? report.to_host : step.from == "output" ? from : HostId::none();
        meta.bytes = 60;
        meta.tcp_flags = protocol == net::Protocol::kTcp ? 2 : 0;
        if (!id.valid()) break;
        for (const auto& why : stage.network().firewall(id).explain(meta, Instant{}).steps) {
          out += fmt::format("              {} {}: {}\n", why.matched ? "*" : "-", why.name, why.why);
        }
        break;
      }
    }
  }
  return out + "  => " + outcome_text(report, protocol) + "\n";
}

}  // namespace

Result<FlowQuery> parse_flow(const std::string& from, const std::string& to) {
  FlowQuery q;
  q.from = from;
  const auto slash = to.rfind('/');
  const auto colon = to.rfind(':', slash);
  if (slash == std::string::npos || colon == std::string::npos) return Error{fmt::format("`{}` is no flow: write DST:PORT/PROTO, for example server-1.dc1:8301/udp", to)};
  q.to = to.substr(0, colon);
  q.protocol = to.substr(slash + 1);
  if (q.protocol != "tcp" && q.protocol != "udp") return Error{fmt::format("unknown protocol `{}`: tcp or udp", q.protocol)};
  const std::string port = to.substr(colon + 1, slash - colon - 1);
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc{} || end != port.data() + port.size() || number == 0 || number > 65535) return Error{fmt::format("`{}` is no port", port)};
  q.port = static_cast<std::uint16_t>(number);
  return q;
}

Result<Explanation> explain_flow(const scenario::Topology& topology, const FlowQuery& query, bool enable_all) {
  const auto from = topology.agent_index(query.from);
  if (!from) return Error{fmt::format("no agent is called `{}`", query.from)};
  Endpoint to{{}, query.port};
  if (const auto agent = topology.agent_index(query.to)) to.address = topology.agents[*agent].address;
  else if (const auto literal = Address::parse(query.to)) to.address = *literal;
  else return Error{fmt::format("`{}` is neither an agent nor an address", query.to)};
  const auto protocol = query.protocol == "udp" ? net::Protocol::kUdp : net::Protocol::kTcp;
  // memberlist sends its packets from its listening port; TCP comes from an ephemeral one.
  const std::uint16_t from_port = query.from_port ? query.from_port : protocol == net::Protocol::kUdp ? query.port : 40'000;
  const HostId source{*from};
  Explanation out;
  out.text = fmt::format("{} ({}) -> {} {}:{}/{}\n", topology.agents[*from].full_name, topology.agents[*from].address.text(), query.to,
                         to.address.text(), to.port, query.protocol);
  Stage stage(topology, enable_all);
  out.text += story(stage, source, to, protocol, from_port, out.arrives);
  if (stage.off().empty()) return out;
  std::string names;
  for (const std::string& n : stage.off()) names += (names.empty() ? "" : ", ") + n;
  out.text += fmt::format("\nwith {} (disabled in the file) enabled:\n", names);
  Stage on(topology, true);
  bool arrives = false;
  out.text += story(on, source, to, protocol, from_port, arrives);
  return out;
}

}  // namespace dcsim::lab
