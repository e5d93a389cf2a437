#include "lab/raft_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>

#include "base/check.h"
#include "lab/raft_case_checks.h"
#include "lab/raft_case_group.h"
#include "lab/raft_case_yaml.h"

namespace dcsim::lab {
namespace {

using raft::Envelope;
using scenario::Node;

/// Timers that do not fire by themselves: settling takes minutes at most.
raft::Config config_of(const Node& at, const std::string& profile) {
  raft::Config c;
  if (profile == "plain") {
    c = raft::Config::plain();
  } else if (profile == "sticky") {
    c = raft::Config::sticky();
  } else if (profile != "consul") {
    malformed(at, fmt::format("unknown profile `{}`", profile));
  }
  c.heartbeat_timeout = c.election_timeout = c.leader_lease_timeout = c.snapshot_interval = 10'000_h;
  c.trailing_logs = 0;
  c.snapshot_threshold = ~std::uint64_t{0};
  c.shutdown_on_remove = false;
  return c;
}

/// A case, or one row of a table laid over it.
struct Run {
  const Node& body;
  const Node* row;

  const Node* get(std::string_view key) const {
    if (row != nullptr) {
      if (const Node* own = member(*row, key)) return own;
    }
    return member(body, key);
  }
};

bool uses(const Node& node, std::string_view word) {
  const Node& n = resolved(node);
  if (n.text == word) return true;
  return std::any_of(n.children.begin(), n.children.end(), [&](const Node* child) { return uses(*child, word); });
}

class CaseRunner {
 public:
  CaseRunner(const Run& run, std::string profile) : run_(run), profile_(std::move(profile)) {}

  void go() {
    set_up();
    if (const Node* steps = run_.get("steps")) {
      for (const Node* step : items(*steps)) {
        step_at_ = step;
        if (wanted(*step)) take(*step);
        judge();
      }
    }
  }

 private:
  // --- Situation
  // ------------------------------------------------------------------------------------------------------

  std::vector<std::string> names() const {
    const Node* nodes = run_.get("nodes");
    if (nodes == nullptr) malformed(run_.body, "`nodes` is missing");
    if (nodes->kind == Node::Kind::kList) return names_of(*nodes);
    const std::uint64_t count = number_of(*nodes);
    if (count == 0 || count > 15) malformed(*nodes, "between 1 and 15 servers");
    std::vector<std::string> out;
    for (std::uint64_t i = 1; i <= count; ++i) out.push_back(fmt::format("n{}", i));
    return out;
  }

  static void add(raft::Configuration& c, const std::string& name, const Node& at, const std::string& suffrage) {
    if (suffrage != "voter" && suffrage != "nonvoter") malformed(at, "neither voter nor nonvoter");
    c.servers.push_back({suffrage == "voter" ? raft::Suffrage::kVoter : raft::Suffrage::kNonvoter, name, name});
  }

  /// {n1: voter, n2: nonvoter}, {voter: [n1], nonvoter: [n2]}, or a list of voters.
  static raft::Configuration configuration_of(const Node& node) {
    raft::Configuration c;
    if (node.kind == Node::Kind::kList) {
      for (const std::string& name : names_of(node)) add(c, name, node, "voter");
      return c;
    }
    for (const auto& [key, value] : members(node)) {
      const bool by_suffrage = key.starts_with("voter") || key.starts_with("nonvoter");
      if (!by_suffrage) {
        add(c, key, *value, text_of(*value));
        continue;
      }
      for (const std::string& name : names_of(*value))
        add(c, name, *value, key.starts_with("voter") ? "voter" : "nonvoter");
    }
    return c;
  }

  void set_up() {
    const std::vector<std::string> servers = names();
    const Node* init = run_.get("init");
    const Node* config = run_.get("config");
    if (config == nullptr && init != nullptr) config = member(*init, "config");
    raft::Configuration configuration;
    if (config != nullptr) {
      configuration = configuration_of(*config);
    } else {
      for (const std::string& name : servers) add(configuration, name, run_.body, "voter");
    }
    check::RaftInvariants::Options judged;
    judged.lease = false;
    const Node* steps = run_.get("steps");
    judged.quorum = !(init != nullptr && uses(*init, "match")) && !(steps != nullptr && uses(*steps, "append_reply"));
    group_ = std::make_unique<RaftCaseGroup>(config_of(run_.body, profile_), servers, configuration, judged);
    if (init != nullptr) {
      for (const auto& [name, value] : members(*init)) {
        if (name != "config") static_cast<void>(server(*value, name));
      }
    }
    for (std::size_t i = 0; i < servers.size(); ++i) {
      const Node* state = init != nullptr ? member(*init, servers[i]) : nullptr;
      group_->start(i, state != nullptr ? start_of(*state) : RaftCaseGroup::Start{});
    }
  }

