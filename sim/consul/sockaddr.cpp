#include "consul/sockaddr.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <variant>

#include "base/regex.h"

namespace dcsim::consul {

namespace {

constexpr std::size_t kMaxTemplate = 4096;
constexpr std::size_t kMaxVerbs = 32;

using Interfaces = std::vector<Interface>;
using Value = std::variant<Interfaces, std::string>;

struct Verb {
  std::string name;
  std::vector<std::string> arguments;
};

bool is_v4(const Interface& i) { return i.address.is_v4(); }

bool is_loopback(const Address& a) {
  return a.is_v4() ? (a.v4_value() >> 24) == 127 : a.text() == "::1";
}

bool is_link_local(const Address& a) { return a.is_v4() && (a.v4_value() >> 16) == 0xA9FE; }

/// Forwardable and usable without naming it: what the Get*IP functions consider.
bool is_candidate(const Interface& i) { return i.up && !is_loopback(i.address) && !is_link_local(i.address); }

Interfaces where(const Interfaces& from, auto predicate) {
  Interfaces kept;
  for (const Interface& i : from) {
    if (predicate(i)) kept.push_back(i);
  }
  return kept;
}

std::string addresses(const Interfaces& from, std::string_view separator) {
  std::string out;
  for (const Interface& i : from) {
    if (!out.empty()) out += separator;
    out += i.address.text();
  }
  return out;
}

std::string network_of(const Interface& i) {
  if (!is_v4(i)) return i.address.text() + "/" + std::to_string(i.prefix_bits);
  const auto cidr = Cidr::parse(i.address.text() + "/" + std::to_string(i.prefix_bits));
  return cidr ? cidr->text() : "";
}

std::optional<std::string> attribute(const Interface& i, std::string_view name) {
  if (name == "address") return i.address.text();
  if (name == "name") return i.name;
  if (name == "network") return network_of(i);
  if (name == "type") return is_v4(i) ? "IPv4" : "IPv6";
  if (name == "size") return std::to_string(is_v4(i) ? std::uint64_t{1} << (32 - i.prefix_bits) : 0);
  if (name == "port") return "0";
  if (name == "flags") return std::string(i.up ? "up" : "") + (is_loopback(i.address) ? "|loopback" : "|broadcast|multicast");
  return std::nullopt;
}

std::optional<long> number(std::string_view text) {
  long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Error bad(const std::string& what) { return Error{"unable to parse address template: " + what}; }

Result<bool> matches(const Interface& i, std::string_view selector, const std::string& parameter) {
  if (selector == "network") {
    for (std::size_t from = 0; from <= parameter.size();) {
      const std::size_t bar = std::min(parameter.find('|', from), parameter.size());
      const auto cidr = Cidr::parse(parameter.substr(from, bar - from));
      if (!cidr) return bad("invalid network \"" + parameter + "\"");
      if (is_v4(i) && cidr->contains(i.address.v4_value())) return true;
      from = bar + 1;
    }
    return false;
  }
  if (selector == "rfc") return parameter == "1918" || parameter == "6890" ? is_private(i.address) : false;
  if (selector == "type") {
    if (parameter == "ip") return true;
    return parameter == "ipv4" ? is_v4(i) : parameter == "ipv6" ? !is_v4(i) : false;
  }
  if (selector == "size" || selector == "port") return attribute(i, selector) == parameter;
  if (selector == "flags") return attribute(i, "flags")->find(parameter) != std::string::npos;
  if (selector == "address" || selector == "name") {
    const auto expression = Regex::compile(parameter);  // Go's syntax, linear time
    if (!expression) return bad("invalid expression \"" + parameter + "\"");
    return expression->matches(*attribute(i, selector));
  }
  return bad("invalid selector \"" + std::string(selector) + "\"");
}

Result<Value> filter(const Interfaces& in, const Verb& verb, bool keep) {
  if (verb.arguments.size() != 2) return bad(verb.name + " takes a selector and a parameter");
  Interfaces out;
  for (const Interface& i : in) {
    const auto hit = matches(i, verb.arguments[0], verb.arguments[1]);
    if (!hit) return hit.error();
    if (*hit == keep) out.push_back(i);
  }
  return Value(out);
}

Result<Value> sorted(Interfaces in, const Verb& verb) {
  if (verb.arguments.size() != 1) return bad("sort takes one argument");
  std::string spec = verb.arguments[0];
  std::vector<std::string> clauses;
  for (std::size_t from = 0; from <= spec.size();) {
    const std::size_t comma = std::min(spec.find(',', from), spec.size());
    clauses.push_back(spec.substr(from, comma - from));
    from = comma + 1;
  }
  for (auto clause = clauses.rbegin(); clause != clauses.rend(); ++clause) {  // the first clause is the last stable sort
    const bool descending = clause->starts_with('-');
    const std::string key = clause->starts_with('-') || clause->starts_with('+') ? clause->substr(1) : *clause;
    auto less = [&](const Interface& a, const Interface& b) -> bool {
      const Interface& x = descending ? b : a;
      const Interface& y = descending ? a : b;
      if (key == "default") return x.default_route > y.default_route;
      if (key == "private") return is_private(x.address) > is_private(y.address);
      if (key == "size") return x.prefix_bits > y.prefix_bits;
      if (key == "type") return is_v4(x) > is_v4(y);
      if (key == "name") return x.name < y.name;
      return x.address < y.address;
    };
    static constexpr std::string_view kKeys[] = {"address", "default", "name", "port", "private", "size", "type"};
    if (std::find(std::begin(kKeys), std::end(kKeys), key) == std::end(kKeys)) return bad("invalid sort key \"" + key + "\"");
    std::stable_sort(in.begin(), in.end(), less);
  }
  return Value(in);
}

Result<Value> unique_by(const Interfaces& in, const Verb& verb) {
  if (verb.arguments.size() != 1 || !attribute(Interface{}, verb.arguments[0])) return bad("unique takes an attribute");
  Interfaces out;
  for (const Interface& i : in) {
    const auto value = attribute(i, verb.arguments[0]);
    const bool seen = std::any_of(out.begin(), out.end(), [&](const Interface& o) { return attribute(o, verb.arguments[0]) == value; });
    if (!seen) out.push_back(i);
  }
  return Value(out);
}

Result<Value> math(Interfaces in, const Verb& verb) {
  if (verb.arguments.size() != 2) return bad("math takes an operation and a value");
  const std::string& text = verb.arguments[1];
  const auto amount = number(text.starts_with('+') ? std::string_view(text).substr(1) : std::string_view(text));
  const bool network = verb.arguments[0] == "network";
  if (!amount || (!network && verb.arguments[0] != "address")) return bad("math \"" + verb.arguments[0] + "\" \"" + text + "\"");
  for (Interface& i : in) {
    if (!is_v4(i)) continue;
    std::uint32_t base = i.address.v4_value();
    if (network) {
      const auto cidr = Cidr::parse(i.address.text() + "/" + std::to_string(i.prefix_bits));
      base = *amount >= 0 ? cidr->network : cidr->last_host() + (i.prefix_bits < 31 ? 2u : 1u);
    }
    i.address = Address::v4(base + static_cast<std::uint32_t>(*amount));
  }
  return Value(in);
}

Result<Value> source(const Verb& verb, const Interfaces& all) {
  const auto privates = [&] { return where(all, [](const Interface& i) { return is_candidate(i) && is_private(i.address); }); };
  const auto publics = [&] { return where(all, [](const Interface& i) { return is_candidate(i) && !is_private(i.address); }); };
  const auto defaults = [&] { return where(all, [](const Interface& i) { return i.default_route; }); };
  const auto first = [](Interfaces from) {
    std::stable_sort(from.begin(), from.end(), [](const Interface& a, const Interface& b) { return is_v4(a) > is_v4(b); });
    return from.empty() ? std::string() : from.front().address.text();
  };
  const auto v4 = [](Interfaces from) { return where(from, is_v4); };
  if (verb.name == "GetPrivateIP") return Value(first(v4(where(privates(), [](const Interface& i) { return i.default_route; }))));
  if (verb.name == "GetPrivateIPs") return Value(addresses(privates(), " "));
  if (verb.name == "GetPublicIP") return Value(first(publics()));
  if (verb.name == "GetPublicIPs") return Value(addresses(publics(), " "));
  if (verb.name == "GetAllInterfaces") return Value(all);
  if (verb.name == "GetDefaultInterfaces") return Value(defaults());
  if (verb.name == "GetPrivateInterfaces") return Value(privates());
  if (verb.name == "GetPublicInterfaces") return Value(publics());
  if (verb.name == "GetInterfaceIP" || verb.name == "GetInterfaceIPs") {
    if (verb.arguments.size() != 1) return bad(verb.name + " takes an interface name");
    Interfaces named;
    for (const Interface& i : all) {
      const auto hit = matches(i, "name", "^" + verb.arguments[0] + "$");
      if (!hit) return hit.error();
      if (*hit) named.push_back(i);
    }
    return Value(verb.name == "GetInterfaceIP" ? first(named) : addresses(named, " "));
  }
  return bad("function \"" + verb.name + "\" not defined");
}

Result<Value> apply(Value value, const Verb& verb) {
  if (!std::holds_alternative<Interfaces>(value)) return bad("\"" + verb.name + "\" needs a list of interfaces");
  const Interfaces& in = std::get<Interfaces>(value);
  if (verb.name == "include") return filter(in, verb, true);
  if (verb.name == "exclude") return filter(in, verb, false);
  if (verb.name == "sort") return sorted(in, verb);
  if (verb.name == "unique") return unique_by(in, verb);
  if (verb.name == "math") return math(in, verb);
  if (verb.name == "attr") {
    if (verb.arguments.size() != 1 || !attribute(Interface{}, verb.arguments[0])) return bad("attr takes an attribute");
    return Value(in.empty() ? std::string() : *attribute(in.front(), verb.arguments[0]));
  }
  if (verb.name == "join") {
    if (verb.arguments.size() != 2 || !attribute(Interface{}, verb.arguments[0])) return bad("join takes an attribute and a separator");
    std::string out;
    for (const Interface& i : in) out += (out.empty() ? "" : verb.arguments[1]) + *attribute(i, verb.arguments[0]);
    return Value(out);
  }
  if (verb.name == "limit" || verb.name == "offset") {
    const auto count = verb.arguments.size() == 1 ? number(verb.arguments[0]) : std::nullopt;
    if (!count || *count < 0) return bad(verb.name + " takes a number");
    const auto n = std::min(static_cast<std::size_t>(*count), in.size());
    return Value(verb.name == "limit" ? Interfaces(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(n))
                                      : Interfaces(in.begin() + static_cast<std::ptrdiff_t>(n), in.end()));
  }
  return bad("function \"" + verb.name + "\" not defined");
}

/// Reads the string that begins at `at` and moves behind it: `raw` or "with \\ and \" escaped", as in Go.
Result<std::string> quoted(std::string_view text, std::size_t& at) {
  const char quote = text[at++];
  std::string out;
  for (; at < text.size() && text[at] != quote; ++at) {
    if (quote == '"' && text[at] == '\\') {
      if (++at == text.size()) break;
      if (text[at] != '"' && text[at] != '\\') return bad("invalid escape in a string");
    }
    out += text[at];
  }
  if (at >= text.size()) return bad("unterminated string");
  ++at;
  return out;
}

/// Splits `A "x" 1 | B` into verbs.
Result<std::vector<Verb>> parse_pipeline(std::string_view text) {
  std::vector<Verb> verbs;
  Verb current;
  bool named = false;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == ' ' || c == '\t') {
      ++at;
    } else if (c == '|') {
      if (!named) return bad("missing function before |");
      verbs.push_back(std::exchange(current, {}));
      named = false;
      ++at;
    } else if (c == '"' || c == '`') {
      if (!named) return bad("a function must come first");
      auto argument = quoted(text, at);
      if (!argument) return argument.error();
      current.arguments.push_back(std::move(*argument));
    } else {
      const std::size_t end = std::min(text.find_first_of(" \t|\"`", at), text.size());
      if (named) {
        current.arguments.emplace_back(text.substr(at, end - at));
      } else {
        current.name = text.substr(at, end - at);
        named = true;
      }
      at = end;
    }
    if (verbs.size() > kMaxVerbs) return bad("too many verbs");
  }
  if (!named) return bad("missing value for command");
  verbs.push_back(current);
  return verbs;
}

Result<std::string> evaluate(std::string_view pipeline, const Interfaces& all) {
  const auto verbs = parse_pipeline(pipeline);
  if (!verbs) return verbs.error();
  auto value = source(verbs->front(), all);
  for (std::size_t i = 1; value && i < verbs->size(); ++i) value = apply(*value, (*verbs)[i]);
  if (!value) return value.error();
  if (const auto* text = std::get_if<std::string>(&*value)) return *text;
  return addresses(std::get<Interfaces>(*value), " ");
}

}  // namespace

