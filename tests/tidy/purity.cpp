#include "purity.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace dcsim::tidy {

namespace {

struct Banned {
  std::string_view word;
  std::string_view why;
};

constexpr std::string_view kClock = "reads a clock; time is handed in";
constexpr std::string_view kThread = "threads have no place here";
constexpr std::string_view kRandom = "ambient or library randomness; draw from a named Rng";

/// Words that are wrong wherever they stand.
constexpr std::array kBannedWords{
    Banned{"chrono", kClock},
    Banned{"system_clock", kClock},
    Banned{"steady_clock", kClock},
    Banned{"clock_gettime", kClock},
    Banned{"gettimeofday", kClock},
    Banned{"localtime", kClock},
    Banned{"gmtime", kClock},
    Banned{"__DATE__", kClock},
    Banned{"__TIME__", kClock},
    Banned{"jthread", kThread},
    Banned{"mutex", kThread},
    Banned{"shared_mutex", kThread},
    Banned{"condition_variable", kThread},
    Banned{"pthread_create", kThread},
    Banned{"this_thread", kThread},
    Banned{"random_device", kRandom},
    Banned{"mt19937", kRandom},
    Banned{"mt19937_64", kRandom},
    Banned{"minstd_rand", kRandom},
    Banned{"default_random_engine", kRandom},
    Banned{"random_shuffle", kRandom},
    Banned{"srand", kRandom},
    Banned{"drand48", kRandom},
    Banned{"getrandom", kRandom},
    Banned{"getenv", "reads the environment; settings are handed in"},
    Banned{"secure_getenv", "reads the environment; settings are handed in"},
};
/// Words that are wrong after std::, where a member or a function of ours may be called the same.
constexpr std::array kBannedInStd{
    Banned{"time", kClock},     Banned{"clock", kClock},   Banned{"thread", kThread},
    Banned{"async", kThread},   Banned{"future", kThread}, Banned{"atomic", kThread},
    Banned{"shuffle", kRandom}, Banned{"sample", kRandom}, Banned{"rand", kRandom},
};
constexpr std::array kBannedHeaders{
    Banned{"chrono", kClock},      Banned{"ctime", kClock},         Banned{"time.h", kClock},
    Banned{"sys/time.h", kClock},  Banned{"thread", kThread},       Banned{"mutex", kThread},
    Banned{"atomic", kThread},     Banned{"future", kThread},       Banned{"random", kRandom},
    Banned{"stop_token", kThread}, Banned{"shared_mutex", kThread}, Banned{"condition_variable", kThread},
};

/// The one exception: free lists of payload blocks, which change no result.
bool excepted(const SourceFile& file, std::string_view word) {
  return file.path == "sim/base/bytes.cpp" && word == "thread_local";
}

const std::string& text_at(const std::vector<Token>& tokens, std::size_t i) {
  static const std::string none;
  return i < tokens.size() ? tokens[i].text : none;
}

bool in_std(const std::vector<Token>& tokens, std::size_t i) {
  return i >= 3 && text_at(tokens, i - 1) == ":" && text_at(tokens, i - 2) == ":" && text_at(tokens, i - 3) == "std";
}

/// Index after the bracket that closes the one at `open`.
std::size_t past_bracket(const std::vector<Token>& tokens, std::size_t open) {
  int depth = 0;
  for (std::size_t i = open; i < tokens.size(); ++i) {
    const std::string& t = tokens[i].text;
    if (t == "{" || t == "(" || t == "[") ++depth;
    if ((t == "}" || t == ")" || t == "]") && --depth == 0) return i + 1;
  }
  return tokens.size();
}

/// The tokens of a declaration from `begin`, up to where its type and name end: at `=`, `;`, `(`, `{` or `[`.
struct Declaration {
  std::vector<std::string> words;
  std::string ends_with;

