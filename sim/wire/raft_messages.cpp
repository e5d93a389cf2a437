#include "wire/raft_messages.h"

#include <algorithm>
#include <array>
#include <limits>

namespace dcsim::wire {
namespace {

constexpr std::int64_t kBillion = 1'000'000'000;

IntStyle style_of(RaftDialect dialect) { return dialect == RaftDialect::k1_7 ? IntStyle::kNew : IntStyle::kOld; }

/// Members of a struct in the order of its declaration, for the list form. The header comes first.
using Order = std::span<const std::string_view>;
constexpr std::array<std::string_view, 3> kHeader1_7{"ProtocolVersion", "ID", "Addr"};
constexpr std::array<std::string_view, 1> kHeader1_1{"ProtocolVersion"};
constexpr std::array<std::string_view, 6> kAppendRequest{"Term",        "Leader",  "PrevLogEntry",
                                                         "PrevLogTerm", "Entries", "LeaderCommitIndex"};
constexpr std::array<std::string_view, 4> kAppendResponse{"Term", "LastLog", "Success", "NoRetryBackoff"};
constexpr std::array<std::string_view, 5> kVoteRequest{"Term", "Candidate", "LastLogIndex", "LastLogTerm",
                                                       "LeadershipTransfer"};
constexpr std::array<std::string_view, 3> kVoteResponse{"Term", "Peers", "Granted"};
constexpr std::array<std::string_view, 3> kPreVoteRequest{"Term", "LastLogIndex", "LastLogTerm"};
constexpr std::array<std::string_view, 2> kPreVoteResponse{"Term", "Granted"};
constexpr std::array<std::string_view, 9> kSnapshotRequest{
    "SnapshotVersion",    "Term", "Leader", "LastLogIndex", "LastLogTerm", "Peers", "Configuration",
    "ConfigurationIndex", "Size"};
constexpr std::array<std::string_view, 2> kSnapshotResponse{"Term", "Success"};
constexpr std::array<std::string_view, 6> kLog{"Index", "Term", "Type", "Data", "Extensions", "AppendedAt"};
constexpr std::array<std::string_view, 3> kServer{"Suffrage", "ID", "Address"};
constexpr std::array<std::string_view, 1> kConfiguration{"Servers"};

bool at_list(const Reader& r) {
  if (!r.ok() || r.at_end()) return false;
  const std::uint8_t tag = r.rest().front();
  return (tag & 0xf0) == 0x90 || tag == 0xdc || tag == 0xdd;
}

/// A struct in either form: map by name, or list by position; surplus items are skipped.
template <class Field>
bool members(Reader& r, Order header, Order order, Field&& field) {
  if (!at_list(r)) return r.fields(field);
  const std::uint32_t count = r.array();
  for (std::uint32_t i = 0; i < count && r.ok(); ++i) {
    const std::size_t at = i;
    const bool known = at < header.size() + order.size();
    if (!known || !field(at < header.size() ? header[at] : order[at - header.size()])) r.skip();
  }
  return r.ok();
}

template <class M, class Field>
bool message(Reader& r, M& m, Order order, RaftDialect dialect, Field&& field) {
  m = {};
  const Order header = dialect == RaftDialect::k1_7 ? Order(kHeader1_7) : Order(kHeader1_1);
  return members(r, header, order, [&](std::string_view name) {
    if (name == "ProtocolVersion") return m.header.protocol_version = r.i64(), true;
    if (name == "ID") return m.header.id = text_of(r.bytes().data), true;
    if (name == "Addr") return m.header.addr = text_of(r.bytes().data), true;
    return static_cast<bool>(field(name));
  });
}

/// A Go []byte holding text. From nil it is indistinguishable to the protocol, but nil is what an empty one came from.
void write_bytes(Writer& w, std::string_view text) { text.empty() ? w.nil() : w.text(text); }
void write_payload(Writer& w, const Bytes& bytes) { bytes.empty() ? w.nil() : w.raw(bytes.view()); }

/// Writes the members of a message around those of its header, in sorted order: Addr first, ID and ProtocolVersion
/// where the message's own names leave room.
class HeaderWriter {
 public:
  HeaderWriter(Writer& w, const RpcHeader& header, RaftDialect dialect) : w_(w), header_(header), dialect_(dialect) {}
  /// Starts the map of `own` members plus the header's.
  void map(std::uint32_t own) {
    w_.map(own + (modern() ? 3 : 1));
    if (modern()) w_.key("Addr"), write_bytes(w_, header_.addr);
  }
  void id() {
    if (modern()) w_.key("ID"), write_bytes(w_, header_.id);
  }
  void version() { w_.key("ProtocolVersion"), w_.signed_int(header_.protocol_version, style_of(dialect_)); }

