// Several mistakes in one expression, and the units that values come in.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "scenario/expr.h"
#include "scenario/expr_units.h"

using namespace dcsim;
using namespace dcsim::scenario;

namespace {

const std::vector<std::string> kLabels = {"role", "zone", "dc", "segment"};

/// "from: message" of each mistake.
std::vector<std::string> mistakes(std::string_view text) {
  std::vector<ExprError> errors;
  CHECK_FALSE(Expression::parse(text, kLabels, errors));
  std::vector<std::string> out;
  for (const ExprError& e : errors) out.push_back(std::to_string(e.from) + ": " + e.message);
  return out;
}
using Lines = std::vector<std::string>;

std::string unit(std::string_view text) {
  std::vector<ExprError> errors;
  const auto e = Expression::parse(text, kLabels, errors);
  REQUIRE_MESSAGE(e, text << ": " << (errors.empty() ? "" : errors[0].message));
  return e->unit();
}
bool holds(std::string_view text, double value) {
  std::vector<ExprError> errors;
  const auto e = Expression::parse(text, kLabels, errors);
  REQUIRE_MESSAGE(e, text << ": " << (errors.empty() ? "" : errors[0].message));
  const std::vector<trace::Value> values = {trace::Value::of(value)};
  return e->holds(values);
}

}  // namespace

TEST_CASE("mistakes: an unknown series and unknown labels of others are told together") {
  CHECK(
      mistakes(
          R"(count(consul.serf.member.faild{foo="x"}) > 1 and count(consul.serf.member.flap{bar="1", role="a", baz="2"}) > 1)") ==
      Lines{"6: unknown series `consul.serf.member.faild`", "79: `consul.serf.member.flap` has no label `bar`",
            "98: `consul.serf.member.flap` has no label `baz`"});
  CHECK(mistakes(R"(distinct(sim.refutes, member) > 1 or distinct(sim.refute, mebmer) > 1)") ==
        Lines{"9: unknown series `sim.refutes`", "58: `sim.refute` has no label `mebmer`"});
}

TEST_CASE("mistakes: what is only wrong in sense does not hide what follows") {
  CHECK(mistakes(R"(max(sim.join.time) > "long" and total(sim.refute) > 1 and sim.refute > 2)") ==
        Lines{"0: a text is compared with a number", "32: unknown aggregate `total`",
              "58: the series `sim.refute` needs an aggregate"});
  CHECK(mistakes(R"(count(sim.refute) > 5fortnights or sum(sim.member.status) > 1)") ==
        Lines{"20: unknown unit `fortnights`", "35: the values of `sim.member.status` are texts"});
  CHECK(mistakes(R"(count(sim.refute{zone=~"("}) > 1 and value(sim.member.status) =~ "[")") ==
        Lines{"23: `(` is no regular expression: a parenthesis has no partner",
              "65: `[` is no regular expression: a bracket has no partner"});
}

TEST_CASE("mistakes: after one of form, reading goes on at the next and or or") {
  CHECK(mistakes("count(sim.refute > 1 and count(sim.nonsuch) > 1") ==
        Lines{"17: expected `)`"});  // the bracket never closes
  CHECK(mistakes("count() > 1 and count(sim.nonsuch) > 1 or max(sim.join.time) >") ==
        Lines{"6: expected the name of a series", "22: unknown series `sim.nonsuch`",
              "62: the expression ends too early"});
}

TEST_CASE("mistakes: one mistake is told once, and there is an end to telling") {
  CHECK(mistakes("rate(sim.nonsuch) + 5s > 1KiB").size() == 1);
  CHECK(mistakes("(count(sim.nonsuch) > 1) == true").size() == 1);
  std::string many = "count(sim.a1) > 1";
  for (int i = 0; i < 100; ++i) many += " and count(sim.a1) > 1";
  CHECK(mistakes(many).size() == 20);
}

TEST_CASE("units: a rate is per second, of bytes in bytes") {
  CHECK(unit("rate(sim.node.bytes)") == "B/s");
  CHECK(unit("rate(consul.serf.member.failed)") == "events/s");
  CHECK(unit("count(sim.node.bytes)") == "B");
  CHECK(unit("count(consul.serf.member.failed)") == "");
  CHECK(unit("rate(sim.rpc.error) / rate(sim.rpc.count)") == "");
  CHECK(unit("sum(sim.link.bytes) / 60s") == "B/s");
  CHECK(unit("rate(sim.link.bytes) * 1m") == "B");
  CHECK(unit("max(sim.join.time) / 1s") == "");
}

TEST_CASE("units: bytes a second compare with sizes, with sizes a second and with bits") {
  CHECK(holds("rate(sim.node.bytes) > 1KiB", 1025));
  CHECK_FALSE(holds("rate(sim.node.bytes) > 1KiB", 1024));
  CHECK(holds("rate(sim.node.bytes) >= 1KiB/s", 1024));
  CHECK(holds("rate(sim.node.bytes) == 8kbit", 1000));
  CHECK(holds("rate(sim.node.bytes) == 60KiB/min", 1024));
  CHECK(holds("1Mbit < rate(sim.node.bytes)", 125'001));
  CHECK(holds("avg(sim.node.gossip_bytes_per_s) > 1KiB", 1025));
  CHECK(holds("count(sim.node.bytes) == 2KiB", 2048));
  CHECK(holds("rate(consul.serf.member.failed) == 30/min", 0.5));
  CHECK(holds("rate(consul.serf.member.failed) > 0.4", 0.5));  // a bare number is per second
  CHECK(holds("rate(sim.rpc.error) <= 1%", 0.01));
  CHECK(mistakes("rate(sim.node.bytes) > 5s") == Lines{"23: `s` and `B/s` do not convert"});
  CHECK(mistakes("max(sim.join.time) > 1KiB") == Lines{"21: `B` and `s` do not convert"});
  CHECK(mistakes("count(consul.serf.member.failed) > 1KiB") ==
        Lines{"35: a plain number is compared with one that has a unit"});
  CHECK(holds("60 / min(sim.members.alive) == 5", 12));  // a quotient, not a rate
}

TEST_CASE("units: what converts into what") {
  CHECK(convert(1536, "B/s", "KiB/s") == 1.5);
  CHECK(convert(125'000, "B/s", "Mbit/s") == 1);
  CHECK(convert(125'000, "B/s", "Mbps") == 1);
  CHECK(convert(2'000'000, "B/s", "MBps") == 2);
  CHECK(convert(1, "KiB", "kbit") == doctest::Approx(8.192));
  CHECK(convert(0.5, "events/s", "flaps/min") == 30);
  CHECK(convert(0.5, "events/s", "flaps/h") == 1800);
  CHECK(convert(3, "events", "flaps") == 3);
  CHECK(convert(1500, "ms", "s") == 1.5);
  CHECK_FALSE(convert(1, "events/s", "events"));
  CHECK_FALSE(convert(1, "B", "s"));
  CHECK_FALSE(convert(1, "B", "B/s"));
  CHECK_FALSE(convert(1, "s", "events"));
}
