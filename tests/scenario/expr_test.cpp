#include "scenario/expr.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/rng.h"

using namespace dcsim;
using namespace dcsim::scenario;
using trace::AggregateFn;
using trace::Value;

namespace {

const std::vector<std::string> kLabels = {"rack", "role", "zone", "dc", "segment"};

struct Parsed {
  std::shared_ptr<const Expression> expr;
  std::vector<ExprError> errors;
};
Parsed parse(std::string_view text) {
  Parsed p;
  p.expr = Expression::parse(text, kLabels, p.errors);
  return p;
}
std::shared_ptr<const Expression> good(std::string_view text) {
  const Parsed p = parse(text);
  CAPTURE(text);
  for (const ExprError& e : p.errors) CAPTURE(e.message);
  REQUIRE(p.expr);
  REQUIRE(p.errors.empty());
  return p.expr;
}
Value value(std::string_view text, const std::vector<Value>& values = {}) {
  const auto expr = good(text);
  REQUIRE(expr->aggregates().size() == values.size());
  return expr->evaluate(values);
}
double number(std::string_view text, const std::vector<Value>& values = {}) {
  const Value v = value(text, values);
  REQUIRE(v.kind == Value::Kind::kNumber);
  return v.number;
}
bool holds(std::string_view text, const std::vector<Value>& values = {}) {
  const auto expr = good(text);
  REQUIRE(expr->aggregates().size() == values.size());
  return expr->holds(values);
}
Value num(double n) { return Value::of(n); }
Value text(std::string_view t) { return Value::of(t); }
Value list(std::vector<Value> values) {
  Value v;
  v.kind = Value::Kind::kList;
  v.list = std::move(values);
  return v;
}

/// "from-to message | label | help" of the only error.
std::string error_of(std::string_view source) {
  const Parsed p = parse(source);
  CAPTURE(source);
  CHECK_FALSE(p.expr);
  REQUIRE(p.errors.size() == 1);
  const ExprError& e = p.errors.front();
  std::string out = std::to_string(e.from) + "-" + std::to_string(e.to) + " " + e.message;
  if (!e.label.empty()) out += " | " + e.label;
  return out;
}
std::string help_of(std::string_view source) {
  const Parsed p = parse(source);
  REQUIRE(p.errors.size() == 1);
  return p.errors.front().help;
}

constexpr std::string_view kFailed = "consul.serf.member.failed";  // counter
constexpr std::string_view kStatus = "sim.member.status";          // gauge of texts
std::string count(std::string_view rest = "") { return "count(" + std::string(kFailed) + std::string(rest) + ")"; }
std::string status(std::string_view fn) { return std::string(fn) + "(" + std::string(kStatus) + ")"; }

}  // namespace

// --- Grammar --------------------------------------------------------------------------------------------------------

TEST_CASE("* and / bind closer than + and -, and all four from left to right") {
  CHECK(number("1 + 2 * 3") == 7);
  CHECK(number("(1 + 2) * 3") == 9);
  CHECK(number("10 - 4 - 3") == 3);
  CHECK(number("12 / 4 / 3") == 1);
  CHECK(number("12 / 4 * 3") == 9);
  CHECK(number("2 - -3") == 5);
  CHECK(number("2 -3") == -1);
  CHECK(number("-0 * 5") == 0);
}

TEST_CASE("comparisons bind closer than not, not closer than and, and closer than or") {
  CHECK(holds("1 + 1 < 3"));
  CHECK(holds("not 1 > 2"));
  CHECK(holds("true or false and false"));
  CHECK_FALSE(holds("(true or false) and false"));
  CHECK(holds("not false and true"));
  CHECK_FALSE(holds("not (false or true)"));
  CHECK(holds("not true or true"));
  CHECK(holds("1 < 2 and 2 < 3 and 3 < 4"));
  CHECK(holds("1 <= 1 and 1 >= 1 and 1 == 1 and 1 != 2 and 2 > 1"));
  CHECK(holds("\"abc\" == 'abc'"));
  CHECK(holds("(1 < 2) == true"));
}

TEST_CASE("conditions are told from numbers and texts") {
  CHECK(good("1 < 2")->is_condition());
  CHECK(good("not 1 < 2")->is_condition());
  CHECK(good("true")->is_condition());
  CHECK_FALSE(good("1 + 2")->is_condition());
  CHECK_FALSE(good("\"x\"")->is_condition());
  CHECK_FALSE(good(count())->is_condition());
}

