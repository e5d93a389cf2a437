#include "wire/stream.h"

#include <map>

#include "support/vectors.h"
#include "wire/serf_messages.h"

using namespace dcsim;
using namespace dcsim::test;
using wire::StreamError;
using wire::StreamFrame;
using wire::StreamParser;
using wire::StreamStatus;

namespace {

/// A table of `count` entries whose texts live in `names`.
std::vector<wire::PushNodeState> table(std::size_t count, std::vector<std::string>& names) {
  static const Buffer kAddr{10, 0, 0, 7}, kMeta{0xff, 0x80}, kVsn{1, 5, 2, 2, 5, 4};
  names.resize(count);
  std::vector<wire::PushNodeState> nodes(count);
  for (std::size_t i = 0; i < count; ++i) {
    names[i] = "node-" + std::to_string(i);
    nodes[i].name = names[i];
    nodes[i].addr = ByteView(kAddr);
    nodes[i].meta = ByteView(kMeta);
    nodes[i].vsn = ByteView(kVsn);
    nodes[i].incarnation = static_cast<std::uint32_t>(i);
    nodes[i].port = 8301;
  }
  return nodes;
}

Buffer header(std::int64_t nodes, std::int64_t user_state) {
  wire::PushPullHeader h;
  h.nodes = nodes;
  h.user_state_len = user_state;
  Buffer out;
  wire::encode(h, out);
  return out;
}

StreamError refusal(ByteView bytes, bool inbound = true, wire::LabelPolicy policy = {}) {
  wire::StreamWorkspace ws;
  StreamFrame frame;
  StreamParser parser(inbound, policy);
  CHECK(parser.feed(bytes, ws, frame) == StreamStatus::kRefused);
  CHECK(parser.feed(Buffer{0}, ws, frame) == StreamStatus::kRefused);
  return parser.error();
}

}  // namespace

TEST_CASE("stream: a push/pull of any size arrives whole however it is cut, compressed or not, labelled or not") {
  std::vector<std::string> names;
  const auto nodes = table(300, names);
  const Buffer user(777, 0x5a);
  Buffer bare;
  wire::append_push_pull(true, nodes, user, bare);
  wire::Compressor compressor;
  wire::StreamWorkspace ws;
  for (const bool compress : {false, true}) {
    for (const std::string_view label : {"", "lan.dc1"}) {
      Buffer bytes;
      wire::append_stream(bare, {.label = label, .compress = compress}, compressor, bytes);
      for (std::size_t piece = 1; piece <= bytes.size(); piece = piece * 3 + 1) {
        StreamParser parser(true, {label});
        StreamFrame frame;
        StreamStatus status = StreamStatus::kNeedMore;
        for (std::size_t at = 0; at < bytes.size(); at += piece) {
          CHECK(status == StreamStatus::kNeedMore);
          status = parser.feed(ByteView(bytes).subspan(at, std::min(piece, bytes.size() - at)), ws, frame);
        }
        REQUIRE(status == StreamStatus::kComplete);
        CHECK(frame.label == label);
        CHECK(frame.compressed == compress);
        CHECK(frame.header.join);
        REQUIRE(frame.nodes.size() == 300);
        CHECK(frame.nodes[299].name == "node-299");
        CHECK(frame.nodes[299].incarnation == 299);
        CHECK(to_hex(frame.user_state) == to_hex(user));
        CHECK(to_hex(frame.bare) == to_hex(bare));
        CHECK(frame.node_bytes.size() + user.size() + wire::encoded_size(frame.header) == bare.size());
      }
    }
  }
}

TEST_CASE("stream: the end of the connection tells a clean close from a frame cut short") {
  Buffer bare;
  std::vector<std::string> names;
  wire::append_push_pull(false, table(3, names), Buffer(5, 1), bare);
  wire::StreamWorkspace ws;
  StreamFrame frame;
  for (std::size_t n = 1; n < bare.size(); ++n) {
    StreamParser parser(true, {});
    REQUIRE(parser.feed(ByteView(bare).first(n), ws, frame) == StreamStatus::kNeedMore);
    CHECK(parser.finish() == StreamStatus::kRefused);
    CHECK(parser.error() == StreamError::kTruncated);
  }
  StreamParser parser(true, {});
  CHECK(parser.finish() == StreamStatus::kRefused);
  CHECK(parser.error() == StreamError::kNone);
  parser.reset();
  CHECK(parser.feed(bare, ws, frame) == StreamStatus::kComplete);
  CHECK(parser.finish() == StreamStatus::kComplete);
}

