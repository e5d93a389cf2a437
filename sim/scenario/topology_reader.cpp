#include "scenario/topology_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "scenario/agent_keys.h"

namespace dcsim::scenario {

namespace {

constexpr std::uint64_t kMaxFabricLinks = 100'000;  // of one zone

std::vector<std::string_view> names_of(const std::vector<Zone>& zones) {
  std::vector<std::string_view> out;
  for (const Zone& zone : zones) out.push_back(zone.name);
  return out;
}

}  // namespace

std::shared_ptr<Topology> TopologyReader::read(const Value& value, const std::vector<LinkSet>& link_sets) {
  t_ = std::make_shared<Topology>();
  MapReader document(r_, topology_keys(), value);
  document.version("version");
  document.choice("kind");
  t_->at = value.span();
  if (const auto name = document.text("name", ValueType::kName)) {
    t_->name = name->text;
    t_->at = name->at;
  }
  if (const auto description = document.text("description")) t_->description = description->text;
  document.raw("include", ValueType::kOneOrMany);  // the loader has followed it
  document.raw("params", ValueType::kFree);
  read_defaults(document);
  read_zones(document);
  read_datacenters(document);
  read_nat(document);
  allot();
  check_nat();
  t_->index();
  read_links(document, link_sets);
  read_services(document);
  read_firewalls(document);
  read_dns(document);
  refuse_graph(document);
  document.done();
  for (const auto& [param, node] : r_.scope().params) {
    if (node->kind == Node::Kind::kScalar) t_->params.emplace_back(param, node->text);
  }
  return t_;
}

void TopologyReader::read_defaults(MapReader& document) {
  const Entry* entry = document.raw("defaults", ValueType::kMap);
  if (entry == nullptr) return;
  MapReader defaults(r_, *topology_keys().find("defaults")->table, entry->value);
  if (const Entry* link = defaults.raw("link", ValueType::kMap)) {
    MapReader reader(r_, *topology_keys().find("links")->table, link->value);
    default_link_ = read_link_overrides(reader);
    warn_about(reader, default_link_, true);
  }
  if (const Entry* config = defaults.raw("config", ValueType::kConfig)) {
    if (config->value.is(Node::Kind::kMap))
      default_config_ = r_.config(config->value);
    else
      r_.wrong_type(config->value, defaults.what("config"), "a map");
  }
  defaults.done();
}

/// `access`: the map describes many links or one without ends of its own.
void TopologyReader::warn_about(MapReader& reader, const LinkOverrides& link, bool access) {
  const Entry* endpoints = reader.raw("endpoints", ValueType::kEndpoints);
  const Entry* name = reader.raw("name", ValueType::kName);
  if (access) {
    for (const Entry* extra : {endpoints, name}) {
      if (extra != nullptr)
        r_.warn(code::kNoEffect, extra->key_span(), fmt::format("`{}` has no effect here", extra->name));
    }
  }
  const Entry* trace = reader.raw("trace", ValueType::kFile);
  if (link.distribution == Distribution::kTrace) {
    r_.error(code::kUnsupported, reader.key_span("distribution"), "`distribution: trace` is not supported yet", {},
             "constant, uniform, normal, lognormal or pareto");
  } else if (trace != nullptr) {
    r_.warn(code::kNoEffect, trace->key_span(), "`trace` has no effect without `distribution: trace`");
  }
  if (link.queue && !reader.has("bandwidth") && !default_link_.bandwidth) {
    r_.warn(code::kNoEffect, reader.key_span("queue"), "`queue` has no effect on a link without `bandwidth`");
  }
  reader.done();
}

LinkAttributes TopologyReader::read_attributes(const Value& value) {
  LinkAttributes attributes;
  default_link_.apply_to(attributes);
  MapReader reader(r_, *topology_keys().find("links")->table, value);
  const LinkOverrides overrides = read_link_overrides(reader);
  warn_about(reader, overrides, true);
  overrides.apply_to(attributes);
  return attributes;
}

void TopologyReader::read_zones(MapReader& document) {
  const Entry* entry = document.raw("zones", ValueType::kMapOf);
  if (entry == nullptr) return;
  if (!entry->value.is(Node::Kind::kMap))
    return r_.wrong_type(entry->value, document.what("zones"), "a map of zones", "write NAME: { cidr: 10.20.1.0/24 }");
  for (const Entry& zone : r_.entries(entry->value, "zones")) {
    if (zone.name.empty()) r_.error(code::kBadValue, zone.key_span(), "a zone's name is empty");
    if (zone.name == "all")
      r_.error(code::kBadValue, zone.key_span(), "`all` is no name for a zone: it selects every agent");
    read_zone(zone.name, zone.key_span(), zone.value);
  }
  if (t_->zones.empty()) r_.error(code::kMissingKey, entry->key_span(), "a topology needs a zone");
  check_overlaps();
  t_->index();
}

void TopologyReader::read_zone(std::string_view name, SourceSpan at, const Value& value) {
  Zone zone;
  zone.name = name;
  zone.at = at;
  zone.cidr.bits = -1;
  default_link_.apply_to(zone.link);
  default_link_.apply_to(zone.fabric.uplink);
  MapReader reader(r_, *topology_keys().find("zones")->table, value);
  if (const Entry* cidr = reader.raw("cidr", ValueType::kCidr)) {
    zone.cidr_at = cidr->value.span();
    if (const auto network = r_.cidr(cidr->value, reader.what("cidr"))) zone.cidr = *network;
  }
  if (const auto site = reader.text("site")) zone.site = site->text;
  zone.labels = reader.labels("labels");
  if (const Entry* link = reader.raw("link", ValueType::kMap)) zone.link = read_attributes(link->value);
  if (const Entry* fabric = reader.raw("fabric", ValueType::kMap)) zone.fabric = read_fabric(fabric->value);
  reader.done();
  t_->zones.push_back(std::move(zone));
}

Fabric TopologyReader::read_fabric(const Value& value) {
  Fabric fabric;
  default_link_.apply_to(fabric.uplink);
  MapReader reader(r_, *topology_keys().find("zones")->table->find("fabric")->table, value);
  const auto kind = reader.choice("kind");
  if (kind) fabric.kind = static_cast<Fabric::Kind>(*kind);
  const auto number = [&](const char* key) { return static_cast<std::uint32_t>(reader.integer(key).value_or(0)); };
  fabric.leaves = number("leaves");
  fabric.spines = number("spines");
  fabric.k = number("k");
  if (const Entry* uplink = reader.raw("uplink", ValueType::kMap)) fabric.uplink = read_attributes(uplink->value);
  reader.done();
  const auto need = [&](const char* key, const char* of) {
    if (kind && !reader.has(key))
      r_.error(code::kMissingKey, reader.key_span("kind"),
               fmt::format("missing key `{}`: a {} fabric needs it", key, of));
  };
  const auto useless = [&](const char* key) {
    if (kind && reader.has(key))
      r_.warn(code::kNoEffect, reader.key_span(key), fmt::format("`{}` has no effect on this kind of fabric", key));
  };
  if (fabric.kind == Fabric::Kind::kLeafSpine) {
    need("leaves", "leaf-spine");
    need("spines", "leaf-spine");
  } else {
    useless("leaves");
    useless("spines");
  }
  if (fabric.kind == Fabric::Kind::kFatTree)
    need("k", "fat-tree");
  else
    useless("k");
  if (fabric.k % 2 != 0)
    r_.error(code::kBadValue, reader.key_span("k"), fmt::format("`k` of a fat-tree must be even, got {}", fabric.k));
  check_size(reader, fabric);
  return fabric;
}

/// A few digits in a file must not fill the memory with switches.
void TopologyReader::check_size(MapReader& reader, const Fabric& fabric) {
  const std::uint64_t k = fabric.k;
  const bool tree = fabric.kind == Fabric::Kind::kFatTree;
  const bool spine = fabric.kind == Fabric::Kind::kLeafSpine;
  const std::uint64_t links = tree ? k * k * k / 2 : spine ? std::uint64_t{fabric.leaves} * fabric.spines : 0;
  if (links <= kMaxFabricLinks) return;
  r_.error(code::kLimit, reader.map().span(),
           tree ? fmt::format("a fat-tree of k = {} has {} links between its switches, more than {}", k, links, kMaxFabricLinks)
                : fmt::format("a fabric of {} leaves and {} spines has {} links between them, more than {}", fabric.leaves,
                              fabric.spines, links, kMaxFabricLinks));
}

void TopologyReader::check_overlaps() {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < t_->zones.size(); ++i) {
    if (t_->zones[i].cidr.bits >= 0) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const Cidr &x = t_->zones[a].cidr, &y = t_->zones[b].cidr;
    return x.network != y.network ? x.network < y.network : x.bits < y.bits;
  });
  std::vector<std::size_t> open;  // networks that contain the present one
  for (const std::size_t i : order) {
    while (!open.empty() && !t_->zones[open.back()].cidr.contains(t_->zones[i].cidr.network)) open.pop_back();
    if (!open.empty()) {
      const Zone& first = t_->zones[std::min(i, open.back())];
      const Zone& second = t_->zones[std::max(i, open.back())];
      r_.error(code::kAddress, second.cidr_at,
               fmt::format("zone `{}` ({}) overlaps zone `{}` ({})", second.name, second.cidr.text(), first.name,
                           first.cidr.text()),
               {}, fmt::format("`{}` is defined at line {}", first.name, first.at.line));
    }
    open.push_back(i);
  }
}

