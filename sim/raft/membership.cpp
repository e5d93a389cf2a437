#include "raft/membership.h"

#include <algorithm>

namespace dcsim::raft {
namespace {

Server* find(Configuration& configuration, std::string_view id) {
  for (Server& server : configuration.servers) {
    if (server.id == id) return &server;
  }
  return nullptr;
}

void add_voter(Configuration& c, const ConfigurationChange& change) {
  if (Server* server = find(c, change.server_id)) {
    *server = {Suffrage::kVoter, change.server_id, change.server_address};
  } else {
    c.servers.push_back({Suffrage::kVoter, change.server_id, change.server_address});
  }
}

void add_nonvoter(Configuration& c, const ConfigurationChange& change) {
  Server* server = find(c, change.server_id);
  if (server == nullptr) {
    c.servers.push_back({Suffrage::kNonvoter, change.server_id, change.server_address});
  } else if (server->suffrage != Suffrage::kNonvoter) {
    server->address = change.server_address;  // a voter stays one
  } else {
    *server = {Suffrage::kNonvoter, change.server_id, change.server_address};
  }
}

}  // namespace

std::string_view name_of(ChangeCommand command) {
  switch (command) {
    case ChangeCommand::kAddVoter:
      return "AddVoter";
    case ChangeCommand::kAddNonvoter:
      return "AddNonvoter";
    case ChangeCommand::kDemoteVoter:
      return "DemoteVoter";
    case ChangeCommand::kRemoveServer:
      return "RemoveServer";
    case ChangeCommand::kPromote:
      return "Promote";
  }
  return "ConfigurationChangeCommand";
}

bool in_configuration(const Configuration& configuration, std::string_view id) {
  return std::any_of(configuration.servers.begin(), configuration.servers.end(),
                     [&](const Server& s) { return s.id == id; });
}

bool has_vote(const Configuration& configuration, std::string_view id) {
  return std::any_of(configuration.servers.begin(), configuration.servers.end(),
                     [&](const Server& s) { return s.id == id && s.suffrage == Suffrage::kVoter; });
}

std::size_t voters_of(const Configuration& configuration) {
  return static_cast<std::size_t>(std::count_if(configuration.servers.begin(), configuration.servers.end(),
                                                [](const Server& s) { return s.suffrage == Suffrage::kVoter; }));
}

std::string text_of(const Server& server) {
  return "{" + std::string(name_of(server.suffrage)) + " " + server.id + " " + server.address + "}";
}

std::string text_of(const Configuration& configuration) {
  std::string text = "[";
  for (const Server& server : configuration.servers) {
    if (text.size() > 1) text += ' ';
    text +=
        "{Suffrage:" + std::string(name_of(server.suffrage)) + " ID:" + server.id + " Address:" + server.address + "}";
  }
  return text + "]";
}

std::optional<Error> problem_of(const Configuration& configuration) {
  const auto& servers = configuration.servers;
  for (std::size_t i = 0; i < servers.size(); ++i) {
    if (servers[i].id.empty()) return Error{"empty ID in configuration: {" + text_of(configuration) + "}"};
    if (servers[i].address.empty()) return Error{"empty address in configuration: " + text_of(servers[i])};
    for (std::size_t k = 0; k < i; ++k) {
      if (servers[k].id == servers[i].id) return Error{"found duplicate ID in configuration: " + servers[i].id};
      if (servers[k].address == servers[i].address)
        return Error{"found duplicate address in configuration: " + servers[i].address};
    }
  }
  if (voters_of(configuration) == 0)
    return Error{"need at least one voter in configuration: {" + text_of(configuration) + "}"};
  return std::nullopt;
}

Result<Configuration> next_configuration(const Configuration& current, Index current_index,
                                         const ConfigurationChange& change) {
  if (change.prev_index != 0 && change.prev_index != current_index)
    return Error{"configuration changed since " + std::to_string(change.prev_index) + " (latest is " +
                 std::to_string(current_index) + ")"};
  Configuration next = current;
  Server* server = find(next, change.server_id);
  switch (change.command) {
    case ChangeCommand::kAddVoter:
      add_voter(next, change);
      break;
    case ChangeCommand::kAddNonvoter:
      add_nonvoter(next, change);
      break;
    case ChangeCommand::kDemoteVoter:
      if (server != nullptr) server->suffrage = Suffrage::kNonvoter;
      break;
    case ChangeCommand::kRemoveServer:
      std::erase_if(next.servers, [&](const Server& s) { return s.id == change.server_id; });
      break;
    case ChangeCommand::kPromote:
      if (server != nullptr && server->suffrage == Suffrage::kStaging) server->suffrage = Suffrage::kVoter;
      break;
  }
  if (auto problem = problem_of(next)) return *problem;
  return next;
}

}  // namespace dcsim::raft
