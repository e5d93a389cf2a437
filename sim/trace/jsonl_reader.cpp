#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "trace/recording.h"

namespace dcsim::trace {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxLine = 1 << 20;
constexpr std::uint64_t kMaxNumber = 0xfffffffeu;

/// Reads lines in the form append_json_line() writes.
class Reader {
 public:
  Result<Recording> read(std::string_view text) {
    std::size_t line = 0;
    while (!text.empty()) {
      ++line;
      const std::size_t end = text.find('\n');
      const std::string_view one = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      if (one.size() > kMaxLine) return Error{fmt::format("line {}: longer than {} bytes", line, kMaxLine)};
      if (const std::string problem = record(one); !problem.empty())
        return Error{fmt::format("line {}: {}", line, problem)};
    }
    return std::move(out_);
  }

 private:
  std::string record(std::string_view line) {
    if (depth(line) > 4) return "nested too deeply";
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_discarded() || !json.is_object()) return "not a JSON object";
    const auto ev = json.find("ev");
    if (ev == json.end() || !ev->is_string()) return "no event name `ev`";
    const auto kind = find_kind(ev->get_ref<const std::string&>());
    if (!kind) return fmt::format("unknown event `{}`", ev->get_ref<const std::string&>().substr(0, 64));
    std::uint64_t number = 0;
    if (!unsigned_at(json, "n", number) || number > kMaxNumber) return "no record number `n`";
    if (number < out_.size()) return "record numbers do not ascend";
    Record r;
    r.ev = static_cast<std::uint16_t>(*kind);
    r.node = 0;
    const auto t = json.find("t");
    if (t == json.end() || !t->is_number_integer()) return "no time `t` in integer nanoseconds";
    r.t = t->get<std::int64_t>();
    std::uint64_t cause = 0;
    if (unsigned_at(json, "cause", cause)) {
      if (cause >= number) return "a cause that is not before its effect";
      r.cause = static_cast<std::uint32_t>(cause + 1);
    }
    if (const auto node = json.find("node"); node != json.end() && node->is_string()) {
      r.node = name(node->get_ref<const std::string&>());
    }
    for (const FieldSpec& f : kind_spec(*kind).fields()) {
      const auto v = json.find(f.name);
      if (v == json.end()) continue;
      if (!field(r, f, *v)) return fmt::format("malformed field `{}`", f.name);
    }
    out_.add_record(number, r);
    return "";
  }

  /// Nesting of brackets outside strings, so that the parser is never asked to recurse deeply.
  static int depth(std::string_view line) {
    int depth = 0;
    int deepest = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const char c = line[i];
      if (in_string) {
        if (c == '\\') ++i;
        if (c == '"') in_string = false;
      } else if (c == '"') {
        in_string = true;
      } else if (c == '{' || c == '[') {
        deepest = std::max(deepest, ++depth);
      } else if (c == '}' || c == ']') {
        --depth;
      }
    }
    return deepest;
  }

  static bool unsigned_at(const Json& json, const char* key, std::uint64_t& out) {
    const auto v = json.find(key);
    if (v == json.end() || !v->is_number_unsigned()) return false;
    out = v->get<std::uint64_t>();
    return true;
  }

  bool field(Record& r, const FieldSpec& f, const Json& v) {
    std::uint64_t number = 0;
    switch (f.type) {
      case FieldType::kInt:
        if (!v.is_number_integer()) return false;
        number = v.is_number_unsigned() ? v.get<std::uint64_t>() : static_cast<std::uint64_t>(v.get<std::int64_t>());
        break;
      case FieldType::kDuration:
        if (!v.is_number_integer()) return false;
        number = static_cast<std::uint64_t>(v.get<std::int64_t>());
        break;
      case FieldType::kBool:
        if (!v.is_boolean()) return false;
        number = v.get<bool>() ? 1 : 0;
        break;
      default:
        if (!v.is_string() || !text(f, v.get_ref<const std::string&>(), number)) return false;
    }
    if (f.type == FieldType::kEndpoint) number |= slot_value(r, f.slot) & ~((std::uint64_t{1} << 48) - 1);
    set_slot(r, f.slot, number);
    return true;
  }

  bool text(const FieldSpec& f, const std::string& text, std::uint64_t& number) {
    switch (f.type) {
      case FieldType::kName:
        number = name(text);
        return true;
      case FieldType::kEndpoint:
        return endpoint(text, number);
      case FieldType::kTcpFlags:
        return flags(text, number);
      case FieldType::kEnum:
        for (std::size_t i = 0; i < f.values.size(); ++i) {
          if (f.values[i] == text) {
            number = i;
            return true;
          }
        }
        return false;
      default:
        return false;
    }
  }

  bool endpoint(std::string_view text, std::uint64_t& number) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return false;
    std::string_view host = text.substr(0, colon);
    const std::string_view digits = text.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc() || end != digits.data() + digits.size()) return false;
    if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    number = pack_endpoint(NameId{name(host)}, port);
    return true;
  }

  static bool flags(std::string_view text, std::uint64_t& number) {
    constexpr std::string_view kFlags[] = {"FIN", "SYN", "RST", "PSH", "ACK"};
    while (!text.empty()) {
      const std::string_view one = text.substr(0, text.find('|'));
      std::size_t i = 0;
      while (i < std::size(kFlags) && kFlags[i] != one) ++i;
      if (i == std::size(kFlags)) return false;
      number |= std::uint64_t{1} << i;
      text.remove_prefix(std::min(text.size(), one.size() + 1));
    }
    return true;
  }

  std::uint32_t name(std::string_view text) {
    if (text.empty()) return 0;
    const auto it = ids_.find(std::string(text));
    if (it != ids_.end()) return it->second;
    const std::uint32_t id = out_.add_name(text);
    ids_.emplace(text, id);
    return id;
  }

  Recording out_;
  std::unordered_map<std::string, std::uint32_t> ids_;
};

}  // namespace

Result<Recording> read_jsonl(std::string_view text) { return Reader().read(text); }

}  // namespace dcsim::trace
