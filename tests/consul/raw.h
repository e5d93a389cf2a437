#pragma once
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "consul/agent_config.h"

/// Configuration values as a file would give them, written down briefly, and what the builder makes of them.
namespace dcsim::test {

using namespace consul;

inline RawValue raw(bool b) { return {b}; }
inline RawValue raw(int n) { return {std::int64_t{n}}; }
inline RawValue raw(std::int64_t n) { return {n}; }
inline RawValue raw(double d) { return {d}; }
inline RawValue raw(const char* s) { return {std::string(s)}; }
inline RawValue raw(std::string s) { return {std::move(s)}; }
inline RawValue raw(RawValue v) { return v; }

template <class... T>
RawValue list(T&&... items) {
  RawValue::List out;
  (out.push_back(raw(std::forward<T>(items))), ...);
  return {std::move(out)};
}

/// Every value of a map gets its own place: 1 for the first, counting on through all maps of the process.
class Keys {
 public:
  template <class T>
  Keys& operator()(std::string key, T value) {
    RawValue v = raw(std::move(value));
    if (v.place == 0) v.place = ++next_place();
    map_.push_back({std::move(key), std::move(v)});
    return *this;
  }
  operator RawValue() const {
    RawValue v{map_};
    v.place = ++next_place();
    return v;
  }

 private:
  static int& next_place() {
    static int place = 0;
    return place;
  }
  RawValue::Map map_;
};
inline RawValue raw(const Keys& k) { return k; }

/// A host with one private address, as most have.
inline std::vector<Interface> one_homed(const char* ip = "10.0.0.7") {
  return {{"lo", *Address::parse("127.0.0.1"), 8, true, false}, {"eth0", *Address::parse(ip), 24, true, true}};
}

struct Built {
  AgentConfig config;
  std::vector<ConfigProblem> problems;

  std::vector<std::string> errors() const { return texts(false); }
  std::vector<std::string> warnings() const { return texts(true); }
  bool ok() const { return errors().empty(); }

 private:
  std::vector<std::string> texts(bool warning) const {
    std::vector<std::string> out;
    for (const ConfigProblem& p : problems) {
      if (p.warning == warning) out.push_back(p.text);
    }
    return out;
  }
};

inline Built build(const RawValue& keys, const std::vector<Interface>& interfaces = one_homed(),
                   AgentKind kind = AgentKind::kConsul) {
  Built b;
  b.config = build_config(kind, keys, "web-1", "dc1", "00000000-0000-4000-8000-000000000001", interfaces, b.problems);
  return b;
}
/// The one error that these keys give.
inline std::string error_of(const RawValue& keys, const std::vector<Interface>& interfaces = one_homed(),
                            AgentKind kind = AgentKind::kConsul) {
  const Built b = build(keys, interfaces, kind);
  CAPTURE(b.errors().size());
  for (const std::string& text : b.errors()) CAPTURE(text);
  REQUIRE(b.errors().size() == 1);
  return b.errors().front();
}

}  // namespace dcsim::test
