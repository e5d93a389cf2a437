#include "consul/cli_http_endpoints.h"

#include <algorithm>

#include "consul/cli_command.h"
#include "consul/state_queries.h"

namespace dcsim::consul {

namespace {

using namespace wire::rpc;

/// The name behind "service/", or nullopt.
std::optional<std::string> behind(const std::string& rest, std::string_view prefix) {
  if (!rest.starts_with(prefix)) return std::nullopt;
  return rest.substr(prefix.size());
}

bool is_get(Instant now, const HttpCallPtr& call) {
  if (call->request.method == "GET") return true;
  call->not_allowed(now);
  return false;
}

/// One read: asks, and on success lets `print` write the reply's content.
template <class Reply, class Request, class Print>
void read(Instant now, const HttpCallPtr& call, std::string_view how, Request request, Print print) {
  if (!is_get(now, call)) return;
  const auto options = call->options(now);
  if (!options) return;
  request.datacenter = call->datacenter();
  request.options = *options;
  rpc_call<Reply>(call->agent.rpc(), now, how, request, [call, print](Instant at, Result<Reply> reply) {
    if (!reply) return call->rpc_failed(at, reply.error());
    reply->meta.consistency_level = call->consistency();
    JsonWriter w = call->writer();
    print(w, *reply);
    call->json(at, w, reply->meta);
  });
}

template <class T>
void list(JsonWriter& w, const std::vector<T>& items) {
  w.begin_array();
  for (const T& item : items) to_json(w, item);
  w.end_array();
}

ServiceSpecificRequest service_request(const HttpCallPtr& call, const std::string& name) {
  ServiceSpecificRequest request;
  request.service_name = name;
  request.node_meta_filters = call->node_meta();
  request.source = call->source();
  for (const auto& [key, value] : call->request.query) {
    if (key == "tag") request.service_tags.push_back(value);
  }
  request.tag_filter = call->request.has("tag");
  return request;
}

NodeSpecificRequest node_request(const std::string& name) {
  NodeSpecificRequest request;
  request.node = name;
  return request;
}

void checks(JsonWriter& w, const IndexedHealthChecks& reply) { list(w, reply.health_checks); }

/// ?passing, alone or with a value of strconv.ParseBool. nullopt: neither.
std::optional<bool> passing_only(const HttpRequest& request) {
  if (!request.has("passing")) return false;
  const std::string_view value = request.get("passing");
  for (const std::string_view yes : {"", "1", "t", "T", "true", "TRUE", "True"}) {
    if (value == yes) return true;
  }
  for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (value == no) return false;
  }
  return std::nullopt;
}

void health_service(Instant now, const HttpCallPtr& call, const std::string& name) {
  if (name.empty()) return call->plain(now, 400, "Missing service name");
  const auto passing = passing_only(call->request);
  if (!passing) return call->plain(now, 400, "Invalid value for ?passing");
  read<IndexedCheckServiceNodes>(now, call, method::kHealthServiceNodes, service_request(call, name),
                                 [only = *passing](JsonWriter& w, IndexedCheckServiceNodes& reply) {
                                   if (only) keep_healthy(reply.nodes, true);
                                   list(w, reply.nodes);
                                 });
}

// --- agent -------------------------------------------------------------------------------------------------------------

void agent_members(Instant now, const HttpCallPtr& call) {
  if (call->request.has("wan") && !call->request.get("segment").empty() && call->request.get("segment") != "_all") {
    return call->plain(now, 400, "Cannot provide a segment with wan=true");
  }
  const auto rows = call->agent.members(call->request.get("segment"));
  if (!rows) return call->plain(now, 500, rows.error().text);
  static constexpr std::string_view kStatus[] = {"none", "alive", "leaving", "left", "failed"};
  JsonWriter w = call->writer();
  w.begin_array();
  for (const MemberRow& m : *rows) {
    const auto status = std::find(std::begin(kStatus), std::end(kStatus), m.status) - std::begin(kStatus);
    w.begin_object().member("Name", m.name).member("Addr", m.address.address.text()).member("Port", static_cast<std::int64_t>(m.address.port));
    w.key("Tags").begin_object();
    for (const auto& [key, value] : m.tags) w.member(key, value);
    w.end_object().member("Status", static_cast<std::int64_t>(status % 5));
    static constexpr std::string_view kVersions[] = {"ProtocolMin", "ProtocolMax", "ProtocolCur", "DelegateMin", "DelegateMax", "DelegateCur"};
    for (std::size_t i = 0; i < std::size(kVersions); ++i) w.member(kVersions[i], static_cast<std::int64_t>(m.versions[i]));
    w.end_object();
  }
  w.end_array();
  call->json(now, w);
}

void agent_services(Instant now, const HttpCallPtr& call) {
  JsonWriter w = call->writer();
  w.begin_object();
  for (const NodeService* s : call->agent.local().services()) {
    const Weights weights = s->weights.value_or(Weights{});
    w.key(s->id).begin_object();
    if (!s->kind.empty()) w.member("Kind", s->kind);
    w.member("ID", s->id).member("Service", s->service).key("Tags").texts(s->tags).key("Meta").map(s->meta);
    w.member("Port", s->port).member("Address", s->address).key("Weights").begin_object();
    w.member("Passing", weights.passing).member("Warning", weights.warning).end_object();
    w.member("EnableTagOverride", s->enable_tag_override).member("Datacenter", call->agent.config().datacenter).end_object();
  }
  w.end_object();
  call->json(now, w);
}

void agent_checks(Instant now, const HttpCallPtr& call) {
  JsonWriter w = call->writer();
  w.begin_object();
  for (const HealthCheck* c : call->agent.local().checks()) {
    w.key(c->check_id);
    to_json(w, *c);
  }
  w.end_object();
  call->json(now, w);
}

/// The parts of /v1/agent/self that this agent knows.
void agent_self(Instant now, const HttpCallPtr& call) {
  const AgentConfig& c = call->agent.config();
  JsonWriter w = call->writer();
  w.begin_object().key("Config").begin_object().member("Datacenter", c.datacenter).member("PrimaryDatacenter", c.datacenter);
  w.member("NodeName", c.node_name).member("NodeID", c.node_id);
  const auto colon = c.build.find(':');
  w.member("Revision", colon == std::string::npos ? "" : c.build.substr(colon + 1)).member("Server", c.server);
  w.member("Version", c.build.substr(0, colon)).end_object().key("Stats").begin_object();
  for (const auto& [section, values] : call->agent.info(now)) {
    w.key(section).begin_object();
    for (const auto& [key, value] : values) w.member(key, value);
    w.end_object();
  }
  w.end_object().key("Meta").map(call->agent.local().self().meta).end_object();
  call->json(now, w);
}

/// ?enable=true|false of the two maintenance endpoints; nullopt: not given or neither, and answered.
std::optional<bool> enable_of(Instant now, const HttpCallPtr& call) {
  if (!call->request.has("enable")) {
    call->plain(now, 400, "Missing value for enable");
    return std::nullopt;
  }
  const std::string_view value = call->request.get("enable");
  for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (value == yes) return true;
  }
  for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (value == no) return false;
  }
  call->plain(now, 400, fmt::format("Invalid value for enable: {:?}", value));
  return std::nullopt;
}

