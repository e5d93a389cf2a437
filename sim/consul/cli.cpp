#include "consul/cli.h"

#include <algorithm>
#include <charconv>

#include "consul/cli_command.h"

namespace dcsim::consul {

namespace {

using Runner = void (*)(Instant, const CliRunPtr&);

Runner runner_of(const std::vector<std::string>& words) {
  if (words.empty()) return nullptr;
  if (words[0] == "curl") return &run_curl;
  if (words[0] != "consul" || words.size() < 2) return nullptr;
  const std::string& what = words[1];
  const std::string_view sub = words.size() > 2 ? std::string_view(words[2]) : "";
  const auto among = [&](std::initializer_list<std::string_view> list) { return std::find(list.begin(), list.end(), sub) != list.end(); };
  if (what == "kv") return among({"get", "put", "delete", "export"}) ? &run_kv : nullptr;
  if (what == "catalog") return among({"nodes", "services", "datacenters"}) ? &run_catalog : nullptr;
  if (what == "services") return among({"register", "deregister"}) ? &run_services : nullptr;
  if (what == "operator") return (sub == "raft" || sub == "autopilot") && words.size() > 3 ? &run_operator : nullptr;
  if (what == "info") return &run_info;
  if (what == "maint") return &run_maint;
  return nullptr;
}

}  // namespace

bool is_cli_command(const std::vector<std::string>& words) { return runner_of(words) != nullptr; }

void run_cli(Instant now, const std::vector<std::string>& words, CliAgent& agent, CliDone done) {
  const Runner runner = runner_of(words);
  if (!runner) {
    std::string command;
    for (std::size_t i = 0; i < std::min<std::size_t>(words.size(), 4) && !words[i].starts_with('-'); ++i) command += (i ? " " : "") + words[i];
    return done(now, {1, "", fmt::format("Error: `{}` is not modelled by this version of dcsim\n", command)});
  }
  runner(now, std::make_shared<CliRun>(agent, words, std::move(done)));
}

void HttpFlags::declare(Flags& flags, bool server_flags) {
  for (const char* name : {"http-addr", "token", "token-file", "ca-file", "ca-path", "client-cert", "client-key", "tls-server-name",
                           "namespace", "partition"}) {
    flags.text(name, &ignored);
  }
  if (!server_flags) return;
  flags.text("datacenter", &datacenter);
  flags.boolean("stale", &stale);
}

int http_status(std::string_view error) {
  const auto has = [&](std::string_view text) { return error.find(text) != std::string_view::npos; };
  if (has("Permission denied") || has("ACL not found")) return 403;
  if (has("RPC rate limit exceeded") || has("try again later or against a different server")) return 429;
  if (has("operation that can only be performed by the leader, try again later")) return 503;
  return 500;
}

std::string api_error_text(int status, std::string_view body) {
  const auto blank = [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; };
  while (!body.empty() && blank(body.back())) body.remove_suffix(1);
  while (!body.empty() && blank(body.front())) body.remove_prefix(1);
  return fmt::format("Unexpected response code: {} ({})", status, body);
}

std::string api_error_text(std::string_view error) { return api_error_text(http_status(error), error); }

std::optional<std::uint64_t> parse_uint(std::string_view text) {
  std::uint64_t value = 0;
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string bad_flag(std::string_view value, std::string_view flag, std::string_view why) {
  return fmt::format("invalid value {:?} for flag -{}: {}", value, flag, why);
}

Result<wire::rpc::TextMap> flag_map(const std::vector<std::string>& pairs, std::string_view flag) {
  wire::rpc::TextMap out;
  for (const std::string& pair : pairs) {
    const auto equals = pair.find('=');
    if (equals == std::string::npos) return Error{bad_flag(pair, flag, fmt::format("missing \"=\" value in argument: {}", pair))};
    out[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return out;
}

CommandResult cli_not_running(const std::vector<std::string>& words) {
  if (!words.empty() && words[0] == "curl") {
    return {7, "", "curl: (7) Failed to connect to localhost port 8500 after 0 ms: Couldn't connect to server\n"};
  }
  const auto refused = [](std::string_view what, std::string_view verb, std::string_view path) {
    return CommandResult{1, "", fmt::format("{}: {} \"http://127.0.0.1:8500{}\": dial tcp 127.0.0.1:8500: connect: connection refused\n", what, verb, path)};
  };
  const std::string what = words.size() > 1 ? words[1] : "";
  const std::string sub = words.size() > 2 ? words[2] : "";
  std::string argument;
  for (std::size_t i = 3; i < words.size() && argument.empty(); ++i) {
    if (!words[i].starts_with('-')) argument = words[i];
  }
  if (what == "kv") {
    const std::string path = "/v1/kv/" + argument;
    if (sub == "put") return refused("Error! Failed writing data", "Put", path);
    if (sub == "delete") return refused("Error deleting key " + argument, "Delete", path);
    return refused("Error querying Consul agent", "Get", path);
  }
  if (what == "catalog" && sub == "nodes") return refused("Error listing nodes", "Get", "/v1/catalog/nodes");
  if (what == "catalog" && sub == "services") return refused("Error listing services", "Get", "/v1/catalog/services");
  if (what == "catalog") return refused("Error listing datacenters", "Get", "/v1/catalog/datacenters");
  if (what == "services") return refused("Error registering service \"\"", "Put", "/v1/agent/service/" + sub);
  if (what == "info") return refused("Error querying agent", "Get", "/v1/agent/self");
  if (what == "operator" && sub == "raft") {
    return refused("Error getting peers: Failed to retrieve raft configuration", "Get", "/v1/operator/raft/configuration");
  }
  if (what == "operator") return refused("Error querying Autopilot configuration", "Get", "/v1/operator/autopilot/configuration");
  return refused("Error querying Consul agent", "Get", "/v1/agent/self");
}

}  // namespace dcsim::consul
