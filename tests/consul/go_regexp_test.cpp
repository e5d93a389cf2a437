#include "consul/go_regexp.h"

#include <doctest/doctest.h>

#include "base/regex.h"

using namespace dcsim;
using namespace dcsim::consul;

// Expected texts: Go regexp/syntax/parse.go and the errors that Go programs are known to print.
TEST_CASE("regexp.Compile's errors name the reason and the part that is wrong") {
  const auto error = [](std::string_view expression) {
    CAPTURE(expression);
    CHECK_FALSE(Regex::compile(expression));
    const std::string text = go_regexp_error(expression);
    CHECK(text.starts_with("error parsing regexp: "));
    return text.substr(std::string_view("error parsing regexp: ").size());
  };
  CHECK(error("(") == "missing closing ): `(`");
  CHECK(error("^(a|b$") == "missing closing ): `^(a|b$`");
  CHECK(error("(?:a(b)") == "missing closing ): `(?:a(b)`");
  CHECK(error("a)") == "unexpected ): `a)`");
  CHECK(error("x[abc") == "missing closing ]: `[abc`");
  CHECK(error("[]a") == "missing closing ]: `[]a`");
  CHECK(error("[a-z][b\\]") == "missing closing ]: `[b\\]`");
  CHECK(error("[z-a]") == "invalid character class range: `z-a`");
  CHECK(error("*a") == "missing argument to repetition operator: `*`");
  CHECK(error("a|+") == "missing argument to repetition operator: `+`");
  CHECK(error("(*?b)") == "missing argument to repetition operator: `*?`");
  CHECK(error("a**") == "invalid nested repetition operator: `**`");
  CHECK(error("a{2}*") == "invalid nested repetition operator: `{2}*`");
  CHECK(error("a{2,1}") == "invalid repeat count: `{2,1}`");
  CHECK(error("a{1001}") == "invalid repeat count: `{1001}`");
  CHECK(error("a\\") == "trailing backslash at end of expression: ``");
  CHECK(error("\\y") == "invalid escape sequence: `\\y`");
  CHECK(error("(?=a)") == "invalid or unsupported Perl syntax: `(?=`");
  CHECK(error("(?!a)") == "invalid or unsupported Perl syntax: `(?!`");
  // Go takes this; here it is refused, and why is said.
  CHECK(error("\\pL") == "Unicode classes are not supported: `\\pL`");
}