  RaftCaseGroup::Start start_of(const Node& node) const {
    only_keys(node, {"log", "term", "vote", "commit", "leader", "state", "start", "match", "config"});
    RaftCaseGroup::Start out;
    if (const Node* log = member(node, "log")) {
      for (const std::uint64_t term : numbers_of(*log)) {
        raft::LogEntry& entry = out.log.emplace_back();
        entry.index = out.log.size();
        entry.term = term;
      }
    }
    raft::StableRecord& record = out.record;
    if (!out.log.empty()) record.current_term = out.log.back().term;
    if (const Node* term = member(node, "term")) record.current_term = number_of(*term);
    if (const Node* vote = member(node, "vote"); vote != nullptr && text_of(*vote) != "none")
      record = {record.current_term, record.current_term, text_of(*vote)};
    raft::Node::Situation& s = out.situation;
    if (const Node* commit = member(node, "commit")) s.commit = number_of(*commit);
    if (s.commit > out.log.size()) malformed(node, "`commit` is beyond the log");
    if (const Node* leader = member(node, "leader"); leader != nullptr && text_of(*leader) != "none")
      s.leader = {raft::Suffrage::kVoter, text_of(*leader), text_of(*leader)};
    if (const Node* config = member(node, "config")) out.configuration = configuration_of(*config);
    read_role(node, out);
    return out;
  }

  void read_role(const Node& node, RaftCaseGroup::Start& out) const {
    const Node* state = member(node, "state");
    const std::string role = state != nullptr ? text_of(*state) : "follower";
    raft::Node::Situation& s = out.situation;
    if (role == "candidate") {
      s.role = raft::Role::kCandidate;
    } else if (role == "leader") {
      s.role = raft::Role::kLeader;
      s.term_start = out.log.size() + 1;
      for (std::size_t i = out.log.size(); i > 0 && out.log[i - 1].term == out.record.current_term; --i)
        s.term_start = i;
      if (const Node* start = member(node, "start")) s.term_start = number_of(*start);
    } else if (role != "follower") {
      malformed(*state, fmt::format("unknown state `{}`", role));
    }
    if (const Node* match = member(node, "match")) {
      for (const auto& [name, index] : members(*match)) s.match.emplace_back(name, number_of(*index));
    }
  }

  // --- Steps
  // ----------------------------------------------------------------------------------------------------------

  std::size_t server(const Node& at, const std::string& name) const { return server_of(*group_, at, name); }
  std::size_t server(const Node& node) const { return server(node, text_of(node)); }
  std::size_t running(const Node& node) const {
    const std::size_t i = server(node);
    if (group_->node(i) == nullptr) malformed(node, fmt::format("{} is down", group_->name(i)));
    return i;
  }
  template <class Act>
  void each(const Node& node, Act act) const {
    for (const std::string& name : names_of(node)) act(server(node, name));
  }
  template <class Act>
  void each_running(const Node& node, Act act) const {
    each(node, [&](std::size_t i) {
      if (group_->node(i) == nullptr) malformed(node, fmt::format("{} is down", group_->name(i)));
      act(i);
    });
  }

  bool wanted(const Node& step) const {
    const Node* only = member(step, "only");
    if (only == nullptr) return true;
    const auto profiles = names_of(*only);
    return std::find(profiles.begin(), profiles.end(), profile_) != profiles.end();
  }

  void judge() const {
    if (const auto& v = group_->violation())
      unmet(*step_at_, fmt::format("{} broken at {}: {}", v->invariant, v->server, v->detail));
  }

  void take(const Node& step) {
    const auto keys = members(step);
    bool known = false;
    for (const auto& [key, value] : keys) {
      if (key == "only" || key == "note" || key == "reply" || key == "result") continue;
      if (known) malformed(step, "a step does one thing");
      known = true;
      act(step, key, *value);
    }
    if (!known) malformed(step, "a step without anything to do");
  }

