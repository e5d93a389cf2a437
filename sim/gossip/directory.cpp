#include "gossip/directory.h"

#include <algorithm>

#include "base/check.h"
#include "base/rng.h"
#include "wire/msgpack.h"

namespace dcsim::gossip {
namespace {

std::uint64_t little_endian(const char* p, std::size_t n) {
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < n; ++i) v |= std::uint64_t{static_cast<std::uint8_t>(p[i])} << (8 * i);
  return v;
}

std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
  const Uint128 product = static_cast<Uint128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

std::uint64_t name_hash(std::string_view name) {
  constexpr std::uint64_t kKey = 0x9E3779B97F4A7C15ull, kStep = 0xD1B54A32D192ED03ull;
  std::uint64_t h = kKey ^ (name.size() * kStep);
  const char* p = name.data();
  std::size_t left = name.size();
  for (; left >= 8; p += 8, left -= 8) h = fold(h ^ little_endian(p, 8), kStep);
  h = fold(h ^ little_endian(p, left), kKey | 1);
  h = fold(h ^ (h >> 29), kStep);
  return h == 0 ? 1 : h;  // 0 is "no name" to the broadcast queue
}

Directory::Directory() : Directory(Limits{}) {}
Directory::Directory(Limits limits) : limits_(limits), table_(64, 0) {}

// Where the name is, or the free place where it belongs.
std::size_t Directory::bucket(std::string_view name, std::uint64_t hash) const {
  const std::size_t mask = table_.size() - 1;
  std::size_t at = static_cast<std::size_t>(hash >> 7) & mask;
  while (table_[at] != 0) {
    const Name& candidate = names_[table_[at] - 1];
    if (candidate.hash == hash && candidate.text == name) break;
    at = (at + 1) & mask;
  }
  return at;
}

void Directory::grow() {
  table_.assign(table_.size() * 2, 0);
  for (std::size_t i = 0; i < names_.size(); ++i) {
    table_[bucket(names_[i].text, names_[i].hash)] = static_cast<std::uint32_t>(i + 1);
  }
}

MemberId Directory::find(std::string_view name) const {
  const std::uint32_t found = table_[bucket(name, name_hash(name))];
  return found == 0 ? MemberId::none() : MemberId{found - 1};
}

MemberId Directory::intern(std::string_view name) {
  const std::uint64_t hash = name_hash(name);
  const std::size_t at = bucket(name, hash);
  if (table_[at] != 0) return MemberId{table_[at] - 1};
  if (names_.size() >= limits_.names || name_bytes_ + name.size() > limits_.name_bytes) return MemberId::none();
  name_bytes_ += name.size();
  const MemberId id{static_cast<std::uint32_t>(names_.size())};
  names_.push_back({std::string(name), hash, {}});
  table_[at] = id.value + 1;
  if (names_.size() * 2 > table_.size()) grow();
  order_.insert(
      std::lower_bound(order_.begin(), order_.end(), id, [this](MemberId a, MemberId b) { return before(a, b); }), id);
  return id;
}

bool Directory::before(MemberId a, MemberId b) const {
  const Name& x = names_[a.index()];
  const Name& y = names_[b.index()];
  return x.hash != y.hash ? x.hash < y.hash : x.text < y.text;
}

AliveId Directory::acquire(MemberId member, const Address& address, std::uint16_t port, ByteView meta, bool meta_nil,
                           const Versions& vsn, bool address_nil) {
  Name& name = names_[member.index()];
  for (const AliveId id : name.records) {
    AliveRecord& r = records_[id.index()];
    if (r.port == port && r.meta_nil == meta_nil && r.vsn == vsn && r.address == address &&
        text_of(r.meta()) == text_of(meta) && (!address.empty() || r.address_nil == address_nil)) {
      ++r.references;
      return id;
    }
  }
  if (name.records.size() >= limits_.records_per_member || meta.size() > 0xffff) return AliveId::none();
  AliveId id;
  if (free_records_.empty()) {
    id = AliveId{static_cast<std::uint32_t>(records_.size())};
    records_.emplace_back();
  } else {
    id = free_records_.back();
    free_records_.pop_back();
  }
  AliveRecord& r = records_[id.index()];
  r.member = member;
  r.address = address;
  r.port = port;
  r.address_nil = address_nil;
  r.meta_nil = meta_nil;
  r.vsn = vsn;
  r.references = 1;
  encode(r, meta);
  name.records.push_back(id);
  return id;
}

void Directory::release(AliveId id) {
  AliveRecord& r = records_[id.index()];
  DCSIM_CHECK(r.references > 0);
  if (--r.references > 0) return;
  std::vector<AliveId>& siblings = names_[r.member.index()].records;
  siblings.erase(std::find(siblings.begin(), siblings.end(), id));
  r = AliveRecord{};
  free_records_.push_back(id);
}

// pushNodeState: Addr, Incarnation, Meta, Name, Port, State, Vsn.
void Directory::encode(AliveRecord& record, ByteView meta) {
  record.entry.clear();
  wire::Writer w(record.entry);
  w.map(7);
  w.key("Addr");
  record.address.empty() && record.address_nil ? w.nil() : w.raw(record.address.bytes());
  w.key("Incarnation");
  record.head_end = static_cast<std::uint32_t>(w.size());
  w.key("Meta");
  if (record.meta_nil) {
    w.nil();
  } else {
    w.raw(meta);
  }
  record.meta_size = static_cast<std::uint32_t>(meta.size());
  record.meta_at = static_cast<std::uint32_t>(w.size()) - record.meta_size;
  w.key("Name");
  w.text(names_[record.member.index()].text);
  w.key("Port");
  w.unsigned_int(record.port);
  w.key("State");
  record.middle_end = static_cast<std::uint32_t>(w.size());
  w.key("Vsn");
  w.raw(record.vsn);
  w.finish();
  record.entry.shrink_to_fit();
}

void Directory::append_entry(AliveId id, std::uint32_t incarnation, MemberState state, Buffer& out) const {
  const AliveRecord& r = records_[id.index()];
  std::uint8_t number[5];
  std::size_t digits = 0;
  if (incarnation < 0x80) {
    number[digits++] = static_cast<std::uint8_t>(incarnation);
  } else {
    const int width = incarnation < 0x100 ? 1 : incarnation < 0x10000 ? 2 : 4;
    number[digits++] = width == 1 ? 0xcc : width == 2 ? 0xcd : 0xce;
    for (int i = width - 1; i >= 0; --i) number[digits++] = static_cast<std::uint8_t>(incarnation >> (8 * i));
  }
  const std::size_t from = out.size();
  out.resize(from + r.entry.size() + digits + 1);
  std::uint8_t* p = out.data() + from;
  const std::uint8_t* entry = r.entry.data();
  std::memcpy(p, entry, r.head_end);
  p += r.head_end;
  std::memcpy(p, number, digits);
  p += digits;
  std::memcpy(p, entry + r.head_end, r.middle_end - r.head_end);
  p += r.middle_end - r.head_end;
  *p++ = static_cast<std::uint8_t>(state);
  std::memcpy(p, entry + r.middle_end, r.entry.size() - r.middle_end);
}

}  // namespace dcsim::gossip
