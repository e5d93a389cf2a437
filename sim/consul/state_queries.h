#pragma once
#include "consul/state_store.h"
#include "wire/consul_messages.h"

namespace dcsim::consul {

// The reading RPCs, answered from a state store
// (agent/consul/{catalog,health,kvs,session,operator_autopilot}_endpoint.go over agent/consul/state). Each sets the
// reply's content and meta.index, and adds to `watch`, if given, all that it read: wait on that set, and you are woken
// when the answer may have changed. Nothing is sorted by distance ("near"), and no other member of meta is set. The
// index may be 0 (the blocking query answers 1 then), but KVS.Get, List and ListKeys never answer less than 1.
// Arguments are vetted by the caller ("Must provide ..."). Cost: proportional to what is listed, but for checks by
// state or service, which look at every check.

/// True if `meta` has every pair of `filters`.
bool satisfies(const wire::rpc::TextMap& meta, const wire::rpc::TextMap& filters);

// Catalog.

void list_nodes(const StateStore& store, const wire::rpc::DcSpecificRequest& request, wire::rpc::IndexedNodes& reply,
                WatchSet* watch = nullptr);
/// Tags of all instances of a service, each once, in order of bytes.
void list_services(const StateStore& store, const wire::rpc::DcSpecificRequest& request,
                   wire::rpc::IndexedServices& reply, WatchSet* watch = nullptr);
/// By service name and, with tag_filter, all of service_tags (in any case); or by service_address.
void service_nodes(const StateStore& store, const wire::rpc::ServiceSpecificRequest& request,
                   wire::rpc::IndexedServiceNodes& reply, WatchSet* watch = nullptr);
/// By node name, or by an unambiguous beginning of a node ID. No node: no node_services.
void node_services(const StateStore& store, const wire::rpc::NodeSpecificRequest& request,
                   wire::rpc::IndexedNodeServices& reply, WatchSet* watch = nullptr);

// Health.

/// Instances, healthy or not, each with its node's and its own checks; see keep_healthy.
void health_service_nodes(const StateStore& store, const wire::rpc::ServiceSpecificRequest& request,
                          wire::rpc::IndexedCheckServiceNodes& reply, WatchSet* watch = nullptr);
void node_checks(const StateStore& store, const wire::rpc::NodeSpecificRequest& request,
                 wire::rpc::IndexedHealthChecks& reply, WatchSet* watch = nullptr);
void service_checks(const StateStore& store, const wire::rpc::ServiceSpecificRequest& request,
                    wire::rpc::IndexedHealthChecks& reply, WatchSet* watch = nullptr);
void checks_in_state(const StateStore& store, const wire::rpc::ChecksInStateRequest& request,
                     wire::rpc::IndexedHealthChecks& reply, WatchSet* watch = nullptr);

/// Drops instances with a critical check or, with only_passing, with any check that does not pass
/// (structs.go CheckServiceNodes.Filter; the agent applies it, not the server). Keeps the order.
void keep_healthy(std::vector<wire::rpc::CheckServiceNode>& nodes, bool only_passing);

// KV store. False: no such key (prefix), for the caller's errNotFound rule.

bool kvs_get(const StateStore& store, const wire::rpc::KeyRequest& request, wire::rpc::IndexedDirEntries& reply,
             WatchSet* watch = nullptr);
bool kvs_list(const StateStore& store, const wire::rpc::KeyRequest& request, wire::rpc::IndexedDirEntries& reply,
              WatchSet* watch = nullptr);
/// With a separator: each key up to and with the first separator behind the prefix, once.
bool kvs_list_keys(const StateStore& store, const wire::rpc::KeyListRequest& request, wire::rpc::IndexedKeyList& reply,
                   WatchSet* watch = nullptr);

// Sessions.

bool session_get(const StateStore& store, const wire::rpc::SessionSpecificRequest& request,
                 wire::rpc::IndexedSessions& reply, WatchSet* watch = nullptr);
void session_list(const StateStore& store, wire::rpc::IndexedSessions& reply, WatchSet* watch = nullptr);
void node_sessions(const StateStore& store, std::string_view node, wire::rpc::IndexedSessions& reply,
                   WatchSet* watch = nullptr);

/// Every coordinate, by node and segment; the index of the table.
std::uint64_t coordinates(const StateStore& store, wire::rpc::Coordinates& out, WatchSet* watch = nullptr);

}  // namespace dcsim::consul