TEST_CASE("comparisons do not chain") {
  CHECK(error_of("1 < 2 < 3") == "6-7 comparisons do not chain");
  CHECK(help_of("1 < 2 < 3") == "write `a < b and b < c`");
  CHECK(error_of("1 == 1 != 2") == "7-9 comparisons do not chain");
  CHECK(error_of("1 = 1") == "2-3 `=` compares nothing | did you mean `==`?");
}

// --- Aggregates, series, labels -------------------------------------------------------------------------------------

TEST_CASE("every aggregate is there") {
  const std::pair<const char*, AggregateFn> kAll[] = {{"count", AggregateFn::kCount}, {"rate", AggregateFn::kRate},
                                                      {"sum", AggregateFn::kSum},     {"avg", AggregateFn::kAvg},
                                                      {"min", AggregateFn::kMin},     {"max", AggregateFn::kMax},
                                                      {"med", AggregateFn::kMed},     {"value", AggregateFn::kValue},
                                                      {"all", AggregateFn::kAll},     {"any", AggregateFn::kAny}};
  for (const auto& row : kAll) {
    CAPTURE(row.first);
    const auto expr = good(std::string(row.first) + "(sim.detect.time)");
    REQUIRE(expr->aggregates().size() == 1);
    CHECK(expr->aggregates()[0].fn == row.second);
    CHECK(expr->aggregates()[0].series == trace::Series::kDetectTime);
  }
  const auto quantile = good("p(99.9)(sim.detect.time)");
  CHECK(quantile->aggregates()[0].fn == AggregateFn::kQuantile);
  CHECK(quantile->aggregates()[0].p == doctest::Approx(99.9));
  const auto distinct = good("distinct(sim.detect.time, member)");
  CHECK(distinct->aggregates()[0].fn == AggregateFn::kDistinct);
  CHECK(distinct->aggregates()[0].label == "member");
}

TEST_CASE("a series takes matchers and a range") {
  const auto expr = good(
      "count( consul.serf.member.failed { observer = \"s1.dc1\", zone!='a' ,rack=~\"r[0-9]+\", role !~ \"x\" } [1m30s] "
      ") > 0");
  const trace::AggregateSpec& spec = expr->aggregates()[0];
  REQUIRE(spec.matchers.size() == 4);
  CHECK(spec.matchers[0].label == "observer");
  CHECK(spec.matchers[0].op == trace::MatchOp::kEqual);
  CHECK(spec.matchers[0].text == "s1.dc1");
  CHECK(spec.matchers[1].op == trace::MatchOp::kNotEqual);
  CHECK(spec.matchers[2].op == trace::MatchOp::kMatches);
  CHECK(spec.matchers[2].text == "r[0-9]+");
  CHECK(spec.matchers[3].op == trace::MatchOp::kNotMatches);
  CHECK(spec.range == 90_s);
  CHECK(good(count("{}"))->aggregates()[0].matchers.empty());
  CHECK(good(count("[250ms]"))->aggregates()[0].range == 250_ms);
}

TEST_CASE("in a text the quote is escaped, and backslashes of regular expressions stay") {
  CHECK(value(R"("a\"b")") == text("a\"b"));
  CHECK(value(R"('it\'s')") == text("it's"));
  CHECK(value(R"("a'b")") == text("a'b"));
  CHECK(good(count(R"({member=~"web-\d+\.dc1"})"))->aggregates()[0].matchers[0].text == R"(web-\d+\.dc1)");
  CHECK(value("\"\u00fc\"") == text("\u00fc"));
}

TEST_CASE("names may have dashes, and a dash that ends one is a minus") {
  CHECK(good("count(consul.rpc.cross-dc)")->aggregates()[0].series == trace::Series::kRpcCrossDc);
  CHECK(number(count() + "-1", {num(3)}) == 2);
  CHECK(number(count() + " -1", {num(3)}) == 2);
}

TEST_CASE("matchers alone, as record.packets.match has them") {
  std::vector<ExprError> errors;
  const auto m = parse_matchers("port=\"8301\", from=~\"alpha-.*\"", errors);
  CHECK(errors.empty());
  REQUIRE(m.size() == 2);
  CHECK(m[1].label == "from");
  CHECK(parse_matchers("", errors).empty());
  CHECK(errors.empty());
  (void)parse_matchers("port=\"8301\" from", errors);
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].message == "expected `,` between matchers");
  CHECK(errors[0].from == 12);
  errors.clear();
  (void)parse_matchers("port=8301", errors);
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].message == "a label's value is written in quotes");
}