void TopologyReader::read_dns(MapReader& document) {
  const Entry* entry = document.raw("dns", ValueType::kAddressesMap);
  if (entry == nullptr) return;
  if (!entry->value.is(Node::Kind::kMap))
    return r_.wrong_type(entry->value, document.what("dns"), "a map of address lists");
  for (const Entry& name : r_.entries(entry->value, "dns")) {
    DnsName dns{std::string(name.name), name.key_span(), {}};
    const std::string what = fmt::format("dns name `{}`", name.name);
    const std::vector<Value> items = r_.list(name.value, what, "addresses");
    if (name.value.is(Node::Kind::kList) && items.empty())
      r_.error(code::kBadValue, name.value.span(), what + " has no address");
    for (const Value& item : items) {
      if (const auto address = r_.ipv4(item, what)) dns.addresses.push_back(*address);
    }
    t_->dns.push_back(std::move(dns));
  }
}

void TopologyReader::read_nat(MapReader& document) {
  const Entry* entry = document.raw("nat", ValueType::kListOf);
  if (entry == nullptr) return;
  std::set<std::string> names;
  for (const Value& item : r_.list(entry->value, document.what("nat"), "translations")) {
    MapReader reader(r_, *topology_keys().find("nat")->table, item);
    Nat nat;
    nat.name = fmt::format("nat-{}", t_->nat.size() + 1);
    nat.at = item.span();
    if (const auto name = reader.text("name", ValueType::kName)) {
      nat.name = name->text;
      nat.at = name->at;
    }
    if (!names.insert(nat.name).second)
      r_.error(code::kDuplicateName, nat.at, fmt::format("a second translation is called `{}`", nat.name));
    bool placed = false;
    if (const auto zone = reader.text("at", ValueType::kName)) {
      placed = t_->zone_index(zone->text).has_value();
      if (const auto index = t_->zone_index(zone->text))
        nat.zone = *index;
      else
        r_.error(code::kUndefined, zone->at, fmt::format("unknown zone `{}`", zone->text),
                 did_you_mean(zone->text, names_of(t_->zones)), "zones: " + listed(names_of(t_->zones)));
    }
    const auto outside = reader.ipv4("outside");
    const auto inside = reader.ipv4("inside");
    reader.done();
    if (!outside || !inside || !placed) continue;
    nat.outside = *outside;
    nat.inside = *inside;
    inside_at_.push_back(reader.entry("inside")->value.span());
    const auto [it, fresh] = taken_.emplace(outside->v4_value(), fmt::format("translation `{}`", nat.name));
    if (!fresh)
      r_.error(code::kAddress, reader.entry("outside")->value.span(),
               fmt::format("{} already belongs to {}", outside->text(), it->second));
    t_->nat.push_back(std::move(nat));
  }
}

