#include <utility>

#include "consul/fsm.h"
#include "wire/msgpack.h"

// agent/consul/fsm/snapshot.go, snapshot_ce.go.

namespace dcsim::consul {
namespace {

using namespace wire::rpc;

// Types that occur in snapshots only (structs.go).
constexpr std::uint8_t kIndexType = 16;
constexpr std::uint8_t kChunkingStateType = 29;
constexpr std::uint8_t kFirstEnterpriseType = 64;

template <class M>
void row(CommandType type, const M& m, Buffer& out) {
  append_command(type, m, out);
}

void write_nodes(const StateStore& store, Buffer& out) {
  for (const auto& [name, record] : store.nodes()) {
    RegisterRequest request;
    request.id = record.node.id;
    request.node = record.node.node;
    request.address = record.node.address;
    request.datacenter = record.node.datacenter;
    request.tagged_addresses = record.node.tagged_addresses;
    request.node_meta = record.node.meta;
    request.index = record.node.index;
    row(CommandType::kRegister, request, out);
    for (const auto& [id, service] : record.services) {
      request.service = service;
      row(CommandType::kRegister, request, out);
    }
    request.service.reset();
    for (const auto& [id, check] : record.checks) {
      request.check = check;
      row(CommandType::kRegister, request, out);
    }
  }
  Coordinates one(1);
  for (const auto& [name, record] : store.nodes())
    for (const auto& [segment, coordinate] : record.coordinates) {
      one[0] = coordinate;
      row(CommandType::kCoordinateBatchUpdate, one, out);
    }
}

void write_kv(const KvStore& kv, Buffer& out) {
  for (const auto& [key, record] : kv.records()) row(CommandType::kKvs, KvStore::entry(key, record), out);
  // Tombstones look like entries, as they did before release 0.6.
  DirEntry stone;
  for (const auto& [key, index] : kv.tombstones()) {
    stone.key = key;
    stone.index.modify_index = index;
    row(CommandType::kTombstone, stone, out);
  }
}

void write_indexes(const StateIndexes& indexes, Buffer& out) {
  indexes.each([&out](std::string_view name, std::uint64_t index) {
    wire::Writer w(out);
    w.byte(kIndexType);
    w.map(2);
    w.key("Key");
    w.text(name);
    w.key("Value");
    w.unsigned_int(index);
  });
}

Error malformed(std::size_t at, const char* what) {
  return {"snapshot: " + std::string(what) + " at byte " + std::to_string(at)};
}

/// Reads the rows of a snapshot into an empty store.
class Restorer {
 public:
  Restorer(ByteView snapshot, StateStore& store) : rest_(snapshot), size_(snapshot.size()), store_(store) {}

  std::optional<Error> run() {
    ByteView header;
    if (!next_value(header)) return malformed(position(), cut_off_ ? "unexpected EOF" : "msgpack decode error");
    wire::Reader reader(header);
    const bool ok = reader.fields([&](std::string_view name) {
      if (name != "LastIndex") return false;
      last_index_ = reader.u64();
      return true;
    });
    if (!ok) return malformed(0, "msgpack decode error");
    while (!rest_.empty()) {
      const std::size_t at = position();
      const std::uint8_t type = rest_[0];
      rest_ = rest_.subspan(1);
      if (!known(type)) return unknown(type);
      ByteView value;
      if (!next_value(value)) return malformed(at, cut_off_ ? "unexpected EOF" : "msgpack decode error");
      decoded_ = true;
      if (StateStore::Status refused = restore(type, value)) return refused;
      if (!decoded_) return malformed(at, "msgpack decode error");
    }
    return {};
  }

