// One table drives the reader and the schema: what one knows the other must.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "scenario/keys.h"
#include "scenario/load.h"

using namespace dcsim::scenario;

namespace {

std::string definition(std::string_view table) {
  std::string out(table);
  for (char& c : out) {
    if (c == ' ' || c == '.') c = '_';
  }
  return out;
}

void collect_refs(const nlohmann::json& node, std::set<std::string>& out) {
  if (node.is_object() && node.contains("$ref")) out.insert(node["$ref"].get<std::string>());
  for (const auto& child : node) {
    if (child.is_structured()) collect_refs(child, out);
  }
}

}  // namespace

TEST_CASE("schema: every key of every table is there, with its description, and no other") {
  const auto schema = nlohmann::json::parse(schema_json());
  CHECK(schema["$schema"] == "http://json-schema.org/draft-07/schema#");
  for (const KeyTable* table : key_tables()) {
    CAPTURE(std::string(table->name));
    const auto& d = schema["definitions"].at(definition(table->name));
    CHECK(d["properties"].size() == table->keys.size());
    std::set<std::string> required;
    for (const Key& key : table->keys) {
      CAPTURE(std::string(key.name));
      const auto& property = d["properties"].at(std::string(key.name));
      CHECK(property["description"].get<std::string>().find(key.doc) == 0);
      if (key.required) required.insert(std::string(key.name));
      for (const std::string_view choice : key.choices)
        CHECK(property.dump().find("\"" + std::string(choice) + "\"") != std::string::npos);
    }
    CHECK(d.value("required", std::set<std::string>{}) == required);
    CHECK(d["additionalProperties"] == false);
  }
}

TEST_CASE("schema: every reference leads somewhere") {
  const auto schema = nlohmann::json::parse(schema_json());
  std::set<std::string> refs;
  collect_refs(schema, refs);
  for (const std::string& ref : refs) {
    CAPTURE(ref);
    CHECK(schema["definitions"].contains(ref.substr(std::string("#/definitions/").size())));
  }
}

TEST_CASE("schema: the reader rejects a value of no type under every key it knows") {
  // A map with one odd key fits no key but the free ones.
  for (const auto& [table, make] : {std::pair{&topology_keys(), 0}, std::pair{&scenario_keys(), 1}}) {
    for (const Key& key : table->keys) {
      if (key.type == ValueType::kFree) continue;
      CAPTURE(std::string(key.name));
      std::string text = make == 0 ? topology() : with_scenario("expect: []\n");
      const std::string line = std::string(key.name) + ": { odd: { } }\n";
      const std::size_t document = make == 0 ? 0 : text.rfind("---\n") + 4;
      const std::size_t at = text.find("\n" + std::string(key.name) + ":", document == 0 ? 0 : document - 1);
      if (text.compare(document, key.name.size() + 1, std::string(key.name) + ":") == 0)
        text.replace(document, text.find('\n', document) + 1 - document, line);
      else if (at != std::string::npos)
        text.replace(at + 1, text.find('\n', at + 1) - at, line);
      else
        text += line;
      const auto r = load(text);
      CHECK_MESSAGE(!r.ok(), text);
    }
  }
}

TEST_CASE("schema: the Markdown reference lists every key") {
  const std::string text = schema_markdown();
  for (const KeyTable* table : key_tables()) {
    CHECK(text.find("## " + std::string(table->name) + "\n") != std::string::npos);
    for (const Key& key : table->keys) CHECK(text.find("| `" + std::string(key.name) + "`") != std::string::npos);
  }
}
