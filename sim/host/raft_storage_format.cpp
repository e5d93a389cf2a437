#include "host/raft_storage_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstring>

#include "base/check.h"
#include "wire/raft_messages.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace dcsim::host {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint32_t kSegmentMagic = 0x58eb6b0d;   // raft-wal's
constexpr std::uint32_t kBatchMagic = 0x48435442;     // "BTCH"
constexpr std::uint32_t kSlotMagic = 0x4c425453;      // "STBL"
constexpr std::uint32_t kMarkMagic = 0x4b52414d;      // "MARK"
constexpr std::uint32_t kSnapshotMagic = 0x50414e53;  // "SNAP"
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kEntryHeader = 40;
constexpr std::size_t kCutBytes = 16;
constexpr std::size_t kSnapshotHeader = 64;
enum : std::uint8_t { kEntryFrame = 1, kCutHeadFrame = 2, kCutTailFrame = 3 };

template <class T>
void store(std::uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof value);
}
template <class T>
T fetch(const std::uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
template <std::integral T>
void add(Buffer& out, T value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  store(out.data() + at, value);
}
void add(Buffer& out, ByteView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

constexpr std::array<std::array<std::uint32_t, 256>, 8> kCrc32Tables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? (c >> 1) ^ 0x82f63b78u : c >> 1;
    tables[0][i] = c;
  }
  for (std::size_t t = 1; t < 8; ++t) {
    for (std::size_t i = 0; i < 256; ++i) tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xff];
  }
  return tables;
}();

constexpr std::array<std::uint64_t, 256> kCrc64Table = [] {
  std::array<std::uint64_t, 256> table{};
  for (std::uint64_t i = 0; i < 256; ++i) {
    std::uint64_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? (c >> 1) ^ 0xc96c5795d7870f42u : c >> 1;
    table[i] = c;
  }
  return table;
}();

