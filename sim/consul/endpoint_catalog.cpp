#include <fmt/format.h>

#include <cmath>
#include <iterator>

#include "consul/endpoint_serve.h"

namespace dcsim::consul {

namespace {

using namespace wire::rpc;

// agent/consul/{catalog,health,coordinate}_endpoint.go.

/// go-uuid ParseUUID.
std::string_view uuid_problem(std::string_view text) {
  if (text.size() != 36) return "uuid string is wrong length";
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (c != '-') return "uuid is improperly formatted";
    } else if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) {
      return "encoding/hex: invalid byte";
    }
  }
  return {};
}

std::string registration_problem(RegisterRequest& request) {
  if (request.node.empty()) return "Must provide node";
  if (request.address.empty() && !request.skip_node_update) return "Must provide address if SkipNodeUpdate is not set";
  if (!request.id.empty()) {
    if (const auto wrong = uuid_problem(request.id); !wrong.empty()) return fmt::format("Bad node ID: {}", wrong);
  }
  if (request.service) {
    NodeService& service = *request.service;
    if (service.id.empty()) service.id = service.service;
    if (!service.id.empty() && service.service.empty())
      return "Must provide service name (Service.Service) when service ID is provided";
    if (service.address == "0.0.0.0" || service.address == "::" || service.address == "[::]")
      return "Invalid service address";
  }
  return {};
}

void register_node(Server& server, Instant now, std::uint32_t slot) {
  auto request = arguments<RegisterRequest>(server, slot);
  if (const std::string wrong = registration_problem(request); !wrong.empty()) return server.refuse(now, slot, wrong);
  if (request.check) request.checks.push_back(*std::exchange(request.check, std::nullopt));
  for (HealthCheck& check : request.checks) {
    if (check.node.empty()) check.node = request.node;
    if (check.check_id.empty()) check.check_id = check.name;
  }
  server.apply_for(now, slot, command_of(CommandType::kRegister, request), &answer_empty<Empty>);
}

void deregister(Server& server, Instant now, std::uint32_t slot) {
  const auto request = arguments<DeregisterRequest>(server, slot);
  if (request.node.empty()) return server.refuse(now, slot, "Must provide node");
  server.apply_for(now, slot, command_as_received(server, slot, CommandType::kDeregister), &answer_empty<Empty>);
}

/// router.go GetDatacentersByDistance: without a WAN pool there is one.
void list_datacenters(Server& server, Instant now, std::uint32_t slot) {
  server.answer(now, slot, Texts{server.config().datacenter});
}

std::string_view vet_service_nodes(const ServiceSpecificRequest& r) {
  return r.service_name.empty() && r.service_address.empty() ? "Must provide service name" : "";
}
std::string_view vet_health_service_nodes(const ServiceSpecificRequest& r) {
  return r.service_name.empty() ? "Must provide service name" : "";
}
std::string_view vet_service_checks(const ServiceSpecificRequest& r) {
  return r.tag_filter ? "Tag filtering is not supported" : "";
}
std::string_view vet_node_services(const NodeSpecificRequest& r) { return r.node.empty() ? "Must provide node" : ""; }

void update_coordinate(Server& server, Instant now, std::uint32_t slot) {
  auto request = arguments<CoordinateUpdateRequest>(server, slot);
  if (!request.coord) return server.refuse(now, slot, "invalid coordinate");
  const Coord& c = *request.coord;
  bool finite = std::isfinite(c.error) && std::isfinite(c.adjustment) && std::isfinite(c.height);
  for (const double x : c.vec) finite = finite && std::isfinite(x);
  if (!finite) return server.refuse(now, slot, "invalid coordinate");
  if (c.vec.size() != 8) return server.refuse(now, slot, "incompatible coordinate");
  server.coordinate_updated(now, {std::move(request.node), std::move(request.segment), std::move(request.coord)});
  server.answer(now, slot, Empty{});
}

constexpr RpcMethod kMethods[] = {
    {method::kCatalogRegister, &read_info<RegisterRequest>, &register_node},
    {method::kCatalogDeregister, &read_info<DeregisterRequest>, &deregister},
    {method::kCatalogListDatacenters, &read_info<DatacentersRequest>, &list_datacenters, false},
    query_method<DcSpecificRequest, IndexedNodes, &list_nodes>(method::kCatalogListNodes),
    query_method<DcSpecificRequest, IndexedServices, &list_services>(method::kCatalogListServices),
    query_method<ServiceSpecificRequest, IndexedServiceNodes, &service_nodes, &vet_service_nodes>(
        method::kCatalogServiceNodes),
    query_method<NodeSpecificRequest, IndexedNodeServices, &node_services, &vet_node_services>(
        method::kCatalogNodeServices),
    query_method<ServiceSpecificRequest, IndexedCheckServiceNodes, &health_service_nodes, &vet_health_service_nodes>(
        method::kHealthServiceNodes),
    query_method<NodeSpecificRequest, IndexedHealthChecks, &node_checks>(method::kHealthNodeChecks),
    query_method<ServiceSpecificRequest, IndexedHealthChecks, &service_checks, &vet_service_checks>(
        "Health.ServiceChecks"),
    query_method<ChecksInStateRequest, IndexedHealthChecks, &checks_in_state>(method::kHealthChecksInState),
    {method::kCoordinateUpdate, &read_info<CoordinateUpdateRequest>, &update_coordinate},
};

}  // namespace

RpcMethods catalog_methods() { return {kMethods, std::size(kMethods)}; }

}  // namespace dcsim::consul
