#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "consul/cli.h"
#include "wire/consul_messages.h"

namespace dcsim::consul {

/// A request to an agent's HTTP API.
struct HttpRequest {
  std::string method = "GET";
  std::string path{};  ///< decoded, without the query
  std::vector<std::pair<std::string, std::string>> query{};
  std::string body{};

  /// Reads "http://host:port/path?a=b&c"; the scheme may be left out. Error: curl's.
  static Result<HttpRequest> parse(std::string_view url);
  bool has(std::string_view key) const;
  /// The first value of a key, or "".
  std::string_view get(std::string_view key) const;
};

struct HttpResponse {
  int status = 200;
  std::string body{};
  std::string content_type = "application/json";
  std::optional<wire::rpc::QueryMeta> meta{};  ///< of reads: X-Consul-Index and so on

  /// The head as Go's server writes it: sorted, then Date and the length.
  std::string head(Instant now) const;
};
using HttpDone = std::function<void(Instant now, HttpResponse response)>;

/// Serves one request at an agent (agent/http.go and the endpoint files beside it): /v1/{kv,catalog,health,status,agent,
/// operator,session}/... Members of JSON objects come in Consul's order; "pretty" indents by four blanks.
/// What is not modelled is a 404, as an unknown path is.
void serve_http(Instant now, HttpRequest request, CliAgent& agent, HttpDone done);

}  // namespace dcsim::consul
