#include "check/raft_invariants.h"

#include <algorithm>
#include <cstring>

namespace dcsim::check {
namespace {

using raft::Index;
using raft::LogEntry;
using raft::Term;

std::uint64_t mixed(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = (a ^ b) * 0x9E3779B97F4A7C15ull;
  x ^= x >> 32;
  x *= 0xD1B54A32D192ED03ull;
  return x ^ (x >> 29);
}

std::uint64_t hash_of(ByteView bytes, std::uint64_t seed) {
  std::uint64_t hash = mixed(seed, bytes.size() + 1);
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    hash = mixed(hash, word);
  }
  for (; at < bytes.size(); ++at) hash = mixed(hash, bytes[at]);
  return hash;
}

std::uint64_t prefix_of(std::uint64_t before, const LogEntry& entry) {
  const std::uint64_t head = mixed(before, entry.term * 8 + static_cast<std::uint64_t>(entry.type) + 1);
  return hash_of(entry.data, hash_of(entry.extensions, head));
}

/// Where a log begins anew and nothing is known of what was before.
std::uint64_t unknown_prefix(Index index, Term term) { return mixed(index, term + 0x5bd1e995); }

}  // namespace

RaftInvariants::ServerIndex RaftInvariants::add_server(std::string name, const raft::Storage& storage) {
  Server& s = servers_.emplace_back();
  s.name = std::move(name);
  s.storage = &storage;
  return servers_.size() - 1;
}

void RaftInvariants::up(ServerIndex server, const raft::Node& node, Instant now) {
  Server& s = servers_[server];
  now_ = now;
  s.node = &node;
  s.since = now;
  s.role = raft::Role::kFollower;
  s.commit = s.applied = s.restored = 0;
  s.term = s.storage->record().current_term;
  read_log(s);  // as it survived
  if (s.storage->record().current_term < s.durable.current_term)
    violated(s, "monotonic", "the durable term went back from " + std::to_string(s.durable.current_term));
  s.vote_term = s.durable.vote_term;
  s.vote = s.durable.vote_candidate;
}

void RaftInvariants::read_log(Server& s) {
  s.log.clear();
  s.first = std::max<Index>(1, s.storage->first_index());
  for (Index i = s.storage->first_index(); i != 0 && i <= s.storage->last_index();) {
    const auto entries = s.storage->entries(i, 1024);
    if (entries.empty()) break;
    for (const LogEntry& entry : entries) {
      const Mark found{entry.term, prefix_of(prefix_before(s, entry.index), entry)};
      s.log.push_back(found);
      match(s, entry.index, found);
    }
    i += entries.size();
  }
}

void RaftInvariants::on_write_failed(ServerIndex server) {
  Server& s = servers_[server];
  read_log(s);
  s.vote_term = s.durable.vote_term;
  s.vote = s.durable.vote_candidate;
}

void RaftInvariants::down(ServerIndex server) { servers_[server].node = nullptr; }

void RaftInvariants::violated(const Server& s, std::string_view invariant, std::string detail) {
  if (!violation_) violation_ = RaftViolation{std::string(invariant), s.name, std::move(detail), now_};
}

// --- What is stored
// ---------------------------------------------------------------------------------------------------

const RaftInvariants::Mark* RaftInvariants::mark(const Server& s, Index index) const {
  if (index < s.first || index >= s.first + s.log.size()) return nullptr;
  return &s.log[static_cast<std::size_t>(index - s.first)];
}

std::uint64_t RaftInvariants::prefix_before(const Server& s, Index index) const {
  if (index <= 1) return 0;
  if (const Mark* before = mark(s, index - 1)) return before->prefix;
  if (index - 1 <= committed_.size()) return committed_[static_cast<std::size_t>(index - 2)].prefix;
  return unknown_prefix(index, 0);
}

// Equal index and term: equal everything up to there.
void RaftInvariants::match(const Server& s, Index index, const Mark& found) {
  if (index > stored_.size()) stored_.resize(static_cast<std::size_t>(index));
  Mark& first = stored_[static_cast<std::size_t>(index - 1)];
  if (first.term == 0) first = found;
  std::uint64_t expected = first.prefix;
  if (first.term != found.term) expected = others_.try_emplace({index, found.term}, found.prefix).first->second;
  if (expected != found.prefix)
    violated(s, "log matching",
             "entry " + std::to_string(index) + " of term " + std::to_string(found.term) + " has another history");
}

void RaftInvariants::on_save(ServerIndex server, const raft::StableRecord& record) {
  Server& s = servers_[server];
  follow_durable(s);
  if (record.vote_term < s.vote_term || record.vote_candidate.empty()) return;
  if (record.vote_term == s.vote_term && !s.vote.empty() && record.vote_candidate != s.vote)
    violated(s, "one vote per term",
             "in term " + std::to_string(s.vote_term) + " for " + s.vote + " and " + record.vote_candidate);
  s.vote_term = record.vote_term;
  s.vote = record.vote_candidate;
}

