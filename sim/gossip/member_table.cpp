#include "gossip/member_table.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace dcsim::gossip {
namespace {

// Go's zero time: longer ago than any configured span, yet safe to subtract from.
constexpr Instant kLongAgo{std::numeric_limits<std::int64_t>::min() / 4};

}  // namespace

std::string_view state_name(MemberState state) {
  switch (state) {
    case MemberState::kAlive:
      return "alive";
    case MemberState::kSuspect:
      return "suspect";
    case MemberState::kDead:
      return "dead";
    case MemberState::kLeft:
      return "left";
  }
  return "unknown";
}

MemberTable::~MemberTable() {
  for (const MemberId id : order_) directory_.release(rows_[id.index()].alive);
}

std::vector<MemberTable::Change>::iterator MemberTable::change_of(MemberId id) {
  return std::lower_bound(changes_.begin(), changes_.end(), id, [](const Change& c, MemberId m) { return c.id < m; });
}

Instant MemberTable::state_change(MemberId id) const {
  const auto it =
      std::lower_bound(changes_.begin(), changes_.end(), id, [](const Change& c, MemberId m) { return c.id < m; });
  return it != changes_.end() && it->id == id ? it->at : Instant{0};
}

void MemberTable::forget_change(MemberId id) {
  const auto it = change_of(id);
  if (it != changes_.end() && it->id == id) changes_.erase(it);
}

NodeView MemberTable::view(MemberId id) const {
  const Row& row = rows_[id.index()];
  const AliveRecord& r = directory_.record(row.alive);
  return {id, directory_.name(id), r.address, r.port, r.meta(), r.meta_nil, r.vsn, state(id), row.incarnation};
}

void MemberTable::insert(MemberId id, AliveId alive, Rng& draw) {
  DCSIM_CHECK(!contains(id));
  if (rows_.size() <= id.index()) rows_.resize(std::max<std::size_t>(id.index() + 1, directory_.size()));
  const std::size_t last = order_.size();
  const std::size_t offset = static_cast<std::size_t>(draw.below(last));
  order_.push_back(id);
  rows_[id.index()] = {static_cast<std::uint32_t>(MemberState::kDead), 0, alive};
  std::swap(order_[offset], order_[last]);
  set_position(order_[last], last);
  set_position(id, offset);
  ++counts_[static_cast<std::size_t>(MemberState::kDead)];
  changes_.insert(change_of(id), {id, kLongAgo});
}

void MemberTable::set_alive_id(MemberId id, AliveId alive) {
  Row& row = rows_[id.index()];
  directory_.release(row.alive);
  row.alive = alive;
}

void MemberTable::set_state(MemberId id, MemberState state, Instant now) {
  Row& row = rows_[id.index()];
  --counts_[row.position_state & 3u];
  row.position_state = (row.position_state & ~3u) | static_cast<std::uint32_t>(state);
  ++counts_[row.position_state & 3u];
  if (state == MemberState::kAlive) {
    forget_change(id);
    return;
  }
  const auto it = change_of(id);
  if (it != changes_.end() && it->id == id) {
    it->at = now;
  } else {
    changes_.insert(it, {id, now});
  }
}

void MemberTable::reap_and_shuffle(Instant now, Duration gossip_to_the_dead, bool reap_left, Rng& draw,
                                   std::vector<MemberId>& reaped) {
  if (counts_[2] + counts_[3] > 0) {
    std::size_t kept = 0;
    for (const MemberId id : order_) {
      const MemberState s = state(id);
      const bool gone = s == MemberState::kDead || (reap_left && s == MemberState::kLeft);
      if (gone && now - state_change(id) > gossip_to_the_dead) {
        --counts_[static_cast<std::size_t>(s)];
        directory_.release(rows_[id.index()].alive);
        rows_[id.index()] = Row{};
        forget_change(id);
        reaped.push_back(id);
      } else {
        order_[kept++] = id;
      }
    }
    order_.resize(kept);
  }
  for (std::size_t i = order_.size(); i > 1; --i) {
    std::swap(order_[i - 1], order_[static_cast<std::size_t>(draw.below(i))]);
  }
  for (std::size_t i = 0; i < order_.size(); ++i) set_position(order_[i], i);
}

void MemberTable::append_entries(Buffer& out) const {
  const auto append = [&](MemberId id) {
    const Row& row = rows_[id.index()];
    directory_.append_entry(row.alive, row.incarnation, state(id), out);
  };
  const std::vector<MemberId>& all = directory_.canonical_order();
  if (order_.size() * 16 >= all.size()) {
    for (const MemberId id : all) {
      if (contains(id)) append(id);
    }
    return;
  }
  // A small view in a big directory: sort what there is instead of walking over everybody.
  std::vector<MemberId> mine(order_);
  std::sort(mine.begin(), mine.end(), [this](MemberId a, MemberId b) { return directory_.before(a, b); });
  for (const MemberId id : mine) append(id);
}

std::size_t MemberTable::heap_bytes() const {
  return rows_.capacity() * sizeof(Row) + order_.capacity() * sizeof(MemberId) + changes_.capacity() * sizeof(Change);
}

}  // namespace dcsim::gossip