  void act(const Node& step, const std::string& key, const Node& value) {
    using Handler = void (CaseRunner::*)(const Node&, const Node&);
    static constexpr std::pair<std::string_view, Handler> kSteps[] = {
        {"timeout", &CaseRunner::timeout},
        {"settle", &CaseRunner::settle},
        {"lose_leader", &CaseRunner::lose_leader},
        {"cut", &CaseRunner::cut},
        {"cut_one_way", &CaseRunner::cut_one_way},
        {"isolate", &CaseRunner::isolate},
        {"heal", &CaseRunner::heal},
        {"block", &CaseRunner::block},
        {"unblock", &CaseRunner::unblock},
        {"crash", &CaseRunner::crash},
        {"restart", &CaseRunner::restart},
        {"propose", &CaseRunner::propose},
        {"change", &CaseRunner::change},
        {"transfer", &CaseRunner::transfer},
        {"transfer_timeout", &CaseRunner::transfer_timeout},
        {"timeout_now", &CaseRunner::timeout_now},
        {"snapshot", &CaseRunner::snapshot},
        {"stale_append", &CaseRunner::stale_append},
        {"rpc", &CaseRunner::rpc},
        {"check", &CaseRunner::check},
    };
    for (const auto& [name, handler] : kSteps) {
      if (name == key) return (this->*handler)(step, value);
    }
    malformed(step, fmt::format("unknown step `{}`", key));
  }

  void timeout(const Node&, const Node& value) {
    each_running(value, [&](std::size_t i) {
      group_->command(i, [](raft::Node& n, Instant now, raft::Token) { n.fire_election_timer(now); });
    });
  }
  void settle(const Node& step, const Node& value) {
    if (flag_of(value) && !group_->settle()) unmet(step, "it does not settle");
  }
  void lose_leader(const Node&, const Node& value) {
    each_running(value, [&](std::size_t i) {
      group_->command(i, [](raft::Node& n, Instant now, raft::Token) { n.forget_leader(now); });
    });
  }

  /// [a, b] or a list of such pairs.
  std::vector<std::pair<std::size_t, std::size_t>> pairs(const Node& value) const {
    std::vector<std::pair<std::size_t, std::size_t>> out;
    const auto list = items(value);
    if (!list.empty() && list.front()->kind == Node::Kind::kList) {
      for (const Node* pair : list) {
        for (const auto& p : pairs(*pair)) out.push_back(p);
      }
      return out;
    }
    if (list.size() != 2) malformed(value, "expected two servers");
    out.emplace_back(server(*list[0]), server(*list[1]));
    return out;
  }
  void cut(const Node&, const Node& value) {
    for (const auto& [a, b] : pairs(value)) {
      group_->cut(a, b);
      group_->cut(b, a);
    }
  }
  void cut_one_way(const Node&, const Node& value) {
    for (const auto& [from, to] : pairs(value)) group_->cut(from, to);
  }
  void isolate(const Node&, const Node& value) {
    each(value, [&](std::size_t i) {
      for (std::size_t k = 0; k < group_->size(); ++k) {
        if (k == i) continue;
        group_->cut(i, k);
        group_->cut(k, i);
      }
    });
  }
  void heal(const Node&, const Node& value) {
    if (flag_of(value)) group_->heal();
  }

  void block(const Node&, const Node& value) {
    static constexpr std::string_view kKinds[] = {"append",      "append_reply",     "vote",     "vote_reply",
                                                  "prevote",     "prevote_reply",    "snapshot", "snapshot_reply",
                                                  "timeout_now", "timeout_now_reply"};
    only_keys(value, {"types", "from", "to"});
    RaftCaseGroup::Block b;
    if (const Node* types = member(value, "types")) {
      for (std::string type : names_of(*types)) {
        if (type == "heartbeat" || type == "heartbeat_reply") type = type == "heartbeat" ? "append" : "append_reply";
        if (type == "install_snapshot") type = "snapshot";
        if (std::find(std::begin(kKinds), std::end(kKinds), type) == std::end(kKinds))
          malformed(*types, fmt::format("unknown message type `{}`", type));
        b.types.insert(type);
      }
    }
    const auto side = [&](std::string_view key, std::set<std::string>& out) {
      const Node* node = member(value, key);
      if (node == nullptr) return;
      each(*node, [&](std::size_t i) { out.insert(group_->name(i)); });
    };
    side("from", b.from);
    side("to", b.to);
    group_->block(std::move(b));
  }
  void unblock(const Node&, const Node& value) {
    if (flag_of(value)) group_->unblock();
  }
  void crash(const Node&, const Node& value) {
    each(value, [&](std::size_t i) { group_->crash(i); });
  }
  void restart(const Node&, const Node& value) {
    each(value, [&](std::size_t i) { group_->restart(i); });
  }

