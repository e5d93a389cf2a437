#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/ids.h"
#include "base/name_table.h"
#include "base/result.h"
#include "base/time.h"
#include "trace/record.h"

namespace dcsim::trace {

class Recording;

/// 128 bits, as 32 hex digits most significant first (XXH128's canonical form).
struct Digest {
  std::array<std::uint8_t, 16> bytes{};
  bool operator==(const Digest&) const = default;
  std::string hex() const;
};

/// Records per block: the unit of hashing, checkpoints and storage. Part of the digest's definition.
inline constexpr std::uint32_t kBlockRecords = 1024;

enum class Keep : std::uint8_t {
  kNothing,  ///< digest only: constant memory but for 16 bytes a block
  kMemory,   ///< all in memory, for recording()
  kFile,     ///< spilled to a file (trace.bin) block by block
};

struct TracerOptions {
  Keep keep = Keep::kNothing;
  std::string path = {};      ///< kFile: written as path + ".tmp", renamed by finish()
  std::uint64_t seed = 0;     ///< noted in the file's header; not part of the digest
  std::vector<Ev> only = {};  ///< kinds to keep; empty = all. Numbers and digest do not change with it.
  bool digest = true;         ///< false only to measure what the digest costs
};

/// Where every record goes: appended to a block, folded into the digest when the block is full, then kept or not.
/// The digest is XXH3-128 over the stream "dcsim-trace-1\n" and for each block: the names first used in it (u32
/// length, bytes) in order of first use, then its records' canonical images with names by that order. So it depends on
/// content only: not on what is kept, on byte order, or on what else was interned.
/// One per world; `names` must outlive it. Not thread-safe.
class Tracer {
 public:
  explicit Tracer(const NameTable& names, TracerOptions options = {});
  ~Tracer();
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  /// Appends a record and returns what names it as a cause (its number + 1). Times must not go back.
  // Hot: one 48-byte store, 2 ns; every 1024th call renumbers names and hashes the block.
  Cause append(Instant t, Ev ev, NameId node, const Fields& f = {}, Cause parent = {}) {
    if (used_ == kBlockRecords) [[unlikely]]
      seal();
    Record& r = block_[used_++];
    r.t = t.ns;
    r.cause = parent.record;
    r.node = node.value;
    r.ev = static_cast<std::uint16_t>(ev);
    r.x = f.x;
    r.a = f.a;
    r.b = f.b;
    r.c = f.c;
    r.d = f.d;
    return Cause{sealed_ + used_};
  }

  /// Records appended so far; the next one's number.
  std::uint64_t size() const { return std::uint64_t{sealed_} + used_; }
  /// The digest of everything appended so far. May be asked at any time; does not disturb the rest.
  Digest digest() const;
  std::string digest_hex() const { return digest().hex(); }
  /// The digest after each full block.
  const std::vector<Digest>& checkpoints() const { return checkpoints_; }

  /// Writes what is pending; with Keep::kFile completes the file and moves it into place. Appending ends here.
  /// Fails with the operating system's text; a failed write during the run is reported here too.
  Result<bool> finish();
  /// What was kept in memory so far, copied: why/diff/render work on it. Requires Keep::kMemory.
  Recording recording() const;
  /// The last records appended (at most `n`, only those of the block being filled), for crash reports: rendered lines.
  std::vector<std::string> last_lines(std::size_t n) const;

 private:
  struct Hash;
  struct File;
  struct KeptBlock;

  void seal();
  void renumber() const;
  std::uint32_t first_use(std::uint32_t id) const;
  std::string new_names() const;
  void keep_block(const std::string& names, const Digest& checkpoint);

  const NameTable& names_;
  TracerOptions options_;
  std::array<bool, kEvCount> kept_kinds_{};
  std::unique_ptr<Record[]> block_;
  std::uint32_t used_ = 0;
  std::uint32_t sealed_ = 0;                  // records in full blocks
  mutable std::uint32_t renumbered_ = 0;      // of block_: those whose names are already local
  mutable std::vector<std::uint32_t> local_;  // NameId -> number by first use
  mutable std::vector<NameId> used_names_;    // its inverse
  std::size_t hashed_names_ = 0;              // of used_names_: those in full blocks
  std::unique_ptr<Hash> hash_;
  std::vector<Digest> checkpoints_;
  std::vector<KeptBlock> memory_;
  std::unique_ptr<File> file_;
  bool finished_ = false;
};

}  // namespace dcsim::trace
