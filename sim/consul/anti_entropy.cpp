#include "consul/anti_entropy.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "consul/cli_rpc.h"

namespace dcsim::consul {

namespace {

constexpr std::size_t kScaleThreshold = 128;
constexpr Duration kMaxStale = 2_s;

bool drops(const LocalState::Change& change) {
  return change.kind == LocalState::Change::Kind::kDropService || change.kind == LocalState::Change::Kind::kDropCheck;
}

bool is_service(const LocalState::Change& change) {
  return change.kind == LocalState::Change::Kind::kService || change.kind == LocalState::Change::Kind::kDropService;
}

/// go-multierror.
std::string all_of(const std::vector<std::string>& errors) {
  std::string text = errors.size() == 1 ? "1 error occurred:" : fmt::format("{} errors occurred:", errors.size());
  for (const std::string& e : errors) text += " * " + e;
  return text;
}

std::string said(const LocalState::Change& change) {
  if (change.kind == LocalState::Change::Kind::kNode) return "agent: Synced node info";
  return fmt::format("agent: {} {}: {}={}", drops(change) ? "Deregistered" : "Synced", is_service(change) ? "service" : "check",
                     is_service(change) ? "service" : "check", change.id);
}

std::string failed(const LocalState::Change& change, std::string_view error) {
  if (change.kind == LocalState::Change::Kind::kNode) return fmt::format("agent: Syncing node info failed.: error=\"{}\"", error);
  return fmt::format("agent: {} {} failed.: {}={} error=\"{}\"", drops(change) ? "Deregistering" : "Syncing",
                     is_service(change) ? "service" : "check", is_service(change) ? "service" : "check", change.id, error);
}

}  // namespace

std::int64_t anti_entropy_scale(std::size_t members) {
  std::int64_t scale = 1;
  for (std::size_t limit = kScaleThreshold; limit < members; limit *= 2) ++scale;
  return scale;
}

AntiEntropy::AntiEntropy(LocalState& state, Rpc& rpc, AntiEntropyHost& host, std::uint64_t seed, std::string_view entity,
                         AntiEntropyConfig config)
    : state_(state), rpc_(rpc), host_(host), config_(config), stagger_(seed, entity, "anti-entropy") {}

Duration AntiEntropy::jitter(Duration base) { return stagger_.below(base * anti_entropy_scale(host_.lan_members())); }

void AntiEntropy::start(Instant now) {
  host_.log(now, LogLevel::kInfo, "agent: started state syncer");
  full_sync(now);
}

void AntiEntropy::stop() {
  phase_ = Phase::kOff;
  at_ = full_at_ = Instant::never();
}

void AntiEntropy::on_server_up(Instant now) {
  server_up_ = true;
  if (phase_ == Phase::kIdle || phase_ == Phase::kRetry) idle(now);
}

void AntiEntropy::on_changed(Instant now) {
  changed_ = true;
  if (phase_ == Phase::kIdle) idle(now);
}

void AntiEntropy::on_deadline(Instant now) {
  switch (phase_) {
    case Phase::kRetry:
    case Phase::kServerUp:
      if (at_ <= now) full_sync(now);
      return;
    case Phase::kIdle:
      if (full_at_ <= now) full_sync(now);
      return;
    case Phase::kOff:
    case Phase::kFull:
    case Phase::kChanges: return;
  }
}

/// A server's appearance comes before the minute, and that before changes, which the full sync takes along.
void AntiEntropy::idle(Instant now) {
  if (server_up_) {
    server_up_ = false;
    phase_ = Phase::kServerUp;
    at_ = now + jitter(config_.server_up);
    return;
  }
  if (phase_ == Phase::kRetry) return;
  phase_ = Phase::kIdle;
  at_ = Instant::never();
  if (full_at_ <= now) return full_sync(now);
  if (!changed_) return;
  changed_ = false;
  phase_ = Phase::kChanges;
  errors_.clear();
  send_changes(now);
}

void AntiEntropy::full_sync(Instant now) {
  phase_ = Phase::kFull;
  at_ = Instant::never();
  full_at_ = now + config_.interval + jitter(config_.interval);
  errors_.clear();
  read_services(now);
}

void AntiEntropy::read_services(Instant now) {
  wire::rpc::NodeSpecificRequest request;
  request.datacenter = state_.self().datacenter;
  request.node = state_.self().node_name;
  request.options.allow_stale = true;
  request.options.max_stale_duration = kMaxStale;
  rpc_call<wire::rpc::IndexedNodeServices>(rpc_, now, wire::rpc::method::kCatalogNodeServices, request,
                                           [this](Instant at, Result<wire::rpc::IndexedNodeServices> reply) {
                                             if (phase_ != Phase::kFull) return;
                                             if (!reply) return ended(at, reply.error().text);
                                             read_checks(at, std::move(*reply));
                                           });
}

void AntiEntropy::read_checks(Instant now, wire::rpc::IndexedNodeServices services) {
  wire::rpc::NodeSpecificRequest request;
  request.datacenter = state_.self().datacenter;
  request.node = state_.self().node_name;
  request.options.allow_stale = true;
  request.options.max_stale_duration = kMaxStale;
  rpc_call<wire::rpc::IndexedHealthChecks>(rpc_, now, wire::rpc::method::kHealthNodeChecks, request,
                                           [this, services = std::move(services)](Instant at, Result<wire::rpc::IndexedHealthChecks> reply) {
                                             if (phase_ != Phase::kFull) return;
                                             if (!reply) return ended(at, reply.error().text);
                                             state_.compare(services, reply->health_checks);
                                             send_changes(at);
                                           });
}

void AntiEntropy::send_changes(Instant now) {
  changes_ = state_.changes();
  next_ = 0;
  send_next(now);
}

void AntiEntropy::send_next(Instant now) {
  while (next_ < changes_.size() && !state_.pending(changes_[next_])) ++next_;
  if (next_ == changes_.size()) return ended(now, errors_.empty() ? "" : all_of(errors_));
  LocalState::Change change = changes_[next_++];
  const auto then = [this](LocalState::Change of) {
    return [this, of = std::move(of)](Instant at, const Result<wire::rpc::Empty>& reply) {
      if (syncing()) sent(at, of, reply ? "" : reply.error().text);
    };
  };
  if (drops(change)) {
    const auto request = state_.deregistration(change);
    return rpc_call<wire::rpc::Empty>(rpc_, now, wire::rpc::method::kCatalogDeregister, request, then(std::move(change)));
  }
  const auto request = state_.registration(change);
  rpc_call<wire::rpc::Empty>(rpc_, now, wire::rpc::method::kCatalogRegister, request, then(std::move(change)));
}

void AntiEntropy::sent(Instant now, const LocalState::Change& change, const std::string& error) {
  const bool gone = drops(change) && error.find(is_service(change) ? "Unknown service" : "Unknown check") != std::string::npos;
  if (error.empty() || gone) {
    state_.done(change);
    host_.log(now, LogLevel::kInfo, said(change));
  } else {
    host_.log(now, LogLevel::kWarn, failed(change, error));
    if (change.kind == LocalState::Change::Kind::kNode) return ended(now, error);  // nothing else will go through either
    errors_.push_back(error);
  }
  send_next(now);
}

void AntiEntropy::ended(Instant now, const std::string& error) {
  const bool full = phase_ == Phase::kFull;
  phase_ = Phase::kIdle;
  if (!error.empty()) {
    host_.log(now, LogLevel::kError,
              fmt::format("agent.anti_entropy: failed to sync {}: error=\"{}\"", full ? "remote state" : "changes", error));
    if (full) {
      phase_ = Phase::kRetry;
      at_ = now + config_.retry + jitter(config_.retry);
    }
  }
  idle(now);
}

CoordinateSender::CoordinateSender(std::string datacenter, std::string node, Rpc& rpc, AntiEntropyHost& host, std::uint64_t seed,
                                   std::string_view entity, AntiEntropyConfig config)
    : datacenter_(std::move(datacenter)),
      node_(std::move(node)),
      rpc_(rpc),
      host_(host),
      config_(config),
      stagger_(seed, entity, "send-coordinate") {}

void CoordinateSender::start(Instant now) {
  const Duration scaled{static_cast<std::int64_t>(host_.lan_members()) * 1'000'000'000 / config_.coordinate_rate};
  const Duration interval = std::max(scaled, config_.coordinate_interval_min);
  at_ = now + interval + stagger_.below(interval);
}

void CoordinateSender::on_deadline(Instant now) {
  if (at_ > now) return;
  for (const wire::rpc::Coordinate& c : host_.coordinates()) {
    wire::rpc::CoordinateUpdateRequest request;
    request.datacenter = datacenter_;
    request.node = node_;
    request.segment = c.segment;
    request.coord = c.coord;
    rpc_call<wire::rpc::Empty>(rpc_, now, wire::rpc::method::kCoordinateUpdate, request,
                               [this](Instant at, const Result<wire::rpc::Empty>& reply) {
                                 if (!reply) host_.log(at, LogLevel::kError, fmt::format("agent: Coordinate update error: error=\"{}\"", reply.error().text));
                               });
  }
  start(now);
}

}  // namespace dcsim::consul
