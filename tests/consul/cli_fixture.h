#pragma once
#include <doctest/doctest.h>

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "consul/cli.h"
#include "consul/fsm.h"
#include "consul/state_queries.h"

// An agent whose RPCs are answered at once by one real state machine. Answers can be held back, or be errors.

namespace dcsim::test {

using namespace dcsim::consul;
namespace method = wire::rpc::method;

struct FakeRpc : Rpc {
  Fsm fsm{};
  std::uint64_t index = 10;
  std::string error{};                                ///< every call fails with it
  std::map<std::string, std::string> error_of{};      ///< calls of a method fail with it
  std::map<std::string, Bytes> answer_of{};           ///< canned replies, encoded
  std::vector<std::string> calls{};
  std::vector<wire::rpc::QueryOptions> options{};     ///< of the reads
  bool hold = false;
  std::deque<std::function<void(Instant)>> held{};

  template <class M>
  static M decoded(const Bytes& body) {
    M m{};
    REQUIRE(wire::rpc::decode(body.view(), m));
    return m;
  }
  template <class M>
  static Bytes encoded(const M& m) {
    Buffer out;
    wire::rpc::encode(m, out);
    return Bytes(out);
  }
  template <class M>
  Applied apply(wire::rpc::CommandType type, const M& m) {
    Buffer payload;
    wire::rpc::append_command(type, m, payload);
    return fsm.apply(++index, {}, payload);
  }
  template <class Reply, class Request, class Query>
  Result<Bytes> read(const Bytes& body, Query query) {
    const auto request = decoded<Request>(body);
    options.push_back(request.options);
    Reply reply;
    query(fsm.store(), request, reply, nullptr);
    reply.meta.known_leader = true;
    return encoded(reply);
  }

  Result<Bytes> serve(std::string_view name, const Bytes& body) {
    using namespace wire::rpc;
    if (!error.empty()) return Error{error};
    if (const auto it = error_of.find(std::string(name)); it != error_of.end()) return Error{it->second};
    if (const auto it = answer_of.find(std::string(name)); it != answer_of.end()) return it->second;
    if (name == method::kCatalogRegister) {
      const Applied a = apply(CommandType::kRegister, decoded<RegisterRequest>(body));
      if (a.kind == Applied::Kind::kError) return Error{a.text};
      return encoded(Empty{});
    }
    if (name == method::kCatalogDeregister) return apply(CommandType::kDeregister, decoded<DeregisterRequest>(body)), encoded(Empty{});
    if (name == method::kKvsApply) {
      const Applied a = apply(CommandType::kKvs, decoded<KvsRequest>(body));
      if (a.kind == Applied::Kind::kError) return Error{a.text};
      return encoded(a.kind == Applied::Kind::kBool ? a.yes : true);
    }
    if (name == method::kSessionApply) {
      auto request = decoded<SessionRequest>(body);
      if (request.op == "create") request.session.id = "session-1";
      const Applied a = apply(CommandType::kSession, request);
      if (a.kind == Applied::Kind::kError) return Error{a.text};
      return encoded(request.session.id);
    }
    if (name == method::kSessionGet || name == method::kSessionRenew) return read<IndexedSessions, SessionSpecificRequest>(body, session_get);
    if (name == method::kSessionList) {
      return read<IndexedSessions, SessionSpecificRequest>(body, [](const StateStore& store, const auto&, auto& reply, WatchSet* watch) { session_list(store, reply, watch); });
    }
    if (name == method::kKvsGet) return read<IndexedDirEntries, KeyRequest>(body, kvs_get);
    if (name == method::kKvsList) return read<IndexedDirEntries, KeyRequest>(body, kvs_list);
    if (name == method::kKvsListKeys) return read<IndexedKeyList, KeyListRequest>(body, kvs_list_keys);
    if (name == method::kCatalogListNodes) return read<IndexedNodes, DcSpecificRequest>(body, list_nodes);
    if (name == method::kCatalogListServices) return read<IndexedServices, DcSpecificRequest>(body, list_services);
    if (name == method::kCatalogServiceNodes) return read<IndexedServiceNodes, ServiceSpecificRequest>(body, service_nodes);
    if (name == method::kCatalogNodeServices) return read<IndexedNodeServices, NodeSpecificRequest>(body, node_services);
    if (name == method::kHealthNodeChecks) return read<IndexedHealthChecks, NodeSpecificRequest>(body, node_checks);
    if (name == method::kHealthServiceNodes) return read<IndexedCheckServiceNodes, ServiceSpecificRequest>(body, health_service_nodes);
    if (name == method::kHealthChecksInState) return read<IndexedHealthChecks, ChecksInStateRequest>(body, checks_in_state);
    if (name == method::kCatalogListDatacenters) return encoded(Texts{"dc1", "dc2"});
    if (name == method::kStatusLeader) return encoded(std::string("10.0.0.1:8300"));
    if (name == method::kStatusPeers) return encoded(Texts{"10.0.0.1:8300", "10.0.0.2:8300"});
    if (name == method::kCoordinateUpdate) return encoded(Empty{});
    if (name == method::kAutopilotSetConfiguration) {
      auto request = decoded<AutopilotSetConfigRequest>(body);
      return encoded(apply(CommandType::kAutopilot, request).yes);
    }
    if (name == method::kAutopilotGetConfiguration) {
      REQUIRE(fsm.store().autopilot());
      return encoded(*fsm.store().autopilot());
    }
    return Error{"rpc: can't find method " + std::string(name)};
  }

