// Links and the latency matrix.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "scenario/topology_reader.h"

namespace dcsim::scenario {

namespace {

constexpr std::size_t kMaxCandidates = 2000;
constexpr std::size_t kMaxMatrixRows = 100'000;

std::vector<std::string> cells_of(std::string_view line) {
  std::vector<std::string> out;
  while (true) {
    const std::size_t comma = line.find(',');
    std::string_view cell = line.substr(0, comma);
    while (!cell.empty() && (cell.front() == ' ' || cell.front() == '"' || cell.front() == '\t')) cell.remove_prefix(1);
    while (!cell.empty() && (cell.back() == ' ' || cell.back() == '"' || cell.back() == '\r' || cell.back() == '\t'))
      cell.remove_suffix(1);
    out.emplace_back(cell);
    if (comma == std::string_view::npos) return out;
    line.remove_prefix(comma + 1);
  }
}

}  // namespace

void TopologyReader::read_links(MapReader& document, const std::vector<LinkSet>& link_sets) {
  const Entry* entry = document.raw("links", ValueType::kListOf);
  std::unordered_map<std::string, int> uses;
  std::map<std::string, SourceSpan> names;
  if (entry != nullptr) {
    const KeyTable& table = *topology_keys().find("links")->table;
    for (const Value& item : r_.list(entry->value, document.what("links"), "links")) {
      MapReader reader(r_, table, item);
      Link link;
      link.at = item.span();
      const LinkOverrides overrides = read_link_overrides(reader);
      warn_about(reader, overrides, false);
      if (const auto name = reader.text("name", ValueType::kName)) {
        link.name = name->text;
        link.named = true;
        link.at = place_of(item, name->at);
        if (link.name == "*" || link.name.substr(0, 5) == "zone:") {
          r_.error(code::kBadValue, name->at,
                   fmt::format("`{}` is no name for a link: in `impair` it stands for {}", link.name,
                               link.name == "*" ? "every link" : "the links of a zone"));
        }
        const auto [it, fresh] = names.emplace(link.name, link.at);
        if (!fresh)
          r_.error(code::kDuplicateName, link.at, fmt::format("a second link is called `{}`", link.name),
                   fmt::format("first at line {}", it->second.line));
      }
      const Entry* ends = reader.raw("endpoints", ValueType::kEndpoints);
      if (ends == nullptr) {
        if (reader.usable() && !reader.has("endpoints") && !reader.misspelt("endpoints")) {
          r_.error(code::kMissingKey, item.span(), "missing key `endpoints` in link", {},
                   "endpoints: two zones, agents or switches");
        }
        continue;
      }
      const std::vector<Value> both = r_.list(ends->value, reader.what("endpoints"), "two names");
      if (ends->value.is(Node::Kind::kList) && both.size() != 2) {
        r_.error(code::kBadValue, ends->value.span(), fmt::format("a link has two endpoints, not {}", both.size()));
      }
      bool good = both.size() == 2;
      for (std::size_t i = 0; i < 2 && good; ++i) {
        const auto name = r_.string(both[i], reader.what("endpoints"));
        good = name.has_value();
        if (good) link.ends[i] = {LinkEnd::Kind::kZone, 0, name->text, name->at};
      }
      if (!good) continue;
      if (link.ends[0].name == link.ends[1].name) {
        r_.error(code::kBadValue, link.ends[1].at, fmt::format("a link cannot join `{}` to itself", link.ends[0].name));
        continue;
      }
      ++uses[link.ends[0].name];
      ++uses[link.ends[1].name];
      link_overrides_.push_back(overrides);
      t_->links.push_back(std::move(link));
    }
  }
  for (Link& link : t_->links) {
    for (LinkEnd& end : link.ends) resolve_end(end, uses);
    default_link_.apply_to(link.attributes);
    if (link.named) continue;
    const std::string base = link.ends[0].name + "-" + link.ends[1].name;
    link.name = base;
    for (int n = 2; !names.emplace(link.name, link.at).second; ++n) link.name = fmt::format("{}#{}", base, n);
  }
  read_matrix(document);
  for (std::size_t i = 0; i < t_->links.size(); ++i) link_overrides_[i].apply_to(t_->links[i].attributes);
  apply(link_sets);
}

/// A name that is neither zone nor agent is a switch if several links meet there; a dead end is a misspelling.
void TopologyReader::resolve_end(LinkEnd& end, const std::unordered_map<std::string, int>& uses) {
  if (const auto zone = t_->zone_index(end.name)) {
    end.kind = LinkEnd::Kind::kZone;
    end.index = *zone;
    return;
  }
  if (const auto agent = t_->agent_index(end.name)) {
    end.kind = LinkEnd::Kind::kAgent;
    end.index = *agent;
    return;
  }
  std::vector<std::string_view> names;
  for (const Zone& zone : t_->zones) names.push_back(zone.name);
  const std::vector<std::string_view> zones = names;
  for (const Agent& agent : t_->agents) {
    if (names.size() < kMaxCandidates) names.push_back(agent.full_name);
  }
  const std::string suggestion = did_you_mean(end.name, names);
  const auto use = uses.find(end.name);
  if (end.name.empty() || use == uses.end() || use->second < 2 || !suggestion.empty()) {
    r_.error(code::kUndefined, end.at, fmt::format("unknown zone, agent or switch `{}`", end.name), suggestion,
             "zones: " + listed(zones) + "; a name at which two or more links meet is a switch");
    return;
  }
  end.kind = LinkEnd::Kind::kSwitch;
  const auto known = std::find(t_->switches.begin(), t_->switches.end(), end.name);
  end.index = static_cast<std::uint32_t>(known - t_->switches.begin());
  if (known == t_->switches.end()) t_->switches.push_back(end.name);
}

void TopologyReader::read_matrix(MapReader& document) {
  const auto path = document.text("latency_matrix", ValueType::kFile);
  if (!path) return;
  const std::string resolved = files_.resolve(path->text, path->at.file);
  const auto content = files_.text(resolved, path->at, r_.out());
  if (!content) return;
  int line = 0;
  bool rows = false;
  for (std::size_t at = 0; at < content->size();) {
    const std::size_t end = std::min(content->find('\n', at), content->size());
    const std::string_view row = std::string_view(*content).substr(at, end - at);
    ++line;
    at = end + 1;
    if (row.empty() || row == "\r" || row[0] == '#') continue;
    const SourceSpan where{resolved, line, 1, static_cast<int>(std::min<std::size_t>(row.size(), 500)) + 1};
    if (row.size() > 4096 || t_->site_latencies.size() >= kMaxMatrixRows) {
      r_.error(code::kLimit, where, "this row, or this matrix, is too long");
      break;
    }
    const std::vector<std::string> cells = cells_of(row);
    if (cells.size() >= 2 && cells[0] == "from" && cells[1] == "to") continue;
    rows = true;
    matrix_row(cells, where);
  }
  if (!rows) r_.error(code::kBadValue, path->at, fmt::format("`{}` holds no latencies", path->text), {}, "rows are from,to,rtt_ms[,jitter_ms,loss]");
  std::map<std::pair<std::string, std::string>, const SiteLatency*> by_sites;
  for (const SiteLatency& s : t_->site_latencies) by_sites.emplace(std::pair(s.from, s.to), &s);
  for (Link& link : t_->links) {
    if (link.ends[0].kind != LinkEnd::Kind::kZone || link.ends[1].kind != LinkEnd::Kind::kZone || t_->zones.empty())
      continue;
    const std::string& a = t_->zones[link.ends[0].index].site;
    const std::string& b = t_->zones[link.ends[1].index].site;
    auto it = by_sites.find({a, b});
    if (it == by_sites.end()) it = by_sites.find({b, a});
    if (it == by_sites.end() || a.empty() || b.empty()) continue;
    link.attributes.latency = it->second->rtt / 2;
    link.attributes.jitter = it->second->jitter;
    link.attributes.loss = it->second->loss;
  }
}

void TopologyReader::matrix_row(const std::vector<std::string>& cells, const SourceSpan& at) {
  if (cells.size() < 3 || cells.size() > 5 || cells[0].empty() || cells[1].empty()) {
    r_.error(code::kBadValue, at, "a row of a latency matrix is from,to,rtt_ms[,jitter_ms,loss]");
    return;
  }
  SiteLatency row;
  row.from = cells[0];
  row.to = cells[1];
  const auto millis = [&](const std::string& cell, std::string_view what, Duration& out) {
    const auto parsed = parse_duration(cell + "ms");
    if (parsed)
      out = *parsed.value;
    else
      r_.error(code::kBadValue, at, fmt::format("{}: `{}` is not a number of milliseconds", what, cell));
  };
  millis(cells[2], "rtt_ms", row.rtt);
  if (cells.size() > 3 && !cells[3].empty()) millis(cells[3], "jitter_ms", row.jitter);
  if (cells.size() > 4 && !cells[4].empty()) {
    const auto loss = parse_percent(cells[4]);
    if (loss)
      row.loss = *loss.value;
    else
      r_.error(
          code::kBadValue, at, "loss: " + loss.error.message,
          loss.error.suggestion.empty() ? std::string() : fmt::format("did you mean `{}`?", loss.error.suggestion));
  }
  for (const std::string* site : {&row.from, &row.to}) {
    std::vector<std::string_view> sites;
    for (const Zone& zone : t_->zones) {
      if (!zone.site.empty()) sites.push_back(zone.site);
    }
    if (std::find(sites.begin(), sites.end(), *site) != sites.end()) continue;
    std::sort(sites.begin(), sites.end());
    sites.erase(std::unique(sites.begin(), sites.end()), sites.end());
    r_.error(code::kUndefined, at, fmt::format("no zone is in site `{}`", *site), did_you_mean(*site, sites), "sites: " + listed(sites));
  }
  t_->site_latencies.push_back(std::move(row));
}

void TopologyReader::apply(const std::vector<LinkSet>& link_sets) {
  for (const LinkSet& set : link_sets) {
    const auto it = std::find_if(t_->links.begin(), t_->links.end(), [&](const Link& l) { return l.name == set.link; });
    if (it == t_->links.end()) {
      std::vector<std::string_view> names;
      for (const Link& link : t_->links) names.push_back(link.name);
      r_.error(code::kUndefined, set.map->span(), fmt::format("unknown link `{}`", set.link),
               did_you_mean(set.link, names), "links: " + listed(names));
      continue;
    }
    MapReader reader(r_, *topology_keys().find("links")->table, r_.follow(set.map));
    const LinkOverrides overrides = read_link_overrides(reader);
    warn_about(reader, overrides, true);
    overrides.apply_to(it->attributes);
  }
}

}  // namespace dcsim::scenario
