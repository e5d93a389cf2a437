#include "base/regex.h"

#include <doctest/doctest.h>

#include <string>

using namespace dcsim;

namespace {

bool matches(std::string_view expression, std::string_view text) {
  const auto regex = Regex::compile(expression);
  REQUIRE_MESSAGE(regex, expression);
  return regex->matches(text);
}

TEST_CASE("regex: Go's expressions, unanchored") {
  CHECK(matches("web", "my-web-1"));
  CHECK_FALSE(matches("^web", "my-web-1"));
  CHECK(matches("^web-[0-9]+$", "web-42"));
  CHECK_FALSE(matches("^web-[0-9]+$", "web-42b"));
  CHECK(matches("", ""));
  CHECK(matches("^$", ""));
  CHECK_FALSE(matches("^$", "x"));
  CHECK(matches("(db|cache)-\\d{2}", "eu-cache-07"));
  CHECK_FALSE(matches("(db|cache)-\\d{2}", "eu-cache-7"));
  CHECK(matches("a{2,3}$", "caaa"));
  CHECK_FALSE(matches("^a{2,3}$", "aaaa"));
  CHECK(matches("^(?:ab)*c?$", "abab"));
  CHECK(matches("(?i)WEB", "web"));
  CHECK(matches("^(?i:w)eb", "Web"));
  CHECK_FALSE(matches("^(?i:w)eb", "WEB"));
  CHECK(matches("^[^a-c]+$", "xyz"));
  CHECK_FALSE(matches("^[^a-c]+$", "xaz"));
  CHECK(matches("^[[:alpha:]_-]+$", "a_B-c"));
  CHECK(matches("\\bdb\\b", "a db b"));
  CHECK_FALSE(matches("\\bdb\\b", "adb"));
  CHECK(matches("^caf\xc3\xa9+$", "caf\xc3\xa9\xc3\xa9"));
  CHECK(matches("^.{2}$", "\xc3\xa9z"));
  CHECK_FALSE(matches("^.{2}$", "\xc3\xa9zz"));
  CHECK_FALSE(matches("a.b", "a\nb"));
  CHECK(matches("(?s)a.b", "a\nb"));
  CHECK(matches("x{,2}", "x{,2}"));  // not a repetition in Go
  CHECK(matches("\\x41\\.", "A."));
}

TEST_CASE("regex: malformed, unsupported and outsized expressions are refused and harm nobody") {
  for (const std::string_view bad : {"(", ")", "a)", "[", "[]", "[b-a]", "*", "a**", "a{3,2}", "a{1001}", "\\", "\\q",
                                     "(?x)", "(?", "(?P<n", "\\p{L}", "[[:nope:]]", "\\x4"}) {
    CAPTURE(bad);
    std::string why;
    CHECK_FALSE(Regex::compile(bad, &why));
    CHECK_FALSE(why.empty());
  }
  CHECK_FALSE(Regex::compile(std::string(100'000, '(')));
  CHECK_FALSE(Regex::compile("((((a{100}){100}){100}){100})"));
  CHECK_FALSE(Regex::compile(std::string(100'000, 'a')));
  // Exponential for a backtracking matcher.
  CHECK_FALSE(matches("^(a*)*b$", std::string(500, 'a')));
  CHECK_FALSE(matches("^(a|a|aa)+$", std::string(500, 'a') + "b"));
}

std::string problem_of(std::string_view expression) {
  std::string why;
  CHECK_FALSE(Regex::compile(expression, &why));
  return why;
}

bool whole(std::string_view expression, std::string_view text) {
  const auto regex = Regex::compile(expression);
  REQUIRE_MESSAGE(regex, expression);
  return regex->matches_whole(text);
}

TEST_CASE("regex: what no linear matcher can do is refused by name") {
  CHECK(problem_of("web(?=-1)") == "look-ahead is not supported");
  CHECK(problem_of("web(?!-1)") == "look-ahead is not supported");
  CHECK(problem_of("(?<=a)b") == "look-behind is not supported");
  CHECK(problem_of("(?<!a)b") == "look-behind is not supported");
  CHECK(problem_of("(a)\\1") == "back-references are not supported");
  CHECK(problem_of("(a") == "a parenthesis has no partner");
  CHECK(problem_of("a)") == "a `)` has no partner");
  CHECK(problem_of("*a") == "a `*`, `+` or `?` has nothing to repeat");
  CHECK(problem_of("[a") == "a bracket has no partner");
  CHECK(problem_of("(?:a{1000}){1000}") == "it is too big");
}

TEST_CASE("regex: a whole match covers the text from end to end") {
  CHECK(whole("web|db", "db"));
  CHECK_FALSE(whole("web|db", "db-1"));
  CHECK_FALSE(whole("web|db", "my-web"));
  CHECK(whole("", ""));
  CHECK_FALSE(whole("", "x"));
  CHECK(whole("a|ab|abc", "abc"));  // not the first alternative that fits
  CHECK(whole("a*", "aaaa"));
  CHECK_FALSE(whole("a*", "aaab"));
  CHECK_FALSE(whole("^a$", "a\n"));
  CHECK(whole("(?i)zone-[a-c]+", "ZONE-abc"));
}

TEST_CASE("regex: hostile patterns take time linear in the text") {
  // A backtracking matcher would need 2^n steps for each of these.
  const std::string text(4000, 'a');
  for (const std::string_view hostile : {"(a+)+b", "(a|aa)+b", "(a*)*b", "(.*)(.*)(.*)(.*)(.*)b", "((a?){20}){20}b"}) {
    CAPTURE(hostile);
    CHECK_FALSE(whole(hostile, text));
    CHECK_FALSE(matches(hostile, text));
  }
}

}  // namespace
