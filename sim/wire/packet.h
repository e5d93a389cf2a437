#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "wire/compress.h"
#include "wire/messages.h"

namespace dcsim::wire {

/// Why a datagram, or one message inside it, was not handed on. memberlist logs and drops in each of these cases.
enum class PacketDrop : std::uint8_t {
  kNone,
  kEmpty,          ///< no type byte
  kBadLabel,       ///< label header truncated, or of length 0
  kLabelMismatch,  ///< not the configured label (or none where one is configured)
  kDoubleLabel,    ///< a label although the inbound check is skipped
  kBadCrc,
  kBadCompound,        ///< length table shorter than the count says: the whole compound is lost
  kTruncatedCompound,  ///< a part runs past the end: it and all after it are lost (`lost` says how many)
  kBadCompress,        ///< compress body or LZW stream malformed, or an unknown algorithm
  kTooLarge,           ///< decompressed size, or number of compress messages, over the bound
  kTooDeep,            ///< nesting over the bound
  kUnknownType,        ///< not a type, or not one that a packet may carry
  kBadBody,            ///< for the caller: `decode` of the message failed
};
inline constexpr std::size_t kPacketDropCount = static_cast<std::size_t>(PacketDrop::kBadBody) + 1;
/// Short lower-case name for counters and traces ("bad_crc").
std::string_view name_of(PacketDrop drop);

/// memberlist label.go: what label inbound traffic must bear.
struct LabelPolicy {
  std::string_view label;  ///< "" = none
  bool skip_inbound_check = false;
};

/// The bytes after an optional label header, and the label ("" = none).
struct LabelSplit {
  PacketDrop drop = PacketDrop::kNone;
  std::string_view label;
  ByteView rest;
};
LabelSplit split_label(ByteView datagram);
/// split_label and the policy's verdict in one: kBadLabel, kLabelMismatch, kDoubleLabel or kNone.
LabelSplit accept_label(ByteView datagram, const LabelPolicy& policy);
/// f4, length, label; nothing for "". Requires at most 255 bytes.
void append_label(std::string_view label, Buffer& out);

/// 07, count, lengths, messages. Requires at most 255 messages of at most 65535 bytes each.
inline constexpr std::size_t kMaxCompoundParts = 255;
void append_compound(std::span<const ByteView> messages, Buffer& out);

/// What memberlist's rawSendMsgPacket wraps around a message, from inside to outside.
struct PacketOptions {
  std::string_view label;  ///< "" = no label header
  bool compress = true;    ///< kept only if strictly shorter
  bool crc = false;        ///< the destination's record is at hand and its PMax >= 5
};
/// Appends one whole datagram to `out`. `message` must not be part of `out`.
/// Hot: no allocation in the steady state; about 0.2 us for a ping with compression tried, 50 ns without.
void append_packet(ByteView message, const PacketOptions& options, Compressor& compressor, Buffer& out);

/// One thing found in a datagram: a message (drop == kNone) or a reason why something was not one.
struct PacketItem {
  PacketDrop drop = PacketDrop::kNone;
  MessageType type = MessageType::kPing;  ///< as received, for kUnknownType too
  std::uint32_t lost = 0;                 ///< messages lost with kTruncatedCompound
  ByteView body;                          ///< after the type byte
  ByteView whole;                         ///< with it
};

/// Walks one datagram: checks the outermost CRC, unfolds compound and compress messages however nested, and hands out
/// the inner messages in order (memberlist net.go: ingestPacket, handleCommand). Bounded: `kMaxDepth` layers and
/// `kMaxUnpacked` decompressed bytes a datagram; what exceeds them is dropped with a reason, the rest goes on.
/// Items point into the datagram or into this reader and stay valid until the next `start`.
/// Share one per world or thread.
///
///   reader.start(bytes_after_label);
///   for (PacketItem item; reader.next(item);) ...
class PacketReader {
 public:
  static constexpr std::size_t kMaxDepth = 16;
  static constexpr std::size_t kMaxUnpacked = 1u << 20;
  static constexpr std::size_t kMaxCompressLayers = 256;

  /// `datagram`: after label (and decryption); must outlive the walk.
  void start(ByteView datagram);
  bool next(PacketItem& item);

 private:
  /// A compound being walked.
  struct Layer {
    ByteView lengths;  ///< what is left of its length table
    ByteView data;     ///< what is left of its messages
    std::size_t depth = 0;
  };
  /// Takes one message apart: true if `item` is ready, false if the walk goes on inside it.
  bool open(ByteView message, std::size_t depth, PacketItem& item);
  bool open_compound(ByteView body, std::size_t depth, PacketItem& item);
  bool open_compress(ByteView body, std::size_t depth, PacketItem& item);
  bool next_part(PacketItem& item);

  Decompressor decompressor_;
  std::array<Layer, kMaxDepth> layers_;
  std::size_t layer_count_ = 0;
  std::deque<Buffer> unpacked_;  // one per compress layer of this datagram; a deque keeps them in place
  std::size_t unpacked_used_ = 0;
  std::size_t unpacked_bytes_ = 0;
  ByteView pending_;  // the message to take apart next
  std::size_t pending_depth_ = 0;
  bool has_pending_ = false;
  bool bad_crc_ = false;
};

}  // namespace dcsim::wire
