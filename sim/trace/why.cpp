#include "trace/why.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <tuple>

#include "trace/filter.h"
#include "trace/render.h"

namespace dcsim::trace {

std::vector<std::uint64_t> Causes::chain(std::uint64_t number) const {
  std::vector<std::uint64_t> out;
  for (auto r = recording_.at(number); r; r = recording_.at(number)) {
    out.push_back(number);
    if (r->cause == 0) break;
    number = r->cause - 1;
  }
  return out;
}

void Causes::build() {
  built_ = true;
  edges_.reserve(recording_.kept());
  recording_.each([this](std::uint64_t number, const Record& r) {
    if (r.cause != 0) edges_.push_back(std::uint64_t{r.cause - 1} << 32 | number);
    return true;
  });
  std::sort(edges_.begin(), edges_.end());
}

std::vector<std::uint64_t> Causes::effects(std::uint64_t number) {
  if (!built_) build();
  std::vector<std::uint64_t> out;
  for (auto it = std::lower_bound(edges_.begin(), edges_.end(), number << 32);
       it != edges_.end() && *it >> 32 == number; ++it) {
    out.push_back(*it & 0xffffffffu);
  }
  return out;
}

namespace {

bool parse_number(std::string_view text, std::int64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

constexpr std::size_t kMaxLines = 200;    // of a story
constexpr std::size_t kMaxPackets = 400;  // visited for the fates of one step
constexpr int kMaxDepth = 10;             // of answers and relays
constexpr int kMaxJumps = 64;             // from an accusation to its origin

/// Why a member failed, told from the end to the beginning.
class Story {
 public:
  Story(const Recording& recording) : recording_(recording), causes_(recording) {}

  std::string tell(std::uint64_t number) {
    end_ = recording_.at(number)->t;
    for (int jump = 0; jump <= kMaxJumps; ++jump) {
      const auto origin = chain(number);
      if (!origin) break;
      line(1, origin->second);
      number = origin->first;
    }
    out_ += blame();
    return std::move(out_);
  }

 private:
  using Jump = std::pair<std::uint64_t, std::string>;  // where the story goes on, and how it got there
  using Culprit = std::tuple<std::string, std::string, std::string>;  // what, name, rule

  void line(std::size_t indent, std::string_view text) {
    if (++lines_ > kMaxLines) {
      if (lines_ == kMaxLines + 1) out_ += "  ...\n";
      return;
    }
    out_.append(2 * std::min<std::size_t>(indent, 20), ' ');
    out_ += text;
    out_ += '\n';
  }

  /// Tells the causes of `number`. Where one was an accusation that came from another member, stops and returns its
  /// reason there.
  std::optional<Jump> chain(std::uint64_t number) {
    std::size_t indent = 0;
    for (const std::uint64_t n : causes_.chain(number)) {
      const Record r = *recording_.at(n);
      const std::string_view node = recording_.text(r.node);
      line(indent, fmt::format("{}{} {}: {} (#{})", indent ? "because " : "", time_text(r.t), node.empty() ? "-" : node,
                               describe(r, recording_), n));
      ++indent;
      if (sends(r)) fates(n, indent + 1, 0);
      if (auto jump = accuser(n, r)) return jump;
    }
    return std::nullopt;
  }

  /// Steps whose packets decide what follows.
  static bool sends(const Record& r) {
    switch (static_cast<Ev>(r.ev)) {
      case Ev::kProbeSent:
      case Ev::kProbeIndirect:
      case Ev::kProbeTimeout:
      case Ev::kProbeFailed:
      case Ev::kProbeTcpOnly:
      case Ev::kSuspect:
      case Ev::kConnStarted:
      case Ev::kJoinAttempt:
      case Ev::kJoinFailed:
      case Ev::kPushPull:
      case Ev::kPushPullFailed:
      case Ev::kConnTimeout:
      case Ev::kConnRefused:
      case Ev::kCommandRun:
        return true;
      default:
        return false;
    }
  }

  static bool followed(const Record& r) {
    const auto ev = static_cast<Ev>(r.ev);
    return (ev >= Ev::kPacketSent && ev <= Ev::kConnClosed && ev != Ev::kFwAccept) || ev == Ev::kProbeIndirect;
  }

  /// What became of the packets that `number` sent, with the answers and relays that they led to.
  void fates(std::uint64_t number, std::size_t indent, int depth) {
    if (depth > kMaxDepth) return;
    for (const std::uint64_t n : causes_.effects(number)) {
      const Record r = *recording_.at(n);
      if (r.t > end_ || !followed(r) || visited_.size() > kMaxPackets || !visited_.insert(n).second) continue;
      const auto ev = static_cast<Ev>(r.ev);
      if (ev == Ev::kPacketSent) {
        line(indent, fmt::format("{} sent {}: {}", time_text(r.t), packet(r), fate(n)));
      } else if (ev == Ev::kPacketDropped || ev == Ev::kPacketRejected) {
        if (!told_.contains(n)) line(indent, fmt::format("{} {}", time_text(r.t), verdict(n, r)));
        continue;
      } else if (ev != Ev::kPacketDelivered) {
        line(indent, fmt::format("{} {}: {}", time_text(r.t), recording_.text(r.node), describe(r, recording_)));
      }
      fates(n, ev == Ev::kPacketDelivered ? indent : indent + 1, depth + 1);
    }
  }

  std::string field(const Record& r, std::string_view name) const { return field_text(r, 0, name, recording_); }

  std::string packet(const Record& r) const {
    const std::string what = field(r, "what");
    return fmt::format("{}{}{} {} -> {}", field(r, "proto"), what.empty() ? "" : " ", what, field(r, "src"),
                       field(r, "dst"));
  }

  std::string fate(std::uint64_t sent) {
    std::string text;
    for (const std::uint64_t n : causes_.effects(sent)) {
      const Record r = *recording_.at(n);
      const auto ev = static_cast<Ev>(r.ev);
      std::string one;
      if (ev == Ev::kPacketDelivered && r.t <= end_) one = fmt::format("delivered at {}", time_text(r.t));
      if ((ev == Ev::kPacketDropped || ev == Ev::kPacketRejected) && r.t <= end_) one = verdict(n, r);
      if (!one.empty()) text += (text.empty() ? "" : "; ") + one;
    }
    return text.empty() ? "fate not recorded" : text;
  }

  /// Tells a loss and counts it against whoever caused it.
  std::string verdict(std::uint64_t n, const Record& r) {
    const bool rejected = static_cast<Ev>(r.ev) == Ev::kPacketRejected;
    const std::string reason = rejected ? "firewall" : field(r, "reason");
    const std::string culprit = field(r, "culprit");
    const std::string rule = field(r, "rule");
    if (told_.insert(n).second) ++blamed_[{reason, culprit, rule}];
    std::string text = rejected ? "rejected" : "dropped";
    if (!culprit.empty()) text += fmt::format(" by {} {}", reason == "firewall" ? "firewall" : "", culprit);
    if (const auto at = text.find("  "); at != std::string::npos) text.erase(at, 1);
    if (!rule.empty()) text += fmt::format(", rule {}", rule);
    text += rejected ? fmt::format(" with {}", field(r, "with")) : fmt::format(" ({})", reason);
    return text + fmt::format(" (#{})", n);
  }

  /// The accuser's own latest reason, if `r` is an accusation that came from elsewhere.
  std::optional<Jump> accuser(std::uint64_t number, const Record& r) const {
    switch (static_cast<Ev>(r.ev)) {
      case Ev::kSuspect:
      case Ev::kSuspectReceived:
      case Ev::kDeadDeclared:
      case Ev::kDeadReceived:
      case Ev::kRefute:
        break;
      default:
        return std::nullopt;
    }
    const std::string by = field(r, "by");
    if (by.empty()) return std::nullopt;
    if (is_node(r, by)) return merged_from(r);
    if (const auto n = last_accusation(number, by, r)) return Jump{*n, fmt::format("told by {}, whose own reason was:", by)};
    return std::nullopt;
  }

  /// What a push/pull says of a suspect or dead member becomes a suspicion of who merges it (memberlist state.go
  /// mergeState): the one to ask is the sender of the state.
  std::optional<Jump> merged_from(const Record& r) const {
    if (static_cast<Ev>(r.ev) != Ev::kSuspect || r.cause == 0) return std::nullopt;
    const auto delivered = recording_.at(r.cause - 1);
    if (!delivered || static_cast<Ev>(delivered->ev) != Ev::kPacketDelivered || delivered->cause == 0) return std::nullopt;
    if (delivered->x != static_cast<std::uint16_t>(Proto::kTcp)) return std::nullopt;
    const std::string_view sender = recording_.text(static_cast<std::uint32_t>(delivered->b));
    const auto n = last_accusation(delivered->cause - 1, sender, r);
    if (!n) return std::nullopt;
    return Jump{*n, fmt::format("merged from the state of {}, whose own reason was:", sender)};
  }

  /// The last time before record `number` that `by` held the member of `r` suspect or dead.
  std::optional<std::uint64_t> last_accusation(std::uint64_t number, std::string_view by, const Record& r) const {
    const std::string member = field(r, "member");
    const std::string pool = field(r, "pool");
    for (std::uint64_t n = number; n-- > 0;) {
      const auto other = recording_.at(n);
      if (!other) continue;
      const auto ev = static_cast<Ev>(other->ev);
      if (ev != Ev::kSuspect && ev != Ev::kProbeFailed && ev != Ev::kDeadDeclared) continue;
      if (is_node(*other, by) && field(*other, "member") == member && same_pool(*other, pool)) return n;
    }
    return std::nullopt;
  }

  /// A segment is "segment:X" at a server and "lan" at its clients.
  bool same_pool(const Record& r, std::string_view pool) const {
    const std::string other = field(r, "pool");
    return other == pool || other == "lan" || pool == "lan";
  }

  /// The node of a record is called `name`, or "NAME.dc".
  bool is_node(const Record& r, std::string_view name) const {
    const std::string_view node = recording_.text(r.node);
    return node == name || (node.size() > name.size() && node.starts_with(name) && node[name.size()] == '.');
  }

  std::string blame() const {
    if (blamed_.empty()) return "No lost packet was found behind it.\n";
    const auto worst = std::max_element(blamed_.begin(), blamed_.end(), [](const auto& a, const auto& b) {
      const bool fa = std::get<0>(a.first) == "firewall";
      const bool fb = std::get<0>(b.first) == "firewall";
      return fa != fb ? fb : a.second < b.second;
    });
    const auto& [reason, culprit, rule] = worst->first;
    const std::string packets = fmt::format("{} packet{}", worst->second, worst->second == 1 ? "" : "s");
    if (reason == "firewall")
      return fmt::format("To blame: firewall {}, rule {}: stopped {}.\n", culprit, rule.empty() ? "default" : rule,
                         packets);
    if (culprit.empty()) return fmt::format("To blame: {}: lost {}.\n", reason, packets);
    return fmt::format("To blame: {} ({}): lost {}.\n", culprit, reason, packets);
  }

  const Recording& recording_;
  Causes causes_;
  std::int64_t end_ = 0;
  std::string out_;
  std::size_t lines_ = 0;
  std::set<std::uint64_t> visited_;
  std::set<std::uint64_t> told_;
  std::map<Culprit, std::uint64_t> blamed_;
};

}  // namespace

Result<std::uint64_t> find_record(const Recording& recording, std::span<const std::string> query) {
  std::vector<std::string> terms;
  std::int64_t wanted = 1;
  for (const std::string& word : query) {
    std::int64_t number = 0;
    if (query.size() == 1 && parse_number(word.starts_with('#') ? word.substr(1) : word, number)) {
      if (number < 0 || !recording.at(static_cast<std::uint64_t>(number))) {
        return Error{fmt::format("no record {} in a trace of {}", number, recording.size())};
      }
      return static_cast<std::uint64_t>(number);
    }
    if (word.starts_with('#')) {
      if (!parse_number(word.substr(1), wanted) || wanted == 0)
        return Error{fmt::format("`{}`: write #1 for the first, #-1 for the last", word)};
    } else if (find_kind(word)) {
      terms.push_back("ev=" + word);
    } else {
      terms.push_back(word);
    }
  }
  if (terms.empty())
    return Error{"which record? Give its number, or an event and fields: member-failed node=A member=B"};
  const auto filter = Filter::parse(terms);
  if (!filter) return filter.error();
  std::vector<std::uint64_t> found;
  recording.each([&](std::uint64_t n, const Record& r) {
    if (filter->accepts(n, r, recording)) found.push_back(n);
    return wanted < 0 || found.size() < static_cast<std::size_t>(wanted);
  });
  const auto rank = static_cast<std::uint64_t>(wanted < 0 ? -wanted : wanted);
  if (found.size() < rank) {
    return Error{found.empty() ? std::string("no record matches") : fmt::format("only {} records match", found.size())};
  }
  return wanted < 0 ? found[found.size() - rank] : found[rank - 1];
}

std::string why(const Recording& recording, std::uint64_t number) {
  DCSIM_CHECK(recording.at(number).has_value());
  return Story(recording).tell(number);
}

}  // namespace dcsim::trace
