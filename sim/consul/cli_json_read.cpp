#include "consul/cli_json_read.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "consul/state_fold.h"

namespace dcsim::consul {

namespace {

constexpr int kMaxDepth = 32;

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Result<RawValue> document() {
    RawValue value;
    if (!read(value, 0)) return error();
    blanks();
    if (at_ != text_.size()) return Error{fmt::format("invalid character {:?} after top-level value", text_.substr(at_, 1))};
    return value;
  }

 private:
  Error error() const {
    if (at_ >= text_.size()) return Error{"unexpected end of JSON input"};
    return Error{fmt::format("invalid character {:?} at byte {}", text_.substr(at_, 1), at_)};
  }
  void blanks() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool take(char c) {
    blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool word(std::string_view w) {
    if (text_.substr(at_, w.size()) != w) return false;
    at_ += w.size();
    return true;
  }

  bool read(RawValue& into, int depth) {
    if (depth > kMaxDepth) return false;
    blanks();
    if (at_ >= text_.size()) return false;
    switch (text_[at_]) {
      case '{': return object(into, depth);
      case '[': return array(into, depth);
      case '"': {
        std::string s;
        if (!string(s)) return false;
        into.value = std::move(s);
        return true;
      }
      case 't': return word("true") && (into.value = true, true);
      case 'f': return word("false") && (into.value = false, true);
      case 'n': return word("null");
      default: return number(into);
    }
  }

  bool object(RawValue& into, int depth) {
    ++at_;
    RawValue::Map map;
    if (!take('}')) {
      do {
        std::string key;
        blanks();
        if (at_ >= text_.size() || text_[at_] != '"' || !string(key) || !take(':')) return false;
        RawValue value;
        if (!read(value, depth + 1)) return false;
        map.emplace_back(std::move(key), std::move(value));
      } while (take(','));
      if (!take('}')) return false;
    }
    into.value = std::move(map);
    return true;
  }

  bool array(RawValue& into, int depth) {
    ++at_;
    RawValue::List list;
    if (!take(']')) {
      do {
        RawValue value;
        if (!read(value, depth + 1)) return false;
        list.push_back(std::move(value));
      } while (take(','));
      if (!take(']')) return false;
    }
    into.value = std::move(list);
    return true;
  }

  bool number(RawValue& into) {
    const std::size_t end = text_.find_first_not_of("+-0123456789.eE", at_);
    const std::string_view digits = text_.substr(at_, end == std::string_view::npos ? end : end - at_);
    std::int64_t whole = 0;
    double real = 0;
    const char* last = digits.data() + digits.size();
    if (digits.empty() || digits[0] == '+') return false;
    if (const auto [to, e] = std::from_chars(digits.data(), last, whole); e == std::errc{} && to == last) {
      into.value = whole;
    } else if (const auto [stop, failed] = std::from_chars(digits.data(), last, real); failed == std::errc{} && stop == last) {
      into.value = real;
    } else {
      return false;
    }
    at_ += digits.size();
    return true;
  }

  bool string(std::string& out) {
    for (++at_; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') return ++at_, true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') {
        out += c;
      } else if (!escape(out)) {
        return false;
      }
    }
    return false;
  }

  /// At the backslash; ends on its last character.
  bool escape(std::string& out) {
    if (++at_ >= text_.size()) return false;
    static constexpr std::string_view kNames = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
    if (const auto plain = kNames.find(text_[at_]); plain != std::string_view::npos) return out += kMeant[plain], true;
    if (text_[at_] != 'u') return false;
    auto code = hex4(at_ + 1);
    if (!code) return false;
    at_ += 4;
    if (*code >= 0xD800 && *code < 0xE000) {  // half of a pair, or what Go replaces
      std::optional<std::uint32_t> low;
      if (*code < 0xDC00 && text_.substr(at_ + 1, 2) == "\\u") low = hex4(at_ + 3);
      if (low && *low >= 0xDC00 && *low < 0xE000) {
        *code = 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00);
        at_ += 6;
      } else {
        *code = 0xFFFD;
      }
    }
    utf8(*code, out);
    return true;
  }

  std::optional<std::uint32_t> hex4(std::size_t from) const {
    if (from + 4 > text_.size()) return std::nullopt;
    std::uint32_t value = 0;
    const char* begin = text_.data() + from;
    const auto [to, e] = std::from_chars(begin, begin + 4, value, 16);
    if (e != std::errc{} || to != begin + 4) return std::nullopt;
    return value;
  }

  static void utf8(std::uint32_t code, std::string& out) {
    const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (code >> shift & 0x3F)); };
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += static_cast<char>(0xC0 | code >> 6);
      tail(0);
    } else if (code < 0x10000) {
      out += static_cast<char>(0xE0 | code >> 12);
      tail(6), tail(0);
    } else {
      out += static_cast<char>(0xF0 | code >> 18);
      tail(12), tail(6), tail(0);
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Result<RawValue> read_json(std::string_view text) { return Reader(text).document(); }

const RawValue* json_member(const RawValue& object, std::string_view key) {
  const RawValue* found = nullptr;
  if (const RawValue::Map* map = object.map()) {
    for (const RawEntry& entry : *map) {
      if (fold_equal(entry.key, key)) found = &entry.value;
    }
  }
  return found;
}

}  // namespace dcsim::consul
