#include <algorithm>

#include "gossip/memberlist.h"

namespace dcsim::gossip {
namespace {

// go-multierror: ListFormatFunc.
std::string error_list(const std::vector<std::string>& errors) {
  if (errors.empty()) return {};
  std::string text = errors.size() == 1 ? "1 error occurred:\n" : std::to_string(errors.size()) + " errors occurred:\n";
  for (const std::string& error : errors) text += "\t* " + error + "\n";
  return text + "\n";
}

}  // namespace

// memberlist.go: Join.
JoinToken Memberlist::join(Instant now, std::vector<JoinTarget> targets) {
  const JoinToken token{next_join_++};
  if (!running_) return token;
  const bool outer = enter(now);
  JoinRun run;
  run.token = token;
  run.targets = std::move(targets);
  joins_.push_back(std::move(run));
  advance_join(now, joins_.back());
  settle(now, outer);
  return token;
}

// Contacts the next address that can be contacted at all.
void Memberlist::advance_join(Instant now, JoinRun& run) {
  while (run.next < run.targets.size()) {
    const JoinTarget& target = run.targets[run.next++];
    if (!target.resolve_error.empty()) {
      const bool lower = config_.join_error_style == JoinErrorStyle::kWithPort;
      run.failures.push_back((lower ? "failed to resolve " : "Failed to resolve ") + target.display + ": " +
                             target.resolve_error);
      note_peer(NoticeKind::kJoinResolveFailed, {}, {}, 0, 0, run.failures.back());
      continue;
    }
    Endpoint to = target.endpoint;
    if (to.port == 0) to.port = config_.bind_port;
    if (config_.require_node_names && target.name.empty()) {
      run.failures.push_back("failed to join " + to.text() +
                             ": memberlist: node names are required by configuration but one was not provided");
      note_peer(NoticeKind::kJoinAddress, {}, to, 0, 0, run.failures.back());
      continue;
    }
    const StreamId id = actions_.dial({to.address.canonical(), to.port}, config_.tcp_timeout);
    open_stream(now, id, Role::kJoin, to, now + config_.tcp_timeout, directory_.find(target.name));
    streams_.back().join = run.token;
    return;
  }
  run.over = true;
  join_over_ = std::min(join_over_, now);
}

void Memberlist::join_address_done(Instant now, const Stream& stream, std::string_view error) {
  const auto run = std::find_if(joins_.begin(), joins_.end(), [&](const JoinRun& r) { return r.token == stream.join; });
  if (run == joins_.end()) return;
  const Endpoint& peer = stream.peer;
  Notice notice;
  notice.kind = NoticeKind::kJoinAddress;
  notice.peer = peer;
  notice.elapsed = now - stream.started;
  if (error.empty()) {
    ++run->contacted;
    notice.aux = 1;
  } else {
    const JoinErrorStyle style = config_.join_error_style;
    const std::string where = (style == JoinErrorStyle::kWithPort ? "failed to join " : "Failed to join ") +
                              (style == JoinErrorStyle::kAddressOnly ? peer.address.text() : peer.text());
    run->failures.push_back(where + ": " + std::string(error));
    notice.text = run->failures.back();
  }
  actions_.note(notice);
  advance_join(now, *run);
}

// Reports one finished join; the rest follows when asked again, because the delegate may start new ones.
void Memberlist::finish_joins(Instant now) {
  join_over_ = Instant::never();
  const auto over = [](const JoinRun& run) { return run.over; };
  const auto run = std::find_if(joins_.begin(), joins_.end(), over);
  if (run == joins_.end()) return;
  const JoinToken token = run->token;
  const JoinResult result{run->contacted, error_list(run->failures)};
  joins_.erase(run);
  if (std::any_of(joins_.begin(), joins_.end(), over)) join_over_ = now;
  delegate_.join_done(now, token, result);
}

}  // namespace dcsim::gossip
