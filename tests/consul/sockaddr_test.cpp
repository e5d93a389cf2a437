#include <doctest/doctest.h>

#include "base/rng.h"
#include "consul/sockaddr.h"

using namespace dcsim;
using namespace dcsim::consul;

// Functions and verbs: hashicorp/go-sockaddr template/doc.go, template.go, ifaddrs.go.

namespace {

const std::vector<Interface> kHost = {
    {"lo", *Address::parse("127.0.0.1"), 8, true, false},
    {"eth0", *Address::parse("10.0.0.7"), 24, true, true},
    {"eth0", *Address::parse("2001:db8::7"), 64, true, true},
    {"eth1", *Address::parse("198.51.100.7"), 26, true, false},
    {"eth2", *Address::parse("192.168.4.7"), 16, true, false},
    {"eth3", *Address::parse("172.16.0.9"), 12, false, false},
};

std::string expand(std::string_view text) {
  const auto result = expand_template(text, kHost);
  return result ? *result : "error: " + result.error().text;
}
std::string all(std::string_view rest) { return expand("{{ GetAllInterfaces " + std::string(rest) + " }}"); }

}  // namespace

TEST_CASE("text outside of braces stays, and several templates may stand in one text") {
  CHECK(expand("10.0.0.1") == "10.0.0.1");
  CHECK(expand("") == "");
  CHECK(expand("{{ GetPrivateIP }}:8301") == "10.0.0.7:8301");
  CHECK(expand("{{GetPrivateIP}} {{GetPublicIP}}") == "10.0.0.7 198.51.100.7");
  const auto list = expand_addresses("  a   b ", kHost);
  REQUIRE(list.ok());
  CHECK(*list == std::vector<std::string>{"a", "b"});
}

TEST_CASE("each function finds its addresses") {
  CHECK(expand("{{ GetPrivateIP }}") == "10.0.0.7");
  CHECK(expand("{{ GetPrivateIPs }}") == "10.0.0.7 192.168.4.7");
  CHECK(expand("{{ GetPublicIP }}") == "198.51.100.7");
  CHECK(expand("{{ GetPublicIPs }}") == "2001:db8::7 198.51.100.7");
  CHECK(expand("{{ GetInterfaceIP \"eth1\" }}") == "198.51.100.7");
  CHECK(expand("{{ GetInterfaceIP \"eth9\" }}") == "");
  CHECK(expand("{{ GetInterfaceIPs \"eth0\" }}") == "10.0.0.7 2001:db8::7");
  CHECK(expand("{{ GetInterfaceIP \"eth\" }}") == "");  // the name is matched as a whole
  CHECK(expand("{{ GetDefaultInterfaces }}") == "10.0.0.7 2001:db8::7");
  CHECK(expand("{{ GetPrivateInterfaces | attr \"name\" }}") == "eth0");
  CHECK(expand("{{ GetPublicInterfaces | include \"type\" \"ipv4\" | attr \"address\" }}") == "198.51.100.7");
  CHECK(expand("{{ GetAllInterfaces }}") == "127.0.0.1 10.0.0.7 2001:db8::7 198.51.100.7 192.168.4.7 172.16.0.9");
}

TEST_CASE("include and exclude choose by network, name, address, type, size, flags and RFC") {
  CHECK(all("| include \"network\" \"10.0.0.0/8\"") == "10.0.0.7");
  CHECK(all("| include \"network\" \"10.0.0.0/8|192.168.0.0/16\"") == "10.0.0.7 192.168.4.7");
  CHECK(all("| exclude \"name\" \"^eth\"") == "127.0.0.1");
  CHECK(all(R"(| include "address" "\\.7$" | exclude "name" "eth1")") == "10.0.0.7 192.168.4.7");
  CHECK(all("| include `address` `[.]7$` | exclude `name` `eth1`") == "10.0.0.7 192.168.4.7");
  CHECK(all("| include \"type\" \"ipv6\"") == "2001:db8::7");
  CHECK(all("| include \"size\" \"256\"") == "10.0.0.7");
  CHECK(all("| exclude \"flags\" \"up\"") == "172.16.0.9");
  CHECK(all("| include \"flags\" \"loopback\"") == "127.0.0.1");
  CHECK(all("| include \"rfc\" \"1918\" | include \"flags\" \"up\"") == "10.0.0.7 192.168.4.7");
}

TEST_CASE("sort, unique, limit and offset arrange, attr and join print") {
  CHECK(all("| include \"type\" \"ipv4\" | sort \"address\" | limit 2") == "10.0.0.7 127.0.0.1");
  CHECK(all("| include \"type\" \"ipv4\" | sort \"-address\" | limit 1") == "198.51.100.7");
  CHECK(all("| sort \"-name,type\" | offset 4") == "10.0.0.7 2001:db8::7");
  CHECK(all("| sort \"default,-type\" | limit 2 | join \"address\" \",\"") == "2001:db8::7,10.0.0.7");
  CHECK(all("| sort \"size\" | attr \"name\"") == "eth0");
  CHECK(all("| unique \"name\" | join \"name\" \" \"") == "lo eth0 eth1 eth2 eth3");
  CHECK(all("| limit 0") == "");
  CHECK(all("| limit 0 | attr \"address\"") == "");
  CHECK(all("| offset 99") == "");
  CHECK(all("| include \"name\" \"eth1\" | attr \"network\"") == "198.51.100.0/26");
  CHECK(all("| include \"name\" \"eth1\" | attr \"size\"") == "64");
  CHECK(all("| include \"name\" \"eth1\" | attr \"type\"") == "IPv4");
}

