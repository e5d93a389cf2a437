#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/time.h"
#include "wire/msgpack.h"

namespace dcsim::wire::serf {

/// The first byte of a Serf message (serf/messages.go: messageType). Serf messages travel as memberlist user messages,
/// as the user state of a push/pull, or as the payload of a query or its response.
enum class MessageType : std::uint8_t {
  kLeave = 0,
  kJoin = 1,
  kPushPull = 2,
  kUserEvent = 3,
  kQuery = 4,
  kQueryResponse = 5,
  kConflictResponse = 6,
  kKeyRequest = 7,
  kKeyResponse = 8,
  kRelay = 9,
};
inline constexpr std::uint8_t kMessageTypes = 10;
/// "leave", "join", "pushPull", ...; "unknown" for other values.
std::string_view name_of(MessageType type);

// As in wire/messages.h: views, `encode` writes type byte and body, `decode` takes the body after the type byte.

struct Leave {
  std::uint64_t ltime = 0;
  std::string_view node;
  bool prune = false;
};

struct Join {
  std::uint64_t ltime = 0;
  std::string_view node;
};

/// Lists stay encoded: iterate `events` with EventReader, `left_members` with TextReader, `status_ltimes` with
/// LTimeReader; build them with Items.
struct PushPull {
  std::uint64_t event_ltime = 0;
  RawList events;  ///< the whole ring, nil for unused slots
  std::uint64_t ltime = 0;
  RawList left_members;
  std::uint64_t query_ltime = 0;
  RawMap status_ltimes;  ///< name -> LTime, in wire order (Go's is random)
};

struct UserEvent {
  bool cc = false;
  std::uint64_t ltime = 0;
  std::string_view name;
  OptBytes payload;
};

inline constexpr std::uint32_t kQueryFlagAck = 1;
inline constexpr std::uint32_t kQueryFlagNoBroadcast = 2;

struct Query {
  OptBytes addr;
  RawList filters;  ///< byte strings, each an encoded Filter; iterate with BytesReader
  std::uint32_t flags = 0;
  std::uint32_t id = 0;
  std::uint64_t ltime = 0;
  std::string_view name;
  OptBytes payload;
  std::uint16_t port = 0;
  std::uint8_t relay_factor = 0;
  std::string_view source_node;
  Duration timeout;
};

struct QueryResponse {
  std::uint32_t flags = 0;  ///< 1 = this is an ack
  std::string_view from;
  std::uint32_t id = 0;
  std::uint64_t ltime = 0;
  OptBytes payload;
};

/// The Member record of a conflict response. `nil`: the responder does not know the name.
struct Member {
  bool nil = false;
  OptBytes addr;
  std::uint8_t delegate_cur = 0;
  std::uint8_t delegate_max = 0;
  std::uint8_t delegate_min = 0;
  std::string_view name;
  std::uint16_t port = 0;
  std::uint8_t protocol_cur = 0;
  std::uint8_t protocol_max = 0;
  std::uint8_t protocol_min = 0;
  std::int64_t status = 0;  ///< 0 none, 1 alive, 2 leaving, 3 left, 4 failed
  RawMap tags;              ///< iterate with TagReader
};

struct KeyRequest {
  OptBytes key;
};

struct KeyResponse {
  RawList keys;  ///< base64 texts; iterate with TextReader
  std::string_view message;
  std::string_view primary_key;
  bool result = false;
};

/// `inner` is a whole Serf message, handed on unread.
struct Relay {
  OptBytes dest_ip;
  std::int64_t dest_port = 0;
  std::string_view dest_zone;
  std::string_view dest_name;
  ByteView inner;
};

void encode(const Leave& m, Buffer& out);
void encode(const Join& m, Buffer& out);
void encode(const PushPull& m, Buffer& out);
void encode(const UserEvent& m, Buffer& out);
void encode(const Query& m, Buffer& out, IntStyle style = IntStyle::kOld);
void encode(const QueryResponse& m, Buffer& out);
void encode(const Member& m, Buffer& out, IntStyle style = IntStyle::kOld);
void encode(const KeyRequest& m, Buffer& out);
void encode(const KeyResponse& m, Buffer& out);
void encode(const Relay& m, Buffer& out, IntStyle style = IntStyle::kOld);

bool decode(ByteView body, Leave& m);
bool decode(ByteView body, Join& m);
bool decode(ByteView body, PushPull& m);
bool decode(ByteView body, UserEvent& m);
bool decode(ByteView body, Query& m);
bool decode(ByteView body, QueryResponse& m);
bool decode(ByteView body, Member& m);
bool decode(ByteView body, KeyRequest& m);
bool decode(ByteView body, KeyResponse& m);
bool decode(ByteView body, Relay& m);

/// Items of a RawList or RawMap under construction, reusable: `clear` keeps the capacity. The list is a view into it.
class Items {
 public:
  void clear() {
    bytes_.clear();
    count_ = 0;
  }
  void add_nil() { bytes_.push_back(0xc0), ++count_; }
  void add_text(std::string_view text);
  void add_bytes(ByteView bytes);
  void add_status(std::string_view name, std::uint64_t ltime);     ///< a pair of status_ltimes
  void add_tag(std::string_view key, std::string_view value);      ///< a pair of tags
  void add_event(std::string_view name, const OptBytes& payload);  ///< inside a ring slot
  void add_slot(std::uint64_t ltime, const Items& events);         ///< a used ring slot
  std::uint32_t count() const { return count_; }
  RawList list() const {
    RawList l;
    l.items = bytes_;
    l.count = count_;
    l.nil = false;
    return l;
  }

