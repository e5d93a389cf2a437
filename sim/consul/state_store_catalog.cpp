#include <utility>
#include <vector>

#include "consul/state_store.h"

// Nodes, services and checks: agent/consul/state/catalog.go, catalog_ce.go.

namespace dcsim::consul {
namespace {

using wire::rpc::HealthCheck;
using wire::rpc::Node;
using wire::rpc::NodeService;
using wire::rpc::RegisterRequest;
using wire::rpc::Weights;

constexpr const char* kMissingKey = "object missing primary index";

Error wrapped(const char* what, const Error& cause) { return {std::string(what) + ": " + cause.text}; }

Node node_of(const RegisterRequest& r) {
  return {r.id, r.node, r.address, r.datacenter, r.tagged_addresses, r.node_meta, r.index};
}

bool same_node(const RegisterRequest& r, const Node& n) {
  return r.id == n.id && r.node == n.node && r.address == n.address && r.datacenter == n.datacenter &&
         r.tagged_addresses == n.tagged_addresses && r.node_meta == n.meta;
}

/// structs.go ChangesNode.
bool changes_node(const RegisterRequest& r, const NodeRecord* existing) {
  return !existing || (!r.skip_node_update && !same_node(r, existing->node));
}

/// But for the indexes.
bool same_service(const NodeService& a, const NodeService& b) {
  return a.kind == b.kind && a.id == b.id && a.service == b.service && a.tags == b.tags && a.address == b.address &&
         a.meta == b.meta && a.port == b.port && a.weights == b.weights &&
         a.enable_tag_override == b.enable_tag_override;
}

/// As the state store keeps a service: with weights, 1 and 1 unless valid ones were given (structs.go ToServiceNode).
void settle_weights(NodeService& s) {
  const bool valid = s.weights && s.weights->passing >= 1 && s.weights->warning >= 0 && s.weights->passing <= 65535 &&
                     s.weights->warning <= 65535;
  if (!valid) s.weights = Weights{};
}

/// structs.go HealthCheck.IsSame: type, interval and time-out do not count.
bool same_check(const HealthCheck& a, const HealthCheck& b) {
  return a.node == b.node && a.check_id == b.check_id && a.name == b.name && a.status == b.status &&
         a.notes == b.notes && a.output == b.output && a.service_id == b.service_id &&
         a.service_name == b.service_name && a.service_tags == b.service_tags;
}

}  // namespace

// A registration is refused whole before anything changes.

StateStore::Status StateStore::refuse_registration(const RegisterRequest& request) const {
  if (Status refused = refuse_node(request)) return wrapped("failed inserting node", *refused);
  if (Status refused = refuse_service(request)) return wrapped("failed inserting service", *refused);
  if (request.check)
    if (Status refused = refuse_check(request, *request.check)) return refused;
  for (const HealthCheck& check : request.checks)
    if (Status refused = refuse_check(request, check)) return refused;
  return {};
}

StateStore::Status StateStore::refuse_node(const RegisterRequest& request) const {
  if (!changes_node(request, node(request.node))) return {};
  if (request.node.empty()) return Error{std::string("failed inserting node: ") + kMissingKey};
  if (request.id.empty()) return {};
  const NodeRecord* existing = node_by_id(request.id);
  const std::string id = go_quoted(request.id);
  if (!existing) {
    // A name may be taken from a node without ID: that is how a node gets its ID.
    if (Status refused = refuse_name(request, true))
      return wrapped(("Error while renaming Node ID: " + id).c_str(), *refused);
  } else if (!fold_equal(existing->node.node, request.node)) {
    if (Status refused = refuse_name(request, false))
      return wrapped(("Error while renaming Node ID: " + id + " (" + request.address + ")").c_str(), *refused);
  }
  return {};
}

StateStore::Status StateStore::refuse_name(const RegisterRequest& request, bool may_take_nameless) const {
  const NodeRecord* holder = node(request.node);
  if (!holder || holder->node.id == request.id) return {};
  const auto serf = holder->checks.find(kSerfHealth);
  const bool healthy = serf != holder->checks.end() && serf->second.status != kHealthCritical;
  if (!healthy || (holder->node.id.empty() && may_take_nameless)) return {};
  return Error{"Node name " + request.node + " is reserved by node " + holder->node.id + " with name " +
               holder->node.node + " (" + holder->node.address + ")"};
}

StateStore::Status StateStore::refuse_service(const RegisterRequest& request) const {
  if (!request.service) return {};
  const NodeService& service = *request.service;
  if (const NodeRecord* existing = node(request.node)) {
    const auto found = existing->services.find(service.id);
    if (found != existing->services.end() && same_service(found->second, service)) return {};
  }
  if (Status refused = refuse_service_meta(service.kind, service.meta))
    return wrapped(("Invalid Service Meta for node " + request.node + " and serviceID " + service.id).c_str(),
                   *refused);
  if (service.id.empty()) return Error{std::string("failed inserting service: ") + kMissingKey};
  return {};
}

StateStore::Status StateStore::refuse_check(const RegisterRequest& request, const HealthCheck& check) const {
  if (!fold_equal(check.node, request.node))
    return Error{"check node " + go_quoted(check.node) + " does not match node " + go_quoted(request.node)};
  const std::string inserting = "failed inserting check on node " + go_quoted(check.node) + ": ";
  if (check.check_id.empty()) return Error{inserting + "failed inserting check: " + kMissingKey};
  if (check.service_id.empty()) return {};
  const bool comes_along = request.service && fold_equal(request.service->id, check.service_id);
  const NodeRecord* existing = node(request.node);
  if (!comes_along && !(existing && existing->services.contains(check.service_id)))
    return Error{inserting + "Missing service registration"};
  return {};
}

StateStore::Status StateStore::ensure_registration(const Write& at, const RegisterRequest& request) {
  if (Status refused = refuse_registration(request)) return refused;
  register_all(at, false, request);
  return {};
}

void StateStore::register_all(const Write& at, bool restoring, const RegisterRequest& request) {
  if (changes_node(request, node(request.node))) put_node(at, restoring, request);
  NodeRecord& record = nodes_.find(request.node)->second;
  if (request.service) put_service(at, restoring, record, *request.service);
  if (request.check) put_check(at, restoring, record, *request.check);
  for (const HealthCheck& check : request.checks) put_check(at, restoring, record, check);
}

// Nodes.

void StateStore::put_node(const Write& at, bool restoring, const RegisterRequest& request) {
  Node next = node_of(request);
  const NodeRecord* existing = next.id.empty() ? nullptr : node_by_id(next.id);
  if (!existing) existing = node(next.node);
  if (existing) {
    next.index = {existing->node.index.create_index, at.index};
    const std::string old_name = existing->node.node;
    if (!fold_equal(old_name, next.node)) delete_node(at, old_name);
  } else if (!restoring || next.index.create_index == 0) {
    next.index = {at.index, at.index};
  }
  const std::uint64_t index = next.index.modify_index;
  auto found = nodes_.find(next.node);
  if (found == nodes_.end()) found = nodes_.emplace(next.node, NodeRecord{}).first;
  NodeRecord& record = found->second;
  if (!record.node.id.empty()) by_id_.erase(record.node.id);
  record.node = std::move(next);
  if (!record.node.id.empty()) by_id_[record.node.id] = &record;
  indexes_.raise(StateIndexes::kNodes, index);
  indexes_.raise_node(record.node.node, index);
  watchers_.touch(Topic::kNodes);
  watchers_.touch(Topic::kNode, record.node.node);
  raise_services_of(record, index);
  for (const auto& [id, service] : record.services) watchers_.touch(Topic::kServiceInstances, service.service);
}

void StateStore::delete_node(const Write& at, std::string_view name) {
  const auto found = nodes_.find(name);
  if (found == nodes_.end()) return;
  NodeRecord& record = found->second;
  const std::string own_name = record.node.node;
  while (!record.services.empty()) erase_service(at, record, std::string(record.services.begin()->first));
  while (!record.checks.empty()) erase_check(at, record, std::string(record.checks.begin()->first));
  erase_coordinates(at, record);
  const std::set<std::string, FoldLess> sessions = record.sessions;
  for (const std::string& session : sessions) destroy_session(at, session);
  if (!record.node.id.empty()) by_id_.erase(record.node.id);
  nodes_.erase(found);
  indexes_.raise(StateIndexes::kNodes, at.index);
  indexes_.drop_node(own_name);
  indexes_.node_extinct(at.index);
  watchers_.touch(Topic::kNodes);
  watchers_.touch(Topic::kNode, own_name);
}

void StateStore::erase_coordinates(const Write& at, NodeRecord& node) {
  if (node.coordinates.empty()) return;
  node.coordinates.clear();
  indexes_.raise(StateIndexes::kCoordinates, at.index);
  watchers_.touch(Topic::kCoordinates);
}

// Services.

void StateStore::raise_service(std::string_view name, std::uint64_t index) {
  indexes_.raise_service(name, index);
  watchers_.touch(Topic::kServiceHealth, name);
}

void StateStore::raise_services_of(const NodeRecord& node, std::uint64_t index) {
  for (const auto& [id, service] : node.services) raise_service(service.service, index);
}

void StateStore::put_service(const Write& at, bool restoring, NodeRecord& node, NodeService service) {
  settle_weights(service);
  auto found = node.services.find(service.id);
  if (found != node.services.end()) {
    if (same_service(found->second, service)) return;
    service.index.create_index = found->second.index.create_index;
    if (!restoring) service.index.modify_index = at.index;
    const auto named = services_.find(found->second.service);
    named->second.erase({&node, &found->second});
    if (named->second.empty()) services_.erase(named);
    watchers_.touch(Topic::kServiceInstances, found->second.service);
  } else {
    if (!restoring) service.index = {at.index, at.index};
    found = node.services.emplace(service.id, NodeService{}).first;
  }
  found->second = std::move(service);
  const NodeService& now = found->second;
  services_[now.service].insert({&node, &now});
  const std::uint64_t index = now.index.modify_index;
  indexes_.raise(StateIndexes::kServices, index);
  indexes_.raise(StateIndexes::kNodes, index);  // answers about nodes include services
  indexes_.raise_node(node.node.node, index);
  watchers_.touch(Topic::kServices);
  watchers_.touch(Topic::kNodeServices, node.node.node);
  watchers_.touch(Topic::kServiceInstances, now.service);
  raise_service(now.service, index);
}

void StateStore::delete_service(const Write& at, std::string_view node, std::string_view service_id) {
  if (const auto found = nodes_.find(node); found != nodes_.end()) erase_service(at, found->second, service_id);
}

void StateStore::erase_service(const Write& at, NodeRecord& node, std::string_view id) {
  const auto found = node.services.find(id);
  if (found == node.services.end()) return;
  std::vector<std::string> checks;
  for (const auto& [check_id, check] : node.checks)
    if (fold_equal(check.service_id, id)) checks.push_back(check_id);
  for (const std::string& check : checks) erase_check(at, node, check);
  indexes_.raise(StateIndexes::kChecks, at.index);

  const std::string name = found->second.service;
  const auto named = services_.find(name);
  named->second.erase({&node, &found->second});
  node.services.erase(found);
  indexes_.raise(StateIndexes::kServices, at.index);
  indexes_.raise(StateIndexes::kNodes, at.index);
  indexes_.raise_node(node.node.node, at.index);
  watchers_.touch(Topic::kServices);
  watchers_.touch(Topic::kNodeServices, node.node.node);
  watchers_.touch(Topic::kServiceInstances, name);
  if (!named->second.empty()) return raise_service(name, at.index);
  services_.erase(named);
  indexes_.drop_service(name);
  indexes_.service_extinct(at.index);
  watchers_.touch(Topic::kServiceHealth, name);
}

// Checks.

void StateStore::touch_check(const NodeRecord& node, const HealthCheck& check) {
  watchers_.touch(Topic::kChecks);
  watchers_.touch(Topic::kNodeChecks, node.node.node);
  watchers_.touch(Topic::kChecksInState, check.status);
  if (!check.service_name.empty()) watchers_.touch(Topic::kServiceChecks, check.service_name);
}

void StateStore::put_check(const Write& at, bool restoring, NodeRecord& node, HealthCheck check) {
  if (check.status.empty()) check.status = kHealthCritical;
  auto found = node.checks.find(check.check_id);
  const bool exists = found != node.checks.end();
  if (exists) {
    check.index = found->second.index;
  } else if (!restoring) {
    check.index = {at.index, at.index};
  }
  if (!check.service_id.empty()) {
    const NodeService& service = node.services.find(check.service_id)->second;
    check.service_name = service.service;
    check.service_tags = service.tags;
  }
  const bool modified = !exists || !same_check(found->second, check);
  if (modified && !check.service_id.empty()) raise_service(check.service_name, at.index);
  if (modified && check.service_id.empty()) raise_services_of(node, at.index);
  if (check.status == kHealthCritical) end_sessions_of(at, node, check.check_id);
  if (!modified) return;
  if (!restoring) check.index.modify_index = at.index;
  if (exists) {
    touch_check(node, found->second);
  } else {
    found = node.checks.emplace(check.check_id, HealthCheck{}).first;
  }
  found->second = std::move(check);
  indexes_.raise(StateIndexes::kChecks, at.index);
  touch_check(node, found->second);
}

void StateStore::delete_check(const Write& at, std::string_view node, std::string_view check_id) {
  if (const auto found = nodes_.find(node); found != nodes_.end()) erase_check(at, found->second, check_id);
}

void StateStore::erase_check(const Write& at, NodeRecord& node, std::string_view id) {
  const auto found = node.checks.find(id);
  if (found == node.checks.end()) return;
  const HealthCheck check = std::move(found->second);
  node.checks.erase(found);
  if (!check.service_id.empty()) {
    raise_service(check.service_name, at.index);
  } else {
    raise_services_of(node, at.index);
    indexes_.raise(StateIndexes::kServices, at.index);
  }
  indexes_.raise(StateIndexes::kChecks, at.index);
  touch_check(node, check);
  end_sessions_of(at, node, check.check_id);
}

}  // namespace dcsim::consul
