#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "gossip/delegate.h"
#include "gossip/notice.h"

namespace dcsim::gossip {

/// One distinct thing that alive messages said about one member: address, port, meta, versions.
using AliveId = Id<struct AliveTag>;

/// The contents behind an AliveId, with the pieces of its push/pull entry already encoded (everything but the
/// incarnation and the state, which belong to the observer).
struct AliveRecord {
  MemberId member;
  Address address;  ///< bytes as received
  std::uint16_t port = 0;
  bool address_nil = true;  ///< of an empty address
  bool meta_nil = false;
  Versions vsn{};
  std::uint32_t references = 0;
  Buffer entry;                  ///< head | meta .. state key | versions; cut at the two offsets
  std::uint32_t head_end = 0;    ///< the incarnation goes here
  std::uint32_t middle_end = 0;  ///< the state goes here
  std::uint32_t meta_at = 0;     ///< where the meta bytes are in `entry`
  std::uint32_t meta_size = 0;

  ByteView meta() const { return {entry.data() + meta_at, meta_size}; }
};

/// Keyed hash of a name: order of push/pull entries and key of named broadcasts. The same in every process.
std::uint64_t name_hash(std::string_view name);

/// What all views of one pool share: member names as dense ids, and interned alive records. One per pool of a process,
/// handed to every Memberlist by reference and outliving them; not thread-safe. Sharing changes no result: nothing is
/// ever decided by the value of an id.
/// Names stay for good (an id must stay good in traces) and are bounded; records are counted and freed with their last
/// holder. What exceeds a bound is refused, so hostile churn costs bounded memory.
class Directory {
 public:
  struct Limits {
    std::uint32_t names = 1u << 20;
    std::uint32_t name_bytes = 1u << 26;      ///< all names together
    std::uint32_t records_per_member = 4096;  ///< distinct descriptions of one member held at one time
  };
  Directory();
  explicit Directory(Limits limits);
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  /// none() if the bounds are reached.
  MemberId intern(std::string_view name);
  /// none() if never interned.
  MemberId find(std::string_view name) const;
  /// Valid as long as the Directory; "" for none().
  std::string_view name(MemberId id) const {
    return id.index() < names_.size() ? std::string_view(names_[id.index()].text) : std::string_view();
  }
  std::uint64_t hash(MemberId id) const { return names_[id.index()].hash; }
  std::size_t size() const { return names_.size(); }

  /// All members ordered by (name_hash, name): the canonical order of push/pull entries, because converged nodes then
  /// send equal bytes. Changes when a name is added.
  const std::vector<MemberId>& canonical_order() const { return order_; }
  /// True if a comes before b in canonical order.
  bool before(MemberId a, MemberId b) const;

  /// The record with these contents, with one reference more; none() over the bounds (also for a meta above 64 KiB).
  AliveId acquire(MemberId member, const Address& address, std::uint16_t port, ByteView meta, bool meta_nil,
                  const Versions& vsn, bool address_nil = true);
  void retain(AliveId id) { ++records_[id.index()].references; }
  void release(AliveId id);
  const AliveRecord& record(AliveId id) const { return records_[id.index()]; }
  std::size_t live_records() const { return records_.size() - free_records_.size(); }

  /// Appends the push/pull entry (pushNodeState) of a record as seen by an observer. Hot: four copies, ~20 ns.
  void append_entry(AliveId id, std::uint32_t incarnation, MemberState state, Buffer& out) const;

 private:
  struct Name {
    std::string text;
    std::uint64_t hash = 0;
    std::vector<AliveId> records;
  };

  std::size_t bucket(std::string_view name, std::uint64_t hash) const;
  void grow();
  void encode(AliveRecord& record, ByteView meta);

  Limits limits_;
  std::size_t name_bytes_ = 0;
  std::deque<Name> names_;            // a deque: growth must not move the texts
  std::vector<std::uint32_t> table_;  // open addressing over names_, id + 1, 0 = free
  std::vector<MemberId> order_;
  std::deque<AliveRecord> records_;
  std::vector<AliveId> free_records_;
};

}  // namespace dcsim::gossip
