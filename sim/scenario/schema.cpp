// What `dcsim schema` prints: JSON Schema and reference, from the table of keys.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "scenario/keys.h"

namespace dcsim::scenario {

namespace {

using Json = nlohmann::ordered_json;
using T = ValueType;

constexpr const char* kParam = "\\$\\{[A-Za-z_][A-Za-z0-9_.-]*\\}";

Json reference(std::string_view name) { return {{"$ref", fmt::format("#/definitions/{}", name)}}; }
Json any_of(std::vector<Json> parts) { return {{"anyOf", std::move(parts)}}; }
Json patterned(const char* description, const char* pattern) {
  return any_of({{{"description", description}, {"type", "string"}, {"pattern", pattern}}, reference("param")});
}
Json map_of(Json value) { return {{"type", "object"}, {"additionalProperties", std::move(value)}}; }
Json list_of(Json value) { return {{"type", "array"}, {"items", std::move(value)}}; }
Json text() { return {{"type", "string"}}; }

/// A definition's name: spaces and dots do not look well in a reference.
std::string definition(const KeyTable& table) {
  std::string out(table.name);
  for (char& c : out) {
    if (c == ' ' || c == '.') c = '_';
  }
  return out;
}

Json base_definitions() {
  Json d;
  d["param"] = {{"description", "a parameter, alone or inside a text"}, {"type", "string"}, {"pattern", kParam}};
  d["duration"] =
      patterned("Go-style duration with a unit: 500ms, 1m30s, 5d", "^([0-9]+(\\.[0-9]+)?(ns|us|µs|μs|ms|s|m|h|d))+$");
  d["signed_duration"] =
      patterned("a duration that may be negative: -250ms", "^[-+]?([0-9]+(\\.[0-9]+)?(ns|us|µs|μs|ms|s|m|h|d))+$");
  d["percent"] = patterned("a probability or share: 0.05%", "^[0-9]+(\\.[0-9]+)?%$");
  d["signed_percent"] = patterned("a share that may be negative: -0.01%", "^[-+]?[0-9]+(\\.[0-9]+)?%$");
  d["size"] = patterned("bytes: 256B, 64KiB, 1MB", "^[0-9]+(\\.[0-9]+)?\\s?(B|kB|KiB|MB|MiB|GB|GiB)$");
  d["bandwidth"] = patterned("bits per second: 10Gbit, 100Mbit", "^[0-9]+(\\.[0-9]+)?\\s?(k|M|G|T)?bit$");
  d["cidr"] = patterned("a network: 10.20.10.0/24", "^[0-9]{1,3}(\\.[0-9]{1,3}){3}/[0-9]{1,2}$");
  d["ipv4"] = patterned("an address: 10.20.10.11", "^[0-9]{1,3}(\\.[0-9]{1,3}){3}$");
  d["rate"] = patterned("so often: 10/s, 5/m", "^[0-9]+/(s|m|h)$");
  d["factor"] = any_of({{{"type", "number"}, {"exclusiveMinimum", 0}}, reference("param")});
  d["oneOrMany"] = any_of({text(), list_of(text())});
  d["labels"] = map_of(text());
  d["ports"] = list_of(any_of({{{"type", "string"}, {"pattern", "^[0-9]+(-[0-9]+)?/(tcp|udp|any)$"}},
                               {{"description", "a service"}, {"type", "string"}, {"pattern", "^[^0-9/-][^/]*$"}},
                               reference("param")}));
  d["stepRef"] = {
      {"description", "a step's name, optionally + 30s; where a window is meant, also a duration from the start"},
      {"type", "string"}};
  d["expression"] = {{"description", "an expression over series"}, {"type", "string"}};
  d["textMatch"] = {{"description", "exact text, or /regex/"}, {"type", "string"}};
  d["anySelector"] = {
      {"description", "'role=client, dc=dc1', 'all', one agent 'alpha-1.dc1', a zone, a map, or a list of these"},
      {"anyOf", {text(), list_of(any_of({text(), reference("selector")})), reference("selector")}}};
  d["pick"] = any_of(
      {{{"type", "integer"}, {"minimum", 1}}, reference("percent"), {{"enum", {"one", "all", "leader", "followers"}}}});
  return d;
}

Json type_schema(const Key& key) {
  switch (key.type) {
    case T::kText:
      return text();
    case T::kName:
    case T::kFile:
      return {{"type", "string"}, {"minLength", 1}};
    case T::kBool:
      return any_of({{{"type", "boolean"}}, reference("param")});
    case T::kInteger: {
      Json number = {{"type", "integer"}};
      if (key.minimum != 0 || key.maximum != 0) number["minimum"] = key.minimum;
      if (key.maximum != 0 && key.maximum < 0x7fffffff) number["maximum"] = key.maximum;
      return any_of({number, reference("param")});
    }
    case T::kDuration:
      return reference("duration");
    case T::kSignedDuration:
      return reference("signed_duration");
    case T::kSize:
      return reference("size");
    case T::kBandwidth:
      return reference("bandwidth");
    case T::kPercent:
      return reference("percent");
    case T::kSignedPercent:
      return reference("signed_percent");
    case T::kFactor:
      return reference("factor");
    case T::kCidr:
      return reference("cidr");
    case T::kIpv4:
      return reference("ipv4");
    case T::kPorts:
      return reference("ports");
    case T::kSelector:
      return reference("anySelector");
    case T::kExpression:
      return reference("expression");
    case T::kStepRef:
      return reference("stepRef");
    case T::kTextMatch:
      return reference("textMatch");
    case T::kRate:
      return reference("rate");
    case T::kSeeds:
      return any_of(
          {{{"type", "integer"}, {"minimum", 0}}, {{"type", "string"}, {"pattern", "^[0-9]+(\\.\\.[0-9]+)?$"}}});
    case T::kEnum:
      return key.choices.size() == 1 ? Json{{"const", key.choices[0]}}
                                     : any_of({{{"enum", key.choices}}, reference("param")});
    case T::kVersion:
      return {{"const", 1}};
    case T::kStringMap:
      return reference("labels");
    case T::kLabelList:
      return list_of(text());
    case T::kEvents:
      return any_of({{{"enum", {"all", "none"}}}, list_of(text())});
    case T::kPick:
      return reference("pick");
    case T::kOneOrMany:
      return reference("oneOrMany");
    case T::kEnumList:
      return list_of({{"enum", key.choices}});
    case T::kMap:
      return reference(definition(*key.table));
    case T::kMapOf:
      return map_of(reference(definition(*key.table)));
    case T::kListOf:
      return list_of(reference(definition(*key.table)));
    case T::kEvery:
      return any_of({reference("duration"), reference(definition(*key.table))});
    case T::kDurationMap:
      return map_of(reference("duration"));
    case T::kPortsMap:
      return map_of(reference("ports"));
    case T::kAddressesMap:
      return map_of(list_of(reference("ipv4")));
    case T::kConfig:
    case T::kFree:
      return {{"type", "object"}};
    case T::kFreeList:
      return {{"type", "array"}};
    case T::kSelectorList:
      return {{"type", "array"}, {"minItems", 2}, {"items", reference("anySelector")}};
    case T::kEndpoints:
      return {{"type", "array"}, {"minItems", 2}, {"maxItems", 2}, {"items", text()}};
    case T::kMatrix:
      return map_of({{"type", "array"}});
    case T::kAssignments:
      return list_of({{"type", "object"}});
  }
  return Json::object();
}

Json table_schema(const KeyTable& table) {
  Json out = {{"type", "object"}, {"additionalProperties", false}};
  if (table.free_extensions) out["patternProperties"] = {{"^x-", Json::object()}};
  Json required = Json::array();
  Json properties = Json::object();
  for (const Key& key : table.keys) {
    if (key.required) required.push_back(key.name);
    Json schema = type_schema(key);
    Json described;
    described["description"] =
        fmt::format("{}{}", key.doc, key.fallback.empty() ? "" : fmt::format(" Default: {}.", key.fallback));
    // draft-07 ignores what stands beside a $ref.
    if (schema.contains("$ref"))
      described["allOf"] = Json::array({schema});
    else
      described.update(schema);
    properties[std::string(key.name)] = described;
  }
  if (!required.empty()) out["required"] = required;
  out["properties"] = properties;
  return out;
}

std::string_view type_word(const Key& key) {
  switch (key.type) {
    case T::kText:
    case T::kName:
      return "string";
    case T::kBool:
      return "true or false";
    case T::kInteger:
      return "whole number";
    case T::kDuration:
      return "duration";
    case T::kSignedDuration:
      return "duration, may be negative";
    case T::kSize:
      return "size";
    case T::kBandwidth:
      return "bandwidth";
    case T::kPercent:
      return "percent";
    case T::kSignedPercent:
      return "percent, may be negative";
    case T::kFactor:
      return "number";
    case T::kCidr:
      return "network";
    case T::kIpv4:
      return "address";
    case T::kPorts:
      return "list of ports or services";
    case T::kSelector:
      return "selector";
    case T::kExpression:
      return "expression";
    case T::kStepRef:
      return "step, optionally + duration";
    case T::kTextMatch:
      return "text or /regex/";
    case T::kRate:
      return "rate";
    case T::kSeeds:
      return "seed or A..B";
    case T::kEnum:
      return "one of";
    case T::kVersion:
      return "1";
    case T::kFile:
      return "file";
    case T::kStringMap:
      return "map of strings";
    case T::kLabelList:
      return "list of labels";
    case T::kEvents:
      return "all, none or a list";
    case T::kPick:
      return "one, all, leader, followers, 3 or 20%";
    case T::kOneOrMany:
      return "string or list of strings";
    case T::kEnumList:
      return "list of";
    case T::kMap:
      return "map";
    case T::kMapOf:
      return "map of names to";
    case T::kListOf:
      return "list of";
    case T::kEvery:
      return "duration or map";
    case T::kDurationMap:
      return "map of durations";
    case T::kPortsMap:
      return "map of port lists";
    case T::kAddressesMap:
      return "map of address lists";
    case T::kConfig:
      return "Consul's or Serf's keys";
    case T::kFree:
      return "map";
    case T::kFreeList:
      return "list";
    case T::kSelectorList:
      return "list of selectors";
    case T::kEndpoints:
      return "list of two names";
    case T::kMatrix:
      return "map of value lists";
    case T::kAssignments:
      return "list of maps";
  }
  return "";
}

std::string type_text(const Key& key) {
  std::string out(type_word(key));
  if (key.type == T::kEnum || key.type == T::kEnumList) {
    for (const std::string_view choice : key.choices)
      out += fmt::format("{} `{}`", choice == key.choices[0] ? "" : ",", choice);
  }
  if (key.table != nullptr) out += fmt::format(" [{}](#{})", key.table->name, definition(*key.table));
  return out;
}

}  // namespace

std::string schema_json() {
  Json schema;
  schema["$schema"] = "http://json-schema.org/draft-07/schema#";
  schema["title"] = "dcsim topology or scenario document (version 1)";
  schema["type"] = "object";
  schema["required"] = {"version", "kind", "name"};
  schema["oneOf"] = {reference("topology"), reference("scenario")};
  Json definitions = base_definitions();
  for (const KeyTable* table : key_tables()) definitions[definition(*table)] = table_schema(*table);
  schema["definitions"] = definitions;
  return schema.dump(2) + "\n";
}

std::string schema_markdown() {
  std::string out =
      "# Keys of topology and scenario documents\n\nMade by `dcsim schema --markdown` from the table that the loader "
      "reads by.\n";
  for (const KeyTable* table : key_tables()) {
    out += fmt::format("\n<a id=\"{}\"></a>\n## {}\n\n| key | value | default | meaning |\n|---|---|---|---|\n",
                       definition(*table), table->name);
    for (const Key& key : table->keys) {
      out += fmt::format("| `{}`{} | {} | {} | {} |\n", key.name, key.required ? " (required)" : "", type_text(key),
                         key.fallback, key.doc);
    }
    if (table->free_extensions) out += "| `x-...` | anything | | A place for anchors; not read. |\n";
  }
  return out;
}

}  // namespace dcsim::scenario
