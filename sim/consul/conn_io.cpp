#include "consul/conn_io.h"

#include <charconv>

namespace dcsim::consul {

std::string with_dial_source(std::string_view text, std::string_view source) {
  constexpr std::string_view kDial = "dial tcp ";
  std::string out(text);
  if (source.empty() || !text.starts_with(kDial) || text.find("->") != std::string_view::npos) return out;
  return out.insert(kDial.size(), std::string(source) + "->");
}

std::string io_timeout_text(bool writing, const Endpoint& local, const Endpoint& remote) {
  std::string out = writing ? "write tcp " : "read tcp ";
  if (!local.address.empty()) out += local.text() + "->";
  return out + remote.text() + ": i/o timeout";
}

std::string as_write_error(std::string_view text) {
  constexpr std::string_view kRead = "read tcp ";
  constexpr std::string_view kCall = ": read: ";
  if (!text.starts_with(kRead)) return std::string(text);
  std::string out = "write tcp " + std::string(text.substr(kRead.size()));
  if (const auto at = out.find(kCall); at != std::string::npos) out.replace(at, kCall.size(), ": write: ");
  return out;
}

bool parse_endpoint(std::string_view text, Endpoint& out) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto address = Address::parse(host);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (!address || error != std::errc{} || end != port.data() + port.size()) return false;
  out.address = *address;
  return true;
}

std::string log_conn(const Endpoint& remote) { return "from=" + remote.text(); }

std::string quoted_if_needed(std::string_view value) {
  if (value.find_first_of(" \t\r\n\"") == std::string_view::npos) return std::string(value);
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

bool is_eof_error(std::string_view error) {
  return error == "EOF" || error.ends_with(": EOF") || error.find("stream closed") != std::string_view::npos ||
         error.find("session shutdown") != std::string_view::npos;
}

}  // namespace dcsim::consul
