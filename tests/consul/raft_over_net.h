#pragma once
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conn_net.h"
#include "consul/raft_transport.h"
#include "consul/rpc_port.h"
#include "raft/memory_storage.h"
#include "raft/node.h"

/// Raft servers whose RPCs go over the byte streams of a ConnNet.
namespace dcsim::test {

using namespace consul;

/// A Raft server behind an RPC port, on a machine of the network.
class Member final : public raft::Actions, public RaftTransportHost, public RpcServerHost, public ConnPoolHost {
 public:
  Member(ConnNet& net, std::size_t self) : net_(net), self_(self) {
    disk.set_delay(100_us);
    net.actors.push_back({[this] { return next_deadline(); }, [this](Instant now) { on_deadline(now); }});
  }
  raft::Server server(raft::Suffrage suffrage = raft::Suffrage::kVoter) const {
    return {suffrage, "id-" + std::to_string(self_ + 1), net_[self_].rpc().text()};
  }

  void start(raft::Config config = raft::Config::consul(1)) {
    auto& host = net_[self_];
    host.listening = true;
    transport = std::make_unique<RaftTransport>(RaftTransportConfig{}, host, *this);
    rpc = std::make_unique<RpcServer>(RpcServerConfig{}, host, *this);
    port = std::make_unique<RpcPort>(nullptr, rpc.get(), transport.get());
    host.on_accepted = [this](Instant now, StreamId s, const Endpoint& from) {
      port->on_accepted(now, s, from);
      settle(now);
    };
    host.on_connected = [this](Instant now, StreamId s, const Endpoint& local) {
      port->on_connected(now, s, local);
      settle(now);
    };
    host.on_failed = [this](Instant now, StreamId s, std::string_view text) {
      port->on_failed(now, s, text);
      settle(now);
    };
    host.on_data = [this](Instant now, StreamId s, const Bytes& data) {
      port->on_data(now, s, data);
      settle(now);
    };
    host.on_eof = [this](Instant now, StreamId s) {
      port->on_eof(now, s);
      settle(now);
    };
    config.id = server().id;
    config.address = server().address;
    applied.clear();
    node = std::make_unique<raft::Node>(config, disk, *this, 7 + ++starts_, config.id);
    transport->attach(node.get());
    node->start(net_.now());
    settle(net_.now());
  }
  /// Power off: connections end as told, nothing listens.
  void stop(ConnNet::End how) {
    auto& host = net_[self_];
    node.reset();
    port.reset();
    rpc.reset();
    transport.reset();
    host.on_accepted = nullptr;
    host.on_connected = nullptr;
    host.on_failed = nullptr;
    host.on_data = nullptr;
    host.on_eof = nullptr;
    host.listening = false;
    net_.end_all(self_, how);
    disk.crash();
  }
  void settle(Instant now) {
    if (port) port->run(now);
  }
  Instant next_deadline() const {
    if (!node) return Instant::never();
    return std::min({node->next_deadline(), disk.next_due(), port->next_deadline()});
  }
  void on_deadline(Instant now) {
    while (auto done = disk.take_done(now)) node->on_stored(now, done->op, done->error);
    if (node->next_deadline() <= now) node->on_deadline(now);
    port->on_deadline(now);
    settle(now);
  }
  void apply(std::string_view command) {
    node->apply(net_.now(), ++token_, Bytes(view_of(command)));
    settle(net_.now());
  }
  bool leads() const { return node && node->role() == raft::Role::kLeader; }
  std::size_t lines(std::string_view part) const {
    return static_cast<std::size_t>(std::count_if(log_lines.begin(), log_lines.end(),
                                                  [&](const auto& l) { return l.find(part) != std::string::npos; }));
  }

