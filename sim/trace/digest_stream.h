#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "trace/record.h"
#include "trace/tracer.h"

namespace dcsim::trace {

/// The hash over the canonical stream (see Tracer): what the Tracer feeds during a run and a reader feeds to check a
/// file.
class DigestStream {
 public:
  DigestStream();
  ~DigestStream();
  DigestStream(const DigestStream& other);
  DigestStream& operator=(const DigestStream&) = delete;

  /// A name's framing in the stream: u32 length, bytes.
  void names(std::string_view framed);
  void records(std::span<const Record> records);
  Digest value() const;

  static void frame(std::string_view name, std::string& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dcsim::trace