TEST_CASE("stream: claims over the limits are refused from the header alone") {
  CHECK(refusal(header(wire::kMaxPushPullNodes + 1, 0)) == StreamError::kTooManyNodes);
  CHECK(refusal(header(-1, 0)) == StreamError::kTooManyNodes);
  CHECK(refusal(header(0, (20 << 20) + 1)) == StreamError::kUserStateTooLong);
  CHECK(refusal(header(0, -1)) == StreamError::kUserStateTooLong);
  CHECK(refusal(from_hex("0a01400001")) == StreamError::kEncryptedTooLong);
  CHECK(refusal(from_hex("0881aa557365724d73674c656ece01400001")) == StreamError::kUserStateTooLong);
  CHECK(refusal(from_hex("0982a4416c676f00a3427566dbffffffff")) == StreamError::kTooLarge);
}

TEST_CASE("stream: claims within the limits reserve nothing until the bytes come") {
  wire::StreamWorkspace ws;
  StreamFrame frame;
  for (const Buffer& bytes :
       {header(wire::kMaxPushPullNodes, 20 << 20), from_hex("0a01400000"),
        from_hex("0982a4416c676f00a3427566db01400000"), from_hex("0881aa557365724d73674c656ece01400000")}) {
    StreamParser parser(true, {});
    CHECK(parser.feed(bytes, ws, frame) == StreamStatus::kNeedMore);
    CHECK(parser.buffered() == bytes.size());
    CHECK(ws.nodes.capacity() == 0);
  }
}

TEST_CASE("stream: one value that never ends is given up") {
  // A header map with an unknown key whose value is a list that goes on and on.
  Buffer endless = from_hex("0681a158dd00ffffff");
  wire::StreamWorkspace ws;
  StreamFrame frame;
  StreamParser parser(true, {});
  const Buffer chunk(1448, 0xc0);
  StreamStatus status = parser.feed(endless, ws, frame);
  std::size_t fed = 0;
  // The list claims 16 million items, so nothing is looked at again before as many bytes are there.
  while (status == StreamStatus::kNeedMore && fed < 64u << 20)
    status = parser.feed(chunk, ws, frame), fed += chunk.size();
  CHECK(status == StreamStatus::kComplete);  // in the end it was a valid header: no entries, no user state
  CHECK(fed < 17u << 20);

  // Strings of 100 bytes each need a second look now and then; at 64 KiB that ends.
  StreamParser strings(true, {});
  status = strings.feed(endless, ws, frame);
  Buffer item(101, 'x');
  item[0] = 0xd9, item[1] = 99;
  fed = 0;
  while (status == StreamStatus::kNeedMore && fed < 64u << 20)
    status = strings.feed(item, ws, frame), fed += item.size();
  CHECK(status == StreamStatus::kRefused);
  CHECK(strings.error() == StreamError::kBadBody);
  CHECK(fed < 17u << 20);
}

TEST_CASE("stream: layers nest once, and only what a stream may carry is taken") {
  wire::Compressor compressor;
  Buffer once, twice;
  compressor.compress(from_hex("0082a44e6f6465a161a55365714e6f01"), once);
  compressor.compress(once, twice);
  CHECK(refusal(twice) == StreamError::kNested);
  Buffer hidden;
  compressor.compress(from_hex("0a00000000"), hidden);
  CHECK(refusal(hidden) == StreamError::kNested);
  for (const int type : {1, 3, 4, 5, 7, 11, 12, 14, 99}) {
    CHECK(refusal(Buffer{static_cast<std::uint8_t>(type), 0x80}) == StreamError::kUnknownType);
  }
  Buffer cut;  // what was compressed was not a whole frame
  compressor.compress(from_hex("0082a44e6f6465a161a5536571"), cut);
  CHECK(refusal(cut) == StreamError::kBadBody);
  CHECK(refusal(from_hex("00c1")) == StreamError::kBadBody);
}

TEST_CASE("stream: a compress message that cannot be undone is refused as util.go decompressBuffer words it") {
  const auto refused_as = [](std::string_view hex, StreamError error, std::string_view text) {
    CAPTURE(hex);
    CHECK(refusal(from_hex(hex)) == error);
    CHECK(wire::text_of(error) == text);
    CHECK(wire::answered_with_err(error));
  };
  refused_as("0982a4416c676f00a3427566a3000302", StreamError::kEmptyFrame, "decompressed message is empty");
  refused_as("0982a4416c676f00a3427566a3ffffff", StreamError::kBadLzw, "lzw: invalid code");
  refused_as("0982a4416c676f00a3427566a3000100", StreamError::kShortLzw, "unexpected EOF");
  refused_as("0982a4416c676f00a3427566c0", StreamError::kShortLzw, "unexpected EOF");  // nil is no bytes at all
  refused_as("09c1", StreamError::kBadCompress, "failed to decompress payload");

  wire::StreamWorkspace ws;
  StreamFrame frame;
  StreamParser other(true, {});
  REQUIRE(other.feed(from_hex("0982a4416c676f07a3427566a0"), ws, frame) == StreamStatus::kRefused);
  CHECK(other.error() == StreamError::kUnknownAlgorithm);
  CHECK(other.algorithm() == 7);
  CHECK(wire::text_of(other.error()) == "cannot decompress unknown algorithm");
  CHECK(wire::text_of(StreamError::kTooLarge) == "decompressed message is larger than limit (41943040)");
}