  // raft::Actions
  void send(raft::RpcId id, const raft::Server& to, raft::Channel channel,
            const wire::AppendEntriesRequest& m) override {
    pipelined += channel == raft::Channel::kPipeline;
    transport->send(net_.now(), id, to, channel, m);
  }
  void send(raft::RpcId id, const raft::Server& to, const wire::RequestVoteRequest& m) override {
    transport->send(net_.now(), id, to, m);
  }
  void send(raft::RpcId id, const raft::Server& to, const wire::RequestPreVoteRequest& m) override {
    transport->send(net_.now(), id, to, m);
  }
  void send(raft::RpcId id, const raft::Server& to, const wire::InstallSnapshotRequest& m,
            const Bytes& state) override {
    ++snapshots_sent;
    transport->send(net_.now(), id, to, m, state);
  }
  void send(raft::RpcId id, const raft::Server& to, const wire::TimeoutNowRequest& m) override {
    transport->send(net_.now(), id, to, m);
  }
  void close_pipeline(const raft::Server& to) override { transport->close_pipeline(to); }
  void respond(raft::RequestId id, const wire::AppendEntriesResponse& m, std::string_view e) override {
    transport->respond(net_.now(), id, m, e);
  }
  void respond(raft::RequestId id, const wire::RequestVoteResponse& m, std::string_view e) override {
    transport->respond(net_.now(), id, m, e);
  }
  void respond(raft::RequestId id, const wire::RequestPreVoteResponse& m, std::string_view e) override {
    transport->respond(net_.now(), id, m, e);
  }
  void respond(raft::RequestId id, const wire::InstallSnapshotResponse& m, std::string_view e) override {
    transport->respond(net_.now(), id, m, e);
  }
  void respond(raft::RequestId id, const wire::TimeoutNowResponse& m, std::string_view e) override {
    transport->respond(net_.now(), id, m, e);
  }
  void apply(std::span<const raft::LogEntry> entries) override {
    for (const auto& entry : entries) {
      if (entry.type == raft::LogType::kCommand) applied.emplace_back(text_of(entry.data));
    }
  }
  Bytes take_snapshot() override {
    std::string all;
    for (const auto& command : applied) all += command + "\n";
    return Bytes(view_of(all));
  }
  bool restore(const raft::SnapshotMeta&, const Bytes& state) override {
    applied.clear();
    std::string_view text = text_of(state);
    while (!text.empty()) {
      const auto end = text.find('\n');
      applied.emplace_back(text.substr(0, end));
      text.remove_prefix(end + 1);
    }
    ++restored;
    return true;
  }
  void finished(raft::Token, const raft::Outcome& outcome) override { outcomes.emplace_back(outcome.error); }
  void leadership(bool) override {}
  void notice(const raft::Notice&) override {}
  bool logs(raft::LogLevel) const override { return true; }
  void log(raft::LogLevel, std::string_view message, std::span<const raft::LogField> fields) override {
    std::string line(message);
    for (const auto& field : fields) line += " " + std::string(field.key) + "=" + field.value;
    log_lines.push_back(line);
  }
  void panic(std::string_view reason) override { FAIL_CHECK(std::string(reason)); }

  // RaftTransportHost
  bool server_address(std::string_view id, Endpoint& at) override {
    if (!gossip) return false;
    for (std::size_t i = 0; i < 8; ++i) {
      if (id != "id-" + std::to_string(i + 1)) continue;
      at = net_[i].rpc();
      return true;
    }
    return false;
  }
  bool logs(LogLevel) const override { return true; }
  void log(LogLevel, std::string_view line) override { log_lines.emplace_back(line); }
  void raft_stream_closed(StreamId stream) override {
    if (rpc) rpc->released(stream);
  }
  // RpcServerHost
  void rpc_request(Instant, RpcCallId, std::string_view, const Bytes&, const Endpoint&) override {}
  void raft_handoff(Instant now, StreamId s, const Endpoint& from, const Bytes& first) override {
    transport->adopt(now, s, from, first);
  }
  // ConnPoolHost
  void rpc_result(Instant, CallToken, const Bytes&, std::string_view) override {}

  raft::MemoryStorage disk;
  std::unique_ptr<RaftTransport> transport;
  std::unique_ptr<RpcServer> rpc;
  std::unique_ptr<RpcPort> port;
  std::unique_ptr<raft::Node> node;
  std::vector<std::string> applied, log_lines, outcomes;
  std::size_t pipelined = 0, snapshots_sent = 0, restored = 0;
  bool gossip = true;

