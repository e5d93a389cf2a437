#include "consul/cli_command.h"
#include "consul/cli_http.h"

// curl, as far as asking an agent's HTTP API goes.
namespace dcsim::consul {

namespace {

struct CurlOptions {
  std::string method{};
  std::string url{};
  std::string data{};
  bool has_data = false;
  bool include = false;  ///< -i
  bool head = false;     ///< -I
  bool fail = false;     ///< -f
  bool get = false;      ///< -G: data goes into the query
  bool discard = false;  ///< -o FILE
  std::string write_out{};
};

/// Letters of one word ("-sXPUT"): a letter that takes a value takes the rest of the word or the next one.
class CurlParser {
 public:
  explicit CurlParser(const std::vector<std::string>& words) : words_(words) {}

  /// The first complaint, with curl's exit status 2.
  std::optional<std::string> parse(CurlOptions& o) {
    for (at_ = 1; at_ < words_.size(); ++at_) {
      const std::string& word = words_[at_];
      if (word.size() < 2 || word[0] != '-') {
        o.url = word;
      } else if (auto wrong = word[1] == '-' ? long_option(word.substr(2), o) : letters(word, o)) {
        return wrong;
      }
    }
    return std::nullopt;
  }

 private:
  std::optional<std::string> letters(const std::string& word, CurlOptions& o) {
    for (std::size_t i = 1; i < word.size(); ++i) {
      const char c = word[i];
      if (std::string_view("sSLkvg").find(c) != std::string_view::npos) continue;
      if (c == 'i') o.include = true;
      else if (c == 'I') o.head = true;
      else if (c == 'f') o.fail = true;
      else if (c == 'G') o.get = true;
      else if (std::string_view("XdHomwuT").find(c) != std::string_view::npos) {
        std::string value = word.substr(i + 1);
        if (value.empty()) {
          if (at_ + 1 >= words_.size()) return fmt::format("curl: option -{}: requires parameter", c);
          value = words_[++at_];
        }
        take(c, value, o);
        return std::nullopt;
      } else {
        return fmt::format("curl: option {}: is unknown", word);
      }
    }
    return std::nullopt;
  }

  std::optional<std::string> long_option(const std::string& name, CurlOptions& o) {
    static constexpr std::pair<std::string_view, char> kWithValue[] = {
        {"request", 'X'}, {"data", 'd'}, {"data-raw", 'd'}, {"data-binary", 'd'}, {"header", 'H'}, {"max-time", 'm'}, {"output", 'o'}, {"write-out", 'w'}};
    for (const auto& [option, letter] : kWithValue) {
      if (name != option) continue;
      if (at_ + 1 >= words_.size()) return fmt::format("curl: option --{}: requires parameter", name);
      take(letter, words_[++at_], o);
      return std::nullopt;
    }
    if (name == "include") o.include = true;
    else if (name == "head") o.head = true;
    else if (name == "fail") o.fail = true;
    else if (name == "get") o.get = true;
    else if (name != "silent" && name != "show-error" && name != "location" && name != "insecure" && name != "verbose" && name != "globoff") {
      return fmt::format("curl: option --{}: is unknown", name);
    }
    return std::nullopt;
  }

  static void take(char letter, const std::string& value, CurlOptions& o) {
    if (letter == 'X') o.method = value;
    if (letter == 'o') o.discard = true;
    if (letter == 'w') o.write_out = value;
    if (letter != 'd') return;
    o.data += (o.has_data ? "&" : "") + value;
    o.has_data = true;
  }

  const std::vector<std::string>& words_;
  std::size_t at_ = 0;
};

/// -w: the status and line breaks; other variables stay as they are.
std::string written_out(std::string text, int status) {
  const auto replace = [&](std::string_view what, std::string_view with) {
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) text.replace(at, what.size(), with);
  };
  replace("%{http_code}", std::to_string(status));
  replace("%{response_code}", std::to_string(status));
  replace("\\n", "\n");
  return text;
}

}  // namespace

void run_curl(Instant now, const CliRunPtr& run) {
  CurlOptions o;
  const auto usage = [&](std::string_view why) {
    run->error(why);
    run->error("curl: try 'curl --help' or 'curl --manual' for more information");
    run->finish(now, 2);
  };
  if (const auto wrong = CurlParser(run->words).parse(o)) return usage(*wrong);
  if (o.url.empty()) return usage("curl: no URL specified!");
  if (o.get && o.has_data) o.url += (o.url.find('?') == std::string::npos ? "?" : "&") + o.data;
  auto request = HttpRequest::parse(o.url);
  if (!request) {
    run->error(request.error().text);
    return run->finish(now, request.error().text.starts_with("curl: (1)") ? 1 : 3);
  }
  request->method = !o.method.empty() ? o.method : o.has_data && !o.get ? "POST" : "GET";
  if (!o.get) request->body = o.data;
  if (o.head) request->method = "GET";
  serve_http(now, std::move(*request), run->agent, [run, o](Instant at, const HttpResponse& response) {
    if (o.fail && response.status >= 400) {
      run->error(fmt::format("curl: (22) The requested URL returned error: {}", response.status));
      return run->finish(at, 22);
    }
    if (!o.discard && (o.include || o.head)) run->result.out += response.head(at);
    if (!o.discard && !o.head) run->result.out += response.body;
    run->result.out += written_out(o.write_out, response.status);
    run->finish(at, 0);
  });
}

}  // namespace dcsim::consul