TEST_CASE("stream: a compress message that the peer cuts off ends badly inside a value and well between two") {
  // go-msgpack 0.5.x: io.ReadAtLeast gives EOF if nothing came, ErrUnexpectedEOF if something did.
  const Buffer whole = from_hex("0982a4416c676f00a3427566da00050102030405");
  const std::map<std::size_t, bool> inside{{1, false}, {2, false}, {3, false},  {4, true},   {7, false},
                                           {9, false}, {10, true}, {12, false}, {13, false}, {14, true},
                                           {15, false}, {16, true}, {19, true}};
  for (const auto& at : inside) {
    const std::size_t n = at.first;
    const bool cut = at.second;
    CAPTURE(n);
    wire::StreamWorkspace ws;
    StreamFrame frame;
    StreamParser parser(true, {});
    REQUIRE(parser.feed(ByteView(whole).first(n), ws, frame) == StreamStatus::kNeedMore);
    CHECK(parser.finish() == StreamStatus::kRefused);
    CHECK(parser.error() == (cut ? StreamError::kCutCompress : StreamError::kTruncated));
  }
}

TEST_CASE("stream: without a key an encrypted frame is done with at its first byte, whatever its length says") {
  for (const std::string_view hex : {"0a", "0a00", "0affffffff", "0a0000003c0001"}) {
    CAPTURE(hex);
    wire::StreamWorkspace ws;
    StreamFrame frame;
    StreamParser parser(true, {"lan"}, wire::Encrypted::kRefused);
    CHECK(parser.feed(from_hex("f4036c616e"), ws, frame) == StreamStatus::kNeedMore);
    REQUIRE(parser.feed(from_hex(hex), ws, frame) == StreamStatus::kComplete);
    CHECK(frame.type == wire::MessageType::kEncrypt);
    CHECK(frame.encrypted.empty());
    CHECK(frame.label == "lan");
  }
}

TEST_CASE("stream: only inbound streams bear labels, and those must match") {
  const Buffer ping = from_hex("0082a44e6f6465a161a55365714e6f01");
  Buffer labelled = from_hex("f4036c616e");
  labelled.insert(labelled.end(), ping.begin(), ping.end());
  wire::StreamWorkspace ws;
  StreamFrame frame;
  StreamParser parser(true, {"lan"});
  CHECK(parser.feed(labelled, ws, frame) == StreamStatus::kComplete);
  CHECK(frame.ping.node == "a");
  CHECK(refusal(labelled, true, {"wan"}) == StreamError::kLabelMismatch);
  CHECK(refusal(labelled, true, {"lan", true}) == StreamError::kDoubleLabel);
  CHECK(refusal(labelled, true, {""}) == StreamError::kLabelMismatch);
  CHECK(refusal(ping, true, {"lan"}) == StreamError::kLabelMismatch);
  CHECK(refusal(from_hex("f400"), true, {"lan"}) == StreamError::kBadLabel);
  CHECK(refusal(labelled, false, {"lan"}) == StreamError::kUnknownType);  // a reply with a label
  StreamParser reply(false, {"lan"});
  CHECK(reply.feed(ping, ws, frame) == StreamStatus::kComplete);
}

TEST_CASE("stream: unreadable layers are answered with an err message, everything else with silence") {
  for (std::size_t i = 0; i < wire::kStreamErrorCount; ++i) {
    const auto error = static_cast<StreamError>(i);
    CHECK(wire::name_of(error) != "unknown");
    const bool layer = error >= StreamError::kEncryptedTooLong && error <= StreamError::kTooLarge;
    CHECK(wire::answered_with_err(error) == layer);
    CHECK(wire::text_of(error).empty() == (error == StreamError::kNone));
  }
  wire::Err err;
  err.error = "remote state is encrypted and encryption is not configured";
  Buffer bare, bytes;
  wire::encode(err, bare);
  wire::Compressor compressor;
  wire::append_stream(bare, {}, compressor, bytes);
  wire::StreamWorkspace ws;
  StreamFrame frame;
  StreamParser parser(false, {});
  REQUIRE(parser.feed(bytes, ws, frame) == StreamStatus::kComplete);
  CHECK(frame.type == wire::MessageType::kErr);
  CHECK(frame.err.error == err.error);
}

