#include "wire/raft_messages.h"

#include <doctest/doctest.h>

#include <map>
#include <string>

#include "support/vectors.h"
#include "wire/raft_stream.h"

// The bytes of hashicorp/raft 1.7.3 and 1.1.2, recorded between two NetworkTransports (tests/data/vectors/raft).

namespace dcsim::test {
namespace {

using namespace wire;

/// Texts and byte strings of one vector's fields, so that views into them live long enough.
class Fields {
 public:
  explicit Fields(const Json& json) : json_(json) {}
  bool has(const char* name) const { return json_.contains(name); }
  std::uint64_t u64(const char* name) const { return json_.at(name).get<std::uint64_t>(); }
  std::int64_t i64(const char* name) const { return json_.at(name).get<std::int64_t>(); }
  bool flag(const char* name) const { return json_.at(name).get<bool>(); }
  OptBytes bytes(const char* name) {
    if (!has(name) || json_.at(name).is_null()) return {};
    Buffer& kept = kept_[name] = from_hex(json_.at(name).at("hex").get<std::string>());
    return ByteView(kept);
  }
  std::string_view text(const char* name) { return text_of(bytes(name).data); }
  RpcHeader header() { return {i64("ProtocolVersion"), text("ID"), text("Addr")}; }
  const Json& json() const { return json_; }

