#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "trace/record.h"

namespace dcsim::trace {

class Recording;

// Records as text. Name ids are those of the Recording that is passed.

/// One line of trace.jsonl, with its newline: {"t":..,"n":..,"ev":"..","node":"..",fields..,"cause":..}. Durations are
/// integer nanoseconds, endpoints "host:port", absent names and insignificant zeros left out. Appends to `out`.
void append_json_line(std::string& out, std::uint64_t number, const Record& r, const Recording& names);
/// One line of `trace cat`: time in seconds with nanoseconds, node, event, key=value details, record number. With
/// newline.
void append_text_line(std::string& out, std::uint64_t number, const Record& r, const Recording& names);
/// Only "event key=value ..." without time and node.
std::string describe(const Record& r, const Recording& names);
/// The value of a named field as text: "t", "n", "ev", "node", "cause" or one of the kind's fields; "" if absent.
/// Durations as in Go ("1.5s").
std::string field_text(const Record& r, std::uint64_t number, std::string_view field, const Recording& names);
std::string endpoint_text(std::uint64_t packed, const Recording& names);
/// "12.345678901"
std::string time_text(std::int64_t ns);
/// Go's time.Duration text: "1m30s", "250ms", "1.5s", "0s".
std::string duration_text(std::int64_t ns);
/// Reads Go's text ("90s", "1m30s", "250us", "1.5s") or plain seconds "12.5". False if malformed.
bool parse_duration(std::string_view text, std::int64_t& ns);

/// The table of all kinds with their fields and meanings, for reference output.
std::string kinds_reference();

}  // namespace dcsim::trace
