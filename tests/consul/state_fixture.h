#pragma once
#include <doctest/doctest.h>

#include <ostream>
#include <string>
#include <vector>

#include "consul/fsm.h"
#include "consul/state_queries.h"

// A state machine fed as Raft feeds it: every command is encoded, gets the next index and is decoded again.

namespace dcsim::test::state {

using namespace dcsim::consul;
using namespace dcsim::wire::rpc;

inline const char* const kIdA = "aaaaaaaa-0000-4000-8000-00000000000a";
inline const char* const kIdB = "bbbbbbbb-0000-4000-8000-00000000000b";

struct Machine {
  Fsm fsm{};
  std::uint64_t index = 0;  ///< of the last entry
  Instant now{};

  StateStore& store() { return fsm.store(); }
  template <class M>
  Applied command(CommandType type, const M& m) {
    Buffer payload;
    append_command(type, m, payload);
    return fsm.apply(++index, now, payload);
  }
  Applied operator()(const RegisterRequest& m) { return command(CommandType::kRegister, m); }
  Applied operator()(const DeregisterRequest& m) { return command(CommandType::kDeregister, m); }
  Applied operator()(const KvsRequest& m) { return command(CommandType::kKvs, m); }
  Applied operator()(const SessionRequest& m) { return command(CommandType::kSession, m); }
  Applied operator()(const TombstoneRequest& m) { return command(CommandType::kTombstone, m); }
  Applied operator()(const Coordinates& m) { return command(CommandType::kCoordinateBatchUpdate, m); }
  Applied operator()(const AutopilotSetConfigRequest& m) { return command(CommandType::kAutopilot, m); }

  Applied kv(const char* op, const std::string& key, std::string_view value = "", std::uint64_t modify = 0,
             const std::string& session = "") {
    KvsRequest r;
    r.op = op;
    r.entry.key = key;
    r.entry.value = Bytes(view_of(value));
    r.entry.index.modify_index = modify;
    r.entry.session = session;
    return (*this)(r);
  }
  Applied session(const char* op, Session s) {
    SessionRequest r;
    r.op = op;
    r.session = std::move(s);
    return (*this)(r);
  }
  Buffer snapshot() const {
    Buffer out;
    fsm.snapshot(out);
    return out;
  }
};

inline const Applied kDone{};
inline const Applied kTrue{Applied::Kind::kBool, true, {}};
inline const Applied kFalse{Applied::Kind::kBool, false, {}};
inline Applied refused(std::string text) { return {Applied::Kind::kError, false, std::move(text)}; }

inline RegisterRequest node(const std::string& name, const std::string& address = "10.0.0.1",
                            const std::string& id = "") {
  RegisterRequest r;
  r.datacenter = "dc1";
  r.node = name;
  r.address = address;
  r.id = id;
  return r;
}
inline NodeService service(const std::string& id, const std::string& name, Texts tags = {}, int port = 8000) {
  NodeService s;
  s.id = id;
  s.service = name;
  s.tags = std::move(tags);
  s.port = port;
  return s;
}
inline HealthCheck check(const std::string& node, const std::string& id, const std::string& status,
                         const std::string& service_id = "") {
  HealthCheck c;
  c.node = node;
  c.check_id = id;
  c.name = id;
  c.status = status;
  c.service_id = service_id;
  return c;
}
inline RegisterRequest with(RegisterRequest r, NodeService s) {
  r.service = std::move(s);
  return r;
}
inline RegisterRequest with(RegisterRequest r, HealthCheck c) {
  r.check = std::move(c);
  return r;
}
inline DeregisterRequest gone(const std::string& node, const std::string& service_id = "",
                              const std::string& check_id = "") {
  DeregisterRequest r;
  r.node = node;
  r.service_id = service_id;
  r.check_id = check_id;
  return r;
}
inline Session held_by(const std::string& id, const std::string& node) {
  Session s;
  s.id = id;
  s.node = node;
  return s;
}

// Questions, with the answer cut down to what tests look at.

struct Names {
  std::uint64_t index = 0;
  Texts names{};
  bool operator==(const Names&) const = default;
};
inline std::ostream& operator<<(std::ostream& out, const Names& n) {
  out << n.index << ":";
  for (const auto& name : n.names) out << " " << name;
  return out;
}

inline Names nodes(Machine& m, TextMap filters = {}, WatchSet* watch = nullptr) {
  DcSpecificRequest q;
  q.node_meta_filters = std::move(filters);
  IndexedNodes r;
  list_nodes(m.store(), q, r, watch);
  Names out{r.meta.index, {}};
  for (const auto& n : r.nodes) out.names.push_back(n.node);
  return out;
}
inline Names instances(Machine& m, const std::string& name, Texts tags = {}, WatchSet* watch = nullptr) {
  ServiceSpecificRequest q;
  q.service_name = name;
  q.tag_filter = !tags.empty();
  q.service_tags = std::move(tags);
  IndexedServiceNodes r;
  service_nodes(m.store(), q, r, watch);
  Names out{r.meta.index, {}};
  for (const auto& n : r.service_nodes) out.names.push_back(n.node + "/" + n.service_id);
  return out;
}
inline Names healthy(Machine& m, const std::string& name, bool only_passing, WatchSet* watch = nullptr,
                     Texts tags = {}) {
  ServiceSpecificRequest q;
  q.service_name = name;
  q.tag_filter = !tags.empty();
  q.service_tags = std::move(tags);
  IndexedCheckServiceNodes r;
  health_service_nodes(m.store(), q, r, watch);
  keep_healthy(r.nodes, only_passing);
  Names out{r.meta.index, {}};
  for (const auto& n : r.nodes) out.names.push_back(n.node->node + "/" + n.service->id);
  return out;
}
inline Names in_state(Machine& m, const std::string& state, WatchSet* watch = nullptr, TextMap filters = {}) {
  ChecksInStateRequest q;
  q.state = state;
  q.node_meta_filters = std::move(filters);
  IndexedHealthChecks r;
  checks_in_state(m.store(), q, r, watch);
  Names out{r.meta.index, {}};
  for (const auto& c : r.health_checks) out.names.push_back(c.node + "/" + c.check_id);
  return out;
}
inline IndexedDirEntries get(Machine& m, const std::string& key, WatchSet* watch = nullptr) {
  KeyRequest q;
  q.key = key;
  IndexedDirEntries r;
  kvs_get(m.store(), q, r, watch);
  return r;
}
inline Names list(Machine& m, const std::string& prefix, WatchSet* watch = nullptr) {
  KeyRequest q;
  q.key = prefix;
  IndexedDirEntries r;
  kvs_list(m.store(), q, r, watch);
  Names out{r.meta.index, {}};
  for (const auto& e : r.entries) out.names.push_back(e.key);
  return out;
}
inline Names keys(Machine& m, const std::string& prefix, const std::string& separator) {
  KeyListRequest q;
  q.prefix = prefix;
  q.separator = separator;
  IndexedKeyList r;
  kvs_list_keys(m.store(), q, r);
  return {r.meta.index, r.keys};
}
inline Names sessions(Machine& m) {
  IndexedSessions r;
  session_list(m.store(), r);
  Names out{r.meta.index, {}};
  for (const auto& s : r.sessions) out.names.push_back(s.id);
  return out;
}

}  // namespace dcsim::test::state

namespace dcsim::consul {
inline std::ostream& operator<<(std::ostream& out, const Applied& a) {
  return out << "Applied " << static_cast<int>(a.kind) << " " << a.yes << " " << a.text;
}
}  // namespace dcsim::consul