  /// `error`: what the operation came to, nullopt while it is under way.
  void result(const Node& step, const std::optional<std::string>& error) const {
    const Node* wanted_result = member(step, "result");
    if (wanted_result == nullptr) return;
    const std::string want = text_of(*wanted_result);
    if (want != "ok" && want != "refused") malformed(*wanted_result, "a result is ok or refused");
    const bool refused = error.has_value() && !error->empty();
    if (refused == (want == "refused")) return;
    unmet(step, refused ? fmt::format("it was refused: {}", *error) : "it was not refused");
  }

  void propose(const Node& step, const Node& value) {
    only_keys(value, {"at", "value"});
    const std::string text = text_of(required(value, "value"));
    result(step, group_->command(running(required(value, "at")), [&](raft::Node& n, Instant now, raft::Token token) {
      n.apply(now, token, Bytes(view_of(text)));
    }));
  }

  void change(const Node& step, const Node& value) {
    static constexpr std::pair<std::string_view, raft::ChangeCommand> kCommands[] = {
        {"add_voter", raft::ChangeCommand::kAddVoter}, {"add_nonvoter", raft::ChangeCommand::kAddNonvoter},
        {"demote", raft::ChangeCommand::kDemoteVoter}, {"remove", raft::ChangeCommand::kRemoveServer},
        {"promote", raft::ChangeCommand::kPromote},
    };
    only_keys(value, {"at", "op", "server"});
    const std::string op = text_of(required(value, "op"));
    const auto* found =
        std::find_if(std::begin(kCommands), std::end(kCommands), [&](const auto& known) { return known.first == op; });
    if (found == std::end(kCommands)) malformed(value, fmt::format("unknown change `{}`", op));
    const std::string name = text_of(required(value, "server"));
    const std::size_t at = running(required(value, "at"));
    auto error = group_->command(at, [&](raft::Node& n, Instant now, raft::Token token) {
      n.change_configuration(now, token, {found->second, name, name, 0}, Duration{1});
    });
    const raft::Token token = group_->last_token();
    if (!error && group_->node(at) != nullptr) {  // not taken up at once is not taken
      group_->expire(at);
      error = group_->outcome(token);
    }
    result(step, error);
  }

  void transfer(const Node& step, const Node& value) {
    only_keys(value, {"from", "to"});
    const Node* to = member(value, "to");
    const std::string target = to != nullptr ? text_of(*to) : "";
    result(step, group_->command(running(required(value, "from")), [&](raft::Node& n, Instant now, raft::Token token) {
      n.transfer_leadership(now, token, target);
    }));
  }
  void transfer_timeout(const Node&, const Node& value) {
    group_->command(running(value), [](raft::Node& n, Instant now, raft::Token) { n.expire_transfer(now); });
  }
  void timeout_now(const Node&, const Node& value) {
    only_keys(value, {"from", "to", "term"});
    wire::TimeoutNowRequest m;
    const std::string from = text_of(required(value, "from"));
    m.header = header(from);
    group_->request(running(required(value, "to")), Envelope(m));
  }
  void snapshot(const Node& step, const Node& value) {
    each_running(value, [&](std::size_t i) {
      const auto error =
          group_->command(i, [](raft::Node& n, Instant now, raft::Token token) { n.take_snapshot(now, token); });
      if (error && !error->empty()) unmet(step, *error);
    });
  }
  void stale_append(const Node&, const Node& value) { group_->request(running(required(value, "to")), append(value)); }

  // --- Single messages
  // ------------------------------------------------------------------------------------------------

  static wire::RpcHeader header(std::string_view from) { return {3, from, from}; }

  Envelope append(const Node& value) {
    const std::string from = text_of(required(value, "from"));
    wire::AppendEntriesRequest m;
    m.header = header(from);
    m.leader = from;
    m.term = number_of(required(value, "term"));
    if (const Node* prev = member(value, "prev")) std::tie(m.prev_log_entry, m.prev_log_term) = position_of(*prev);
    std::vector<raft::LogEntry> entries;
    if (const Node* list = member(value, "entries")) {
      for (const Node* item : items(*list)) {
        const auto [index, term] = position_of(*item);
        entries.push_back(group_->entry(index, term));
      }
    }
    m.entries = entries;
    if (const Node* commit = member(value, "commit")) m.leader_commit_index = number_of(*commit);
    return Envelope(m);
  }

