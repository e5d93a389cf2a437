#include <cstdint>

#include "base/check.h"
#include "wire/yamux.h"

// Two yamux sessions and an adversary. The input is a program of single-byte steps (low four bits) with an operand
// (high four bits); steps 12 and up inject the bytes that follow into one side. Whatever is injected: no crash, bounded
// memory, and while nothing was injected no session may end and every byte arrives.

namespace {

using namespace dcsim;
using namespace dcsim::wire;

class Run {
 public:
  void step(std::uint8_t op, ByteView& rest) {
    const std::uint8_t operand = op >> 4;
    YamuxSession& session = (operand & 1) != 0 ? server_ : client_;
    switch (op & 15) {
      case 0: {
        std::uint32_t id = 0;
        if (session.streams() < 400) (void)session.open(id, now_);
        break;
      }
      case 1: {
        std::uint32_t id = 0;
        (void)session.accept(id, now_);
        break;
      }
      case 2:
      case 3: {
        const Buffer bytes(std::size_t{operand} * 9000 + 1, operand);
        if (session.waiting(operand) < (std::size_t{1} << 20)) (void)session.write(operand, bytes, now_);
        break;
      }
      case 4:
        (void)session.read(operand, now_);
        break;
      case 5:
        session.close(operand, now_);
        break;
      case 6:
      case 7:
        carry(1 + 37 * std::size_t{operand});
        break;
      case 8:
        carry(std::size_t{1} << 20);
        break;
      case 9:
        now_ += Duration{std::int64_t{operand} * 700'000'000};
        client_.advance(now_);
        server_.advance(now_);
        break;
      case 10:
        session.go_away(now_);
        break;
      case 11:
        for (YamuxEvent event; session.next_event(event);) {
        }
        break;
      default: {
        const std::size_t count = std::min<std::size_t>(rest.size(), std::size_t{operand} + 1);
        session.receive(rest.first(count), now_);
        rest = rest.subspan(count);
        injected_ = true;
        break;
      }
    }
    for (const YamuxSession* s : {&client_, &server_}) {
      DCSIM_CHECK(s->over() || s->next_deadline() > now_ - Duration{11'000'000'000});
      const YamuxError error = s->error();
      const bool timed = error == YamuxError::kKeepAliveTimeout || error == YamuxError::kSessionShutdown;
      DCSIM_CHECK(injected_ || error == YamuxError::kNone || timed);
    }
  }

 private:
  void carry(std::size_t most) {
    for (auto [from, to] : {std::pair{&client_, &server_}, std::pair{&server_, &client_}}) {
      const ByteView out = from->output();
      const std::size_t count = std::min(most, out.size());
      to->receive(out.first(count), now_);
      from->took(count, now_);
    }
  }

  Instant now_;
  YamuxSession client_{YamuxSession::Side::kClient, {}, Instant{}};
  YamuxSession server_{YamuxSession::Side::kServer, {}, Instant{}};
  bool injected_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Run run;
  for (ByteView rest(data, size); !rest.empty();) {
    const std::uint8_t op = rest[0];
    rest = rest.subspan(1);
    run.step(op, rest);
  }
  return 0;
}
