#include "base/address.h"

#include <arpa/inet.h>

#include <charconv>

#include "base/check.h"

namespace dcsim {

namespace {

std::string dotted(std::uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    text += std::to_string((value >> shift) & 0xff);
    if (shift != 0) text += '.';
  }
  return text;
}

/// RFC 5952, without the dotted tail that inet_ntop gives to ::/96: Go does not print it.
std::string colons(const std::array<std::uint8_t, 16>& bytes) {
  std::array<unsigned, 8> words{};
  for (std::size_t i = 0; i < 8; ++i) words[i] = static_cast<unsigned>(bytes[2 * i] << 8 | bytes[2 * i + 1]);
  std::size_t gap = 8;  // the first of the longest runs of at least two zeros
  std::size_t gap_size = 1;
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t n = 0;
    while (i + n < 8 && words[i + n] == 0) ++n;
    if (n > gap_size) {
      gap = i;
      gap_size = n;
    }
  }
  std::string text;
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == gap) {
      text += "::";
      i += gap_size - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    char word[8] = {};
    const auto end = std::to_chars(word, word + sizeof word, words[i], 16).ptr;
    text.append(word, end);
  }
  return text;
}

}  // namespace

std::optional<Address> Address::from_bytes(std::span<const std::uint8_t> bytes) {
  if (bytes.size() != 0 && bytes.size() != 4 && bytes.size() != 16) return std::nullopt;
  return from_claim(bytes);
}

std::optional<Address> Address::from_claim(std::span<const std::uint8_t> bytes) {
  Address a;
  if (bytes.size() > a.bytes_.size()) return std::nullopt;
  a.size_ = static_cast<std::uint32_t>(bytes.size());
  if (!bytes.empty()) std::memcpy(a.bytes_.data(), bytes.data(), bytes.size());
  return a;
}

std::optional<Address> Address::parse(std::string_view text) {
  if (text.size() > 64 || text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string copy(text);
  std::array<std::uint8_t, 16> raw{};
  if (inet_pton(AF_INET, copy.c_str(), raw.data()) == 1) return from_bytes({raw.data(), 4});
  if (inet_pton(AF_INET6, copy.c_str(), raw.data()) == 1) return from_bytes({raw.data(), 16});
  return std::nullopt;
}

bool Address::is_v4_mapped() const {
  static constexpr std::array<std::uint8_t, 12> kPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return size_ == 16 && std::memcmp(bytes_.data(), kPrefix.data(), kPrefix.size()) == 0;
}

Address Address::canonical() const { return is_v4_mapped() ? v4(v4_value()) : *this; }

Address Address::mapped() const {
  if (size_ != 4) return *this;
  Address a;
  a.size_ = 16;
  a.bytes_[10] = a.bytes_[11] = 0xff;
  std::memcpy(a.bytes_.data() + 12, bytes_.data(), 4);
  return a;
}

std::uint32_t Address::v4_value() const {
  DCSIM_CHECK(size_ == 4 || is_v4_mapped());
  std::uint32_t value = 0;
  for (std::size_t i = size_ - 4; i < size_; ++i) value = value << 8 | bytes_[i];
  return value;
}

std::string Address::text() const {
  if (size_ == 0) return "";
  const Address a = canonical();
  if (a.size_ == 4) return dotted(a.v4_value());
  if (a.size_ == 16) return colons(a.bytes_);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string odd = "?";
  for (const std::uint8_t b : a.bytes()) odd.append({kDigits[b >> 4], kDigits[b & 15]});
  return odd;
}

std::string Endpoint::text() const {
  const bool brackets = address.bytes().size() == 16 && !address.is_v4_mapped();
  return (brackets ? "[" + address.text() + "]" : address.text()) + ":" + std::to_string(port);
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = Address::parse(text.substr(0, slash));
  if (!address || !address->is_v4()) return std::nullopt;
  unsigned bits = 0;
  const auto tail = text.substr(slash + 1);
  const auto [end, error] = std::from_chars(tail.data(), tail.data() + tail.size(), bits);
  if (error != std::errc{} || end != tail.data() + tail.size() || bits > 32) return std::nullopt;
  Cidr c;
  c.bits = static_cast<int>(bits);
  c.network = bits == 0 ? 0 : address->v4_value() & (0xffffffffu << (32 - bits));
  return c;
}

std::uint32_t Cidr::last_host() const {
  const std::uint32_t broadcast = bits == 0 ? 0xffffffffu : bits == 32 ? network : network | (0xffffffffu >> bits);
  return bits >= 31 ? broadcast : broadcast - 1;
}

std::string Cidr::text() const { return Address::v4(network).text() + "/" + std::to_string(bits); }

}  // namespace dcsim
