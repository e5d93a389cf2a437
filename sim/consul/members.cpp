#include "consul/members.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "base/regex.h"
#include "consul/go_regexp.h"

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

/// The members as encoding/json's MarshalIndent lays them out.
std::string json_members(const std::vector<MemberRow>& rows) {
  if (rows.empty()) return "{\n  \"members\": null\n}\n";
  std::string out = "{\n  \"members\": [\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const MemberRow& r = rows[i];
    out += fmt::format("    {{\n      \"name\": {},\n      \"addr\": {},\n      \"port\": {},\n      \"tags\": {},\n", go_json(r.name),
                       go_json(r.address.text()), r.address.port, go_json(r.tags, 6));
    out += fmt::format("      \"status\": {},\n      \"protocol\": {{\n        \"max\": {},\n        \"min\": {},\n        \"version\": {}\n      }}\n    }}{}\n",
                       go_json(r.status), r.versions[4], r.versions[3], r.versions[5], i + 1 < rows.size() ? "," : "");
  }
  return out + "  ]\n}\n";
}

/// Serf anchors without a group: "a|b" is "^a" or "b$".
std::optional<Regex> anchored(const std::string& expression) { return Regex::compile("^" + expression + "$"); }

}  // namespace

CommandResult print_members(std::vector<MemberRow> rows, const MembersQuery& query) {
  const auto status = Regex::compile(query.status);
  if (!status) return {1, "", fmt::format("Failed to compile status regexp: {}\n", go_regexp_error(query.status))};
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

CommandResult print_serf_members(std::vector<MemberRow> rows, const SerfMembersQuery& query) {
  const auto keep = [&](const std::string& expression, auto&& text_of_row) {
    const auto re = anchored(expression);
    if (re) std::erase_if(rows, [&](const MemberRow& r) { return !re->matches(text_of_row(r)); });
    return re.has_value();
  };
  const auto failed = [](std::string_view what) {
    return CommandResult{1, "", fmt::format("Error retrieving members: Failed to compile regex: {}\n", go_regexp_error(fmt::format("^{}$", what)))};
  };
  for (const auto& [key, expression] : query.tags) {
    if (!keep(expression, [&, k = key](const MemberRow& r) { return tag(r.tags, k); })) return failed(expression);
  }
  if (!query.status.empty() && !keep(query.status, [](const MemberRow& r) { return std::string_view(r.status); })) return failed(query.status);
  if (!query.name.empty() && !keep(query.name, [](const MemberRow& r) { return std::string_view(r.name); })) return failed(query.name);
  if (query.json) return {0, json_members(rows), ""};
  std::vector<std::vector<std::string>> table;
  for (const MemberRow& r : rows) {
    table.push_back({r.name, r.address.text(), r.status, joined(r.tags)});
    if (!query.detailed) continue;
    table.back().push_back(fmt::format("Protocol Version: {}", r.versions[5]));
    table.back().push_back(fmt::format("Available Protocol Range: [{}, {}]", r.versions[3], r.versions[4]));
  }
  return {0, table.empty() ? "\n" : columnize(table), ""};  // Go prints the empty text, and a newline behind it
}

}  // namespace dcsim::consul
