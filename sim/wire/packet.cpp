#include "wire/packet.h"

#include "base/check.h"
#include "wire/crc32.h"

namespace dcsim::wire {
namespace {

constexpr std::size_t kCrcHeader = 5;
constexpr std::size_t kKeepUnpacked = 16u << 10;  // a larger buffer goes back after its datagram

MessageType type_of(ByteView message) { return static_cast<MessageType>(message[0]); }

std::uint32_t u16_at(ByteView b) { return std::uint32_t{b[0]} << 8 | b[1]; }

bool carried_by_packets(MessageType type) {
  switch (type) {
    case MessageType::kPing:
    case MessageType::kIndirectPing:
    case MessageType::kAck:
    case MessageType::kNack:
    case MessageType::kSuspect:
    case MessageType::kAlive:
    case MessageType::kDead:
    case MessageType::kUser:
      return true;
    default:
      return false;
  }
}

bool drop(PacketItem& item, PacketDrop reason) {
  item.drop = reason;
  return true;
}

}  // namespace

std::string_view name_of(PacketDrop drop) {
  switch (drop) {
    case PacketDrop::kNone:
      return "none";
    case PacketDrop::kEmpty:
      return "empty";
    case PacketDrop::kBadLabel:
      return "bad_label";
    case PacketDrop::kLabelMismatch:
      return "label_mismatch";
    case PacketDrop::kDoubleLabel:
      return "double_label";
    case PacketDrop::kBadCrc:
      return "bad_crc";
    case PacketDrop::kBadCompound:
      return "bad_compound";
    case PacketDrop::kTruncatedCompound:
      return "truncated_compound";
    case PacketDrop::kBadCompress:
      return "bad_compress";
    case PacketDrop::kTooLarge:
      return "too_large";
    case PacketDrop::kTooDeep:
      return "too_deep";
    case PacketDrop::kUnknownType:
      return "unknown_type";
    case PacketDrop::kBadBody:
      return "bad_body";
  }
  return "unknown";
}

LabelSplit split_label(ByteView datagram) {
  LabelSplit out;
  out.rest = datagram;
  if (datagram.empty() || type_of(datagram) != MessageType::kHasLabel) return out;
  const std::size_t length = datagram.size() < 2 ? 0 : datagram[1];
  if (length == 0 || datagram.size() < 2 + length) {
    out.drop = PacketDrop::kBadLabel;
    return out;
  }
  out.label = text_of(datagram.subspan(2, length));
  out.rest = datagram.subspan(2 + length);
  return out;
}

LabelSplit accept_label(ByteView datagram, const LabelPolicy& policy) {
  LabelSplit out = split_label(datagram);
  if (out.drop != PacketDrop::kNone) return out;
  if (policy.skip_inbound_check) {
    if (!out.label.empty()) out.drop = PacketDrop::kDoubleLabel;
  } else if (out.label != policy.label) {
    out.drop = PacketDrop::kLabelMismatch;
  }
  return out;
}

void append_label(std::string_view label, Buffer& out) {
  if (label.empty()) return;
  DCSIM_CHECK(label.size() <= kMaxLabel);
  Writer w(out);
  w.byte(static_cast<std::uint8_t>(MessageType::kHasLabel));
  w.byte(static_cast<std::uint8_t>(label.size()));
  w.append(view_of(label));
}

void append_compound(std::span<const ByteView> messages, Buffer& out) {
  DCSIM_CHECK(messages.size() <= kMaxCompoundParts);
  Writer w(out);
  w.byte(static_cast<std::uint8_t>(MessageType::kCompound));
  w.byte(static_cast<std::uint8_t>(messages.size()));
  for (const ByteView m : messages) {
    DCSIM_CHECK(m.size() <= 0xffff);
    w.byte(static_cast<std::uint8_t>(m.size() >> 8));
    w.byte(static_cast<std::uint8_t>(m.size()));
  }
  for (const ByteView m : messages) w.append(m);
}

void append_packet(ByteView message, const PacketOptions& options, Compressor& compressor, Buffer& out) {
  append_label(options.label, out);
  const std::size_t crc_at = out.size();
  if (options.crc) out.resize(crc_at + kCrcHeader);
  if (!options.compress || !compressor.compress_if_shorter(message, out))
    out.insert(out.end(), message.begin(), message.end());
  if (!options.crc) return;
  const std::uint32_t crc = crc32(ByteView(out).subspan(crc_at + kCrcHeader));
  out[crc_at] = static_cast<std::uint8_t>(MessageType::kHasCrc);
  for (std::size_t i = 0; i < 4; ++i) out[crc_at + 1 + i] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
}

void PacketReader::start(ByteView datagram) {
  for (std::size_t i = 0; i < unpacked_used_; ++i) {
    if (unpacked_[i].capacity() > kKeepUnpacked) Buffer().swap(unpacked_[i]);
  }
  unpacked_used_ = unpacked_bytes_ = layer_count_ = pending_depth_ = 0;
  pending_ = datagram;
  has_pending_ = true;
  bad_crc_ = false;
  if (datagram.size() < kCrcHeader || type_of(datagram) != MessageType::kHasCrc) return;
  const std::uint32_t expected = u16_at(datagram.subspan(1)) << 16 | u16_at(datagram.subspan(3));
  pending_ = datagram.subspan(kCrcHeader);
  bad_crc_ = crc32(pending_) != expected;
}

bool PacketReader::next(PacketItem& item) {
  item = {};
  if (bad_crc_) {
    bad_crc_ = has_pending_ = false;
    return drop(item, PacketDrop::kBadCrc);
  }
  for (;;) {
    if (has_pending_) {
      has_pending_ = false;
      if (open(pending_, pending_depth_, item)) return true;
    } else if (layer_count_ == 0) {
      return false;
    } else if (next_part(item)) {
      return true;
    }
  }
}

bool PacketReader::next_part(PacketItem& item) {
  Layer& layer = layers_[layer_count_ - 1];
  if (layer.lengths.empty()) {
    --layer_count_;
    return false;
  }
  const std::size_t length = u16_at(layer.lengths);
  if (layer.data.size() < length) {
    item.lost = static_cast<std::uint32_t>(layer.lengths.size() / 2);
    --layer_count_;
    return drop(item, PacketDrop::kTruncatedCompound);
  }
  pending_ = layer.data.first(length);
  pending_depth_ = layer.depth + 1;
  has_pending_ = true;
  layer.data = layer.data.subspan(length);
  layer.lengths = layer.lengths.subspan(2);
  return false;
}

bool PacketReader::open(ByteView message, std::size_t depth, PacketItem& item) {
  if (message.empty()) return drop(item, PacketDrop::kEmpty);
  item.type = type_of(message);
  item.body = message.subspan(1);
  item.whole = message;
  if (item.type == MessageType::kCompound || item.type == MessageType::kCompress) {
    if (depth >= kMaxDepth) return drop(item, PacketDrop::kTooDeep);
    return item.type == MessageType::kCompound ? open_compound(item.body, depth, item)
                                               : open_compress(item.body, depth, item);
  }
  return carried_by_packets(item.type) || drop(item, PacketDrop::kUnknownType);
}

bool PacketReader::open_compound(ByteView body, std::size_t depth, PacketItem& item) {
  const std::size_t table = body.empty() ? 0 : 2 * std::size_t{body[0]};
  if (body.size() < 1 + table) return drop(item, PacketDrop::kBadCompound);
  layers_[layer_count_++] = {body.subspan(1, table), body.subspan(1 + table), depth};
  return false;
}

bool PacketReader::open_compress(ByteView body, std::size_t depth, PacketItem& item) {
  if (unpacked_used_ == kMaxCompressLayers) return drop(item, PacketDrop::kTooLarge);
  if (unpacked_used_ == unpacked_.size()) unpacked_.emplace_back();
  Buffer& plain = unpacked_[unpacked_used_];
  plain.clear();
  const Decompressor::Outcome outcome = decompressor_.decompress(body, kMaxUnpacked - unpacked_bytes_, plain);
  ++unpacked_used_;  // used up even on failure: bounds the work of one datagram
  if (outcome == Decompressor::Outcome::kTooLarge) return drop(item, PacketDrop::kTooLarge);
  if (outcome != Decompressor::Outcome::kDone) return drop(item, PacketDrop::kBadCompress);
  unpacked_bytes_ += plain.size();
  pending_ = plain;
  pending_depth_ = depth + 1;
  has_pending_ = true;
  return false;
}

}  // namespace dcsim::wire
