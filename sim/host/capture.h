#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/observer.h"
#include "trace/metrics.h"
#include "trace/pattern.h"
#include "trace/pcapng.h"

namespace dcsim::host {

class World;

/// What `record.packets` asks for.
struct CaptureSpec {
  std::vector<trace::MatcherSpec> match;  ///< on the agent at the interface (its labels, `node`, `zone`, `dc`), or link, port, proto
  std::uint32_t snaplen = 0;              ///< 0 = whole packets
  bool drops = true;
};

/// Writes matching packets to a pcapng file: each agent's interface sees what it sends and receives, each firewall's
/// interface what it stopped, with the rule as comment. Watches only.
class Capture {
 public:
  /// Fails on a regular expression that does not compile.
  static Result<std::unique_ptr<Capture>> make(World& world, const CaptureSpec& spec, const std::string& path);

  bool needs_links() const { return needs_links_; }
  void sent(Instant at, const net::PacketInfo& packet);
  void delivered(Instant at, const net::PacketInfo& packet);
  void dropped(Instant at, const net::PacketInfo& packet, const net::Drop& drop);
  void hop(Instant at, const net::PacketInfo& packet, net::LinkId link);
  std::uint64_t packets() const { return writer_.packets(); }
  Result<bool> finish() { return writer_.finish(); }

 private:
  struct Matcher {
    trace::MatcherSpec spec;
    std::optional<trace::Pattern> pattern;
  };
  Capture(World& world, const CaptureSpec& spec, const std::string& path) : world_(world), spec_(spec), writer_(path, spec.snaplen) {}
  bool matches(HostId at, const net::PacketInfo& packet, net::LinkId link) const;
  std::string label(std::string_view key, HostId at, const net::PacketInfo& packet, net::LinkId link) const;
  void write(Instant at, const net::PacketInfo& packet, std::uint32_t interface, trace::Direction direction, std::string comment);

  World& world_;
  CaptureSpec spec_;
  trace::PcapngWriter writer_;
  std::vector<Matcher> matchers_;
  bool needs_links_ = false;
};

}  // namespace dcsim::host
