#include "base/rng.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

using namespace dcsim;

namespace {

/// Distance of a count from its expectation in standard deviations.
double deviations(double count, double trials, double probability) {
  return (count - trials * probability) / std::sqrt(trials * probability * (1 - probability));
}

/// The words that a test looks at: of one stream, or the first of many streams.
using Source = std::uint64_t (*)(std::uint64_t index);
std::uint64_t of_one_stream(std::uint64_t index) { return Rng(42, "dc1/c3", "probe").at(index); }
std::uint64_t of_many_entities(std::uint64_t index) { return Rng(42, "dc1/c" + std::to_string(index), "probe").at(0); }
std::uint64_t of_many_seeds(std::uint64_t index) { return Rng(index, "dc1/c3", "probe").at(0); }
std::uint64_t of_many_purposes(std::uint64_t index) { return Rng(42, "dc1/c3", std::to_string(index)).at(0); }
constexpr Source kSources[] = {of_one_stream, of_many_entities, of_many_seeds, of_many_purposes};

}  // namespace

TEST_CASE("rng: a draw is a function of seed, entity, purpose and counter alone") {
  Rng a(7, "dc1/c3", "probe");
  const Rng b(7, "dc1/c3", "probe");
  std::vector<std::uint64_t> drawn;
  for (int i = 0; i < 100; ++i) drawn.push_back(a.next());
  for (std::uint64_t i = 0; i < 100; ++i) CHECK(b.at(i) == drawn[i]);
  CHECK(a.position() == 100);
  CHECK(b.position() == 0);
  Rng c(7, "dc1/c3", "probe");
  c.skip(60);
  CHECK(c.next() == drawn[60]);
  c.seek(10);
  CHECK(c.next() == drawn[10]);
}

TEST_CASE("rng: streams of other names, purposes or seeds differ, also where the names run together") {
  std::set<std::uint64_t> first;
  first.insert(Rng(1, "ab", "c").at(0));
  first.insert(Rng(1, "a", "bc").at(0));
  first.insert(Rng(1, "abc", "").at(0));
  first.insert(Rng(1, "", "abc").at(0));
  first.insert(Rng(2, "ab", "c").at(0));
  first.insert(Rng(1, std::string("ab\0", 3), "c").at(0));
  first.insert(Rng(1, "ba", "c").at(0));
  CHECK(first.size() == 7);
}

TEST_CASE("rng: what a seed draws is fixed") {
  const Rng rng(42, "dc1/c3", "probe");
  CHECK(rng.at(0) == 5568673826277386865u);
  CHECK(rng.at(1) == 14238114266343538407u);
  CHECK(rng.at(std::uint64_t{1} << 40) == 15082770825701832658u);
}

