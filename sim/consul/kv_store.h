#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "consul/state_fold.h"
#include "consul/state_index.h"
#include "consul/state_watch.h"
#include "wire/consul_messages.h"

namespace dcsim::consul {

/// The keys of the KV store with their locks, tombstones and lock delays (agent/consul/state/kvs.go, graveyard.go,
/// delay.go). Whether a session exists is the caller's question.
/// Every change takes the Raft index of its log entry; indexes must not fall.
/// Hot: a write costs one look-up by key and allocates what the entry newly holds.
class KvStore {
 public:
  /// An entry but for its key.
  struct Record {
    std::uint64_t lock_index = 0;
    std::uint64_t flags = 0;
    Bytes value;
    std::string session;
    wire::rpc::RaftIndex index;
  };
  using Records = std::map<std::string, Record, std::less<>>;
  using Tombstones = std::map<std::string, std::uint64_t, std::less<>>;

  KvStore(StateIndexes& indexes, Watchers& watchers) : indexes_(indexes), watchers_(watchers) {}

  /// Sets value and flags; keeps who holds the lock. An entry that would not change keeps its ModifyIndex.
  /// LockIndex is taken from `entry`, as Consul does: a plain set of a key that was locked before sets it to 0.
  void set(std::uint64_t index, const wire::rpc::DirEntry& entry);
  /// Check-and-set: entry.index.modify_index must be the key's, or 0 for a key that does not exist.
  bool set_cas(std::uint64_t index, const wire::rpc::DirEntry& entry);
  void remove(std::uint64_t index, std::string_view key);
  /// False if the key exists with another ModifyIndex; true if it is gone, even if it never was.
  bool remove_cas(std::uint64_t index, std::uint64_t expected, std::string_view key);
  /// Leaves one tombstone for the whole tree, none if the prefix is empty.
  void remove_tree(std::uint64_t index, std::string_view prefix);
  /// entry.session must be a live session. False if another session holds the key.
  bool lock(std::uint64_t index, const wire::rpc::DirEntry& entry);
  /// False unless entry.session holds the key.
  bool unlock(std::uint64_t index, const wire::rpc::DirEntry& entry);
  /// The session ended: releases (or deletes) what it holds; each such key is under a lock delay until `until`, if it
  /// lies after `now`.
  void end_session(std::uint64_t index, std::string_view session, bool delete_keys, Instant now, Instant until);
  /// Forgets the tombstones up to `up_to`.
  void reap(std::uint64_t up_to);

  /// Snapshots.
  void restore(const wire::rpc::DirEntry& entry);
  void restore_tombstone(std::string_view key, std::uint64_t index);

  const Records& records() const { return records_; }
  const Tombstones& tombstones() const { return tombstones_; }
  const Record* find(std::string_view key) const;
  /// Highest index of a tombstone whose key begins with `prefix`, or 0.
  std::uint64_t tombstone_index(std::string_view prefix) const;
  /// Index of the newest tombstone made by a log entry, or 0: the leader starts its time-to-live when it rises.
  std::uint64_t newest_tombstone() const { return newest_tombstone_; }
  /// The leader refuses to lock the key before this instant. {0} if there is no delay. Not part of snapshots.
  Instant lock_delay(std::string_view key) const;

  static wire::rpc::DirEntry entry(std::string_view key, const Record& record);

 private:
  void put(std::uint64_t index, std::string_view key, Record next);
  void hold(std::string_view session, std::string_view key);
  void let_go(std::string_view session, std::string_view key);
  void bury(std::string_view key, std::uint64_t index);
  void erase(std::uint64_t index, Records::iterator at);
  void delay(std::string_view key, Instant now, Instant until);

  StateIndexes& indexes_;
  Watchers& watchers_;
  Records records_;
  Tombstones tombstones_;
  std::map<std::string, std::set<std::string, std::less<>>, FoldLess> held_;  ///< session -> keys
  std::map<std::string, Instant, std::less<>> delays_;
  std::size_t prune_at_ = 64;
  std::uint64_t newest_tombstone_ = 0;
};

}  // namespace dcsim::consul
