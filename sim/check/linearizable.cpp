#include "check/linearizable.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace dcsim::check {
namespace {

using Register = std::optional<std::string>;

/// The state after the operation; nullopt if its answer does not fit the state.
std::optional<Register> applied(const KvOperation& op, const Register& state) {
  const bool answered = op.answered != Instant::never();
  switch (op.kind) {
    case KvOperation::Kind::kGet:
      if (state != op.value) return std::nullopt;
      return state;
    case KvOperation::Kind::kPut:
      return op.value;
    case KvOperation::Kind::kDelete:
      return Register();
    case KvOperation::Kind::kCas: {
      const bool fits = state == op.expected;
      if (answered && fits != op.succeeded) return std::nullopt;
      return fits ? op.value : state;
    }
  }
  return std::nullopt;
}

/// A call or an answer; the list is threaded so that both ends of an operation can be taken out and put back in O(1).
struct Event {
  std::size_t op = 0;     ///< index into the key's operations
  std::size_t match = 0;  ///< of a call: its answer; kNone: of an answer
  std::size_t before = 0, after = 0;
};

constexpr std::size_t kNone = ~std::size_t{0};

class Search {
 public:
  Search(const std::vector<KvOperation>& history, std::vector<std::size_t> ops)
      : history_(history), ops_(std::move(ops)) {
    struct End {
      Instant at;
      bool answer;
      std::size_t op;
    };
    std::vector<End> ends;
    for (std::size_t i = 0; i < ops_.size(); ++i) {
      ends.push_back({history_[ops_[i]].invoked, false, i});
      ends.push_back({history_[ops_[i]].answered, true, i});
    }
    std::sort(ends.begin(), ends.end(), [](const End& a, const End& b) {
      return std::tuple(a.at, a.answer, a.op) < std::tuple(b.at, b.answer, b.op);
    });
    events_.resize(ends.size() + 1);  // 0 is the head
    std::vector<std::size_t> call(ops_.size());
    for (std::size_t i = 0; i < ends.size(); ++i) {
      events_[i + 1] = {ends[i].op, kNone, i, i + 2};
      if (!ends[i].answer) {
        call[ends[i].op] = i + 1;
      } else {
        events_[call[ends[i].op]].match = i + 1;
      }
    }
    events_[0].after = ends.empty() ? kNone : 1;
    events_.back().after = kNone;
    done_.assign((ops_.size() + 63) / 64, 0);
    for (const std::size_t op : ops_) must_ += history_[op].answered != Instant::never() ? 1 : 0;
  }

  Linearizable run(std::size_t max_states, std::size_t& states) {
    std::size_t at = events_[0].after;
    while (must_ > 0) {
      if (at != kNone && events_[at].match != kNone) {  // a call: try it next
        if (const auto next = applied(operation(at), state_); next && remember(at, *next)) {
          if (++states > max_states) return Linearizable::kUnknown;
          take(at, *next);
          at = events_[0].after;
        } else {
          at = events_[at].after;
        }
        continue;
      }
      // An answer of something that has not happened yet (or the end): go back.
      if (stack_.empty()) return Linearizable::kNo;
      at = untake();
    }
    return Linearizable::kYes;
  }

  std::vector<std::size_t> longest() const {
    std::vector<std::size_t> out;
    for (const std::size_t op : longest_) out.push_back(ops_[op]);
    return out;
  }

 private:
  struct Taken {
    std::size_t call = 0;
    Register before;
  };

  const KvOperation& operation(std::size_t event) const { return history_[ops_[events_[event].op]]; }

  /// False if this set of operations has led to this state before.
  bool remember(std::size_t call, const Register& next) {
    std::vector<std::uint64_t> set = done_;
    set[events_[call].op / 64] |= std::uint64_t{1} << (events_[call].op % 64);
    return seen_.emplace(std::move(set), next).second;
  }

  void unlink(std::size_t event) {
    const Event& e = events_[event];
    events_[e.before].after = e.after;
    if (e.after != kNone) events_[e.after].before = e.before;
  }
  void relink(std::size_t event) {
    const Event& e = events_[event];
    events_[e.before].after = event;
    if (e.after != kNone) events_[e.after].before = event;
  }

  void take(std::size_t call, Register next) {
    const std::size_t op = events_[call].op;
    stack_.push_back({call, std::exchange(state_, std::move(next))});
    done_[op / 64] |= std::uint64_t{1} << (op % 64);
    must_ -= operation(call).answered != Instant::never() ? 1 : 0;
    unlink(call);
    unlink(events_[call].match);
    if (stack_.size() <= longest_.size()) return;
    longest_.clear();
    for (const Taken& taken : stack_) longest_.push_back(events_[taken.call].op);
  }

  /// Where to go on: behind what was taken back.
  std::size_t untake() {
    Taken last = std::move(stack_.back());
    stack_.pop_back();
    const std::size_t op = events_[last.call].op;
    relink(events_[last.call].match);
    relink(last.call);
    done_[op / 64] &= ~(std::uint64_t{1} << (op % 64));
    must_ += operation(last.call).answered != Instant::never() ? 1 : 0;
    state_ = std::move(last.before);
    return events_[last.call].after;
  }

  const std::vector<KvOperation>& history_;
  std::vector<std::size_t> ops_;
  std::vector<Event> events_;
  std::vector<std::uint64_t> done_;
  std::set<std::pair<std::vector<std::uint64_t>, Register>> seen_;
  Register state_;
  std::vector<Taken> stack_;
  std::vector<std::size_t> longest_;
  std::size_t must_ = 0;  ///< answered operations that are not taken yet
};

}  // namespace

LinearizabilityResult check_linearizable(const std::vector<KvOperation>& history, std::size_t max_states) {
  std::map<std::string, std::vector<std::size_t>> keys;
  for (std::size_t i = 0; i < history.size(); ++i) {
    if (history[i].kind == KvOperation::Kind::kGet && history[i].answered == Instant::never()) continue;
    keys[history[i].key].push_back(i);
  }
  LinearizabilityResult result;
  for (auto& [key, ops] : keys) {
    Search search(history, std::move(ops));
    const Linearizable verdict = search.run(max_states, result.states);
    if (verdict == Linearizable::kYes) continue;
    if (result.verdict == Linearizable::kNo || (result.verdict == verdict)) continue;
    result.verdict = verdict;
    result.key = key;
    result.longest = verdict == Linearizable::kNo ? search.longest() : std::vector<std::size_t>{};
    if (verdict == Linearizable::kNo) break;
  }
  return result;
}

}  // namespace dcsim::check