std::uint32_t crc32c_tables(const std::uint8_t* p, std::size_t n, std::uint32_t c) {
  const auto& t = kCrc32Tables;
  for (; n >= 8; n -= 8, p += 8) {
    const std::uint64_t x = fetch<std::uint64_t>(p) ^ c;
    c = t[7][x & 0xff] ^ t[6][x >> 8 & 0xff] ^ t[5][x >> 16 & 0xff] ^ t[4][x >> 24 & 0xff] ^ t[3][x >> 32 & 0xff] ^
        t[2][x >> 40 & 0xff] ^ t[1][x >> 48 & 0xff] ^ t[0][x >> 56];
  }
  for (; n > 0; --n) c = (c >> 8) ^ t[0][(c ^ *p++) & 0xff];
  return c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc32c_sse(const std::uint8_t* p, std::size_t n, std::uint32_t c) {
  std::uint64_t wide = c;
  for (; n >= 8; n -= 8, p += 8) wide = _mm_crc32_u64(wide, fetch<std::uint64_t>(p));
  c = static_cast<std::uint32_t>(wide);
  for (; n > 0; --n) c = _mm_crc32_u8(c, *p++);
  return c;
}
#endif

bool read_segment_header(ByteView data, SegmentHeader& h) {
  if (data.size() < kSegmentHeaderBytes) return false;
  const std::uint8_t* p = data.data();
  if (fetch<std::uint32_t>(p) != kSegmentMagic || fetch<std::uint32_t>(p + 4) != kVersion) return false;
  if (fetch<std::uint32_t>(p + 56) != crc32c(data.first(56))) return false;
  h = {fetch<std::uint64_t>(p + 8),  fetch<std::uint64_t>(p + 16), fetch<std::uint64_t>(p + 24),
       fetch<std::uint64_t>(p + 32), fetch<std::uint64_t>(p + 40), fetch<std::uint64_t>(p + 48)};
  return true;
}

/// Bytes of the frames of a batch that claims to stand at `offset`; nullopt if there is none.
std::optional<std::uint32_t> read_batch_header(ByteView data, std::uint64_t segment, std::uint64_t offset) {
  if (offset > data.size() || data.size() - offset < kBatchHeaderBytes) return std::nullopt;
  const std::uint8_t* p = data.data() + offset;
  if (fetch<std::uint32_t>(p) != kBatchMagic || fetch<std::uint64_t>(p + 8) != segment ||
      fetch<std::uint64_t>(p + 16) != offset)
    return std::nullopt;
  if (fetch<std::uint32_t>(p + 28) != crc32c({p, 28})) return std::nullopt;
  return fetch<std::uint32_t>(p + 4);
}

/// The frames of a whole batch at `offset`.
std::optional<ByteView> read_batch(ByteView data, std::uint64_t segment, std::uint64_t offset) {
  const auto size = read_batch_header(data, segment, offset);
  if (!size || data.size() - offset - kBatchHeaderBytes < *size) return std::nullopt;
  const ByteView frames = data.subspan(offset + kBatchHeaderBytes, *size);
  if (fetch<std::uint32_t>(data.data() + offset + 24) != crc32c(frames)) return std::nullopt;
  return frames;
}

struct Slot {
  std::uint64_t sequence = 0;
  raft::StableRecord record;
};
std::optional<Slot> read_slot(ByteView data, std::size_t which) {
  if (data.size() < (which + 1) * kSlotBytes) return std::nullopt;
  const std::uint8_t* p = data.data() + which * kSlotBytes;
  const auto length = fetch<std::uint32_t>(p + 4);
  if (fetch<std::uint32_t>(p) != kSlotMagic || length > kMostCandidate) return std::nullopt;
  if (fetch<std::uint32_t>(p + 32 + length) != crc32c({p, 32 + length})) return std::nullopt;
  return Slot{fetch<std::uint64_t>(p + 8),
              {fetch<std::uint64_t>(p + 16), fetch<std::uint64_t>(p + 24), std::string(text_of({p + 32, length}))}};
}

Mark read_marks(ByteView data) {
  Mark best;
  for (std::size_t at = 0; at + kMarkBytes <= data.size() && at < 2 * kMarkBytes; at += kMarkBytes) {
    const std::uint8_t* p = data.data() + at;
    if (fetch<std::uint32_t>(p) != kMarkMagic || fetch<std::uint32_t>(p + 24) != crc32c({p, 24})) continue;
    const Mark mark{fetch<std::uint64_t>(p + 8), fetch<std::uint64_t>(p + 16)};
    if (std::pair(mark.segment, mark.end) > std::pair(best.segment, best.end)) best = mark;
  }
  return best;
}

std::optional<StoredSnapshot> read_snapshot(const Bytes& file) {
  const ByteView data = file;
  if (data.size() < kSnapshotHeader) return std::nullopt;
  const std::uint8_t* p = data.data();
  const auto length = fetch<std::uint32_t>(p + 4);
  const auto size = fetch<std::uint64_t>(p + 40);
  if (fetch<std::uint32_t>(p) != kSnapshotMagic || fetch<std::uint32_t>(p + 8) != kVersion) return std::nullopt;
  if (length > data.size() - kSnapshotHeader || size != data.size() - kSnapshotHeader - length) return std::nullopt;
  const ByteView configuration = data.subspan(kSnapshotHeader, length);
  if (fetch<std::uint32_t>(p + 56) != crc32c(configuration, crc32c(data.first(56)))) return std::nullopt;
  if (fetch<std::uint32_t>(p + 12) != 0 || fetch<std::uint32_t>(p + 60) != 0) return std::nullopt;
  StoredSnapshot out;
  out.meta.index = fetch<std::uint64_t>(p + 16);
  out.meta.term = fetch<std::uint64_t>(p + 24);
  out.meta.configuration_index = fetch<std::uint64_t>(p + 32);
  out.state = file.slice(kSnapshotHeader + length, size);
  if (fetch<std::uint64_t>(p + 48) != crc64_ecma(out.state)) return std::nullopt;
  if (!wire::decode(configuration, out.meta.configuration)) return std::nullopt;
  return out;
}

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t n = 0;
  if (text.empty() || text.size() > 19) return std::nullopt;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    n = n * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return n;
}

