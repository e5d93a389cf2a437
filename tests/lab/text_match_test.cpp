#include "lab/text_match.h"

#include <doctest/doctest.h>

#include <string>

using namespace dcsim;
using namespace dcsim::lab;

namespace {

bool text(const std::string& pattern, const std::string& output) {
  return found({scenario::TextMatch::Kind::kText, pattern, {}}, output);
}
bool regex(const std::string& pattern, const std::string& output) {
  return found({scenario::TextMatch::Kind::kRegex, pattern, {}}, output);
}

const std::string kMembers =
    "Node   Address         Status  Type\n"
    "s-1    10.0.0.1:8301   alive   server\n"
    "web-1  10.0.1.1:8301   alive   client\n"
    "web-2  10.0.1.2:8301   failed  client\n";

}  // namespace

TEST_CASE("text match: exact text is found anywhere; no text means no output") {
  CHECK(text("web-1  10.0.1.1", kMembers));
  CHECK_FALSE(text("web-3", kMembers));
  CHECK(text("", ""));
  CHECK_FALSE(text("", kMembers));
  CHECK_FALSE(text("", "\n"));
}

TEST_CASE("text match: ^ and $ stand for the ends of lines") {
  CHECK(regex(R"(^web-1\s+.*alive)", kMembers));
  CHECK_FALSE(regex(R"(^eb-1)", kMembers));
  CHECK(regex(R"(alive   client$)", kMembers));
  CHECK_FALSE(regex(R"(alive   clien$)", kMembers));
  CHECK(regex(R"(^web-2 .* failed  client$)", kMembers));
  CHECK_FALSE(regex(R"(^web-1 .* failed  client$)", kMembers));
  CHECK(regex(R"(^Node)", kMembers));
  CHECK(regex(R"(a$)", "a"));
  CHECK(regex(R"(^$)", ""));
}

TEST_CASE("text match: an anchored expression may reach over lines") {
  CHECK(regex("^s-1[^\n]*\nweb-1 .*client$", kMembers));
  CHECK(regex(R"(^web-1.*\n^?web-2)", kMembers));
  CHECK_FALSE(regex("^s-1[^\n]*\nweb-2", kMembers));
  CHECK(regex(R"(server\nweb-1)", kMembers));
  CHECK_FALSE(regex("s-1.*web-1", kMembers));  // a dot ends with its line
  std::string many;
  for (int i = 0; i < 500; ++i) many += "line " + std::to_string(i) + "\n";
  CHECK(regex("^line 499$", many));
  CHECK(regex("^line 498\nline 499", many));
  CHECK_FALSE(regex("^line 500$", many));
}

TEST_CASE("text match: brackets and escapes are no anchors") {
  CHECK(regex(R"([^a]b)", "xb"));
  CHECK(regex(R"(\$5)", "costs $5"));
  CHECK(regex(R"([$^]x)", "^x"));
}