 private:
  bool modern() const { return dialect_ == RaftDialect::k1_7; }
  Writer& w_;
  const RpcHeader& header_;
  RaftDialect dialect_;
};

/// The bytes just read, sharing the frame's block.
Bytes shared(const Bytes& frame, const OptBytes& part) {
  if (part.empty()) return {};
  return frame.slice(static_cast<std::size_t>(part.data.data() - frame.data()), part.data.size());
}

void write_entry(Writer& w, const LogEntry& m, RaftDialect dialect) {
  const bool timed = dialect == RaftDialect::k1_7;
  w.map(timed ? 6 : 5);
  if (timed) w.key("AppendedAt"), write_go_time(w, m.appended_at);
  w.key("Data"), write_payload(w, m.data);
  w.key("Extensions"), write_payload(w, m.extensions);
  w.key("Index"), w.unsigned_int(m.index);
  w.key("Term"), w.unsigned_int(m.term);
  w.key("Type"), w.unsigned_int(static_cast<std::uint8_t>(m.type));
}

void read_entries(Reader& r, const Bytes& frame, LogWorkspace& ws, AppendEntriesRequest& m, RaftDialect dialect) {
  ws.entries.clear();
  m.entries = {};
  m.entries_nil = r.take_nil();
  if (m.entries_nil) return;
  const std::uint32_t count = r.array();
  if (count > kMaxRaftEntries) r.fail();
  for (std::uint32_t i = 0; i < count && r.ok(); ++i) read(r, frame, ws.entries.emplace_back(), dialect);
}

template <class M>
void write_transfer(const M& m, RaftDialect dialect, Buffer& out) {
  Writer w(out);
  HeaderWriter header(w, m.header, dialect);
  header.map(0);
  header.id();
  header.version();
}

}  // namespace

void write_go_time(Writer& w, const GoTime& t) {
  std::array<std::uint8_t, 15> bytes{1};
  const auto put = [&bytes](std::size_t at, std::size_t count, std::uint64_t v) {
    for (std::size_t i = at + count; i-- > at; v >>= 8) bytes[i] = static_cast<std::uint8_t>(v);
  };
  put(1, 8, static_cast<std::uint64_t>(t.seconds));
  put(9, 4, static_cast<std::uint32_t>(t.nanoseconds));
  put(13, 2, static_cast<std::uint16_t>(t.offset_minutes));
  w.raw(bytes);
}

/// time.Time's UnmarshalBinary: version 1 has 15 bytes, version 2 one more for the seconds of the zone's offset.
GoTime read_go_time(Reader& r) {
  const OptBytes in = r.bytes();
  if (!r.ok() || in.nil) return {};
  const ByteView b = in.data;
  const bool sized = (b.size() == 15 && b[0] == 1) || (b.size() == 16 && b[0] == 2);
  if (!sized) {
    r.fail();
    return {};
  }
  const auto get = [&](std::size_t from, std::size_t bytes) {
    std::uint64_t v = 0;
    for (std::size_t i = from; i < from + bytes; ++i) v = v << 8 | b[i];
    return v;
  };
  GoTime t;
  t.seconds = static_cast<std::int64_t>(get(1, 8));
  const std::uint64_t nanoseconds = get(9, 4);
  if (nanoseconds >= static_cast<std::uint64_t>(kBillion)) r.fail();
  t.nanoseconds = static_cast<std::int32_t>(nanoseconds);
  t.offset_minutes = static_cast<std::int16_t>(get(13, 2));
  return t;
}

std::string_view name_of(RaftRpc rpc) {
  switch (rpc) {
    case RaftRpc::kAppendEntries:
      return "AppendEntries";
    case RaftRpc::kRequestVote:
      return "RequestVote";
    case RaftRpc::kInstallSnapshot:
      return "InstallSnapshot";
    case RaftRpc::kTimeoutNow:
      return "TimeoutNow";
    case RaftRpc::kRequestPreVote:
      return "RequestPreVote";
  }
  return "unknown";
}

std::string_view name_of(LogType type) {
  switch (type) {
    case LogType::kCommand:
      return "LogCommand";
    case LogType::kNoop:
      return "LogNoop";
    case LogType::kAddPeerDeprecated:
      return "LogAddPeerDeprecated";
    case LogType::kRemovePeerDeprecated:
      return "LogRemovePeerDeprecated";
    case LogType::kBarrier:
      return "LogBarrier";
    case LogType::kConfiguration:
      return "LogConfiguration";
  }
  return "unknown";
}

std::string_view name_of(Suffrage suffrage) {
  switch (suffrage) {
    case Suffrage::kVoter:
      return "Voter";
    case Suffrage::kNonvoter:
      return "Nonvoter";
    case Suffrage::kStaging:
      return "Staging";
  }
  return "ServerSuffrage";
}

GoTime GoTime::from_unix(std::int64_t nanoseconds_since_1970) {
  std::int64_t seconds = nanoseconds_since_1970 / kBillion;
  std::int64_t rest = nanoseconds_since_1970 % kBillion;
  if (rest < 0) {
    rest += kBillion;
    --seconds;
  }
  return {seconds + kUnixEpoch, static_cast<std::int32_t>(rest), kUtc};
}

std::int64_t GoTime::unix_nanoseconds() const {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kSpan = kMax / kBillion - 1;
  if (seconds > kUnixEpoch + kSpan) return kMax;
  if (seconds < kUnixEpoch - kSpan) return kMin;
  return (seconds - kUnixEpoch) * kBillion + nanoseconds;
}

void encode(const AppendEntriesRequest& m, RaftDialect dialect, Buffer& out) {
  Writer w(out);
  HeaderWriter header(w, m.header, dialect);
  header.map(6);
  w.key("Entries");
  if (m.entries.empty() && m.entries_nil) {
    w.nil();
  } else {
    w.array(static_cast<std::uint32_t>(m.entries.size()));
    for (const LogEntry& entry : m.entries) write_entry(w, entry, dialect);
  }
  header.id();
  w.key("Leader"), write_bytes(w, m.leader);
  w.key("LeaderCommitIndex"), w.unsigned_int(m.leader_commit_index);
  w.key("PrevLogEntry"), w.unsigned_int(m.prev_log_entry);
  w.key("PrevLogTerm"), w.unsigned_int(m.prev_log_term);
  header.version();
  w.key("Term"), w.unsigned_int(m.term);
}

void encode(const AppendEntriesResponse& m, RaftDialect dialect, Buffer& out) {
  Writer w(out);
  HeaderWriter header(w, m.header, dialect);
  header.map(4);
  header.id();
  w.key("LastLog"), w.unsigned_int(m.last_log);
  w.key("NoRetryBackoff"), w.boolean(m.no_retry_backoff);
  header.version();
  w.key("Success"), w.boolean(m.success);
  w.key("Term"), w.unsigned_int(m.term);
}

void encode(const RequestVoteRequest& m, RaftDialect dialect, Buffer& out) {
  Writer w(out);
  HeaderWriter header(w, m.header, dialect);
  header.map(5);
  w.key("Candidate"), write_bytes(w, m.candidate);
  header.id();
  w.key("LastLogIndex"), w.unsigned_int(m.last_log_index);
  w.key("LastLogTerm"), w.unsigned_int(m.last_log_term);
  w.key("LeadershipTransfer"), w.boolean(m.leadership_transfer);
  header.version();
  w.key("Term"), w.unsigned_int(m.term);
}

void encode(const RequestVoteResponse& m, RaftDialect dialect, Buffer& out) {
  Writer w(out);
  HeaderWriter header(w, m.header, dialect);
  header.map(3);
  w.key("Granted"), w.boolean(m.granted);
  header.id();
  w.key("Peers"), w.bytes(m.peers);
  header.version();
  w.key("Term"), w.unsigned_int(m.term);
}

void encode(const RequestPreVoteRequest& m, RaftDialect dialect, Buffer& out) {
  Writer w(out);
  HeaderWriter header(w, m.header, dialect);
  header.map(3);
  header.id();
  w.key("LastLogIndex"), w.unsigned_int(m.last_log_index);
  w.key("LastLogTerm"), w.unsigned_int(m.last_log_term);
  header.version();
  w.key("Term"), w.unsigned_int(m.term);
}

void encode(const RequestPreVoteResponse& m, RaftDialect dialect, Buffer& out) {
  Writer w(out);
  HeaderWriter header(w, m.header, dialect);
  header.map(2);
  w.key("Granted"), w.boolean(m.granted);
  header.id();
  header.version();
  w.key("Term"), w.unsigned_int(m.term);
}

void encode(const InstallSnapshotRequest& m, RaftDialect dialect, Buffer& out) {
  Writer w(out);
  HeaderWriter header(w, m.header, dialect);
  header.map(9);
  w.key("Configuration"), w.bytes(m.configuration);
  w.key("ConfigurationIndex"), w.unsigned_int(m.configuration_index);
  header.id();
  w.key("LastLogIndex"), w.unsigned_int(m.last_log_index);
  w.key("LastLogTerm"), w.unsigned_int(m.last_log_term);
  w.key("Leader"), write_bytes(w, m.leader);
  w.key("Peers"), w.bytes(m.peers);
  header.version();
  w.key("Size"), w.signed_int(m.size, style_of(dialect));
  w.key("SnapshotVersion"), w.signed_int(m.snapshot_version, style_of(dialect));
  w.key("Term"), w.unsigned_int(m.term);
}

void encode(const InstallSnapshotResponse& m, RaftDialect dialect, Buffer& out) {
  Writer w(out);
  HeaderWriter header(w, m.header, dialect);
  header.map(2);
  header.id();
  header.version();
  w.key("Success"), w.boolean(m.success);
  w.key("Term"), w.unsigned_int(m.term);
}

void encode(const TimeoutNowRequest& m, RaftDialect dialect, Buffer& out) { write_transfer(m, dialect, out); }
void encode(const TimeoutNowResponse& m, RaftDialect dialect, Buffer& out) { write_transfer(m, dialect, out); }

void encode(const LogEntry& m, RaftDialect dialect, Buffer& out) {
  Writer w(out);
  write_entry(w, m, dialect);
}

void encode(const Configuration& m, RaftDialect dialect, Buffer& out) {
  Writer w(out);
  w.map(1);
  w.key("Servers"), w.array(static_cast<std::uint32_t>(m.servers.size()));
  for (const ConfigurationServer& server : m.servers) {
    w.map(3);
    w.key("Address"), w.text(server.address);
    w.key("ID"), w.text(server.id);
    w.key("Suffrage"), w.signed_int(static_cast<std::uint8_t>(server.suffrage), style_of(dialect));
  }
}

bool read(Reader& r, const Bytes& frame, LogWorkspace& ws, AppendEntriesRequest& m, RaftDialect dialect) {
  ws.entries.clear();
  message(r, m, kAppendRequest, dialect, [&](std::string_view name) {
    if (name == "Entries") return read_entries(r, frame, ws, m, dialect), true;
    if (name == "Leader") return m.leader = text_of(r.bytes().data), true;
    if (name == "LeaderCommitIndex") return m.leader_commit_index = r.u64(), true;
    if (name == "PrevLogEntry") return m.prev_log_entry = r.u64(), true;
    if (name == "PrevLogTerm") return m.prev_log_term = r.u64(), true;
    if (name == "Term") return m.term = r.u64(), true;
    return false;
  });
  m.entries = ws.entries;
  return r.ok();
}

bool read(Reader& r, const Bytes& frame, LogEntry& m, RaftDialect dialect) {
  m = {};
  const Order order = dialect == RaftDialect::k1_7 ? Order(kLog) : Order(kLog).first(5);
  return members(r, {}, order, [&](std::string_view name) {
    if (name == "AppendedAt") return m.appended_at = read_go_time(r), true;
    if (name == "Data") return m.data = shared(frame, r.bytes()), true;
    if (name == "Extensions") return m.extensions = shared(frame, r.bytes()), true;
    if (name == "Index") return m.index = r.u64(), true;
    if (name == "Term") return m.term = r.u64(), true;
    if (name == "Type") return m.type = static_cast<LogType>(r.u8()), true;
    return false;
  });
}

bool read(Reader& r, AppendEntriesResponse& m, RaftDialect dialect) {
  return message(r, m, kAppendResponse, dialect, [&](std::string_view name) {
    if (name == "LastLog") return m.last_log = r.u64(), true;
    if (name == "NoRetryBackoff") return m.no_retry_backoff = r.boolean(), true;
    if (name == "Success") return m.success = r.boolean(), true;
    if (name == "Term") return m.term = r.u64(), true;
    return false;
  });
}

bool read(Reader& r, RequestVoteRequest& m, RaftDialect dialect) {
  return message(r, m, kVoteRequest, dialect, [&](std::string_view name) {
    if (name == "Candidate") return m.candidate = text_of(r.bytes().data), true;
    if (name == "LastLogIndex") return m.last_log_index = r.u64(), true;
    if (name == "LastLogTerm") return m.last_log_term = r.u64(), true;
    if (name == "LeadershipTransfer") return m.leadership_transfer = r.boolean(), true;
    if (name == "Term") return m.term = r.u64(), true;
    return false;
  });
}

bool read(Reader& r, RequestVoteResponse& m, RaftDialect dialect) {
  return message(r, m, kVoteResponse, dialect, [&](std::string_view name) {
    if (name == "Granted") return m.granted = r.boolean(), true;
    if (name == "Peers") return m.peers = r.bytes(), true;
    if (name == "Term") return m.term = r.u64(), true;
    return false;
  });
}

bool read(Reader& r, RequestPreVoteRequest& m, RaftDialect dialect) {
  return message(r, m, kPreVoteRequest, dialect, [&](std::string_view name) {
    if (name == "LastLogIndex") return m.last_log_index = r.u64(), true;
    if (name == "LastLogTerm") return m.last_log_term = r.u64(), true;
    if (name == "Term") return m.term = r.u64(), true;
    return false;
  });
}

bool read(Reader& r, RequestPreVoteResponse& m, RaftDialect dialect) {
  return message(r, m, kPreVoteResponse, dialect, [&](std::string_view name) {
    if (name == "Granted") return m.granted = r.boolean(), true;
    if (name == "Term") return m.term = r.u64(), true;
    return false;
  });
}

bool read(Reader& r, InstallSnapshotRequest& m, RaftDialect dialect) {
  return message(r, m, kSnapshotRequest, dialect, [&](std::string_view name) {
    if (name == "Configuration") return m.configuration = r.bytes(), true;
    if (name == "ConfigurationIndex") return m.configuration_index = r.u64(), true;
    if (name == "LastLogIndex") return m.last_log_index = r.u64(), true;
    if (name == "LastLogTerm") return m.last_log_term = r.u64(), true;
    if (name == "Leader") return m.leader = text_of(r.bytes().data), true;
    if (name == "Peers") return m.peers = r.bytes(), true;
    if (name == "Size") return m.size = r.i64(), true;
    if (name == "SnapshotVersion") return m.snapshot_version = r.i64(), true;
    if (name == "Term") return m.term = r.u64(), true;
    return false;
  });
}

bool read(Reader& r, InstallSnapshotResponse& m, RaftDialect dialect) {
  return message(r, m, kSnapshotResponse, dialect, [&](std::string_view name) {
    if (name == "Success") return m.success = r.boolean(), true;
    if (name == "Term") return m.term = r.u64(), true;
    return false;
  });
}

bool read(Reader& r, TimeoutNowRequest& m, RaftDialect dialect) {
  return message(r, m, {}, dialect, [](std::string_view) { return false; });
}
bool read(Reader& r, TimeoutNowResponse& m, RaftDialect dialect) {
  return message(r, m, {}, dialect, [](std::string_view) { return false; });
}

namespace {

void read_server(Reader& r, ConfigurationServer& server) {
  members(r, {}, kServer, [&](std::string_view name) {
    if (name == "Address") return server.address = r.text(), true;
    if (name == "ID") return server.id = r.text(), true;
    if (name != "Suffrage") return false;
    const std::int64_t suffrage = r.i64();
    if (suffrage < 0 || suffrage > static_cast<std::int64_t>(Suffrage::kStaging)) r.fail();
    if (r.ok()) server.suffrage = static_cast<Suffrage>(suffrage);
    return true;
  });
}

}  // namespace

bool decode(ByteView body, Configuration& m) {
  m.servers.clear();
  Reader r(body);
  return members(r, {}, kConfiguration, [&](std::string_view name) {
    if (name != "Servers") return false;
    m.servers.clear();
    const std::uint32_t count = r.array();
    if (count > kMaxRaftServers) r.fail();
    for (std::uint32_t i = 0; i < count && r.ok(); ++i) read_server(r, m.servers.emplace_back());
    return true;
  });
}

}  // namespace dcsim::wire
