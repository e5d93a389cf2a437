#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "consul/fsm.h"
#include "consul/leader_host.h"

// A server without Raft and gossip: writes go straight into a real state machine, configurations change at once, members
// are what the test says. Operations can be held back, or refused.

namespace dcsim::test {

using namespace dcsim::consul;
using gossip::MemberStatus;

inline LanMember client(const std::string& name, MemberStatus status = MemberStatus::kAlive, int host = 50) {
  LanMember m;
  m.name = name;
  m.address = {Address::v4(0x0A000000u + static_cast<std::uint32_t>(host)), 8301};
  m.status = status;
  m.tags = std::make_shared<const Tags>(Tags{{"role", "node"}, {"dc", "dc1"}, {"segment", ""}, {"id", name + "-id"}, {"build", "1.21.4:59b8b905"}});
  m.versions = {1, 5, 2, 2, 5, 4};
  return m;
}

/// s1 is 10.0.0.1 with the ID "s1-id", and so on.
inline LanMember server(int number, MemberStatus status = MemberStatus::kAlive, Tags more = {}) {
  LanMember m;
  m.name = "s" + std::to_string(number);
  m.address = {Address::v4(0x0A000000u + static_cast<std::uint32_t>(number)), 8301};
  m.status = status;
  Tags tags{{"role", "consul"}, {"dc", "dc1"}, {"segment", ""}, {"id", m.name + "-id"}, {"port", "8300"}, {"vsn", "2"}, {"raft_vsn", "3"}, {"build", "1.21.4:59b8b905"}};
  for (const auto& [key, value] : more) tags[key] = value;
  m.tags = std::make_shared<const Tags>(std::move(tags));
  m.versions = {1, 5, 2, 2, 5, 4};
  return m;
}

inline raft::Server peer(int number, raft::Suffrage suffrage = raft::Suffrage::kVoter) {
  return {suffrage, "s" + std::to_string(number) + "-id", "10.0.0." + std::to_string(number) + ":8300"};
}

struct FakeHost : LeaderHost {
  Fsm fsm{};
  std::uint64_t index = 100;
  raft::Configuration raft{};
  std::vector<LanMember> lan{};
  bool leads = true;
  std::string leader = "s1-id";
  std::vector<std::string> lines{};    ///< "INFO agent.server: ..."
  std::vector<std::string> changes{};  ///< of the configuration, "AddNonvoter s2-id 10.0.0.2:8300"
  std::vector<std::string> force_left{}, events{};
  std::size_t applied = 0, barriers = 0, transfers = 0, bootstraps = 0;
  int established = 0, revoked = 0;
  std::optional<Error> refuse_apply{}, refuse_barrier{}, refuse_change{}, refuse_transfer{}, refuse_establish{}, refuse_bootstrap{};
  bool hold_apply = false;
  std::deque<std::pair<Bytes, Done>> held{};
  std::map<std::string, Result<wire::rpc::RaftStats>> stats{};  ///< by name; who is not here does not answer
  std::map<std::string, Result<wire::rpc::Texts>> peers{};
  std::vector<std::string> asked{};

  void run_command(Instant now, const Bytes& payload, const Done& done) {
    if (refuse_apply) return done(now, refuse_apply);
    ++applied;
    const Applied result = fsm.apply(++index, now, payload);
    if (result.kind == Applied::Kind::kError) return done(now, Error{result.text});
    REQUIRE(result.kind != Applied::Kind::kFatal);
    done(now, std::nullopt);
  }
  void release(Instant now) {
    while (!held.empty()) {
      auto [payload, done] = std::move(held.front());
      held.pop_front();
      run_command(now, payload, done);
    }
  }

  void apply_command(Instant now, Bytes payload, Done done) override {
    if (hold_apply) held.emplace_back(std::move(payload), std::move(done));
    else run_command(now, payload, done);
  }
  void barrier(Instant now, Duration timeout, Done done) override {
    CHECK(timeout == 120_s);
    ++barriers;
    done(now, refuse_barrier);
  }
  void change_configuration(Instant now, raft::ConfigurationChange change, Done done) override {
    changes.push_back(std::string(raft::name_of(change.command)) + " " + change.server_id + (change.server_address.empty() ? "" : " " + change.server_address));
    if (refuse_change) return done(now, refuse_change);
    auto next = raft::next_configuration(raft, 1, change);
    if (!next) return done(now, next.error());
    raft = *next;
    done(now, std::nullopt);
  }
  void transfer_leadership(Instant now, Done done) override {
    ++transfers;
    done(now, refuse_transfer);
  }
  void bootstrap_cluster(Instant now, raft::Configuration configuration, Done done) override {
    ++bootstraps;
    raft = std::move(configuration);
    done(now, refuse_bootstrap);
  }
  bool is_leader() const override { return leads; }
  const raft::Configuration& configuration() const override { return raft; }
  raft::LogPosition last_entry() const override { return {index, index == 0 ? 0u : 2u}; }
  std::string_view leader_id() const override { return leader; }
  const StateStore& state() const override { return fsm.store(); }
  std::vector<LanMember> members() const override { return lan; }
  std::vector<LanMember> server_members() const override {
    std::vector<LanMember> out;
    for (const LanMember& m : lan) {
      if (parse_server(*m.tags)) out.push_back(m);
    }
    return out;
  }
  std::optional<Error> send_user_event(Instant, std::string_view name, ByteView payload) override {
    events.push_back(std::string(name) + " " + std::string(text_of(payload)));
    return std::nullopt;
  }
  void force_leave(Instant, std::string_view name) override { force_left.emplace_back(name); }
  void call_raft_stats(Instant now, const LanMember& member, std::function<void(Instant, const Result<wire::rpc::RaftStats>&)> done) override {
    asked.push_back(member.name);
    if (const auto it = stats.find(member.name); it != stats.end()) done(now, it->second);
  }
  void call_status_peers(Instant now, const LanMember& member, std::function<void(Instant, const Result<wire::rpc::Texts>&)> done) override {
    asked.push_back(member.name);
    if (const auto it = peers.find(member.name); it != peers.end()) done(now, it->second);
  }
  std::optional<Error> leadership_established(Instant) override {
    ++established;
    return refuse_establish;
  }
  void leadership_revoked(Instant) override { ++revoked; }
  void log(Instant, LogLevel level, std::string_view line) override {
    static constexpr std::string_view kLevels[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR"};
    lines.push_back(std::string(kLevels[static_cast<std::size_t>(level)]) + " " + std::string(line));
  }

  bool said(const std::string& line) const { return std::find(lines.begin(), lines.end(), line) != lines.end(); }
  const NodeRecord* node(const std::string& name) const { return fsm.store().node(name); }
  std::string health(const std::string& name) const {
    const NodeRecord* n = node(name);
    if (!n) return "none";
    const auto c = n->checks.find("serfHealth");
    return c == n->checks.end() ? "none" : c->second.status;
  }
  /// As healthy as can be: at the leader's last entry.
  void well(const std::string& name) { stats.insert_or_assign(name, wire::rpc::RaftStats{"10ms", 2, index}); }
};

inline Instant at(Duration since_start) { return Instant{since_start.ns}; }
inline const ServerIdentity kSelf{"s1", "s1-id", "dc1"};

}  // namespace dcsim::test
