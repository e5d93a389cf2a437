#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "wire/msgpack.h"

namespace dcsim::wire {

/// The first byte of a memberlist message (memberlist net.go: messageType).
enum class MessageType : std::uint8_t {
  kPing = 0,
  kIndirectPing = 1,
  kAck = 2,
  kSuspect = 3,
  kAlive = 4,
  kDead = 5,
  kPushPull = 6,
  kCompound = 7,
  kUser = 8,
  kCompress = 9,
  kEncrypt = 10,
  kNack = 11,
  kHasCrc = 12,
  kErr = 13,
  kHasLabel = 244,
};

/// As memberlist names it in its log ("ping", "ackResp", "compound", ...); "unknown" for other values.
std::string_view name_of(MessageType type);

/// memberlist net.go: MetaMaxSize, LabelMaxSize and the stream limits.
inline constexpr std::size_t kMaxMeta = 512;
inline constexpr std::size_t kMaxLabel = 255;
inline constexpr std::size_t kMaxPushPullBytes = 20u << 20;   ///< encrypted stream frame, and user state
inline constexpr std::size_t kMaxDecompressed = 40u << 20;    ///< one stream frame after decompression
inline constexpr std::size_t kMaxUserMessage = 20u << 20;     ///< user message on a stream
inline constexpr std::int64_t kMaxPushPullNodes = 1'048'576;  ///< count in a push/pull header

// Every message below is a view: decoded text and bytes point into the input, encoded ones are read from the caller's.
// Field order is that of the wire (sorted by name). `encode` appends the type byte and the body; `decode` takes the
// body *after* the type byte, ignores what follows the value, and returns false if it is malformed (the struct is then
// unspecified). Missing fields keep zero values. Neither allocates.

/// Source fields are absent on the wire when empty or zero (peers before 0.2.0 never send them).
struct Ping {
  std::string_view node;
  std::uint32_t seq_no = 0;
  OptBytes source_addr;
  std::string_view source_node;
  std::uint16_t source_port = 0;
};

struct IndirectPing {
  bool nack = false;
  std::string_view node;
  std::uint16_t port = 0;
  std::uint32_t seq_no = 0;
  OptBytes source_addr;
  std::string_view source_node;
  std::uint16_t source_port = 0;
  OptBytes target;
};

struct Ack {
  OptBytes payload;
  std::uint32_t seq_no = 0;
};

struct Nack {
  std::uint32_t seq_no = 0;
};

struct Suspect {
  std::string_view from;
  std::uint32_t incarnation = 0;
  std::string_view node;
};

/// `from` == `node` means that the node left by itself.
struct Dead {
  std::string_view from;
  std::uint32_t incarnation = 0;
  std::string_view node;
};

/// `vsn`: protocol min, max, current, delegate min, max, current; other lengths occur and are the receiver's to judge.
struct Alive {
  OptBytes addr;
  std::uint32_t incarnation = 0;
  OptBytes meta;
  std::string_view node;
  std::uint16_t port = 0;
  OptBytes vsn;
};

struct Err {
  std::string_view error;
};

/// `nodes` and `user_state_len` are what the peer claims; the stream parser checks them against the limits.
struct PushPullHeader {
  bool join = false;
  std::int64_t nodes = 0;
  std::int64_t user_state_len = 0;
};

/// One entry of a push/pull; it has no type byte. `state`: 0 alive, 1 suspect, 2 dead, 3 left; peers may send others.
struct PushNodeState {
  OptBytes addr;
  std::uint32_t incarnation = 0;
  OptBytes meta;
  std::string_view name;
  std::uint16_t port = 0;
  std::int64_t state = 0;
  OptBytes vsn;
};

/// Precedes a user message on a stream (a user packet has no header: 08 and opaque bytes).
struct UserMsgHeader {
  std::int64_t user_msg_len = 0;
};

void encode(const Ping& m, Buffer& out);
void encode(const IndirectPing& m, Buffer& out);
void encode(const Ack& m, Buffer& out);
void encode(const Nack& m, Buffer& out);
void encode(const Suspect& m, Buffer& out);
void encode(const Dead& m, Buffer& out);
void encode(const Alive& m, Buffer& out);
void encode(const Err& m, Buffer& out);
void encode(const PushPullHeader& m, Buffer& out, IntStyle style = IntStyle::kOld);
void encode(const UserMsgHeader& m, Buffer& out, IntStyle style = IntStyle::kOld);
/// Body only: push/pull entries stand one after another without type bytes.
void encode(const PushNodeState& m, Buffer& out);
/// 08 and the bytes: a user packet or one part of a compound.
void encode_user(ByteView message, Buffer& out);

bool decode(ByteView body, Ping& m);
bool decode(ByteView body, IndirectPing& m);
bool decode(ByteView body, Ack& m);
bool decode(ByteView body, Nack& m);
bool decode(ByteView body, Suspect& m);
bool decode(ByteView body, Dead& m);
bool decode(ByteView body, Alive& m);
bool decode(ByteView body, Err& m);
bool decode(ByteView body, PushPullHeader& m);
bool decode(ByteView body, UserMsgHeader& m);
bool decode(ByteView body, PushNodeState& m);

/// The same at a Reader's position, for values that follow each other in a stream. Returns r.ok().
bool read(Reader& r, Ping& m);
bool read(Reader& r, Ack& m);
bool read(Reader& r, Err& m);
bool read(Reader& r, PushPullHeader& m);
bool read(Reader& r, PushNodeState& m);
bool read(Reader& r, UserMsgHeader& m);

/// Exact length of what `encode` would append, without writing it.
std::size_t encoded_size(const PushPullHeader& m, IntStyle style = IntStyle::kOld);
std::size_t encoded_size(const PushNodeState& m);
std::size_t encoded_size(const Alive& m);

}  // namespace dcsim::wire
