#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "raft/types.h"

namespace dcsim::raft {

/// A leader's count of replicas (commitment.go). An entry counts as committed once a quorum of the voters hold it and
/// it, or a later one, is of this leader's term.
class Commitment {
 public:
  /// `start`: the first index of this leader's term, below which nothing is committed by counting.
  void reset(const Configuration& configuration, Index start);
  /// New voters start at 0.
  void set_configuration(const Configuration& configuration);
  /// A server holds everything up to `index` durably. True if the commit index rose. Non-voters are ignored.
  /// Hot: sorts one small array.
  bool match(std::string_view id, Index index);
  bool recalculate();

  Index commit_index() const { return commit_index_; }
  Index start_index() const { return start_; }
  Index match_index(std::string_view id) const;

 private:
  struct Voter {
    std::string id;
    Index match = 0;
  };
  std::vector<Voter> voters_;
  std::vector<Index> sorted_;
  Index start_ = 0;
  Index commit_index_ = 0;
};

}  // namespace dcsim::raft
