#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/time.h"
#include "gossip/directory.h"
#include "gossip/serf_event.h"

namespace dcsim::gossip {

/// One Serf node's view of its members (serf.go: members, failedMembers, leftMembers): status, status LTime and the
/// alive record of the last join or update event. 13 bytes a member in dense rows by MemberId; the instant of departure
/// is kept only for those that failed or left.
class SerfMembers {
 public:
  explicit SerfMembers(Directory& directory) : directory_(directory) {}
  ~SerfMembers();
  SerfMembers(const SerfMembers&) = delete;
  SerfMembers& operator=(const SerfMembers&) = delete;

  /// A member that failed or left, in the order of Serf's lists: appended at the end, removed by moving the last one
  /// into the gap.
  struct Gone {
    MemberId id;
    Instant since;
  };

  std::size_t size() const { return size_; }
  std::size_t count(MemberStatus status) const { return counts_[static_cast<std::size_t>(status)]; }
  bool contains(MemberId id) const { return id.index() < status_.size() && status_[id.index()] != MemberStatus::kNone; }
  /// kNone if not a member.
  MemberStatus status(MemberId id) const {
    return id.index() < status_.size() ? status_[id.index()] : MemberStatus::kNone;
  }
  // These require contains(id).
  LamportTime status_ltime(MemberId id) const { return ltime_[id.index()]; }
  const AliveRecord& record(MemberId id) const { return directory_.record(alive_[id.index()]); }
  AliveId alive_id(MemberId id) const { return alive_[id.index()]; }

  /// Requires !contains(id). Takes over one reference of `alive`.
  void insert(MemberId id, AliveId alive, MemberStatus status, LamportTime ltime);
  /// Takes over one reference of `alive` and drops the one held.
  void set_record(MemberId id, AliveId alive);
  void set_status(MemberId id, MemberStatus status);
  void set_ltime(MemberId id, LamportTime ltime) { ltime_[id.index()] = ltime; }
  /// Forgets the member and its row; it must not be in a list any more.
  void erase(MemberId id);

  std::span<const Gone> failed() const { return failed_; }
  std::span<const Gone> left() const { return left_; }
  void add_failed(MemberId id, Instant since) { failed_.push_back({id, since}); }
  void add_left(MemberId id, Instant since) { left_.push_back({id, since}); }
  /// The instant it had, or nullopt if it was not in the list.
  std::optional<Instant> remove_failed(MemberId id) { return remove(failed_, id); }
  std::optional<Instant> remove_left(MemberId id) { return remove(left_, id); }

  std::size_t heap_bytes() const;

 private:
  void grow(std::size_t rows);
  static std::optional<Instant> remove(std::vector<Gone>& list, MemberId id);

  Directory& directory_;
  std::size_t size_ = 0;
  std::array<std::size_t, 5> counts_{};
  std::vector<MemberStatus>
      status_;  // three arrays rather than one of 16-byte rows: a merge reads status and LTime only
  std::vector<LamportTime> ltime_;
  std::vector<AliveId> alive_;
  std::vector<Gone> failed_;
  std::vector<Gone> left_;
};

}  // namespace dcsim::gossip