bool is_private(const Address& address) {
  if (!address.is_v4()) {
    return address.bytes().size() == 16 && (address.bytes()[0] & 0xfe) == 0xfc;
  }
  static const Cidr kPrivate[] = {*Cidr::parse("10.0.0.0/8"), *Cidr::parse("172.16.0.0/12"),
                                  *Cidr::parse("192.168.0.0/16"), *Cidr::parse("100.64.0.0/10")};
  return std::any_of(std::begin(kPrivate), std::end(kPrivate), [&](const Cidr& c) { return c.contains(address.v4_value()); });
}

Result<std::string> expand_template(std::string_view text, const std::vector<Interface>& interfaces) {
  if (text.size() > kMaxTemplate) return bad("too long");
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t open = text.find("{{", at);
    if (open == std::string_view::npos) {
      out += text.substr(at);
      break;
    }
    out += text.substr(at, open - at);
    const std::size_t close = text.find("}}", open);
    if (close == std::string_view::npos) return bad("unclosed action");
    const auto value = evaluate(text.substr(open + 2, close - open - 2), interfaces);
    if (!value) return value.error();
    out += *value;
    at = close + 2;
  }
  return out;
}

Result<std::vector<std::string>> expand_addresses(std::string_view text, const std::vector<Interface>& interfaces) {
  const auto expanded = expand_template(text, interfaces);
  if (!expanded) return expanded.error();
  std::vector<std::string> out;
  for (std::size_t at = 0; at < expanded->size();) {
    const std::size_t end = std::min(expanded->find(' ', at), expanded->size());
    if (end > at) out.push_back(expanded->substr(at, end - at));
    at = end + 1;
  }
  return out;
}

}  // namespace dcsim::consul
