#include "wire/raft_stream.h"

#include <algorithm>

#include "base/check.h"

namespace dcsim::wire {
namespace {

constexpr std::size_t kKeptCapacity = std::size_t{1} << 20;  // of a connection's buffer, between messages

template <class M>
void append_typed(RaftRpc rpc, const M& m, RaftDialect dialect, Buffer& out) {
  out.push_back(static_cast<std::uint8_t>(rpc));
  encode(m, dialect, out);
}

template <class M>
void append_answer(std::string_view error, const M& m, RaftDialect dialect, Buffer& out) {
  Writer(out).text(error);
  encode(m, dialect, out);
}

bool known(std::uint8_t type, RaftDialect dialect) {
  const RaftRpc last = dialect == RaftDialect::k1_7 ? RaftRpc::kRequestPreVote : RaftRpc::kTimeoutNow;
  return type <= static_cast<std::uint8_t>(last);
}

template <class M, class Variant>
bool read_into(Reader& r, Variant& body, RaftDialect dialect) {
  return read(r, body.template emplace<M>(), dialect);
}

bool read_request(std::uint8_t type, LogWorkspace& ws, RaftRequest& out, RaftDialect dialect) {
  Reader r(out.frame);
  switch (static_cast<RaftRpc>(type)) {
    case RaftRpc::kAppendEntries:
      return read(r, out.frame, ws, out.body.emplace<AppendEntriesRequest>(), dialect);
    case RaftRpc::kRequestVote:
      return read_into<RequestVoteRequest>(r, out.body, dialect);
    case RaftRpc::kInstallSnapshot:
      return read_into<InstallSnapshotRequest>(r, out.body, dialect);
    case RaftRpc::kTimeoutNow:
      return read_into<TimeoutNowRequest>(r, out.body, dialect);
    case RaftRpc::kRequestPreVote:
      return read_into<RequestPreVoteRequest>(r, out.body, dialect);
  }
  return false;
}

bool read_response(Reader& r, RaftRpc rpc, RaftResponse& out, RaftDialect dialect) {
  switch (rpc) {
    case RaftRpc::kAppendEntries:
      return read_into<AppendEntriesResponse>(r, out.body, dialect);
    case RaftRpc::kRequestVote:
      return read_into<RequestVoteResponse>(r, out.body, dialect);
    case RaftRpc::kInstallSnapshot:
      return read_into<InstallSnapshotResponse>(r, out.body, dialect);
    case RaftRpc::kTimeoutNow:
      return read_into<TimeoutNowResponse>(r, out.body, dialect);
    case RaftRpc::kRequestPreVote:
      return read_into<RequestPreVoteResponse>(r, out.body, dialect);
  }
  return false;
}

}  // namespace

std::string_view name_of(RaftStreamError error) {
  switch (error) {
    case RaftStreamError::kNone:
      return "none";
    case RaftStreamError::kUnknownType:
      return "unknown rpc type";
    case RaftStreamError::kMalformed:
      return "malformed message";
    case RaftStreamError::kTooLarge:
      return "message too large";
    case RaftStreamError::kTruncated:
      return "unexpected EOF";
  }
  return "unknown";
}

void append_request(const AppendEntriesRequest& m, RaftDialect dialect, Buffer& out) {
  append_typed(RaftRpc::kAppendEntries, m, dialect, out);
}
void append_request(const RequestVoteRequest& m, RaftDialect dialect, Buffer& out) {
  append_typed(RaftRpc::kRequestVote, m, dialect, out);
}
void append_request(const InstallSnapshotRequest& m, RaftDialect dialect, Buffer& out) {
  append_typed(RaftRpc::kInstallSnapshot, m, dialect, out);
}
void append_request(const TimeoutNowRequest& m, RaftDialect dialect, Buffer& out) {
  append_typed(RaftRpc::kTimeoutNow, m, dialect, out);
}
void append_request(const RequestPreVoteRequest& m, RaftDialect dialect, Buffer& out) {
  append_typed(RaftRpc::kRequestPreVote, m, dialect, out);
}

void append_response(std::string_view error, const AppendEntriesResponse& m, RaftDialect dialect, Buffer& out) {
  append_answer(error, m, dialect, out);
}
void append_response(std::string_view error, const RequestVoteResponse& m, RaftDialect dialect, Buffer& out) {
  append_answer(error, m, dialect, out);
}
void append_response(std::string_view error, const InstallSnapshotResponse& m, RaftDialect dialect, Buffer& out) {
  append_answer(error, m, dialect, out);
}
void append_response(std::string_view error, const TimeoutNowResponse& m, RaftDialect dialect, Buffer& out) {
  append_answer(error, m, dialect, out);
}
void append_response(std::string_view error, const RequestPreVoteResponse& m, RaftDialect dialect, Buffer& out) {
  append_answer(error, m, dialect, out);
}
void append_error_response(std::string_view error, Buffer& out) {
  Writer w(out);
  w.text(error);
  w.nil();
}

void ValueFrames::feed(const Bytes& piece) {
  if (piece.empty() || error_ != RaftStreamError::kNone) return;
  if (!partial_.empty()) {
    partial_.insert(partial_.end(), piece.view().begin(), piece.view().end());
  } else {
    piece_ = piece_.joined(piece);
  }
}

int ValueFrames::peek() const { return !partial_.empty() ? partial_.front() : piece_.empty() ? -1 : *piece_.data(); }

Reader::Status ValueFrames::scan(ByteView bytes, std::size_t prefix, unsigned values) {
  while (complete_ < values) {
    const std::size_t from = prefix + scanned_;
    if (bytes.size() <= from) {
      wanted_ = from + 1;
      return Reader::Status::kShort;
    }
    const Reader::Status status = scanner_.scan(bytes.subspan(from));
    if (status != Reader::Status::kOk) {
      wanted_ = bytes.size() + scanner_.missing();
      return status;
    }
    scanned_ += scanner_.size();
    scanner_.reset();
    ++complete_;
  }
  return Reader::Status::kOk;
}

void ValueFrames::finish_message() {
  scanner_.reset();
  scanned_ = 0;
  complete_ = 0;
  wanted_ = 0;
}

bool ValueFrames::take(std::size_t prefix, unsigned values, Bytes& out) {
  if (error_ != RaftStreamError::kNone || buffered() < wanted_ || empty()) return false;
  const bool collected = !partial_.empty();
  const ByteView bytes = collected ? ByteView(partial_) : piece_.view();
  const Reader::Status status = scan(bytes, prefix, values);
  if (status == Reader::Status::kBad) return refuse(RaftStreamError::kMalformed), false;
  const std::size_t size = prefix + scanned_;
  if (std::max(size, status == Reader::Status::kShort ? wanted_ : size) > limit_) {
    return refuse(RaftStreamError::kTooLarge), false;
  }
  if (status == Reader::Status::kShort) {
    if (!collected) {
      partial_.assign(bytes.begin(), bytes.end());
      piece_ = {};
    }
    return false;
  }
  if (collected) {
    const Bytes all{ByteView(partial_)};
    partial_.clear();
    if (partial_.capacity() > kKeptCapacity) Buffer().swap(partial_);
    out = all.slice(0, size);
    piece_ = all.slice(size, all.size() - size);
  } else {
    out = piece_.slice(0, size);
    piece_ = piece_.slice(size, piece_.size() - size);
  }
  if (piece_.empty()) piece_ = {};
  finish_message();
  return true;
}

Bytes ValueFrames::take_raw(std::uint64_t most) {
  DCSIM_CHECK(partial_.empty());
  const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(most, piece_.size()));
  Bytes out = piece_.slice(0, count);
  piece_ = count == piece_.size() ? Bytes() : piece_.slice(count, piece_.size() - count);
  return out;
}

