#include "gossip/serf_tags.h"

#include <algorithm>
#include <string>
#include <utility>

#include "wire/memo.h"
#include "wire/serf_messages.h"

namespace dcsim::gossip {

void encode_tags(const Tags& tags, std::uint8_t protocol_version, Buffer& out) {
  if (protocol_version < 3) {
    const auto role = tags.find("role");
    if (role != tags.end()) out.insert(out.end(), role->second.begin(), role->second.end());
    return;
  }
  wire::serf::Items items;
  for (const auto& [key, value] : tags) items.add_tag(key, value);
  wire::serf::encode_tags(items.list(), out);
}

Tags decode_tags(ByteView meta) {
  const wire::serf::Tags decoded = wire::serf::decode_tags(meta);
  Tags tags;
  if (decoded.bare_role) {
    tags.emplace("role", decoded.role);
    return tags;
  }
  std::string_view key, value;
  for (wire::serf::TagReader reader(decoded.map); reader.next(key, value);)
    tags.insert_or_assign(std::string(key), value);
  return tags;
}

std::shared_ptr<const Tags> TagCache::get(ByteView meta) {
  const std::uint64_t key = wire::ContentMemo::key_of(meta).low;
  const auto found = entries_.find(key);
  if (found != entries_.end() &&
      std::equal(meta.begin(), meta.end(), found->second.meta.begin(), found->second.meta.end())) {
    return found->second.tags;
  }
  auto tags = std::make_shared<const Tags>(decode_tags(meta));
  if (found == entries_.end()) {
    if (entries_.size() >= max_entries_)
      std::erase_if(entries_, [](const auto& e) { return e.second.tags.use_count() == 1; });
    if (entries_.size() < max_entries_) entries_.emplace(key, Entry{Buffer(meta.begin(), meta.end()), tags});
  }
  return tags;
}

}  // namespace dcsim::gossip
