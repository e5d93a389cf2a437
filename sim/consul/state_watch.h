#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "consul/state_fold.h"

namespace dcsim::consul {

/// What a query has read, in the grain in which the state store reports changes.
enum class Topic : std::uint8_t {
  kNodes,             ///< any node's record
  kNode,              ///< the record of the node named by the key
  kServices,          ///< any service instance
  kServiceInstances,  ///< instances of the service named by the key, and the records of their nodes
  kServiceHealth,     ///< the same, and the checks that count for it: Consul's index entry "service.<name>"
  kNodeServices,      ///< the service instances of a node
  kChecks,            ///< any check
  kNodeChecks,        ///< the checks of a node
  kServiceChecks,     ///< the checks that belong to a service name
  kChecksInState,     ///< the checks that have, or had until now, a status
  kSessions,          ///< any session
  kSession,           ///< one session ID
  kNodeSessions,      ///< the sessions of a node
  kCoordinates,
  kAutopilot,
  kKey,     ///< one key of the KV store, exactly
  kPrefix,  ///< every key that begins with this
};
inline constexpr std::size_t kTopics = 17;

/// Collected by a query while it reads; what go-memdb calls a WatchSet. Reuse one: clear() keeps its memory.
class WatchSet {
 public:
  struct Item {
    Topic topic;
    std::string key;
    bool operator==(const Item&) const = default;
  };
  void add(Topic topic, std::string_view key = {}) { items_.push_back({topic, std::string(key)}); }
  void clear() { items_.clear(); }
  const std::vector<Item>& items() const { return items_; }

 private:
  std::vector<Item> items_;
};

/// Names a waiter; never used twice by one Watchers. 0 is none.
using WaiterId = std::uint64_t;

/// Blocking queries that wait for a change. A waiter is woken once, by the first change to anything in its set, and is
/// then gone: its owner runs the query again and, if the index has not passed its own, waits anew
/// (agent/blockingquery/blockingquery.go).
/// Hot: a touch that nobody waits for costs one compare of a counter, or a look-up in a map of waited-for names.
class Watchers {
 public:
  WaiterId wait(const WatchSet& set);
  /// The waiter gave up (time-out). Also drops it from the woken ones. Unknown IDs are ignored.
  void cancel(WaiterId id);
  std::size_t waiting() const { return waiters_.size(); }

  void touch(Topic topic, std::string_view key = {});
  /// A key of the KV store changed: wakes its waiters and those of its prefixes.
  void touch_key(std::string_view key);
  /// The state was replaced as a whole.
  void touch_everything();

  /// Moves the waiters woken since the last call to `out`, in the order in which they began to wait.
  void take_woken(std::vector<WaiterId>& out);
  bool any_woken() const { return !woken_.empty(); }

 private:
  using Ids = std::vector<WaiterId>;
  void wake(const Ids& ids);
  void forget(WaiterId id, const std::vector<WatchSet::Item>& items);
  template <class Map>
  static void forget_in(Map& map, const std::string& key, WaiterId id);

  std::map<WaiterId, std::vector<WatchSet::Item>> waiters_;
  std::array<std::map<std::string, Ids, FoldLess>, kTopics> by_name_;
  std::map<std::string, Ids, std::less<>> by_key_;
  std::map<std::string, Ids, std::less<>> by_prefix_;
  std::map<std::size_t, std::uint32_t> prefix_lengths_;  ///< length -> distinct prefixes of it that somebody waits for
  Ids woken_;
  WaiterId last_ = 0;
};

}  // namespace dcsim::consul
