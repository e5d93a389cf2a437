#pragma once
#include <memory>
#include <string_view>

#include "base/result.h"
#include "consul/members.h"

namespace dcsim::consul {

/// An expression as `-filter` takes it (hashicorp/go-bexpr over serf.Member): comparisons of selectors with values
/// (`==`, `!=`, `in`, `not in`, `contains`, `not contains`, `matches`, `not matches`, `is empty`, `is not empty`) joined by
/// `not`, `and`, `or` and parentheses. Selectors: Name, Port, Status, Tags.KEY or Tags["KEY"], Tags, ProtocolMin, -Max, -Cur,
/// DelegateMin, -Max, -Cur. A tag that a member has not is equal to nothing, matches nothing and is empty. Not modelled:
/// Addr, whose bytes bexpr compares one by one.
class MemberFilter {
 public:
  struct Node;  ///< opaque

  /// The error is what Consul's API says behind its code 400, in go-bexpr's style. Bounded: 64 KiB, 100 levels.
  static Result<MemberFilter> parse(std::string_view expression);
  bool accepts(const MemberRow& row) const;

  MemberFilter(MemberFilter&&) noexcept;
  MemberFilter& operator=(MemberFilter&&) noexcept;
  ~MemberFilter();

 private:
  explicit MemberFilter(std::unique_ptr<Node> root);
  std::unique_ptr<Node> root_;
};

}  // namespace dcsim::consul
