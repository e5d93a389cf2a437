#include <algorithm>
#include <utility>

#include "consul/state_store.h"

namespace dcsim::consul {
namespace {

using namespace literals;

constexpr std::string_view kRelease = "release";
constexpr std::string_view kDelete = "delete";
constexpr Duration kMaxLockDelay = 60_s;  // structs.MaxLockDelay

StateStore::Status refuse_behavior(std::string& behavior) {
  if (behavior.empty()) behavior = kRelease;
  if (behavior != kRelease && behavior != kDelete) return Error{"Invalid session behavior: " + behavior};
  return {};
}

}  // namespace

std::vector<std::string_view> check_ids(const wire::rpc::Session& session) {
  std::vector<std::string_view> ids(session.checks.begin(), session.checks.end());
  ids.insert(ids.end(), session.node_checks.begin(), session.node_checks.end());
  for (const wire::rpc::ServiceCheck& check : session.service_checks) ids.push_back(check.id);
  return ids;
}

const wire::rpc::Session* StateStore::session(std::string_view id) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : &found->second;
}

StateStore::Status StateStore::create_session(const Write& at, wire::rpc::Session session) {
  if (session.id.empty()) return Error{"Missing session ID"};
  if (Status refused = refuse_behavior(session.behavior)) return refused;
  const auto node = nodes_.find(session.node);
  if (node == nodes_.end()) return Error{"Missing node registration"};
  for (const std::string_view id : check_ids(session)) {
    const auto check = node->second.checks.find(id);
    if (check == node->second.checks.end()) return Error{"Missing check '" + std::string(id) + "' registration"};
    if (check->second.status == kHealthCritical)
      return Error{"Check '" + std::string(id) + "' is in " + check->second.status + " state"};
  }
  session.index = {at.index, at.index};
  put_session(std::move(session), node->second);
  return {};
}

StateStore::Status StateStore::restore_session(wire::rpc::Session row) {
  if (row.id.empty()) return Error{"failed inserting session: object missing primary index"};
  if (Status refused = refuse_behavior(row.behavior)) return refused;
  const auto node = nodes_.find(row.node);
  if (node == nodes_.end()) return Error{"Missing node registration"};
  put_session(std::move(row), node->second);
  return {};
}

void StateStore::put_session(wire::rpc::Session session, NodeRecord& node) {
  if (const auto old = sessions_.find(session.id); old != sessions_.end()) {
    // Session.Apply makes IDs that are new; a log or snapshot that repeats one moves the session.
    NodeRecord& holder = nodes_.find(old->second.node)->second;
    for (const std::string_view id : check_ids(old->second)) {
      const auto bound = holder.check_sessions.find(id);
      if (bound == holder.check_sessions.end()) continue;
      bound->second.erase(session.id);
      if (bound->second.empty()) holder.check_sessions.erase(bound);
    }
    holder.sessions.erase(old->first);
    sessions_.erase(old);
  }
  node.sessions.insert(session.id);
  for (const std::string_view id : check_ids(session)) node.check_sessions[std::string(id)].insert(session.id);
  indexes_.raise(StateIndexes::kSessions, session.index.modify_index);
  watchers_.touch(Topic::kSessions);
  watchers_.touch(Topic::kSession, session.id);
  watchers_.touch(Topic::kNodeSessions, session.node);
  std::string id = session.id;
  sessions_.emplace(std::move(id), std::move(session));
}

void StateStore::destroy_session(const Write& at, std::string_view id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  const wire::rpc::Session session = std::move(found->second);
  sessions_.erase(found);
  if (const auto node = nodes_.find(session.node); node != nodes_.end()) {
    node->second.sessions.erase(session.id);
    for (const std::string_view check : check_ids(session)) {
      const auto bound = node->second.check_sessions.find(check);
      if (bound == node->second.check_sessions.end()) continue;
      bound->second.erase(session.id);
      if (bound->second.empty()) node->second.check_sessions.erase(bound);
    }
  }
  indexes_.raise(StateIndexes::kSessions, at.index);
  watchers_.touch(Topic::kSessions);
  watchers_.touch(Topic::kSession, session.id);
  watchers_.touch(Topic::kNodeSessions, session.node);
  const Duration delay = std::clamp(session.lock_delay, Duration{}, kMaxLockDelay);
  kv_.end_session(at.index, session.id, session.behavior == kDelete, at.now, at.now + delay);
}

void StateStore::end_sessions_of(const Write& at, NodeRecord& node, std::string_view check_id) {
  const auto bound = node.check_sessions.find(check_id);
  if (bound == node.check_sessions.end()) return;
  const std::set<std::string, FoldLess> sessions = bound->second;
  for (const std::string& id : sessions) destroy_session(at, id);
}

}  // namespace dcsim::consul
