#include <algorithm>

#include "consul/cli_command.h"
#include "consul/cli_http_endpoints.h"
#include "consul/cli_json_read.h"
#include "consul/state_store.h"

// What takes a JSON body: agent/session_endpoint.go, and registration in agent/agent_endpoint.go.
namespace dcsim::consul {

namespace {

using namespace wire::rpc;

std::string text_member(const RawValue& object, std::string_view key, std::string otherwise = "") {
  const RawValue* v = json_member(object, key);
  return v && v->text() ? *v->text() : std::move(otherwise);
}

std::int64_t number_member(const RawValue& object, std::string_view key, std::int64_t otherwise = 0) {
  const RawValue* v = json_member(object, key);
  const auto* number = v ? std::get_if<std::int64_t>(&v->value) : nullptr;
  return number ? *number : otherwise;
}

bool bool_member(const RawValue& object, std::string_view key) {
  const RawValue* v = json_member(object, key);
  const bool* b = v ? std::get_if<bool>(&v->value) : nullptr;
  return b && *b;
}

Texts texts_member(const RawValue& object, std::string_view key) {
  Texts out;
  const RawValue* v = json_member(object, key);
  if (!v || !v->list()) return out;
  for (const RawValue& item : *v->list()) {
    if (item.text()) out.push_back(*item.text());
  }
  return out;
}

/// nullopt: no object, and answered. An empty body is an empty object.
std::optional<RawValue> body_of(Instant now, const HttpCallPtr& call) {
  if (call->request.body.empty()) return RawValue{RawValue::Map{}};
  auto body = read_json(call->request.body);
  if (body && body->map()) return std::move(*body);
  call->plain(now, 400, "Request decode failed: " + (body ? "json: cannot unmarshal into Go value" : body.error().text));
  return std::nullopt;
}

// --- sessions ----------------------------------------------------------------------------------------------------------

void session_json(JsonWriter& w, const Session& s) {
  w.begin_object().member("ID", s.id).member("Name", s.name).member("Node", s.node).member("LockDelay", s.lock_delay.ns);
  w.member("Behavior", s.behavior).member("TTL", s.ttl).key("NodeChecks").texts(s.node_checks).key("ServiceChecks");
  if (s.service_checks.empty()) {
    w.null();
  } else {
    w.begin_array();
    for (const ServiceCheck& c : s.service_checks) w.begin_object().member("ID", c.id).member("Namespace", c.name_space).end_object();
    w.end_array();
  }
  w.member("CreateIndex", s.index.create_index).member("ModifyIndex", s.index.modify_index).end_object();
}

/// "15s", or a number: of seconds if it is small, else of nanoseconds. nullopt: neither.
std::optional<Duration> lock_delay_of(const RawValue& body) {
  const RawValue* v = json_member(body, "LockDelay");
  if (!v) return Duration{15'000'000'000};
  if (v->text()) return parse_go_duration(*v->text());
  const auto* number = std::get_if<std::int64_t>(&v->value);
  if (!number) return std::nullopt;
  return Duration{*number < 1000 ? *number * 1'000'000'000 : *number};
}

void session_create(Instant now, const HttpCallPtr& call) {
  const auto body = body_of(now, call);
  if (!body) return;
  const auto delay = lock_delay_of(*body);
  if (!delay) return call->plain(now, 400, "Request decode failed: time: invalid duration");
  SessionRequest request;
  request.datacenter = call->datacenter();
  request.op = "create";
  Session& s = request.session;
  s.node = text_member(*body, "Node", call->agent.config().node_name);
  s.name = text_member(*body, "Name");
  s.behavior = text_member(*body, "Behavior", "release");
  s.ttl = text_member(*body, "TTL");
  s.lock_delay = *delay;
  const RawValue* checks = json_member(*body, "NodeChecks");
  if (!checks) checks = json_member(*body, "Checks");
  s.node_checks = checks ? texts_member(*body, json_member(*body, "NodeChecks") ? "NodeChecks" : "Checks") : Texts{std::string(kSerfHealth)};
  rpc_call<std::string>(call->agent.rpc(), now, method::kSessionApply, request, [call](Instant at, const Result<std::string>& id) {
    if (!id) return call->rpc_failed(at, id.error());
    JsonWriter w = call->writer();
    w.begin_object().member("ID", *id).end_object();
    call->json(at, w);
  });
}

void session_destroy(Instant now, const HttpCallPtr& call, const std::string& id) {
  SessionRequest request;
  request.datacenter = call->datacenter();
  request.op = "destroy";
  request.session.id = id;
  rpc_call<std::string>(call->agent.rpc(), now, method::kSessionApply, request, [call](Instant at, const Result<std::string>& reply) {
    if (!reply) return call->rpc_failed(at, reply.error());
    JsonWriter w = call->writer();
    w.boolean(true);
    call->json(at, w);
  });
}

void session_read(Instant now, const HttpCallPtr& call, std::string_view how, const std::string& id) {
  const auto options = call->options(now);
  if (!options) return;
  SessionSpecificRequest request;
  request.datacenter = call->datacenter();
  request.session_id = id;
  request.options = *options;
  const bool renew = how == method::kSessionRenew;
  rpc_call<IndexedSessions>(call->agent.rpc(), now, how, request, [call, id, renew](Instant at, const Result<IndexedSessions>& reply) {
    if (!reply) return call->rpc_failed(at, reply.error());
    if (renew && reply->sessions.empty()) return call->plain(at, 404, fmt::format("Session id '{}' not found", id));
    JsonWriter w = call->writer();
    w.begin_array();
    for (const Session& s : reply->sessions) session_json(w, s);
    w.end_array();
    call->json(at, w, renew ? std::nullopt : std::optional<QueryMeta>(reply->meta));
  });
}

// --- services and checks of the agent ----------------------------------------------------------------------------------

/// structs.CheckType: what the agent would run. Here nothing is run: a check keeps the status that it is given.
HealthCheck check_of(const RawValue& body, const NodeService* owner, const std::string& id) {
  HealthCheck c;
  c.check_id = text_member(body, "CheckID", text_member(body, "ID", id));
  c.name = text_member(body, "Name", owner ? fmt::format("Service '{}' check", owner->service) : c.check_id);
  if (c.check_id.empty()) c.check_id = c.name;
  c.status = text_member(body, "Status", std::string(kHealthCritical));
  c.notes = text_member(body, "Notes");
  c.service_id = owner ? owner->id : text_member(body, "ServiceID");
  for (const auto& [member, type] : {std::pair<std::string_view, const char*>{"TTL", "ttl"}, {"HTTP", "http"}, {"TCP", "tcp"}, {"UDP", "udp"}, {"GRPC", "grpc"}, {"Args", "script"}}) {
    if (c.type.empty() && json_member(body, member)) c.type = type;
  }
  return c;
}

void register_service(Instant now, const HttpCallPtr& call) {
  const auto body = body_of(now, call);
  if (!body) return;
  NodeService s;
  s.service = text_member(*body, "Name");
  if (s.service.empty()) return call->plain(now, 400, "Missing service name");
  s.id = text_member(*body, "ID", s.service);
  s.kind = text_member(*body, "Kind");
  s.address = text_member(*body, "Address");
  s.tags = texts_member(*body, "Tags");
  s.port = number_member(*body, "Port");
  s.enable_tag_override = bool_member(*body, "EnableTagOverride");
  if (const RawValue* meta = json_member(*body, "Meta"); meta && meta->map()) {
    for (const RawEntry& entry : *meta->map()) {
      if (entry.value.text()) s.meta[entry.key] = *entry.value.text();
    }
  }
  if (const auto wrong = refuse_service_meta(s.kind, s.meta)) return call->plain(now, 400, "Invalid Service Meta: " + wrong->text);
  if (const RawValue* weights = json_member(*body, "Weights"); weights && weights->map()) {
    s.weights = Weights{number_member(*weights, "Passing", 1), number_member(*weights, "Warning", 1)};
  }
  std::vector<const RawValue*> checks;
  if (const RawValue* one = json_member(*body, "Check"); one && one->map()) checks.push_back(one);
  if (const RawValue* many = json_member(*body, "Checks"); many && many->list()) {
    for (const RawValue& c : *many->list()) checks.push_back(&c);
  }
  LocalState& local = call->agent.local();
  const NodeService owner = s;
  local.add_service(std::move(s));
  for (std::size_t i = 0; i < checks.size(); ++i) {
    local.add_check(check_of(*checks[i], &owner, checks.size() == 1 ? "service:" + owner.id : fmt::format("service:{}:{}", owner.id, i + 1)));
  }
  call->agent.local_changed(now);
  call->plain(now, 200, "");
}

void register_check(Instant now, const HttpCallPtr& call) {
  const auto body = body_of(now, call);
  if (!body) return;
  HealthCheck c = check_of(*body, nullptr, "");
  if (c.name.empty()) c.name = c.check_id;
  if (c.name.empty()) return call->plain(now, 400, "Missing check name");
  if (!c.service_id.empty() && !call->agent.local().service(c.service_id)) {
    return call->plain(now, 500, fmt::format("ServiceID {:?} does not exist", c.service_id));
  }
  call->agent.local().add_check(std::move(c));
  call->agent.local_changed(now);
  call->plain(now, 200, "");
}

void deregister_check(Instant now, const HttpCallPtr& call, const std::string& id) {
  if (!call->agent.local().check(id)) return call->plain(now, 404, fmt::format("Unknown check ID {:?}. Ensure that the check ID is passed, not the check name.", id));
  call->agent.local().remove_check(id);
  call->agent.local_changed(now);
  call->plain(now, 200, "");
}

/// /v1/agent/check/{pass,warn,fail}/ID?note=...
void update_check(Instant now, const HttpCallPtr& call, std::string_view status, const std::string& id) {
  if (!call->agent.local().check(id)) {
    return call->plain(now, 404, fmt::format("Unknown check ID {:?}. Ensure that the check ID is passed, not the check name.", id));
  }
  if (call->agent.local().update_check(id, status, call->request.get("note"))) call->agent.local_changed(now);
  call->plain(now, 200, "");
}

std::optional<std::string> behind(const std::string& rest, std::string_view prefix) {
  if (!rest.starts_with(prefix)) return std::nullopt;
  return rest.substr(prefix.size());
}

}  // namespace

bool serve_session(Instant now, const HttpCallPtr& call, const std::string& rest) {
  const auto destroy = behind(rest, "destroy/"), renew = behind(rest, "renew/"), info = behind(rest, "info/");
  const bool write = rest == "create" || destroy || renew;
  if (!write && !info && rest != "list") return false;
  if (call->request.method != (write ? "PUT" : "GET")) call->not_allowed(now);
  else if (rest == "create") session_create(now, call);
  else if (rest == "list") session_read(now, call, method::kSessionList, "");
  else if ((destroy ? *destroy : renew ? *renew : *info).empty()) call->plain(now, 400, "Missing session");
  else if (destroy) session_destroy(now, call, *destroy);
  else session_read(now, call, renew ? method::kSessionRenew : method::kSessionGet, renew ? *renew : *info);
  return true;
}

bool serve_agent_registration(Instant now, const HttpCallPtr& call, const std::string& rest) {
  const auto gone = behind(rest, "check/deregister/");
  const auto pass = behind(rest, "check/pass/"), warn = behind(rest, "check/warn/"), fail = behind(rest, "check/fail/");
  if (rest != "service/register" && rest != "check/register" && !gone && !pass && !warn && !fail) return false;
  if (call->request.method != "PUT") call->not_allowed(now);
  else if (rest == "service/register") register_service(now, call);
  else if (rest == "check/register") register_check(now, call);
  else if (gone) deregister_check(now, call, *gone);
  else if (pass) update_check(now, call, kHealthPassing, *pass);
  else if (warn) update_check(now, call, kHealthWarning, *warn);
  else update_check(now, call, kHealthCritical, *fail);
  return true;
}

}  // namespace dcsim::consul
