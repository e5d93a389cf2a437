#include "consul/anti_entropy_state.h"

#include <fmt/format.h>

#include <algorithm>

#include "consul/state_store.h"

namespace dcsim::consul {

namespace {

constexpr std::string_view kNodeReason =
    "Maintenance mode is enabled for this node, but no reason was provided. This is a default message.";
constexpr std::string_view kServiceReason =
    "Maintenance mode is enabled for this service, but no reason was provided. This is a default message.";
constexpr std::string_view kConsulService = "consul";

std::string service_key(std::string_view id) { return "s:" + std::string(id); }
std::string check_key(std::string_view id) { return "c:" + std::string(id); }

Error unknown_service(std::string_view id) {
  return {fmt::format("Unknown service ID {:?}. Ensure that the service ID is passed, not the service name.", id)};
}

bool same(wire::rpc::NodeService a, wire::rpc::NodeService b) {
  a.index = b.index = {};
  if (!a.weights) a.weights.emplace();
  if (!b.weights) b.weights.emplace();
  return a == b;
}

bool same(wire::rpc::HealthCheck a, wire::rpc::HealthCheck b) {
  a.index = b.index = {};
  return a == b;
}

}  // namespace

LocalState::Identity local_identity(const AgentConfig& config) {
  LocalState::Identity self;
  self.node_name = config.node_name;
  self.node_id = config.node_id;
  self.datacenter = config.datacenter;
  self.address = config.advertise.text();
  self.tagged_addresses["lan"] = self.address;
  self.tagged_addresses["lan_ipv4"] = self.address;
  const std::string wan = config.advertise_wan.empty() ? self.address : config.advertise_wan.text();
  self.tagged_addresses["wan"] = wan;
  self.tagged_addresses["wan_ipv4"] = wan;
  self.meta[std::string(kSegmentMeta)] = config.segment;
  self.meta["consul-version"] = config.build.substr(0, config.build.find(':'));
  return self;
}

std::vector<const wire::rpc::NodeService*> LocalState::services() const {
  std::vector<const wire::rpc::NodeService*> out;
  for (const auto& [id, s] : services_) {
    if (!s.deleted) out.push_back(&s.service);
  }
  return out;
}

std::vector<const wire::rpc::HealthCheck*> LocalState::checks() const {
  std::vector<const wire::rpc::HealthCheck*> out;
  for (const auto& [id, c] : checks_) {
    if (!c.deleted) out.push_back(&c.check);
  }
  return out;
}

const wire::rpc::NodeService* LocalState::service(std::string_view id) const {
  const auto found = services_.find(id);
  return found == services_.end() || found->second.deleted ? nullptr : &found->second.service;
}

const wire::rpc::HealthCheck* LocalState::check(std::string_view id) const {
  const auto found = checks_.find(id);
  return found == checks_.end() || found->second.deleted ? nullptr : &found->second.check;
}

void LocalState::add_service(wire::rpc::NodeService service) {
  if (service.id.empty()) service.id = service.service;
  if (!service.weights) service.weights.emplace();
  touched_[service_key(service.id)] = ++version_;
  const std::string id = service.id;
  services_[id] = Service{std::move(service)};
}

std::optional<Error> LocalState::remove_service(std::string_view id) {
  const auto found = services_.find(id);
  if (found == services_.end() || found->second.deleted) return unknown_service(id);
  found->second.deleted = true;
  touched_[service_key(id)] = ++version_;
  for (auto& [check_id, c] : checks_) {
    if (c.check.service_id != id || c.deleted) continue;
    c.deleted = true;
    touched_[check_key(check_id)] = ++version_;
  }
  return std::nullopt;
}

void LocalState::add_check(wire::rpc::HealthCheck check) {
  check.node = self_.node_name;
  if (const wire::rpc::NodeService* owner = service(check.service_id)) {
    check.service_name = owner->service;
    check.service_tags = owner->tags;
  }
  touched_[check_key(check.check_id)] = ++version_;
  const std::string id = check.check_id;
  checks_[id] = Check{std::move(check)};
}

std::optional<Error> LocalState::remove_check(std::string_view id) {
  const auto found = checks_.find(id);
  if (found == checks_.end() || found->second.deleted) return Error{fmt::format("Unknown check ID {:?}", id)};
  found->second.deleted = true;
  touched_[check_key(id)] = ++version_;
  return std::nullopt;
}

bool LocalState::update_check(std::string_view id, std::string_view status, std::string_view output) {
  const auto found = checks_.find(id);
  if (found == checks_.end() || found->second.deleted) return false;
  wire::rpc::HealthCheck& check = found->second.check;
  if (check.status == status && check.output == output) return false;
  check.status = status;
  check.output = output;
  found->second.in_sync = false;
  touched_[check_key(id)] = ++version_;
  return true;
}

void LocalState::set_node_maintenance(bool enable, std::string_view reason) {
  if (enable == (check(kNodeMaintenance) != nullptr)) return;
  if (!enable) return static_cast<void>(remove_check(kNodeMaintenance));
  wire::rpc::HealthCheck c;
  c.check_id = kNodeMaintenance;
  c.name = "Node Maintenance Mode";
  c.notes = reason.empty() ? kNodeReason : reason;
  c.status = kHealthCritical;
  c.type = "maintenance";
  add_check(std::move(c));
}

std::optional<Error> LocalState::set_service_maintenance(std::string_view id, bool enable, std::string_view reason) {
  if (!service(id)) return Error{fmt::format("No service registered with ID {:?}", id)};
  const std::string check_id = std::string(kServiceMaintenance) + std::string(id);
  if (enable == (check(check_id) != nullptr)) return std::nullopt;
  if (!enable) return remove_check(check_id);
  wire::rpc::HealthCheck c;
  c.check_id = check_id;
  c.name = "Service Maintenance Mode";
  c.notes = reason.empty() ? kServiceReason : reason;
  c.status = kHealthCritical;
  c.type = "maintenance";
  c.service_id = id;
  add_check(std::move(c));
  return std::nullopt;
}

void LocalState::compare(const wire::rpc::IndexedNodeServices& services, const std::vector<wire::rpc::HealthCheck>& checks) {
  const wire::rpc::NodeServices* remote = services.node_services ? &*services.node_services : nullptr;
  const wire::rpc::Node* node = remote && remote->node ? &*remote->node : nullptr;
  if (!node || node->id != self_.node_id || node->tagged_addresses != self_.tagged_addresses || node->meta != self_.meta) {
    node_in_sync_ = false;
  }
  for (auto& [id, s] : services_) {
    if (!remote || !remote->services.count(id)) s.in_sync = false;
  }
  if (remote) {
    for (const auto& [id, theirs] : remote->services) {
      const auto ours = services_.find(id);
      if (ours == services_.end()) {
        if (id != kConsulService) services_[id] = Service{theirs, false, true};
      } else if (!ours->second.deleted) {
        if (ours->second.service.enable_tag_override) ours->second.service.tags = theirs.tags;
        ours->second.in_sync = same(ours->second.service, theirs);
      }
    }
  }
  std::map<std::string_view, const wire::rpc::HealthCheck*> by_id;
  for (const auto& c : checks) by_id[c.check_id] = &c;
  for (auto& [id, c] : checks_) {
    if (!by_id.count(id)) c.in_sync = false;
  }
  for (const auto& [id, theirs] : by_id) {
    const auto ours = checks_.find(id);
    if (ours == checks_.end()) {
      if (id != kSerfHealth) checks_[std::string(id)] = Check{*theirs, false, true};
    } else if (!ours->second.deleted) {
      ours->second.in_sync = same(ours->second.check, *theirs);
    }
  }
}

std::vector<LocalState::Change> LocalState::changes() const {
  std::vector<Change> out;
  if (!node_in_sync_) out.push_back({});
  for (const auto& [id, s] : services_) {
    if (s.deleted) out.push_back({Change::Kind::kDropService, id});
    else if (!s.in_sync) out.push_back({Change::Kind::kService, id});
  }
  for (const auto& [id, c] : checks_) {
    if (c.deleted) out.push_back({Change::Kind::kDropCheck, id});
    else if (!c.in_sync) out.push_back({Change::Kind::kCheck, id});
  }
  return out;
}

bool LocalState::pending(const Change& change) const {
  const auto service = services_.find(change.id);
  const auto check = checks_.find(change.id);
  switch (change.kind) {
    case Change::Kind::kNode: return !node_in_sync_;
    case Change::Kind::kService: return service != services_.end() && !service->second.deleted && !service->second.in_sync;
    case Change::Kind::kDropService: return service != services_.end() && service->second.deleted;
    case Change::Kind::kCheck: return check != checks_.end() && !check->second.deleted && !check->second.in_sync;
    case Change::Kind::kDropCheck: return check != checks_.end() && check->second.deleted;
  }
  return false;
}

wire::rpc::RegisterRequest LocalState::registration(Change& change) const {
  wire::rpc::RegisterRequest r;
  r.datacenter = self_.datacenter;
  r.id = self_.node_id;
  r.node = self_.node_name;
  r.address = self_.address;
  r.tagged_addresses = self_.tagged_addresses;
  r.node_meta = self_.meta;
  r.skip_node_update = change.kind != Change::Kind::kNode && node_in_sync_;
  change.version = version_;
  if (change.kind == Change::Kind::kService) {
    r.service = services_.find(change.id)->second.service;
    for (const auto& [id, c] : checks_) {
      if (c.deleted || c.in_sync || c.check.service_id != change.id) continue;
      r.checks.push_back(c.check);
      change.checks.push_back(id);
    }
    if (r.checks.size() == 1) {  // as agents before 0.5 did
      r.check = r.checks.front();
      r.checks.clear();
    }
  } else if (change.kind == Change::Kind::kCheck) {
    r.check = checks_.find(change.id)->second.check;
    if (const wire::rpc::NodeService* owner = service(r.check->service_id)) r.service = *owner;
  }
  return r;
}

wire::rpc::DeregisterRequest LocalState::deregistration(const Change& change) const {
  wire::rpc::DeregisterRequest r;
  r.datacenter = self_.datacenter;
  r.node = self_.node_name;
  (change.kind == Change::Kind::kDropService ? r.service_id : r.check_id) = change.id;
  return r;
}

void LocalState::done(const Change& change) {
  const auto unchanged = [&](const std::string& key) {
    const auto at = touched_.find(key);
    return at == touched_.end() || at->second <= change.version;
  };
  switch (change.kind) {
    case Change::Kind::kNode: node_in_sync_ = true; break;
    case Change::Kind::kService:
      node_in_sync_ = true;
      if (const auto s = services_.find(change.id); s != services_.end()) s->second.in_sync = unchanged(service_key(change.id));
      for (const std::string& id : change.checks) {
        if (const auto c = checks_.find(id); c != checks_.end()) c->second.in_sync = unchanged(check_key(id));
      }
      break;
    case Change::Kind::kCheck:
      node_in_sync_ = true;
      if (const auto c = checks_.find(change.id); c != checks_.end()) c->second.in_sync = unchanged(check_key(change.id));
      break;
    case Change::Kind::kDropService: {
      if (const auto s = services_.find(change.id); s != services_.end() && s->second.deleted) {
        services_.erase(s);
        touched_.erase(service_key(change.id));
      }
      std::erase_if(checks_, [&](const auto& entry) { return entry.second.deleted && entry.second.check.service_id == change.id; });
      break;
    }
    case Change::Kind::kDropCheck:
      if (const auto c = checks_.find(change.id); c != checks_.end() && c->second.deleted) {
        checks_.erase(c);
        touched_.erase(check_key(change.id));
      }
      break;
  }
}

}  // namespace dcsim::consul