/// Rebuilds one log from its segments.
class Replay {
 public:
  Replay(std::uint64_t align, RecoveredLog& out) : align_(align), out_(out) {}

  std::string run(std::vector<std::pair<std::uint64_t, const StoredFile*>>& segments, const Mark& mark) {
    std::sort(segments.begin(), segments.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    // A removal of old segments may have been caught half-way by a crash: they may have gaps.
    std::size_t begin = segments.size();
    while (begin > 0 && (begin == segments.size() || segments[begin - 1].first + 1 == segments[begin].first)) --begin;
    for (std::size_t i = 0; i < begin; ++i) out_.leftovers.push_back(segments[i].second->name);
    if (begin == segments.size()) return "no segment of the log is left";
    if (mark.segment > segments.back().first) return segment_name(mark.segment) + " is missing";
    std::vector<SegmentHeader> headers;
    for (std::size_t i = begin; i < segments.size(); ++i) {
      SegmentHeader header;
      if (!read_segment_header(segments[i].second->data, header) || header.number != segments[i].first)
        return segments[i].second->name + ": damaged header";
      headers.push_back(header);
    }
    lost_first_ = headers[0].first;
    lost_last_ = headers[0].last;
    out_.cut_through = headers[0].cut_through;
    for (std::size_t i = 0; i < headers.size(); ++i) {
      const bool last = i + 1 == headers.size();
      std::string error = segment(*segments[begin + i].second, headers[i], last ? nullptr : &headers[i + 1], mark);
      if (!error.empty()) return error;
    }
    if (lost_last_ != 0) return fmt::format("entries {} to {} are missing: lost segments", lost_first_, lost_last_);
    out_.log.erase(out_.log.begin(), out_.log.begin() + static_cast<std::ptrdiff_t>(head_));
    return {};
  }

 private:
  raft::Index first() const {
    return lost_last_ != 0 ? lost_first_ : head_ < out_.log.size() ? out_.log[head_].index : 0;
  }
  raft::Index last() const { return head_ < out_.log.size() ? out_.log.back().index : lost_last_; }

  std::string segment(const StoredFile& file, const SegmentHeader& header, const SegmentHeader* next,
                      const Mark& mark) {
    if (header.first != first() || header.last != last() || header.cut_through != out_.cut_through)
      return fmt::format("{}: begins at a log of {} to {}, not {} to {}", file.name, header.first, header.last, first(),
                         last());
    out_.segments.push_back({header.number, 0});
    const std::uint64_t limit = next ? next->previous_end : file.data.size();
    std::uint64_t at = aligned(kSegmentHeaderBytes, align_);
    out_.next = {header.number + 1, at, first(), last(), out_.cut_through, 0};
    out_.last_batch = {};
    while (at < limit) {
      const auto frames = read_batch(file.data, header.number, at);
      if (!frames) break;
      out_.next = {header.number + 1, at, first(), last(), out_.cut_through, 0};
      const std::size_t from = at + kBatchHeaderBytes;
      if (std::string error = replay(file.data.slice(from, frames->size())); !error.empty())
        return fmt::format("{}: batch at {}: {}", file.name, at, error);
      out_.last_batch = file.data.slice(from, frames->size());
      at = aligned(from + frames->size(), align_);
    }
    if (next) {
      if (at != limit) return fmt::format("{}: damaged batch at {}", file.name, at);
      return {};
    }
    if (at < header.sealed_end) return fmt::format("{}: damaged batch at {}, which had been synced", file.name, at);
    if (mark.segment == header.number && at < mark.end)
      return fmt::format("{}: damaged batch at {}, synced up to {}", file.name, at, mark.end);
    if (at >= file.data.size()) return {};
    for (std::uint64_t later = at + align_; later < file.data.size(); later += align_) {
      if (read_batch_header(file.data, header.number, later))
        return fmt::format("{}: damaged batch at {}, a later one at {}", file.name, at, later);
    }
    out_.dropped = file.data.size() - at;
    return {};
  }

  std::string replay(const Bytes& batch) {
    const ByteView frames = batch;
    for (std::size_t at = 0; at < frames.size();) {
      const std::uint8_t* p = frames.data() + at;
      const std::size_t left = frames.size() - at;
      if (*p == kEntryFrame) {
        if (left < kEntryHeader) return "short entry";
        const std::uint64_t data = fetch<std::uint32_t>(p + 32), extensions = fetch<std::uint32_t>(p + 36);
        const std::uint64_t size = aligned(kEntryHeader + data + extensions, 8);
        if (size > left) return "short entry";
        raft::LogEntry entry;
        entry.type = static_cast<raft::LogType>(p[1]);
        entry.appended_at = {fetch<std::int64_t>(p + 24), fetch<std::int32_t>(p + 4), fetch<std::int16_t>(p + 2)};
        entry.index = fetch<std::uint64_t>(p + 8);
        entry.term = fetch<std::uint64_t>(p + 16);
        entry.data = batch.slice(at + kEntryHeader, data);
        entry.extensions = batch.slice(at + kEntryHeader + data, extensions);
        if (entry.index == 0 || (last() != 0 && entry.index != last() + 1))
          return fmt::format("entry {} after {}", entry.index, last());
        out_.segments.back().most = std::max(out_.segments.back().most, entry.index);
        out_.log.push_back(std::move(entry));
        at += size;
      } else {
        if (left < kCutBytes || (*p != kCutHeadFrame && *p != kCutTailFrame)) return "unknown frame";
        *p == kCutHeadFrame ? cut_head(fetch<std::uint64_t>(p + 8)) : cut_tail(fetch<std::uint64_t>(p + 8));
        at += kCutBytes;
      }
    }
    return {};
  }

  void cut_head(raft::Index to) {
    while (head_ < out_.log.size() && out_.log[head_].index <= to) out_.log[head_++] = {};
    if (lost_last_ != 0) lost_first_ = std::max(lost_first_, to + 1);
    if (lost_first_ > lost_last_) lost_first_ = lost_last_ = 0;
    out_.cut_through = std::max(out_.cut_through, to);
    if (head_ == out_.log.size()) {
      out_.log.clear();
      head_ = 0;
    }
  }
  void cut_tail(raft::Index from) {
    while (out_.log.size() > head_ && out_.log.back().index >= from) out_.log.pop_back();
    if (lost_last_ != 0 && lost_last_ >= from) lost_last_ = from - 1;
    if (lost_first_ > lost_last_) lost_first_ = lost_last_ = 0;
    if (head_ == out_.log.size()) {
      out_.log.clear();
      head_ = 0;
    }
  }

  std::uint64_t align_;
  RecoveredLog& out_;
  std::size_t head_ = 0;
  raft::Index lost_first_ = 0, lost_last_ = 0;  // what segments that were removed held
};

struct Found {
  const StoredFile* stable = nullptr;
  const StoredFile* mark = nullptr;
  std::vector<std::pair<std::uint64_t, const StoredFile*>> segments;
  struct Snapshot {
    raft::Index index;
    raft::Term term;
    std::uint64_t serial;
    const StoredFile* file;
  };
  std::vector<Snapshot> snapshots;
};

Found sort_files(const std::vector<StoredFile>& files, RecoveredLog& out) {
  Found found;
  for (const StoredFile& file : files) {
    const std::string_view name = file.name;
    if (name.ends_with(".tmp")) {
      out.leftovers.push_back(file.name);
    } else if (name == kStableName) {
      found.stable = &file;
    } else if (name == kMarkName) {
      found.mark = &file;
    } else if (name.starts_with("wal-")) {
      if (const auto number = number_of(name.substr(4))) found.segments.emplace_back(*number, &file);
    } else if (name.starts_with("snapshot-")) {
      const std::string_view rest = name.substr(9);
      const std::size_t a = rest.find('-'), b = rest.rfind('-');
      if (a == b) continue;
      const auto term = number_of(rest.substr(0, a));
      const auto index = number_of(rest.substr(a + 1, b - a - 1));
      const auto serial = number_of(rest.substr(b + 1));
      if (term && index && serial) found.snapshots.push_back({*index, *term, *serial, &file});
    }
  }
  std::sort(found.snapshots.begin(), found.snapshots.end(), [](const auto& a, const auto& b) {
    return std::tuple(a.index, a.term, a.serial) > std::tuple(b.index, b.term, b.serial);
  });
  return found;
}

std::string recover_record(ByteView data, RecoveredLog& out) {
  const auto a = read_slot(data, 0), b = read_slot(data, 1);
  if (!a && !b) return "stable: both copies of the vote are damaged";
  if (!a || !b) out.warnings.emplace_back("stable: one copy of the vote is torn or damaged");
  const bool first = a && (!b || a->sequence >= b->sequence);
  const Slot& best = first ? *a : *b;
  // A slot is begun when the other is durable: of two good ones the newer is in doubt, else the bad one.
  out.doubtful_slot = a && b ? (first ? 0 : 1) : (a ? 1 : 0);
  out.record = best.record;
  out.sequence = best.sequence;
  return {};
}

void recover_snapshots(const Found& found, RecoveredLog& out) {
  for (const Found::Snapshot& snapshot : found.snapshots) {
    out.serial = std::max(out.serial, snapshot.serial);
    auto read = read_snapshot(snapshot.file->data);
    if (!read || read->meta.index != snapshot.index || read->meta.term != snapshot.term) {
      out.warnings.push_back(snapshot.file->name + ": damaged snapshot passed over");
      out.leftovers.push_back(snapshot.file->name);
      continue;
    }
    out.snapshots.emplace_back(snapshot.index, snapshot.file->name);
    if (!out.snapshot) out.snapshot = std::move(*read);
  }
}

}  // namespace

