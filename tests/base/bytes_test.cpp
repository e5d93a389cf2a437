#include "base/bytes.h"

#include <doctest/doctest.h>

#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "support/alloc_counter.h"

using namespace dcsim;

namespace {

Bytes bytes(std::string_view text) { return Bytes(view_of(text)); }
std::string text(const Bytes& b) { return std::string(text_of(b)); }

}  // namespace

TEST_CASE("bytes: a copy of what was given") {
  std::string source = "ping";
  const Bytes b = bytes(source);
  source[0] = 'X';
  CHECK(text(b) == "ping");
  CHECK(b.size() == 4);
  CHECK_FALSE(b.empty());
}

TEST_CASE("bytes: nothing is nothing") {
  const Bytes none;
  CHECK(none.empty());
  CHECK(none.size() == 0);
  CHECK(none.view().empty());
  CHECK(Bytes(ByteView{}).empty());
  CHECK(none.slice(0, 0).empty());
  CHECK(text(none.joined(bytes("a"))) == "a");
  CHECK(text(bytes("a").joined(none)) == "a");
}

TEST_CASE("bytes: copies and slices share one block") {
  const Bytes whole = bytes("compound message");
  const Bytes copy = whole;  // NOLINT: the copy is the subject
  CHECK(copy.data() == whole.data());
  const Bytes part = whole.slice(9, 7);
  CHECK(text(part) == "message");
  CHECK(part.data() == whole.data() + 9);
  CHECK(text(part.slice(1, 3)) == "ess");
  CHECK(whole.slice(16, 0).empty());
}

TEST_CASE("bytes: a slice outlives the payload it came from") {
  Bytes part;
  {
    const Bytes whole = bytes("abcdefgh");
    part = whole.slice(2, 3);
  }
  const Bytes other = bytes("ZZZZZZZZ");  // would take the block, had it been given back
  CHECK(text(part) == "cde");
  CHECK(text(other) == "ZZZZZZZZ");
}

TEST_CASE("bytes: slices outside break an invariant") {
  const Bytes b = bytes("abc");
  CHECK_THROWS_AS(b.slice(4, 0), InvariantBroken);
  CHECK_THROWS_AS(b.slice(1, 3), InvariantBroken);
  CHECK_THROWS_AS(b.slice(1, ~std::size_t{0}), InvariantBroken);
}

TEST_CASE("bytes: what continues in the same block is joined without a copy") {
  const Bytes stream = bytes("0123456789");
  const Bytes first = stream.slice(0, 4);
  const Bytes second = stream.slice(4, 6);
  CHECK(first.continued_by(second));
  CHECK(first.joined(second).data() == stream.data());
  CHECK(text(first.joined(second)) == "0123456789");
  CHECK_FALSE(second.continued_by(first));
  CHECK(text(second.joined(first)) == "4567890123");
  const Bytes elsewhere = bytes("456789");
  CHECK_FALSE(first.continued_by(elsewhere));
  CHECK(text(first.joined(elsewhere)) == "0123456789");
}

TEST_CASE("bytes: moving empties the source; assignment to itself keeps it") {
  Bytes a = bytes("abc");
  Bytes b = std::move(a);
  CHECK(a.empty());  // NOLINT: the state after a move is the subject
  CHECK(text(b) == "abc");
  Bytes& same = b;
  b = same;
  CHECK(text(b) == "abc");
  b = b.slice(1, 1);
  CHECK(text(b) == "b");
}

TEST_CASE("bytes: every size comes back as it went in, around the size classes and beyond the pooled ones") {
  for (const std::size_t size :
       {1u, 63u, 64u, 65u, 127u, 128u, 129u, 1400u, 65'507u, 131'071u, 131'072u, 131'073u, 1'000'000u}) {
    CAPTURE(size);
    Buffer data(size);
    std::iota(data.begin(), data.end(), static_cast<std::uint8_t>(size));
    const Bytes made{ByteView(data)};
    const Bytes again{ByteView(data)};
    CHECK(made.size() == size);
    CHECK(std::equal(data.begin(), data.end(), made.view().begin(), made.view().end()));
    CHECK(std::equal(data.begin(), data.end(), again.view().begin(), again.view().end()));
    CHECK(made.data() != again.data());
  }
}

TEST_CASE("bytes: a fan-out of payloads allocates nothing in the steady state") {
  const std::vector<std::size_t> sizes{20, 60, 200, 1'400, 9'000};
  const Buffer data(9'000, 0x5a);
  std::vector<Bytes> in_flight(300);
  std::uint64_t bytes_seen = 0;
  const auto run = [&](std::size_t rounds) {
    for (std::size_t i = 0; i < rounds; ++i) {
      const Bytes payload(ByteView(data).first(sizes[i % sizes.size()]));
      for (std::size_t target = 0; target < 3; ++target)
        in_flight[(i * 3 + target) % in_flight.size()] = payload.slice(1, 10);
      bytes_seen += payload.slice(0, 5).joined(payload.slice(5, 15)).size();
    }
  };
  run(2'000);
  const auto before = test::allocations();
  run(2'000);
  const auto after = test::allocations();
  CHECK(after == before);
  CHECK(bytes_seen == 4'000 * 20);
}

TEST_CASE("bytes: what is too large to pool is allocated each time (and the counter of allocations counts)") {
  const Buffer data(200'000, 0x5a);
  const auto before = test::allocations();
  for (int i = 0; i < 5; ++i) CHECK(Bytes{ByteView(data)}.size() == data.size());
  CHECK(test::allocations() >= before + 5);
}
