#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace dcsim {

/// An IPv4 or IPv6 address in the form in which it was received: an IPv4 address is 4 bytes or, from an agent bound to
/// 0.0.0.0, 16 bytes IPv4-mapped. The two forms compare different on purpose (memberlist compares bytewise); use
/// `canonical()` before routing. Plain value, 20 bytes.
class Address {
 public:
  constexpr Address() = default;
  static constexpr Address v4(std::uint32_t host_order) {
    Address a;
    a.size_ = 4;
    for (int i = 0; i < 4; ++i)
      a.bytes_[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
    return a;
  }
  /// 0, 4 or 16 bytes; other sizes give nullopt.
  static std::optional<Address> from_bytes(std::span<const std::uint8_t> bytes);
  /// What a peer claims to be an address: any number of bytes up to 16; only 4 and 16 can be sent to.
  static std::optional<Address> from_claim(std::span<const std::uint8_t> bytes);
  /// Dotted quad or RFC 4291 text without a zone.
  static std::optional<Address> parse(std::string_view text);

  std::span<const std::uint8_t> bytes() const { return {bytes_.data(), size_}; }
  bool empty() const { return size_ == 0; }
  bool is_v4() const { return size_ == 4; }
  bool is_v4_mapped() const;
  /// The 4-byte form of an IPv4-mapped address, else the address itself.
  Address canonical() const;
  /// The 16-byte IPv4-mapped form of a 4-byte address, else the address itself.
  Address mapped() const;
  /// Host-order value of a v4 (or v4-mapped) address; requires one.
  std::uint32_t v4_value() const;
  /// As Go prints a net.IP: an IPv4-mapped address prints as a dotted quad, one of an odd size as "?" and hex digits.
  std::string text() const;

  bool operator==(const Address&) const = default;
  auto operator<=>(const Address&) const = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
  std::uint32_t size_ = 0;
};

/// Address and port. Text form as Go prints it: "10.0.0.1:8301", "[::1]:8301".
struct Endpoint {
  Address address;
  std::uint16_t port = 0;

  bool operator==(const Endpoint&) const = default;
  auto operator<=>(const Endpoint&) const = default;
  std::string text() const;
};

/// An IPv4 network, e.g. 10.20.1.0/24.
struct Cidr {
  std::uint32_t network = 0;
  int bits = 0;

  /// Accepts "a.b.c.d/n"; host bits are cleared.
  static std::optional<Cidr> parse(std::string_view text);
  bool contains(std::uint32_t address) const { return bits == 0 || ((address ^ network) >> (32 - bits)) == 0; }
  std::uint32_t first_host() const { return bits >= 31 ? network : network + 1; }
  std::uint32_t last_host() const;
  std::string text() const;
  bool operator==(const Cidr&) const = default;
};

}  // namespace dcsim