  bool has(std::string_view word) const { return std::find(words.begin(), words.end(), word) != words.end(); }
  /// True if the value cannot change: constexpr, or const and no pointer, or a const pointer.
  bool constant() const {
    if (has("constexpr") || has("consteval")) return true;
    const auto star = std::find(words.rbegin(), words.rend(), "*");
    if (star == words.rend()) return has("const");
    return std::find(words.rbegin(), star, "const") != star;
  }
};

Declaration declaration_at(const std::vector<Token>& tokens, std::size_t begin) {
  Declaration declaration;
  int angles = 0;
  for (std::size_t i = begin; i < tokens.size(); ++i) {
    const std::string& t = tokens[i].text;
    const bool name_of_operator = !declaration.words.empty() && declaration.words.back() == "operator";
    if (t == "<") ++angles;
    if (t == ">" && angles > 0) --angles;
    const bool inside = angles > 0 && t != ";" && t != "{";
    if (!name_of_operator && !inside && (t == "=" || t == ";" || t == "(" || t == "{" || t == "[")) {
      if (t == "[" && text_at(tokens, i + 1) == "[") {  // an attribute
        i = past_bracket(tokens, i) - 1;
        continue;
      }
      declaration.ends_with = t;
      return declaration;
    }
    declaration.words.push_back(t);
  }
  return declaration;
}

constexpr std::array<std::string_view, 12> kNoVariable{"using",   "typedef",   "template", "static_assert",
                                                       "friend",  "concept",   "extern",   "public",
                                                       "private", "protected", "asm",      "requires"};
constexpr std::array<std::string_view, 4> kTypes{"struct", "class", "union", "enum"};

template <class List>
bool one_of(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

/// Index after the statement at `i`: after its semicolon, or after the body of a function.
std::size_t past_statement(const std::vector<Token>& tokens, std::size_t i, bool ends_at_body) {
  while (i < tokens.size() && tokens[i].text != ";") {
    const std::string& t = tokens[i].text;
    if (t == "{" || t == "(" || t == "[") {
      i = past_bracket(tokens, i);
      if (t == "{" && ends_at_body) return text_at(tokens, i) == ";" ? i + 1 : i;
      continue;
    }
    ++i;
  }
  return i + 1;
}

/// Walks the declarations of namespaces.
class NamespaceWalk {
 public:
  NamespaceWalk(const SourceFile& file, const std::vector<Token>& tokens) : file_(file), tokens_(tokens) {}

  Findings run() {
    for (std::size_t i = 0; i < tokens_.size();) i = next(i);
    return std::move(findings_);
  }

 private:
  std::size_t next(std::size_t i) {
    const std::string& t = tokens_[i].text;
    if (t == "}" || t == ";" || t == "__extension__") return i + 1;
    if (t == "namespace" || (t == "inline" && text_at(tokens_, i + 1) == "namespace")) return into_namespace(i);
    if (t == "extern" && text_at(tokens_, i + 1) == "\"\"" && text_at(tokens_, i + 2) == "{") return i + 3;
    if (t == "template") return after_template(i);
    const Declaration declaration = declaration_at(tokens_, i);
    if (one_of(kTypes, t)) return after_type(i, declaration);
    if (one_of(kNoVariable, t)) return past_statement(tokens_, i, false);
    if (declaration.ends_with == "(" || declaration.has("operator")) return past_statement(tokens_, i, true);
    if (declaration.words.size() >= 2 && !declaration.constant()) complain(i, declaration.words.back());
    return past_statement(tokens_, i, false);
  }
  std::size_t into_namespace(std::size_t i) const {
    while (i < tokens_.size() && tokens_[i].text != "{" && tokens_[i].text != ";") ++i;
    return i + 1;
  }
  std::size_t after_template(std::size_t i) const {
    int angles = 0;
    for (++i; i < tokens_.size(); ++i) {
      if (tokens_[i].text == "<") ++angles;
      if (tokens_[i].text == ">" && --angles == 0) break;
    }
    // What follows is a function, a type or an alias; templates of variables are constants here.
    return past_statement(tokens_, i + 1, !one_of(kTypes, text_at(tokens_, i + 1)));
  }
  /// A type, and perhaps a variable between its closing brace and the semicolon.
  std::size_t after_type(std::size_t i, const Declaration& declaration) {
    if (declaration.ends_with != "{") {
      if (declaration.ends_with == "(") return past_statement(tokens_, i, true);  // a function that returns `struct X`
      return past_statement(tokens_, i, false);
    }
    while (tokens_[i].text != "{") ++i;
    i = past_bracket(tokens_, i);
    if (i < tokens_.size() && tokens_[i].word()) complain(i, tokens_[i].text);
    return past_statement(tokens_, i, false);
  }
  void complain(std::size_t i, const std::string& name) {
    findings_.push_back(
        {file_.path, tokens_[i].line, "`" + name + "` is a global that can change; keep state in the world"});
  }

  const SourceFile& file_;
  const std::vector<Token>& tokens_;
  Findings findings_;
};

}  // namespace

bool pure_room(const std::string& room) {
  constexpr std::array<std::string_view, 7> kPure{"base", "wire", "gossip", "raft", "consul", "core", "net"};
  return one_of(kPure, room);
}

Findings check_ambient(const SourceFile& file) {
  Findings findings;
  const std::vector<Token> tokens = tokens_of(file);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::string& t = tokens[i].text;
    const auto complain = [&](std::string_view why) {
      findings.push_back({file.path, tokens[i].line, "`" + t + "`: " + std::string(why)});
    };
    const bool called = text_at(tokens, i + 1) == "(";
    for (const Banned& banned : kBannedWords) {
      if (t == banned.word) complain(banned.why);
    }
    for (const Banned& banned : kBannedInStd) {
      if (t == banned.word && in_std(tokens, i)) complain(banned.why);
    }
    if (t.ends_with("_distribution") && in_std(tokens, i)) complain(kRandom);
    if (t == "time" && called && (text_at(tokens, i + 2) == "nullptr" || text_at(tokens, i + 2) == "NULL"))
      complain(kClock);
    if (t == "rand" && called && text_at(tokens, i + 2) == ")" && (i == 0 || text_at(tokens, i - 1) != "."))
      complain(kRandom);
  }
  for (const Include& include : includes_of(file)) {
    for (const Banned& banned : kBannedHeaders) {
      if (!include.quoted && include.target == banned.word) {
        findings.push_back({file.path, include.line, "<" + include.target + ">: " + std::string(banned.why)});
      }
    }
  }
  return findings;
}

Findings check_mutable_state(const SourceFile& file) {
  const std::vector<Token> tokens = tokens_of(file);
  Findings findings;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::string& t = tokens[i].text;
    if ((t != "static" && t != "thread_local") || excepted(file, t)) continue;
    if (i > 0 && text_at(tokens, i - 1) == "static") continue;  // seen with that
    const Declaration declaration = declaration_at(tokens, i);
    if (declaration.ends_with == "(" || declaration.constant() || declaration.has("operator")) continue;
    findings.push_back(
        {file.path, tokens[i].line, "`" + declaration.words.back() + "` outlives its function and can change"});
  }
  Findings of_namespaces;
  if (file.path != "sim/base/bytes.cpp") of_namespaces = NamespaceWalk(file, tokens).run();
  const auto known = [&](const Finding& of_namespace) {
    return std::any_of(findings.begin(), findings.end(), [&](const Finding& f) { return f.line == of_namespace.line; });
  };
  for (const Finding& finding : of_namespaces) {
    if (!known(finding)) findings.push_back(finding);
  }
  return findings;
}

}  // namespace dcsim::tidy
