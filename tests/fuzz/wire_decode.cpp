#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "wire/packet.h"
#include "wire/serf_messages.h"
#include "wire/stream.h"

// Everything that reads bytes from the network, chosen by the first byte of the input:
//   0 datagram   1 stream, inbound, in pieces of the size of the second byte   2 the same, reply side
//   3 each memberlist message   4 each Serf message   5 tags, filter, coordinate   6 LZW, both ways   7 msgpack skip
// Besides not crashing, what decodes must encode to something that decodes to the same.

namespace {

using namespace dcsim;

template <class M>
void memberlist_round_trip(ByteView body) {
  M m;
  if (!wire::decode(body, m)) return;
  Buffer once, twice;
  wire::encode(m, once);
  const std::size_t type_byte = std::is_same_v<M, wire::PushNodeState> ? 0 : 1;
  M again;
  DCSIM_CHECK(wire::decode(ByteView(once).subspan(type_byte), again));
  wire::encode(again, twice);
  DCSIM_CHECK(once == twice);
}

template <class M>
void serf_round_trip(ByteView body) {
  M m;
  if (!wire::serf::decode(body, m)) return;
  Buffer once, twice;
  wire::serf::encode(m, once);
  M again;
  DCSIM_CHECK(wire::serf::decode(ByteView(once).subspan(1), again));
  wire::serf::encode(again, twice);
  DCSIM_CHECK(once == twice);
}

void memberlist_messages(ByteView body) {
  memberlist_round_trip<wire::Ping>(body);
  memberlist_round_trip<wire::IndirectPing>(body);
  memberlist_round_trip<wire::Ack>(body);
  memberlist_round_trip<wire::Nack>(body);
  memberlist_round_trip<wire::Suspect>(body);
  memberlist_round_trip<wire::Alive>(body);
  memberlist_round_trip<wire::Dead>(body);
  memberlist_round_trip<wire::Err>(body);
  memberlist_round_trip<wire::PushPullHeader>(body);
  memberlist_round_trip<wire::UserMsgHeader>(body);
  memberlist_round_trip<wire::PushNodeState>(body);
}

/// A decoded list must be readable to its end.
template <class ItemReader, class Item>
void read_all(const wire::RawList& list) {
  ItemReader reader(list);
  std::uint32_t n = 0;
  for (Item item; reader.next(item);) ++n;
  DCSIM_CHECK(n == list.count);
}

void serf_lists(ByteView body) {
  wire::serf::PushPull state;
  if (wire::serf::decode(body, state)) {
    read_all<wire::serf::TextReader, std::string_view>(state.left_members);
    wire::serf::LTimeReader statuses(state.status_ltimes);
    std::string_view name;
    std::uint64_t ltime = 0;
    std::uint32_t n = 0;
    while (statuses.next(name, ltime)) ++n;
    DCSIM_CHECK(n == state.status_ltimes.count);
    wire::serf::EventReader slots(state.events);
    for (wire::serf::EventSlot slot; slots.next(slot);) {
      DCSIM_CHECK(slot.index < state.events.count);
      read_all<wire::serf::RecordedEventReader, wire::serf::RecordedEvent>(slot.events);
    }
  }
  wire::serf::Query query;
  if (wire::serf::decode(body, query)) read_all<wire::serf::BytesReader, wire::OptBytes>(query.filters);
  wire::serf::KeyResponse keys;
  if (wire::serf::decode(body, keys)) read_all<wire::serf::TextReader, std::string_view>(keys.keys);
}

void serf_messages(ByteView body) {
  serf_round_trip<wire::serf::Leave>(body);
  serf_round_trip<wire::serf::Join>(body);
  serf_round_trip<wire::serf::PushPull>(body);
  serf_round_trip<wire::serf::UserEvent>(body);
  serf_round_trip<wire::serf::Query>(body);
  serf_round_trip<wire::serf::QueryResponse>(body);
  serf_round_trip<wire::serf::Member>(body);
  serf_round_trip<wire::serf::KeyRequest>(body);
  serf_round_trip<wire::serf::KeyResponse>(body);
  serf_round_trip<wire::serf::Relay>(body);
  serf_lists(body);
}

void meta(ByteView bytes) {
  const wire::serf::Tags tags = wire::serf::decode_tags(bytes);
  wire::serf::TagReader reader(tags.map);
  std::uint32_t n = 0;
  for (std::string_view k, v; reader.next(k, v);) ++n;
  DCSIM_CHECK(n == tags.map.count);
  (void)wire::serf::find_tag(tags, "role");
  if (!tags.bare_role) {
    Buffer out;
    wire::serf::encode_tags(tags.map, out);
    DCSIM_CHECK(wire::serf::decode_tags(out).map.count == n);
  }
  wire::serf::Filter filter;
  if (wire::serf::decode(bytes, filter) && filter.kind != wire::serf::Filter::Kind::kUnknown) {
    Buffer out;
    wire::serf::encode(filter, out);
    wire::serf::Filter again;
    DCSIM_CHECK(wire::serf::decode(out, again) && again.kind == filter.kind);
  }
  wire::serf::Coordinate coordinate;
  (void)wire::serf::decode_coordinate(bytes, coordinate);
}

void datagram(ByteView bytes) {
  static wire::PacketReader reader;
  const wire::LabelSplit split = wire::split_label(bytes);
  if (split.drop != wire::PacketDrop::kNone) return;
  reader.start(split.rest);
  std::size_t handed_out = 0;
  for (wire::PacketItem item; reader.next(item);) {
    handed_out += item.whole.size();
    if (item.drop != wire::PacketDrop::kNone) continue;
    DCSIM_CHECK(item.whole.size() == item.body.size() + 1);
    memberlist_messages(item.body);
    if (item.type == wire::MessageType::kUser && !item.body.empty()) serf_messages(item.body.subspan(1));
  }
  DCSIM_CHECK(handed_out <= (bytes.size() + wire::PacketReader::kMaxUnpacked) * wire::PacketReader::kMaxDepth);
}

void stream(ByteView bytes, bool inbound) {
  static wire::StreamWorkspace ws, whole_ws;
  const std::size_t piece = std::max<std::size_t>(1, bytes.empty() ? 1 : bytes[0]);
  const ByteView rest = bytes.empty() ? bytes : bytes.subspan(1);
  wire::StreamParser parser(inbound, {"", false}), whole(inbound, {"", false});
  wire::StreamFrame frame, whole_frame;
  for (std::size_t at = 0; at < rest.size(); at += piece) {
    parser.feed(rest.subspan(at, std::min(piece, rest.size() - at)), ws, frame);
  }
  whole.feed(rest, whole_ws, whole_frame);
  // How the bytes were cut must not show.
  DCSIM_CHECK(parser.status() == whole.status());
  DCSIM_CHECK(parser.error() == whole.error());
  if (parser.status() == wire::StreamStatus::kComplete) {
    DCSIM_CHECK(frame.type == whole_frame.type && frame.nodes.size() == whole_frame.nodes.size());
    DCSIM_CHECK(std::equal(frame.bare.begin(), frame.bare.end(), whole_frame.bare.begin(), whole_frame.bare.end()));
    if (frame.type == wire::MessageType::kPushPull) {
      Buffer out;
      wire::append_push_pull(frame.header.join, frame.nodes, frame.user_state, out);
      wire::StreamFrame again;
      wire::StreamError error{};
      const std::size_t nodes = frame.nodes.size();
      DCSIM_CHECK(wire::parse_plain_frame(out, ws, again, error) == wire::StreamStatus::kComplete);
      DCSIM_CHECK(again.nodes.size() == nodes);
    }
  }
  parser.finish();
}

void lzw(ByteView bytes) {
  static wire::LzwEncoder encoder;
  static wire::LzwDecoder decoder;
  constexpr std::size_t kLimit = 1u << 18;
  Buffer out;
  (void)decoder.decode(bytes, kLimit, out);
  DCSIM_CHECK(out.size() <= kLimit);
  Buffer packed, plain;
  encoder.encode(bytes, packed);
  DCSIM_CHECK(decoder.decode(packed, bytes.size(), plain) == wire::LzwDecoder::Outcome::kDone);
  DCSIM_CHECK(std::equal(bytes.begin(), bytes.end(), plain.begin(), plain.end()));
  Buffer within;
  DCSIM_CHECK(encoder.encode_within(bytes, packed.size(), within) && within == packed);
  DCSIM_CHECK(!encoder.encode_within(bytes, packed.size() - 1, within) && within == packed);
}

void skip(ByteView bytes) {
  wire::Reader r(bytes);
  while (r.ok() && !r.at_end()) r.skip();
  DCSIM_CHECK(r.position() <= bytes.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const dcsim::ByteView rest(data + 1, size - 1);
  switch (data[0] % 8) {
    case 0:
      datagram(rest);
      break;
    case 1:
      stream(rest, true);
      break;
    case 2:
      stream(rest, false);
      break;
    case 3:
      memberlist_messages(rest);
      break;
    case 4:
      serf_messages(rest);
      break;
    case 5:
      meta(rest);
      break;
    case 6:
      lzw(rest);
      break;
    default:
      skip(rest);
      break;
  }
  return 0;
}
