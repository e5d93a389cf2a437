#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "consul/cli_http.h"
#include "consul/cli_json.h"

// What the files of the HTTP API share.

namespace dcsim::consul {

struct HttpCall {
  HttpRequest request;
  CliAgent& agent;
  HttpDone done;

  JsonWriter writer() const { return JsonWriter(request.has("pretty")); }
  void json(Instant now, JsonWriter& w, std::optional<wire::rpc::QueryMeta> meta = {}, int status = 200);
  void plain(Instant now, int status, std::string body, std::optional<wire::rpc::QueryMeta> meta = {});
  void not_allowed(Instant now);
  void rpc_failed(Instant now, const Error& error);
  std::string datacenter() const;
  /// QueryOptions.ConsistencyLevel: what catalog and health reads say in X-Consul-Effective-Consistency.
  std::string_view consistency() const;
  /// nullopt: not valid, and answered.
  std::optional<wire::rpc::QueryOptions> options(Instant now);
  wire::rpc::TextMap node_meta() const;
  wire::rpc::QuerySource source() const;
};
using HttpCallPtr = std::shared_ptr<HttpCall>;

// False: no such endpoint here. `rest`: the path behind "/v1/catalog/" and so on.
bool serve_catalog(Instant now, const HttpCallPtr& call, const std::string& rest);
bool serve_health(Instant now, const HttpCallPtr& call, const std::string& rest);
bool serve_status(Instant now, const HttpCallPtr& call, const std::string& rest);
bool serve_agent(Instant now, const HttpCallPtr& call, const std::string& rest);
bool serve_operator(Instant now, const HttpCallPtr& call, const std::string& rest);
bool serve_session(Instant now, const HttpCallPtr& call, const std::string& rest);
/// Of "/v1/agent/": registration of services and checks, and news of checks.
bool serve_agent_registration(Instant now, const HttpCallPtr& call, const std::string& rest);

}  // namespace dcsim::consul
