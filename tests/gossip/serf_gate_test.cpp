#include "gossip/serf_harness.h"

namespace {

using namespace dcsim;
using namespace dcsim::test;

/// Lets in one segment only, in Consul's words.
struct SegmentGate final : MergeDelegate {
  explicit SegmentGate(std::string s) : segment(std::move(s)) {}
  std::optional<Error> notify_merge(std::span<const Member> members) override {
    largest = std::max(largest, members.size());
    for (const Member& member : members) {
      if (member.tag("segment") != segment) {
        return Error{"Member '" + std::string(member.name) + "' part of wrong segment '" +
                     std::string(member.tag("segment")) + "' (expected '" + segment + "')"};
      }
    }
    return std::nullopt;
  }
  std::string segment;
  std::size_t largest = 0;
};

SerfNode& add(SerfWorld& w, std::string name, std::string segment, MergeDelegate* gate) {
  SerfConfig config = w.config(std::move(name));
  config.tags["segment"] = std::move(segment);
  config.merge = gate;
  return w.add(config);
}

TEST_CASE("gate: the joiner reads the objection, the contacted node only logs its own") {
  SerfWorld w;
  SegmentGate alpha("alpha"), beta("beta");
  SerfNode& a = add(w, "a", "alpha", &alpha);
  SerfNode& b = add(w, "b", "beta", &beta);
  a.join(b);
  w.run_for(1_s);
  REQUIRE(a.joins.size() == 1);
  CHECK(a.joins[0].contacted == 0);
  CHECK(a.joins[0].error ==
        "1 error occurred:\n\t* failed to join 10.0.0.2:7946: Member 'b' part of wrong segment 'beta' "
        "(expected 'alpha')\n\n");
  CHECK(b.noticed(NoticeKind::kMergeRefused, "Member 'a' part of wrong segment 'alpha' (expected 'beta')"));
  CHECK(std::any_of(b.log_lines.begin(), b.log_lines.end(), [](const std::string& line) {
    return line.starts_with("[ERR] memberlist: Failed push/pull merge: Member 'a' part of wrong segment 'alpha' (expected 'beta') from=10.0.0.1:");
  }));
  CHECK(b.joins.empty());
  CHECK(a.serf->member_count() == 1);
  CHECK(b.serf->member_count() == 1);
  CHECK(a.diary() == std::vector<std::string>{"member-join:a"});
}

TEST_CASE("gate: a joiner without one is told of success although the other side refused it") {
  SerfWorld w;
  SegmentGate beta("beta");
  SerfNode& a = add(w, "a", "alpha", nullptr);
  SerfNode& b = add(w, "b", "beta", &beta);
  a.join(b);
  w.run_for(1_s);
  REQUIRE(a.joins.size() == 1);
  CHECK(a.joins[0].contacted == 1);
  CHECK(a.joins[0].error.empty());
  CHECK(a.status_of("b") == "alive");
  CHECK(b.noticed(NoticeKind::kMergeRefused, "Member 'a' part of wrong segment 'alpha' (expected 'beta')"));
  w.run_for(5_s);
  CHECK(b.status_of("a") == "unknown");
}

TEST_CASE("gate: gossip about a stranger is ignored with a notice, not only its join") {
  SerfWorld w;
  SegmentGate alpha("alpha");
  SerfNode& a = add(w, "a", "alpha", &alpha);
  SerfNode& open = add(w, "open", "alpha", nullptr);
  SerfNode& stranger = add(w, "stranger", "beta", nullptr);
  open.join(a);
  w.run_for(2_s);
  REQUIRE(a.status_of("open") == "alive");
  stranger.join(open);
  w.run_for(5_s);
  CHECK(open.status_of("stranger") == "alive");
  CHECK(a.status_of("stranger") == "unknown");
  CHECK(a.noticed(NoticeKind::kAliveIgnored, "Member 'stranger' part of wrong segment 'beta' (expected 'alpha')"));
  CHECK(a.log_lines.contains("[WARN] memberlist: ignoring alive message for 'stranger': Member 'stranger' part of wrong segment 'beta' (expected 'alpha')"));
  CHECK(alpha.largest >= 1);
}

TEST_CASE("gate: the whole remote list is judged on a join") {
  SerfWorld w;
  SegmentGate alpha("alpha");
  SerfNode& a = add(w, "a", "alpha", nullptr);
  SerfNode& b = add(w, "b", "alpha", nullptr);
  SerfNode& c = add(w, "c", "alpha", &alpha);
  b.join(a);
  w.run_for(2_s);
  c.join(a);
  w.run_for(2_s);
  CHECK(alpha.largest == 2);
  CHECK(c.serf->member_count() == 3);
}

TEST_CASE("serf: join errors come one per address in go-multierror's layout") {
  SerfWorld w;
  SerfNode& a = w.add("a");
  a.join({{"nowhere.example", "", {}, "no such host"}, {"10.9.9.9", "", {Address::v4(0x0a090909), 7946}, ""}}, 7);
  w.run_for(1_s);
  REQUIRE(a.joins.size() == 1);
  CHECK(a.joins[0].token == 7);
  CHECK(a.joins[0].error ==
        "2 errors occurred:\n\t* failed to resolve nowhere.example: no such host\n\t* failed to join "
        "10.9.9.9:7946: dial tcp 10.9.9.9:7946: connect: connection refused\n\n");
}

TEST_CASE("serf: joins given together run one after the other") {
  SerfWorld w;
  SerfNode& a = w.add("a");
  SerfNode& b = w.add("b");
  SerfNode& c = w.add("c");
  const auto to = [](const SerfNode& n) { return std::vector<JoinTarget>{{n.endpoint.text(), "", n.endpoint, ""}}; };
  a.join(to(b), 1);
  a.join(to(c), 2);
  w.run_for(5_s);
  REQUIRE(a.joins.size() == 2);
  CHECK(a.joins[0].token == 1);
  CHECK(a.joins[1].token == 2);
  CHECK(c.serf->member_count() == 3);
}

TEST_CASE("serf: configurations that Serf refuses") {
  SerfWorld w;
  SerfConfig config = w.config("a");
  config.protocol_version = 1;
  CHECK(config.problem()->text == "Protocol version '1' too low. Must be in range: [2, 5]");
  config.protocol_version = 6;
  CHECK(config.problem()->text == "Protocol version '6' too high. Must be in range: [2, 5]");
  config = w.config("a b");
  CHECK_FALSE(config.problem());
  config.validate_node_names = true;
  CHECK(config.problem()->text.starts_with("Node name contains invalid characters a b"));
  config = w.config("a");
  config.tags["x"] = std::string(505, 'y');
  CHECK_FALSE(config.problem());  // ff 81 a1 x da .. .. and 505: 512 bytes
  config.tags["x"] += 'y';
  CHECK(config.problem()->text == "Encoded length of tags exceeds limit of 512 bytes");
}

}  // namespace
