#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/diagnostic.h"
#include "base/rng.h"
#include "scenario/spanned_text.h"

namespace dcsim::scenario {

struct Topology;

/// `key=value` or `key!=value`. The keys `zone`, `dc`, `kind`, `name` (short or full) and `group` are the agent's own;
/// every other key is a label: the agent's, else its zone's.
struct LabelMatch {
  std::string key;
  std::string value;
  bool negate = false;
  SourceSpan at;
};

/// How many of the matching agents are meant. kCount and kShare are drawn from the run's random numbers; kLeader and
/// kFollowers are the language's, but nobody's until there is Raft: the reader refuses them.
struct Pick {
  enum class Kind { kAll, kCount, kShare, kLeader, kFollowers };
  Kind kind = Kind::kAll;
  std::uint32_t count = 0;       ///< kCount; `one` is 1
  std::uint32_t billionths = 0;  ///< kShare: of the matching agents, rounded up
};

/// Which agents something applies to: any term may match; within a term everything must.
struct Selector {
  struct Term {
    bool all = false;
    std::string name;  ///< one agent ("alpha-1.dc1", or "alpha-1" if unique) or a zone; empty = not given
    std::vector<std::string> zones;
    std::vector<std::string> dcs;
    std::vector<LabelMatch> labels;
    std::optional<Cidr> cidr;
    SourceSpan at;
  };
  std::vector<Term> terms;
  Pick pick;
  SourceSpan at;
  std::string text;  ///< as written, for messages and records; maps are rendered as a label list
};

/// `"role=client, dc=dc1"`, `all`, one agent or one zone. Syntax only: names are looked up by `check`.
/// Mistakes are appended to `out` with their place inside the text.
Selector parse_selector(const SpannedText& text, Diagnostics& out);

/// Names that no agent or zone has are errors; label pairs that match no agent are a warning.
/// Returns false if an error was added.
/// `networks`: a CIDR may be one that no agent is in, as those of firewall rules.
bool check(const Selector& selector, const Topology& topology, Diagnostics& out, bool networks = false);

/// Indices into topology.agents, ascending, of every agent that matches; `pick` is not applied.
std::vector<std::uint32_t> matching(const Selector& selector, const Topology& topology);

/// The same with kCount and kShare drawn from `rng`, one draw per chosen agent, among those that `eligible` (by agent)
/// allows; kAll takes all, eligible or not; kLeader and kFollowers nobody. A share is one of all that match. Ascending.
std::vector<std::uint32_t> resolve(const Selector& selector, const Topology& topology, Rng& rng,
                                   const std::vector<bool>& eligible);

/// The networks a firewall's `from`/`to` stands for: a zone's CIDR where only a zone is asked for, a given `cidr`
/// itself, else one /32 per matching agent. `all` gives 0.0.0.0/0. Sorted, without duplicates.
std::vector<Cidr> networks(const Selector& selector, const Topology& topology);

/// The zones a selector covers entirely by name (`from: [alpha, beta]`, `{zone: alpha}` without further conditions);
/// indices into topology.zones, ascending. Empty if it asks for anything narrower.
std::vector<std::uint32_t> whole_zones(const Selector& selector, const Topology& topology);

}  // namespace dcsim::scenario
