#include "arrows.h"

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

namespace dcsim::tidy {

namespace {

/// How a library's headers begin, and what a link line calls it.
constexpr std::array<std::pair<const char*, const char*>, 8> kLibraries{{
    {"yaml-cpp/", "yaml-cpp"},
    {"boost/", "Boost::headers"},
    {"CLI/", "CLI11::CLI11"},
    {"fmt/", "fmt::fmt"},
    {"nlohmann/", "nlohmann_json::nlohmann_json"},
    {"xxhash.h", "${XXHASH_LIBRARY}"},
    {"thread", "Threads::Threads"},
    {"openssl/", "OpenSSL::Crypto"},
}};

/// Libraries with one home.
constexpr std::array<std::pair<const char*, const char*>, 3> kHomes{{
    {"yaml-cpp", "scenario"},
    {"Boost::headers", "net"},
    {"CLI11::CLI11", "cli"},
}};
/// Rooms that format no text for people.
constexpr std::array<const char*, 4> kWithoutFmt{"base", "core", "wire", "gossip"};

}  // namespace

Rooms rooms_of(const SourceFile& cmake_lists) {
  std::string text;
  for (const std::string& line : cmake_lists.lines) text += line.substr(0, line.find('#')) + " ";
  Rooms rooms;
  for (std::size_t at = text.find("room("); at != std::string::npos; at = text.find("room(", at + 1)) {
    if (at > 0 && (text[at - 1] == '(' || std::isalnum(static_cast<unsigned char>(text[at - 1])) != 0)) continue;
    std::istringstream words(text.substr(at + 5, text.find(')', at) - at - 5));
    std::string name;
    words >> name;
    std::set<std::string>& links = rooms[name];
    for (std::string link; words >> link;) links.insert(link);
  }
  return rooms;
}

Findings check_arrows(const SourceFile& file, const Rooms& rooms) {
  Findings findings;
  const std::string room = file.room();
  const auto known = rooms.find(room);
  if (known == rooms.end()) {
    findings.push_back({file.path, 1, "the folder has no room(...) line in CMakeLists.txt"});
    return findings;
  }
  for (const Include& include : includes_of(file)) {
    const std::string& target = include.target;
    if (include.quoted) {
      const std::string other = target.substr(0, target.find('/'));
      if (other == room || known->second.contains("dcsim_" + other)) continue;
      const std::string why = rooms.contains(other) ? "room(" + room + " ...) does not list dcsim_" + other
                                                    : "includes are written from sim/: \"room/file.h\"";
      findings.push_back({file.path, include.line, "must not include \"" + target + "\": " + why});
      continue;
    }
    for (const auto& [prefix, link] : kLibraries) {
      const bool whole = !std::string(prefix).ends_with('/');
      if (whole ? target != prefix : !target.starts_with(prefix)) continue;
      if (known->second.contains(link)) continue;
      findings.push_back(
          {file.path, include.line, "must not include <" + target + ">: room(" + room + " ...) does not list " + link});
    }
  }
  return findings;
}

Findings check_link_lines(const Rooms& rooms) {
  Findings findings;
  const auto complain = [&](const std::string& room, const std::string& link, const std::string& why) {
    findings.push_back({"CMakeLists.txt", 1, "room(" + room + " ...) must not list " + link + ": " + why});
  };
  for (const auto& [room, links] : rooms) {
    for (const auto& [link, home] : kHomes) {
      if (links.contains(link) && room != home) complain(room, link, std::string("it belongs to ") + home + " alone");
    }
    const bool bare = std::find(kWithoutFmt.begin(), kWithoutFmt.end(), room) != kWithoutFmt.end();
    if (bare && links.contains("fmt::fmt")) complain(room, "fmt::fmt", "this room formats no text");
  }
  return findings;
}

}  // namespace dcsim::tidy
