#pragma once
#include <algorithm>
#include <memory>
#include <string>

#include "consul/server.h"
#include "host_fixture.h"
#include "wire/consul_messages.h"

namespace dcsim::host {

namespace rpc = wire::rpc;

/// Servers n1.. and, behind them, clients, all of which join n1; one zone, 1 ms apart.
inline WorldSpec cluster_spec(int servers, int clients, RawValue::Map more = {}, std::uint64_t seed = 1) {
  WorldSpec spec = pool_spec(servers + clients, seed);
  for (int i = 1; i <= servers + clients; ++i) {
    AgentSpec& a = spec.agents[static_cast<std::size_t>(i - 1)];
    const Address address = *Address::parse(fmt::format("10.0.0.{}", i));
    RawValue::Map keys = more;
    keys.emplace_back("retry_join", RawValue{RawValue::List{raw("10.0.0.1"), raw("10.0.0.2")}, 0});
    keys.emplace_back("performance", RawValue{RawValue::Map{{"raft_multiplier", raw(std::int64_t{1})}}, 0});
    if (i <= servers) {
      keys.emplace_back("server", raw(true));
      keys.emplace_back("bootstrap_expect", raw(std::int64_t{servers}));
    }
    const std::vector<consul::Interface> interfaces = {{"eth0", address, 24, true, true}};
    std::vector<consul::ConfigProblem> problems;
    a.config = consul::build_config(consul::AgentKind::kConsul, RawValue{std::move(keys), 0}, a.name, "dc1",
                                    fmt::format("00000000-0000-4000-8000-{:012}", i), interfaces, problems);
    for (const auto& p : problems) CHECK_MESSAGE(p.warning, p.text);
  }
  return spec;
}

struct Cluster {
  explicit Cluster(int servers, int clients = 0, RawValue::Map more = {}, std::uint64_t seed = 1)
      : Cluster(cluster_spec(servers, clients, std::move(more), seed), servers) {}
  Cluster(WorldSpec spec, int servers) : pool(std::move(spec)), servers_(servers) {}

  AgentId id(int n) const { return pool.id(n); }
  Process& process(int n) { return pool.process(n); }
  void run_for(Duration d) { pool.run_for(d); }

  const consul::Server& server(int n) {
    REQUIRE(process(n).running());
    REQUIRE(process(n).agent().server() != nullptr);
    return *process(n).agent().server();
  }
  /// The only server that leads, or 0.
  int leader() {
    int found = 0;
    for (int n = 1; n <= servers_; ++n) {
      if (!process(n).running() || !server(n).is_leader()) continue;
      if (found != 0) return 0;
      found = n;
    }
    return found;
  }
  int follower() {
    for (int n = 1; n <= servers_; ++n) {
      if (process(n).running() && !server(n).is_leader()) return n;
    }
    return 0;
  }
  /// Started, elected, settled.
  int start() {
    pool.start_all();
    run_for(20_s);
    const int n = leader();
    REQUIRE(n != 0);
    return n;
  }

  template <class Reply>
  struct Call {
    Instant asked, at;
    bool done = false;
    Reply reply{};
    std::string error;
  };
  template <class Reply, class Request>
  std::shared_ptr<Call<Reply>> ask(int n, std::string_view method, const Request& request) {
    auto call = std::make_shared<Call<Reply>>();
    call->asked = world.engine().now();
    Buffer args;
    rpc::encode(request, args);
    process(n).call_rpc(method, Bytes(args), [this, call](Instant, const Result<Bytes>& raw_reply) {
      REQUIRE(!call->done);
      call->done = true;
      call->at = world.engine().now();
      if (!raw_reply)
        call->error = raw_reply.error().text;
      else
        REQUIRE(rpc::decode(raw_reply->view(), call->reply));
    });
    return call;
  }
  /// And waits for the answer, up to `limit`.
  template <class Reply, class Request>
  Call<Reply> rpc_call(int n, std::string_view method, const Request& request, Duration limit = 30_s) {
    const auto call = ask<Reply>(n, method, request);
    for (const Instant until = world.engine().now() + limit; !call->done && world.engine().now() < until;)
      run_for(1_ms);
    REQUIRE_MESSAGE(call->done, std::string(method));
    return *call;
  }

  static rpc::KvsRequest put_request(const std::string& key, const std::string& value) {
    rpc::KvsRequest put;
    put.datacenter = "dc1";
    put.op = "set";
    put.entry.key = key;
    put.entry.value = Bytes(view_of(value));
    return put;
  }
  static rpc::KeyRequest get_request(const std::string& key) {
    rpc::KeyRequest get;
    get.datacenter = "dc1";
    get.key = key;
    return get;
  }
  /// The error, or "".
  std::string put(int n, const std::string& key, const std::string& value) {
    return rpc_call<bool>(n, rpc::method::kKvsApply, put_request(key, value)).error;
  }
  /// The value, or the error in brackets, or "-" if there is no such key.
  std::string get(int n, rpc::KeyRequest request) {
    return shown(rpc_call<rpc::IndexedDirEntries>(n, rpc::method::kKvsGet, request));
  }
  std::string get(int n, const std::string& key) { return get(n, get_request(key)); }
  static std::string shown(const Call<rpc::IndexedDirEntries>& call) {
    if (!call.error.empty()) return "[" + call.error + "]";
    return call.reply.entries.empty() ? "-" : std::string(text_of(call.reply.entries.front().value));
  }

  /// Cuts the hosts of `side` off from all others.
  net::PartitionId cut(std::initializer_list<int> side) {
    net::PartitionSpec spec;
    spec.name = fmt::format("cut-{}", ++cuts_);
    std::vector<HostId> one, other;
    for (int n = 1; n <= static_cast<int>(world.agent_count()); ++n) {
      (std::find(side.begin(), side.end(), n) != side.end() ? one : other).push_back(process(n).host());
    }
    spec.sides = {one, other};
    return world.network().partition(spec);
  }

  Pool pool;
  World& world = pool.world;
  std::vector<Pool::Done>& done = pool.done;
  int servers_;
  int cuts_ = 0;
};

}  // namespace dcsim::host