void maintenance(Instant now, const HttpCallPtr& call, const std::string& service) {
  const auto enable = enable_of(now, call);
  if (!enable) return;
  LocalState& local = call->agent.local();
  if (service.empty()) {
    local.set_node_maintenance(*enable, call->request.get("reason"));
  } else if (const auto unknown = local.set_service_maintenance(service, *enable, call->request.get("reason"))) {
    return call->plain(now, 404, unknown->text);
  }
  call->agent.local_changed(now);
  call->plain(now, 200, "");
}

void deregister(Instant now, const HttpCallPtr& call, const std::string& id) {
  if (const auto unknown = call->agent.local().remove_service(id)) return call->plain(now, 404, unknown->text);
  call->agent.local_changed(now);
  call->plain(now, 200, "");
}

// --- operator ----------------------------------------------------------------------------------------------------------

template <class Reply, class Print>
void operator_read(Instant now, const HttpCallPtr& call, std::string_view how, Print print) {
  if (!is_get(now, call)) return;
  const auto options = call->options(now);
  if (!options) return;
  DcSpecificRequest request;
  request.datacenter = call->datacenter();
  request.options = *options;
  rpc_call<Reply>(call->agent.rpc(), now, how, request, [call, print](Instant at, const Result<Reply>& reply) {
    if (!reply) return call->rpc_failed(at, reply.error());
    JsonWriter w = call->writer();
    const int status = print(w, *reply);
    call->json(at, w, {}, status);
  });
}

