#include "consul/members.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "gossip/serf_regex.h"

namespace dcsim::consul {

namespace {

bool is_consul_server(const MemberRow& row) { return tag(row.tags, "role") == "consul"; }

/// What the command writes into the tags of every member before anything is filtered, sorted or printed.
void fill_in(MemberRow& row, const MembersQuery& query) {
  std::string& partition = row.tags["ap"];
  if (partition.empty()) partition = "default";
  std::string& segment = row.tags["segment"];
  if (partition != "default") segment.clear();
  else if (query.segment == "_all" && is_consul_server(row)) segment = "<all>";
  else if (segment.empty()) segment = "<default>";
}

std::vector<std::string> standard_row(const MemberRow& row) {
  const std::string_view role = tag(row.tags, "role");
  if (role != "consul" && role != "node") return {row.name, row.address.text(), row.status, "unknown", "", "", "", "", ""};
  std::string build(tag(row.tags, "build"));
  build = build.empty() ? "< 0.3" : build.substr(0, build.find(':'));
  return {row.name, row.address.text(), row.status, role == "consul" ? "server" : "client", build, std::string(tag(row.tags, "vsn")),
          std::string(tag(row.tags, "dc")), std::string(tag(row.tags, "ap")), std::string(tag(row.tags, "segment"))};
}

std::string joined(const Tags& tags) {
  std::string out;
  for (const auto& [key, value] : tags) out += fmt::format("{}{}={}", out.empty() ? "" : ",", key, value);
  return out;
}

/// Serf anchors without a group: "a|b" is "^a" or "b$".
std::optional<gossip::Regex> anchored(const std::string& expression) { return gossip::Regex::compile("^" + expression + "$"); }

}  // namespace

CommandResult print_members(std::vector<MemberRow> rows, const MembersQuery& query) {
  const auto status = gossip::Regex::compile(query.status);
  if (!status) return {1, "", fmt::format("Failed to compile status regexp: error parsing regexp: `{}`\n", query.status)};
  std::erase_if(rows, [&](const MemberRow& r) { return !status->matches(r.status); });
  if (rows.empty()) return {2, "", ""};
  for (MemberRow& r : rows) fill_in(r, query);
  std::sort(rows.begin(), rows.end(), [](const MemberRow& a, const MemberRow& b) {
    const auto key = [](const MemberRow& r) {
      const std::string_view partition = tag(r.tags, "ap");
      return std::tuple(!is_consul_server(r), partition != "default", tag(r.tags, "segment"), partition, std::string_view(r.name));
    };
    return key(a) < key(b);
  });
  std::vector<std::vector<std::string>> table;
  if (query.detailed) {
    table.push_back({"Node", "Address", "Status", "Tags"});
    for (const MemberRow& r : rows) table.push_back({r.name, r.address.text(), r.status, joined(r.tags)});
  } else {
    table.push_back({"Node", "Address", "Status", "Type", "Build", "Protocol", "DC", "Partition", "Segment"});
    for (const MemberRow& r : rows) table.push_back(standard_row(r));
  }
  return {0, columnize(table), ""};
}

CommandResult print_serf_members(std::vector<MemberRow> rows, const std::string& status, const std::string& name,
                                 const Tags& tag_filters, bool detailed) {
  const auto failed = [](std::string_view what) {
    return CommandResult{1, "", fmt::format("Error retrieving members: Failed to compile regex: error parsing regexp: `^{}$`\n", what)};
  };
  for (const auto& [key, expression] : tag_filters) {
    const auto re = anchored(expression);
    if (!re) return failed(expression);
    std::erase_if(rows, [&, k = key](const MemberRow& r) { return !re->matches(tag(r.tags, k)); });
  }
  if (!status.empty()) {
    const auto re = anchored(status);
    if (!re) return failed(status);
    std::erase_if(rows, [&](const MemberRow& r) { return !re->matches(r.status); });
  }
  if (!name.empty()) {
    const auto re = anchored(name);
    if (!re) return failed(name);
    std::erase_if(rows, [&](const MemberRow& r) { return !re->matches(r.name); });
  }
  std::vector<std::vector<std::string>> table;
  for (const MemberRow& r : rows) {
    table.push_back({r.name, r.address.text(), r.status, joined(r.tags)});
    if (!detailed) continue;
    table.back().push_back(fmt::format("Protocol Version: {}", r.protocol));
    table.back().push_back(fmt::format("Available Protocol Range: [{}, {}]", r.protocol_min, r.protocol_max));
  }
  return {0, columnize(table), ""};
}

}  // namespace dcsim::consul