// --- Units ----------------------------------------------------------------------------------------------------------

TEST_CASE("a percentage is a part of one") {
  CHECK(number("1%") == doctest::Approx(0.01));
  CHECK(holds(count() + " / " + count() + " <= 1%", {num(1), num(100)}));
  CHECK_FALSE(holds(count() + " / " + count() + " <= 1%", {num(2), num(100)}));
}

TEST_CASE("a duration is compared in the unit of its series: seconds or milliseconds") {
  CHECK(holds("max(sim.join.time) < 200ms", {num(0.199)}));  // s
  CHECK_FALSE(holds("max(sim.join.time) < 200ms", {num(0.201)}));
  CHECK(holds("max(consul.memberlist.probeNode) < 200ms", {num(199)}));  // ms
  CHECK_FALSE(holds("max(consul.memberlist.probeNode) < 200ms", {num(201)}));
  CHECK(holds("200ms > max(consul.memberlist.probeNode)", {num(199)}));
  CHECK(holds("max(sim.join.time) == 1m30s", {num(90)}));
  CHECK(holds("max(consul.memberlist.probeNode) == 1s + 500ms", {num(1500)}));
  CHECK(holds("max(consul.memberlist.probeNode) == 2 * 750ms", {num(1500)}));
  CHECK(holds("max(consul.memberlist.probeNode) + 1s == 1500ms", {num(500)}));
  CHECK(holds("max(sim.join.time) < 5", {num(4)}));  // a plain number takes the series' unit
}

TEST_CASE("two series of different units of time are brought to one, also in a quotient") {
  CHECK(holds("max(sim.join.time) == max(consul.memberlist.probeNode)", {num(1.5), num(1500)}));
  CHECK(holds("max(consul.memberlist.probeNode) > max(sim.join.time)", {num(1501), num(1.5)}));
  CHECK(number("max(consul.memberlist.probeNode) / max(sim.join.time)", {num(3000), num(1.5)}) == doctest::Approx(2));
  CHECK(number("max(consul.memberlist.probeNode) / 1s", {num(3000)}) == doctest::Approx(3));
  CHECK(good("max(consul.memberlist.probeNode) / 1s")->unit() == "");
  CHECK(good("max(consul.memberlist.probeNode) + max(sim.join.time)")->unit() == "ms");
  CHECK(good("max(sim.join.time) * 2")->unit() == "s");
  CHECK(good("2 * max(sim.join.time)")->unit() == "s");
  CHECK(good("max(sim.join.time) < 1s")->unit() == "");
  CHECK(holds("sum(sim.fw.drop) > sum(consul.serf.member.failed)", {num(2), num(1)}));  // packets, events: counts both
}

TEST_CASE("sizes, decimal and binary") {
  CHECK(holds("sum(sim.node.bytes) == 2KiB", {num(2048)}));
  CHECK(holds("sum(sim.node.bytes) == 2KB", {num(2000)}));
  CHECK(holds("sum(sim.node.bytes) == 1MiB", {num(1048576)}));
  CHECK(holds("sum(sim.node.bytes) == 7B", {num(7)}));
}

TEST_CASE("units that do not fit are a mistake") {
  CHECK(error_of("max(sim.join.time) < 5KiB") == "21-25 `B` and `s` do not convert");
  CHECK(error_of("sum(sim.node.bytes) < 5s") == "22-24 `s` and `B` do not convert");
  CHECK(error_of(count() + " < 5s") == "35-37 a plain number is compared with one that has a unit");
  CHECK(error_of("5s < 3") == "0-2 a plain number is compared with one that has a unit");
  CHECK(error_of("max(sim.join.time) < sum(sim.node.bytes)") == "21-40 `B` and `s` do not convert");
  CHECK(error_of("5 < 3quux") == "4-9 unknown unit `quux`");
  CHECK(error_of("1m30 < 5s") == "0-4 unknown unit `?`");
  CHECK(error_of("1e5 < 2") == "0-2 unknown unit `e`");
}

