#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace dcsim::scenario {

/// What a key's value may be. Reader, messages and schema all go by this.
enum class ValueType {
  kText,            ///< a string
  kName,            ///< a string that names the thing: not empty
  kBool,            ///< true or false
  kInteger,         ///< decimal, within [minimum, maximum]
  kDuration,        ///< 500ms, 1m30s, 5d
  kSignedDuration,  ///< a duration that may be negative
  kSize,            ///< 256B, 64KiB
  kBandwidth,       ///< 10Gbit
  kPercent,         ///< 0.05%
  kSignedPercent,
  kFactor,  ///< 4 or 2.5
  kCidr,
  kIpv4,
  kPorts,  ///< list of 8301/udp, 8300-8302/tcp or service names
  kSelector,
  kExpression,
  kStepRef,       ///< a step's name, optionally + 30s; or a duration from the start
  kTextMatch,     ///< exact text or /regex/
  kRate,          ///< 10/s
  kSeeds,         ///< 1..30
  kEnum,          ///< one of `choices`
  kVersion,       ///< the number 1
  kFile,          ///< a path relative to the file
  kStringMap,     ///< name -> string
  kLabelList,     ///< list of strings
  kEvents,        ///< all, none or a list of event names
  kPick,          ///< one, all, leader, followers, a number or a percentage
  kOneOrMany,     ///< a string or a list of strings
  kEnumList,      ///< list of `choices`
  kMap,           ///< a map with the keys of `table`
  kMapOf,         ///< name -> map with the keys of `table`
  kListOf,        ///< list of maps with the keys of `table`
  kEvery,         ///< a duration or a map with the keys of `table`
  kDurationMap,   ///< name -> duration
  kPortsMap,      ///< name -> ports
  kAddressesMap,  ///< name -> list of addresses
  kConfig,        ///< Consul's or Serf's own keys
  kFree,          ///< any map
  kFreeList,      ///< any list
  kSelectorList,  ///< list of selectors
  kEndpoints,     ///< list of exactly two names
  kMatrix,        ///< name -> list of values
  kAssignments,   ///< list of maps name -> value
};

struct KeyTable;

/// One key of the language.
struct Key {
  std::string_view name;
  ValueType type;
  bool required = false;
  std::string_view doc;
  std::string_view fallback = {};                  ///< what holds when it is not given, as a user would write it
  std::span<const std::string_view> choices = {};  ///< kEnum, kEnumList
  const KeyTable* table = nullptr;                 ///< kMap, kMapOf, kListOf, kEvery
  std::int64_t minimum = 0, maximum = 0;           ///< kInteger; both 0 = any
  int since = 1;                                   ///< language version
};

/// The keys allowed in one kind of map, sorted by name.
struct KeyTable {
  std::string_view name;  ///< as messages say it: "unknown key `latancy` in link"
  std::span<const Key> keys;
  bool free_extensions = false;  ///< `x-*` keys are ignored

  const Key* find(std::string_view key) const;
};

/// All tables, the two documents first.
std::span<const KeyTable* const> key_tables();
const KeyTable& topology_keys();
const KeyTable& scenario_keys();
const KeyTable& selector_keys();
/// `faults[].spec` by kind; each key's table is also what `spec` itself takes where there is but that kind.
const KeyTable& fault_spec_keys();

/// JSON Schema (draft-07) of both documents, built from the tables. Ends with a newline.
std::string schema_json();
/// The same as a reference in Markdown: a table of keys per kind of map.
std::string schema_markdown();

}  // namespace dcsim::scenario
