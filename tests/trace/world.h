#pragma once
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/name_table.h"
#include "trace/record.h"
#include "trace/recording.h"
#include "trace/tracer.h"

namespace dcsim::trace::test {

/// A names table and a tracer, with shorthands to tell small stories.
struct World {
  explicit World(TracerOptions options = {.keep = Keep::kMemory}) : tracer(names, std::move(options)) {}

  NameId name(std::string_view text) { return names.intern(text); }
  std::uint64_t endpoint(std::string_view host, std::uint16_t port) { return pack_endpoint(name(host), port); }
  Cause add(std::int64_t ms, Ev ev, std::string_view node, const Fields& f = {}, Cause cause = {}) {
    return tracer.append(Instant{ms * 1'000'000}, ev, name(node), f, cause);
  }
  Cause send(std::int64_t ms, std::string_view from, std::string_view to, std::string_view what, Cause cause = {}) {
    return add(ms, Ev::kPacketSent, from,
               fields::packet(Proto::kUdp, 62, endpoint(from, 8301), endpoint(to, 8301), name(what)), cause);
  }
  Cause deliver(std::int64_t ms, std::string_view from, std::string_view to, std::string_view what, Cause cause) {
    return add(ms, Ev::kPacketDelivered, to,
               fields::packet(Proto::kUdp, 62, endpoint(from, 8301), endpoint(to, 8301), name(what)), cause);
  }
  Cause drop(std::int64_t ms, std::string_view from, std::string_view to, std::string_view fw, std::string_view rule,
             Cause cause) {
    return add(ms, Ev::kPacketDropped, from,
               fields::verdict(Proto::kUdp, 62, endpoint(from, 8301), endpoint(to, 8301),
                               static_cast<std::uint16_t>(DropReason::kFirewall), name(fw), name(rule)),
               cause);
  }

  NameTable names;
  Tracer tracer;
};

/// Many records with names, causes and all kinds, as a function of a seed.
inline void fill(World& w, int count, std::uint64_t seed = 1) {
  Cause last;
  for (int i = 0; i < count; ++i) {
    const auto ev = static_cast<Ev>((static_cast<std::uint64_t>(i) * 7 + seed) % kEvCount);
    const NameId a = w.name("name-" + std::to_string((static_cast<std::uint64_t>(i) * 31 + seed) % 97));
    const NameId b = w.name("host-" + std::to_string(i % 13));
    const NameId c = w.name("text " + std::to_string(i / 50));
    const std::uint8_t parts = name_parts(static_cast<std::uint16_t>(ev));
    const auto part = [&](NamePart which, NameId id) {
      return parts & which ? id.value : static_cast<std::uint32_t>(i);
    };
    Fields f{1, part(kPartA, a), pack(part(kPartBLo, b), part(kPartBHi, c)), pack(part(kPartCLo, c), part(kPartCHi, a)),
             pack(part(kPartDLo, a), part(kPartDHi, b))};
    last = w.tracer.append(Instant{i * 1000}, ev, b, f, i % 3 ? last : Cause{});
  }
}

/// A folder of its own, removed at the end.
struct TemporaryFolder {
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "dcsim-trace-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string operator/(std::string_view name) const { return path + "/" + std::string(name); }
  std::string path;
};

}  // namespace dcsim::trace::test