TEST_CASE("texts and numbers are not mixed") {
  CHECK(error_of(count() + " == \"alive\"") == "0-43 a text is compared with a number");
  CHECK(error_of(status("value") + " == 3") == "0-29 a text is compared with a number");
  CHECK(error_of(count() + " =~ \"1\"") == "0-32 only a text can match a regular expression");
  CHECK(error_of("1 + \"a\"") == "4-7 only numbers can be calculated with");
  CHECK(error_of("\"a\" * 2") == "0-3 only numbers can be calculated with");
  CHECK(error_of("(1 < 2) + 1") == "1-6 only numbers can be calculated with");
  CHECK(error_of(status("value") + " + 1") == "0-24 only numbers can be calculated with");
  CHECK(error_of(status("max")) == "0-3 the values of `sim.member.status` are texts");
}

// --- Errors ---------------------------------------------------------------------------------------------------------

TEST_CASE("an unknown series is shown with those near it") {
  CHECK(error_of("count(consul.serf.member.faild) > 0")
            .starts_with("6-30 unknown series `consul.serf.member.faild` | did you mean `consul.serf.member.failed`"));
  CHECK(help_of("count(consul.serf.member.faild) > 0") == "`dcsim series` lists them all");
  CHECK(error_of("count(\"x\")") == "6-9 expected the name of a series");
}

TEST_CASE("an unknown label is shown with the near one and all there are") {
  CHECK(error_of(count("{obsever=\"x\"}")) ==
        "32-39 `consul.serf.member.failed` has no label `obsever` | did you mean `observer`?");
  CHECK(help_of(count("{qqqqqq=\"x\"}")).find("observer") != std::string::npos);
  CHECK(help_of(count("{qqqqqq=\"x\"}")).find("rack") != std::string::npos);
  CHECK(error_of("distinct(consul.serf.member.failed, membr)")
            .starts_with("36-41 `consul.serf.member.failed` has no label `membr`"));
}

TEST_CASE("what is missing or too much is pointed at") {
  CHECK(error_of("consul.serf.member.failed > 0") == "0-25 the series `consul.serf.member.failed` needs an aggregate");
  CHECK(help_of("consul.serf.member.failed > 0").starts_with("for example count(consul.serf.member.failed)"));
  CHECK(error_of("median(sim.join.time)") == "0-6 unknown aggregate `median`");
  CHECK(error_of("alive") == "0-5 unexpected `alive`");
  CHECK(error_of("count sim.join.time") == "6-19 expected `(` after `count`");
  CHECK(error_of("count(sim.join.time") == "19-19 expected `)`");
  CHECK(error_of("distinct(sim.join.time)") == "22-23 distinct needs a label");
  CHECK(error_of("count(sim.join.time, joiner)") == "21-27 `count` takes no label");
  CHECK(error_of("p(sim.join.time)") == "2-15 p takes a percentile from 0 to 100");
  CHECK(error_of("p(101)(sim.join.time)") == "2-5 p takes a percentile from 0 to 100");
  CHECK(error_of("p(95) < 3") == "6-7 expected `(series)` after the percentile");
  CHECK(error_of(count("{member}")) == "38-39 expected = != =~ or !~ after the label `member`");
  CHECK(error_of(count("{member==\"x\"}")) ==
        "38-40 expected = != =~ or !~ after the label `member` | did you mean `=`?");
  CHECK(error_of(count("{member=x}")) == "39-40 a label's value is written in quotes");
  CHECK(error_of(count("{member=\"x\"")) == "42-43 expected `,` or `}`");
  CHECK(error_of(count("[30]")) == "32-34 a range is a duration");
  CHECK(error_of(count("[0s]")) == "32-34 a range is a duration");
  CHECK(error_of(count("[30s)")) == "35-36 expected `]`");
  CHECK(error_of("1 < 2 3") == "6-7 unexpected text after the expression");
  CHECK(error_of("(1 < 2") == "6-6 expected `)`");
  CHECK(error_of("1 +") == "3-3 the expression ends too early");
  CHECK(error_of("") == "0-0 the expression ends too early");
  CHECK(error_of("not") == "3-3 the expression ends too early");
  CHECK(error_of("-x") == "1-2 expected a number after `-`");
  CHECK(error_of("$x") == "0-1 unexpected `$`");
  CHECK(error_of("1 < \u00fc") == "4-6 unexpected `\u00fc`");  // bytes, whole characters
  CHECK(error_of("\"abc") == "0-4 the string does not end");
  CHECK(error_of(count("{member=\"x}")) == "39-43 the string does not end");
  CHECK(error_of("\"a\" =~ \"(\"") == "7-10 `(` is no regular expression: a parenthesis has no partner");
  CHECK(error_of("\"a\" =~ 3") == "7-8 `=~` needs a regular expression in quotes");
  CHECK(error_of(count("{member=~\"[\"}")) == "40-43 `[` is no regular expression: a bracket has no partner");
  CHECK(error_of("1" + std::string(400, '0')) == "0-401 the number is too large");
}