std::uint32_t crc32c(ByteView data, std::uint32_t seed) {
#if defined(__x86_64__)
  static const bool kFast = __builtin_cpu_supports("sse4.2") != 0;
  if (kFast) return ~crc32c_sse(data.data(), data.size(), ~seed);
#endif
  return ~crc32c_tables(data.data(), data.size(), ~seed);
}

std::uint64_t crc64_ecma(ByteView data) {
  std::uint64_t c = ~std::uint64_t{0};
  for (const std::uint8_t byte : data) c = (c >> 8) ^ kCrc64Table[(c ^ byte) & 0xff];
  return ~c;
}

void put_entry(const raft::LogEntry& entry, Buffer& out) {
  const std::size_t at = out.size();
  const std::size_t end = kEntryHeader + entry.data.size() + entry.extensions.size();
  out.resize(at + (end + 7) / 8 * 8);
  std::uint8_t* p = out.data() + at;
  p[0] = kEntryFrame;
  p[1] = static_cast<std::uint8_t>(entry.type);
  store(p + 2, entry.appended_at.offset_minutes);
  store(p + 4, entry.appended_at.nanoseconds);
  store(p + 8, entry.index);
  store(p + 16, entry.term);
  store(p + 24, entry.appended_at.seconds);
  store(p + 32, static_cast<std::uint32_t>(entry.data.size()));
  store(p + 36, static_cast<std::uint32_t>(entry.extensions.size()));
  if (!entry.data.empty()) std::memcpy(p + kEntryHeader, entry.data.data(), entry.data.size());
  if (!entry.extensions.empty())
    std::memcpy(p + kEntryHeader + entry.data.size(), entry.extensions.data(), entry.extensions.size());
}

