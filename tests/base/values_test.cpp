#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/ids.h"
#include "base/name_table.h"
#include "base/result.h"
#include "base/time.h"

using namespace dcsim;

TEST_CASE("name table: dense ids in order of first appearance, the empty string first") {
  NameTable names;
  CHECK(names.size() == 1);
  CHECK(names.intern("") == NameId{0});
  CHECK(names.intern("dc1/c1") == NameId{1});
  CHECK(names.intern("dc1/c2") == NameId{2});
  CHECK(names.intern("dc1/c1") == NameId{1});
  CHECK(names.size() == 3);
  CHECK(names.text(NameId{2}) == "dc1/c2");
}

TEST_CASE("name table: looking up does not intern; unknown ids have no text") {
  NameTable names;
  CHECK_FALSE(names.find("x").valid());
  CHECK(names.size() == 1);
  names.intern("x");
  CHECK(names.find("x") == NameId{1});
  CHECK(names.text(NameId::none()).empty());
  CHECK(names.text(NameId{99}).empty());
}

TEST_CASE("name table: texts stay where they are while the table grows, whatever becomes of the caller's string") {
  NameTable names;
  std::vector<std::string_view> texts;
  std::vector<NameId> ids;
  for (int i = 0; i < 5'000; ++i) {
    std::string name = "node-" + std::to_string(i);
    ids.push_back(names.intern(name));
    texts.push_back(names.text(ids.back()));
    name.assign(name.size(), '#');
  }
  const std::string with_zero("a\0b", 3);
  CHECK(names.text(names.intern(with_zero)).size() == 3);
  for (int i = 0; i < 5'000; ++i) {
    const auto index = static_cast<std::size_t>(i);
    const std::string expected = "node-" + std::to_string(i);
    REQUIRE(texts[index] == expected);
    REQUIRE(names.text(ids[index]).data() == texts[index].data());
    REQUIRE(names.find(expected) == ids[index]);
  }
}

TEST_CASE("ids: none is not valid and sorts last") {
  CHECK_FALSE(HostId{}.valid());
  CHECK(HostId{} == HostId::none());
  CHECK(HostId{0}.valid());
  CHECK(HostId{4'000'000'000} < HostId::none());
}

TEST_CASE("result: a value or an error, and asking for the wrong one breaks an invariant") {
  const Result<int> good = 7;
  CHECK(good.ok());
  CHECK(static_cast<bool>(good));
  CHECK(*good == 7);
  CHECK_THROWS_AS(static_cast<void>(good.error()), InvariantBroken);
  const Result<int> bad = Error{"No such host"};
  CHECK_FALSE(bad.ok());
  CHECK(bad.error().text == "No such host");
  CHECK_THROWS_AS(static_cast<void>(bad.value()), InvariantBroken);
}

TEST_CASE("result: of a text, an error is still an error") {
  Result<std::string> text = std::string("value");
  text->append("!");
  CHECK(text.value() == "value!");
  const Result<std::string> bad = Error{"value!"};
  CHECK_FALSE(bad.ok());
}

TEST_CASE("check: says what was broken, with its detail and its place") {
  const int answer = 41;
  std::string said;
  try {
    DCSIM_CHECK_MSG(answer == 42, "answer " + std::to_string(answer));
  } catch (const InvariantBroken& broken) {
    said = broken.what();
  }
  CHECK(said.find("answer == 42") != std::string::npos);
  CHECK(said.find("(answer 41)") != std::string::npos);
  CHECK(said.find("values_test.cpp:") != std::string::npos);
  CHECK_NOTHROW(DCSIM_CHECK(answer == 41));
}

TEST_CASE("time: arithmetic in nanoseconds") {
  CHECK((1_s).ns == 1'000'000'000);
  CHECK(90_min == 1_h + 30_min);
  CHECK(1500_us == 1_ms + 500'000_ns);
  CHECK(10_s / 4 == 2500_ms);
  CHECK(10_s / 3_s == 3);
  CHECK(-(5_ms) < Duration{});
  CHECK((1999_us).millis() == 1);
  const Instant start;
  CHECK((start + 5_s) - start == 5_s);
  CHECK(start + 5_s - 2_s == start + 3_s);
  CHECK(Instant::never() > start + 1'000'000_h);
}

TEST_CASE("time: an instant later than there is, is never") {
  CHECK(Instant{5} + Duration::max() == Instant::never());
  CHECK(Instant::never() + 1_s == Instant::never());
  CHECK(Instant{5} + Duration{7} == Instant{12});
  Instant t{1};
  t += Duration::max();
  CHECK(t == Instant::never());
}