TEST_CASE("what would be too much is refused: length, depth, operators, aggregates, expressions inside") {
  CHECK(error_of(std::string(16 * 1024 + 1, ' ')) == "0-1 the expression is longer than 16 KiB");
  CHECK(holds("1 < 2" + std::string(16 * 1024 - 5, ' ')));
  CHECK(holds(std::string(60, '(') + "true" + std::string(60, ')')));
  CHECK(error_of(std::string(5000, '(')) == "64-65 the expression is nested too deeply");
  std::string chain = "0";
  for (int i = 0; i < 500; ++i) chain += "+1";
  CHECK(number(chain) == 500);
  CHECK(error_of(chain + "+1").ends_with("the expression has more than 500 operators"));
  std::string many = "count(sim.refute)";
  for (int i = 0; i < 256; ++i) many += "+count(sim.refute)";
  CHECK(error_of(many).ends_with("too many aggregates"));
  CHECK(error_of("\"a\" =~ \"" + std::string(1025, 'a') + "\"")
            .ends_with("the regular expression is longer than 1024 bytes"));
}

// --- Evaluation -----------------------------------------------------------------------------------------------------

TEST_CASE("nothing compares with nothing: a comparison with none is false, whatever the operator") {
  for (const char* op : {"<", "<=", ">", ">=", "==", "!="}) {
    CAPTURE(op);
    CHECK_FALSE(holds(std::string("min(sim.join.time) ") + op + " 3", {Value::none()}));
    CHECK_FALSE(holds(std::string("3 ") + op + " min(sim.join.time)", {Value::none()}));
    CHECK_FALSE(holds(std::string("min(sim.join.time) ") + op + " max(sim.join.time)", {Value::none(), Value::none()}));
  }
  CHECK(holds("not min(sim.join.time) < 3", {Value::none()}));
  CHECK_FALSE(holds(status("value") + " =~ \".*\"", {Value::none()}));
}

TEST_CASE("none goes through arithmetic, and so does a division by zero") {
  CHECK(value("min(sim.join.time) + 1", {Value::none()}) == Value::none());
  CHECK(value("1 / 0") == Value::none());
  CHECK_FALSE(holds("1 / 0 == 1 / 0"));
}

TEST_CASE("all compares every value and holds for none at all, any some value") {
  const std::string all = status("all"), any = status("any");
  const Value mixed = list({text("alive"), text("failed")}), alive = list({text("alive")}), empty = list({});
  CHECK(holds(all + " == \"alive\"", {alive}));
  CHECK_FALSE(holds(all + " == \"alive\"", {mixed}));
  CHECK(holds(all + " == \"alive\"", {empty}));
  CHECK(holds(any + " == \"failed\"", {mixed}));
  CHECK_FALSE(holds(any + " == \"failed\"", {alive}));
  CHECK_FALSE(holds(any + " == \"failed\"", {empty}));
  CHECK(holds("\"failed\" == " + any, {mixed}));
  CHECK(holds(all + " =~ \"^(alive|failed)$\"", {mixed}));
  CHECK(holds(all + " != \"left\"", {mixed}));
  CHECK_FALSE(holds(all + " != \"failed\"", {mixed}));
  CHECK(holds("all(sim.members.alive) >= 3", {list({num(3), num(4)})}));
  CHECK_FALSE(holds("3 < all(sim.members.alive)", {list({num(3), num(4)})}));
  CHECK(holds(all + " == " + all, {alive, alive}));
  CHECK_FALSE(holds(all + " == " + any, {mixed, alive}));
  CHECK(holds(any + " == " + any, {mixed, alive}));
}

