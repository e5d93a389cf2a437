#include <cstdio>
#include <cstdlib>
#include <filesystem>

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
  std::filesystem::remove(path);
}

TEST_CASE("capture: a matcher that is no regular expression is told") {
  Pool pool(2);
  CaptureSpec wanted;
  wanted.match = {{"node", trace::MatchOp::kMatches, "("}};
  CHECK(!Capture::make(pool.world, wanted, "/dev/null").ok());
}
