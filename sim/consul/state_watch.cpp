#include "consul/state_watch.h"

#include <algorithm>

namespace dcsim::consul {

WaiterId Watchers::wait(const WatchSet& set) {
  const WaiterId id = ++last_;
  for (const WatchSet::Item& item : set.items()) {
    if (item.topic == Topic::kKey) {
      by_key_[item.key].push_back(id);
    } else if (item.topic == Topic::kPrefix) {
      Ids& ids = by_prefix_[item.key];
      if (ids.empty()) ++prefix_lengths_[item.key.size()];
      ids.push_back(id);
    } else {
      by_name_[static_cast<std::size_t>(item.topic)][item.key].push_back(id);
    }
  }
  waiters_.emplace(id, set.items());
  return id;
}

void Watchers::cancel(WaiterId id) {
  std::erase(woken_, id);
  const auto found = waiters_.find(id);
  if (found == waiters_.end()) return;
  forget(id, found->second);
  waiters_.erase(found);
}

void Watchers::touch(Topic topic, std::string_view key) {
  if (waiters_.empty()) return;
  auto& names = by_name_[static_cast<std::size_t>(topic)];
  if (const auto found = names.find(key); found != names.end()) {
    Ids ids = std::move(found->second);
    names.erase(found);
    wake(ids);
  }
}

void Watchers::touch_key(std::string_view key) {
  if (waiters_.empty()) return;
  Ids due;
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    due = std::move(found->second);
    by_key_.erase(found);
  }
  for (const auto& [length, count] : prefix_lengths_) {
    if (length > key.size()) break;
    const auto found = by_prefix_.find(key.substr(0, length));
    if (found != by_prefix_.end()) due.insert(due.end(), found->second.begin(), found->second.end());
  }
  wake(due);
}

void Watchers::touch_everything() {
  for (const auto& [id, items] : waiters_) woken_.push_back(id);
  waiters_.clear();
  for (auto& names : by_name_) names.clear();
  by_key_.clear();
  by_prefix_.clear();
  prefix_lengths_.clear();
}

void Watchers::take_woken(std::vector<WaiterId>& out) {
  std::sort(woken_.begin(), woken_.end());
  out.insert(out.end(), woken_.begin(), woken_.end());
  woken_.clear();
}

// `ids` is nobody's list: forgetting a waiter shortens those that name it.
void Watchers::wake(const Ids& ids) {
  for (const WaiterId id : ids) {
    const auto found = waiters_.find(id);
    if (found == waiters_.end()) continue;
    forget(id, found->second);
    waiters_.erase(found);
    woken_.push_back(id);
  }
}

template <class Map>
void Watchers::forget_in(Map& map, const std::string& key, WaiterId id) {
  const auto found = map.find(key);
  if (found == map.end()) return;
  std::erase(found->second, id);
  if (found->second.empty()) map.erase(found);
}

void Watchers::forget(WaiterId id, const std::vector<WatchSet::Item>& items) {
  for (const WatchSet::Item& item : items) {
    if (item.topic == Topic::kKey) {
      forget_in(by_key_, item.key, id);
    } else if (item.topic == Topic::kPrefix) {
      const bool known = by_prefix_.contains(item.key);
      forget_in(by_prefix_, item.key, id);
      if (!known || by_prefix_.contains(item.key)) continue;
      const auto length = prefix_lengths_.find(item.key.size());
      if (--length->second == 0) prefix_lengths_.erase(length);
    } else {
      forget_in(by_name_[static_cast<std::size_t>(item.topic)], item.key, id);
    }
  }
}

}  // namespace dcsim::consul
