#include "consul/reconcile.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "consul/autopilot.h"
#include "consul/state_fold.h"

namespace dcsim::consul {

namespace {

constexpr std::string_view kSerfHealthName = "Serf Health Status";
constexpr std::string_view kAliveOutput = "Agent alive and reachable";
constexpr std::string_view kFailedOutput = "Agent not live or unreachable";
constexpr std::string_view kConsulService = "consul";
constexpr std::string_view kVersionMeta = "consul-version";

std::string version_text(const BuildVersion& v) { return fmt::format("{}.{}.{}", v.major, v.minor, v.patch); }

int number_tag(const Tags& tags, std::string_view key) {
  const std::string_view text = tag(tags, key);
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool has_serf_health(const NodeRecord& node, std::string_view status) {
  const auto check = node.checks.find(kSerfHealth);
  return check != node.checks.end() && check->second.check_id == kSerfHealth && check->second.status == status;
}

wire::rpc::HealthCheck serf_health(const std::string& node, std::string_view status, std::string_view output) {
  wire::rpc::HealthCheck check;
  check.node = node;
  check.check_id = kSerfHealth;
  check.name = kSerfHealthName;
  check.status = status;
  check.output = output;
  return check;
}

template <class M>
Bytes command(wire::rpc::CommandType type, const M& message) {
  Buffer payload;
  wire::rpc::append_command(type, message, payload);
  return Bytes(payload);
}

}  // namespace

std::optional<wire::rpc::NodeService> consul_service(const LanMember& member) {
  const auto server = parse_server(*member.tags);
  if (!server) return std::nullopt;
  wire::rpc::NodeService service;
  service.id = kConsulService;
  service.service = kConsulService;
  service.port = server->port;
  service.weights = wire::rpc::Weights{};
  const auto flag = [&](std::string_view key) { return tag(*member.tags, key) == "1" ? "true" : "false"; };
  service.meta["non_voter"] = flag("nonvoter");
  service.meta["read_replica"] = flag("read_replica");
  service.meta["raft_version"] = std::to_string(number_tag(*member.tags, "raft_vsn"));
  service.meta["serf_protocol_min"] = std::to_string(member.versions[0]);
  service.meta["serf_protocol_max"] = std::to_string(member.versions[1]);
  service.meta["serf_protocol_current"] = std::to_string(member.versions[2]);
  const auto build = parse_build(tag(*member.tags, "build"));
  service.meta["version"] = build ? version_text(*build) : "";
  for (const std::string_view port : {"grpc_port", "grpc_tls_port"}) {
    if (const int number = number_tag(*member.tags, port); number > 0) service.meta[std::string(port)] = std::to_string(number);
  }
  return service;
}

bool should_handle(const LanMember& member, std::string_view datacenter) {
  if (tag(*member.tags, "role") == "node") return tag(*member.tags, "dc") == datacenter;
  const auto server = parse_server(*member.tags);
  return server && server->segment.empty() && server->datacenter == datacenter;
}

void Reconciler::log(Instant now, LogLevel level, std::string_view text, const LanMember& member,
                     std::string_view more) const {
  host_.log(now, level, fmt::format("agent.server: {}: member={} partition=default{}", text, member.name, more));
}

void Reconciler::reconcile(Instant now, const LanMember& member, Done done) {
  if (!should_handle(member, self_.datacenter)) {
    log(now, LogLevel::kWarn, "skipping reconcile of node", member);
    return done(now, std::nullopt);
  }
  Done logged = [this, member, done = std::move(done)](Instant at, const std::optional<Error>& error) {
    if (error) log(at, LogLevel::kError, "failed to reconcile member", member, fmt::format(" error=\"{}\"", error->text));
    done(at, std::nullopt);  // one member's trouble does not stop the pass
  };
  if (member.reaped) return deregister(now, member, "reaped", std::move(logged));
  switch (member.status) {
    case gossip::MemberStatus::kAlive: return alive(now, member, std::move(logged));
    case gossip::MemberStatus::kFailed: return failed(now, member, std::move(logged));
    case gossip::MemberStatus::kLeft: return deregister(now, member, "left", std::move(logged));
    case gossip::MemberStatus::kLeaving:
    case gossip::MemberStatus::kNone: return logged(now, std::nullopt);
  }
}

void Reconciler::reap(Instant now, const LanMember& member, Done done) {
  deregister(now, member, "reaped", std::move(done));
}

void Reconciler::alive(Instant now, const LanMember& member, Done done) {
  const auto server = parse_server(*member.tags);
  if (!server) return register_alive(now, member, std::move(done));
  if (server->bootstrap) {
    for (const LanMember& other : host_.server_members()) {
      const auto rival = parse_server(*other.tags);
      if (!rival || !rival->bootstrap || other.name == member.name) continue;
      host_.log(now, LogLevel::kError,
                fmt::format("agent.server: Two nodes are in bootstrap mode. Only one node should be in bootstrap mode, not "
                            "adding Raft peer.: node_to_add={} other={}",
                            member.name, other.name));
      return register_alive(now, member, std::move(done));
    }
  }
  const auto known = autopilot_server(member);
  if (!known) return done(now, Error{"unable to determine the server of member " + member.name});
  autopilot_.add_server(now, *known, [this, member, done = std::move(done)](Instant at, const std::optional<Error>& error) {
    if (error) return done(at, error);
    register_alive(at, member, done);
  });
}

void Reconciler::register_alive(Instant now, const LanMember& member, Done done) {
  auto service = consul_service(member);
  const std::string address = member.address.address.text();
  const NodeRecord* node = host_.state().node(member.name);
  if (node && node->node.address == address) {
    const auto known = node->services.find(kConsulService);
    const bool same = !service || (known != node->services.end() && known->second.meta == service->meta);
    if (same && has_serf_health(*node, kHealthPassing)) return done(now, std::nullopt);
  }
  log(now, LogLevel::kInfo, "member joined, marking health alive", member);
  const auto build = parse_build(tag(*member.tags, "build"));
  if (!build) return done(now, Error{fmt::format("Malformed version: {}", tag(*member.tags, "build"))});
  wire::rpc::RegisterRequest request;
  request.datacenter = self_.datacenter;
  request.node = member.name;
  request.id = tag(*member.tags, "id");
  request.address = address;
  request.service = std::move(service);
  request.check = serf_health(member.name, kHealthPassing, kAliveOutput);
  if (node) {
    request.tagged_addresses = node->node.tagged_addresses;
    request.node_meta = node->node.meta;
  } else {
    request.node_meta[std::string(kVersionMeta)] = version_text(*build);
  }
  host_.apply_command(now, command(wire::rpc::CommandType::kRegister, request), std::move(done));
}

void Reconciler::failed(Instant now, const LanMember& member, Done done) {
  const NodeRecord* node = host_.state().node(member.name);
  if (!node) {
    log(now, LogLevel::kInfo, "ignoring failed event for member because it does not exist in the catalog", member);
    return done(now, std::nullopt);
  }
  const std::string address = member.address.address.text();
  if (node->node.address == address && has_serf_health(*node, kHealthCritical)) return done(now, std::nullopt);
  log(now, LogLevel::kInfo, "member failed, marking health critical", member);
  wire::rpc::RegisterRequest request;
  request.datacenter = self_.datacenter;
  request.node = member.name;
  request.id = tag(*member.tags, "id");
  request.address = address;
  request.check = serf_health(member.name, kHealthCritical, kFailedOutput);
  request.skip_node_update = true;
  host_.apply_command(now, command(wire::rpc::CommandType::kRegister, request), std::move(done));
}

void Reconciler::deregister(Instant now, const LanMember& member, std::string_view reason, Done done) {
  if (fold_compare(member.name, self_.node_name) == 0) {
    host_.log(now, LogLevel::kWarn,
              fmt::format("agent.server: deregistering self should be done by follower: name={} partition=default",
                          self_.node_name));
    return done(now, std::nullopt);
  }
  const auto server = autopilot_server(member);
  if (!server) return deregister_node(now, member.name, reason, std::move(done));
  autopilot_.remove_server(now, server->id,
                           [this, name = member.name, reason, done = std::move(done)](Instant at, const std::optional<Error>& error) {
                             if (error) return done(at, error);
                             deregister_node(at, name, reason, done);
                           });
}

void Reconciler::deregister_node(Instant now, const std::string& name, std::string_view reason, Done done) {
  if (!host_.state().node(name)) return done(now, std::nullopt);
  host_.log(now, LogLevel::kInfo,
            fmt::format("agent.server: deregistering member: member={} partition=default reason={}", name, reason));
  wire::rpc::DeregisterRequest request;
  request.datacenter = self_.datacenter;
  request.node = name;
  host_.apply_command(now, command(wire::rpc::CommandType::kDeregister, request), std::move(done));
}

std::vector<LanMember> Reconciler::forgotten(const std::vector<LanMember>& known) const {
  std::set<std::string_view, FoldLess> names;
  for (const LanMember& member : known) names.insert(member.name);
  const auto node_tags = std::make_shared<const Tags>(Tags{{"dc", self_.datacenter}, {"role", "node"}});
  std::vector<LanMember> out;
  for (const auto& [name, record] : host_.state().nodes()) {
    if (names.count(name) || !record.checks.count(kSerfHealth)) continue;
    LanMember member;
    member.name = record.node.node;
    member.reaped = true;
    member.tags = node_tags;
    // Consul makes up a server's member too, but without a build, so that it does not parse as one: Raft is left to
    // autopilot, to which such a server is stale.
    out.push_back(std::move(member));
  }
  return out;
}

}  // namespace dcsim::consul
