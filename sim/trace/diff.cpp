#include "trace/diff.h"

#include <fmt/format.h>

#include <algorithm>

#include "trace/render.h"
#include "trace/why.h"

namespace dcsim::trace {
namespace {

/// The first block whose checkpoints differ. Checkpoints are digests of everything before, so bisection is sound.
std::size_t first_differing_checkpoint(const Recording& a, const Recording& b) {
  const auto& ca = a.checkpoints();
  const auto& cb = b.checkpoints();
  std::size_t low = 0;
  std::size_t high = std::min(ca.size(), cb.size());
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (ca[middle] == cb[middle]) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void add_chain(std::string& out, const Recording& recording, std::uint64_t number, std::optional<std::uint64_t> stop) {
  for (const std::uint64_t n : Causes(recording).chain(number)) {
    out += "  ";
    append_text_line(out, n, *recording.at(n), recording);
    if (stop && n == *stop) return;
  }
}

}  // namespace

bool same_record(const Recording& a, const Record& ra, const Recording& b, const Record& rb) {
  if (ra.t != rb.t || ra.ev != rb.ev || ra.cause != rb.cause || ra.x != rb.x) return false;
  if (a.text(ra.node) != b.text(rb.node)) return false;
  Record ca = ra;
  Record cb = rb;
  for (const FieldSpec& f : kind_spec(ra.ev).fields()) {
    if (f.type != FieldType::kName && f.type != FieldType::kEndpoint) continue;
    constexpr std::uint64_t kId = 0xffffffffu;
    const std::uint64_t va = slot_value(ra, f.slot);
    const std::uint64_t vb = slot_value(rb, f.slot);
    if (a.text(static_cast<std::uint32_t>(va & kId)) != b.text(static_cast<std::uint32_t>(vb & kId))) return false;
    set_slot(ca, f.slot, va & ~kId);
    set_slot(cb, f.slot, vb & ~kId);
  }
  return ca.a == cb.a && ca.b == cb.b && ca.c == cb.c && ca.d == cb.d;
}

Difference first_difference(const Recording& a, const Recording& b) {
  Difference out;
  std::uint64_t from = 0;
  bool narrowed = false;
  const auto first_a = a.at(0);
  const auto first_b = b.at(0);
  if (first_a && first_b && first_a->ev == static_cast<std::uint16_t>(Ev::kRunStart) && first_b->ev == first_a->ev && !same_record(a, *first_a, b, *first_b)) {
    Record as_a = *first_b;
    as_a.b = first_a->b;  // the seed
    out.seeds = same_record(a, *first_a, b, as_a);
  }
  if (out.seeds) {
    from = 1;  // the digests differ from here on, whatever the records do
  } else if (!a.checkpoints().empty() && !b.checkpoints().empty()) {
    const std::size_t block = first_differing_checkpoint(a, b);
    from = std::uint64_t{block} * kBlockRecords;
    narrowed = true;
    if (block == a.checkpoints().size() && block == b.checkpoints().size()) return out;
  }
  const std::uint64_t end = narrowed ? from + kBlockRecords : std::max(a.size(), b.size());
  for (std::uint64_t n = from; n < end; ++n) {
    const bool in_a = n < a.size();
    const bool in_b = n < b.size();
    if (!in_a && !in_b) break;
    const auto ra = a.at(n);
    const auto rb = b.at(n);
    if (in_a == in_b && (!ra || !rb || same_record(a, *ra, b, *rb))) continue;
    out.found = true;
    out.number = n;
    const std::vector<std::uint64_t> chain_b = Causes(b).chain(n);
    for (const std::uint64_t m : Causes(a).chain(n)) {
      if (m < n && std::find(chain_b.begin(), chain_b.end(), m) != chain_b.end()) {
        out.common_ancestor = m;
        break;
      }
    }
    return out;
  }
  if (narrowed) {
    out.found = out.not_kept = true;
    out.number = from;
    out.block_end = std::min(end, std::max(a.size(), b.size()));
  }
  return out;
}

std::string describe_difference(const Recording& a, const Recording& b, const Difference& difference,
                                const std::string& name_a, const std::string& name_b) {
  std::string seeds;
  if (difference.seeds) seeds = fmt::format("The seeds differ: {} and {}.\n", a.at(0)->b, b.at(0)->b);
  if (!difference.found)
    return seeds + fmt::format("No {}difference in {} records.\n", difference.seeds ? "other " : "", a.size());
  if (difference.not_kept) {
    return fmt::format("The runs differ within records {} to {}, of which the differing one was not kept.\n",
                       difference.number, difference.block_end - 1);
  }
  std::string out = seeds + fmt::format("First difference{}: record {}\n", difference.seeds ? " in what happened" : "", difference.number);
  for (const auto& [recording, name] : {std::pair(&a, &name_a), std::pair(&b, &name_b)}) {
    out += fmt::format("{}:\n", *name);
    const auto r = recording->at(difference.number);
    if (!r) {
      out += difference.number >= recording->size() ? fmt::format("  ends after {} records\n", recording->size())
                                                    : "  (not kept)\n";
      continue;
    }
    add_chain(out, *recording, difference.number, difference.common_ancestor);
  }
  if (difference.common_ancestor) {
    out += fmt::format("Common ancestor: record {}\n", *difference.common_ancestor);
  } else {
    out += "The causal chains have no record in common.\n";
  }
  return out;
}

}  // namespace dcsim::trace
