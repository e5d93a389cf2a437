#include "trace/pcapng.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "trace/output.h"

namespace dcsim::trace {
namespace {

constexpr std::size_t kIpv4Bytes = 20;
constexpr std::size_t kIpv6Bytes = 40;
constexpr std::size_t kTcpBytes = 20;
constexpr std::size_t kUdpBytes = 8;
constexpr std::size_t kIcmpBytes = 8;
constexpr std::size_t kMaxIp = 65535;

void be16(Buffer& out, std::size_t v) {
  out.push_back(static_cast<std::uint8_t>(v >> 8));
  out.push_back(static_cast<std::uint8_t>(v));
}
void be32(Buffer& out, std::uint32_t v) {
  be16(out, v >> 16);
  be16(out, v & 0xffff);
}
void put(Buffer& out, ByteView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

/// The Internet checksum (RFC 1071) as a running sum of big-endian words.
class Checksum {
 public:
  void add(ByteView bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) sum_ += i % 2 == 0 ? std::uint32_t{bytes[i]} << 8 : bytes[i];
  }
  void add(std::uint32_t word) { sum_ += word; }
  std::uint16_t value() const {
    std::uint64_t s = sum_;
    while (s >> 16) s = (s & 0xffff) + (s >> 16);
    return static_cast<std::uint16_t>(~s);
  }

 private:
  std::uint64_t sum_ = 0;
};

void patch16(Buffer& out, std::size_t at, std::uint16_t v) {
  out[at] = static_cast<std::uint8_t>(v >> 8);
  out[at + 1] = static_cast<std::uint8_t>(v);
}

/// Both ends in one family: IPv4 (mapped addresses too) or IPv6.
struct Addresses {
  bool v4 = true;
  Address src;
  Address dst;
};
Addresses addresses_of(const CapturedPacket& p) {
  Addresses a{true, p.src.address.canonical(), p.dst.address.canonical()};
  if (a.src.empty()) a.src = Address::v4(0);
  if (a.dst.empty()) a.dst = Address::v4(0);
  a.v4 = a.src.is_v4() && a.dst.is_v4();
  if (!a.v4) {
    a.src = a.src.mapped();
    a.dst = a.dst.mapped();
  }
  return a;
}

std::uint8_t protocol_number(const CapturedPacket& p, bool v4) {
  switch (p.proto) {
    case Proto::kTcp:
      return 6;
    case Proto::kIcmp:
      return v4 ? 1 : 58;
    default:
      return 17;
  }
}

std::size_t transport_header(const CapturedPacket& p) {
  return p.proto == Proto::kTcp ? kTcpBytes + p.option_bytes : p.proto == Proto::kIcmp ? kIcmpBytes : kUdpBytes;
}

/// A locally administered unicast address that tells the IP address it stands for.
void mac(Buffer& out, const Address& address) {
  const ByteView bytes = address.bytes();
  be16(out, 0x0200);
  put(out, bytes.last(4));
}

void transport(Buffer& out, const CapturedPacket& p, ByteView payload, const Addresses& a) {
  const std::size_t start = out.size();
  const std::size_t length = transport_header(p) + payload.size();
  std::size_t checksum_at = 0;
  if (p.proto == Proto::kTcp) {
    be16(out, p.src.port), be16(out, p.dst.port), be32(out, p.seq), be32(out, p.ack);
    out.push_back(static_cast<std::uint8_t>((5 + p.option_bytes / 4) << 4));
    out.push_back(p.flags);
    be16(out, p.window);
    checksum_at = out.size();
    be16(out, 0), be16(out, 0);
    put(out, ByteView(p.options).first(p.option_bytes));
  } else if (p.proto == Proto::kIcmp) {
    out.push_back(p.icmp_type);
    out.push_back(p.icmp_code);
    checksum_at = out.size();
    be16(out, 0), be32(out, 0);
  } else {
    be16(out, p.src.port), be16(out, p.dst.port), be16(out, length);
    checksum_at = out.size();
    be16(out, 0);
  }
  put(out, payload);
  Checksum sum;
  if (p.proto != Proto::kIcmp || !a.v4) {  // the pseudo-header (RFC 768, 9293, 8200); ICMPv4 has none
    sum.add(a.src.bytes());
    sum.add(a.dst.bytes());
    sum.add(protocol_number(p, a.v4));
    sum.add(static_cast<std::uint32_t>(length));
  }
  sum.add(ByteView(out).subspan(start));
  std::uint16_t value = sum.value();
  if (value == 0 && p.proto == Proto::kUdp) value = 0xffff;  // RFC 768: zero would say "none"
  patch16(out, checksum_at, value);
}

void ip_header(Buffer& out, const CapturedPacket& p, const Addresses& a, std::size_t body) {
  if (!a.v4) {
    be32(out, 0x60000000);
    be16(out, body);
    out.push_back(protocol_number(p, false));
    out.push_back(64);
    put(out, a.src.bytes());
    put(out, a.dst.bytes());
    return;
  }
  const std::size_t start = out.size();
  be16(out, 0x4500), be16(out, kIpv4Bytes + body), be16(out, 0), be16(out, 0x4000);
  out.push_back(64);
  out.push_back(protocol_number(p, true));
  be16(out, 0);
  put(out, a.src.bytes());
  put(out, a.dst.bytes());
  Checksum sum;
  sum.add(ByteView(out).subspan(start));
  patch16(out, start + 10, sum.value());
}

Buffer ip_packet(const CapturedPacket& p) {
  const Addresses a = addresses_of(p);
  const std::size_t room = kMaxIp - (a.v4 ? kIpv4Bytes : 0) - transport_header(p);
  const ByteView payload = p.payload.view().first(std::min(p.payload.size(), room));
  Buffer out;
  DCSIM_CHECK(p.option_bytes % 4 == 0 && p.option_bytes <= p.options.size());
  out.reserve(kIpv6Bytes + kTcpBytes + p.options.size() + payload.size());
  ip_header(out, p, a, transport_header(p) + payload.size());
  transport(out, p, payload, a);
  return out;
}

// -- pcapng blocks, in this machine-independent little-endian form

void le16(std::string& out, std::uint32_t v) {
  out.push_back(static_cast<char>(v));
  out.push_back(static_cast<char>(v >> 8));
}
void le32(std::string& out, std::uint64_t v) {
  le16(out, static_cast<std::uint32_t>(v & 0xffff));
  le16(out, static_cast<std::uint32_t>(v >> 16 & 0xffff));
}
void pad4(std::string& out) { out.append((4 - out.size() % 4) % 4, '\0'); }

void option(std::string& body, std::uint32_t code, std::string_view value) {
  value = value.substr(0, 65535);
  le16(body, code);
  le16(body, static_cast<std::uint32_t>(value.size()));
  body.append(value);
  pad4(body);
}

std::string block(std::uint32_t type, const std::string& body) {
  std::string out;
  const auto length = static_cast<std::uint32_t>(12 + body.size());
  le32(out, type);
  le32(out, length);
  out += body;
  le32(out, length);
  return out;
}

constexpr std::uint32_t kSection = 0x0A0D0D0A;
constexpr std::uint32_t kInterface = 1;
constexpr std::uint32_t kEnhancedPacket = 6;
constexpr std::uint32_t kOptComment = 1;
constexpr std::uint32_t kIfName = 2;
constexpr std::uint32_t kIfDescription = 3;
constexpr std::uint32_t kIfTsresol = 9;
constexpr std::uint32_t kEpbFlags = 2;

}  // namespace

Bytes icmp_quote(const CapturedPacket& original) {
  const Buffer packet = ip_packet(original);
  const std::size_t header = addresses_of(original).v4 ? kIpv4Bytes : kIpv6Bytes;
  return Bytes(ByteView(packet).first(std::min(packet.size(), header + 8)));
}

Buffer ethernet_frame(const CapturedPacket& packet) {
  const Addresses a = addresses_of(packet);
  Buffer out;
  mac(out, a.dst);
  mac(out, a.src);
  be16(out, a.v4 ? 0x0800 : 0x86dd);
  put(out, ip_packet(packet));
  return out;
}

struct PcapngWriter::State {
  State(std::string path, std::uint32_t keep) : file(std::move(path)), snaplen(keep) {}
  FileWriter file;
  std::uint32_t snaplen;
  std::map<std::string, std::uint32_t, std::less<>> interfaces;
  std::uint64_t packets = 0;
  bool finished = false;
};

PcapngWriter::PcapngWriter(std::string path, std::uint32_t snaplen)
    : state_(std::make_unique<State>(std::move(path), snaplen)) {
  std::string body;
  le32(body, 0x1A2B3C4D);  // byte order
  le16(body, 1), le16(body, 0);
  body.append(8, '\xff');    // section length unknown
  option(body, 4, "dcsim");  // shb_userappl
  option(body, 0, "");
  state_->file.write(block(kSection, body));
}

PcapngWriter::~PcapngWriter() = default;

std::uint32_t PcapngWriter::interface(std::string_view name, std::string_view description) {
  if (const auto it = state_->interfaces.find(name); it != state_->interfaces.end()) return it->second;
  const auto id = static_cast<std::uint32_t>(state_->interfaces.size());
  state_->interfaces.emplace(std::string(name), id);
  std::string body;
  le16(body, 1), le16(body, 0);  // LINKTYPE_ETHERNET
  le32(body, state_->snaplen);
  option(body, kIfName, name);
  if (!description.empty()) option(body, kIfDescription, description);
  option(body, kIfTsresol, std::string_view("\x09", 1));
  option(body, 0, "");
  state_->file.write(block(kInterface, body));
  return id;
}

void PcapngWriter::write(const CapturedPacket& packet) {
  DCSIM_CHECK(packet.interface < state_->interfaces.size());
  const Buffer frame = ethernet_frame(packet);
  const std::size_t kept = state_->snaplen == 0 ? frame.size() : std::min<std::size_t>(frame.size(), state_->snaplen);
  const auto ns = static_cast<std::uint64_t>(packet.t.ns);
  std::string body;
  le32(body, packet.interface);
  le32(body, ns >> 32), le32(body, ns);
  le32(body, kept), le32(body, frame.size());
  body.append(text_of(ByteView(frame).first(kept)));
  pad4(body);
  if (packet.direction != Direction::kUnknown) {
    std::string flags;
    le32(flags, packet.direction == Direction::kInbound ? 1 : 2);
    option(body, kEpbFlags, flags);
  }
  if (!packet.comment.empty()) option(body, kOptComment, packet.comment);
  if (packet.direction != Direction::kUnknown || !packet.comment.empty()) option(body, 0, "");
  state_->file.write(block(kEnhancedPacket, body));
  ++state_->packets;
}

std::uint64_t PcapngWriter::packets() const { return state_->packets; }

Result<bool> PcapngWriter::finish() {
  DCSIM_CHECK(!state_->finished);
  state_->finished = true;
  return state_->file.finish();
}

}  // namespace dcsim::trace