 private:
  const Json& json_;
  std::map<std::string, Buffer> kept_;
};

Bytes shared_bytes(const Json& json) {
  return json.is_null() ? Bytes() : Bytes(from_hex(json.at("hex").get<std::string>()));
}

LogEntry entry_of(const Json& json) {
  LogEntry entry;
  entry.index = json.at("Index").get<std::uint64_t>();
  entry.term = json.at("Term").get<std::uint64_t>();
  entry.type = static_cast<LogType>(json.at("Type").get<int>());
  entry.data = shared_bytes(json.at("Data"));
  entry.extensions = shared_bytes(json.at("Extensions"));
  if (json.contains("AppendedAt") && json.at("AppendedAt") == "2024-01-02T03:04:05.678901234Z") {
    entry.appended_at = GoTime::from_unix(1'704'164'645'678'901'234);
  } else if (json.contains("AppendedAt")) {
    REQUIRE(json.at("AppendedAt") == "0001-01-01T00:00:00Z");
  }
  return entry;
}

Buffer request_from(std::string_view rpc, Fields& f, RaftDialect dialect) {
  Buffer out;
  if (rpc == "AppendEntries") {
    std::vector<LogEntry> entries;
    const Json& list = f.json().at("Entries");
    for (const Json& entry : list) entries.push_back(entry_of(entry));
    append_request(AppendEntriesRequest{f.header(), f.u64("Term"), f.text("Leader"), f.u64("PrevLogEntry"),
                                        f.u64("PrevLogTerm"), entries, list.is_null(), f.u64("LeaderCommitIndex")},
                   dialect, out);
  } else if (rpc == "RequestVote") {
    append_request(RequestVoteRequest{f.header(), f.u64("Term"), f.text("Candidate"), f.u64("LastLogIndex"),
                                      f.u64("LastLogTerm"), f.flag("LeadershipTransfer")},
                   dialect, out);
  } else if (rpc == "InstallSnapshot") {
    append_request(InstallSnapshotRequest{f.header(), f.i64("SnapshotVersion"), f.u64("Term"), f.text("Leader"),
                                          f.u64("LastLogIndex"), f.u64("LastLogTerm"), f.bytes("Peers"),
                                          f.bytes("Configuration"), f.u64("ConfigurationIndex"), f.i64("Size")},
                   dialect, out);
  } else if (rpc == "TimeoutNow") {
    append_request(TimeoutNowRequest{f.header()}, dialect, out);
  } else {
    REQUIRE(rpc == "RequestPreVote");
    append_request(RequestPreVoteRequest{f.header(), f.u64("Term"), f.u64("LastLogIndex"), f.u64("LastLogTerm")},
                   dialect, out);
  }
  return out;
}

Buffer response_from(std::string_view rpc, const std::string& error, Fields& f, RaftDialect dialect) {
  Buffer out;
  if (f.json().is_null()) {
    append_error_response(error, out);
  } else if (rpc == "AppendEntries") {
    append_response(
        error,
        AppendEntriesResponse{f.header(), f.u64("Term"), f.u64("LastLog"), f.flag("Success"), f.flag("NoRetryBackoff")},
        dialect, out);
  } else if (rpc == "RequestVote") {
    append_response(error, RequestVoteResponse{f.header(), f.u64("Term"), f.bytes("Peers"), f.flag("Granted")}, dialect,
                    out);
  } else if (rpc == "InstallSnapshot") {
    append_response(error, InstallSnapshotResponse{f.header(), f.u64("Term"), f.flag("Success")}, dialect, out);
  } else if (rpc == "TimeoutNow") {
    append_response(error, TimeoutNowResponse{f.header()}, dialect, out);
  } else {
    append_response(error, RequestPreVoteResponse{f.header(), f.u64("Term"), f.flag("Granted")}, dialect, out);
  }
  return out;
}

struct Dialect {
  const char* file;
  RaftDialect dialect;
};
constexpr Dialect kDialects[] = {{"wire-1.7.json", RaftDialect::k1_7}, {"wire-1.1.json", RaftDialect::k1_1}};

}  // namespace

TEST_CASE("raft wire: every recorded request and response is written byte for byte") {
  for (const Dialect& library : kDialects) {
    const char* const file = library.file;
    const RaftDialect dialect = library.dialect;
    const Json json = load_vectors(file, "raft");
    REQUIRE(json.at("vectors").size() >= 10);
    for (const Json& vector : json.at("vectors")) {
      CAPTURE(file);
      CAPTURE(vector.at("name").get<std::string>());
      const std::string rpc = vector.at("rpc").get<std::string>();
      Fields request(vector.at("request"));
      Buffer wire = request_from(rpc, request, dialect);
      const Buffer stream = from_hex(vector.value("stream_after_request_hex", ""));
      wire.insert(wire.end(), stream.begin(), stream.end());
      CHECK(to_hex(wire) == vector.at("request_wire_hex").get<std::string>());
      Fields response(vector.at("response"));
      CHECK(to_hex(response_from(rpc, vector.at("error").get<std::string>(), response, dialect)) ==
            vector.at("response_wire_hex").get<std::string>());
    }
  }
}

TEST_CASE("raft wire: what was recorded is read and written back unchanged, in pieces of any size") {
  for (const Dialect& library : kDialects) {
    const char* const file = library.file;
    const RaftDialect dialect = library.dialect;
    const Json json = load_vectors(file, "raft");
    for (const Json& vector : json.at("vectors")) {
      CAPTURE(file);
      CAPTURE(vector.at("name").get<std::string>());
      const Buffer wire = from_hex(vector.at("request_wire_hex").get<std::string>());
      for (const std::size_t step : {std::size_t{1}, std::size_t{7}, wire.size()}) {
        RaftRequestParser parser(dialect);
        LogWorkspace ws;
        RaftRequest request;
        Buffer again;
        for (std::size_t at = 0; at < wire.size(); at += step) {
          parser.feed(Bytes(ByteView(wire).subspan(at, std::min(step, wire.size() - at))));
          for (;;) {
            const RaftStreamStatus status = parser.next(request, ws);
            REQUIRE(status != RaftStreamStatus::kRefused);
            if (status == RaftStreamStatus::kNeedMore) break;
            if (status == RaftStreamStatus::kSnapshot) {
              again.insert(again.end(), parser.snapshot().view().begin(), parser.snapshot().view().end());
            } else {
              std::visit([&](const auto& m) { append_request(m, dialect, again); }, request.body);
              CHECK(static_cast<int>(request.rpc()) == vector.at("type_byte").get<int>());
            }
          }
        }
        CHECK(to_hex(again) == to_hex(wire));
        CHECK(parser.finish() == RaftStreamError::kNone);
      }
      const Buffer answer = from_hex(vector.at("response_wire_hex").get<std::string>());
      RaftResponseParser parser(dialect);
      RaftResponse response;
      const auto rpc = static_cast<RaftRpc>(vector.at("type_byte").get<int>());
      for (std::size_t i = 0; i + 1 < answer.size(); ++i) {
        parser.feed(Bytes(ByteView(answer).subspan(i, 1)));
        REQUIRE(parser.next(rpc, response) == RaftStreamStatus::kNeedMore);
        CHECK(parser.finish() == RaftStreamError::kTruncated);
      }
      parser.feed(Bytes(ByteView(answer).last(1)));
      REQUIRE(parser.next(rpc, response) == RaftStreamStatus::kMessage);
      CHECK(response.error == vector.at("error").get<std::string>());
      if (vector.at("response").is_null()) continue;
      Buffer again;
      std::visit([&](const auto& m) { append_response(response.error, m, dialect, again); }, response.body);
      CHECK(to_hex(again) == to_hex(answer));
    }
  }
}

TEST_CASE("raft wire: the heartbeat is recognised by its shape, and only it") {
  const Json vectors = load_vectors("wire-1.7.json", "raft").at("vectors");
  int heartbeats = 0;
  for (const Json& vector : vectors) {
    if (vector.at("rpc") != "AppendEntries") continue;
    const Bytes frame(ByteView(from_hex(vector.at("request_wire_hex").get<std::string>())).subspan(1));
    Reader r(frame);
    LogWorkspace ws;
    AppendEntriesRequest m;
    REQUIRE(read(r, frame, ws, m));
    CHECK(m.heartbeat() == (vector.at("name") == "heartbeat"));
    heartbeats += m.heartbeat() ? 1 : 0;
  }
  CHECK(heartbeats == 1);
}

TEST_CASE("raft wire: the configuration payload, both ways") {
  for (const Dialect& library : kDialects) {
    const char* const file = library.file;
    const RaftDialect dialect = library.dialect;
    const Json json = load_vectors(file, "raft");
    for (const Json& vector : json.at("configuration")) {
      Configuration configuration;
      for (const Json& server : vector.at("servers")) {
        configuration.servers.push_back({static_cast<Suffrage>(server.at("Suffrage").get<int>()),
                                         server.at("ID").get<std::string>(), server.at("Address").get<std::string>()});
      }
      Buffer out;
      encode(configuration, dialect, out);
      CHECK(to_hex(out) == vector.at("hex").get<std::string>());
      Configuration back;
      REQUIRE(decode(out, back));
      CHECK(back == configuration);
    }
  }
}

TEST_CASE("raft wire: other msgpack spellings are taken or refused as the library does") {
  const Json json = load_vectors("decoder-tolerance.json", "raft");
  for (const Json& row : json.at("rows")) {
    CAPTURE(row.at("name").get<std::string>());
    const Buffer body = from_hex(row.at("hex").get<std::string>());
    for (const Dialect& library : kDialects) {
      const char* const file = library.file;
      const RaftDialect dialect = library.dialect;
      CAPTURE(file);
      Reader r(body);
      RequestVoteRequest m;
      const bool accepted = read(r, m, dialect);
      CHECK(accepted == row.at(dialect == RaftDialect::k1_7 ? "accepted_1_7" : "accepted_1_1").get<bool>());
      const Json& fields = row.at("fields");
      if (!accepted || fields.is_null()) continue;
      CHECK(m.term == fields.value("Term", std::uint64_t{0}));
      CHECK(m.candidate == fields.value("Candidate", ""));
      CHECK(m.header.protocol_version == fields.value("ProtocolVersion", std::int64_t{0}));
    }
  }
}

TEST_CASE("raft wire: signed members above 127 differ between the two msgpack releases") {
  Buffer modern, old;
  encode(InstallSnapshotRequest{.size = 300}, RaftDialect::k1_7, modern);
  encode(InstallSnapshotRequest{.size = 300}, RaftDialect::k1_1, old);
  CHECK(to_hex(modern).find("a453697a65d1012c") != std::string::npos);
  CHECK(to_hex(old).find("a453697a65cd012c") != std::string::npos);
}

TEST_CASE("raft wire: payloads share the frame's block and keep it alive") {
  LogEntry entry{5, 2, LogType::kCommand, GoTime::from_unix(1), Bytes(view_of("key and value")), Bytes()};
  Buffer wire;
  encode(entry, RaftDialect::k1_7, wire);
  LogEntry back;
  {
    const Bytes frame{ByteView(wire)};
    Reader r(frame);
    REQUIRE(read(r, frame, back));
    CHECK(back.data.data() >= frame.data());
    CHECK(back.data.data() < frame.data() + frame.size());
  }
  CHECK(text_of(back.data) == "key and value");
  CHECK(back.appended_at.unix_nanoseconds() == 1);
}

TEST_CASE("raft wire: Go times are checked") {
  const auto accepted = [](std::string_view hex) {
    Buffer body = from_hex("81aa417070656e6465644174");
    const Buffer time = from_hex(hex);
    body.insert(body.end(), time.begin(), time.end());
    const Bytes frame{ByteView(body)};
    Reader r(frame);
    LogEntry entry;
    return read(r, frame, entry);
  };
  CHECK(accepted("af01000000000000000000000000ffff"));
  CHECK(accepted("c0"));
  CHECK(accepted("b00200000000000000000000000000003c00"));
  CHECK_FALSE(accepted("a0"));
  CHECK_FALSE(accepted("af03000000000000000000000000ffff"));  // a version that does not exist
  CHECK_FALSE(accepted("ae010000000000000000000000ffff"));    // a byte short
  CHECK_FALSE(accepted("af0100000000000000003b9aca00ffff"));  // a billion nanoseconds
  CHECK(GoTime::from_unix(-1).nanoseconds == 999'999'999);
  CHECK(GoTime::from_unix(-1).unix_nanoseconds() == -1);
  CHECK(GoTime{}.unix_nanoseconds() == std::numeric_limits<std::int64_t>::min());
}

TEST_CASE("raft wire: a configuration with an impossible suffrage or too many servers is refused") {
  Buffer body = from_hex(
      "81a753657276657273918"
      "1a8537566667261676503");
  Configuration m;
  CHECK_FALSE(decode(body, m));
  body.back() = 2;
  CHECK(decode(body, m));
  Buffer many = from_hex("81a753657276657273dd00100000");
  many.resize(many.size() + 0x100000, 0x80);
  CHECK_FALSE(decode(many, m));
  CHECK(m.servers.size() <= kMaxRaftServers);
}

}  // namespace dcsim::test
