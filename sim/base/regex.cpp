#include "base/regex.h"

#include <algorithm>
#include <utility>

namespace dcsim {

namespace {

using Set = std::bitset<256>;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_word(char c) { return is_digit(c) || is_lower(c) || is_upper(c) || c == '_'; }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r' && c != '\v'); }
bool is_continuation(unsigned byte) { return (byte & 0xc0u) == 0x80; }

template <class Predicate>
Set ascii_where(Predicate predicate) {
  Set set;
  for (unsigned c = 0; c < 128; ++c) {
    if (predicate(static_cast<char>(c))) set.set(c);
  }
  return set;
}

/// \d and the like; false if `c` names no class.
bool perl_class(char c, Set& ascii, bool& negated) {
  negated = is_upper(c);
  switch (negated ? static_cast<char>(c - 'A' + 'a') : c) {
    case 'd':
      ascii = ascii_where(is_digit);
      return true;
    case 'w':
      ascii = ascii_where(is_word);
      return true;
    case 's':
      ascii = ascii_where(is_space);
      return true;
    default:
      return false;
  }
}

std::optional<Set> posix_class(std::string_view name) {
  if (name == "alnum") return ascii_where([](char c) { return is_word(c) && c != '_'; });
  if (name == "alpha") return ascii_where([](char c) { return is_lower(c) || is_upper(c); });
  if (name == "digit") return ascii_where(is_digit);
  if (name == "lower") return ascii_where(is_lower);
  if (name == "upper") return ascii_where(is_upper);
  if (name == "word") return ascii_where(is_word);
  if (name == "space") return ascii_where([](char c) { return is_space(c) || c == '\v'; });
  if (name == "punct") return ascii_where([](char c) { return c > ' ' && c < 0x7f && (!is_word(c) || c == '_'); });
  if (name == "xdigit") {
    return ascii_where([](char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); });
  }
  return std::nullopt;
}

}  // namespace

/// Recursive descent over the expression. Fragments hold relative jumps, so that joining and repeating is copying.
class RegexCompiler {
 public:
  explicit RegexCompiler(std::string_view in) : in_(in) {}

  std::optional<Regex> run() {
    Fragment program = alternatives(0);
    if (!bad_ && at_ != in_.size()) fail("a `)` has no partner");
    if (bad_) return std::nullopt;
    program.push_back({Regex::Op::kMatch, 0, 0});
    Regex regex;
    regex.program_ = std::move(program);
    regex.sets_ = std::move(sets_);
    return regex;
  }
  /// What is wrong, if run() gave nothing.
  const std::string& problem() const { return problem_; }

 private:
  using Inst = Regex::Inst;
  using Op = Regex::Op;
  using Fragment = std::vector<Inst>;