TEST_CASE("rng: every helper consumes one draw, whatever its arguments") {
  Rng rng(1, "a", "b");
  rng.below(std::uint64_t{0});
  rng.below(std::uint64_t{1});
  rng.below(Duration{});
  rng.below(-5_s);
  rng.below(5_s);
  rng.chance(0);
  rng.chance(1'000'000'000);
  CHECK(rng.position() == 7);
  Rng other(1, "a", "b");
  CHECK(other.below(std::uint64_t{0}) == 0);
  CHECK(other.below(std::uint64_t{1}) == 0);
  CHECK(other.below(-5_s) == Duration{});
}

TEST_CASE("rng: below reaches every value evenly") {
  for (const std::uint64_t n : {2u, 3u, 10u, 256u, 1000u}) {
    CAPTURE(n);
    Rng rng(9, "test", "below");
    std::vector<double> counts(n);
    const double expected = 200;
    for (std::uint64_t i = 0; i < 200 * n; ++i) {
      const std::uint64_t value = rng.below(n);
      REQUIRE(value < n);
      ++counts[value];
    }
    double chi_square = 0;
    for (const double count : counts) chi_square += (count - expected) * (count - expected) / expected;
    const double freedom = static_cast<double>(n) - 1;
    CHECK(std::fabs(chi_square - freedom) < 4 * std::sqrt(2 * freedom));
  }
}

TEST_CASE("rng: every bit is balanced, within a stream and across streams") {
  constexpr int kWords = 20'000;
  for (const Source source : kSources) {
    int ones[64] = {};
    for (std::uint64_t i = 0; i < kWords; ++i) {
      const std::uint64_t word = source(i);
      for (int bit = 0; bit < 64; ++bit) ones[bit] += static_cast<int>(word >> bit & 1);
    }
    double worst = 0;
    for (const int count : ones) worst = std::max(worst, std::fabs(deviations(count, kWords, 0.5)));
    CHECK(worst < 4.5);
  }
}

TEST_CASE("rng: neighbours are independent: each bit against each bit of the next counter, entity, seed or purpose") {
  constexpr int kWords = 10'000;
  for (const Source source : kSources) {
    std::vector<int> equal(64 * 64);
    std::uint64_t previous = source(0);
    for (std::uint64_t i = 1; i <= kWords; ++i) {
      const std::uint64_t word = source(i);
      for (unsigned turn = 0; turn < 64; ++turn) {
        const std::uint64_t same = ~(previous ^ std::rotl(word, static_cast<int>(turn)));
        for (unsigned bit = 0; bit < 64; ++bit) equal[turn * 64 + bit] += static_cast<int>(same >> bit & 1);
      }
      previous = word;
    }
    double worst = 0;
    double sum_of_squares = 0;
    for (const int count : equal) {
      const double z = deviations(count, kWords, 0.5);
      worst = std::max(worst, std::fabs(z));
      sum_of_squares += z * z;
    }
    CHECK(worst < 5.5);
    CHECK(std::fabs(sum_of_squares - 4096) < 5 * std::sqrt(2 * 4096.0));
  }
}

TEST_CASE("rng: one changed bit of the counter changes half of the draw") {
  constexpr int kWords = 4'000;
  const Rng rng(3, "test", "avalanche");
  double worst = 0;
  for (int bit = 0; bit < 64; ++bit) {
    int flipped[64] = {};
    for (std::uint64_t i = 0; i < kWords; ++i) {
      // Only counters with the bit clear, so that no pair is seen twice.
      const std::uint64_t counter = (i * 0x9E3779B97F4A7C15ull) & ~(std::uint64_t{1} << bit);
      const std::uint64_t change = rng.at(counter) ^ rng.at(counter | std::uint64_t{1} << bit);
      for (int out = 0; out < 64; ++out) flipped[out] += static_cast<int>(change >> out & 1);
    }
    for (const int count : flipped) worst = std::max(worst, std::fabs(deviations(count, kWords, 0.5)));
  }
  CHECK(worst < 5.5);
}

TEST_CASE("rng: draws of a stream fill space evenly: pairs and triples, low and high bits") {
  for (const int shift : {0, 28, 60}) {
    for (const Source source : kSources) {
      std::vector<double> counts(4096);
      constexpr int kTriples = 40 * 4096;
      for (std::uint64_t i = 0; i < kTriples; ++i) {
        std::uint64_t cell = 0;
        for (std::uint64_t j = 0; j < 3; ++j) cell = cell << 4 | (source(3 * i + j) >> shift & 15);
        ++counts[cell];
      }
      double chi_square = 0;
      for (const double count : counts) chi_square += (count - 40) * (count - 40) / 40;
      CHECK(std::fabs(chi_square - 4095) < 5 * std::sqrt(2 * 4095.0));
    }
  }
}

TEST_CASE("rng: as many collisions as chance brings, no fewer") {
  // 2^20 words cut to 36 bits: 2^39 / 2^36 = 8 pairs expected.
  for (const int shift : {0, 14, 28}) {
    const Rng rng(11, "test", "birthday");
    std::vector<std::uint64_t> words(1u << 20);
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = rng.at(i) >> shift & ((std::uint64_t{1} << 36) - 1);
    std::sort(words.begin(), words.end());
    int pairs = 0;
    for (std::size_t i = 1; i < words.size(); ++i) pairs += words[i] == words[i - 1] ? 1 : 0;
    CHECK(pairs >= 1);
    CHECK(pairs <= 20);
  }
}
