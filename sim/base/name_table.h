#pragma once
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/ids.h"

namespace dcsim {

/// Strings interned to dense ids in order of first appearance. One per world; nothing here is global.
/// `text()` views stay valid as long as the table. Id 0 is always the empty string.
class NameTable {
 public:
  NameTable() { intern(""); }
  NameTable(const NameTable&) = delete;
  NameTable& operator=(const NameTable&) = delete;

  NameId intern(std::string_view text) {
    if (const auto it = ids_.find(text); it != ids_.end()) return it->second;
    const NameId id{static_cast<std::uint32_t>(texts_.size())};
    texts_.emplace_back(text);
    ids_.emplace(std::string_view(texts_.back()), id);
    return id;
  }
  /// none() if never interned.
  NameId find(std::string_view text) const {
    const auto it = ids_.find(text);
    return it == ids_.end() ? NameId::none() : it->second;
  }
  std::string_view text(NameId id) const {
    return id.index() < texts_.size() ? std::string_view(texts_[id.index()]) : "";
  }
  std::size_t size() const { return texts_.size(); }

 private:
  std::deque<std::string> texts_;  // a deque: growth must not move the strings the keys look into
  std::unordered_map<std::string_view, NameId> ids_;
};

}  // namespace dcsim