RaftStreamStatus RaftRequestParser::next(RaftRequest& out, LogWorkspace& ws) {
  snapshot_ = {};
  if (error() != RaftStreamError::kNone) return RaftStreamStatus::kRefused;
  if (snapshot_left_ > 0) {
    snapshot_ = frames_.take_raw(snapshot_left_);
    snapshot_left_ -= snapshot_.size();
    return snapshot_.empty() ? RaftStreamStatus::kNeedMore : RaftStreamStatus::kSnapshot;
  }
  const int type = frames_.peek();
  if (type < 0) return RaftStreamStatus::kNeedMore;
  if (!known(static_cast<std::uint8_t>(type), dialect_)) {
    unknown_type_ = static_cast<std::uint8_t>(type);
    frames_.refuse(RaftStreamError::kUnknownType);
    return RaftStreamStatus::kRefused;
  }
  Bytes message;
  if (!frames_.take(1, 1, message)) {
    return error() == RaftStreamError::kNone ? RaftStreamStatus::kNeedMore : RaftStreamStatus::kRefused;
  }
  out.frame = message.slice(1, message.size() - 1);
  bool good = read_request(static_cast<std::uint8_t>(type), ws, out, dialect_);
  if (const auto* install = std::get_if<InstallSnapshotRequest>(&out.body); good && install != nullptr) {
    good = install->size >= 0;
    if (good) snapshot_left_ = static_cast<std::uint64_t>(install->size);
  }
  if (!good) frames_.refuse(RaftStreamError::kMalformed);
  return good ? RaftStreamStatus::kMessage : RaftStreamStatus::kRefused;
}

RaftStreamError RaftRequestParser::finish() const {
  if (error() != RaftStreamError::kNone) return error();
  return frames_.empty() && snapshot_left_ == 0 ? RaftStreamError::kNone : RaftStreamError::kTruncated;
}

std::string RaftRequestParser::error_text() const {
  switch (error()) {
    case RaftStreamError::kNone:
      return {};
    case RaftStreamError::kUnknownType:
      return "unknown rpc type " + std::to_string(unknown_type_);
    default:
      return std::string(name_of(error()));
  }
}

RaftStreamStatus RaftResponseParser::next(RaftRpc expected, RaftResponse& out) {
  if (error() != RaftStreamError::kNone) return RaftStreamStatus::kRefused;
  if (!frames_.take(0, 2, out.frame)) {
    return error() == RaftStreamError::kNone ? RaftStreamStatus::kNeedMore : RaftStreamStatus::kRefused;
  }
  Reader r(out.frame);
  out.error = r.text();
  if (r.ok() && read_response(r, expected, out, dialect_)) return RaftStreamStatus::kMessage;
  frames_.refuse(RaftStreamError::kMalformed);
  return RaftStreamStatus::kRefused;
}

RaftStreamError RaftResponseParser::finish() const {
  if (error() != RaftStreamError::kNone) return error();
  return frames_.empty() ? RaftStreamError::kNone : RaftStreamError::kTruncated;
}

}  // namespace dcsim::wire