 private:
  ConnNet& net_;
  std::size_t self_;
  raft::Token token_ = 0;
  std::uint64_t starts_ = 0;
};

struct Group {
  explicit Group(std::size_t servers = 3, std::uint64_t seed = 1) : net(servers, seed) {
    for (std::size_t i = 0; i < servers; ++i) members.push_back(std::make_unique<Member>(net, i));
  }
  void start(raft::Config config = raft::Config::consul(1)) {
    raft::Configuration all;
    for (const auto& m : members) all.servers.push_back(m->server());
    for (const auto& m : members) m->start(config);
    for (const auto& m : members) m->node->bootstrap(net.now(), 0, all), m->settle(net.now());
  }
  Member* leader() {
    Member* found = nullptr;
    for (const auto& m : members) {
      if (m->leads() && (found == nullptr || m->node->term() > found->node->term())) found = m.get();
    }
    return found;
  }
  Member& elect() {
    REQUIRE(net.run_until([&] { return leader() != nullptr; }, 20_s));
    return *leader();
  }
  bool all_applied(std::size_t count) {
    return net.run_until(
        [&] {
          for (const auto& m : members)
            if (m->node && m->applied.size() < count) return false;
          return true;
        },
        20_s);
  }
  ConnNet net;
  std::vector<std::unique_ptr<Member>> members;
};

/// A node that says nothing by itself: requests are made by hand, at a transport whose answers are looked at.
struct Caller final : RaftTransportHost, raft::Actions {
  explicit Caller(ConnNet& network, RaftTransportConfig config = {}) : net(network) {
    raft::Config c = raft::Config::consul(1);
    c.heartbeat_timeout = c.election_timeout = 20_s;  // a round outlasts the I/O timeout
    c.id = "id-1";
    c.address = "10.0.0.1:8300";
    node = std::make_unique<raft::Node>(c, disk, *this, 1, "caller");
    transport = std::make_unique<RaftTransport>(std::move(config), net[0], *this);
    transport->attach(node.get());
    net[0].on_connected = [this](Instant now, StreamId s, const Endpoint& l) { transport->on_connected(now, s, l); };
    net[0].on_failed = [this](Instant now, StreamId s, std::string_view t) { transport->on_failed(now, s, t); };
    net[0].on_data = [this](Instant now, StreamId s, const Bytes& d) { transport->on_data(now, s, d); };
    net[0].on_eof = [this](Instant now, StreamId s) { transport->on_eof(now, s); };
    net.actors.push_back({[this] { return std::min(transport->next_deadline(), node->next_deadline()); },
                          [this](Instant now) {
                            if (node->next_deadline() <= now) node->on_deadline(now);
                            transport->on_deadline(now);
                          }});
    node->start(net.now());
    raft::Configuration both{
        {{raft::Suffrage::kVoter, "id-1", "10.0.0.1:8300"}, {raft::Suffrage::kVoter, "id-2", "10.0.0.2:8300"}}};
    node->bootstrap(net.now(), 0, both);
    while (auto done = disk.take_done(net.now())) node->on_stored(net.now(), done->op, done->error);
  }
  void send(raft::RpcId id, const raft::Server& to, raft::Channel c, const wire::AppendEntriesRequest& m) override {
    transport->send(net.now(), id, to, c, m);
  }
  void send(raft::RpcId id, const raft::Server& to, const wire::RequestVoteRequest& m) override {
    transport->send(net.now(), id, to, m);
  }
  void send(raft::RpcId id, const raft::Server& to, const wire::RequestPreVoteRequest& m) override {
    transport->send(net.now(), id, to, m);
  }
  void send(raft::RpcId id, const raft::Server& to, const wire::InstallSnapshotRequest& m, const Bytes& s) override {
    transport->send(net.now(), id, to, m, s);
  }
  void send(raft::RpcId id, const raft::Server& to, const wire::TimeoutNowRequest& m) override {
    transport->send(net.now(), id, to, m);
  }
  void close_pipeline(const raft::Server& to) override { transport->close_pipeline(to); }
  void respond(raft::RequestId id, const wire::AppendEntriesResponse& m, std::string_view e) override {
    transport->respond(net.now(), id, m, e);
  }
  void respond(raft::RequestId id, const wire::RequestVoteResponse& m, std::string_view e) override {
    transport->respond(net.now(), id, m, e);
  }
  void respond(raft::RequestId id, const wire::RequestPreVoteResponse& m, std::string_view e) override {
    transport->respond(net.now(), id, m, e);
  }
  void respond(raft::RequestId id, const wire::InstallSnapshotResponse& m, std::string_view e) override {
    transport->respond(net.now(), id, m, e);
  }
  void respond(raft::RequestId id, const wire::TimeoutNowResponse& m, std::string_view e) override {
    transport->respond(net.now(), id, m, e);
  }
  void apply(std::span<const raft::LogEntry>) override {}
  Bytes take_snapshot() override { return {}; }
  bool restore(const raft::SnapshotMeta&, const Bytes&) override { return true; }
  void finished(raft::Token, const raft::Outcome&) override {}
  void leadership(bool) override {}
  void notice(const raft::Notice&) override {}
  bool logs(raft::LogLevel) const override { return true; }
  /// "failed to make requestVote RPC ... error=EOF"
  void log(raft::LogLevel, std::string_view message, std::span<const raft::LogField> fields) override {
    for (const auto& f : fields)
      if (f.key == "error") errors.push_back(std::string(message) + ": " + f.value);
  }
  void panic(std::string_view) override {}
  bool server_address(std::string_view id, Endpoint& at) override {
    at = net[1].rpc();
    return gossip && id == "id-2";
  }
  bool logs(LogLevel) const override { return true; }
  void log(LogLevel, std::string_view line) override { lines.emplace_back(line); }
  void raft_stream_closed(StreamId) override { ++released; }

  std::string last_error() const { return errors.empty() ? "" : errors.back(); }
  bool saw(std::string_view text) const {
    return std::any_of(errors.begin(), errors.end(), [&](const auto& e) { return e.find(text) != std::string::npos; });
  }

  ConnNet& net;
  raft::MemoryStorage disk;
  std::unique_ptr<raft::Node> node;
  std::unique_ptr<RaftTransport> transport;
  std::vector<std::string> errors, lines;
  std::size_t released = 0;
  bool gossip = true;
};

}  // namespace dcsim::test
