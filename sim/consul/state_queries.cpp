#include "consul/state_queries.h"

#include <algorithm>
#include <set>

namespace dcsim::consul {
namespace {

using namespace wire::rpc;

void note(WatchSet* watch, Topic topic, std::string_view key = {}) {
  if (watch) watch->add(topic, key);
}

/// catalog.go maxIndexForService.
std::uint64_t service_index(const StateStore& store, std::string_view name, bool exists, bool with_checks) {
  const StateIndexes& indexes = store.indexes();
  if (!exists && indexes.service_extinction() != 0) return indexes.service_extinction();
  if (const std::uint64_t own = indexes.of_service(name)) return own;
  const std::uint64_t tables = std::max(indexes.of(StateIndexes::kServices), indexes.of(StateIndexes::kNodes));
  return with_checks ? std::max(tables, indexes.of(StateIndexes::kChecks)) : tables;
}

bool has_tag(const NodeService& service, std::string_view tag) {
  return std::any_of(service.tags.begin(), service.tags.end(),
                     [tag](const std::string& t) { return fold_equal(t, tag); });
}
bool has_tags(const NodeService& service, const Texts& tags) {
  return std::all_of(tags.begin(), tags.end(), [&](const std::string& t) { return has_tag(service, t); });
}

ServiceNode service_node(const Node& n, const NodeService& s) {
  ServiceNode out;
  out.id = n.id;
  out.node = n.node;
  out.address = n.address;
  out.datacenter = n.datacenter;
  out.tagged_addresses = n.tagged_addresses;
  out.node_meta = n.meta;
  out.service_kind = s.kind;
  out.service_id = s.id;
  out.service_name = s.service;
  out.service_tags = s.tags;
  out.service_address = s.address;
  out.service_meta = s.meta;
  out.service_port = s.port;
  out.service_weights = s.weights.value_or(Weights{});
  out.service_enable_tag_override = s.enable_tag_override;
  out.index = s.index;
  return out;
}

CheckServiceNode check_service_node(const NodeRecord& record, const NodeService& service) {
  CheckServiceNode out{record.node, service, {}};
  for (const auto& [id, check] : record.checks)
    if (check.service_id.empty()) out.checks.push_back(check);
  for (const auto& [id, check] : record.checks)
    if (!check.service_id.empty() && fold_equal(check.service_id, service.id)) out.checks.push_back(check);
  return out;
}

const StateStore::Instances* instances(const StateStore& store, std::string_view name) {
  const auto found = store.services().find(name);
  return found == store.services().end() ? nullptr : &found->second;
}

template <class Wanted>
void collect_checks(const StateStore& store, const TextMap& filters, Wanted&& wanted, std::vector<HealthCheck>& out) {
  for (const auto& [name, record] : store.nodes()) {
    if (!satisfies(record.node.meta, filters)) continue;
    for (const auto& [id, check] : record.checks)
      if (wanted(check)) out.push_back(check);
  }
}

std::uint64_t kv_index(const StateStore& store) {
  return std::max(store.indexes().of(StateIndexes::kKvs), store.indexes().of(StateIndexes::kTombstones));
}

/// kvs.go KVSList: the newest entry or tombstone below the prefix, else the whole table's index.
template <class V>
std::uint64_t list_entries(const StateStore& store, const std::string& prefix, V&& visit, WatchSet* watch) {
  note(watch, Topic::kPrefix, prefix);
  const KvStore::Records& records = store.kv().records();
  std::uint64_t newest = 0;
  for (auto at = records.lower_bound(prefix); at != records.end() && at->first.starts_with(prefix); ++at) {
    newest = std::max(newest, at->second.index.modify_index);
    visit(at->first, at->second);
  }
  if (prefix.empty()) return kv_index(store);
  newest = std::max(newest, store.kv().tombstone_index(prefix));
  return newest != 0 ? newest : kv_index(store);
}

std::uint64_t at_least_one(std::uint64_t index) { return std::max<std::uint64_t>(index, 1); }

}  // namespace

bool satisfies(const TextMap& meta, const TextMap& filters) {
  return std::all_of(filters.begin(), filters.end(), [&meta](const auto& wanted) {
    const auto found = meta.find(wanted.first);
    return found != meta.end() && found->second == wanted.second;
  });
}

void list_nodes(const StateStore& store, const DcSpecificRequest& request, IndexedNodes& reply, WatchSet* watch) {
  note(watch, Topic::kNodes);
  reply.nodes.clear();
  for (const auto& [name, record] : store.nodes())
    if (satisfies(record.node.meta, request.node_meta_filters)) reply.nodes.push_back(record.node);
  reply.meta.index = store.indexes().of(StateIndexes::kNodes);
}

void list_services(const StateStore& store, const DcSpecificRequest& request, IndexedServices& reply, WatchSet* watch) {
  note(watch, Topic::kServices);
  reply.meta.index = store.indexes().of(StateIndexes::kServices);
  if (!request.node_meta_filters.empty()) {
    note(watch, Topic::kNodes);
    reply.meta.index = std::max(reply.meta.index, store.indexes().of(StateIndexes::kNodes));
  }
  std::map<std::string, std::set<std::string>> tags;
  for (const auto& [name, record] : store.nodes()) {
    if (!satisfies(record.node.meta, request.node_meta_filters)) continue;
    for (const auto& [id, service] : record.services)
      tags[service.service].insert(service.tags.begin(), service.tags.end());
  }
  reply.services.clear();
  for (const auto& [name, unique] : tags) reply.services[name].assign(unique.begin(), unique.end());
}

void service_nodes(const StateStore& store, const ServiceSpecificRequest& request, IndexedServiceNodes& reply,
                   WatchSet* watch) {
  reply.service_nodes.clear();
  const auto add = [&](const NodeRecord& record, const NodeService& service) {
    if (satisfies(record.node.meta, request.node_meta_filters))
      reply.service_nodes.push_back(service_node(record.node, service));
  };
  if (!request.service_address.empty()) {
    // Consul answers these with index 0, which never blocks.
    reply.meta.index = 0;
    note(watch, Topic::kServices);
    for (const auto& [name, record] : store.nodes())
      for (const auto& [id, service] : record.services)
        if (service.address == request.service_address) add(record, service);
    return;
  }
  note(watch, Topic::kServiceInstances, request.service_name);
  const StateStore::Instances* found = instances(store, request.service_name);
  reply.meta.index = service_index(store, request.service_name, found != nullptr, false);
  if (!found) return;
  for (const ServiceInstance& i : *found)
    if (!request.tag_filter || has_tags(*i.service, request.service_tags)) add(*i.node, *i.service);
}

void node_services(const StateStore& store, const NodeSpecificRequest& request, IndexedNodeServices& reply,
                   WatchSet* watch) {
  reply.node_services.reset();
  reply.meta.index = 0;
  const NodeRecord* record = store.node(request.node);
  if (!record) {
    if (request.node.size() < 2) return note(watch, Topic::kNode, request.node);
    bool ambiguous = false;
    record = store.node_by_id_prefix(request.node, ambiguous);
    if (!record) {
      note(watch, Topic::kNode, request.node);
      if (!ambiguous) reply.meta.index = store.indexes().node_extinction();
      return;
    }
  }
  note(watch, Topic::kNode, record->node.node);
  note(watch, Topic::kNodeServices, record->node.node);
  NodeServices& out = reply.node_services.emplace();
  out.node = record->node;
  for (const auto& [id, service] : record->services) out.services[service.id] = service;
  reply.meta.index = store.indexes().of_node(record->node.node);
}

void health_service_nodes(const StateStore& store, const ServiceSpecificRequest& request,
                          IndexedCheckServiceNodes& reply, WatchSet* watch) {
  reply.nodes.clear();
  const StateStore::Instances* found = instances(store, request.service_name);
  reply.meta.index = service_index(store, request.service_name, found != nullptr, true);
  const StateStore::Instances none;
  bool matched = false;
  for (const ServiceInstance& i : found ? *found : none) {
    if (request.tag_filter && !has_tags(*i.service, request.service_tags)) continue;
    matched = true;
    if (satisfies(i.node->node.meta, request.node_meta_filters))
      reply.nodes.push_back(check_service_node(*i.node, *i.service));
  }
  // Checks matter only to instances that are part of the answer.
  note(watch, matched ? Topic::kServiceHealth : Topic::kServiceInstances, request.service_name);
}

void node_checks(const StateStore& store, const NodeSpecificRequest& request, IndexedHealthChecks& reply,
                 WatchSet* watch) {
  note(watch, Topic::kNodeChecks, request.node);
  reply.health_checks.clear();
  if (const NodeRecord* record = store.node(request.node))
    for (const auto& [id, check] : record->checks) reply.health_checks.push_back(check);
  reply.meta.index = store.indexes().of(StateIndexes::kChecks);
}

void service_checks(const StateStore& store, const ServiceSpecificRequest& request, IndexedHealthChecks& reply,
                    WatchSet* watch) {
  note(watch, Topic::kServiceChecks, request.service_name);
  reply.health_checks.clear();
  const auto wanted = [&](const HealthCheck& c) {
    return !c.service_name.empty() && fold_equal(c.service_name, request.service_name);
  };
  collect_checks(store, request.node_meta_filters, wanted, reply.health_checks);
  reply.meta.index = store.indexes().of(StateIndexes::kChecks);
  if (request.node_meta_filters.empty()) return;
  note(watch, Topic::kNodes);
  reply.meta.index = service_index(store, request.service_name, true, true);
}

void checks_in_state(const StateStore& store, const ChecksInStateRequest& request, IndexedHealthChecks& reply,
                     WatchSet* watch) {
  const bool any = request.state == kHealthAny;
  note(watch, any ? Topic::kChecks : Topic::kChecksInState, any ? std::string_view{} : request.state);
  if (!request.node_meta_filters.empty()) note(watch, Topic::kNodes);
  reply.health_checks.clear();
  const auto wanted = [&](const HealthCheck& c) { return any || c.status == request.state; };
  collect_checks(store, request.node_meta_filters, wanted, reply.health_checks);
  reply.meta.index = store.indexes().of(StateIndexes::kChecks);
}

void keep_healthy(std::vector<CheckServiceNode>& nodes, bool only_passing) {
  std::erase_if(nodes, [only_passing](const CheckServiceNode& n) {
    return std::any_of(n.checks.begin(), n.checks.end(), [only_passing](const HealthCheck& c) {
      return c.status == kHealthCritical || (only_passing && c.status != kHealthPassing);
    });
  });
}

bool kvs_get(const StateStore& store, const KeyRequest& request, IndexedDirEntries& reply, WatchSet* watch) {
  note(watch, Topic::kKey, request.key);
  reply.entries.clear();
  const KvStore::Record* record = store.kv().find(request.key);
  if (!record) {
    reply.meta.index = at_least_one(kv_index(store));
    return false;
  }
  reply.meta.index = record->index.modify_index;
  reply.entries.push_back(KvStore::entry(request.key, *record));
  return true;
}

bool kvs_list(const StateStore& store, const KeyRequest& request, IndexedDirEntries& reply, WatchSet* watch) {
  reply.entries.clear();
  const auto add = [&](std::string_view key, const KvStore::Record& r) {
    reply.entries.push_back(KvStore::entry(key, r));
  };
  reply.meta.index = at_least_one(list_entries(store, request.key, add, watch));
  return !reply.entries.empty();
}

bool kvs_list_keys(const StateStore& store, const KeyListRequest& request, IndexedKeyList& reply, WatchSet* watch) {
  reply.keys.clear();
  const auto add = [&](std::string_view key, const KvStore::Record&) {
    if (!request.separator.empty()) {
      const std::size_t at = key.find(request.separator, request.prefix.size());
      if (at != key.npos) key = key.substr(0, at + request.separator.size());
      if (!reply.keys.empty() && reply.keys.back() == key) return;  // keys come in order: equal ones are neighbours
    }
    reply.keys.emplace_back(key);
  };
  reply.meta.index = at_least_one(list_entries(store, request.prefix, add, watch));
  return !reply.keys.empty();
}

bool session_get(const StateStore& store, const SessionSpecificRequest& request, IndexedSessions& reply,
                 WatchSet* watch) {
  note(watch, Topic::kSession, request.session_id);
  reply.sessions.clear();
  reply.meta.index = store.indexes().of(StateIndexes::kSessions);
  const Session* session = store.session(request.session_id);
  if (session) reply.sessions.push_back(*session);
  return session != nullptr;
}

void session_list(const StateStore& store, IndexedSessions& reply, WatchSet* watch) {
  note(watch, Topic::kSessions);
  reply.sessions.clear();
  for (const auto& [id, session] : store.sessions()) reply.sessions.push_back(session);
  reply.meta.index = store.indexes().of(StateIndexes::kSessions);
}

void node_sessions(const StateStore& store, std::string_view node, IndexedSessions& reply, WatchSet* watch) {
  note(watch, Topic::kNodeSessions, node);
  reply.sessions.clear();
  if (const NodeRecord* record = store.node(node))
    for (const std::string& id : record->sessions)
      if (const Session* session = store.session(id)) reply.sessions.push_back(*session);
  reply.meta.index = store.indexes().of(StateIndexes::kSessions);
}

std::uint64_t coordinates(const StateStore& store, Coordinates& out, WatchSet* watch) {
  note(watch, Topic::kCoordinates);
  out.clear();
  for (const auto& [name, record] : store.nodes())
    for (const auto& [segment, coordinate] : record.coordinates) out.push_back(coordinate);
  return store.indexes().of(StateIndexes::kCoordinates);
}

}  // namespace dcsim::consul
