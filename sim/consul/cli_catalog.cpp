#include <algorithm>

#include "consul/cli_command.h"

// command/catalog/list/{nodes,services,dc}. -stale is taken, and without effect, as there.
namespace dcsim::consul {

namespace {

using namespace wire::rpc;

std::string pairs(const TextMap& map) {
  std::string out;
  for (const auto& [key, value] : map) out += fmt::format("{}{}={}", out.empty() ? "" : ", ", key, value);
  return out;
}

void print_nodes(CliRun& run, const std::vector<Node>& nodes, bool detailed) {
  std::vector<std::vector<std::string>> table;
  if (detailed) table.push_back({"Node", "ID", "Address", "DC", "TaggedAddresses", "Meta"});
  else table.push_back({"Node", "ID", "Address", "DC"});
  for (const Node& n : nodes) {
    if (detailed) {
      table.push_back({n.node, n.id, n.address, n.datacenter, pairs(n.tagged_addresses), pairs(n.meta)});
    } else {
      const auto dash = n.id.find('-');
      table.push_back({n.node, dash == std::string::npos || dash == 0 ? n.id : n.id.substr(0, dash), n.address, n.datacenter});
    }
  }
  run.result.out += columnize(table);
}

void end_nodes(Instant now, CliRun& run, const std::vector<Node>& nodes, bool detailed) {
  if (nodes.empty()) run.error("No nodes match the given query - try expanding your search.");
  else print_nodes(run, nodes, detailed);
  run.finish(now, 0);
}

void nodes_of_service(Instant now, const CliRunPtr& run, ServiceSpecificRequest request, bool detailed) {
  rpc_call<IndexedServiceNodes>(run->agent.rpc(), now, method::kCatalogServiceNodes, request,
                                [run, detailed](Instant at, const Result<IndexedServiceNodes>& reply) {
                                  if (!reply) return run->fail(at, "Error listing nodes for service: " + api_error_text(reply.error().text));
                                  std::vector<Node> nodes;
                                  for (const ServiceNode& s : reply->service_nodes) {
                                    nodes.push_back({s.id, s.node, s.address, s.datacenter, s.tagged_addresses, s.node_meta, s.index});
                                  }
                                  end_nodes(at, *run, nodes, detailed);
                                });
}

/// The -node-meta of a listing that takes flags alone; nullopt: answered with what is wrong.
std::optional<TextMap> listing_filters(Instant now, const CliRunPtr& run, Flags& flags, const std::vector<std::string>& meta) {
  const auto arguments = flags.parse(run->words, 3);
  auto filters = arguments ? flag_map(meta, "node-meta") : Result<TextMap>(arguments.error());
  if (filters && arguments->empty()) return std::move(*filters);
  run->fail(now, filters ? fmt::format("Too many arguments (expected 0, got {})", arguments->size()) : filters.error().text);
  return std::nullopt;
}

void nodes(Instant now, const CliRunPtr& run) {
  bool detailed = false;
  std::string near, service, filter;
  std::vector<std::string> meta;
  HttpFlags http;
  Flags flags;
  flags.boolean("detailed", &detailed);
  flags.text("near", &near);
  flags.text("service", &service);
  flags.text("filter", &filter);
  flags.texts("node-meta", &meta);
  http.declare(flags);
  const auto filters = listing_filters(now, run, flags, meta);
  if (!filters) return;
  if (!filter.empty()) return run->fail(now, "Error: `consul catalog nodes -filter` is not modelled by this version of dcsim");
  QuerySource source;
  source.datacenter = http.dc(run->agent);
  source.node = near == "_agent" ? run->agent.config().node_name : near;
  if (!service.empty()) {
    ServiceSpecificRequest request;
    request.datacenter = http.dc(run->agent);
    request.service_name = service;
    request.node_meta_filters = *filters;
    request.source = source;
    return nodes_of_service(now, run, std::move(request), detailed);
  }
  DcSpecificRequest request;
  request.datacenter = http.dc(run->agent);
  request.node_meta_filters = *filters;
  request.source = source;
  rpc_call<IndexedNodes>(run->agent.rpc(), now, method::kCatalogListNodes, request, [run, detailed](Instant at, const Result<IndexedNodes>& reply) {
    if (!reply) return run->fail(at, "Error listing nodes: " + api_error_text(reply.error().text));
    end_nodes(at, *run, reply->nodes, detailed);
  });
}

/// With tags: text/tabwriter with 6 blanks of padding, trimmed as a whole.
void end_services(Instant now, CliRun& run, std::map<std::string, Texts> services, bool tags) {
  if (services.empty()) {
    run.error("No services match the given query - try expanding your search.");
    return run.finish(now, 0);
  }
  std::size_t width = 0;
  for (const auto& [name, of] : services) width = std::max(width, name.size());
  std::string text;
  for (auto& [name, of] : services) {
    if (!tags) {
      run.output(name);
      continue;
    }
    std::sort(of.begin(), of.end());
    text += fmt::format("{:<{}}", name, width + 6);
    for (std::size_t i = 0; i < of.size(); ++i) text += (i ? "," : "") + of[i];
    text += "\n";
  }
  if (tags) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    run.output(text);
  }
  run.finish(now, 0);
}

void services(Instant now, const CliRunPtr& run) {
  bool tags = false;
  std::string node;
  std::vector<std::string> meta;
  HttpFlags http;
  Flags flags;
  flags.boolean("tags", &tags);
  flags.text("node", &node);
  flags.texts("node-meta", &meta);
  http.declare(flags);
  const auto filters = listing_filters(now, run, flags, meta);
  if (!filters) return;
  if (!node.empty()) {
    NodeSpecificRequest request;
    request.datacenter = http.dc(run->agent);
    request.node = node;
    return rpc_call<IndexedNodeServices>(run->agent.rpc(), now, method::kCatalogNodeServices, request,
                                         [run, tags](Instant at, const Result<IndexedNodeServices>& reply) {
                                           if (!reply) return run->fail(at, "Error listing services for node: " + api_error_text(reply.error().text));
                                           std::map<std::string, Texts> found;
                                           if (reply->node_services) {
                                             for (const auto& [id, s] : reply->node_services->services) {
                                               Texts& of = found[s.service];
                                               of.insert(of.end(), s.tags.begin(), s.tags.end());
                                             }
                                           }
                                           end_services(at, *run, std::move(found), tags);
                                         });
  }
  DcSpecificRequest request;
  request.datacenter = http.dc(run->agent);
  request.node_meta_filters = *filters;
  rpc_call<IndexedServices>(run->agent.rpc(), now, method::kCatalogListServices, request, [run, tags](Instant at, const Result<IndexedServices>& reply) {
    if (!reply) return run->fail(at, "Error listing services: " + api_error_text(reply.error().text));
    end_services(at, *run, reply->services, tags);
  });
}

void datacenters(Instant now, const CliRunPtr& run) {
  HttpFlags http;
  Flags flags;
  http.declare(flags);
  const auto arguments = flags.parse(run->words, 3);
  if (!arguments) return run->fail(now, arguments.error().text);
  if (!arguments->empty()) return run->fail(now, fmt::format("Too many arguments (expected 0, got {})", arguments->size()));
  rpc_call<Texts>(run->agent.rpc(), now, method::kCatalogListDatacenters, DatacentersRequest{}, [run](Instant at, const Result<Texts>& reply) {
    // The command goes on after the error, and ends well.
    if (!reply) run->error("Error listing datacenters: " + api_error_text(reply.error().text));
    else
      for (const std::string& dc : *reply) run->output(dc);
    run->finish(at, 0);
  });
}

}  // namespace

void run_catalog(Instant now, const CliRunPtr& run) {
  const std::string& what = run->words[2];
  if (what == "nodes") return nodes(now, run);
  if (what == "services") return services(now, run);
  datacenters(now, run);
}

}  // namespace dcsim::consul