void RaftInvariants::on_append(ServerIndex server, std::span<const LogEntry> entries) {
  Server& s = servers_[server];
  if (s.log.empty() && !entries.empty()) s.first = entries.front().index;
  for (const LogEntry& entry : entries) {
    if (entry.index != s.first + s.log.size()) {
      violated(s, "log matching", "a hole before entry " + std::to_string(entry.index));
      return;
    }
    if (!s.log.empty() && entry.term < s.log.back().term)
      violated(s, "monotonic", "terms fall at entry " + std::to_string(entry.index));
    const Mark stored{entry.term, prefix_of(prefix_before(s, entry.index), entry)};
    match(s, entry.index, stored);
    s.log.push_back(stored);
    if (entry.type == raft::LogType::kConfiguration && s.node != nullptr && s.node->role() == raft::Role::kLeader)
      check_change(s, entry);
  }
}

void RaftInvariants::on_remove(ServerIndex server, Index from, Index to) {
  Server& s = servers_[server];
  if (s.log.empty()) return;
  const Index last = s.first + s.log.size() - 1;
  const raft::SnapshotMeta* snapshot = s.storage->snapshot();
  const Index covered = snapshot != nullptr ? snapshot->index : 0;
  if (to < last) {  // the front
    if (to > covered) violated(s, "committed truncation", "the log is cut beyond the snapshot");
    const std::size_t count = static_cast<std::size_t>(std::max(to + 1, s.first) - s.first);
    s.log.erase(s.log.begin(), s.log.begin() + static_cast<std::ptrdiff_t>(count));
    s.first += count;
    return;
  }
  const Index lost = std::max(from, covered + 1);  // the first that no snapshot replaces
  if (lost <= s.commit && lost <= last)
    violated(s, "committed truncation",
             "entry " + std::to_string(lost) + " is removed, committed up to " + std::to_string(s.commit));
  if (lost <= last && s.node != nullptr && s.node->role() == raft::Role::kLeader)
    violated(s, "leader append-only", "the leader removes entry " + std::to_string(lost));
  s.log.resize(from <= s.first ? 0 : static_cast<std::size_t>(from - s.first));
}

// hashicorp/raft raft.go configurationChangeChIfStable, configuration.go.
void RaftInvariants::check_change(const Server& s, const LogEntry& entry) {
  const raft::Configurations& known = s.node->configurations();
  wire::Configuration next;
  if (!wire::decode(entry.data, next)) return violated(s, "configuration", "it cannot be read");
  if (raft::voters_of(next) == 0) violated(s, "configuration", "no voter is left");
  if (known.latest_index != known.committed_index)
    violated(s, "configuration", "a second change before the first is committed");
  if (s.node->commit_index() < s.node->term_start() && known.latest_index != 0)
    violated(s, "configuration", "a change before an entry of the leader's term is committed");
  std::size_t changed = 0;
  for (const raft::Server& server : next.servers) {
    const auto& old = known.latest.servers;
    changed += std::find(old.begin(), old.end(), server) == old.end() ? 1 : 0;
  }
  for (const raft::Server& server : known.latest.servers) changed += raft::in_configuration(next, server.id) ? 0 : 1;
  if (changed > 1) violated(s, "configuration", "more than one server changes");
}

// --- What is committed and applied
// ------------------------------------------------------------------------------------

void RaftInvariants::commit_to(Server& s, Index index) {
  for (Index i = s.commit + 1; i <= index; ++i) {
    const Mark* own = mark(s, i);
    if (own == nullptr) continue;  // a snapshot brought it
    if (i > committed_.size()) {
      committed_.resize(static_cast<std::size_t>(i - 1));
      committed_.push_back(*own);
    } else if (Mark& first = committed_[static_cast<std::size_t>(i - 1)]; first.term == 0) {
      first = *own;
    } else if (first.prefix != own->prefix) {
      return violated(s, "state machine safety",
                      "entry " + std::to_string(i) + " is committed with term " + std::to_string(own->term) +
                          ", elsewhere with term " + std::to_string(first.term));
    }
  }
  s.commit = std::max(s.commit, index);
}

void RaftInvariants::on_apply(ServerIndex server, std::span<const LogEntry> entries) {
  Server& s = servers_[server];
  for (const LogEntry& entry : entries) {
    if (entry.index <= s.applied)
      violated(s, "state machine safety", "entry " + std::to_string(entry.index) + " is applied again");
    s.applied = entry.index;
    const Mark* own = mark(s, entry.index);
    if (own != nullptr && own->prefix != prefix_of(prefix_before(s, entry.index), entry))
      violated(s, "state machine safety", "entry " + std::to_string(entry.index) + " is applied as it is not stored");
  }
  commit_to(s, s.applied);
}

