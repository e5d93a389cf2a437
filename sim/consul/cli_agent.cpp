#include <charconv>

#include "consul/cli_command.h"

// command/{services,maint,info} over the agent's own API.
namespace dcsim::consul {

namespace {

std::optional<std::int64_t> parse_int(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void no_files(Instant now, const CliRunPtr& run) {
  run->fail(now, "Error: reading service files is not modelled by this version of dcsim");
}

void register_service(Instant now, const CliRunPtr& run) {
  wire::rpc::NodeService service;
  std::string port = "0", socket;
  std::vector<std::string> meta, addresses;
  HttpFlags http;
  Flags flags;
  flags.text("id", &service.id);
  flags.text("name", &service.service);
  flags.text("address", &service.address);
  flags.text("port", &port);
  flags.text("socket", &socket);
  flags.texts("meta", &meta);
  flags.texts("tag", &service.tags);
  flags.texts("tagged-address", &addresses);
  flags.text("kind", &service.kind);
  http.declare(flags);
  const auto arguments = flags.parse(run->words, 3);
  if (!arguments) return run->fail(now, arguments.error().text);
  const auto number = parse_int(port);
  if (!number) return run->fail(now, bad_flag(port, "port", "parse error"));
  const auto pairs = flag_map(meta, "meta");
  if (!pairs) return run->fail(now, pairs.error().text);
  if (arguments->empty() && service.service.empty()) {
    return run->fail(now, "Service registration requires at least one argument or flags.");
  }
  if (!arguments->empty() && !service.service.empty()) {
    return run->fail(now, "Service registration requires arguments or -id, not both.");
  }
  if (!arguments->empty()) return no_files(now, run);
  service.port = *number;
  service.meta = *pairs;
  const std::string name = service.service;
  run->agent.local().add_service(std::move(service));
  run->agent.local_changed(now);
  run->output("Registered service: " + name);
  run->finish(now, 0);
}

void deregister_service(Instant now, const CliRunPtr& run) {
  std::string id;
  HttpFlags http;
  Flags flags;
  flags.text("id", &id);
  http.declare(flags);
  const auto arguments = flags.parse(run->words, 3);
  if (!arguments) return run->fail(now, arguments.error().text);
  if (arguments->empty() && id.empty()) return run->fail(now, "Service deregistration requires at least one argument or -id.");
  if (!arguments->empty() && !id.empty()) return run->fail(now, "Service deregistration requires arguments or -id, not both.");
  if (!arguments->empty()) return no_files(now, run);
  if (const auto unknown = run->agent.local().remove_service(id)) {
    return run->fail(now, "Error registering service \"\": " + api_error_text(404, unknown->text));  // Consul says so
  }
  run->agent.local_changed(now);
  run->output("Deregistered service: " + id);
  run->finish(now, 0);
}

void list_maintenance(Instant now, const CliRunPtr& run) {
  for (const wire::rpc::HealthCheck* check : run->agent.local().checks()) {
    if (check->check_id == kNodeMaintenance) {
      run->output("Node:");
      run->output("  Name:   " + run->agent.config().node_name);
    } else if (check->check_id.starts_with(kServiceMaintenance)) {
      run->output("Service:");
      run->output("  ID:     " + check->service_id);
    } else {
      continue;
    }
    run->output("  Reason: " + check->notes);
    run->output("");
  }
  run->finish(now, 0);
}

}  // namespace

void run_services(Instant now, const CliRunPtr& run) {
  if (run->words[2] == "register") return register_service(now, run);
  deregister_service(now, run);
}

void run_maint(Instant now, const CliRunPtr& run) {
  bool enable = false, disable = false;
  std::string reason, service;
  HttpFlags http;
  Flags flags;
  http.declare(flags, false);
  flags.boolean("enable", &enable);
  flags.boolean("disable", &disable);
  flags.text("reason", &reason);
  flags.text("service", &service);
  if (const auto rest = flags.parse(run->words, 2); !rest) return run->fail(now, rest.error().text);
  if (enable && disable) return run->fail(now, "Only one of -enable or -disable may be provided");
  if (!enable && !reason.empty()) return run->fail(now, "Reason may only be provided with -enable");
  if (!enable && !disable && !service.empty()) return run->fail(now, "Service requires either -enable or -disable");
  if (!enable && !disable) return list_maintenance(now, run);
  LocalState& local = run->agent.local();
  const std::string_view how = enable ? "enabled" : "disabled";
  if (service.empty()) {
    const bool changes = enable != (local.check(kNodeMaintenance) != nullptr);
    local.set_node_maintenance(enable, reason);
    if (changes) run->agent.log(now, LogLevel::kInfo, fmt::format("agent: Node {} maintenance mode", enable ? "entered" : "left"));
    run->output(fmt::format("Node maintenance is now {}", how));
  } else {
    const bool changes = enable != (local.check(std::string(kServiceMaintenance) + service) != nullptr);
    if (const auto unknown = local.set_service_maintenance(service, enable, reason)) {
      return run->fail(now, fmt::format("Error {} service maintenance: {}", enable ? "enabling" : "disabling", api_error_text(404, unknown->text)));
    }
    if (changes) {
      run->agent.log(now, LogLevel::kInfo, fmt::format("agent: Service {} maintenance mode: service={}", enable ? "entered" : "left", service));
    }
    run->output(fmt::format("Service maintenance is now {} for {:?}", how, service));
  }
  run->agent.local_changed(now);
  run->finish(now, 0);
}

void run_info(Instant now, const CliRunPtr& run) {
  HttpFlags http;
  Flags flags;
  http.declare(flags, false);
  if (const auto rest = flags.parse(run->words, 2); !rest) return run->fail(now, rest.error().text);
  for (const auto& [section, values] : run->agent.info(now)) {
    run->output(section + ":");
    for (const auto& [key, value] : values) run->output(fmt::format("\t{} = {}", key, value));
  }
  run->finish(now, 0);
}

}  // namespace dcsim::consul