/// Who owns the inside addresses is known once all agents have theirs.
void TopologyReader::check_nat() {
  for (std::size_t i = 0; i < t_->nat.size(); ++i) {
    const Nat& nat = t_->nat[i];
    if (nat.zone >= t_->zones.size() || t_->zones[nat.zone].cidr.bits < 0) continue;  // has been reported
    const Agent* owner = nullptr;
    for (const Agent& agent : t_->agents) {
      if (agent.address == nat.inside) owner = &agent;
    }
    if (owner != nullptr && owner->zone == nat.zone) continue;
    r_.error(code::kAddress, inside_at_[i],
             fmt::format("translation `{}`: no agent of zone `{}` has the address {}", nat.name, t_->zones[nat.zone].name,
                         nat.inside.text()),
             {},
             owner != nullptr ? fmt::format("`{}` has it, in zone `{}`", owner->full_name, t_->zones[owner->zone].name) : "");
  }
}

void TopologyReader::refuse_graph(MapReader& document) {
  const Entry* entry = document.raw("graph", ValueType::kMap);
  if (entry == nullptr) return;
  MapReader reader(r_, *topology_keys().find("graph")->table, entry->value);
  for (const Key& key : topology_keys().find("graph")->table->keys) reader.text(key.name, ValueType::kFile);
  reader.done();
  r_.error(code::kUnsupported, entry->key_span(), "`graph` files are not supported yet", {},
           "write the zones and links out");
}

}  // namespace dcsim::scenario