  Envelope vote(const Node& value) {
    const std::string from = text_of(required(value, "from"));
    wire::RequestVoteRequest m;
    m.header = header(from);
    m.candidate = from;
    m.term = number_of(required(value, "term"));
    if (const Node* last = member(value, "last")) std::tie(m.last_log_index, m.last_log_term) = position_of(*last);
    if (const Node* flag = member(value, "transfer")) m.leadership_transfer = flag_of(*flag);
    return Envelope(m);
  }

  Envelope pre_vote(const Node& value) {
    const std::string from = text_of(required(value, "from"));
    wire::RequestPreVoteRequest m;
    m.header = header(from);
    m.term = number_of(required(value, "term"));
    if (const Node* last = member(value, "last")) std::tie(m.last_log_index, m.last_log_term) = position_of(*last);
    return Envelope(m);
  }

  void rpc(const Node& step, const Node& value) {
    only_keys(value, {"to", "from", "type", "term", "last", "transfer", "prev", "entries", "commit", "granted",
                      "success", "match", "last_log"});
    const std::size_t to = running(required(value, "to"));
    const std::string type = text_of(required(value, "type"));
    if (type == "vote_reply" || type == "prevote_reply") return vote_reply(value, to, type == "prevote_reply");
    if (type == "append_reply") return append_reply(value, to);
    RaftCaseGroup::Answer answer;
    if (type == "vote") {
      answer = group_->request(to, vote(value));
    } else if (type == "prevote") {
      answer = group_->request(to, pre_vote(value));
    } else if (type == "append" || type == "heartbeat") {
      answer = group_->request(to, append(value));
    } else if (type == "timeout_now") {
      const std::string from = text_of(required(value, "from"));
      answer = group_->request(to, Envelope(wire::TimeoutNowRequest{header(from)}));
    } else {
      malformed(value, fmt::format("unknown message type `{}`", type));
    }
    if (const Node* reply = member(step, "reply")) compare(step, *reply, answer);
  }

  void vote_reply(const Node& value, std::size_t to, bool pre) {
    const std::string from = text_of(required(value, "from"));
    const raft::Term term = number_of(required(value, "term"));
    const bool granted = flag_of(required(value, "granted"));
    group_->command(
        to, [&](raft::Node& n, Instant now, raft::Token) { n.inject_vote_reply(now, from, term, granted, pre); });
  }

  void append_reply(const Node& value, std::size_t to) {
    const std::string from = text_of(required(value, "from"));
    wire::AppendEntriesResponse m;
    m.header = header(from);
    m.term = number_of(required(value, "term"));
    m.success = flag_of(required(value, "success"));
    const Node* match = member(value, "match");
    const Node* last_log = member(value, "last_log");
    const raft::Index last = match != nullptr ? number_of(*match) : 0;
    m.last_log = last_log != nullptr ? number_of(*last_log) : m.success ? last : ~raft::Index{0} - 1;
    m.no_retry_backoff = !m.success;
    group_->command(to, [&](raft::Node& n, Instant now, raft::Token) { n.inject_append_reply(now, from, last, m); });
  }

  void compare(const Node& step, const Node& reply, const RaftCaseGroup::Answer& answer) const {
    if (!answer.message) unmet(step, "no reply came");
    if (!answer.error.empty()) unmet(step, fmt::format("answered with the error `{}`", answer.error));
    only_keys(reply, {"granted", "success", "term", "last_log"});
    const auto number = [&](std::string_view key, std::uint64_t got) {
      const Node* want = member(reply, key);
      if (want != nullptr && number_of(*want) != got)
        unmet(step, fmt::format("reply: {} is {}, not {}", key, got, number_of(*want)));
    };
    const auto flag = [&](std::string_view key, bool got) {
      const Node* want = member(reply, key);
      if (want != nullptr && flag_of(*want) != got) unmet(step, fmt::format("reply: {} is {}", key, got));
    };
    if (const auto* m = answer.message->get<wire::RequestVoteResponse>()) {
      flag("granted", m->granted);
      number("term", m->term);
    } else if (const auto* p = answer.message->get<wire::RequestPreVoteResponse>()) {
      flag("granted", p->granted);
      number("term", p->term);
    } else if (const auto* a = answer.message->get<wire::AppendEntriesResponse>()) {
      flag("success", a->success);
      number("term", a->term);
      number("last_log", a->last_log);
    }
  }

