#include <doctest/doctest.h>

#include <string>

#include "lab/raft_cases.h"
#include "support/vectors.h"

// Written behaviour cases, most of them derived from the tests of etcd-io/raft.
using namespace dcsim;

namespace {

std::string run(const std::string& text, int status) {
  std::string out;
  CHECK(lab::run_raft_cases_text("t.yaml", text, out) == status);
  return out;
}

constexpr const char* kOneCase = R"(cases:
- name: a
  kind: cluster
  nodes: 3
  profiles: [consul]
  steps:
)";

}  // namespace

TEST_CASE("cases: every case of the file passes in every profile") {
  std::string out;
  const int status = lab::run_raft_cases((test::vector_folder("raft") / "cases.yaml").string(), out);
  INFO(out);
  CHECK(status == 0);
  CHECK(out.find("FAIL") == std::string::npos);
  CHECK(out.find(" passed, 0 failed\n") != std::string::npos);
}

TEST_CASE("cases: a check that does not hold is said with its place") {
  CHECK(run(std::string(kOneCase) + "  - {timeout: n1}\n  - {settle: true}\n  - {check: {leader: n2}}\n", 1) ==
        "FAIL a [consul]: t.yaml:9: leader is n1, not n2\n0 passed, 1 failed\n");
  CHECK(run(std::string(kOneCase) + "  - {propose: {at: n1, value: x}, result: ok}\n", 1)
            .find("t.yaml:7: it was refused: node is not the leader") != std::string::npos);
}

TEST_CASE("cases: what cannot be understood is said with its place") {
  CHECK(run(std::string(kOneCase) + "  - {timeoot: n1}\n", 2).starts_with("t.yaml:7:5: unknown step `timeoot`"));
  CHECK(run(std::string(kOneCase) + "  - {timeout: n9}\n", 2).find("there is no server `n9`") != std::string::npos);
  CHECK(run("cases:\n- {name: a, kind: cluster, nodes: 99, steps: []}\n", 2).find("between 1 and 15") !=
        std::string::npos);
  CHECK(run("cases: [", 2).starts_with("t.yaml:"));
  CHECK(run("", 2) == "t.yaml: there are no cases in it\n0 passed, 0 failed\n");
  std::string out;
  CHECK(lab::run_raft_cases("/nowhere.yaml", out) == 2);
}

TEST_CASE("cases: every step does what it says") {
  const std::string out = run(R"(cases:
- name: membership
  kind: cluster
  nodes: [a, b, c, d]
  config: {a: voter, b: voter, c: voter, d: nonvoter}
  steps:
  - {timeout: d}
  - {check: {state: {d: follower}}}
  - {timeout: a}
  - {change: {at: a, op: add_voter, server: d}, result: refused}
  - {settle: true}
  - {check: {leader: a, voters: {a: [a, b, c]}}}
  - {change: {at: a, op: add_voter, server: d}, result: ok}
  - {change: {at: a, op: remove, server: b}, result: refused}
  - {settle: true}
  - {check: {voters: {a: [a, b, c, d], d: [a, b, c, d]}}}
  - {change: {at: a, op: demote, server: c}, result: ok}
  - {settle: true}
  - {check: {voters: [a, b, d]}}
  - {change: {at: a, op: remove, server: a}, result: ok}
  - {settle: true}
  - {check: {leader: none, state: {a: follower}, voters: {b: [b, d]}}}
- name: snapshots
  kind: cluster
  nodes: 3
  steps:
  - {timeout: n1}
  - {settle: true}
  - {cut: [n1, n3]}
  - {cut: [[n2, n3]]}
  - {propose: {at: n1, value: x}, result: ok}
  - {propose: {at: n1, value: y}, result: ok}
  - {settle: true}
  - {check: {commit: {n1: 3, n3: 1}, values: {n1: [x, y], n3: []}}}
  - {snapshot: n1}
  - {check: {log: {n1: []}, last: {n1: [3, 1]}}}
  - {crash: n1}
  - {restart: n1}
  - {check: {state: {n1: follower}, term: {n1: 1}, vote: {n1: n1}}}
  - {heal: true}
  - {timeout: n1}
  - {settle: true}
  - {check: {leader: n1, last: {n3: [4, 2]}, log: {n3: [2]}, same_logs: [n1, n2, n3]}}
  - {stale_append: {from: n2, to: n3, term: 2, prev: [0, 0], entries: [[1, 1], [2, 1]], commit: 2}}
  - {check: {last: {n3: [4, 2]}}}
- name: transfer
  kind: cluster
  nodes: 3
  steps:
  - {timeout: n1}
  - {settle: true}
  - {block: {types: [timeout_now], from: n1}}
  - {transfer: {from: n1, to: n2}}
  - {propose: {at: n1, value: x}, result: refused}
  - {settle: true}
  - {check: {leader: n1}}
  - {propose: {at: n1, value: x}, result: refused}
  - {transfer_timeout: n1}
  - {propose: {at: n1, value: x}, result: ok}
  - {unblock: true}
  - {settle: true}
  - {lose_leader: [n1, n2, n3]}
  - {timeout: n3}
  - {settle: true}
  - {transfer: {from: n3, to: n2}}
  - {settle: true}
  - {check: {leader: n2, same_logs: true}}
  - {timeout_now: {from: n2, to: n1, term: 1}}
  - {settle: true}
  - {check: {leader: n1}}
- name: replies
  kind: table
  nodes: 3
  rows:
  - init: {n1: {log: [1, 1, 2], term: 2, state: leader, start: 3, commit: 0, match: {n2: 0, n3: 0}}}
    steps:
    - {rpc: {to: n1, from: n2, type: append_reply, term: 2, success: true, match: 2}}
    - {check: {commit: {n1: 0}}}
    - {rpc: {to: n1, from: n2, type: append_reply, term: 2, success: true, match: 3}}
    - {check: {commit: {n1: 3}}}
    - {rpc: {to: n1, from: n3, type: append_reply, term: 3, success: false, match: 3}}
    - {check: {state: {n1: follower}, term: {n1: 2}}}
)",
                              0);
  INFO(out);
  CHECK(out.find("FAIL") == std::string::npos);
  CHECK(out.ends_with("12 passed, 0 failed\n"));
}
