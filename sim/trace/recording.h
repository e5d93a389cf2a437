#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "trace/record.h"
#include "trace/tracer.h"

namespace dcsim::trace {

/// A run's records after the run: from memory, from trace.bin or from trace.jsonl. Name ids in its records are its own:
/// ask text(). Records that were not kept are missing; numbers never change. Movable; views stay valid with it.
///
/// trace.bin, all numbers little-endian:
///   header  "dcsimtrc", u32 version = 1, u32 header bytes = 32, u64 seed, u64 0
///   block   u32 "BLK1", u32 number of its first record, u32 records, u32 kept, u32 new names, u32 bytes of names,
///           16 bytes digest after the block, 128 bytes bitmap of what was kept (bit i of byte i/8),
///           names (u32 length, bytes; padded with zeros to 8), kept records of 48 bytes
///   end     u32 "END1", u32 0, u64 records in all, 16 bytes digest
/// Every block but the last has 1024 records. A file without its end (the run was killed) is read up to its last whole
/// block. Reading is bounded by the file's size; what is malformed is an Error.
class Recording {
 public:
  Recording();
  ~Recording();
  Recording(Recording&&) noexcept;
  Recording& operator=(Recording&&) noexcept;

  /// A directory (its trace.bin, else its trace.jsonl) or one of these files, told apart by content.
  static Result<Recording> load(const std::string& path);

  /// One past the highest record number.
  std::uint64_t size() const { return size_; }
  std::uint64_t kept() const { return kept_; }
  std::optional<Record> at(std::uint64_t number) const;
  /// The first kept record with number >= `number`.
  std::optional<std::uint64_t> next(std::uint64_t number) const;
  std::string_view text(std::uint32_t name) const { return name < names_.size() ? names_[name] : std::string_view{}; }
  std::size_t names() const { return names_.size(); }
  /// The id of a text, or none's value.
  std::uint32_t find_name(std::string_view text) const;

  /// Calls f(number, record) for every kept record in order; stops when it returns false.
  template <class F>
  void each(F&& f, std::uint64_t from = 0) const {
    for (auto n = next(from); n; n = next(*n + 1)) {
      if (!f(*n, *at(*n))) return;
    }
  }

  std::uint64_t seed() const { return seed_; }
  /// Digest after each block; empty for a trace.jsonl.
  const std::vector<Digest>& checkpoints() const { return checkpoints_; }
  std::optional<Digest> digest() const { return digest_; }
  /// False if the run that wrote the file did not finish it.
  bool complete() const { return complete_; }
  /// Recomputes the digest from the kept records' content; nullopt if some were not kept.
  std::optional<Digest> recompute() const;

  /// Building: names in order, then records in ascending order of number. Used by the readers and the Tracer.
  std::uint32_t add_name(std::string_view text);
  void add_record(std::uint64_t number, const Record& r);
  void set_size(std::uint64_t size) { size_ = size; }
  void set_seed(std::uint64_t seed) { seed_ = seed; }
  void add_checkpoint(const Digest& d) { checkpoints_.push_back(d); }
  void set_digest(const Digest& d) { digest_ = d; }

 private:
  struct Block {
    std::array<std::uint64_t, kBlockRecords / 64> bitmap{};
    std::uint32_t kept = 0;
    std::uint32_t index = 0;                // record number / kBlockRecords; blocks without records may be missing
    const std::uint8_t* records = nullptr;  // into the mapping or into owned
    std::vector<std::uint8_t> owned;
    bool has(std::uint32_t i) const { return (bitmap[i / 64] >> (i % 64) & 1) != 0; }
    std::uint32_t rank(std::uint32_t i) const {
      std::uint32_t n = 0;
      for (std::uint32_t w = 0; w < i / 64; ++w) n += static_cast<std::uint32_t>(std::popcount(bitmap[w]));
      return n + static_cast<std::uint32_t>(std::popcount(bitmap[i / 64] & ((std::uint64_t{1} << (i % 64)) - 1)));
    }
  };
  class Mapping;
  class BinReader;

  /// The first block with at least this index, as a position in blocks_.
  std::size_t block_at(std::uint64_t index) const;

  std::unique_ptr<Mapping> mapping_;
  std::vector<Block> blocks_;
  std::vector<std::string_view> names_;
  std::vector<std::unique_ptr<std::string>> owned_names_;
  std::uint64_t size_ = 0;
  std::uint64_t kept_ = 0;
  std::uint64_t seed_ = 0;
  std::vector<Digest> checkpoints_;
  std::optional<Digest> digest_;
  bool complete_ = true;
  struct Index;
  mutable std::unique_ptr<Index> index_;
};

/// Reads one trace.jsonl (text of the file). Lines over 1 MiB, malformed JSON, unknown events and numbers that do not
/// ascend are Errors that name the line. Unknown fields are ignored.
Result<Recording> read_jsonl(std::string_view text);

}  // namespace dcsim::trace
