#include "consul/kv_store.h"

#include <algorithm>

namespace dcsim::consul {
namespace {

bool same(const KvStore::Record& a, const KvStore::Record& b) {
  return a.lock_index == b.lock_index && a.flags == b.flags && a.session == b.session &&
         text_of(a.value) == text_of(b.value);
}

}  // namespace

void KvStore::set(std::uint64_t index, const wire::rpc::DirEntry& entry) {
  const Record* existing = find(entry.key);
  put(index, entry.key, {entry.lock_index, entry.flags, entry.value, existing ? existing->session : std::string(), {}});
}

bool KvStore::set_cas(std::uint64_t index, const wire::rpc::DirEntry& entry) {
  const Record* existing = find(entry.key);
  const std::uint64_t expected = entry.index.modify_index;
  if ((expected == 0) != (existing == nullptr)) return false;
  if (existing && existing->index.modify_index != expected) return false;
  set(index, entry);
  return true;
}

void KvStore::remove(std::uint64_t index, std::string_view key) {
  const auto found = records_.find(key);
  if (found == records_.end()) return;
  bury(key, index);
  erase(index, found);
}

bool KvStore::remove_cas(std::uint64_t index, std::uint64_t expected, std::string_view key) {
  const Record* existing = find(key);
  if (!existing) return true;
  if (existing->index.modify_index != expected) return false;
  remove(index, key);
  return true;
}

void KvStore::remove_tree(std::uint64_t index, std::string_view prefix) {
  auto at = records_.lower_bound(prefix);
  if (at == records_.end() || !at->first.starts_with(prefix)) return;
  while (at != records_.end() && at->first.starts_with(prefix)) erase(index, at++);
  if (!prefix.empty()) bury(prefix, index);
}

bool KvStore::lock(std::uint64_t index, const wire::rpc::DirEntry& entry) {
  const Record* existing = find(entry.key);
  Record next{1, entry.flags, entry.value, entry.session, {}};
  if (existing) {
    const bool ours = existing->session == entry.session;
    if (!ours && !existing->session.empty()) return false;
    next.lock_index = existing->lock_index + (ours ? 0 : 1);
  }
  put(index, entry.key, std::move(next));
  return true;
}

bool KvStore::unlock(std::uint64_t index, const wire::rpc::DirEntry& entry) {
  const Record* existing = find(entry.key);
  if (!existing || existing->session != entry.session) return false;
  put(index, entry.key, {existing->lock_index, entry.flags, entry.value, {}, {}});
  return true;
}

void KvStore::end_session(std::uint64_t index, std::string_view session, bool delete_keys, Instant now, Instant until) {
  const auto found = held_.find(session);
  if (found == held_.end()) return;
  const auto keys = std::move(found->second);
  held_.erase(found);
  for (const std::string& key : keys) {
    const auto at = records_.find(key);
    if (delete_keys) {
      remove(index, key);
    } else {
      put(index, key, {at->second.lock_index, at->second.flags, at->second.value, {}, {}});
    }
    if (until > now) delay(key, now, until);
  }
}

void KvStore::reap(std::uint64_t up_to) {
  std::erase_if(tombstones_, [up_to](const auto& stone) { return stone.second <= up_to; });
}

void KvStore::restore(const wire::rpc::DirEntry& entry) {
  Record& record = records_[entry.key];
  if (!record.session.empty()) let_go(record.session, entry.key);
  record = {entry.lock_index, entry.flags, entry.value, entry.session, entry.index};
  if (!record.session.empty()) hold(record.session, entry.key);
  indexes_.raise(StateIndexes::kKvs, entry.index.modify_index);
}

void KvStore::restore_tombstone(std::string_view key, std::uint64_t index) {
  tombstones_.insert_or_assign(std::string(key), index);
  indexes_.raise(StateIndexes::kTombstones, index);
}

const KvStore::Record* KvStore::find(std::string_view key) const {
  const auto found = records_.find(key);
  return found == records_.end() ? nullptr : &found->second;
}

std::uint64_t KvStore::tombstone_index(std::string_view prefix) const {
  std::uint64_t highest = 0;
  for (auto at = tombstones_.lower_bound(prefix); at != tombstones_.end() && at->first.starts_with(prefix); ++at)
    highest = std::max(highest, at->second);
  return highest;
}

Instant KvStore::lock_delay(std::string_view key) const {
  const auto found = delays_.find(key);
  return found == delays_.end() ? Instant{} : found->second;
}

wire::rpc::DirEntry KvStore::entry(std::string_view key, const Record& record) {
  wire::rpc::DirEntry out;
  out.lock_index = record.lock_index;
  out.key = key;
  out.flags = record.flags;
  out.value = record.value;
  out.session = record.session;
  out.index = record.index;
  return out;
}

void KvStore::put(std::uint64_t index, std::string_view key, Record next) {
  auto found = records_.find(key);
  if (found == records_.end()) {
    found = records_.emplace(std::string(key), Record{}).first;
    next.index = {index, index};
  } else {
    if (same(found->second, next)) return;
    next.index = {found->second.index.create_index, index};
  }
  if (found->second.session != next.session) {
    let_go(found->second.session, key);
    hold(next.session, key);
  }
  found->second = std::move(next);
  indexes_.raise(StateIndexes::kKvs, index);
  watchers_.touch_key(key);
}

void KvStore::hold(std::string_view session, std::string_view key) {
  if (session.empty()) return;
  auto found = held_.find(session);
  if (found == held_.end()) found = held_.emplace(std::string(session), std::set<std::string, std::less<>>{}).first;
  found->second.emplace(key);
}

void KvStore::let_go(std::string_view session, std::string_view key) {
  const auto found = held_.find(session);
  if (found == held_.end()) return;
  if (const auto at = found->second.find(key); at != found->second.end()) found->second.erase(at);
  if (found->second.empty()) held_.erase(found);
}

void KvStore::bury(std::string_view key, std::uint64_t index) {
  tombstones_.insert_or_assign(std::string(key), index);
  newest_tombstone_ = std::max(newest_tombstone_, index);
  indexes_.raise(StateIndexes::kTombstones, index);
}

void KvStore::erase(std::uint64_t index, Records::iterator at) {
  if (!at->second.session.empty()) let_go(at->second.session, at->first);
  watchers_.touch_key(at->first);
  records_.erase(at);
  indexes_.raise(StateIndexes::kKvs, index);
}

void KvStore::delay(std::string_view key, Instant now, Instant until) {
  delays_.insert_or_assign(std::string(key), until);
  if (delays_.size() < prune_at_) return;
  std::erase_if(delays_, [now](const auto& d) { return d.second <= now; });
  prune_at_ = std::max<std::size_t>(64, 2 * delays_.size());
}

}  // namespace dcsim::consul
