#include "raft/commitment.h"

#include <algorithm>

namespace dcsim::raft {

void Commitment::reset(const Configuration& configuration, Index start) {
  voters_.clear();
  start_ = start;
  commit_index_ = 0;
  set_configuration(configuration);
}

void Commitment::set_configuration(const Configuration& configuration) {
  std::vector<Voter> next;
  for (const Server& server : configuration.servers) {
    if (server.suffrage == Suffrage::kVoter) next.push_back({server.id, match_index(server.id)});
  }
  voters_ = std::move(next);
}

Index Commitment::match_index(std::string_view id) const {
  for (const Voter& voter : voters_) {
    if (voter.id == id) return voter.match;
  }
  return 0;
}

bool Commitment::match(std::string_view id, Index index) {
  for (Voter& voter : voters_) {
    if (voter.id != id || index <= voter.match) continue;
    voter.match = index;
    return recalculate();
  }
  return false;
}

bool Commitment::recalculate() {
  if (voters_.empty()) return false;
  sorted_.clear();
  for (const Voter& voter : voters_) sorted_.push_back(voter.match);
  std::sort(sorted_.begin(), sorted_.end());
  const Index quorum = sorted_[(sorted_.size() - 1) / 2];
  if (quorum <= commit_index_ || quorum < start_) return false;
  commit_index_ = quorum;
  return true;
}

}  // namespace dcsim::raft
