#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "host/capture.h"
#include "host_fixture.h"

using namespace dcsim;
using namespace dcsim::host;

namespace {

std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, n);
  pclose(pipe);
  return out;
}

std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::uint32_t le32(std::string_view at) {
  std::uint32_t v = 0;
  for (int i = 3; i >= 0; --i) v = v << 8 | static_cast<std::uint8_t>(at[static_cast<std::size_t>(i)]);
  return v;
}

/// The frames of the file that left an interface (pcapng: enhanced packet blocks whose epb_flags say outbound).
std::vector<std::string> outbound_frames(const std::string& file) {
  std::vector<std::string> frames;
  for (std::size_t at = 0; at + 12 <= file.size();) {
    const std::string_view block = std::string_view(file).substr(at, le32(std::string_view(file).substr(at + 4)));
    at += block.size();
    if (le32(block) != 6) continue;
    const std::size_t size = le32(block.substr(20));
    const std::string_view options = block.substr(28 + (size + 3) / 4 * 4);
    REQUIRE(options[0] == 2);  // epb_flags come first
    if (options[4] == 2) frames.emplace_back(block.substr(28, size));
  }
  return frames;
}

std::uint8_t byte(std::string_view text, std::size_t at) { return static_cast<std::uint8_t>(text[at]); }

std::size_t lines(const std::string& text) { return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')); }

}  // namespace

TEST_CASE("capture: another program decodes it, and finds drops on the firewall's interface with the rule") {
  if (std::system("command -v tshark >/dev/null 2>&1") != 0) {
    MESSAGE("skipped: tshark is not installed");
    return;
  }
  WorldSpec spec = pool_spec(3);
  net::FirewallConfig firewall;
  firewall.name = "wall";
  firewall.hook = net::FirewallHook::kInput;
  net::RuleSpec rule;
  rule.name = "no-udp";
  rule.ports = {{8301, 8301, 17}};
  rule.action = net::FirewallAction::kDrop;
  firewall.rules = {rule};
  firewall.default_action = net::FirewallAction::kAccept;
  spec.firewalls = {firewall};
  net::HostSet machines;
  machines.add(HostId{2});
  spec.firewall_machines = {machines};
  Pool pool(std::move(spec));
  const std::string path = (std::filesystem::temp_directory_path() / fmt::format("dcsim-capture-{}.pcapng", std::to_string(reinterpret_cast<std::uintptr_t>(&pool)))).string();
  CaptureSpec wanted;
  auto capture = Capture::make(pool.world, wanted, path);
  REQUIRE(capture.ok());
  pool.world.recorder().set_capture(capture->get());
  pool.start_all();
  pool.run_for(10_s);
  REQUIRE((*capture)->finish().ok());
  CHECK((*capture)->packets() > 50);
  const std::string tshark = "tshark -r " + path + " ";
  CHECK(lines(output_of(tshark + "2>/dev/null")) == (*capture)->packets());
  CHECK(lines(output_of(tshark + "-Y 'tcp.flags.syn == 1 && tcp.dstport == 8301' 2>/dev/null")) > 0);
  CHECK(lines(output_of(tshark + "-Y 'udp.dstport == 8301' 2>/dev/null")) > 0);
  CHECK(output_of(tshark + "-Y '_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0 || tcp.checksum.status == 0' -o ip.check_checksum:TRUE -o udp.check_checksum:TRUE -o tcp.check_checksum:TRUE 2>/dev/null").empty());
  const std::string drops = output_of(tshark + "-Y 'frame.interface_name == \"wall\"' -T fields -e ip.dst -e frame.comment 2>/dev/null");
  CHECK(lines(drops) == pool.records(trace::Ev::kPacketDropped).size());
  CHECK(drops.find("10.0.0.3\tdropped by wall, rule no-udp") == 0);
  // Linux's options, and those that follow a handshake (RFC 7323).
  const std::string syn = output_of(tshark + "-Y 'tcp.flags.syn == 1' -T fields -e tcp.hdr_len -e tcp.options.mss_val "
                                    "-e tcp.options.sack_perm -e tcp.options.wscale.shift -e tcp.options.timestamp.tsval 2>/dev/null");
  REQUIRE(lines(syn) > 0);
  std::istringstream in(syn);
  for (std::string line; std::getline(in, line);) {
    CAPTURE(line);
    CHECK(line.starts_with("40\t1460\t"));
    CHECK(std::count(line.begin(), line.end(), '\t') == 4);
    CHECK(line.find("\t\t") == std::string::npos);
  }
  CHECK(output_of(tshark + "-Y 'tcp.flags.syn == 0 && tcp.flags.reset == 0 && !tcp.options.timestamp.tsval' 2>/dev/null").empty());
  std::filesystem::remove(path);
}