TEST_CASE("math moves an address, or counts from either end of its network") {
  const auto eth0 = [](std::string_view rest) { return all("| include `network` `10.0.0.0/24` | " + std::string(rest)); };
  CHECK(eth0("math \"address\" \"+3\"") == "10.0.0.10");
  CHECK(eth0("math \"address\" \"-7\"") == "10.0.0.0");
  CHECK(eth0("math \"network\" \"+1\"") == "10.0.0.1");
  CHECK(eth0("math \"network\" \"-2\"") == "10.0.0.254");
}

TEST_CASE("what is wrong with a template is said") {
  const std::string prefix = "error: unable to parse address template: ";
  CHECK(expand("{{ GetPrivateIP") == prefix + "unclosed action");
  CHECK(all("| attr \"name") == prefix + "unterminated string");
  CHECK(all("| attr \"name\\\"") == prefix + "unterminated string");
  CHECK(all("| attr \"na\\qme\"") == prefix + "invalid escape in a string");
  CHECK(expand("{{ }}") == prefix + "missing value for command");
  CHECK(expand("{{ | limit 1 }}") == prefix + "missing function before |");
  CHECK(expand("{{ GetPrivateIPP }}") == prefix + "function \"GetPrivateIPP\" not defined");
  CHECK(all("| shuffle") == prefix + "function \"shuffle\" not defined");
  CHECK(all("| limit x") == prefix + "limit takes a number");
  CHECK(all("| limit -1") == prefix + "limit takes a number");
  CHECK(all("| include \"name\"") == prefix + "include takes a selector and a parameter");
  CHECK(all("| include \"colour\" \"red\"") == prefix + "invalid selector \"colour\"");
  CHECK(all("| include \"name\" \"(\"") == prefix + "invalid expression \"(\"");
  CHECK(all("| include \"network\" \"10.0.0.0\"") == prefix + "invalid network \"10.0.0.0\"");
  CHECK(all("| sort \"colour\"") == prefix + "invalid sort key \"colour\"");
  CHECK(all("| attr \"colour\"") == prefix + "attr takes an attribute");
  CHECK(all("| attr \"name\" | limit 1") == prefix + "\"limit\" needs a list of interfaces");
  CHECK(all("| math \"address\" \"x\"") == prefix + "math \"address\" \"x\"");
  CHECK(expand("{{ GetInterfaceIP }}") == prefix + "GetInterfaceIP takes an interface name");
  CHECK(expand(std::string(5000, 'x')) == prefix + "too long");
  std::string pipes = "{{ GetAllInterfaces";
  for (int i = 0; i < 100; ++i) pipes += " | limit 9";
  CHECK(expand(pipes + " }}") == prefix + "too many verbs");
}

TEST_CASE("RFC 6890's private addresses, and no others") {
  for (const char* ip : {"10.255.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "fd00::1"}) CHECK(is_private(*Address::parse(ip)));
  for (const char* ip : {"9.255.255.255", "172.32.0.1", "172.15.0.1", "192.169.0.1", "100.128.0.1", "8.8.8.8", "2001:db8::1"}) CHECK_FALSE(is_private(*Address::parse(ip)));
}

TEST_CASE("garbage gives a text or an error, whatever it is") {
  static constexpr std::string_view kPieces[] = {"{{", "}}", "|", "\"", "`", " ", "GetAllInterfaces", "GetInterfaceIP", "include", "exclude", "sort", "math",
                                                 "attr", "join", "limit", "offset", "unique", "name", "network", "-9223372036854775808", "99999999999999999999",
                                                 "10.0.0.0/8", "(a*)*", "[", "address", "\xff", "", "0"};
  Rng rng(7, "templates", "test");
  std::size_t errors = 0, texts = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = rng.below(3) ? "{{ GetAllInterfaces | " : "";
    for (std::uint64_t n = rng.below(12); n > 0; --n) {
      if (rng.below(6) == 0) text += static_cast<char>(rng.below(256));
      else text += std::string(kPieces[rng.below(std::size(kPieces))]) + (rng.below(2) ? " " : "");
    }
    if (rng.below(2)) text += "}}";
    const auto result = expand_template(text, kHost);
    ++(result ? texts : errors);
    if (!result) CHECK(result.error().text.starts_with("unable to parse address template: "));
  }
  CHECK(errors > 1000);
  CHECK(texts > 1000);
}
