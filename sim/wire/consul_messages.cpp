#include "wire/consul_messages.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "wire/consul_messages_fields.h"
#include "wire/msgpack.h"

namespace dcsim::wire::rpc {
namespace {

// Writing. consul-net-rpc's codec is of the 0.5 line: signed numbers as IntStyle::kOld, maps sorted by name.

struct Counter {
  std::uint32_t fields = 0;
  template <class T>
  void operator()(std::string_view, const T&) {
    ++fields;
  }
};

template <class M>
void put(Writer& w, Buffer& out, const M& m);

inline void put(Writer& w, Buffer&, const std::string& v) { w.text(v); }
inline void put(Writer& w, Buffer&, const Bytes& v) { v.empty() ? w.nil() : w.raw(v.view()); }
inline void put(Writer& w, Buffer&, bool v) { w.boolean(v); }
inline void put(Writer& w, Buffer&, std::uint64_t v) { w.unsigned_int(v); }
inline void put(Writer& w, Buffer&, std::int64_t v) { w.signed_int(v, IntStyle::kOld); }
inline void put(Writer& w, Buffer&, double v) { w.f64(v); }
inline void put(Writer& w, Buffer&, Duration v) { w.signed_int(v.ns, IntStyle::kOld); }
inline void put(Writer& w, Buffer&, const GoTime& v) { write_go_time(w, v); }

template <class T>
void put(Writer& w, Buffer& out, const std::optional<T>& v) {
  v ? put(w, out, *v) : w.nil();
}
template <class T>
void put(Writer& w, Buffer& out, const std::vector<T>& v) {
  if (v.empty()) return w.nil();
  w.array(static_cast<std::uint32_t>(v.size()));
  for (const T& item : v) put(w, out, item);
}
template <class T>
void put(Writer& w, Buffer& out, const std::map<std::string, T>& v) {
  if (v.empty()) return w.nil();
  w.map(static_cast<std::uint32_t>(v.size()));
  for (const auto& [key, value] : v) {
    w.text(key);
    put(w, out, value);
  }
}

class FieldWriter {
 public:
  FieldWriter(Writer& w, Buffer& out) : w_(w), out_(out) {}

  template <class T>
  void operator()(std::string_view name, const T& value) {
    DCSIM_CHECK(count_ < fields_.size());
    sorted_ = sorted_ && (count_ == 0 || fields_[count_ - 1].name < name);
    fields_[count_++] = {name, w_.size()};
    w_.text(name);
    put(w_, out_, value);
  }
  /// Brings the members into the order of their names.
  void finish() {
    if (sorted_) return;
    w_.finish();
    const std::size_t begin = fields_[0].at;
    const Buffer written(out_.begin() + static_cast<std::ptrdiff_t>(begin), out_.end());
    std::array<std::size_t, kMost> order{};
    for (std::size_t i = 0; i < count_; ++i) order[i] = i;
    std::sort(order.begin(), order.begin() + count_,
              [&](std::size_t a, std::size_t b) { return fields_[a].name < fields_[b].name; });
    auto to = out_.begin() + static_cast<std::ptrdiff_t>(begin);
    for (std::size_t i = 0; i < count_; ++i) {
      const std::size_t from = fields_[order[i]].at - begin;
      const std::size_t end = order[i] + 1 < count_ ? fields_[order[i] + 1].at - begin : written.size();
      to = std::copy(written.begin() + static_cast<std::ptrdiff_t>(from),
                     written.begin() + static_cast<std::ptrdiff_t>(end), to);
    }
  }

 private:
  static constexpr std::size_t kMost = 24;
  struct Field {
    std::string_view name;
    std::size_t at = 0;
  };
  Writer& w_;
  Buffer& out_;
  std::array<Field, kMost> fields_{};
  std::uint8_t count_ = 0;
  bool sorted_ = true;
};

template <class M>
void put(Writer& w, Buffer& out, const M& m) {
  Counter counter;
  describe(counter, m);
  w.map(counter.fields);
  FieldWriter fields(w, out);
  describe(fields, m);
  fields.finish();
}

// Reading.

/// Bytes of memory that a value may take besides its own: proportional to what was received, so that a list of a
/// million empty maps is refused.
struct Decoder {
  Reader r;
  std::size_t budget;

  explicit Decoder(ByteView body) : r(body), budget((std::size_t{64} << 10) + 32 * body.size()) {}
  bool charge(std::size_t bytes) {
    if (bytes > budget) {
      r.fail();
      return false;
    }
    budget -= bytes;
    return r.ok();
  }
};

template <class M>
void get(Decoder& d, M& m);

inline void get(Decoder& d, std::string& v) { v.assign(text_of(d.r.bytes().data)); }
inline void get(Decoder& d, Bytes& v) { v = Bytes(d.r.bytes().data); }
inline void get(Decoder& d, bool& v) { v = d.r.boolean(); }
inline void get(Decoder& d, std::uint64_t& v) { v = d.r.u64(); }
inline void get(Decoder& d, std::int64_t& v) { v = d.r.i64(); }
inline void get(Decoder& d, double& v) { v = d.r.f64(); }
inline void get(Decoder& d, Duration& v) { v.ns = d.r.i64(); }
inline void get(Decoder& d, GoTime& v) { v = read_go_time(d.r); }

template <class T>
void get(Decoder& d, std::optional<T>& v) {
  v.reset();
  if (!d.r.take_nil()) get(d, v.emplace());
}
template <class T>
void get(Decoder& d, std::vector<T>& v) {
  v.clear();
  for (std::uint32_t n = d.r.array(); n > 0 && d.charge(2 * sizeof(T)); --n) get(d, v.emplace_back());
}
template <class T>
void get(Decoder& d, std::map<std::string, T>& v) {
  v.clear();
  for (std::uint32_t n = d.r.map(); n > 0 && d.charge(sizeof(std::pair<std::string, T>) + 64); --n) {
    std::string key(d.r.key());
    get(d, v[std::move(key)]);
  }
}

struct FieldReader {
  Decoder& d;
  std::string_view wanted;
  bool found = false;