  void check(const Node& step, const Node& value) { check_raft_case(*group_, step, value); }

  const Run& run_;
  std::string profile_;
  std::unique_ptr<RaftCaseGroup> group_;
  const Node* step_at_ = nullptr;
};

struct Tally {
  std::size_t passed = 0, failed = 0, malformed = 0;
};

void run_one(const Run& run, const std::string& label, const std::string& profile, std::string& out, Tally& tally) {
  try {
    CaseRunner(run, profile).go();
    ++tally.passed;
    out += fmt::format("ok   {} [{}]{}\n", label.substr(0, label.find('\t')), profile,
                       label.substr(std::min(label.size(), label.find('\t') + 1)));
    return;
  } catch (const UnmetCheck& check) {
    out += fmt::format("FAIL {} [{}]{}: {}\n", label.substr(0, label.find('\t')), profile,
                       label.substr(std::min(label.size(), label.find('\t') + 1)), check.text);
  } catch (const InvariantBroken& broken) {
    out += fmt::format("FAIL {} [{}]: {}\n", label.substr(0, label.find('\t')), profile, broken.what());
  } catch (const MalformedCase& bad) {
    ++tally.malformed;
    out += fmt::format("{}\n", bad.text);
  }
  ++tally.failed;
}

void run_case(const Node& body, std::string& out, Tally& tally) {
  only_keys(body, {"name", "kind", "source", "why", "profiles", "nodes", "config", "init", "steps", "rows", "timing",
                   "expect", "note"});
  const std::string name = text_of(required(body, "name"));
  const std::string kind = text_of(required(body, "kind"));
  if (kind == "timed" || kind == "storage") {
    out += fmt::format("skip {}: a {} case is told in sentences\n", name, kind);
    return;
  }
  if (kind != "table" && kind != "cluster") malformed(body, fmt::format("unknown kind `{}`", kind));
  const auto profiles_of = [](const Node* list) {
    return list != nullptr ? names_of(*list) : std::vector<std::string>{"plain", "sticky", "consul"};
  };
  if (kind == "cluster") {
    for (const std::string& profile : profiles_of(member(body, "profiles")))
      run_one({body, nullptr}, name + "\t", profile, out, tally);
    return;
  }
  const auto rows = items(required(body, "rows"));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Run run{body, rows[i]};
    for (const std::string& profile : profiles_of(run.get("profiles")))
      run_one(run, fmt::format("{}\t row {}", name, i + 1), profile, out, tally);
  }
}

}  // namespace

int run_raft_cases_text(const std::string& name, const std::string& text, std::string& out) {
  Diagnostics problems;
  const scenario::YamlFile file = scenario::parse_yaml(name, std::make_shared<const std::string>(text), {}, problems);
  Tally tally;
  for (const Diagnostic& d : problems) {
    if (d.severity != Diagnostic::Severity::kError) continue;
    out += fmt::format("{}:{}:{}: {}\n", d.at.file, d.at.line, d.at.column, d.message);
    ++tally.malformed;
  }
  for (const Node* document : file.documents) {
    try {
      for (const Node* body : items(required(*document, "cases"))) {
        try {
          run_case(*body, out, tally);
        } catch (const MalformedCase& bad) {
          out += bad.text + "\n";
          ++tally.malformed;
          ++tally.failed;
        }
      }
    } catch (const MalformedCase& bad) {
      out += bad.text + "\n";
      ++tally.malformed;
    }
  }
  if (file.documents.empty() && tally.malformed == 0) {
    out += fmt::format("{}: there are no cases in it\n", name);
    ++tally.malformed;
  }
  out += fmt::format("{} passed, {} failed\n", tally.passed, tally.failed);
  return tally.malformed > 0 ? 2 : tally.failed > 0 ? 1 : 0;
}

int run_raft_cases(const std::string& path, std::string& out) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (!in.good() && !in.eof()) {
    out += fmt::format("{}: it cannot be read\n", path);
    return 2;
  }
  return run_raft_cases_text(path, text, out);
}

}  // namespace dcsim::lab
