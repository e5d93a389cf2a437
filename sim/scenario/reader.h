#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/diagnostic.h"
#include "scenario/codes.h"
#include "scenario/config_value.h"
#include "scenario/keys.h"
#include "scenario/scenario.h"
#include "scenario/selector.h"
#include "scenario/suggest.h"
#include "scenario/units.h"
#include "scenario/yaml_tree.h"

namespace dcsim::scenario {

/// Ends the reading of a hopeless file; caught by the loader.
struct TooManyMistakes {};

/// The parameters in force while a document is read: name -> value. Later entries were laid over earlier ones already.
struct Scope {
  std::vector<std::pair<std::string, const Node*>> params;

  const Node* find(std::string_view name) const;
  void set(std::string_view name, const Node* value);
  /// Removes, with a complaint, parameters that contain themselves or expand beyond all bounds. Call once when
  /// complete.
  void close(Diagnostics& out);

 private:
  struct Walk;
};

/// What a node is and where it stands: an alias or a `${param}` that is the whole scalar stands elsewhere than its
/// value.
struct Value {
  const Node* node = nullptr;
  const Node* at = nullptr;

  SourceSpan span() const { return at->span(); }
  bool is(Node::Kind kind) const { return node->kind == kind; }
  bool scalar() const { return is(Node::Kind::kScalar); }
};

/// Where to point for an item with a name: an alias that stands for the whole item is where the item is, and its name is
/// not.
inline SourceSpan place_of(const Value& item, const SourceSpan& name) { return item.at != item.node ? item.span() : name; }

/// One entry of a map after merge keys are applied.
struct Entry {
  std::string_view name;
  const Node* key = nullptr;
  Value value;

  SourceSpan key_span() const { return key->span(); }
};

/// Where reading puts its complaints, and the parameters it substitutes. One per document and parameter set.
class Reading {
 public:
  Reading(Diagnostics& out, const Scope& scope) : out_(out), scope_(scope) {}

  void error(const char* code, SourceSpan at, std::string message, std::string label = {}, std::string help = {});
  void warn(const char* code, SourceSpan at, std::string message, std::string label = {}, std::string help = {});
  void note(const char* code, SourceSpan at, std::string message, std::string label = {}, std::string help = {});
  Diagnostics& out() { return out_; }
  /// Throws TooManyMistakes once so many are listed that nobody reads on. Every complaint does; loops over what
  /// complains elsewhere should.
  void check_room() const;
  const Scope& scope() const { return scope_; }

  Value follow(const Node* node);
  /// The entries of a map in file order; merge keys after a map's own keys. Reports duplicates, merges of what is no
  /// map and keys that are no strings. Requires map.is(kMap).
  std::vector<Entry> entries(const Value& map, std::string_view what);
  /// A scalar's text, parameters substituted. Requires value.scalar().
  SpannedText text(const Value& value);
  /// "a list", "the number `5`", ...
  std::string describe(const Value& value);
  void wrong_type(const Value& value, std::string_view what, std::string_view expected, std::string help = {});
  void bad_unit(const Value& value, const UnitError& error, std::string_view what, std::string_view example);

  // Typed readings of one value; nullopt after a complaint. `what` names it: "`mtu` of link".
  std::optional<SpannedText> string(const Value& value, std::string_view what);
  std::optional<bool> boolean(const Value& value, std::string_view what);
  std::optional<std::int64_t> integer(const Value& value, std::string_view what, std::int64_t minimum,
                                      std::int64_t maximum);
  /// 0 to 2^64 - 1.
  std::optional<std::uint64_t> seed(const Value& value, std::string_view what);
  /// A scalar for a parser of units. Takes bare numbers too, so that the parser can say what is missing.
  std::optional<SpannedText> quantity(const Value& value, std::string_view what, std::string_view example);
  std::optional<std::size_t> choice(const Value& value, std::string_view what,
                                    std::span<const std::string_view> choices);
  std::optional<Address> ipv4(const Value& value, std::string_view what);
  std::optional<Cidr> cidr(const Value& value, std::string_view what);
  std::optional<Duration> duration(const Value& value, std::string_view what);
  std::vector<Value> list(const Value& value, std::string_view what, std::string_view of);
  std::vector<SpannedText> one_or_many(const Value& value, std::string_view what);
  std::optional<Selector> selector(const Value& value, std::string_view what);
  ConfigValue config(const Value& value);
  std::optional<TextMatch> text_match(const Value& value, std::string_view what);

 private:
  void add(Diagnostic::Severity severity, const char* code, SourceSpan at, std::string message, std::string label,
           std::string help);
  void merge(const Value& source, std::string_view what, std::vector<Entry>& entries, std::set<std::string_view>& given,
             int depth);
  void selector_map(const Value& value, Selector& out);
  void pick(const Value& value, Selector& out);

  Diagnostics& out_;
  const Scope& scope_;
  std::size_t budget_ = 2'000'000;  ///< nodes that list and map parameters may still add
};

/// Reads the map that `table` describes. Complains about unknown, duplicate and missing keys at once; every getter
/// names a key of the table and must fit its type, and `done` demands that every key of the table was asked for.
class MapReader {
 public:
  MapReader(Reading& reading, const KeyTable& table, const Value& map);

  bool usable() const { return usable_; }  ///< false: not a map, everything reads as absent
  const Value& map() const { return map_; }
  Reading& reading() { return reading_; }
  const Entry* entry(std::string_view key) const;  ///< does not count as asked for
  bool has(std::string_view key) const { return entry(key) != nullptr; }
  SourceSpan key_span(std::string_view key) const;  ///< the map's own span if it has no such key
  std::string what(std::string_view key) const;
  /// An unknown key was taken for this one: that it is missing is the same mistake.
  bool misspelt(std::string_view key) const { return meant_.count(key) != 0; }

  const Entry* raw(std::string_view key, ValueType type);
  std::optional<SpannedText> text(std::string_view key, ValueType type = ValueType::kText);
  std::optional<bool> boolean(std::string_view key);
  std::optional<std::int64_t> integer(std::string_view key);
  std::optional<Duration> duration(std::string_view key);
  std::optional<Duration> lasting(std::string_view key);  ///< longer than 0
  std::optional<std::uint32_t> percent(std::string_view key);
  std::optional<std::uint64_t> size(std::string_view key);
  std::optional<std::uint64_t> bandwidth(std::string_view key);
  std::optional<std::size_t> choice(std::string_view key);
  std::optional<Selector> selector(std::string_view key);
  std::optional<Address> ipv4(std::string_view key);
  void version(std::string_view key);
  Labels labels(std::string_view key);
  void done();

 private:
  void check_keys(bool is_document);

  Reading& reading_;
  const KeyTable& table_;
  Value map_;
  bool usable_ = false;
  std::vector<Entry> entries_;
  std::set<std::string_view> asked_;
  std::set<std::string_view> meant_;
};

/// The attributes a link-like map names (link, impair, zone link, uplink).
LinkOverrides read_link_overrides(MapReader& reader);

}  // namespace dcsim::scenario
