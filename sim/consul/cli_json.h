#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/time.h"
#include "wire/consul_messages.h"

namespace dcsim::consul {

/// Writes JSON as Go's encoding/json does: members in the order of the calls, compact or (pretty) indented by four blanks.
class JsonWriter {
 public:
  explicit JsonWriter(bool pretty = false, std::string_view indent = "    ") : pretty_(pretty), indent_(indent) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  /// The name of the member that follows.
  JsonWriter& key(std::string_view name);
  JsonWriter& text(std::string_view value);
  JsonWriter& number(std::int64_t value);
  JsonWriter& unsigned_number(std::uint64_t value);
  JsonWriter& boolean(bool value);
  JsonWriter& null();
  /// Base64; nil if empty.
  JsonWriter& bytes(ByteView value);

  JsonWriter& member(std::string_view name, std::string_view value) { return key(name).text(value); }
  JsonWriter& member(std::string_view name, const char* value) { return key(name).text(value); }
  JsonWriter& member(std::string_view name, std::int64_t value) { return key(name).number(value); }
  JsonWriter& member(std::string_view name, std::uint64_t value) { return key(name).unsigned_number(value); }
  JsonWriter& member(std::string_view name, bool value) { return key(name).boolean(value); }
  /// A list of texts, [] if empty.
  JsonWriter& texts(const wire::rpc::Texts& values);
  /// A map of texts; `empty_is_null` for Go's nil maps.
  JsonWriter& map(const wire::rpc::TextMap& values, bool empty_is_null = false);

  std::string take() { return std::move(out_); }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  void value();
  void newline();

  bool pretty_;
  std::string indent_;
  std::string out_;
  std::size_t depth_ = 0;
  bool first_ = true;      // of the innermost object or array
  bool after_key_ = false;
};

std::string base64(ByteView data);
/// Go's StdEncoding: padded. False: malformed, at the byte `bad`.
bool base64_decode(std::string_view text, Buffer& out, std::size_t& bad);

// What agents answer with, member by member (agent/structs, api).
void to_json(JsonWriter& w, const wire::rpc::DirEntry& entry);
void to_json(JsonWriter& w, const wire::rpc::Node& node);
void to_json(JsonWriter& w, const wire::rpc::NodeService& service);
void to_json(JsonWriter& w, const wire::rpc::ServiceNode& node);
void to_json(JsonWriter& w, const wire::rpc::HealthCheck& check);
void to_json(JsonWriter& w, const wire::rpc::CheckServiceNode& node);
void to_json(JsonWriter& w, const wire::rpc::RaftServer& server);
void to_json(JsonWriter& w, const wire::rpc::AutopilotConfig& config);
void to_json(JsonWriter& w, const wire::rpc::AutopilotState& state);
void to_json(JsonWriter& w, const wire::rpc::AutopilotHealthReply& health);

/// RFC 3339 with as many digits as needed, as Go writes a time.Time; rounded to seconds if asked.
std::string go_time(const wire::GoTime& time, bool round_to_seconds);

}  // namespace dcsim::consul
