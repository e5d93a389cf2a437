#include "scenario/render.h"

#include <doctest/doctest.h>

#include "scenario/loader.h"

using namespace dcsim;
using namespace dcsim::scenario;

namespace {

Diagnostics one() {
  return {{"E0102",
           Diagnostic::Severity::kError,
           "unknown key `latancy` in link",
           {"bad.yaml", 3, 5, 12},
           "did you mean `latency`?",
           "allowed keys: bandwidth, endpoints, jitter, latency, loss, mtu"}};
}

SourceTexts source(const std::string& text) { return {{"bad.yaml", std::make_shared<const std::string>(text)}}; }

}  // namespace

TEST_CASE("render: text shows the place, the line, carets, label and help") {
  CHECK(render_text(one(), source("links:\n  - endpoints: [a, b]\n    latancy: 250us\n")) ==
        "error[E0102]: unknown key `latancy` in link\n"
        " --> bad.yaml:3:5\n"
        "  |\n"
        "3 |     latancy: 250us\n"
        "  |     ^^^^^^^ did you mean `latency`?\n"
        "  = help: allowed keys: bandwidth, endpoints, jitter, latency, loss, mtu\n");
}

TEST_CASE("render: json has the documented fields, github its workflow command") {
  CHECK(render_json(one()) ==
        "[\n {\"code\":\"E0102\",\"severity\":\"error\",\"message\":\"unknown key `latancy` in "
        "link\",\"file\":\"bad.yaml\",\"line\":3,\"column\":5,"
        "\"endColumn\":12,\"help\":\"did you mean `latency`? (allowed keys: bandwidth, endpoints, jitter, latency, "
        "loss, mtu)\"}\n]\n");
  CHECK(render_json({}) == "[]\n");
  CHECK(render_github(one()) ==
        "::error file=bad.yaml,line=3,col=5,endColumn=12,title=E0102::unknown key `latancy` in link; did you mean "
        "`latency`? (allowed keys: "
        "bandwidth, endpoints, jitter, latency, loss, mtu)\n");
}

TEST_CASE("render: github escapes what would end the command") {
  Diagnostics d = one();
  d[0].at.file = "a,b:c.yaml";
  d[0].message = "100%\nof it";
  d[0].label.clear();
  d[0].help.clear();
  CHECK(render_github(d) == "::error file=a%2Cb%3Ac.yaml,line=3,col=5,endColumn=12,title=E0102::100%25%0Aof it\n");
}

TEST_CASE("render: columns count characters, tabs and control bytes show as blanks") {
  Diagnostics d = one();
  d[0].at = {"bad.yaml", 1, 5, 8};
  d[0].label.clear();
  d[0].help.clear();
  CHECK(render_text(d, source("\xC3\xA4\xE2\x82\xAC\t: bad\x01 x\n")) ==
        "error[E0102]: unknown key `latancy` in link\n --> bad.yaml:1:5\n  |\n1 | \xC3\xA4\xE2\x82\xAC : bad  x\n  |   "
        "  ^^^\n");
}

TEST_CASE("render: a long line is shown around the mistake") {
  Diagnostics d = one();
  d[0].at = {"bad.yaml", 1, 5001, 5004};
  const std::string text = render_text(d, source(std::string(5000, 'a') + "bad" + std::string(5000, 'c')));
  CHECK(text.size() < 700);
  CHECK(text.find("...aaa") != std::string::npos);
  CHECK(text.find("bad") != std::string::npos);
  CHECK(text.find("ccc...") != std::string::npos);
}

TEST_CASE("render: beyond the cap the rest is counted, errors go first") {
  Diagnostics d;
  for (int i = 1; i <= 300; ++i) {
    d.push_back({"W0101", Diagnostic::Severity::kWarning, "w", {"bad.yaml", i, 1, 2}, {}, {}});
  }
  d.push_back({"E0100", Diagnostic::Severity::kError, "the error", {"bad.yaml", 301, 1, 2}, {}, {}});
  const std::string text = render_text(d, {});
  CHECK(text.find("the error") != std::string::npos);
  CHECK(text.find("... and 101 more\n") != std::string::npos);
}

TEST_CASE("render: color only where asked for") {
  CHECK(render_text(one(), {}).find('\x1b') == std::string::npos);
  CHECK(render_text(one(), {}, {true, 200}).find("\x1b[1;31m") != std::string::npos);
}