TEST_CASE("capture: each packet is as long as the network counted it, TCP options and quoted heads included") {
  Pool pool(3);
  const std::string path = (std::filesystem::temp_directory_path() / fmt::format("dcsim-capture-{}.pcapng", std::to_string(reinterpret_cast<std::uintptr_t>(&pool)))).string();
  auto capture = Capture::make(pool.world, {}, path);
  REQUIRE(capture.ok());
  pool.world.recorder().set_capture(capture->get());
  pool.start_all();
  pool.run_for(10_s);
  pool.world.crash(pool.id(3));  // RSTs and ICMP errors
  pool.run_for(10_s);
  REQUIRE((*capture)->finish().ok());
  const auto frames = outbound_frames(read_all(path));
  const auto sent = pool.records(trace::Ev::kPacketSent);
  REQUIRE(frames.size() == sent.size());
  std::map<std::uint8_t, int> seen;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const std::string_view ip = std::string_view(frames[i]).substr(14);
    CAPTURE(trace::describe(sent[i], pool.tracer.recording()));
    CHECK(ip.size() == sent[i].a);
    CHECK(byte(ip, 2) * 256u + byte(ip, 3) == sent[i].a);
    const std::uint8_t protocol = byte(ip, 9);
    ++seen[protocol];
    if (protocol == 1) {  // the quoted packet, whose destination was n3's
      CHECK(ip.size() == 56);
      CHECK(ip.substr(28 + 16, 4) == std::string_view("\x0a\0\0\x03", 4));
      CHECK(byte(ip, 28 + 22) * 256u + byte(ip, 28 + 23) == 8301);
    }
    if (protocol != 6) continue;
    const std::string_view tcp = ip.substr(20);
    const bool syn = byte(tcp, 13) & 2, reset = byte(tcp, 13) & 4;
    CHECK((byte(tcp, 12) >> 4) * 4 == (syn ? 40 : reset && (byte(tcp, 12) >> 4) == 5 ? 20 : 32));
    if (syn) CHECK(tcp.substr(20, 4) == std::string_view("\x02\x04\x05\xb4", 4));  // MSS 1460
  }
  CHECK(seen[1] > 0);
  CHECK(seen[6] > 0);
  CHECK(seen[17] > 0);
  std::filesystem::remove(path);
}

TEST_CASE("capture: a matcher cannot be made to backtrack") {
  Pool pool(2);
  CaptureSpec wanted;
  wanted.match = {{"node", trace::MatchOp::kMatches, "n(?=1)"}};
  const auto refused = Capture::make(pool.world, wanted, "/dev/null");
  REQUIRE(!refused.ok());
  CHECK(refused.error().text.find("look-ahead is not supported") != std::string::npos);
}

TEST_CASE("capture: a matcher that is no regular expression is told") {
  Pool pool(2);
  CaptureSpec wanted;
  wanted.match = {{"node", trace::MatchOp::kMatches, "("}};
  CHECK(!Capture::make(pool.world, wanted, "/dev/null").ok());
}