void put_cut(bool head, raft::Index index, Buffer& out) {
  const std::size_t at = out.size();
  out.resize(at + kCutBytes);
  out[at] = head ? kCutHeadFrame : kCutTailFrame;
  store(out.data() + at + 8, index);
}

void put_segment_header(const SegmentHeader& h, Buffer& out) {
  const std::size_t at = out.size();
  add(out, kSegmentMagic);
  add(out, kVersion);
  for (const std::uint64_t x : {h.number, h.previous_end, h.first, h.last, h.cut_through, h.sealed_end}) add(out, x);
  add(out, crc32c(ByteView(out).subspan(at, 56)));
  add(out, std::uint32_t{0});
}

void seal_batch(std::uint64_t segment, std::uint64_t offset, std::span<std::uint8_t> batch) {
  std::uint8_t* p = batch.data();
  store(p, kBatchMagic);
  store(p + 4, static_cast<std::uint32_t>(batch.size() - kBatchHeaderBytes));
  store(p + 8, segment);
  store(p + 16, offset);
  store(p + 24, crc32c(ByteView(batch).subspan(kBatchHeaderBytes)));
  store(p + 28, crc32c({p, 28}));
}

void put_slot(std::uint64_t sequence, const raft::StableRecord& record, Buffer& out) {
  DCSIM_CHECK(record.vote_candidate.size() <= kMostCandidate);
  const std::size_t at = out.size();
  add(out, kSlotMagic);
  add(out, static_cast<std::uint32_t>(record.vote_candidate.size()));
  add(out, sequence);
  add(out, record.current_term);
  add(out, record.vote_term);
  add(out, view_of(record.vote_candidate));
  add(out, crc32c(ByteView(out).subspan(at)));
  out.resize(at + kSlotBytes);
}

