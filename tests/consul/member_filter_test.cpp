#include "consul/member_filter.h"

#include <doctest/doctest.h>

#include "base/rng.h"

using namespace dcsim;
using namespace dcsim::consul;

namespace {

const MemberRow kServer{"server-1", {*Address::parse("10.0.0.1"), 8301}, "alive", {1, 5, 2, 2, 5, 4}, {{"role", "consul"}, {"dc", "dc1"}, {"empty", ""}}};
const MemberRow kClient{"web-7", {*Address::parse("10.0.0.7"), 8302}, "failed", {1, 5, 2, 2, 5, 4}, {{"role", "node"}, {"dc", "dc1"}}};

bool accepts(std::string_view expression, const MemberRow& row) {
  CAPTURE(expression);
  const auto filter = MemberFilter::parse(expression);
  REQUIRE_MESSAGE(filter.ok(), filter.error().text);
  return filter->accepts(row);
}

std::string error(std::string_view expression) {
  const auto filter = MemberFilter::parse(expression);
  return filter.ok() ? "" : filter.error().text;
}

}  // namespace

TEST_CASE("member filter: go-bexpr's comparisons of names, tags and numbers") {
  for (const char* both : {"Tags.dc == dc1", "\"role\" in Tags", "Tags contains \"dc\"", "Name is not empty", "DelegateCur == 4",
                           "Name matches \"^(server|web)-[0-9]$\"", "ProtocolMin == 1 and DelegateMax == 5", "Tags is not empty"}) {
    CHECK(accepts(both, kServer));
    CHECK(accepts(both, kClient));
  }
  for (const char* server : {"Tags.role == \"consul\"", "Tags[\"role\"] == consul", "Name == \"server-1\"", "Name != \"web-7\"", "\"erver\" in Name",
                             "Name contains erver", "web not in Name", "Name not contains web", "Name not matches \"^web\"", "Port == 8301",
                             "Status == 1", "Status != 4", "Tags.role == consul and not Port == 8302",
                             "Port == 8302 and Name == none or Tags.role == consul", "not (Tags.role == node or Port == 8302)"}) {
    CHECK(accepts(server, kServer));
    CHECK_FALSE(accepts(server, kClient));
  }
}

TEST_CASE("member filter: a tag that is not there is empty and equal to nothing") {
  CHECK_FALSE(accepts("Tags.rack == \"\"", kClient));
  CHECK(accepts("Tags.rack != 4", kClient));
  CHECK(accepts("Tags.rack is empty", kClient));
  CHECK_FALSE(accepts("Tags.rack matches \".*\"", kClient));
  CHECK(accepts("\"rack\" not in Tags", kClient));
  CHECK(accepts("Tags.empty is empty", kServer));
  CHECK(accepts("Tags.empty == \"\"", kServer));
}

TEST_CASE("member filter: what is wrong is refused with a place or a name") {
  CHECK(error("Nmae == x") == "Selector \"Nmae\" is not valid");
  CHECK(error("Name.x == x") == "Selector \"Name.x\" is not valid");
  CHECK(error("Addr contains x") == "Selector \"Addr\" is not modelled by this version of dcsim");
  CHECK(error("Tags == x") == "Invalid match operator for selector \"Tags\"");
  CHECK(error("Port contains 8") == "Invalid match operator for selector \"Port\"");
  CHECK(error("Port == many") == "strconv.ParseInt: parsing \"many\": invalid syntax");
  CHECK(error("Name matches \"(\"") == "error parsing regexp: missing closing ): `(`");
  CHECK(error("Name == \"x") == "1:9 (8): rule \"string\": Unterminated string literal");
  CHECK(error("Name == x y") == "1:11 (10): no match found, expected: `and`, `or` or the end");
  CHECK(error("(Name == x") == "1:11 (10): no match found, expected: `)`");
  CHECK(error("Name") == "1:5 (4): no match found, expected: `==`, `!=`, `contains`, `matches`, `is`, `in` or `not`");
  CHECK(error("") == "1:1 (0): no match found, expected: a selector");
  CHECK(error(std::string(5000, '(')) == "expression is nested too deeply");
  std::string nots;
  for (int i = 0; i < 5000; ++i) nots += "not ";
  CHECK(error(nots + "Port == 1") == "expression is nested too deeply");
  CHECK(error(std::string(100'000, 'x')) == "expression is too long");
}

TEST_CASE("member filter: any words are an expression or an error") {
  static constexpr const char* kWords[] = {"Name", "Tags", "Tags.dc", "Port", "==", "!=", "in", "not", "contains", "matches", "is", "empty",
                                           "and", "or", "(", ")", "[", "]", "\"x\"", "`", "8301", "="};
  Rng rng(1, "filters", "test");
  int sound = 0;
  for (int i = 0; i < 50'000; ++i) {
    std::string text;
    for (std::uint64_t n = rng.below(8); n > 0; --n) (text += kWords[rng.below(std::size(kWords))]) += ' ';
    const auto filter = MemberFilter::parse(text);
    if (filter.ok()) ++sound, static_cast<void>(filter->accepts(kServer));
  }
  CHECK(sound > 10);
}
