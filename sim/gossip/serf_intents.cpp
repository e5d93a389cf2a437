#include "gossip/serf_intents.h"

#include <algorithm>

namespace dcsim::gossip {

std::vector<IntentBuffer::Intent>::iterator IntentBuffer::at_or_after(MemberId id) {
  return std::lower_bound(intents_.begin(), intents_.end(), id,
                          [](const Intent& intent, MemberId wanted) { return intent.id < wanted; });
}

bool IntentBuffer::upsert(MemberId id, IntentKind kind, LamportTime ltime, Instant now) {
  const auto it = at_or_after(id);
  const Intent fresh{id, kind, ltime, now};
  if (it == intents_.end() || it->id != id) {
    intents_.insert(it, fresh);
    return true;
  }
  if (ltime <= it->ltime) return false;
  *it = fresh;
  return true;
}

std::optional<LamportTime> IntentBuffer::recent(MemberId id, IntentKind kind) const {
  const auto it = const_cast<IntentBuffer*>(this)->at_or_after(id);
  if (it == intents_.end() || it->id != id || it->kind != kind) return std::nullopt;
  return it->ltime;
}

void IntentBuffer::expire(Instant now, Duration timeout) {
  std::erase_if(intents_, [&](const Intent& intent) { return now - intent.seen > timeout; });
  if (intents_.empty()) intents_.shrink_to_fit();
}

}  // namespace dcsim::gossip
