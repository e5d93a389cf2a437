#include "consul/members.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <regex>
#include <tuple>

namespace dcsim::consul {

namespace {

std::optional<std::regex> compile(const std::string& expression) {
  if (expression.size() > 1024) return std::nullopt;
  try {
    return std::regex(expression, std::regex::ECMAScript);
  } catch (const std::regex_error&) {
    return std::nullopt;
  }
}

bool is_server(const MemberRow& row) { return tag(row.tags, "role") == "consul"; }

std::string segment_shown(const MemberRow& row, const MembersQuery& query) {
  const std::string_view segment = tag(row.tags, "segment");
  if (is_server(row) && (query.wan || query.segment == "_all")) return "<all>";
  return segment.empty() ? "<default>" : std::string(segment);
}

std::vector<std::string> standard_row(const MemberRow& row, const MembersQuery& query) {
  const std::string_view role = tag(row.tags, "role");
  if (role != "consul" && role != "node") return {row.name, row.address.text(), row.status, "unknown", "", "", "", "", ""};
  std::string build(tag(row.tags, "build"));
  build = build.empty() ? "< 0.3" : build.substr(0, build.find(':'));
  return {row.name, row.address.text(), row.status, role == "consul" ? "server" : "client", build, std::string(tag(row.tags, "vsn")),
          std::string(tag(row.tags, "dc")), "default", segment_shown(row, query)};
}

std::string joined(const Tags& tags, bool serf) {
  std::string out;
  for (const auto& [key, value] : tags) out += fmt::format("{}{}={}", out.empty() ? "" : ",", key, value);
  return out.empty() && serf ? "" : out;
}

}  // namespace

CommandResult print_members(std::vector<MemberRow> rows, const MembersQuery& query) {
  const auto status = compile(query.status);
  if (!status) return {1, "", fmt::format("Failed to compile status regexp: error parsing regexp: `{}`\n", query.status)};
  std::erase_if(rows, [&](const MemberRow& r) { return !std::regex_search(r.status, *status); });
  if (rows.empty()) return {2, "", ""};
  std::sort(rows.begin(), rows.end(), [](const MemberRow& a, const MemberRow& b) {
    const auto key = [](const MemberRow& r) { return std::tuple(!is_server(r), is_server(r) ? std::string_view() : tag(r.tags, "segment"), std::string_view(r.name)); };
    return key(a) < key(b);
  });
  std::vector<std::vector<std::string>> table;
  if (query.detailed) {
    table.push_back({"Node", "Address", "Status", "Tags"});
    for (const MemberRow& r : rows) table.push_back({r.name, r.address.text(), r.status, joined(r.tags, false)});
  } else {
    table.push_back({"Node", "Address", "Status", "Type", "Build", "Protocol", "DC", "Partition", "Segment"});
    for (const MemberRow& r : rows) table.push_back(standard_row(r, query));
  }
  return {0, columnize(table), ""};
}

CommandResult print_serf_members(std::vector<MemberRow> rows, const std::string& status, const std::string& name,
                                 const Tags& tag_filters, bool detailed) {
  const auto status_re = compile("^(?:" + (status.empty() ? ".*" : status) + ")$");
  const auto name_re = compile("^(?:" + (name.empty() ? ".*" : name) + ")$");
  if (!status_re) return {1, "", fmt::format("Error retrieving members: Failed to compile status regexp: {}\n", status)};
  if (!name_re) return {1, "", fmt::format("Error retrieving members: Failed to compile name regexp: {}\n", name)};
  for (const auto& [key, expression] : tag_filters) {
    const auto re = compile("^(?:" + expression + ")$");
    if (!re) return {1, "", fmt::format("Error retrieving members: Failed to compile regex for tag {}\n", key)};
    std::erase_if(rows, [&, k = key](const MemberRow& r) { return !std::regex_match(std::string(tag(r.tags, k)), *re); });
  }
  std::erase_if(rows, [&](const MemberRow& r) { return !std::regex_match(r.status, *status_re) || !std::regex_match(r.name, *name_re); });
  std::vector<std::vector<std::string>> table;
  for (const MemberRow& r : rows) {
    table.push_back({r.name, r.address.text(), r.status, joined(r.tags, true)});
    if (detailed) table.back().push_back(fmt::format("Protocol Version: {}", r.protocol));
  }
  return {0, columnize(table), ""};
}

}  // namespace dcsim::consul
