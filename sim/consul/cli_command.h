#pragma once
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "consul/cli.h"

// What the files of the commands share.

namespace dcsim::consul {

/// One command under way. Its output is what the terminal would show: out and err are kept apart.
struct CliRun : std::enable_shared_from_this<CliRun> {
  CliRun(CliAgent& a, std::vector<std::string> w, CliDone d) : agent(a), words(std::move(w)), done(std::move(d)) {}
  CliAgent& agent;
  std::vector<std::string> words;
  CliDone done;
  CommandResult result{};

  void output(std::string_view line) { (result.out += line) += '\n'; }
  void error(std::string_view line) { (result.err += line) += '\n'; }
  void finish(Instant now, int exit) {
    result.exit = exit;
    done(now, std::move(result));
  }
  void fail(Instant now, std::string_view line) {
    error(line);
    finish(now, 1);
  }
};
using CliRunPtr = std::shared_ptr<CliRun>;

/// The flags that commands have in common (command/flags/http.go). The address, tokens and TLS files are taken and not used:
/// a command speaks to the agent of its machine.
struct HttpFlags {
  std::string datacenter{};
  bool stale = false;
  std::string ignored{};
  void declare(Flags& flags, bool server_flags = true);
  wire::rpc::QueryOptions options() const {
    wire::rpc::QueryOptions o;
    o.allow_stale = stale;
    return o;
  }
  const std::string& dc(const CliAgent& agent) const { return datacenter.empty() ? agent.config().datacenter : datacenter; }
};

/// The HTTP status that the agent gives an RPC's error (agent/http.go).
int http_status(std::string_view error);
/// api.StatusError: "Unexpected response code: 500 (No cluster leader)".
std::string api_error_text(std::string_view error);
std::string api_error_text(int status, std::string_view body);

/// "-flag VALUE" of a uint64, or Go's complaint.
std::optional<std::uint64_t> parse_uint(std::string_view text);
std::string bad_flag(std::string_view value, std::string_view flag, std::string_view why);
/// Splits "key=value" arguments. Error as FlagMapValue's.
Result<wire::rpc::TextMap> flag_map(const std::vector<std::string>& pairs, std::string_view flag);

// cli_kv.cpp
void run_kv(Instant now, const CliRunPtr& run);
// cli_catalog.cpp
void run_catalog(Instant now, const CliRunPtr& run);
// cli_operator.cpp
void run_operator(Instant now, const CliRunPtr& run);
// cli_agent.cpp
void run_services(Instant now, const CliRunPtr& run);
void run_maint(Instant now, const CliRunPtr& run);
void run_info(Instant now, const CliRunPtr& run);
// cli_curl.cpp
void run_curl(Instant now, const CliRunPtr& run);

}  // namespace dcsim::consul