void RaftInvariants::on_restore(ServerIndex server, const raft::SnapshotMeta& meta) {
  Server& s = servers_[server];
  s.applied = s.restored = meta.index;
  s.commit = std::max(s.commit, meta.index);
  if (meta.index > committed_.size()) {  // an operator's, which burns an index
    committed_.resize(static_cast<std::size_t>(meta.index));
    committed_.back() = {meta.term, unknown_prefix(meta.index, meta.term)};
  } else if (Mark& there = committed_[static_cast<std::size_t>(meta.index - 1)]; there.term == 0) {
    there = {meta.term, unknown_prefix(meta.index, meta.term)};
  } else if (there.term != meta.term) {
    violated(s, "state machine safety", "a snapshot ends in another entry " + std::to_string(meta.index));
  }
}

// --- What leaves
// ------------------------------------------------------------------------------------------------------

void RaftInvariants::on_append_sent(ServerIndex server, const wire::AppendEntriesRequest& request) {
  const Server& s = servers_[server];
  const auto leader = leaders_.try_emplace(request.term, server).first->second;
  if (leader != server)
    violated(s, "election safety",
             "two senders in term " + std::to_string(request.term) + ": " + s.name + " and " + servers_[leader].name);
}

void RaftInvariants::on_append_answer(ServerIndex server, const wire::AppendEntriesResponse& response) {
  const Server& s = servers_[server];
  const raft::DurableView durable = s.storage->durable();
  if (durable.record.current_term < response.term)
    violated(s, "durability", "an answer in term " + std::to_string(response.term) + " before it is durable");
  if (response.success && response.last_log > std::max(durable.last_index, durable.snapshot_index))
    violated(s, "durability", "entry " + std::to_string(response.last_log) + " is acknowledged before it is durable");
}

void RaftInvariants::on_vote_answer(ServerIndex server, const wire::RequestVoteResponse& response) {
  const Server& s = servers_[server];
  const raft::StableRecord durable = s.storage->durable().record;
  if (durable.current_term < response.term)
    violated(s, "durability", "an answer in term " + std::to_string(response.term) + " before it is durable");
  if (response.granted && durable.vote_term != response.term)
    violated(s, "durability", "a vote in term " + std::to_string(response.term) + " is granted before it is durable");
}

void RaftInvariants::on_acknowledged(ServerIndex server, Index index, Term term) {
  const Server& s = servers_[server];
  ++acknowledged_;
  acknowledged_to_ = std::max(acknowledged_to_, index);
  if (index > committed_.size() || committed_[static_cast<std::size_t>(index - 1)].term != term)
    violated(s, "durability", "entry " + std::to_string(index) + " is acknowledged but not committed");
}

// --- After an input
// ---------------------------------------------------------------------------------------------------

void RaftInvariants::follow_durable(Server& s) {
  raft::StableRecord record = s.storage->durable().record;
  if (record.current_term < s.durable.current_term)
    violated(s, "monotonic", "the durable term went back from " + std::to_string(s.durable.current_term));
  s.durable.current_term = std::max(s.durable.current_term, record.current_term);
  if (record.vote_term < s.durable.vote_term || record.vote_candidate.empty()) return;
  s.durable.vote_term = record.vote_term;
  s.durable.vote_candidate = std::move(record.vote_candidate);
}

void RaftInvariants::check_monotonic(Server& s) {
  const raft::Node& n = *s.node;
  if (n.term() < s.term) violated(s, "monotonic", "the term went back to " + std::to_string(n.term()));
  if (n.commit_index() < s.commit && s.commit > s.restored)
    violated(s, "monotonic", "the commit index went back to " + std::to_string(n.commit_index()));
  if (n.last_applied() < s.applied)
    violated(s, "monotonic", "the applied index went back to " + std::to_string(n.last_applied()));
  if (n.last_applied() > std::max(n.commit_index(), n.last_snapshot().index))
    violated(s, "monotonic", "applied beyond the commit index");
  if (n.commit_index() > n.last_entry().index) violated(s, "monotonic", "committed beyond the log");
  if (n.last_log().term > n.term()) violated(s, "monotonic", "an entry of a term to come");
  s.term = n.term();
}

void RaftInvariants::after(ServerIndex server, Instant now) {
  Server& s = servers_[server];
  now_ = now;
  follow_durable(s);
  if (s.node == nullptr || s.node->role() == raft::Role::kShutdown) return;
  const raft::Node& n = *s.node;
  check_monotonic(s);
  if (n.transfer_in_progress()) transfer_until_ = now + n.config().election_timeout * 3;
  const Index before = s.commit;
  commit_to(s, n.commit_index());
  const bool leads = n.role() == raft::Role::kLeader;
  if (leads && (s.role != raft::Role::kLeader || n.term() != leaders_.rbegin()->first)) check_leader(s);
  if (leads && n.commit_index() > before && n.commit_index() > s.restored) check_quorum(s);
  s.role = n.role();
}

