#include "trace/digest_stream.h"

#include <xxhash.h>

#include <bit>
#include <cstring>

#include "base/check.h"

namespace dcsim::trace {

struct DigestStream::State {
  XXH3_state_t* hash = XXH3_createState();
  State() { DCSIM_CHECK(hash != nullptr); }
  ~State() { XXH3_freeState(hash); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

DigestStream::DigestStream() : state_(std::make_unique<State>()) {
  constexpr std::string_view kFormat = "dcsim-trace-1\n";
  XXH3_128bits_reset(state_->hash);
  XXH3_128bits_update(state_->hash, kFormat.data(), kFormat.size());
}

DigestStream::~DigestStream() = default;

DigestStream::DigestStream(const DigestStream& other) : state_(std::make_unique<State>()) {
  XXH3_copyState(state_->hash, other.state_->hash);
}

void DigestStream::names(std::string_view framed) { XXH3_128bits_update(state_->hash, framed.data(), framed.size()); }

void DigestStream::records(std::span<const Record> records) {
  if constexpr (std::endian::native == std::endian::little) {
    XXH3_128bits_update(state_->hash, records.data(), records.size_bytes());
  } else {
    std::uint8_t image[sizeof(Record)];
    for (const Record& r : records) {
      encode(r, image);
      XXH3_128bits_update(state_->hash, image, sizeof image);
    }
  }
}

Digest DigestStream::value() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state_->hash));
  Digest digest;
  std::memcpy(digest.bytes.data(), canonical.digest, digest.bytes.size());
  return digest;
}

void DigestStream::frame(std::string_view name, std::string& out) {
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(name.size() >> (8 * i)));
  out.append(name);
}

std::string Digest::hex() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t b : bytes) {
    text.push_back(kDigits[b >> 4]);
    text.push_back(kDigits[b & 15]);
  }
  return text;
}

}  // namespace dcsim::trace