TEST_CASE("stream: user messages carry their length, in either integer style") {
  const Buffer message(200, 0x2a);
  wire::StreamWorkspace ws;
  for (const auto style : {wire::IntStyle::kOld, wire::IntStyle::kNew}) {
    Buffer bytes;
    wire::append_stream_user(message, bytes, style);
    StreamParser parser(true, {});
    StreamFrame frame;
    REQUIRE(parser.feed(bytes, ws, frame) == StreamStatus::kComplete);
    CHECK(frame.type == wire::MessageType::kUser);
    CHECK(to_hex(frame.user) == to_hex(message));
  }
}

TEST_CASE("stream: a decompression memo changes nothing but the work") {
  std::vector<std::string> names;
  Buffer bare, bytes;
  wire::append_push_pull(true, table(50, names), Buffer(100, 3), bare);
  wire::Compressor compressor;
  wire::append_stream(bare, {}, compressor, bytes);
  wire::DecompressionMemo memo;
  wire::StreamWorkspace with(&memo), without;
  for (int i = 0; i < 3; ++i) {
    StreamFrame a, b;
    StreamError ea{}, eb{};
    REQUIRE(wire::parse_plain_frame(bytes, with, a, ea) == StreamStatus::kComplete);
    REQUIRE(wire::parse_plain_frame(bytes, without, b, eb) == StreamStatus::kComplete);
    CHECK(to_hex(a.bare) == to_hex(b.bare));
    CHECK(a.nodes.size() == 50);
    CHECK(a.nodes[49].name == b.nodes[49].name);
  }
  CHECK(memo.hits() == 2);
}

namespace {

/// Serf's part of a push/pull: the LTimes of all members, and a ring of 512 events of which none is used.
Buffer serf_state(const std::vector<std::string>& names) {
  const Buffer ring(512, 0xc0);
  Buffer ltimes, out;
  {
    wire::Writer writer(ltimes);
    for (const std::string& name : names) writer.text(name), writer.unsigned_int(1);
  }
  wire::serf::PushPull state;
  state.events.items = ring;
  state.events.count = 512;
  state.left_members.nil = state.events.nil = state.status_ltimes.nil = false;
  state.status_ltimes.items = ltimes;
  state.status_ltimes.count = static_cast<std::uint32_t>(names.size());
  state.ltime = state.event_ltime = state.query_ltime = 1;
  wire::serf::encode(state, out);
  return out;
}

}  // namespace

// 61 + n + raw(meta) per entry after a header of 27 + i(N) + i(U), with names of nine letters; a Consul server's tags
// take 213 bytes, a client's 125, and three are servers.
TEST_CASE("push/pull: sizes are those of recorded agents (go-msgpack 2.x integers)") {
  constexpr std::size_t kEncryption = 5 + 29;
  const Json file = load_vectors("formulas.json");
  int checked = 0;
  for (const Json& v : file["vectors"]) {
    if (v["type"] != "pushpull_size") continue;
    only_keys(v, {"id", "type", "n", "notags", "consul"});
    const std::size_t n = v["n"];
    CAPTURE(n);
    std::vector<std::string> names;
    auto nodes = table(n, names);
    for (std::size_t i = 0; i < n; ++i) {
      const std::string digits = std::to_string(i);
      names[i] = "node-" + std::string(4 - std::min<std::size_t>(4, digits.size()), '0') + digits;
      nodes[i].name = names[i];
      nodes[i].incarnation = 1;
    }
    const Buffer user = serf_state(names), server(213, 1), client(125, 1);
    for (const char* tags : {"notags", "consul"}) {
      CAPTURE(tags);
      const Json& sizes = v[tags];
      only_keys(sizes, {"user_state_len", "plain_len", "compressed_message_len", "encrypted_frame_len"});
      if (tags == std::string("consul")) {
        for (std::size_t i = 0; i < n; ++i) nodes[i].meta = ByteView(i < 3 ? server : client);
      }
      CHECK(user.size() == sizes["user_state_len"].get<std::size_t>());
      Buffer bare;
      wire::append_push_pull(false, nodes, user, bare, wire::IntStyle::kNew);
      CHECK(bare.size() == sizes["plain_len"].get<std::size_t>());
      CHECK(sizes["compressed_message_len"].get<std::size_t>() + kEncryption ==
            sizes["encrypted_frame_len"].get<std::size_t>());
      CHECK(sizes["compressed_message_len"] < sizes["plain_len"]);
    }
    ++checked;
  }
  if (checked == 0) MESSAGE("no pushpull_size vectors");
}