TEST_CASE("=~ looks anywhere in a text, and does not fall for hostile ones") {
  CHECK(holds("\"web-12.dc1\" =~ \"-[0-9]+\""));
  CHECK_FALSE(holds("\"web-12.dc1\" =~ \"^[0-9]+\""));
  CHECK_FALSE(holds(status("value") + " =~ \"^a+$\"", {text(std::string(1'000'000, 'b'))}));
}

TEST_CASE("values are printed for people") {
  CHECK(value_text(num(3)) == "3");
  CHECK(value_text(num(-0.0)) == "0");
  CHECK(value_text(num(0.123456789)) == "0.123457");
  CHECK(value_text(num(1e20)) == "1e+20");
  CHECK(value_text(text("alive")) == "\"alive\"");
  CHECK(value_text(Value::none()) == "none");
  CHECK(value_text(list({num(1), text("a")})) == "[1, \"a\"]");
  std::vector<Value> ten;
  for (int i = 0; i < 10; ++i) ten.push_back(num(i));
  CHECK(value_text(list(ten)) == "[0, 1, 2, 3, 4, 5, 6, 7, ... 2 more]");

  Value differing = Value::none();
  differing.ambiguous = true;
  const auto expr = good("count(sim.refute{member=\"a\"}) > 2 and value(sim.members.alive) == 3");
  CHECK(expr->values_text(std::vector<Value>{num(1), differing}) ==
        "count(sim.refute{member=\"a\"}) = 1, value(sim.members.alive) = none (label sets differ)");
  CHECK(good("1 < 2")->values_text({}) == "");
}

TEST_CASE("garbage gives an expression or errors inside it, and what parses evaluates") {
  static constexpr std::string_view kPieces[] = {"count",
                                                 "p",
                                                 "(",
                                                 ")",
                                                 "95",
                                                 "sim.join.time",
                                                 "sim.member.status",
                                                 "{",
                                                 "}",
                                                 "[",
                                                 "]",
                                                 "member",
                                                 "=",
                                                 "=~",
                                                 "!~",
                                                 "\"a\"",
                                                 "\"(\"",
                                                 "'",
                                                 "\"",
                                                 "and",
                                                 "or",
                                                 "not",
                                                 "<",
                                                 ">=",
                                                 "==",
                                                 "+",
                                                 "-",
                                                 "*",
                                                 "/",
                                                 "1",
                                                 "2.5",
                                                 "30s",
                                                 "1m30s",
                                                 "4KiB",
                                                 "10%",
                                                 ",",
                                                 "true",
                                                 "all",
                                                 "distinct",
                                                 "\\",
                                                 "\xff",
                                                 "$",
                                                 "1e9",
                                                 ".",
                                                 "max"};
  Rng rng(11, "expressions", "test");
  std::size_t parsed = 0;
  for (int i = 0; i < 60'000; ++i) {
    std::string source;
    for (std::uint64_t n = rng.below(14); n > 0; --n) {
      if (rng.below(20) == 0)
        source += static_cast<char>(rng.below(256));
      else
        source += std::string(kPieces[rng.below(std::size(kPieces))]) + (rng.below(3) ? " " : "");
    }
    if (rng.below(2)) source = "max(sim.join.time) < 1s and " + source;
    const Parsed p = parse(source);
    CHECK(static_cast<bool>(p.expr) == p.errors.empty());
    for (const ExprError& e : p.errors) {
      CHECK(e.from <= e.to);
      CHECK(e.to <= source.size());
      CHECK_FALSE(e.message.empty());
    }
    if (!p.expr) continue;
    ++parsed;
    std::vector<Value> values;
    for (std::size_t k = 0; k < p.expr->aggregates().size(); ++k) {
      values.push_back(rng.below(3) == 0 ? Value::none()
                       : rng.below(2)    ? num(static_cast<double>(rng.below(100)))
                                         : list({num(1), text("a")}));
    }
    (void)p.expr->holds(values);
    (void)p.expr->values_text(values);
  }
  CHECK(parsed > 100);
}
