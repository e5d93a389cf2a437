// The one table of keys: the reader, its messages, the JSON Schema and the reference all come from here.
#include "scenario/keys.h"

#include <algorithm>
#include <array>

namespace dcsim::scenario {

namespace {

using T = ValueType;
using Choices = std::span<const std::string_view>;

constexpr std::array<std::string_view, 6> kDistributions = {"constant",  "uniform", "normal",
                                                            "lognormal", "pareto",  "trace"};
constexpr std::array<std::string_view, 3> kFabrics = {"star", "leaf-spine", "fat-tree"};
constexpr std::array<std::string_view, 2> kAgentKinds = {"consul", "serf"};
constexpr std::array<std::string_view, 3> kHooks = {"forward", "input", "output"};
constexpr std::array<std::string_view, 3> kVerdicts = {"accept", "drop", "reject"};
constexpr std::array<std::string_view, 4> kRejects = {"tcp-reset", "icmp-port-unreachable", "icmp-host-unreachable",
                                                      "icmp-admin-prohibited"};
constexpr std::array<std::string_view, 3> kRuleDirections = {"out", "in", "both"};
constexpr std::array<std::string_view, 4> kProtocols = {"tcp", "udp", "icmp", "any"};
constexpr std::array<std::string_view, 4> kStates = {"new", "established", "related", "invalid"};
constexpr std::array<std::string_view, 4> kModes = {"drop", "reject", "delay", "queue"};
constexpr std::array<std::string_view, 3> kPartitionDirections = {"to", "from", "both"};
constexpr std::array<std::string_view, 2> kSeverities = {"fail", "warn"};
constexpr std::array<std::string_view, 3> kBetter = {"lower", "higher", "same"};
constexpr std::array<std::string_view, 1> kTopologyKind = {"topology"};
constexpr std::array<std::string_view, 1> kScenarioKind = {"scenario"};

constexpr std::int64_t kMaxInt = 0x7fffffff;

// Keys of a link that `impair` may change too. Kept sorted by hand in each table; tables() checks.
#define DCSIM_LINK_KEYS_BANDWIDTH_TO_DISTRIBUTION                                                                    \
  Key{"bandwidth", T::kBandwidth, false, "Bits per second. Without it the link never queues.", "unlimited"},         \
      Key{"correlation", T::kPercent, false, "How much a loss, duplicate or corrupt draw follows the previous one.", \
          "0%"},                                                                                                     \
      Key{"corrupt", T::kPercent, false, "Packets whose checksum fails at the receiver.", "0%"}, Key {               \
    "distribution", T::kEnum, false, "Shape of the jitter.", "uniform", Choices(kDistributions)                      \
  }

constexpr std::array kLinkTable = {
    DCSIM_LINK_KEYS_BANDWIDTH_TO_DISTRIBUTION,
    Key{"duplicate", T::kPercent, false, "Packets that arrive twice.", "0%"},
    Key{"endpoints", T::kEndpoints, false, "The two ends: zones, agents or switches."},
    Key{"jitter", T::kDuration, false, "Spread of the latency.", "0s"},
    Key{"latency", T::kDuration, false, "One way.", "100us"},
    Key{"loss", T::kPercent, false, "Packets that vanish.", "0%"},
    Key{"mtu", T::kInteger, false, "Largest IP packet in bytes.", "1500", {}, nullptr, 576, 65535},
    Key{"name", T::kName, false, "What `impair` and the series call it.", "A-B after its ends"},
    Key{"queue", T::kSize, false, "Bytes that may wait for a link with bandwidth.", "1000 full packets"},
    Key{"reorder", T::kPercent, false, "Packets that may overtake their flow.", "0%"},
    Key{"trace", T::kFile, false, "File of delays for `distribution: trace`."},
};
constexpr KeyTable kLink{"link", kLinkTable};

constexpr std::array kFabricTable = {
    Key{"k", T::kInteger, false, "fat-tree: ports per switch, even.", {}, {}, nullptr, 2, 128},
    Key{"kind", T::kEnum, true, "How the zone's switches are wired.", {}, Choices(kFabrics)},
    Key{"leaves", T::kInteger, false, "leaf-spine: switches that agents hang on.", {}, {}, nullptr, 1, 4096},
    Key{"spines", T::kInteger, false, "leaf-spine: switches that join the leaves.", {}, {}, nullptr, 1, 4096},
    Key{"uplink", T::kMap, false, "Links between the fabric's switches.", {}, {}, &kLink},
};
constexpr KeyTable kFabric{"fabric", kFabricTable};

constexpr std::array kZoneTable = {
    Key{"cidr", T::kCidr, true, "The zone's network."},
    Key{"fabric", T::kMap, false, "Inside of the zone.", "one switch", {}, &kFabric},
    Key{"labels", T::kStringMap, false, "Labels of the zone, seen by selectors through its agents."},
    Key{"link", T::kMap, false, "Access link of each agent of the zone.", {}, {}, &kLink},
    Key{"site", T::kText, false, "Where it stands; the key into latency_matrix."},
};
constexpr KeyTable kZone{"zone", kZoneTable};

constexpr std::array kAgentTable = {
    Key{"address", T::kIpv4, false, "The address of a single agent."},
    Key{"config", T::kConfig, false,
        "Consul's (or Serf's) own configuration keys, verbatim. Required unless config_file is given."},
    Key{"config_file", T::kFile, false, "JSON or YAML file of the same keys; `config` is laid over it."},
    Key{"count", T::kInteger, false, "How many; `{n}` in the name runs from 1.", "1", {}, nullptr, 1, kMaxInt},
    Key{"first_address", T::kIpv4, false, "The first agent's address; the others follow.",
        "the zone's lowest free ones"},
    Key{"kind", T::kEnum, false, "Which software.", "consul", Choices(kAgentKinds)},
    Key{"labels", T::kStringMap, false, "Labels for selectors and series."},
    Key{"name", T::kName, true, "Letters, digits, `-`, `_` and `{n}`."},
    Key{"zone", T::kName, true, "The zone it stands in."},
};
constexpr KeyTable kAgent{"agent", kAgentTable};

constexpr std::array kDatacenterTable = {
    Key{"agents", T::kListOf, true, "The datacenter's agents, in order.", {}, {}, &kAgent},
};
constexpr KeyTable kDatacenter{"datacenter", kDatacenterTable};

constexpr std::array kRuleTable = {
    Key{"action", T::kEnum, true, "What happens to a packet that matches.", {}, Choices(kVerdicts)},
    Key{"comment", T::kText, false, "For people."},
    Key{"direction", T::kEnum, false, "out: from `from` to `to`; in: the other way; both: either.", "out",
        Choices(kRuleDirections)},
    Key{"from", T::kSelector, false, "Senders.", "all"},
    Key{"limit", T::kRate, false, "Matches at most so often."},
    Key{"log", T::kBool, false, "Record every match.", "false"},
    Key{"name", T::kName, false, "What series and `delete` call it.", "rule-N"},
    Key{"ports", T::kPorts, false, "Destination ports or services.", "any"},
    Key{"probability", T::kPercent, false, "Matches only this share of packets.", "100%"},
    Key{"protocol", T::kEnum, false, "Transport protocol.", "any", Choices(kProtocols)},
    Key{"reject_with", T::kEnum, false, "What a reject answers.", "icmp-port-unreachable", Choices(kRejects)},
    Key{"source_ports", T::kPorts, false, "Source ports.", "any"},
    Key{"state", T::kEnumList, false, "States of the connection table.", "any", Choices(kStates)},
    Key{"to", T::kSelector, false, "Receivers.", "all"},
};
constexpr KeyTable kRule{"rule", kRuleTable};

constexpr std::array kImportTable = {
    Key{"aws", T::kFile, false, "Security groups as the AWS CLI prints them."},
    Key{"iptables_save", T::kFile, false, "Output of iptables-save."},
    Key{"nftables_json", T::kFile, false, "Output of nft -j list ruleset."},
};
constexpr KeyTable kImport{"import", kImportTable};

constexpr std::array kFirewallTable = {
    Key{"agents", T::kSelector, false, "hook input or output: whose firewall it is.", "all"},
    Key{"conntrack", T::kDurationMap, false, "Timeouts of the connection table by their nf_conntrack name."},
    Key{"default", T::kEnum, true, "What happens to a packet that no rule matches.", {}, Choices(kVerdicts)},
    Key{"enabled", T::kBool, false, "In force from the start.", "true"},
    Key{"hook", T::kEnum, false, "forward stands between zones; input and output on the agents.", "forward",
        Choices(kHooks)},
    Key{"import", T::kMap, false, "Rules read from an existing file.", {}, {}, &kImport},
    Key{"log_default", T::kBool, false, "Record every packet the default decides.", "false"},
    Key{"name", T::kName, true, "What the timeline and the series call it."},
    Key{"reject_with", T::kEnum, false, "What a default reject answers.", "icmp-port-unreachable", Choices(kRejects)},
    Key{"rules", T::kListOf, true, "Read in order; the first match decides.", {}, {}, &kRule},
    Key{"stateful", T::kBool, false, "Keep a connection table.", "false"},
};
constexpr KeyTable kFirewall{"firewall", kFirewallTable};

constexpr std::array kNatTable = {
    Key{"at", T::kName, true, "The zone at whose edge it translates."},
    Key{"inside", T::kIpv4, true, "The real address."},
    Key{"name", T::kName, false, "What records call it.", "nat-N"},
    Key{"outside", T::kIpv4, true, "The address others see."},
};
constexpr KeyTable kNat{"nat", kNatTable};

constexpr std::array kGraphTable = {
    Key{"clab", T::kFile, false, "A containerlab topology."},
    Key{"dot", T::kFile, false, "A Graphviz graph."},
    Key{"graphml", T::kFile, false, "A GraphML graph."},
};
constexpr KeyTable kGraph{"graph", kGraphTable};

constexpr std::array kDefaultsTable = {
    Key{"config", T::kConfig, false, "Laid under every agent's config."},
    Key{"link",
        T::kMap,
        false,
        "Laid under every link: access links, uplinks and links between zones.",
        {},
        {},
        &kLink},
};
constexpr KeyTable kDefaults{"defaults", kDefaultsTable};

constexpr std::array kTopologyTable = {
    Key{"datacenters", T::kMapOf, true, "Consul datacenters and their agents.", {}, {}, &kDatacenter},
    Key{"defaults", T::kMap, false, "What omitted attributes default to.", {}, {}, &kDefaults},
    Key{"description", T::kText, false, "For people."},
    Key{"dns", T::kAddressesMap, false, "Names that retry_join and join may resolve."},
    Key{"firewalls", T::kListOf, false, "Firewalls between zones and on agents.", {}, {}, &kFirewall},
    Key{"graph", T::kMap, false, "Zones and links read from a graph file.", {}, {}, &kGraph},
    Key{"include", T::kOneOrMany, false, "Files whose topologies are laid under this one."},
    Key{"kind", T::kEnum, true, "Says what the document is.", {}, Choices(kTopologyKind)},
    Key{"latency_matrix", T::kFile, false, "CSV from,to,rtt_ms[,jitter_ms,loss] between sites."},
    Key{"links", T::kListOf, false, "Links between zones, agents and switches.", {}, {}, &kLink},
    Key{"name", T::kName, true, "What scenarios call it."},
    Key{"nat", T::kListOf, false, "1:1 address translation at a zone's edge.", {}, {}, &kNat},
    Key{"params", T::kFree, false, "Values for ${name}; --set overrides them."},
    Key{"services", T::kPortsMap, false, "Named port sets for firewall rules."},
    Key{"version", T::kVersion, true, "Version of the language."},
    Key{"zones", T::kMapOf, true, "Networks that agents stand in.", {}, {}, &kZone},
};
constexpr KeyTable kTopology{"topology", kTopologyTable, true};

constexpr std::array kInsertTable = {
    Key{"action", T::kEnum, true, "What happens to a packet that matches.", {}, Choices(kVerdicts)},
    Key{"after", T::kName, false, "Put it behind this rule.", "first"},
    Key{"before", T::kName, false, "Put it in front of this rule.", "first"},
    Key{"comment", T::kText, false, "For people."},
    Key{"direction", T::kEnum, false, "As in a rule.", "out", Choices(kRuleDirections)},
    Key{"firewall", T::kName, false, "Whose rule it becomes.", "the only one"},
    Key{"from", T::kSelector, false, "Senders.", "all"},
    Key{"limit", T::kRate, false, "Matches at most so often."},
    Key{"log", T::kBool, false, "Record every match.", "false"},
    Key{"name", T::kName, false, "What series and `delete` call it.", "inserted-N"},
    Key{"ports", T::kPorts, false, "Destination ports or services.", "any"},
    Key{"position", T::kInteger, false, "Its place among the rules, from 0; beyond the last: at the end.", "first, as nftables' insert", {}, nullptr, 0, kMaxInt},
    Key{"probability", T::kPercent, false, "Matches only this share of packets.", "100%"},
    Key{"protocol", T::kEnum, false, "Transport protocol.", "any", Choices(kProtocols)},
    Key{"reject_with", T::kEnum, false, "What a reject answers.", "icmp-port-unreachable", Choices(kRejects)},
    Key{"source_ports", T::kPorts, false, "Source ports.", "any"},
    Key{"state", T::kEnumList, false, "States of the connection table.", "any", Choices(kStates)},
    Key{"to", T::kSelector, false, "Receivers.", "all"},
};
constexpr KeyTable kInsert{"firewall.insert", kInsertTable};
constexpr std::array kStepFirewallTable = {
    Key{"delete", T::kName, false, "A rule's name, or FIREWALL/RULE."},
    Key{"disable", T::kName, false, "A firewall's name."},
    Key{"enable", T::kName, false, "A firewall's name."},
    Key{"flush_conntrack", T::kBool, false, "Forget every tracked connection."},
    Key{"insert", T::kMap, false, "A rule, and where it goes.", {}, {}, &kInsert},
};
constexpr KeyTable kStepFirewall{"firewall step", kStepFirewallTable};

constexpr std::array kPartitionTable = {
    Key{"between", T::kSelectorList, true, "The sides: zones or selectors, two or more."},
    Key{"direction", T::kEnum, false, "to: first to the others is cut; from: the others to the first.", "both",
        Choices(kPartitionDirections)},
    Key{"duration", T::kDuration, false, "Heals by itself after this.", "for ever"},
    Key{"mode", T::kEnum, false, "What happens to packets across the cut.", "drop", Choices(kModes)},
};
constexpr KeyTable kPartition{"partition", kPartitionTable};

constexpr std::array kImpairTable = {
    DCSIM_LINK_KEYS_BANDWIDTH_TO_DISTRIBUTION,
    Key{"down", T::kBool, false, "The link carries nothing.", "false"},
    Key{"duplicate", T::kPercent, false, "Packets that arrive twice."},
    Key{"duration", T::kDuration, false, "Undoes itself after this.", "for ever"},
    Key{"jitter", T::kDuration, false, "Spread of the latency."},
    Key{"latency", T::kDuration, false, "One way."},
    Key{"link", T::kText, true, "A link's name, zone:NAME (the access links of its agents) or `*`."},
    Key{"loss", T::kPercent, false, "Packets that vanish."},
    Key{"mtu", T::kInteger, false, "Largest IP packet in bytes.", {}, {}, nullptr, 576, 65535},
    Key{"queue", T::kSize, false, "Bytes that may wait for a link with bandwidth."},
    Key{"reorder", T::kPercent, false, "Packets that may overtake their flow."},
};
constexpr KeyTable kImpair{"impair", kImpairTable};

constexpr std::array kClockTable = {
    Key{"agents", T::kSelector, false, "Whose clock; else the step's `agent`."},
    Key{"drift", T::kSignedPercent, false, "How much faster the wall clock runs.", "0%"},
    Key{"duration", T::kDuration, false, "Undoes itself after this.", "for ever"},
    Key{"offset", T::kSignedDuration, false, "Jump of the wall clock.", "0s"},
};
constexpr KeyTable kClock{"clock", kClockTable};

constexpr std::array kSlowTable = {
    Key{"agents", T::kSelector, false, "Which machines; else the step's `agent`."},
    Key{"duration", T::kDuration, false, "Undoes itself after this.", "for ever"},
    Key{"factor", T::kFactor, false, "How many times as slow.", "1"},
    Key{"latency", T::kDuration, false, "Added to every message (slow_cpu) or write (slow_disk).", "0s"},
};
constexpr KeyTable kSlowCpu{"slow_cpu", kSlowTable};
constexpr KeyTable kSlowDisk{"slow_disk", kSlowTable};

constexpr std::array kRunExpectTable = {
    Key{"exit", T::kInteger, false, "Exit status.", {}, {}, nullptr, 0, 255},
    Key{"not_stdout", T::kTextMatch, false, "Must not be found in what it prints."},
    Key{"stderr", T::kTextMatch, false, "Must be found in its error output."},
    Key{"stdout", T::kTextMatch, false, "Must be found in what it prints."},
    Key{"within", T::kDuration, false, "How long it may take."},
};
constexpr KeyTable kRunExpect{"step.expect", kRunExpectTable};

constexpr std::array kStepTable = {
    Key{"after", T::kStepRef, false, "Once that step has run."},
    Key{"agent", T::kSelector, false, "Where `run` runs."},
    Key{"at", T::kDuration, false, "When, from the start."},
    Key{"clock", T::kMap, false, "Set agents' wall clocks off.", {}, {}, &kClock},
    Key{"config", T::kConfig, false, "restart: keys laid over the agents' configuration."},
    Key{"crash", T::kSelector, false, "Lose everything not yet durable."},
    Key{"delay", T::kDuration, false, "How long after `after`.", "0s"},
    Key{"every", T::kDuration, false, "Repeat so often."},
    Key{"expect", T::kMap, false, "What `run` must answer.", {}, {}, &kRunExpect},
    Key{"firewall", T::kMap, false, "Change a firewall.", {}, {}, &kStepFirewall},
    Key{"impair", T::kMap, false, "Change links.", {}, {}, &kImpair},
    Key{"name", T::kName, false, "What `after` and `until` call it."},
    Key{"partition", T::kMap, false, "Cut parts of the network off from one another.", {}, {}, &kPartition},
    Key{"pause", T::kSelector, false, "Freeze processes."},
    Key{"restart", T::kSelector, false, "Stop and start again."},
    Key{"resume", T::kSelector, false, "Thaw paused processes."},
    Key{"run", T::kText, false, "A command line: consul, serf, curl or dig."},
    Key{"slow_cpu", T::kMap, false, "Slow agents' processing down.", {}, {}, &kSlowCpu},
    Key{"slow_disk", T::kMap, false, "Slow agents' disks down.", {}, {}, &kSlowDisk},
    Key{"stagger", T::kDuration, false, "Each agent waits its own uniform draw from [0, D).", "0s"},
    Key{"start", T::kSelector, false, "Start agents."},
    Key{"stop", T::kSelector, false, "End agents, leaving gracefully where Consul would."},
    Key{"until", T::kStepRef, false, "Last time `every` repeats."},
    Key{"when", T::kExpression, false, "Once this becomes true."},
};
constexpr KeyTable kStep{"step", kStepTable};

constexpr std::array kFaultTable = {
    Key{"duration", T::kDuration, false, "How long each lasts."},
    Key{"interval", T::kDuration, false, "Mean gap between two."},
    Key{"kind", T::kOneOrMany, false, "The same as `kinds`."},
    Key{"kinds", T::kOneOrMany, false,
        "What may happen: crash, stop, restart, pause, partition, impair, slow_cpu, slow_disk, clock."},
    Key{"name", T::kName, false, "What records call it."},
    Key{"quiet_at_end", T::kDuration, false, "No faults in the last part of the run."},
    Key{"spec", T::kFree, false,
        "Details: a map from kind to what it takes (fault.impair, fault.partition, ...), or with one kind just that."},
    Key{"targets", T::kSelector, false, "What they may strike.", "all"},
};
constexpr KeyTable kFault{"fault", kFaultTable};

constexpr std::array kFaultImpairTable = {
    DCSIM_LINK_KEYS_BANDWIDTH_TO_DISTRIBUTION,
    Key{"down", T::kBool, false, "The access link carries nothing.", "false"},
    Key{"duplicate", T::kPercent, false, "Packets that arrive twice."},
    Key{"jitter", T::kDuration, false, "Spread of the latency."},
    Key{"latency", T::kDuration, false, "One way."},
    Key{"loss", T::kPercent, false, "Packets that vanish.", "30% if nothing else is given"},
    Key{"mtu", T::kInteger, false, "Largest IP packet in bytes.", {}, {}, nullptr, 576, 65535},
    Key{"queue", T::kSize, false, "Bytes that may wait for a link with bandwidth."},
    Key{"reorder", T::kPercent, false, "Packets that may overtake their flow."},
};
constexpr KeyTable kFaultImpair{"fault.impair", kFaultImpairTable};
constexpr std::array kFaultPartitionTable = {
    Key{"direction", T::kEnum, false, "to: what the target sends is cut; from: what it is sent.", "both",
        Choices(kPartitionDirections)},
    Key{"mode", T::kEnum, false, "What happens to packets across the cut.", "drop", Choices(kModes)},
};
constexpr KeyTable kFaultPartition{"fault.partition", kFaultPartitionTable};
constexpr std::array kFaultSlowTable = {
    Key{"factor", T::kFactor, false, "How many times as slow.", "1"},
    Key{"latency", T::kDuration, false, "Added to every message (slow_cpu) or write (slow_disk).",
        "50ms if there is no factor"},
};
constexpr KeyTable kFaultSlowCpu{"fault.slow_cpu", kFaultSlowTable};
constexpr KeyTable kFaultSlowDisk{"fault.slow_disk", kFaultSlowTable};
constexpr std::array kFaultClockTable = {
    Key{"drift", T::kSignedPercent, false, "How much faster the wall clock runs.", "1% if there is no offset"},
    Key{"offset", T::kSignedDuration, false, "Jump of the wall clock.", "0s"},
};
constexpr KeyTable kFaultClock{"fault.clock", kFaultClockTable};
constexpr std::array kFaultSpecTable = {
    Key{"clock", T::kMap, false, "Of clocks set off.", {}, {}, &kFaultClock},
    Key{"impair", T::kMap, false, "Of the target's impaired access link.", {}, {}, &kFaultImpair},
    Key{"partition", T::kMap, false, "Of the target cut off from everybody else.", {}, {}, &kFaultPartition},
    Key{"slow_cpu", T::kMap, false, "Of slow machines.", {}, {}, &kFaultSlowCpu},
    Key{"slow_disk", T::kMap, false, "Of slow disks.", {}, {}, &kFaultSlowDisk},
};
constexpr KeyTable kFaultSpec{"fault.spec", kFaultSpecTable};

constexpr std::array kEveryTable = {
    Key{"constant", T::kDuration, false, "The gap."},
    Key{"exponential", T::kDuration, false, "Mean gap of a Poisson arrival."},
};
constexpr KeyTable kEvery{"every", kEveryTable};

constexpr std::array kWorkloadTable = {
    Key{"agents", T::kSelector, false, "Where it runs.", "all"},
    Key{"every", T::kEvery, false, "Gap between two commands of an agent.", "once", {}, &kEvery},
    Key{"from", T::kDuration, false, "When it begins.", "0s"},
    Key{"name", T::kName, true, "The label `workload` of its series."},
    Key{"run", T::kText, true, "A command line; {seq} and {uuid} are filled in."},
    Key{"timeout", T::kDuration, false, "A command that takes longer counts as an error."},
    Key{"until", T::kDuration, false, "When it ends.", "the end"},
};
constexpr KeyTable kWorkload{"workload", kWorkloadTable};

constexpr std::array kPacketsTable = {
    Key{"drops", T::kBool, false, "Dropped packets too, on the firewall's interface.", "true"},
    Key{"match", T::kExpression, false, "Label matchers that a packet must meet.", "every packet"},
    Key{"snaplen", T::kSize, false, "Bytes kept of each packet.", "all"},
};
constexpr KeyTable kPackets{"record.packets", kPacketsTable};

constexpr std::array kRecordTable = {
    Key{"events", T::kEvents, false, "Which trace records are written.", "all"},
    Key{"packets", T::kMap, false, "Write a capture.", "none", {}, &kPackets},
    Key{"sample_interval", T::kDuration, false, "How often gauges are written."},
};
constexpr KeyTable kRecord{"record", kRecordTable};

constexpr std::array kExpectTable = {
    Key{"abort", T::kBool, false, "End the run when it fails.", "false"},
    Key{"after", T::kStepRef, false, "Opens the window.", "the start"},
    Key{"always", T::kExpression, false, "Holds at every event."},
    Key{"eventually", T::kExpression, false, "Becomes true within `within`, and stays for `for`."},
    Key{"finally", T::kExpression, false, "Judged at the end."},
    Key{"for", T::kDuration, false, "eventually: how long it must stay true.", "0s"},
    Key{"name", T::kName, true, "What the verdict is called."},
    Key{"never", T::kExpression, false, "Holds at no event."},
    Key{"severity", T::kEnum, false, "Whether a failure fails the run.", "fail", Choices(kSeverities)},
    Key{"until", T::kStepRef, false, "Closes the window.", "the end"},
    Key{"within", T::kDuration, false, "eventually: how long it may take.", "the window"},
};
constexpr KeyTable kExpect{"expectation", kExpectTable};

constexpr std::array kGateTable = {
    Key{"floor", T::kText, false, "Differences below this never count."},
    Key{"margin", T::kPercent, false, "How much worse than the baseline it may be."},
};
constexpr KeyTable kGate{"gate", kGateTable};

constexpr std::array kMetricTable = {
    Key{"after", T::kStepRef, false, "Opens the window.", "the start"},
    Key{"better", T::kEnum, false, "Which way is an improvement.", {}, Choices(kBetter)},
    Key{"gate", T::kMap, false, "What `dcsim regress` tolerates.", {}, {}, &kGate},
    Key{"group_by", T::kLabelList, false, "One value per value of these labels."},
    Key{"unit", T::kText, true, "Unit of the value; s and B are converted to it, unless `* 1000` or the like has done so."},
    Key{"until", T::kStepRef, false, "Closes the window.", "the end"},
    Key{"value", T::kExpression, true, "What is measured."},
};
constexpr KeyTable kMetric{"metric", kMetricTable};

constexpr std::array kSweepTable = {
    Key{"exclude", T::kAssignments, false, "Cells that are left out."},
    Key{"include", T::kAssignments, false, "Cells that are added."},
    Key{"matrix", T::kMatrix, false,
        "Values per parameter, `topology` or link.NAME.ATTRIBUTE; every combination is run."},
    Key{"seeds", T::kSeeds, false, "Seeds of each cell.", "the scenario's seed"},
    Key{"where", T::kExpression, false, "Only cells for which this holds."},
};
constexpr KeyTable kSweep{"sweep", kSweepTable};

constexpr std::array kScenarioTable = {
    Key{"description", T::kText, false, "For people."},
    Key{"duration", T::kDuration, true, "How long it runs, simulated."},
    Key{"expect", T::kListOf, true, "What must hold.", {}, {}, &kExpect},
    Key{"extends", T::kText, false,
        "A scenario (name, or file) that this one is laid over: maps merge, named list items replace those of the same "
        "name, others are appended."},
    Key{"faults", T::kListOf, false, "Random faults drawn from the seed.", {}, {}, &kFault},
    Key{"include", T::kOneOrMany, false, "Files whose topologies and scenarios may be named here."},
    Key{"kind", T::kEnum, true, "Says what the document is.", {}, Choices(kScenarioKind)},
    Key{"metrics", T::kMapOf, false, "What is measured.", {}, {}, &kMetric},
    Key{"name", T::kName, true, "What results are filed under."},
    Key{"params", T::kFree, false, "Values for ${name}; they override the topology's, --set overrides both."},
    Key{"record", T::kMap, false, "What is written down.", {}, {}, &kRecord},
    Key{"seed", T::kInteger, false, "All randomness comes from it.", "1", {}, nullptr, 0, 0x7fffffffffffffff},
    Key{"sweep", T::kMap, false, "Many runs.", {}, {}, &kSweep},
    Key{"timeline", T::kListOf, true, "Who does what when.", {}, {}, &kStep},
    Key{"topology", T::kName, true, "A topology's name, or a file."},
    Key{"version", T::kVersion, true, "Version of the language."},
    Key{"workload", T::kListOf, false, "Commands that run again and again.", {}, {}, &kWorkload},
};
constexpr KeyTable kScenario{"scenario", kScenarioTable, true};

constexpr std::array kSelectorTable = {
    Key{"cidr", T::kCidr, false, "Agents with an address in this network."},
    Key{"dc", T::kOneOrMany, false, "Datacenters."},
    Key{"labels", T::kStringMap, false, "Labels that must all be equal."},
    Key{"pick", T::kPick, false, "How many of them: leader, followers, one, 3, 20%.", "all"},
    Key{"zone", T::kOneOrMany, false, "Zones."},
};
constexpr KeyTable kSelector{"selector", kSelectorTable};

constexpr std::array kTables = {
    &kTopology,     &kScenario, &kDefaults,  &kLink,    &kZone,   &kFabric,   &kGraph,    &kDatacenter,
    &kAgent,        &kFirewall, &kRule,      &kImport,  &kNat,    &kSelector, &kStep,     &kRunExpect,
    &kStepFirewall, &kInsert,   &kPartition, &kImpair,  &kClock,  &kSlowCpu,  &kSlowDisk, &kFault,
    &kFaultSpec,    &kFaultImpair, &kFaultPartition, &kFaultSlowCpu, &kFaultSlowDisk, &kFaultClock,
    &kWorkload,     &kEvery,    &kRecord,    &kPackets, &kExpect, &kMetric,   &kGate,     &kSweep};

constexpr bool sorted(const KeyTable& table) {
  for (std::size_t i = 1; i < table.keys.size(); ++i) {
    if (!(table.keys[i - 1].name < table.keys[i].name)) return false;
  }
  return true;
}
constexpr bool all_sorted() {
  for (const KeyTable* table : kTables) {
    if (!sorted(*table)) return false;
  }
  return true;
}
static_assert(all_sorted(), "lookup is a binary search");

}  // namespace

const Key* KeyTable::find(std::string_view key) const {
  const auto it = std::lower_bound(keys.begin(), keys.end(), key,
                                   [](const Key& k, std::string_view wanted) { return k.name < wanted; });
  return it != keys.end() && it->name == key ? &*it : nullptr;
}

std::span<const KeyTable* const> key_tables() { return kTables; }
const KeyTable& topology_keys() { return kTopology; }
const KeyTable& scenario_keys() { return kScenario; }
const KeyTable& selector_keys() { return kSelector; }
const KeyTable& fault_spec_keys() { return kFaultSpec; }

}  // namespace dcsim::scenario
