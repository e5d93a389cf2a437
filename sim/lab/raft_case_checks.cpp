#include "lab/raft_case_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "lab/raft_case_yaml.h"

namespace dcsim::lab {
namespace {

using scenario::Node;

class CaseCheck {
 public:
  explicit CaseCheck(const RaftCaseGroup& group) : group_(group) {}

  void run(const Node& step, const Node& value) const {
    for (const auto& [key, want] : members(value)) {
      if (key == "leader") {
        const std::string got = leader();
        if (got != text_of(*want)) unmet(step, fmt::format("leader is {}, not {}", got, text_of(*want)));
      } else if (key == "same_logs") {
        same_logs(step, *want);
      } else if (key == "voters" && want->kind == Node::Kind::kList) {
        voters_everywhere(step, *want);
      } else {
        for (const auto& [name, expected] : members(*want))
          check_server(step, key, server_of(group_, *want, name), *expected);
      }
    }
  }

 private:
  std::string leader() const {
    std::string out = "none";
    raft::Term newest = 0;
    for (std::size_t i = 0; i < group_.size(); ++i) {
      const raft::Node* n = group_.node(i);
      if (n == nullptr || n->role() != raft::Role::kLeader || (out != "none" && n->term() < newest)) continue;
      out = group_.name(i);
      newest = n->term();
    }
    return out;
  }

  std::string terms(std::size_t i) const {
    const raft::Storage& s = group_.storage(i);
    std::string text;
    for (raft::Index k = s.first_index(); k != 0 && k <= s.last_index(); ++k)
      text += fmt::format("{}{}", text.empty() ? "" : ", ", s.entries(k, 1).front().term);
    return "[" + text + "]";
  }

  std::string values(std::size_t i) const {
    const raft::Storage& s = group_.storage(i);
    std::string text;
    for (raft::Index k = s.first_index(); k != 0 && k <= s.last_index(); ++k) {
      const raft::LogEntry& entry = s.entries(k, 1).front();
      if (entry.type != raft::LogType::kCommand || entry.data.empty()) continue;
      text += (text.empty() ? "" : ", ") + std::string(dcsim::text_of(entry.data));
    }
    return "[" + text + "]";
  }

  std::string last(std::size_t i) const {
    const raft::Storage& s = group_.storage(i);
    raft::LogPosition end;
    if (s.last_index() != 0) {
      end = {s.last_index(), s.entries(s.last_index(), 1).front().term};
    } else if (s.snapshot() != nullptr) {
      end = {s.snapshot()->index, s.snapshot()->term};
    }
    return fmt::format("[{}, {}]", end.index, end.term);
  }

  std::string voters(std::size_t i) const {
    std::vector<std::string> names_found;
    if (const raft::Node* n = group_.node(i)) {
      for (const raft::Server& s : n->configurations().latest.servers) {
        if (s.suffrage == raft::Suffrage::kVoter) names_found.push_back(s.id);
      }
    }
    std::sort(names_found.begin(), names_found.end());
    return listed(names_found);
  }

  static std::string listed(const std::vector<std::string>& list) {
    std::string text;
    for (const std::string& item : list) text += (text.empty() ? "" : ", ") + item;
    return "[" + text + "]";
  }

  static std::string state_of(const raft::Node* n) {
    if (n == nullptr) return "down";
    switch (n->role()) {
      case raft::Role::kFollower:
        return "follower";
      case raft::Role::kCandidate:
        return "candidate";
      case raft::Role::kLeader:
        return "leader";
      case raft::Role::kShutdown:
        break;
    }
    return "down";
  }

  /// What is expected, as `seen` words it.
  static std::string expected_text(const std::string& key, const Node& want) {
    if (want.kind != Node::Kind::kList) return text_of(want);
    std::vector<std::string> list = names_of(want);
    if (key == "voters") std::sort(list.begin(), list.end());
    return listed(list);
  }

  std::string seen(const Node& step, const std::string& key, std::size_t i) const {
    const raft::Node* n = group_.node(i);
    const raft::StableRecord record = group_.storage(i).record();
    const auto or_none = [](std::string_view text) { return std::string(text.empty() ? "none" : text); };
    if (key == "state") return state_of(n);
    if (key == "term") return fmt::format("{}", n != nullptr ? n->term() : record.current_term);
    if (key == "vote") return or_none(record.vote_term == record.current_term ? record.vote_candidate : "");
    if (key == "known_leader") return or_none(n != nullptr ? n->leader_id() : "");
    if (key == "log") return terms(i);
    if (key == "last") return last(i);
    if (key == "commit") return fmt::format("{}", n != nullptr ? n->commit_index() : 0);
    if (key == "values") return values(i);
    if (key == "voters") return voters(i);
    malformed(step, fmt::format("unknown check `{}`", key));
  }

  void check_server(const Node& step, const std::string& key, std::size_t i, const Node& want) const {
    const std::string got = seen(step, key, i);
    const std::string expected = expected_text(key, want);
    if (got != expected) unmet(step, fmt::format("{} of {} is {}, not {}", key, group_.name(i), got, expected));
  }

  void voters_everywhere(const Node& step, const Node& want) const {
    for (std::size_t i = 0; i < group_.size(); ++i) {
      if (group_.node(i) != nullptr && group_.name(i) == leader()) check_server(step, "voters", i, want);
    }
    if (leader() == "none") unmet(step, "there is no leader whose voters could be looked at");
  }

  /// Entries that two servers both have are the same, and the logs end alike.
  void same_logs(const Node& step, const Node& want) const {
    std::vector<std::size_t> compared;
    if (want.kind == Node::Kind::kList) {
      for (const std::string& name : names_of(want)) compared.push_back(server_of(group_, want, name));
    } else if (flag_of(want)) {
      for (std::size_t i = 0; i < group_.size(); ++i) {
        if (group_.node(i) != nullptr) compared.push_back(i);
      }
    }
    for (std::size_t k = 1; k < compared.size(); ++k) {
      const std::size_t a = compared[0];
      const std::size_t b = compared[k];
      if (last(a) != last(b))
        unmet(step, fmt::format("{} ends at {}, {} at {}", group_.name(a), last(a), group_.name(b), last(b)));
      const raft::Storage& x = group_.storage(a);
      const raft::Storage& y = group_.storage(b);
      for (raft::Index i = std::max(x.first_index(), y.first_index()); i != 0 && i <= x.last_index(); ++i) {
        const auto ours = x.entries(i, 1);
        const auto theirs = y.entries(i, 1);
        if (ours.empty() || theirs.empty() || ours.front().term == theirs.front().term) continue;
        unmet(step, fmt::format("entry {} differs between {} and {}", i, group_.name(a), group_.name(b)));
      }
    }
  }

  const RaftCaseGroup& group_;
};

}  // namespace

std::size_t server_of(const RaftCaseGroup& group, const Node& at, const std::string& name) {
  const auto found = group.find(name);
  if (!found) malformed(at, fmt::format("there is no server `{}`", name));
  return *found;
}

void check_raft_case(const RaftCaseGroup& group, const Node& step, const Node& value) {
  CaseCheck(group).run(step, value);
}

}  // namespace dcsim::lab
