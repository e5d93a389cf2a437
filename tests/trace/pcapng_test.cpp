#include "trace/pcapng.h"

#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <sstream>

#include "trace/output.h"
#include "world.h"

using namespace dcsim;
using namespace dcsim::trace;
using namespace dcsim::trace::test;

namespace {

std::string run(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string out;
  std::array<char, 4096> buffer;
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) out.append(buffer.data(), n);
  ::pclose(pipe);
  return out;
}

bool have_tshark() { return !run("command -v tshark 2>/dev/null").empty(); }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

Endpoint ep(const char* address, std::uint16_t port) { return {*Address::parse(address), port}; }
Bytes payload(std::string_view text) { return Bytes(view_of(text)); }

CapturedPacket udp(std::int64_t ns, const char* src, const char* dst, std::string_view text) {
  return {.t = {ns}, .src = ep(src, 8301), .dst = ep(dst, 8302), .payload = payload(text)};
}

std::uint16_t internet_checksum(ByteView bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) sum += i % 2 ? bytes[i] : bytes[i] << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

/// One packet of each kind; returns the file's path.
std::string sample(const TemporaryFolder& folder, std::uint32_t snaplen = 0) {
  PcapngWriter w(folder / "capture.pcapng", snaplen);
  const std::uint32_t agent = w.interface("alpha-1.dc1", "zone alpha");
  const std::uint32_t firewall = w.interface("core-fw");
  CHECK(w.interface("alpha-1.dc1") == agent);
  CapturedPacket p = udp(1'000'000'001, "10.0.0.1", "10.0.0.2", "hello");
  p.direction = Direction::kOutbound;
  w.write(p);
  p = udp(2'000'000'000, "10.0.0.1", "10.0.0.2", "odd");
  p.interface = firewall;
  p.comment = "dropped by core-fw, rule tenants-apart";
  w.write(p);
  w.write({.t = {3'000'000'000},
           .proto = Proto::kTcp,
           .src = ep("10.0.0.1", 33000),
           .dst = ep("10.0.0.2", 8300),
           .seq = 1000,
           .flags = 2});
  w.write({.t = {3'000'000'500},
           .proto = Proto::kTcp,
           .src = ep("10.0.0.2", 8300),
           .dst = ep("10.0.0.1", 33000),
           .seq = 5000,
           .ack = 1001,
           .flags = 0x12});
  w.write({.t = {3'000'001'000},
           .proto = Proto::kTcp,
           .src = ep("10.0.0.1", 33000),
           .dst = ep("10.0.0.2", 8300),
           .seq = 1001,
           .ack = 5001,
           .flags = 0x18,
           .payload = payload("data")});
  w.write({.t = {4'000'000'000},
           .proto = Proto::kIcmp,
           .src = ep("10.0.0.254", 0),
           .dst = ep("10.0.0.1", 0),
           .icmp_type = 3,
           .icmp_code = 13,
           .payload = icmp_quote(udp(0, "10.0.0.1", "10.0.0.2", "hello"))});
  w.write(udp(5'000'000'000, "fd00::1", "fd00::2", "six"));
  w.write({.t = {6'000'000'000}, .proto = Proto::kTcp, .src = ep("fd00::1", 1), .dst = ep("fd00::2", 2), .flags = 4});
  w.write({.t = {7'000'000'000},
           .proto = Proto::kIcmp,
           .src = ep("fd00::9", 0),
           .dst = ep("fd00::1", 0),
           .icmp_type = 1,
           .icmp_code = 4,
           .payload = icmp_quote(udp(0, "fd00::1", "fd00::2", "six"))});
  CHECK(w.packets() == 9);
  REQUIRE(w.finish().ok());
  return folder / "capture.pcapng";
}

}  // namespace

TEST_CASE("pcapng: frames have the lengths and checksums of RFC 791, 768 and 9293") {
  const Buffer frame = ethernet_frame(udp(0, "10.0.0.1", "10.0.0.2", "hello"));
  REQUIRE(frame.size() == 14 + 20 + 8 + 5);
  const ByteView ip = ByteView(frame).subspan(14);
  CHECK(frame[12] == 8);
  CHECK(internet_checksum(ip.first(20)) == 0xffff);
  CHECK(ip[3] == 33);
  CHECK(ip[9] == 17);
  Buffer pseudo(ip.begin() + 12, ip.begin() + 20);
  pseudo.insert(pseudo.end(), {0, 17, 0, 13});
  pseudo.insert(pseudo.end(), ip.begin() + 20, ip.end());
  CHECK(internet_checksum(pseudo) == 0xffff);
  CHECK(text_of(ip.subspan(28)) == "hello");
}

TEST_CASE("pcapng: TCP options are on the wire, and the header's length counts them") {
  // As Linux orders them on a SYN: MSS, SACK-permitted, timestamps, window scale (RFC 9293, 2018, 7323).
  const std::array<std::uint8_t, 20> options = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7};
  CapturedPacket p{.proto = Proto::kTcp, .src = ep("10.0.0.1", 33000), .dst = ep("10.0.0.2", 8300), .flags = 2, .payload = payload("data")};
  std::copy(options.begin(), options.end(), p.options.begin());
  p.option_bytes = options.size();
  const Buffer frame = ethernet_frame(p);
  REQUIRE(frame.size() == 14 + 20 + 20 + 20 + 4);
  const ByteView ip = ByteView(frame).subspan(14);
  CHECK(ip[3] == 64);
  const ByteView tcp = ip.subspan(20);
  CHECK((tcp[12] >> 4) == 10);  // words
  CHECK(std::equal(options.begin(), options.end(), tcp.begin() + 20));
  CHECK(text_of(tcp.subspan(40)) == "data");
  Buffer pseudo(ip.begin() + 12, ip.begin() + 20);
  pseudo.insert(pseudo.end(), {0, 6, 0, 44});
  pseudo.insert(pseudo.end(), tcp.begin(), tcp.end());
  CHECK(internet_checksum(pseudo) == 0xffff);
}

TEST_CASE("pcapng: a mapped address is IPv4 on the wire; a payload beyond IP's limit is cut") {
  CapturedPacket p = udp(0, "10.0.0.1", "10.0.0.2", "x");
  const Buffer plain = ethernet_frame(p);
  p.src.address = p.src.address.mapped();
  CHECK(ethernet_frame(p) == plain);
  p.payload = Bytes(Buffer(100'000, 7));
  CHECK(ethernet_frame(p).size() == 14 + 65535);
}

TEST_CASE("pcapng: tshark decodes every packet, with good checksums and nothing malformed") {
  if (!have_tshark()) {
    MESSAGE("skipped: tshark is not installed");
    return;
  }
  const TemporaryFolder folder;
  const std::string file = sample(folder);
  const auto fields = lines_of(
      run("tshark -r " + file +
          " -o ip.check_checksum:TRUE -o udp.check_checksum:TRUE -o tcp.check_checksum:TRUE -T fields -E separator=, "
          "-e frame.time_epoch -e frame.interface_name -e _ws.malformed -e ip.checksum.status -e udp.checksum.status "
          "-e tcp.checksum.status "
          "-e icmp.checksum.status -e icmpv6.checksum.status -e tcp.flags.str -e frame.comment 2>/dev/null"));
  REQUIRE(fields.size() == 9);
  for (const std::string& line : fields) {
    CAPTURE(line);
    CHECK(line.find("alformed") == std::string::npos);
  }
  CHECK(fields[0] == "1.000000001,alpha-1.dc1,,1,1,,,,,");
  CHECK(fields[1].find("core-fw") != std::string::npos);
  CHECK(fields[1].find("dropped by core-fw, rule tenants-apart") != std::string::npos);
  CHECK(fields[3].starts_with("3.000000500,alpha-1.dc1,,1,,1,,,"));
  CHECK(fields[5].starts_with("4.000000000,alpha-1.dc1,,1"));
  CHECK(fields[6] == "5.000000000,alpha-1.dc1,,,1,,,,,");
  CHECK(fields[7].starts_with("6.000000000,alpha-1.dc1,,,,1,,,"));
  const std::string bad =
      run("tshark -r " + file +
          " -o ip.check_checksum:TRUE -o udp.check_checksum:TRUE -o tcp.check_checksum:TRUE "
          "-Y '_ws.malformed || ip.checksum.status==0 || udp.checksum.status==0 || tcp.checksum.status==0 || "
          "icmp.checksum.status==0 || icmpv6.checksum.status==0' 2>/dev/null");
  CHECK(bad.empty());
  const auto icmp = lines_of(run(
      "tshark -r " + file + " -Y 'icmp || icmpv6' -T fields -e icmp.code -e icmpv6.code -e udp.dstport 2>/dev/null"));
  REQUIRE(icmp.size() == 2);
  CHECK(icmp[0] == "13\t\t8302");
  CHECK(icmp[1] == "\t4\t8302");
  CHECK(run("tshark -r " + file + " -Y 'tcp.len==4 && tcp.port==8300' -T fields -e tcp.payload 2>/dev/null") ==
        "64617461\n");
}

TEST_CASE("pcapng: a snaplen cuts what is kept, not what was there") {
  const TemporaryFolder folder;
  const std::string cut = read_file(sample(folder, 60), 1 << 20).value();
  const std::string whole = read_file(sample(folder), 1 << 20).value();
  CHECK(cut.size() < whole.size());
  CHECK(cut.find("hello") != std::string::npos);  // 47 bytes fit
  if (!have_tshark()) return;
  sample(folder, 40);
  const auto lengths = lines_of(
      run("tshark -r " + (folder / "capture.pcapng") + " -T fields -e frame.len -e frame.cap_len 2>/dev/null"));
  REQUIRE(lengths.size() == 9);
  CHECK(lengths[0] == "47\t40");
}

TEST_CASE("pcapng: a file that cannot be written is reported at the end") {
  PcapngWriter w("/nonexistent/capture.pcapng");
  w.interface("a");
  w.write(udp(0, "10.0.0.1", "10.0.0.2", "x"));
  CHECK_FALSE(w.finish().ok());
}
