#include "gossip/coordinate.h"

#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "support/vectors.h"

using namespace dcsim;
using namespace dcsim::test;
using gossip::Coordinate;
using gossip::CoordinateClient;
using gossip::CoordinateUpdate;

namespace {

Coordinate from_bits_object(const Json& bits) {
  Coordinate c;
  c.adjustment = from_bits(bits["Adjustment"].get<std::string>());
  c.error = from_bits(bits["Error"].get<std::string>());
  c.height = from_bits(bits["Height"].get<std::string>());
  c.dimensions = static_cast<std::uint32_t>(bits["Vec"].size());
  for (std::size_t i = 0; i < std::min(bits["Vec"].size(), c.vec.size()); ++i)
    c.vec[i] = from_bits(bits["Vec"][i].get<std::string>());
  return c;
}

bool same_bits(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

void check_same(const Coordinate& got, const Coordinate& expected) {
  CHECK(same_bits(got.adjustment, expected.adjustment));
  CHECK(same_bits(got.error, expected.error));
  CHECK(same_bits(got.height, expected.height));
  for (std::size_t i = 0; i < got.vec.size(); ++i) CHECK(same_bits(got.vec[i], expected.vec[i]));
}

Coordinate at(double x, double y = 0) {
  Coordinate c;
  c.vec[0] = x;
  c.vec[1] = y;
  return c;
}

CoordinateClient client(std::uint64_t seed = 1) { return CoordinateClient(Rng(seed, "dc1/c1", "vivaldi")); }

}  // namespace

TEST_CASE("coordinates: sequences of updates give the reference's doubles, bit for bit") {
  const Json file = load_vectors("coordinates.json");
  int steps = 0;
  for (const Json& v : file["vectors"]) {
    CAPTURE(v["id"].get<std::string>());
    CoordinateClient c = client();
    c.set_coordinate(from_bits_object(v["start"]["bits"]));
    std::map<std::string, std::uint32_t> peers;
    for (const Json& step : v["steps"]) {
      CAPTURE(steps);
      const auto peer = peers.try_emplace(step["node"], static_cast<std::uint32_t>(peers.size())).first->second;
      const Coordinate other = from_bits_object(step["other_bits"]);
      const auto outcome = c.update(peer, other, Duration{step["rtt_ns"].get<std::int64_t>()});
      const bool accepted = outcome == CoordinateUpdate::kUpdated || outcome == CoordinateUpdate::kReset;
      CHECK(accepted != step.contains("expect_error"));
      check_same(c.coordinate(), from_bits_object(step["expect"]["bits"]));
      if (step.contains("expect_distance_ns"))
        CHECK(c.distance_to(other).ns == step["expect_distance_ns"].get<std::int64_t>());
      ++steps;
    }
  }
  CHECK(steps > 0);
}

TEST_CASE("coordinates: the latency filter takes the median of the last three samples of that peer") {
  // Two clients that see the same medians move alike, whatever the outliers.
  CoordinateClient a = client(), b = client();
  a.set_coordinate(at(0.01));
  b.set_coordinate(at(0.01));
  const Coordinate other = at(-0.01);
  a.update(5, other, 20_ms);
  b.update(5, other, 20_ms);
  a.update(5, other, 10_ms);  // two samples: the larger
  b.update(5, other, 20_ms);
  a.update(5, other, 9_s);  // 10, 20, 9000: 20
  b.update(5, other, 20_ms);
  CHECK(a.coordinate() == b.coordinate());
  a.update(5, other, 30_ms);  // 10, 9000, 30: 30
  b.update(6, other, 30_ms);  // another peer has its own filter
  CHECK(a.coordinate() == b.coordinate());
  a.forget(5);
  a.update(5, other, 5_ms);
  b.update(5, other, 1_ms);  // 20, 20, 1: 20
  CHECK(a.coordinate() != b.coordinate());
}

TEST_CASE("coordinates: ten seconds round trip fit into the filter to the nanosecond") {
  CoordinateClient a = client(), b = client();
  a.set_coordinate(at(0.01));
  b.set_coordinate(at(0.01));
  CHECK(a.update(0, at(-1), 10_s) == CoordinateUpdate::kUpdated);
  CHECK(b.update(0, at(-1), Duration{9'999'999'999}) == CoordinateUpdate::kUpdated);
  CHECK(a.coordinate() != b.coordinate());
  CHECK(a.update(0, at(-1), Duration{10'000'000'001}) == CoordinateUpdate::kRttOutOfRange);
  CHECK(a.update(0, at(-1), Duration{-1}) == CoordinateUpdate::kRttOutOfRange);
  CHECK(a.update(0, at(-1), 0_ns) == CoordinateUpdate::kUpdated);
}

TEST_CASE("coordinates: a peer's NaN, infinity or wrong dimensions change nothing") {
  CoordinateClient c = client();
  c.set_coordinate(at(0.01));
  const Coordinate before = c.coordinate();
  Coordinate other = at(0);
  other.vec[7] = std::nan("");
  CHECK(c.update(1, other, 10_ms) == CoordinateUpdate::kNotFinite);
  other = at(0);
  other.adjustment = std::numeric_limits<double>::infinity();
  CHECK(c.update(1, other, 10_ms) == CoordinateUpdate::kNotFinite);
  other = at(0);
  other.dimensions = 2;
  CHECK(c.update(1, other, 10_ms) == CoordinateUpdate::kWrongDimensions);
  CHECK(c.coordinate() == before);
}

TEST_CASE("coordinates: finite but absurd peers end in a reset, not in a coordinate of NaN") {
  CoordinateClient c = client();
  Coordinate other = at(1e308, 1e308);
  other.height = 1e308;
  other.error = 0;
  bool reset = false;
  for (int i = 0; i < 50; ++i) {
    reset |= c.update(1, other, 10_s) == CoordinateUpdate::kReset;
    CHECK(gossip::is_finite(c.coordinate()));
  }
  CHECK(reset);
  CHECK(c.resets() > 0);
}

TEST_CASE("coordinates: coincident points part in a random direction that the seed decides") {
  CoordinateClient a = client(1), b = client(1), other_seed = client(2);
  for (CoordinateClient* c : {&a, &b, &other_seed}) CHECK(c->update(1, at(0), 10_ms) == CoordinateUpdate::kUpdated);
  CHECK(a.coordinate() == b.coordinate());
  CHECK(a.coordinate().vec != other_seed.coordinate().vec);
  double length = 0;
  for (const double x : a.coordinate().vec) length += x * x;
  CHECK(length > 0);
}

TEST_CASE("coordinates: nodes on a line settle on the distances that were measured") {
  // Three sites, 10 and 30 ms apart on a line; everybody measures everybody in turn.
  const double site[3] = {0, 10, 40};
  std::vector<CoordinateClient> nodes;
  for (std::uint64_t i = 0; i < 3; ++i) nodes.push_back(CoordinateClient(Rng(7, "n" + std::to_string(i), "vivaldi")));
  for (int round = 0; round < 400; ++round) {
    for (std::uint32_t i = 0; i < 3; ++i) {
      const std::uint32_t j = (i + 1 + static_cast<std::uint32_t>(round) % 2) % 3;
      const Duration rtt{static_cast<std::int64_t>(std::fabs(site[i] - site[j]) * 1e6)};
      nodes[i].update(j, nodes[j].coordinate(), rtt);
    }
  }
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      if (i == j) continue;
      const double estimate = nodes[i].distance_to(nodes[j].coordinate()).seconds() * 1e3;
      CHECK(estimate == doctest::Approx(std::fabs(site[i] - site[j])).epsilon(0.1));
    }
  }
}
