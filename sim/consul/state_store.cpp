#include "consul/state_store.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace dcsim::consul {
namespace {

bool hex(char c) { return (c >= '0' && c <= '9') || (fold(c) >= 'a' && fold(c) <= 'f'); }

bool finite(const wire::rpc::Coord& c) {
  return std::isfinite(c.error) && std::isfinite(c.adjustment) && std::isfinite(c.height) &&
         std::all_of(c.vec.begin(), c.vec.end(), [](double d) { return std::isfinite(d); });
}

bool meta_key_valid(std::string_view key) {
  return std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= '0' && c <= '9') || (fold(c) >= 'a' && fold(c) <= 'z') || c == '-' || c == '_';
  });
}

/// Why the pair may not be a service's meta, or nothing.
std::string meta_fault(std::string_view kind, std::string_view key, std::string_view value) {
  if (key.empty()) return "Key cannot be blank";
  if (!meta_key_valid(key)) return "Key contains invalid characters";
  if (key.size() > 128) return "Key is too long (limit: 128 characters)";
  const bool excepted = kind == "mesh-gateway" && key == "consul-wan-federation";
  if (key.starts_with("consul-") && !excepted) return "Key prefix 'consul-' is reserved for internal use";
  if (value.size() > 512) return "Value is too long (limit: 512 characters)";
  return {};
}

}  // namespace

const NodeRecord* StateStore::node(std::string_view name) const {
  const auto found = nodes_.find(name);
  return found == nodes_.end() ? nullptr : &found->second;
}

const NodeRecord* StateStore::node_by_id(std::string_view id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

const NodeRecord* StateStore::node_by_id_prefix(std::string_view prefix, bool& ambiguous) const {
  ambiguous = false;
  std::string wanted;
  std::size_t digits = 0;
  for (const char c : prefix.substr(0, prefix.size() / 2 * 2)) {
    if (c == '-') continue;
    if (!hex(c)) return nullptr;
    if (digits == 8 || digits == 12 || digits == 16 || digits == 20) wanted += '-';
    wanted += fold(c);
    ++digits;
  }
  if (digits == 0 || digits % 2 != 0 || digits > 32) return nullptr;
  const auto begins = [&wanted](std::string_view id) { return fold_equal(id.substr(0, wanted.size()), wanted); };
  const auto first = by_id_.lower_bound(wanted);
  if (first == by_id_.end() || !begins(first->first)) return nullptr;
  const auto second = std::next(first);
  ambiguous = second != by_id_.end() && begins(second->first);
  return ambiguous ? nullptr : first->second;
}

void StateStore::deregister(const Write& at, const wire::rpc::DeregisterRequest& request) {
  if (!request.service_id.empty()) return delete_service(at, request.node, request.service_id);
  if (!request.check_id.empty()) return delete_check(at, request.node, request.check_id);
  delete_node(at, request.node);
}

Result<bool> StateStore::apply_kv(const Write& at, const wire::rpc::KvsRequest& request) {
  const wire::rpc::DirEntry& entry = request.entry;
  const std::string_view op = request.op;
  const bool locks = op == "lock" || op == "unlock";
  if (locks && entry.session.empty()) return Error{"missing session"};
  if (op == "lock" && !session(entry.session)) return Error{"invalid session " + go_quoted(entry.session)};
  if (entry.key.empty() && (op == "set" || op == "cas" || locks))
    return Error{"failed inserting kvs entry: object missing primary index"};

  if (op == "lock") return kv_.lock(at.index, entry);
  if (op == "unlock") return kv_.unlock(at.index, entry);
  if (op == "cas") return kv_.set_cas(at.index, entry);
  if (op == "delete-cas") return kv_.remove_cas(at.index, entry.index.modify_index, entry.key);
  if (op == "set") {
    kv_.set(at.index, entry);
  } else if (op == "delete") {
    kv_.remove(at.index, entry.key);
  } else if (op == "delete-tree") {
    kv_.remove_tree(at.index, entry.key);
  } else {
    return Error{"Invalid KVS operation '" + request.op + "'"};
  }
  return true;
}

bool StateStore::put_coordinate(const wire::rpc::Coordinate& coordinate) {
  if (!coordinate.coord || !finite(*coordinate.coord)) return false;
  const auto found = nodes_.find(coordinate.node);
  if (found == nodes_.end()) return false;
  found->second.coordinates.insert_or_assign(coordinate.segment, coordinate);
  return true;
}

void StateStore::update_coordinates(const Write& at, const wire::rpc::Coordinates& batch) {
  bool changed = false;
  for (const wire::rpc::Coordinate& c : batch) changed = put_coordinate(c) || changed;
  indexes_.raise(StateIndexes::kCoordinates, at.index);
  if (changed) watchers_.touch(Topic::kCoordinates);
}

void StateStore::set_autopilot(const Write& at, const wire::rpc::AutopilotConfig& config) {
  const std::uint64_t created = autopilot_ ? autopilot_->index.create_index : at.index;
  autopilot_ = config;
  autopilot_->index = {created, at.index};
  watchers_.touch(Topic::kAutopilot);
}

bool StateStore::set_autopilot_cas(const Write& at, std::uint64_t expected, const wire::rpc::AutopilotConfig& config) {
  if (!autopilot_ || autopilot_->index.modify_index != expected) return false;
  set_autopilot(at, config);
  return true;
}

StateStore::Status StateStore::restore_registration(std::uint64_t last_index, const wire::rpc::RegisterRequest& row) {
  if (Status refused = refuse_registration(row)) return refused;
  register_all({last_index, {}}, true, row);
  return {};
}

void StateStore::restore_coordinates(std::uint64_t last_index, const wire::rpc::Coordinates& rows) {
  for (const wire::rpc::Coordinate& c : rows) put_coordinate(c);
  indexes_.raise(StateIndexes::kCoordinates, last_index);
}

void StateStore::take_watchers(StateStore& old) {
  watchers_ = std::exchange(old.watchers_, {});
  watchers_.touch_everything();
}

std::optional<Error> refuse_service_meta(std::string_view kind, const wire::rpc::TextMap& meta) {
  if (meta.size() > 64) return Error{"Node metadata cannot contain more than 64 key/value pairs"};
  for (const auto& [key, value] : meta) {
    const std::string fault = meta_fault(kind, key, value);
    if (!fault.empty()) return Error{"Couldn't load metadata pair ('" + key + "', '" + value + "'): " + fault};
  }
  return {};
}

std::string go_quoted(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace dcsim::consul