void RaftInvariants::check_leader(Server& s) {
  const raft::Node& n = *s.node;
  const std::size_t self = static_cast<std::size_t>(&s - servers_.data());
  const auto leader = leaders_.try_emplace(n.term(), self).first->second;
  if (leader != self)
    violated(s, "election safety", servers_[leader].name + " leads term " + std::to_string(n.term()) + " already");
  if (s.role == raft::Role::kLeader) return;
  if (!committed_.empty() && n.last_snapshot().index < committed_.size()) {
    const Mark* own = mark(s, committed_.size());
    if (own == nullptr || own->prefix != committed_.back().prefix)
      violated(s, "leader completeness",
               "the leader of term " + std::to_string(n.term()) + " lacks the committed entry " +
                   std::to_string(committed_.size()));
  }
  if (options_.lease) check_lease(s);
}

// A vote is refused while a leader is known; so whoever replaces a leader finds it cut off from a quorum. That does not
// hold where voters have lost their memory of the leader: after restarts, transfers, and changes of the voters.
void RaftInvariants::check_lease(const Server& s) {
  const raft::Config& config = s.node->config();
  if (!config.sticky_leader || !config.leader_lease || now_ <= transfer_until_) return;
  for (const Server& other : servers_) {
    if (now_ - other.since < config.heartbeat_timeout * 3) return;
    if (other.node != nullptr &&
        other.node->configurations().latest_index != other.node->configurations().committed_index)
      return;
  }
  for (const Server& other : servers_) {
    if (&other == &s || other.node == nullptr || other.node->role() != raft::Role::kLeader) continue;
    const Duration gap = now_ - other.node->quorum_contact();
    if (gap < config.heartbeat_timeout - config.leader_lease_timeout)
      violated(s, "lease",
               other.name + " still leads and reached a quorum " + std::to_string(gap.ns / 1'000'000) + " ms ago");
  }
}

bool RaftInvariants::holds_durably(const Server& s, Index index, std::uint64_t prefix) const {
  const raft::DurableView durable = s.storage->durable();
  if (durable.snapshot_index >= index) return true;
  const Mark* own = mark(s, index);
  if (own == nullptr || own->prefix != prefix || durable.last_index < index) return false;
  const Mark* end = mark(s, durable.last_index);
  return end == nullptr || end->term == durable.last_term;
}

void RaftInvariants::check_quorum(const Server& s) {
  const raft::Node& n = *s.node;
  const Mark* own = mark(s, n.commit_index());
  if (own == nullptr) return;  // a snapshot has replaced it
  if (own->term != n.term())
    violated(s, "commit by quorum",
             "the leader of term " + std::to_string(n.term()) + " commits entry " + std::to_string(n.commit_index()) +
                 " of term " + std::to_string(own->term) + " by counting");
  if (!options_.quorum) return;
  std::size_t holders = 0;
  for (const raft::Server& voter : n.configurations().latest.servers) {
    if (voter.suffrage != raft::Suffrage::kVoter) continue;
    const auto holder =
        std::find_if(servers_.begin(), servers_.end(), [&](const Server& x) { return x.name == voter.id; });
    if (holder != servers_.end() && holds_durably(*holder, n.commit_index(), own->prefix)) ++holders;
  }
  if (holders < raft::quorum_of(n.configurations().latest))
    violated(s, "commit by quorum",
             "entry " + std::to_string(n.commit_index()) + " is committed with " + std::to_string(holders) +
                 " durable copies");
}

void RaftInvariants::at_end(Instant now) {
  now_ = now;
  if (acknowledged_to_ > committed_.size() && !servers_.empty())
    violated(servers_.front(), "durability", "an acknowledged entry is not committed");
  const Server* newest = nullptr;
  for (const Server& s : servers_) {
    const bool leads = s.node != nullptr && s.node->role() == raft::Role::kLeader;
    if (leads && (newest == nullptr || s.node->term() > newest->node->term())) newest = &s;
  }
  if (newest == nullptr || acknowledged_to_ == 0) return;
  if (newest->node->last_snapshot().index >= acknowledged_to_) return;
  const Mark* own = mark(*newest, acknowledged_to_);
  if (own == nullptr || own->prefix != committed_[static_cast<std::size_t>(acknowledged_to_ - 1)].prefix)
    violated(*newest, "durability", "the leader lacks an acknowledged entry");
}

}  // namespace dcsim::check