  void call(Instant now, std::string_view name, Bytes arguments, RpcDone done) override {
    calls.emplace_back(name);
    const auto answer = [this, name = std::string(name), arguments, done](Instant at) { done(at, serve(name, arguments)); };
    if (hold) held.push_back(answer);
    else answer(now);
  }
  void release(Instant now) {
    const auto answer = held.front();
    held.pop_front();
    answer(now);
  }

  void put(const std::string& key, std::string_view value, std::uint64_t flags = 0) {
    wire::rpc::KvsRequest r;
    r.op = "set";
    r.entry.key = key;
    r.entry.flags = flags;
    r.entry.value = Bytes(view_of(value));
    apply(wire::rpc::CommandType::kKvs, r);
  }
  void add_node(const std::string& name, const std::string& address, const std::string& id, wire::rpc::TextMap meta = {}) {
    wire::rpc::RegisterRequest r;
    r.datacenter = "dc1";
    r.node = name;
    r.address = address;
    r.id = id;
    r.node_meta = std::move(meta);
    apply(wire::rpc::CommandType::kRegister, r);
  }
  void add_service(const std::string& node, const std::string& address, const std::string& id, wire::rpc::Texts tags = {}) {
    wire::rpc::RegisterRequest r;
    r.datacenter = "dc1";
    r.node = node;
    r.address = address;
    r.skip_node_update = true;
    r.service.emplace();
    r.service->id = r.service->service = id;
    r.service->tags = std::move(tags);
    r.service->port = 80;
    apply(wire::rpc::CommandType::kRegister, r);
  }
};

inline AgentConfig agent_config() {
  AgentConfig c;
  c.node_name = "c1";
  c.node_id = "cccccccc-0000-4000-8000-00000000000c";
  c.advertise = *Address::parse("10.0.0.50");
  return c;
}

struct FakeAgent : CliAgent {
  AgentConfig config_ = agent_config();
  FakeRpc rpc_{};
  LocalState local_{local_identity(config_)};
  int changes = 0;
  InfoSections info_{};
  std::vector<MemberRow> members_{};
  std::vector<std::string> lines{};

  const AgentConfig& config() const override { return config_; }
  Rpc& rpc() override { return rpc_; }
  LocalState& local() override { return local_; }
  void local_changed(Instant) override { ++changes; }
  InfoSections info(Instant) const override { return info_; }
  Result<std::vector<MemberRow>> members(std::string_view) const override { return members_; }
  void log(Instant, LogLevel, std::string_view line) override { lines.emplace_back(line); }

  CommandResult run(std::string_view line) {
    const auto words = split_command(line);
    REQUIRE(words.ok());
    CHECK(is_cli_command(*words));
    int calls = 0;
    CommandResult out;
    run_cli(Instant{5'000'000'000}, *words, *this, [&](Instant, CommandResult result) {
      ++calls;
      out = std::move(result);
    });
    CHECK(calls == 1);
    return out;
  }
};

inline bool operator==(const CommandResult& a, const CommandResult& b) { return a.exit == b.exit && a.out == b.out && a.err == b.err; }
inline std::ostream& operator<<(std::ostream& out, const CommandResult& r) { return out << "exit " << r.exit << "\n" << r.out << "--\n" << r.err; }
/// Exit 0 and this output; exit 1 and this complaint.
inline CommandResult fine(std::string text) { return {0, std::move(text), ""}; }
inline CommandResult bad(std::string text) { return {1, "", std::move(text)}; }

}  // namespace dcsim::test

namespace dcsim::consul {
using test::operator==;
using test::operator<<;
}  // namespace dcsim::consul