 private:
  static bool known(std::uint8_t type) {
    switch (static_cast<CommandType>(type)) {
      case CommandType::kRegister:
      case CommandType::kKvs:
      case CommandType::kSession:
      case CommandType::kTombstone:
      case CommandType::kCoordinateBatchUpdate:
      case CommandType::kAutopilot:
        return true;
      default:
        return type == kIndexType || type == kChunkingStateType;
    }
  }
  static Error unknown(std::uint8_t type) {
    const std::string number = std::to_string(type);
    if (type >= kFirstEnterpriseType)
      return {"msg type <" + number + "> is a Consul Enterprise log entry. Consul CE cannot restore it"};
    return {"Unrecognized msg type " + number};
  }
  std::size_t position() const { return size_ - rest_.size(); }
  /// Cuts the next value off, whatever it is.
  bool next_value(ByteView& value) {
    wire::Reader reader(rest_);
    reader.skip();
    cut_off_ = reader.status() == wire::Reader::Status::kShort;
    if (!reader.ok()) return false;
    value = rest_.subspan(0, reader.position());
    rest_ = rest_.subspan(reader.position());
    return true;
  }
  template <class M>
  bool read(ByteView value, M& m) {
    decoded_ = decode(value, m);
    return decoded_;
  }

  StateStore::Status restore(std::uint8_t type, ByteView value) {
    if (type == kIndexType) return restore_index(value);
    if (type == kChunkingStateType) return {};  // parts of commands whose end has not come
    switch (static_cast<CommandType>(type)) {
      case CommandType::kRegister: {
        RegisterRequest m;
        if (read(value, m)) return store_.restore_registration(last_index_, m);
        break;
      }
      case CommandType::kSession: {
        Session m;
        if (read(value, m)) return store_.restore_session(std::move(m));
        break;
      }
      case CommandType::kCoordinateBatchUpdate: {
        Coordinates m;
        if (read(value, m)) store_.restore_coordinates(last_index_, m);
        break;
      }
      case CommandType::kAutopilot: {
        AutopilotConfig m;
        if (read(value, m)) store_.restore_autopilot(m);
        break;
      }
      default:
        return restore_entry(static_cast<CommandType>(type), value);
    }
    return {};
  }
  StateStore::Status restore_entry(CommandType type, ByteView value) {
    if (!read(value, entry_)) return {};
    if (entry_.key.empty()) return Error{"failed inserting kvs entry: object missing primary index"};
    if (type == CommandType::kKvs) {
      store_.restore_kv(entry_);
    } else {
      store_.restore_tombstone(entry_.key, entry_.index.modify_index);
    }
    return {};
  }
  StateStore::Status restore_index(ByteView value) {
    wire::Reader reader(value);
    std::string_view name;
    std::uint64_t index = 0;
    decoded_ = reader.fields([&](std::string_view field) {
      if (field == "Key") return name = reader.text(), true;
      if (field == "Value") return index = reader.u64(), true;
      return false;
    });
    if (decoded_) store_.restore_index(name, index);
    return {};
  }

  ByteView rest_;
  std::size_t size_;
  StateStore& store_;
  std::uint64_t last_index_ = 0;
  bool cut_off_ = false;
  bool decoded_ = true;
  DirEntry entry_;  // reused
};

}  // namespace

void Fsm::snapshot(Buffer& out) const {
  {
    wire::Writer w(out);
    w.map(1);
    w.key("LastIndex");
    w.unsigned_int(store_->indexes().last());
  }
  write_nodes(*store_, out);
  for (const auto& [id, session] : store_->sessions()) row(CommandType::kSession, session, out);
  write_kv(store_->kv(), out);
  if (store_->autopilot()) row(CommandType::kAutopilot, *store_->autopilot(), out);
  write_indexes(store_->indexes(), out);
  wire::Writer w(out);
  w.byte(kChunkingStateType);
  w.map(1);
  w.key("ChunkMap");
  w.map(0);
}

std::optional<Error> Fsm::restore(ByteView snapshot) {
  auto next = std::make_unique<StateStore>();
  if (std::optional<Error> error = Restorer(snapshot, *next).run()) return error;
  next->take_watchers(*store_);
  store_ = std::move(next);
  return {};
}

}  // namespace dcsim::consul