  bool more() const { return !bad_ && at_ < in_.size(); }
  char peek() const { return in_[at_]; }
  bool take(std::string_view text) {
    if (!in_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }
  /// The first mistake is the one that is told.
  Fragment fail(std::string_view why) {
    if (!bad_) problem_ = why;
    bad_ = true;
    return {};
  }
  static std::int32_t size_of(const Fragment& f) { return static_cast<std::int32_t>(f.size()); }
  void append(Fragment& to, const Fragment& f) {
    if (to.size() + f.size() > Regex::kMaxProgram) fail(kTooBig);
    if (!bad_) to.insert(to.end(), f.begin(), f.end());
  }

  Fragment set(Set s) {
    if (fold_) {
      for (unsigned c = 'a'; c <= 'z'; ++c) {
        const bool either = s[c] || s[c - 32];
        s[c] = s[c - 32] = either;
      }
    }
    sets_.push_back(s);
    if (sets_.size() > Regex::kMaxProgram) return fail(kTooBig);
    return {{Op::kSet, static_cast<std::int32_t>(sets_.size() - 1), 0}};
  }
  /// One character outside `ascii`: another ASCII one, or a whole UTF-8 sequence.
  Fragment set_outside(Set ascii) {
    if (fold_) {
      for (unsigned c = 'a'; c <= 'z'; ++c) ascii[c] = ascii[c - 32] = ascii[c] || ascii[c - 32];
    }
    Set lead, continuation;
    for (unsigned c = 0; c < 256; ++c) {
      if (is_continuation(c))
        continuation.set(c);
      else if (c >= 0xc0 || !ascii[c])
        lead.set(c);
    }
    Fragment out = set(lead);
    append(out, star(set(continuation)));
    return out;
  }
  Fragment star(const Fragment& f) {
    Fragment out{{Op::kSplit, 1, size_of(f) + 2}};
    append(out, f);
    out.push_back({Op::kJump, -size_of(f) - 1, 0});
    return out;
  }
  Fragment optional(const Fragment& f) {
    Fragment out{{Op::kSplit, 1, size_of(f) + 1}};
    append(out, f);
    return out;
  }

  Fragment alternatives(int depth) {
    if (depth > Regex::kMaxDepth) return fail("its groups nest too deep");
    Fragment left = sequence(depth);
    while (more() && take("|")) {
      const Fragment right = sequence(depth);
      Fragment out{{Op::kSplit, 1, size_of(left) + 2}};
      append(out, left);
      out.push_back({Op::kJump, size_of(right) + 1, 0});
      append(out, right);
      left = std::move(out);
    }
    return left;
  }

  Fragment sequence(int depth) {
    Fragment out;
    while (more() && peek() != '|' && peek() != ')') append(out, repeated(depth));
    return out;
  }

  Fragment repeated(int depth) {
    Fragment atom_code = atom(depth);
    int low = 0, high = 0;
    if (!more() || !repetition(low, high)) return atom_code;
    take("?");
    int again_low = 0, again_high = 0;
    if (more() && repetition(again_low, again_high)) return fail(kNothingToRepeat);
    return repeat(atom_code, low, high);
  }

  /// high -1 = no bound.
  bool repetition(int& low, int& high) {
    if (take("*")) return low = 0, high = -1, true;
    if (take("+")) return low = 1, high = -1, true;
    if (take("?")) return low = 0, high = 1, true;
    const std::size_t start = at_;
    if (take("{") && number(low)) {
      high = low;
      if (take(",")) {
        high = -1;
        if (more() && is_digit(peek()) && !number(high)) return at_ = start, false;
      }
      if (take("}")) {
        if (low > 1000 || high > 1000 || (high >= 0 && high < low)) fail("a repeat count is no range up to 1000");
        return true;
      }
    }
    at_ = start;  // not a repetition: the brace stands for itself
    return false;
  }

  bool number(int& value) {
    const std::size_t start = at_;
    value = 0;
    while (more() && is_digit(peek()) && at_ - start < 5) value = value * 10 + (in_[at_++] - '0');
    return at_ != start;
  }

  Fragment repeat(const Fragment& f, int low, int high) {
    Fragment out;
    for (int i = 0; i < low && !bad_; ++i) append(out, f);
    if (high < 0) append(out, star(f));
    for (int i = low; i < high && !bad_; ++i) append(out, optional(f));
    return out;
  }

  Fragment atom(int depth) {
    const char c = in_[at_++];
    switch (c) {
      case '(':
        return group(depth);
      case '[':
        return bracket();
      case '\\':
        return escape();
      case '^':
        return {{Op::kBegin, 0, 0}};
      case '$':
        return {{Op::kEnd, 0, 0}};
      case '.':
        return set_outside(dot_all_ ? Set() : Set().set('\n'));
      case '*':
      case '+':
      case '?':
        return fail(kNothingToRepeat);
      default:
        --at_;
        return literal();
    }
  }

  /// One character, all bytes of it.
  Fragment literal() {
    Fragment out;
    do {
      append(out, set(Set().set(static_cast<unsigned char>(in_[at_++]))));
    } while (more() && is_continuation(static_cast<unsigned char>(peek())));
    return out;
  }

  Fragment group(int depth) {
    const bool fold = fold_, dot_all = dot_all_;
    if (take("?")) {
      if (take("=") || take("!")) return fail("look-ahead is not supported");
      if (take("<=") || take("<!")) return fail("look-behind is not supported");
      if (take("P<") || take("<")) {
        while (more() && is_word(peek())) ++at_;
        if (!take(">")) return fail("a group's name does not end");
      } else {
        bool on = true;
        while (more() && peek() != ':' && peek() != ')') {
          const char flag = in_[at_++];
          if (flag == '-')
            on = false;
          else if (flag == 'i')
            fold_ = on;
          else if (flag == 's')
            dot_all_ = on;
          else if (flag != 'U')
            return fail("a group's flag is unknown");
        }
        if (take(")")) return {};  // flags for the rest of the enclosing group
        if (!take(":")) return fail(kNoPartner);
      }
    }
    Fragment inner = alternatives(depth + 1);
    if (!take(")")) return fail(kNoPartner);
    fold_ = fold;
    dot_all_ = dot_all;
    return inner;
  }

  Fragment escape() {
    if (!more()) return fail(kBadEscape);
    const char c = in_[at_++];
    if (c >= '1' && c <= '9') return fail("back-references are not supported");
    if (c == 'p' || c == 'P') return fail("Unicode classes are not supported");
    Set ascii;
    bool negated = false;
    if (perl_class(c, ascii, negated)) return negated ? set_outside(ascii) : set(ascii);
    switch (c) {
      case 'A':
        return {{Op::kBegin, 0, 0}};
      case 'z':
        return {{Op::kEnd, 0, 0}};
      case 'b':
        return {{Op::kWord, 0, 0}};
      case 'B':
        return {{Op::kNotWord, 0, 0}};
      default:
        break;
    }
    const int value = escaped_char(c);
    return value < 0 ? fail(kBadEscape) : set(Set().set(static_cast<unsigned>(value)));
  }

  /// The character behind a backslash and `c`; -1 if there is none.
  int escaped_char(char c) {
    switch (c) {
      case 'n':
        return '\n';
      case 't':
        return '\t';
      case 'r':
        return '\r';
      case 'f':
        return '\f';
      case 'v':
        return '\v';
      case 'a':
        return '\a';
      case 'x': {
        int value = 0;
        for (int i = 0; i < 2; ++i) {
          if (!more()) return -1;
          const char h = in_[at_++];
          const int digit = is_digit(h)            ? h - '0'
                            : h >= 'a' && h <= 'f' ? h - 'a' + 10
                            : h >= 'A' && h <= 'F' ? h - 'A' + 10
                                                   : -1;
          if (digit < 0) return -1;
          value = value * 16 + digit;
        }
        return value < 128 ? value : -1;
      }
      default:
        return static_cast<unsigned char>(c) < 128 && (!is_word(c) || c == '_') ? c : -1;
    }
  }

  Fragment bracket() {
    const bool negated = take("^");
    Set members;
    bool first = true;
    while (more() && (peek() != ']' || first)) {
      first = false;
      if (take("[:")) {
        const bool outside = take("^");
        const std::size_t end = in_.find(":]", at_);
        const auto named = end == std::string_view::npos ? std::nullopt : posix_class(in_.substr(at_, end - at_));
        if (!named || outside) return fail("a character class is unknown");
        members |= *named;
        at_ = end + 2;
        continue;
      }
      Set perl;
      bool perl_negated = false;
      if (peek() == '\\' && at_ + 1 < in_.size() && perl_class(in_[at_ + 1], perl, perl_negated)) {
        if (perl_negated) return fail("\\D, \\S and \\W inside brackets are not supported");  // not only ASCII
        members |= perl;
        at_ += 2;
        continue;
      }
      const int low = bracket_char();
      int high = low;
      if (more() && peek() == '-' && at_ + 1 < in_.size() && in_[at_ + 1] != ']') {
        ++at_;
        high = bracket_char();
      }
      if (low < 0 || high < low) return fail("a range in brackets is malformed or not ASCII");
      for (int c = low; c <= high; ++c) members.set(static_cast<unsigned>(c));
    }
    if (!take("]")) return fail("a bracket has no partner");
    return negated ? set_outside(members) : set(members);
  }

  int bracket_char() {
    if (!more()) return -1;
    const char c = in_[at_++];
    if (c == '\\') return more() ? escaped_char(in_[at_++]) : -1;
    return static_cast<unsigned char>(c) < 128 ? c : -1;
  }

  static constexpr std::string_view kTooBig = "it is too big";
  static constexpr std::string_view kNoPartner = "a parenthesis has no partner";
  static constexpr std::string_view kNothingToRepeat = "a `*`, `+` or `?` has nothing to repeat";
  static constexpr std::string_view kBadEscape = "an escape is unknown or trailing";

  std::string_view in_;
  std::size_t at_ = 0;
  bool bad_ = false;
  std::string problem_;
  bool fold_ = false;
  bool dot_all_ = false;
  std::vector<Set> sets_;
};

std::optional<Regex> Regex::compile(std::string_view expression, std::string* why) {
  RegexCompiler compiler(expression);
  auto regex = compiler.run();
  if (!regex && why) *why = compiler.problem();
  return regex;
}

bool Regex::holds(Op assertion, std::string_view text, std::size_t at) const {
  if (assertion == Op::kBegin) return at == 0;
  if (assertion == Op::kEnd) return at == text.size();
  const bool before = at > 0 && is_word(text[at - 1]);
  const bool after = at < text.size() && is_word(text[at]);
  return (before != after) == (assertion == Op::kWord);
}

/// The instructions that wait for the next character, and scratch space to find them.
struct Regex::Threads {
  explicit Threads(std::size_t program) : seen(program) {}
  void clear() {
    waiting.clear();
    std::fill(seen.begin(), seen.end(), false);
  }
  std::vector<std::size_t> waiting, stack;
  std::vector<bool> seen;
  bool matched = false;
};

/// Follows everything that consumes no character.
void Regex::add(Threads& threads, std::size_t from, std::string_view text, std::size_t at) const {
  std::vector<std::size_t>& stack = threads.stack;
  stack.assign(1, from);
  while (!stack.empty()) {
    const std::size_t pc = stack.back();
    stack.pop_back();
    if (threads.seen[pc]) continue;
    threads.seen[pc] = true;
    const Inst& inst = program_[pc];
    const auto target = [&](std::int32_t offset) {
      return static_cast<std::size_t>(static_cast<std::ptrdiff_t>(pc) + offset);
    };
    switch (inst.op) {
      case Op::kMatch:
        threads.matched = true;
        break;
      case Op::kSet:
        threads.waiting.push_back(pc);
        break;
      case Op::kJump:
        stack.push_back(target(inst.a));
        break;
      case Op::kSplit:
        stack.push_back(target(inst.a));
        stack.push_back(target(inst.b));
        break;
      default:
        if (holds(inst.op, text, at)) stack.push_back(pc + 1);
    }
  }
}

bool Regex::run(std::string_view text, bool whole) const {
  Threads now(program_.size()), next(program_.size());
  for (std::size_t at = 0;; ++at) {
    // `now` holds what consumed the character before; unless the whole text is meant, an attempt may start here, too.
    if (!whole || at == 0) add(now, 0, text, at);
    if (at == text.size()) return now.matched;
    if (now.matched && !whole) return true;
    if (now.waiting.empty() && whole) return false;
    next.clear();
    next.matched = false;
    for (const std::size_t pc : now.waiting) {
      const Inst& inst = program_[pc];
      if (sets_[static_cast<std::size_t>(inst.a)][static_cast<unsigned char>(text[at])]) add(next, pc + 1, text, at + 1);
    }
    std::swap(now, next);
  }
}

}  // namespace dcsim
