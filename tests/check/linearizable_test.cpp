#include "check/linearizable.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/rng.h"

using namespace dcsim;
using namespace dcsim::check;

namespace {

using Kind = KvOperation::Kind;

/// "put x 1" and the like, from `call` to `answer` (0: no answer).
KvOperation op(Kind kind, std::optional<std::string> value, std::int64_t call, std::int64_t answer,
               std::string key = "x") {
  KvOperation o;
  o.kind = kind;
  o.key = std::move(key);
  o.value = std::move(value);
  o.invoked = Instant{call};
  o.answered = answer == 0 ? Instant::never() : Instant{answer};
  return o;
}
KvOperation put(std::string v, std::int64_t call, std::int64_t answer) { return op(Kind::kPut, v, call, answer); }
KvOperation get(std::string v, std::int64_t call, std::int64_t answer) { return op(Kind::kGet, v, call, answer); }
KvOperation none(std::int64_t call, std::int64_t answer) { return op(Kind::kGet, std::nullopt, call, answer); }
KvOperation remove(std::int64_t call, std::int64_t answer) { return op(Kind::kDelete, std::nullopt, call, answer); }
KvOperation cas(std::optional<std::string> from, std::string to, bool ok, std::int64_t call, std::int64_t answer) {
  KvOperation o = op(Kind::kCas, to, call, answer);
  o.expected = std::move(from);
  o.succeeded = ok;
  return o;
}

bool linearizable(const std::vector<KvOperation>& history) {
  return check_linearizable(history).verdict == Linearizable::kYes;
}

}  // namespace

TEST_CASE("linearizable: what happened one after another has one order") {
  CHECK(linearizable({}));
  CHECK(linearizable({none(1, 2), put("a", 3, 4), get("a", 5, 6), remove(7, 8), none(9, 10)}));
  CHECK_FALSE(linearizable({put("a", 1, 2), none(3, 4)}));
  CHECK_FALSE(linearizable({put("a", 1, 2), put("b", 3, 4), get("a", 5, 6)}));  // a stale read
  CHECK_FALSE(linearizable({put("a", 1, 2), remove(3, 4), get("a", 5, 6)}));
  CHECK_FALSE(linearizable({get("a", 1, 2)}));  // out of thin air
}

TEST_CASE("linearizable: overlapping operations may take either order, but all readers the same") {
  CHECK(linearizable({put("a", 1, 10), none(2, 3), get("a", 4, 5)}));
  CHECK_FALSE(linearizable({put("a", 1, 10), get("a", 2, 3), none(4, 5)}));  // back in time
  CHECK(linearizable({put("a", 1, 10), put("b", 1, 10), get("a", 11, 12)}));
  CHECK(linearizable({put("a", 1, 10), put("b", 1, 10), get("b", 11, 12)}));
  // Two readers after both writes disagree about which was last.
  CHECK_FALSE(linearizable({put("a", 1, 10), put("b", 1, 10), get("a", 11, 13), get("b", 14, 15)}));
  // Touching at one instant is concurrent.
  CHECK(linearizable({put("a", 1, 5), none(5, 6)}));
}

TEST_CASE("linearizable: a long write cannot be seen, then unseen, then seen") {
  CHECK_FALSE(linearizable({put("a", 1, 2), put("b", 3, 20), get("b", 4, 5), get("a", 6, 7), get("b", 8, 9)}));
  CHECK(linearizable({put("a", 1, 2), put("b", 3, 20), get("a", 4, 5), get("b", 6, 7), get("b", 8, 9)}));
}

TEST_CASE("linearizable: compare-and-set") {
  CHECK(linearizable({cas(std::nullopt, "1", true, 1, 2), cas("1", "2", true, 3, 4), get("2", 5, 6)}));
  CHECK_FALSE(linearizable({cas(std::nullopt, "1", true, 1, 2), cas(std::nullopt, "2", true, 3, 4)}));
  CHECK(linearizable({cas(std::nullopt, "1", true, 1, 9), cas(std::nullopt, "2", false, 2, 8), get("1", 10, 11)}));
  // Both of two concurrent ones cannot win.
  CHECK_FALSE(linearizable({put("0", 1, 2), cas("0", "1", true, 3, 9), cas("0", "2", true, 3, 9)}));
  CHECK_FALSE(linearizable({put("0", 1, 2), cas("0", "1", false, 3, 4)}));
}

TEST_CASE("linearizable: a write without an answer may happen late, or never") {
  CHECK(linearizable({put("a", 1, 2), put("b", 3, 0), get("a", 4, 5), get("a", 100, 101)}));
  CHECK(linearizable({put("a", 1, 2), put("b", 3, 0), get("a", 4, 5), get("b", 100, 101)}));
  CHECK_FALSE(linearizable({put("a", 1, 2), put("b", 3, 0), get("b", 4, 5), get("a", 100, 101)}));
  CHECK_FALSE(linearizable({put("a", 10, 12), get("b", 1, 2), put("b", 3, 0)}));  // not before it was asked for
  CHECK(linearizable({put("a", 1, 2), cas("a", "b", false, 3, 0), get("b", 4, 5)}));
  CHECK(linearizable({put("a", 1, 2), op(Kind::kGet, "zzz", 3, 0)}));  // a read nobody got
}

TEST_CASE("linearizable: keys are judged apart, and the culprit is named") {
  std::vector<KvOperation> history{put("a", 1, 2), op(Kind::kPut, "a", 1, 2, "y"), get("a", 3, 4),
                                   op(Kind::kGet, std::nullopt, 3, 4, "y")};
  const LinearizabilityResult result = check_linearizable(history);
  CHECK(result.verdict == Linearizable::kNo);
  CHECK(result.key == "y");
  CHECK(result.longest == std::vector<std::size_t>{1});
}

TEST_CASE("linearizable: the search gives up rather than run for ever") {
  std::vector<KvOperation> history;
  for (int i = 0; i < 30; ++i) history.push_back(put(std::to_string(i), 1, 100));
  history.push_back(get("never written", 101, 102));
  const LinearizabilityResult result = check_linearizable(history, 2000);
  CHECK(result.verdict == Linearizable::kUnknown);
  CHECK(result.key == "x");
}

TEST_CASE("linearizable: histories of a real register pass, and one altered read is found") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Rng draw(seed, "register", "history");
    std::vector<KvOperation> history;
    std::optional<std::string> state;
    std::size_t reads_of_something = 0;
    for (std::int64_t point = 10; point < 600; point += 10) {  // effects at `point`; calls and answers around it
      const std::int64_t call = point - static_cast<std::int64_t>(draw.below(25));
      const std::int64_t answer = point + 1 + static_cast<std::int64_t>(draw.below(25));
      const std::string value = std::to_string(draw.below(1000));
      switch (draw.below(4)) {
        case 0:
          history.push_back(put(value, call, draw.below(8) == 0 ? 0 : answer));
          state = value;
          break;
        case 1:
          history.push_back(op(Kind::kGet, state, call, answer));
          reads_of_something += state ? 1 : 0;
          break;
        case 2: {
          const bool fits = draw.below(2) == 0;
          history.push_back(cas(fits ? state : std::optional<std::string>("no"), value, fits, call, answer));
          if (fits) state = value;
          break;
        }
        default:
          if (draw.below(5) != 0) break;
          history.push_back(remove(call, answer));
          state.reset();
      }
    }
    CHECK(linearizable(history));
    if (reads_of_something == 0) continue;
    for (KvOperation& o : history) {
      if (o.kind != Kind::kGet || !o.value) continue;
      o.value = "never written";
      break;
    }
    CHECK_FALSE(linearizable(history));
  }
}