void put_mark(const Mark& mark, Buffer& out) {
  const std::size_t at = out.size();
  add(out, kMarkMagic);
  add(out, kVersion);
  add(out, mark.segment);
  add(out, mark.end);
  add(out, crc32c(ByteView(out).subspan(at, 24)));
  add(out, std::uint32_t{0});
}

void put_snapshot(const raft::SnapshotMeta& meta, const Bytes& state, Buffer& out) {
  Buffer configuration;
  wire::encode(meta.configuration, wire::RaftDialect::k1_7, configuration);
  const std::size_t at = out.size();
  add(out, kSnapshotMagic);
  add(out, static_cast<std::uint32_t>(configuration.size()));
  add(out, kVersion);
  add(out, std::uint32_t{0});
  for (const std::uint64_t x : {meta.index, meta.term, meta.configuration_index, std::uint64_t{state.size()}})
    add(out, x);
  add(out, crc64_ecma(state));
  add(out, crc32c(configuration, crc32c(ByteView(out).subspan(at, 56))));
  add(out, std::uint32_t{0});
  add(out, ByteView(configuration));
  add(out, state.view());
}

std::string segment_name(std::uint64_t number) { return fmt::format("wal-{}", number); }
std::string snapshot_name(raft::Term term, raft::Index index, std::uint64_t serial) {
  return fmt::format("snapshot-{}-{}-{}", term, index, serial);
}

std::string recover_log(const std::vector<StoredFile>& files, std::uint64_t align, RecoveredLog& out) {
  Found found = sort_files(files, out);
  const Mark mark = found.mark ? read_marks(found.mark->data) : Mark{};
  if (!found.stable) {
    // The vote's file is what a first start ends with: without it nothing can have been acknowledged.
    bool used = mark.segment != 0 || !found.snapshots.empty();
    for (const auto& [number, file] : found.segments) {
      used = used || number > 1 || file->data.size() > aligned(kSegmentHeaderBytes, align);
      out.leftovers.push_back(file->name);
    }
    if (used) return "stable: the vote is missing";
    out.fresh = true;
    out.next = {1, 0, 0, 0, 0, 0};
    return {};
  }
  if (std::string error = recover_record(found.stable->data, out); !error.empty()) return error;
  if (std::string error = Replay(align, out).run(found.segments, mark); !error.empty()) return error;
  recover_snapshots(found, out);
  const raft::Index reached = out.snapshot ? out.snapshot->meta.index : 0;
  if (reached < out.cut_through)
    return fmt::format("the log is cut through {}, the newest readable snapshot ends at {}", out.cut_through, reached);
  return {};
}

}  // namespace dcsim::host
