#include "base/address.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"

using namespace dcsim;

namespace {

Address address(std::string_view text) {
  const auto parsed = Address::parse(text);
  REQUIRE_MESSAGE(parsed.has_value(), std::string(text));
  return *parsed;
}

Cidr cidr(std::string_view text) {
  const auto parsed = Cidr::parse(text);
  REQUIRE_MESSAGE(parsed.has_value(), std::string(text));
  return *parsed;
}

}  // namespace

TEST_CASE("address: dotted quads") {
  const Address a = address("10.20.1.250");
  CHECK(a.is_v4());
  CHECK(a.v4_value() == 0x0A1401FAu);
  CHECK(a == Address::v4(0x0A1401FA));
  CHECK(a.text() == "10.20.1.250");
  CHECK(address("0.0.0.0").text() == "0.0.0.0");
  CHECK(address("255.255.255.255").v4_value() == 0xffffffffu);
}

TEST_CASE("address: what is no address") {
  using namespace std::string_view_literals;
  for (const std::string_view text :
       {""sv, "10.0.0"sv, "10.0.0.256"sv, "10.0.0.1 "sv, " 10.0.0.1"sv, "10.0.0.1/8"sv, "10.0.0.1:80"sv, "a"sv,
        "1::2::3"sv, ":::"sv, "fe80::1%eth0"sv, "10.0.0.1\0x"sv, "12345::"sv}) {
    CAPTURE(text);
    CHECK_FALSE(Address::parse(text).has_value());
  }
  CHECK_FALSE(Address::parse(std::string(100'000, '1')).has_value());
}

TEST_CASE("address: IPv6 prints as Go's net.IP does") {
  const std::vector<std::pair<const char*, const char*>> texts{
      {"::", "::"},
      {"::1", "::1"},
      {"0:0:0:0:0:0:0:1", "::1"},
      {"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"fe80:0:0:0:0:0:0:0", "fe80::"},
      {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
      {"::1.2.3.4", "::102:304"},
      {"::1:2", "::1:2"},
      {"::ffff:10.0.0.1", "10.0.0.1"},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
  };
  for (const auto& [given, printed] : texts) {
    CHECK(address(given).text() == printed);
    CHECK(address(printed).canonical() == address(given).canonical());
  }
}

TEST_CASE("address: the 4-byte and the mapped form differ as bytes and are one when routed") {
  const Address four = address("10.0.0.1");
  const Address sixteen = four.mapped();
  CHECK(sixteen.bytes().size() == 16);
  CHECK(sixteen.is_v4_mapped());
  CHECK_FALSE(sixteen.is_v4());
  CHECK(sixteen != four);
  CHECK(sixteen.canonical() == four);
  CHECK(sixteen.mapped() == sixteen);
  CHECK(sixteen.v4_value() == four.v4_value());
  CHECK(sixteen.text() == "10.0.0.1");
  CHECK(sixteen == address("::ffff:10.0.0.1"));
  CHECK_FALSE(address("::fffe:10.0.0.1").is_v4_mapped());
  CHECK_THROWS_AS(static_cast<void>(address("::1").v4_value()), InvariantBroken);
}

TEST_CASE("address: from bytes of 0, 4 or 16 only") {
  const std::vector<std::uint8_t> bytes{10, 0, 0, 1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const auto made = Address::from_bytes(std::span(bytes).first(size));
    CHECK(made.has_value() == (size == 0 || size == 4 || size == 16));
    if (made) CHECK(std::equal(made->bytes().begin(), made->bytes().end(), bytes.begin()));
    if (made) CHECK(made->bytes().size() == size);
  }
  CHECK(Address{}.empty());
  CHECK(Address{}.text().empty());
}

TEST_CASE("address: endpoints print with brackets where they are needed") {
  CHECK(Endpoint{address("10.0.0.1"), 8301}.text() == "10.0.0.1:8301");
  CHECK(Endpoint{address("10.0.0.1").mapped(), 8301}.text() == "10.0.0.1:8301");
  CHECK(Endpoint{address("::1"), 8300}.text() == "[::1]:8300");
  CHECK(Endpoint{address("10.0.0.1"), 1} < Endpoint{address("10.0.0.1"), 2});
}

TEST_CASE("cidr: contains exactly its network") {
  const Cidr net = cidr("10.20.1.7/24");
  CHECK(net.text() == "10.20.1.0/24");
  CHECK(net == cidr("10.20.1.0/24"));
  CHECK(net.contains(0x0A140100));
  CHECK(net.contains(0x0A1401FF));
  CHECK_FALSE(net.contains(0x0A140200));
  CHECK_FALSE(net.contains(0x0A1400FF));
  CHECK(net.first_host() == 0x0A140101u);
  CHECK(net.last_host() == 0x0A1401FEu);
}

TEST_CASE("cidr: the ends of the range of lengths") {
  CHECK(cidr("0.0.0.0/0").contains(0xffffffffu));
  CHECK(cidr("9.9.9.9/0").text() == "0.0.0.0/0");
  CHECK(cidr("0.0.0.0/0").last_host() == 0xfffffffeu);
  const Cidr host = cidr("10.0.0.5/32");
  CHECK(host.contains(0x0A000005));
  CHECK_FALSE(host.contains(0x0A000004));
  CHECK(host.first_host() == host.last_host());
  const Cidr pair = cidr("10.0.0.4/31");
  CHECK(pair.first_host() == 0x0A000004u);
  CHECK(pair.last_host() == 0x0A000005u);
}

TEST_CASE("cidr: what is no network") {
  for (const char* text : {"", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/-0", "10.0.0.0/+8",
                           "10.0.0.0/8 ", "10.0.0.0/8/8", "10.0.0/8", "::/0", "/8", "10.0.0.0/99999999999999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(Cidr::parse(text).has_value());
  }
}

TEST_CASE("an address as a peer claims it may be of any size up to 16, and prints as Go's net.IP") {
  const Buffer odd{0x0a, 0x00, 0xff}, five(5, 1), seventeen(17, 1);
  const auto claimed = Address::from_claim(odd);
  REQUIRE(claimed);
  CHECK(claimed->text() == "?0a00ff");
  CHECK(Endpoint{*claimed, 7946}.text() == "?0a00ff:7946");
  CHECK(std::equal(odd.begin(), odd.end(), claimed->bytes().begin(), claimed->bytes().end()));
  CHECK(claimed->canonical() == *claimed);
  CHECK(*claimed != *Address::from_claim(five));
  CHECK(Address::from_claim({})->empty());
  CHECK(Address::from_claim(Buffer{10, 0, 0, 1}) == Address::v4(0x0a000001));
  CHECK_FALSE(Address::from_claim(seventeen));
  CHECK_FALSE(Address::from_bytes(odd));  // elsewhere an address is an address
}
