#include "net/packet.h"

namespace dcsim::net {

std::string_view name_of(Protocol protocol) {
  switch (protocol) {
    case Protocol::kIcmp:
      return "icmp";
    case Protocol::kTcp:
      return "tcp";
    case Protocol::kUdp:
      return "udp";
  }
  return "unknown";
}

std::string_view name_of(IcmpError code) {
  switch (code) {
    case IcmpError::kNetUnreachable:
      return "icmp-net-unreachable";
    case IcmpError::kHostUnreachable:
      return "icmp-host-unreachable";
    case IcmpError::kProtocolUnreachable:
      return "icmp-prot-unreachable";
    case IcmpError::kPortUnreachable:
      return "icmp-port-unreachable";
    case IcmpError::kFragmentationNeeded:
      return "icmp-frag-needed";
    case IcmpError::kNetProhibited:
      return "icmp-net-prohibited";
    case IcmpError::kHostProhibited:
      return "icmp-host-prohibited";
    case IcmpError::kAdminProhibited:
      return "icmp-admin-prohibited";
  }
  return "icmp-unknown";
}

std::string_view text_of(SocketError error) {
  switch (error) {
    case SocketError::kNone:
      return "";
    case SocketError::kTimedOut:
      return "connection timed out";
    case SocketError::kRefused:
      return "connection refused";
    case SocketError::kReset:
      return "connection reset by peer";
    case SocketError::kBrokenPipe:
      return "broken pipe";
    case SocketError::kHostUnreachable:
      return "no route to host";
    case SocketError::kNetUnreachable:
      return "network is unreachable";
    case SocketError::kPermitted:
      return "operation not permitted";
    case SocketError::kAccess:
      return "permission denied";
    case SocketError::kMessageTooLong:
      return "message too long";
    case SocketError::kAddressInUse:
      return "address already in use";
    case SocketError::kAddressNotAvailable:
      return "cannot assign requested address";
    case SocketError::kNotConnected:
      return "transport endpoint is not connected";
    case SocketError::kHostDown:
      return "host is down";
  }
  return "unknown error";
}

}  // namespace dcsim::net
