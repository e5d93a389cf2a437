#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "gossip/delegate.h"
#include "gossip/directory.h"

namespace dcsim::gossip {

/// One node's view of the pool: memberlist's `nodes` list (the probe order) and `nodeMap`. The protocol sees it only
/// through this class, so that another representation can take its place.
/// About 16 bytes a member while it is alive: rows by member id, the order by position. The instant of the last state
/// change is kept only for members that are not alive; nothing asks for the others.
class MemberTable {
 public:
  explicit MemberTable(Directory& directory) : directory_(directory) {}
  ~MemberTable();
  MemberTable(const MemberTable&) = delete;
  MemberTable& operator=(const MemberTable&) = delete;

  std::size_t size() const { return order_.size(); }
  bool contains(MemberId id) const { return id.index() < rows_.size() && rows_[id.index()].position_state != kAbsent; }
  /// Members in one state, the own node included.
  std::size_t count(MemberState state) const { return counts_[static_cast<std::size_t>(state)]; }

  /// The member at a position of the probe order. Requires position < size().
  MemberId at(std::size_t position) const { return order_[position]; }
  // These require contains(id).
  MemberState state(MemberId id) const { return static_cast<MemberState>(rows_[id.index()].position_state & 3u); }
  std::uint32_t incarnation(MemberId id) const { return rows_[id.index()].incarnation; }
  AliveId alive_id(MemberId id) const { return rows_[id.index()].alive; }
  const AliveRecord& record(MemberId id) const { return directory_.record(rows_[id.index()].alive); }
  /// Of a member that is not alive; Instant{0} otherwise.
  Instant state_change(MemberId id) const;
  NodeView view(MemberId id) const;

  /// memberlist state.go: aliveNode, new name: appended as dead with incarnation 0, then swapped with the position
  /// drawn from `draw`. Its state change counts as long ago (Go's zero time). Takes over one reference of `alive`.
  /// Requires !contains(id).
  void insert(MemberId id, AliveId alive, Rng& draw);
  /// Takes over one reference of `alive` and drops the one held before.
  void set_alive_id(MemberId id, AliveId alive);
  void set_incarnation(MemberId id, std::uint32_t incarnation) { rows_[id.index()].incarnation = incarnation; }
  /// Also remembers `now` as the instant of the change if the new state is not alive.
  void set_state(MemberId id, MemberState state, Instant now);

  /// memberlist util.go: moveDeadNodes and state.go: resetNodes: forgets members dead, and with `reap_left` those left,
  /// for more than `gossip_to_the_dead`, appends their ids to `reaped`, then shuffles the order (Fisher-Yates).
  void reap_and_shuffle(Instant now, Duration gossip_to_the_dead, bool reap_left, Rng& draw,
                        std::vector<MemberId>& reaped);

  /// Appends to `out` the push/pull entries of all members in the Directory's canonical order.
  /// Hot: ~30 ns a member.
  void append_entries(Buffer& out) const;

  /// Heap bytes held by this view.
  std::size_t heap_bytes() const;

 private:
  static constexpr std::uint32_t kAbsent = 0xffffffffu;
  struct Row {
    std::uint32_t position_state = kAbsent;  ///< position << 2 | state
    std::uint32_t incarnation = 0;
    AliveId alive;
  };
  struct Change {
    MemberId id;
    Instant at;
  };

  void set_position(MemberId id, std::size_t position) {
    Row& row = rows_[id.index()];
    row.position_state = static_cast<std::uint32_t>(position << 2) | (row.position_state & 3u);
  }
  void forget_change(MemberId id);
  std::vector<Change>::iterator change_of(MemberId id);

  Directory& directory_;
  std::vector<Row> rows_;        // by member id
  std::vector<MemberId> order_;  // by position
  std::vector<Change> changes_;  // sorted by id
  std::array<std::size_t, 4> counts_{};
};

}  // namespace dcsim::gossip
