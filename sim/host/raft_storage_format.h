#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "raft/storage.h"

// The bytes of host::RaftStorage's files, in the shape of hashicorp/raft-wal. Little-endian.
//
//   stable            two slots of kSlotBytes with the same record, the second to be written with an odd sequence:
//   magic, length, sequence, current term, vote term, candidate, CRC-32C mark              two slots of kMarkBytes: how
//   far the log has certainly been synced wal-<number>      segment: header of kSegmentHeaderBytes, then batches; both
//   with CRC-32C snapshot-<term>-<index>-<serial>   meta with CRC-64 of the state and its own CRC-32C, then the state
//   *.tmp             not finished, or left over from a crash
//
// A batch: magic, bytes of its frames, segment number, its own offset, CRC-32C of the frames, CRC-32C of the header;
// then frames, each padded to 8: entries, and cuts of the log's head or tail.

namespace dcsim::host {

/// CRC-32C (Castagnoli, reflected; iSCSI, raft-wal). `seed`: of what stands before.
std::uint32_t crc32c(ByteView data, std::uint32_t seed = 0);
/// CRC-64 (ECMA-182, reflected; Go's crc64.ECMA, raft's file_snapshot.go).
std::uint64_t crc64_ecma(ByteView data);

inline constexpr std::size_t kSlotBytes = 4096;  ///< a sector of its own each
inline constexpr std::size_t kMostCandidate = kSlotBytes - 64;
inline constexpr std::size_t kMarkBytes = 32;
inline constexpr std::size_t kSegmentHeaderBytes = 64;
inline constexpr std::size_t kBatchHeaderBytes = 32;
inline constexpr std::string_view kStableName = "stable";
inline constexpr std::string_view kMarkName = "mark";

struct SegmentHeader {
  std::uint64_t number = 0;
  std::uint64_t previous_end = 0;  ///< what counts of the segment before it; later bytes there are void
  raft::Index first = 0;           ///< of the log, before the first batch of this segment; 0 = empty
  raft::Index last = 0;
  raft::Index cut_through = 0;   ///< no entry up to here is wanted: a snapshot covers them
  std::uint64_t sealed_end = 0;  ///< up to here the segment was synced before it got its name
};

struct Mark {
  std::uint64_t segment = 0;
  std::uint64_t end = 0;
};

struct StoredSnapshot {
  raft::SnapshotMeta meta;
  Bytes state;
};

// Writers append to `out`; those with a size write exactly that.
void put_entry(const raft::LogEntry& entry, Buffer& out);  ///< Hot: one copy of the payload.
void put_cut(bool head, raft::Index index, Buffer& out);   ///< head: all up to it; tail: all from it on
void put_segment_header(const SegmentHeader& header, Buffer& out);
/// Fills the header in front of the frames: `batch` begins with kBatchHeaderBytes of room.
void seal_batch(std::uint64_t segment, std::uint64_t offset, std::span<std::uint8_t> batch);
void put_slot(std::uint64_t sequence, const raft::StableRecord& record, Buffer& out);
void put_mark(const Mark& mark, Buffer& out);
void put_snapshot(const raft::SnapshotMeta& meta, const Bytes& state, Buffer& out);

std::string segment_name(std::uint64_t number);
std::string snapshot_name(raft::Term term, raft::Index index, std::uint64_t serial);

/// What the files of a directory hold, and what is to be done before more is written.
struct RecoveredLog {
  struct Segment {
    std::uint64_t number = 0;
    raft::Index most = 0;  ///< greatest index of an entry in it
  };
  bool fresh = false;  ///< nothing was ever stored
  raft::StableRecord record;
  std::uint64_t sequence = 0;
  std::uint64_t doubtful_slot = 0;  ///< the one that may not be on the medium; the other is
  std::vector<raft::LogEntry> log;
  raft::Index cut_through = 0;
  std::vector<Segment> segments;
  SegmentHeader next;         ///< of the segment to begin, all but sealed_end
  Bytes last_batch;           ///< frames of the last batch, to be repeated in it
  std::uint64_t dropped = 0;  ///< bytes of an unfinished batch at the end
  std::optional<StoredSnapshot> snapshot;
  std::vector<std::pair<raft::Index, std::string>> snapshots;  ///< readable ones, newest first
  std::uint64_t serial = 0;                                    ///< greatest of a snapshot
  std::vector<std::string> leftovers;                          ///< files to remove
  std::vector<std::string> warnings;
};

struct StoredFile {
  std::string name;
  Bytes data;
};

/// Checks everything and rebuilds. Empty, or why these files must not be served: data that had been acknowledged is
/// damaged or missing. Any bytes may come; entries share the files' blocks. `align` as it was written with.
std::string recover_log(const std::vector<StoredFile>& files, std::uint64_t align, RecoveredLog& out);

inline std::uint64_t aligned(std::uint64_t offset, std::uint64_t align) { return (offset + align - 1) / align * align; }

}  // namespace dcsim::host