 private:
  Buffer bytes_;
  std::uint32_t count_ = 0;
};

// Readers over decoded (so already validated) lists; `next` returns false at the end.

class TextReader {
 public:
  explicit TextReader(const RawList& list) : reader_(list.items), left_(list.count) {}
  bool next(std::string_view& text);

 private:
  Reader reader_;
  std::uint32_t left_;
};

class BytesReader {
 public:
  explicit BytesReader(const RawList& list) : reader_(list.items), left_(list.count) {}
  bool next(OptBytes& bytes);

 private:
  Reader reader_;
  std::uint32_t left_;
};

class LTimeReader {
 public:
  explicit LTimeReader(const RawMap& map) : reader_(map.items), left_(map.count) {}
  bool next(std::string_view& name, std::uint64_t& ltime);

 private:
  Reader reader_;
  std::uint32_t left_;
};

class TagReader {
 public:
  explicit TagReader(const RawMap& map) : reader_(map.items), left_(map.count) {}
  bool next(std::string_view& key, std::string_view& value);

 private:
  Reader reader_;
  std::uint32_t left_;
};

/// One event of a ring slot.
struct RecordedEvent {
  std::string_view name;
  OptBytes payload;
};

class RecordedEventReader {
 public:
  explicit RecordedEventReader(const RawList& events) : reader_(events.items), left_(events.count) {}
  bool next(RecordedEvent& event);

 private:
  Reader reader_;
  std::uint32_t left_;
};

/// A used slot of the event ring.
struct EventSlot {
  std::uint32_t index = 0;
  std::uint64_t ltime = 0;
  RawList events;  ///< iterate with RecordedEventReader
};

/// Steps over unused slots.
class EventReader {
 public:
  explicit EventReader(const RawList& ring) : reader_(ring.items), count_(ring.count) {}
  bool next(EventSlot& slot);

 private:
  Reader reader_;
  std::uint32_t count_;
  std::uint32_t at_ = 0;
};

/// A query filter: which nodes should answer.
struct Filter {
  enum class Kind : std::uint8_t { kNodes = 0, kTag = 1, kUnknown = 255 };
  Kind kind = Kind::kUnknown;
  RawList nodes;          ///< kNodes; iterate with TextReader
  std::string_view expr;  ///< kTag: regular expression, unanchored
  std::string_view tag;   ///< kTag
};
/// With its type byte, as it stands in Query.filters.
void encode(const Filter& filter, Buffer& out);
/// Takes the type byte too. An unknown type decodes to kUnknown; false if malformed.
bool decode(ByteView filter, Filter& out);

/// Node meta (serf/serf.go: encodeTags, decodeTags). `bare_role`: meta was not a tag map but a role string.
struct Tags {
  bool bare_role = false;
  std::string_view role;
  RawMap map;  ///< with bare_role: empty
};
/// ff and the map, entries in the given order. Its length may exceed the 512 bytes of meta: the caller checks.
void encode_tags(const RawMap& tags, Buffer& out);
/// Never fails: no ff in front means a bare role; a malformed map keeps the entries before the fault.
Tags decode_tags(ByteView meta);
/// Value of one tag; `found` tells missing from empty.
std::string_view find_tag(const Tags& tags, std::string_view key, bool* found = nullptr);

/// A network coordinate in seconds, as acks carry it (serf/coordinate).
struct Coordinate {
  static constexpr std::size_t kDimensions = 8;
  std::array<double, kDimensions> vec{};
  double error = 1.5;
  double adjustment = 0;
  double height = 1e-5;
  std::uint32_t dimensions = kDimensions;  ///< as received; the first eight are kept
  bool operator==(const Coordinate&) const = default;
};
/// 01 and the map: 130 bytes. Always writes eight dimensions.
void encode_coordinate(const Coordinate& coordinate, Buffer& out);
/// False for another version byte, an empty payload or a malformed map.
bool decode_coordinate(ByteView payload, Coordinate& coordinate);

}  // namespace dcsim::wire::serf
