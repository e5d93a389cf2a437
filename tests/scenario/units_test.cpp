#include "scenario/units.h"

#include <doctest/doctest.h>

#include <limits>

#include "scenario/suggest.h"

using namespace dcsim;
using namespace dcsim::scenario;

TEST_CASE("units: durations are Go's, with days") {
  CHECK(parse_duration("500ms").value == 500_ms);
  CHECK(parse_duration("1m30s").value == 90_s);
  CHECK(parse_duration("5d").value == 120_h);
  CHECK(parse_duration("1.5h").value == 90_min);
  CHECK(parse_duration("0s").value == Duration{});
  CHECK(parse_duration("100us").value == 100_us);
  CHECK(parse_duration("100\xC2\xB5s").value == 100_us);
  CHECK(parse_duration("100\xCE\xBCs").value == 100_us);
  CHECK(parse_duration("7ns").value == 7_ns);
  CHECK(parse_duration("0.3ns").value == Duration{});
  CHECK(parse_duration("0.1234567891s").value == 123456789_ns);
}

TEST_CASE("units: what is no duration says why, and what would do") {
  CHECK_FALSE(parse_duration("5"));
  CHECK(parse_duration("5").error.suggestion == "5s");
  CHECK(parse_duration("0").error.suggestion == "0s");
  CHECK(parse_duration("5 sec").error.suggestion == "5s");
  CHECK(parse_duration("2minutes").error.suggestion == "2m");
  CHECK(parse_duration("5S").error.suggestion == "5s");
  for (const char* bad :
       {"", "s", "1", "-1s", "1x", "1..5s", ".5s", "5.s", "1s2", "one", "1e3s", " 1s", "1s ", "\xC2s"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_duration(bad));
  }
}

TEST_CASE("units: durations end at 2^62 nanoseconds, without overflow") {
  CHECK(parse_duration("4611686018427387904ns").value == kLongestDuration);
  CHECK_FALSE(parse_duration("4611686018427387905ns"));
  CHECK_FALSE(parse_duration("9223372036854775808ns"));
  CHECK_FALSE(parse_duration("4611686018s900000000ns"));
  CHECK_FALSE(parse_duration("53376d"));
  CHECK(parse_duration("53375d"));
  CHECK(parse_duration("1281023h"));
  CHECK(parse_duration("2540400h").error.message == "`2540400h` is longer than the 146 years (1281023h) that can be simulated");
  CHECK_FALSE(parse_duration("99999999999999999999999999999999999999999999999999h"));
  CHECK(parse_duration("0.99999999999999999999999999999999999999999999999999s").value == 999999999_ns);
}

TEST_CASE("units: signed and Consul's durations") {
  CHECK(parse_signed_duration("-250ms").value == -(250_ms));
  CHECK(parse_signed_duration("+1s").value == 1_s);
  CHECK_FALSE(parse_signed_duration("-5"));
  CHECK_FALSE(parse_signed_duration("--5s"));
  CHECK(parse_config_duration("0").value == Duration{});
  CHECK(parse_config_duration("72h").value == 72_h);
  CHECK_FALSE(parse_config_duration("3d"));
  CHECK(parse_config_duration("3d").error.suggestion == "72h");
}

TEST_CASE("units: sizes and bandwidths") {
  CHECK(parse_size("256B").value == 256u);
  CHECK(parse_size("64KiB").value == 65536u);
  CHECK(parse_size("1MB").value == 1'000'000u);
  CHECK(parse_size("1.5 MiB").value == 1'572'864u);
  CHECK(parse_size("256").error.suggestion == "256B");
  CHECK(parse_size("64KB").error.suggestion == "64KiB");
  CHECK_FALSE(parse_size("99999999999GiB"));
  CHECK(parse_bandwidth("10Gbit").value == 10'000'000'000u);
  CHECK(parse_bandwidth("56kbit").value == 56'000u);
  CHECK(parse_bandwidth("1Tbit").value == 1'000'000'000'000u);
  CHECK(parse_bandwidth("300bit").value == 300u);
  CHECK_FALSE(parse_bandwidth("0bit"));
  CHECK(parse_bandwidth("10Gbps").error.suggestion == "10Gbit");
  CHECK(parse_bandwidth("100mbit").error.suggestion == "100Mbit");
  CHECK(parse_bandwidth("10Kbit").error.suggestion == "10kbit");
}

TEST_CASE("units: a probability is never a bare float") {
  CHECK(parse_percent("0.05%").value == 500'000u);
  CHECK(parse_percent("0%").value == 0u);
  CHECK(parse_percent("100%").value == 1'000'000'000u);
  CHECK(parse_percent("0.0000001%").value == 1u);
  CHECK_FALSE(parse_percent("0.00000001%"));
  CHECK_FALSE(parse_percent("100.1%"));
  CHECK_FALSE(parse_percent("-1%"));
  CHECK(parse_percent("0.05").error.suggestion == "5%");
  CHECK(parse_percent("0.5").error.suggestion == "50%");
  CHECK(parse_percent("0.001").error.suggestion == "0.1%");
  CHECK(parse_percent("5").error.suggestion == "5%");
  CHECK(parse_signed_percent("-0.01%").value == -100'000);
}

TEST_CASE("units: whole numbers are decimal") {
  CHECK(parse_integer("0").value == 0);
  CHECK(parse_integer("-12").value == -12);
  CHECK(parse_integer("9223372036854775807").value == std::numeric_limits<std::int64_t>::max());
  CHECK_FALSE(parse_integer("9223372036854775808"));
  CHECK(parse_integer("010").error.suggestion == "10");
  CHECK(parse_integer("00").error.suggestion == "0");
  for (const char* bad : {"", "-", "+1", "0x1f", "0o7", "1_000", "1e3", "1.0", " 1"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_integer(bad));
  }
}

TEST_CASE("units: ports and rates") {
  CHECK(*parse_ports("8301/udp").value == PortRange{8301, 8301, Protocol::kUdp});
  CHECK(*parse_ports("8300-8302/tcp").value == PortRange{8300, 8302, Protocol::kTcp});
  CHECK(*parse_ports("53/any").value == PortRange{53, 53, Protocol::kAny});
  CHECK(parse_ports("8301").error.suggestion == "8301/tcp");
  CHECK(parse_ports("8301/UDP").error.suggestion == "8301/udp");
  CHECK(parse_ports("9-8/tcp").error.suggestion == "8-9/tcp");
  CHECK_FALSE(parse_ports("65536/tcp"));
  CHECK_FALSE(parse_ports("-/tcp"));
  CHECK(parse_rate("10/s").value->count == 10u);
  CHECK(parse_rate("5/m").value->per == 1_min);
  CHECK_FALSE(parse_rate("0/s"));
  CHECK(parse_rate("10").error.suggestion == "10/s");
}

TEST_CASE("suggestions: near names only") {
  CHECK(nearest("latancy", {"latency", "loss"}) == "latency");
  CHECK(nearest("retryJoin", {"retry_interval", "retry_join"}) == "retry_join");
  CHECK(nearest("cdir", {"cidr", "site"}) == "cidr");
  CHECK(nearest("some", {"none", "all"}).empty());
  CHECK(nearest("colour", {"config", "count"}).empty());
  CHECK(edit_distance("abcd", "abdc", 3) == 1);
}