void remove_peer(Instant now, const HttpCallPtr& call) {
  if (call->request.method != "DELETE") return call->not_allowed(now);
  const bool id = call->request.has("id"), address = call->request.has("address");
  if (!id && !address) {
    return call->plain(now, 400, "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove");
  }
  if (id && address) return call->plain(now, 400, "Must specify only one of ?id or ?address");
  RaftRemovePeerRequest request;
  request.datacenter = call->datacenter();
  request.id = call->request.get("id");
  request.address = call->request.get("address");
  rpc_call<Empty>(call->agent.rpc(), now, address ? method::kRaftRemovePeerByAddress : method::kRaftRemovePeerById, request,
                  [call](Instant at, const Result<Empty>& reply) {
                    if (!reply) return call->rpc_failed(at, reply.error());
                    call->plain(at, 200, "");
                  });
}

}  // namespace

bool serve_catalog(Instant now, const HttpCallPtr& call, const std::string& rest) {
  if (rest == "datacenters") {
    if (!is_get(now, call)) return true;
    rpc_call<Texts>(call->agent.rpc(), now, method::kCatalogListDatacenters, DatacentersRequest{}, [call](Instant at, const Result<Texts>& reply) {
      if (!reply) return call->rpc_failed(at, reply.error());
      JsonWriter w = call->writer();
      w.texts(*reply);
      call->json(at, w);
    });
  } else if (rest == "nodes" || rest == "services") {
    DcSpecificRequest request;
    request.node_meta_filters = call->node_meta();
    request.source = call->source();
    if (rest == "nodes") {
      read<IndexedNodes>(now, call, method::kCatalogListNodes, request, [](JsonWriter& w, const IndexedNodes& reply) { list(w, reply.nodes); });
    } else {
      read<IndexedServices>(now, call, method::kCatalogListServices, request, [](JsonWriter& w, const IndexedServices& reply) {
        w.begin_object();
        for (const auto& [name, tags] : reply.services) w.key(name).texts(tags);
        w.end_object();
      });
    }
  } else if (const auto service = behind(rest, "service/")) {
    if (service->empty()) call->plain(now, 400, "Missing service name");
    else
      read<IndexedServiceNodes>(now, call, method::kCatalogServiceNodes, service_request(call, *service),
                                [](JsonWriter& w, const IndexedServiceNodes& reply) { list(w, reply.service_nodes); });
  } else if (const auto node = behind(rest, "node/")) {
    if (node->empty()) call->plain(now, 400, "Missing node name");
    else
      read<IndexedNodeServices>(now, call, method::kCatalogNodeServices, node_request(*node), [](JsonWriter& w, const IndexedNodeServices& reply) {
        if (!reply.node_services) return static_cast<void>(w.null());
        w.begin_object().key("Node");
        if (reply.node_services->node) to_json(w, *reply.node_services->node);
        else w.null();
        w.key("Services").begin_object();
        for (const auto& [id, s] : reply.node_services->services) {
          w.key(id);
          to_json(w, s);
        }
        w.end_object().end_object();
      });
  } else {
    return false;
  }
  return true;
}

