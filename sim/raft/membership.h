#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "raft/types.h"

namespace dcsim::raft {

/// configuration.go: ConfigurationChangeCommand.
enum class ChangeCommand : std::uint8_t { kAddVoter, kAddNonvoter, kDemoteVoter, kRemoveServer, kPromote };
std::string_view name_of(ChangeCommand command);  ///< "AddVoter", "AddNonvoter", ...

struct ConfigurationChange {
  ChangeCommand command = ChangeCommand::kAddVoter;
  std::string server_id;
  std::string server_address;  ///< of the two additions
  Index prev_index = 0;        ///< not 0: must be the index of the latest configuration
};

bool in_configuration(const Configuration& configuration, std::string_view id);
bool has_vote(const Configuration& configuration, std::string_view id);
std::size_t voters_of(const Configuration& configuration);
/// voters / 2 + 1
inline std::size_t quorum_of(const Configuration& configuration) { return voters_of(configuration) / 2 + 1; }

/// configuration.go checkConfiguration: unique, non-empty IDs and addresses, at least one voter.
std::optional<Error> problem_of(const Configuration& configuration);
/// configuration.go nextConfiguration.
Result<Configuration> next_configuration(const Configuration& current, Index current_index,
                                         const ConfigurationChange& change);

/// "[{Suffrage:Voter ID:a Address:10.0.0.1:8300} ...]", as Go prints a list of servers.
std::string text_of(const Configuration& configuration);
/// "{Voter a 10.0.0.1:8300}"
std::string text_of(const Server& server);

/// The configuration in force from the moment it is appended, and the latest one known to be committed.
struct Configurations {
  Configuration committed;
  Index committed_index = 0;
  Configuration latest;
  Index latest_index = 0;
};

}  // namespace dcsim::raft
