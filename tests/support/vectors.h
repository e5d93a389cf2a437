#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

/// Recorded messages, scripts and measurements of real agents, as JSON (tests/data/vectors). The environment variable
/// DCSIM_VECTORS names another folder of the same layout.
namespace dcsim::test {

using Json = nlohmann::json;

/// The folder with the JSON files of one subject ("gossip"). DCSIM_VECTORS may name it or its parent; a subject that is not
/// there is taken from the repository.
inline std::filesystem::path vector_folder(std::string_view subject = "gossip") {
  const auto own = std::filesystem::path(DCSIM_SOURCE_DIR) / "tests/data/vectors" / subject;
  const char* given = std::getenv("DCSIM_VECTORS");
  if (given == nullptr || *given == '\0') return own;
  const std::filesystem::path base(given);
  if (std::filesystem::is_directory(base / subject)) return base / subject;
  // The folder itself, or the folder of another subject?
  for (const auto& entry : std::filesystem::directory_iterator(base)) {
    const std::filesystem::path name = entry.path().filename();
    if (name.extension() == ".json" && std::filesystem::exists(own / name)) return base;
  }
  return own;
}

/// One parsed file; the test fails if it is malformed, or missing in the repository too.
inline Json load_vectors(std::string_view file, std::string_view subject = "gossip") {
  auto path = vector_folder(subject) / file;
  if (!std::filesystem::exists(path)) path = std::filesystem::path(DCSIM_SOURCE_DIR) / "tests/data/vectors" / subject / file;
  std::ifstream in(path);
  REQUIRE_MESSAGE(in.good(), "cannot open " << path.string());
  Json json = Json::parse(in, nullptr, false);
  REQUIRE_MESSAGE(!json.is_discarded(), "not JSON: " << path.string());
  return json;
}

/// The files whose name starts with `prefix`, sorted by name.
inline std::vector<std::string> vector_files(std::string_view prefix, std::string_view subject = "gossip") {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(vector_folder(subject))) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && name.ends_with(".json")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// Fails, naming it, for every key of an object that its reader does not know: a recording may say more than is checked.
/// Remarks are no facts: "note", "..._note" and what another version did ("v0_2_2...").
inline void only_keys(const Json& object, std::initializer_list<std::string_view> known) {
  for (const auto& item : object.items()) {
    const std::string& key = item.key();
    if (key == "note" || key.ends_with("_note") || key == "comment" || key.starts_with("v0_2_2")) continue;
    if (std::find(known.begin(), known.end(), key) == known.end()) FAIL_CHECK("unknown key \"" << key << "\" in a recording");
  }
}

inline int hex_digit(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

inline Buffer from_hex(std::string_view hex) {
  REQUIRE(hex.size() % 2 == 0);
  Buffer out;
  out.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = hex_digit(hex[i]);
    const int low = hex_digit(hex[i + 1]);
    REQUIRE((high >= 0 && low >= 0));
    out.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return out;
}

inline std::string to_hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::uint8_t b : bytes) out += {kDigits[b >> 4], kDigits[b & 15]};
  return out;
}

/// A double given as the 16 hex digits of its IEEE bits.
inline double from_bits(std::string_view hex) {
  double value = 0;
  const std::uint64_t bits = std::stoull(std::string(hex), nullptr, 16);
  static_assert(sizeof value == sizeof bits);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace dcsim::test
