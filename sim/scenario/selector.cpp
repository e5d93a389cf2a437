#include "scenario/selector.h"

#include <fmt/format.h>

#include <algorithm>

#include "scenario/codes.h"
#include "scenario/suggest.h"
#include "scenario/topology.h"

namespace dcsim::scenario {

namespace {

constexpr std::size_t kMaxCandidates = 2000;

std::string_view trimmed(std::string_view text, std::size_t& offset) {
  const std::size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos) return {};
  offset += first;
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

void fail(Diagnostics& out, const char* code, SourceSpan at, std::string message, std::string label = {},
          std::string help = {}) {
  out.push_back(
      {code, Diagnostic::Severity::kError, std::move(message), std::move(at), std::move(label), std::move(help)});
}

/// One comma-separated part: `key=value`, `key!=value` or a name.
void parse_part(const SpannedText& text, std::string_view part, std::size_t offset, Selector::Term& term,
                Diagnostics& out) {
  const SourceSpan at = text.span(offset, offset + part.size());
  const std::size_t equals = part.find('=');
  if (equals == std::string_view::npos) {
    if (part == "all") {
      term.all = true;
    } else if (!term.name.empty()) {
      fail(out, code::kSelector, at, fmt::format("`{}, {}` asks for one agent that is both", term.name, part), {},
           "for either of them write a list: [a, b]");
    } else {
      term.name = part;
    }
    return;
  }
  const bool negate = equals > 0 && part[equals - 1] == '!';
  std::size_t ignored = 0;
  const std::string_view key = trimmed(part.substr(0, negate ? equals - 1 : equals), ignored);
  std::string_view value = part.substr(equals + 1);
  if (!value.empty() && value[0] == '=') value.remove_prefix(1);
  value = trimmed(value, ignored);
  if (value.size() >= 2 && value.front() == value.back() && (value.front() == '"' || value.front() == '\''))
    value = value.substr(1, value.size() - 2);
  if (key.empty() || value.empty()) {
    fail(out, code::kSelector, at, fmt::format("`{}` is not a label condition", part), {},
         "write key=value, for example role=client");
    return;
  }
  if (value.find('=') != std::string_view::npos) {
    fail(out, code::kSelector, at, fmt::format("`{}` has two `=`", part), {},
         "separate conditions by commas: role=client, dc=dc1");
    return;
  }
  term.labels.push_back({std::string(key), std::string(value), negate, at});
}

bool zone_matches(const Selector::Term& term, const Topology& topology, const Agent& agent) {
  return std::find(term.zones.begin(), term.zones.end(), topology.zones[agent.zone].name) != term.zones.end();
}

bool label_matches(const LabelMatch& match, const Topology& topology, std::uint32_t index) {
  const Agent& agent = topology.agents[index];
  bool equal = false;
  if (match.key == "zone")
    equal = topology.zones[agent.zone].name == match.value;
  else if (match.key == "dc")
    equal = topology.datacenters[agent.datacenter].name == match.value;
  else if (match.key == "kind")
    equal = match.value == (agent.kind == AgentKind::kSerf ? "serf" : "consul");
  else if (match.key == "name")
    equal = agent.full_name == match.value || agent.name == match.value;
  else if (match.key == "group")
    equal = topology.groups[agent.group].pattern == match.value;
  else
    equal = topology.label(index, match.key) == match.value;
  return equal != match.negate;
}

/// A term's name, looked up once.
struct Named {
  std::optional<std::uint32_t> agent;
  std::optional<std::uint32_t> zone;
};

Named lookup(const Selector::Term& term, const Topology& topology) {
  Named named;
  if (term.name.empty()) return named;
  named.agent = topology.agent_index(term.name);
  if (!named.agent) named.zone = topology.zone_index(term.name);
  return named;
}

bool term_matches(const Selector::Term& term, const Named& named, const Topology& topology, std::uint32_t index) {
  const Agent& agent = topology.agents[index];
  if (!term.name.empty() && named.agent != index && !(named.zone && *named.zone == agent.zone)) return false;
  if (!term.zones.empty() && !zone_matches(term, topology, agent)) return false;
  if (!term.dcs.empty() &&
      std::find(term.dcs.begin(), term.dcs.end(), topology.datacenters[agent.datacenter].name) == term.dcs.end())
    return false;
  if (term.cidr && !(agent.address.is_v4() && term.cidr->contains(agent.address.v4_value()))) return false;
  return std::all_of(term.labels.begin(), term.labels.end(),
                     [&](const LabelMatch& m) { return label_matches(m, topology, index); });
}

/// Whether any agent matches. Labels belong to groups, so one agent of each tells, unless single agents are asked for.
bool any_match(const Selector::Term& term, const Topology& topology) {
  const Named named = lookup(term, topology);
  if (named.agent) return term_matches(term, named, topology, *named.agent);
  const bool by_group = !term.cidr && std::none_of(term.labels.begin(), term.labels.end(),
                                                   [](const LabelMatch& m) { return m.key == "name"; });
  if (by_group) {
    for (std::uint32_t i = 0; i < topology.agents.size();
         i += std::max(1u, topology.groups[topology.agents[i].group].count)) {
      if (term_matches(term, named, topology, i)) return true;
    }
    return false;
  }
  for (std::uint32_t i = 0; i < topology.agents.size(); ++i) {
    if (term_matches(term, named, topology, i)) return true;
  }
  return false;
}

bool only_names_zones(const Selector::Term& term, const Named& named) {
  return !term.all && term.labels.empty() && term.dcs.empty() && !term.cidr &&
         (named.zone || (term.name.empty() && !term.zones.empty()));
}

std::vector<std::string_view> zone_names(const Topology& topology) {
  std::vector<std::string_view> names;
  for (const Zone& zone : topology.zones) names.push_back(zone.name);
  return names;
}

std::vector<std::string_view> dc_names(const Topology& topology) {
  std::vector<std::string_view> names;
  for (const Datacenter& dc : topology.datacenters) names.push_back(dc.name);
  return names;
}

bool check_zone(std::string_view zone, const SourceSpan& at, const Topology& topology, Diagnostics& out) {
  if (topology.zone_index(zone)) return true;
  fail(out, code::kUndefined, at, fmt::format("unknown zone `{}`", zone), did_you_mean(zone, zone_names(topology)),
       "zones: " + listed(zone_names(topology)));
  return false;
}

bool check_dc(std::string_view dc, const SourceSpan& at, const Topology& topology, Diagnostics& out) {
  const auto names = dc_names(topology);
  if (std::find(names.begin(), names.end(), dc) != names.end()) return true;
  fail(out, code::kUndefined, at, fmt::format("unknown datacenter `{}`", dc), did_you_mean(dc, names),
       "datacenters: " + listed(names));
  return false;
}

bool check_name(const Selector::Term& term, const Topology& topology, Diagnostics& out) {
  if (term.name.empty() || topology.agent_index(term.name) || topology.zone_index(term.name)) return true;
  std::vector<std::string_view> names = zone_names(topology);
  std::size_t shared = 0;
  for (const Agent& agent : topology.agents) {
    if (agent.name == term.name) ++shared;
    if (names.size() < kMaxCandidates) names.push_back(agent.full_name);
  }
  if (shared > 1) {
    fail(out, code::kUndefined, term.at, fmt::format("`{}` is the name of {} agents", term.name, shared), {},
         "say which: NAME.DATACENTER");
    return false;
  }
  const bool label = std::any_of(topology.groups.begin(), topology.groups.end(), [&](const AgentGroup& g) {
    return std::any_of(g.labels.begin(), g.labels.end(), [&](const auto& l) { return l.second == term.name; });
  });
  fail(out, code::kUndefined, term.at, fmt::format("unknown agent or zone `{}`", term.name),
       did_you_mean(term.name, names),
       label ? "a label is selected as key=value, for example role=" + term.name
             : "zones: " + listed(zone_names(topology)));
  return false;
}

}  // namespace

Selector parse_selector(const SpannedText& text, Diagnostics& out) {
  Selector selector;
  selector.at = text.at;
  selector.text = text.text;
  Selector::Term term;
  term.at = text.at;
  std::size_t from = 0;
  bool parts = false;
  while (from <= text.text.size()) {
    const std::size_t comma = std::min(text.text.find(',', from), text.text.size());
    std::size_t offset = from;
    const std::string_view part = trimmed(text.view().substr(from, comma - from), offset);
    if (part.empty()) {
      fail(out, code::kSelector, text.span(from, comma),
           text.text.find_first_not_of(" \t\n") == std::string::npos ? "the selector is empty"
                                                                     : "the selector has an empty part",
           {}, "for example all, alpha-1.dc1 or \"role=client, dc=dc1\"");
    } else {
      parse_part(text, part, offset, term, out);
      parts = true;
    }
    from = comma + 1;
  }
  if (parts) selector.terms.push_back(std::move(term));
  return selector;
}

bool check(const Selector& selector, const Topology& topology, Diagnostics& out, bool networks) {
  bool good = true;
  for (const Selector::Term& term : selector.terms) {
    bool known = check_name(term, topology, out);
    for (const std::string& zone : term.zones) known = check_zone(zone, term.at, topology, out) && known;
    for (const std::string& dc : term.dcs) known = check_dc(dc, term.at, topology, out) && known;
    for (const LabelMatch& match : term.labels) {
      if (match.key == "zone") known = check_zone(match.value, match.at, topology, out) && known;
      if (match.key == "dc") known = check_dc(match.value, match.at, topology, out) && known;
    }
    good = good && known;
    if (!known || (term.cidr ? networks : term.labels.empty()) || any_match(term, topology)) continue;
    const SourceSpan at = term.labels.empty() ? term.at : term.labels.front().at;
    out.push_back({code::kMatchesNothing,
                   Diagnostic::Severity::kWarning,
                   fmt::format("no agent matches `{}`", selector.text),
                   at,
                   {},
                   {}});
  }
  return good;
}

std::vector<std::uint32_t> matching(const Selector& selector, const Topology& topology) {
  std::vector<Named> named;
  for (const Selector::Term& term : selector.terms) named.push_back(lookup(term, topology));
  std::vector<std::uint32_t> out;
  for (std::uint32_t i = 0; i < topology.agents.size(); ++i) {
    for (std::size_t t = 0; t < selector.terms.size(); ++t) {
      if (!term_matches(selector.terms[t], named[t], topology, i)) continue;
      out.push_back(i);
      break;
    }
  }
  return out;
}

std::vector<std::uint32_t> resolve(const Selector& selector, const Topology& topology, Rng& rng,
                                   const std::vector<bool>& eligible) {
  std::vector<std::uint32_t> out = matching(selector, topology);
  std::uint64_t wanted = 0;
  switch (selector.pick.kind) {
    case Pick::Kind::kAll:
      return out;
    case Pick::Kind::kLeader:
    case Pick::Kind::kFollowers:
      return {};
    case Pick::Kind::kCount:
      wanted = selector.pick.count;
      break;
    case Pick::Kind::kShare:
      wanted = (std::uint64_t{out.size()} * selector.pick.billionths + 999'999'999u) / 1'000'000'000u;
      break;
  }
  std::erase_if(out, [&](std::uint32_t agent) { return !eligible[agent]; });
  wanted = std::min<std::uint64_t>(wanted, out.size());
  for (std::size_t i = 0; i < wanted; ++i)
    std::swap(out[i], out[i + rng.below(out.size() - i)]);  // Fisher-Yates, cut short
  out.resize(wanted);
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<Cidr> networks(const Selector& selector, const Topology& topology) {
  std::vector<Cidr> out;
  for (const Selector::Term& term : selector.terms) {
    const Named named = lookup(term, topology);
    const bool plain = term.labels.empty() && term.dcs.empty() && term.zones.empty() && term.name.empty();
    if (plain && term.cidr) {
      out.push_back(*term.cidr);
    } else if (plain && term.all) {
      out.push_back(Cidr{});
    } else if (only_names_zones(term, named)) {
      if (named.zone) out.push_back(topology.zones[*named.zone].cidr);
      for (const std::string& zone : term.zones) {
        if (const auto index = topology.zone_index(zone)) out.push_back(topology.zones[*index].cidr);
      }
    } else {
      for (std::uint32_t i = 0; i < topology.agents.size(); ++i) {
        if (term_matches(term, named, topology, i) && topology.agents[i].address.is_v4())
          out.push_back({topology.agents[i].address.v4_value(), 32});
      }
    }
  }
  std::sort(out.begin(), out.end(), [](const Cidr& a, const Cidr& b) {
    return a.network != b.network ? a.network < b.network : a.bits < b.bits;
  });
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::vector<std::uint32_t> whole_zones(const Selector& selector, const Topology& topology) {
  std::vector<std::uint32_t> out;
  for (const Selector::Term& term : selector.terms) {
    const Named named = lookup(term, topology);
    if (!only_names_zones(term, named) || (named.zone && !term.zones.empty())) return {};
    if (named.zone) out.push_back(*named.zone);
    for (const std::string& zone : term.zones) {
      if (const auto index = topology.zone_index(zone)) out.push_back(*index);
    }
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace dcsim::scenario