  template <class T>
  void operator()(std::string_view name, T& value) {
    if (found || name != wanted) return;
    found = true;
    get(d, value);
  }
};

template <class M>
void get(Decoder& d, M& m) {
  m = {};
  d.r.fields([&](std::string_view name) {
    FieldReader field{d, name};
    describe(field, m);
    return field.found;
  });
}

}  // namespace

bool DirEntry::operator==(const DirEntry& other) const {
  return lock_index == other.lock_index && key == other.key && flags == other.flags &&
         text_of(value) == text_of(other.value) && session == other.session && index == other.index;
}

template <class M>
void encode(const M& m, Buffer& out) {
  Writer w(out);
  put(w, out, m);
}

template <class M>
bool decode(ByteView body, M& m) {
  Decoder d(body);
  get(d, m);
  return d.r.ok();
}

#define DCSIM_RPC_MESSAGE(M)               \
  template void encode(const M&, Buffer&); \
  template bool decode(ByteView, M&)

DCSIM_RPC_MESSAGE(Empty);
DCSIM_RPC_MESSAGE(bool);
DCSIM_RPC_MESSAGE(std::string);
DCSIM_RPC_MESSAGE(Texts);
DCSIM_RPC_MESSAGE(DatacentersRequest);
DCSIM_RPC_MESSAGE(DcSpecificRequest);
DCSIM_RPC_MESSAGE(ServiceSpecificRequest);
DCSIM_RPC_MESSAGE(NodeSpecificRequest);
DCSIM_RPC_MESSAGE(ChecksInStateRequest);
DCSIM_RPC_MESSAGE(KeyRequest);
DCSIM_RPC_MESSAGE(KeyListRequest);
DCSIM_RPC_MESSAGE(SessionSpecificRequest);
DCSIM_RPC_MESSAGE(Node);
DCSIM_RPC_MESSAGE(NodeService);
DCSIM_RPC_MESSAGE(HealthCheck);
DCSIM_RPC_MESSAGE(ServiceNode);
DCSIM_RPC_MESSAGE(RegisterRequest);
DCSIM_RPC_MESSAGE(DeregisterRequest);
DCSIM_RPC_MESSAGE(NodeServices);
DCSIM_RPC_MESSAGE(CheckServiceNode);
DCSIM_RPC_MESSAGE(IndexedNodes);
DCSIM_RPC_MESSAGE(IndexedServices);
DCSIM_RPC_MESSAGE(IndexedServiceNodes);
DCSIM_RPC_MESSAGE(IndexedNodeServices);
DCSIM_RPC_MESSAGE(IndexedHealthChecks);
DCSIM_RPC_MESSAGE(IndexedCheckServiceNodes);
DCSIM_RPC_MESSAGE(DirEntry);
DCSIM_RPC_MESSAGE(KvsRequest);
DCSIM_RPC_MESSAGE(IndexedDirEntries);
DCSIM_RPC_MESSAGE(IndexedKeyList);
DCSIM_RPC_MESSAGE(Session);
DCSIM_RPC_MESSAGE(SessionRequest);
DCSIM_RPC_MESSAGE(IndexedSessions);
DCSIM_RPC_MESSAGE(TombstoneRequest);
DCSIM_RPC_MESSAGE(Coord);
DCSIM_RPC_MESSAGE(Coordinate);
DCSIM_RPC_MESSAGE(Coordinates);
DCSIM_RPC_MESSAGE(CoordinateUpdateRequest);
DCSIM_RPC_MESSAGE(RaftStats);
DCSIM_RPC_MESSAGE(RaftConfigurationResponse);
DCSIM_RPC_MESSAGE(RaftRemovePeerRequest);
DCSIM_RPC_MESSAGE(TransferLeaderRequest);
DCSIM_RPC_MESSAGE(TransferLeaderResponse);
DCSIM_RPC_MESSAGE(AutopilotConfig);
DCSIM_RPC_MESSAGE(AutopilotSetConfigRequest);
DCSIM_RPC_MESSAGE(AutopilotHealthReply);
DCSIM_RPC_MESSAGE(AutopilotState);

#undef DCSIM_RPC_MESSAGE

std::string command_name(std::uint8_t type) {
  switch (static_cast<CommandType>(type)) {
    case CommandType::kRegister:
      return "Register";
    case CommandType::kDeregister:
      return "Deregister";
    case CommandType::kKvs:
      return "KVS";
    case CommandType::kSession:
      return "Session";
    case CommandType::kTombstone:
      return "Tombstone";
    case CommandType::kCoordinateBatchUpdate:
      return "CoordinateBatchUpdate";
    case CommandType::kTxn:
      return "Txn";
    case CommandType::kAutopilot:
      return "Autopilot";
    case CommandType::kSystemMetadata:
      return "SystemMetadata";
  }
  return "Unknown(" + std::to_string(type) + ")";
}

}  // namespace dcsim::wire::rpc
