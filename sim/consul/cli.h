#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "consul/agent_config.h"
#include "consul/anti_entropy_state.h"
#include "consul/cli_rpc.h"
#include "consul/command.h"
#include "consul/members.h"
#include "consul/surroundings.h"

namespace dcsim::consul {

/// Sections of `consul info`, each with its values.
using InfoSections = std::map<std::string, std::map<std::string, std::string>>;

/// What a command finds at the agent whose HTTP API it asks. Outlives every command.
class CliAgent {
 public:
  virtual ~CliAgent() = default;
  virtual const AgentConfig& config() const = 0;
  virtual Rpc& rpc() = 0;
  /// Services and checks of the agent; after a change, local_changed (AntiEntropy::on_changed).
  virtual LocalState& local() = 0;
  virtual void local_changed(Instant now) = 0;
  virtual InfoSections info(Instant now) const = 0;
  /// /v1/agent/members of a segment, or "_all".
  virtual Result<std::vector<MemberRow>> members(std::string_view segment) const = 0;
  virtual void log(Instant now, LogLevel level, std::string_view line) = 0;
};

/// Called once, from inside the command or later.
using CliDone = std::function<void(Instant now, CommandResult result)>;

/// Whether `words` is one of the commands here: consul kv, catalog, services, info, maint, operator raft, operator
/// autopilot, and curl of an agent's HTTP API.
bool is_cli_command(const std::vector<std::string>& words);

/// Runs one of them at a running agent: output, errors and exit status are those of Consul's command (or curl's). Holds
/// `agent` by reference until done.
/// Sources: command/{kv,catalog,services,info,maint,operator}, api, agent/*_endpoint.go.
void run_cli(Instant now, const std::vector<std::string>& words, CliAgent& agent, CliDone done);

/// The same where no agent runs.
CommandResult cli_not_running(const std::vector<std::string>& words);

}  // namespace dcsim::consul