bool serve_health(Instant now, const HttpCallPtr& call, const std::string& rest) {
  if (const auto node = behind(rest, "node/")) {
    if (node->empty()) call->plain(now, 400, "Missing node name");
    else read<IndexedHealthChecks>(now, call, method::kHealthNodeChecks, node_request(*node), &checks);
  } else if (const auto service = behind(rest, "service/")) {
    health_service(now, call, *service);
  } else if (const auto of = behind(rest, "checks/")) {
    if (of->empty()) call->plain(now, 400, "Missing service name");
    else read<IndexedHealthChecks>(now, call, "Health.ServiceChecks", service_request(call, *of), &checks);
  } else if (const auto state = behind(rest, "state/")) {
    if (state->empty()) {
      call->plain(now, 400, "Missing check state");
    } else {
      ChecksInStateRequest request;
      request.state = *state;
      request.node_meta_filters = call->node_meta();
      request.source = call->source();
      read<IndexedHealthChecks>(now, call, method::kHealthChecksInState, request, &checks);
    }
  } else {
    return false;
  }
  return true;
}

bool serve_status(Instant now, const HttpCallPtr& call, const std::string& rest) {
  if (rest != "leader" && rest != "peers") return false;
  if (!is_get(now, call)) return true;
  DcSpecificRequest request;
  request.datacenter = call->datacenter();
  if (rest == "leader") {
    rpc_call<std::string>(call->agent.rpc(), now, method::kStatusLeader, request, [call](Instant at, const Result<std::string>& reply) {
      if (!reply) return call->rpc_failed(at, reply.error());
      JsonWriter w = call->writer();
      w.text(*reply);
      call->json(at, w);
    });
  } else {
    rpc_call<Texts>(call->agent.rpc(), now, method::kStatusPeers, request, [call](Instant at, const Result<Texts>& reply) {
      if (!reply) return call->rpc_failed(at, reply.error());
      JsonWriter w = call->writer();
      w.texts(*reply);
      call->json(at, w);
    });
  }
  return true;
}

bool serve_agent(Instant now, const HttpCallPtr& call, const std::string& rest) {
  const bool get = call->request.method == "GET", put = call->request.method == "PUT";
  const auto deregistered = behind(rest, "service/deregister/");
  const auto service = behind(rest, "service/maintenance/");
  const bool reads = rest == "members" || rest == "services" || rest == "checks" || rest == "self";
  const bool writes = rest == "maintenance" || deregistered || service;
  if (!reads && !writes) return false;
  if ((reads && !get) || (writes && !put)) call->not_allowed(now);
  else if (rest == "members") agent_members(now, call);
  else if (rest == "services") agent_services(now, call);
  else if (rest == "checks") agent_checks(now, call);
  else if (rest == "self") agent_self(now, call);
  else if (deregistered) deregister(now, call, *deregistered);
  else if (service && service->empty()) call->plain(now, 400, "Missing service ID");
  else maintenance(now, call, service.value_or(""));
  return true;
}

bool serve_operator(Instant now, const HttpCallPtr& call, const std::string& rest) {
  if (rest == "raft/configuration") {
    operator_read<RaftConfigurationResponse>(now, call, method::kRaftGetConfiguration, [](JsonWriter& w, const RaftConfigurationResponse& reply) {
      w.begin_object().key("Servers");
      list(w, reply.servers);
      w.member("Index", reply.index).end_object();
      return 200;
    });
  } else if (rest == "raft/peer") {
    remove_peer(now, call);
  } else if (rest == "autopilot/configuration") {
    operator_read<AutopilotConfig>(now, call, method::kAutopilotGetConfiguration, [](JsonWriter& w, const AutopilotConfig& reply) {
      to_json(w, reply);
      return 200;
    });
  } else if (rest == "autopilot/state") {
    operator_read<AutopilotState>(now, call, method::kAutopilotState, [](JsonWriter& w, const AutopilotState& reply) {
      to_json(w, reply);
      return 200;
    });
  } else if (rest == "autopilot/health") {
    operator_read<AutopilotHealthReply>(now, call, method::kServerHealth, [](JsonWriter& w, const AutopilotHealthReply& reply) {
      to_json(w, reply);
      return reply.healthy ? 200 : 429;
    });
  } else {
    return false;
  }
  return true;
}

}  // namespace dcsim::consul
