#include "consul/cli_http.h"

#include <algorithm>
#include <memory>

#include "consul/cli_command.h"
#include "consul/cli_http_endpoints.h"
#include "consul/cli_json.h"
#include "consul/state_queries.h"

namespace dcsim::consul {

namespace {

constexpr std::size_t kMaxKvValue = 512 * 1024;
/// net/http buffers so much before it chooses to send chunks.
constexpr std::size_t kChunkThreshold = 2048;

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string unescape(std::string_view text, bool plus_is_blank) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
      out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else {
      out += plus_is_blank && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::string_view reason_of(int status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 413: return "Request Entity Too Large";
    case 429: return "Too Many Requests";
    case 503: return "Service Unavailable";
    default: return "Internal Server Error";
  }
}

/// "Thu, 01 Jan 1970 00:00:05 GMT": simulated time counts from 1970.
std::string http_date(Instant now) {
  static constexpr std::string_view kDays[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
  static constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::string t = go_time(wire::GoTime::from_unix(now.ns / 1'000'000'000 * 1'000'000'000), true);
  const auto days = static_cast<std::size_t>(now.ns / 1'000'000'000 / 86'400);
  const auto month = static_cast<std::size_t>((t[5] - '0') * 10 + (t[6] - '0') - 1);
  return fmt::format("{}, {} {} {} {} GMT", kDays[days % 7], t.substr(8, 2), kMonths[month], t.substr(0, 4), t.substr(11, 8));
}

}  // namespace

Result<HttpRequest> HttpRequest::parse(std::string_view url) {
  if (url.starts_with("http://")) url.remove_prefix(7);
  else if (url.find("://") != std::string_view::npos) {
    return Error{fmt::format("curl: (1) Protocol \"{}\" not supported or disabled in libcurl", url.substr(0, url.find("://")))};
  }
  url = url.substr(0, url.find('#'));
  const auto slash = url.find_first_of("/?");
  if (slash == 0) return Error{"curl: (3) URL using bad/illegal format or missing URL"};
  HttpRequest out;
  const std::string_view rest = slash == std::string_view::npos ? "/" : url.substr(slash);
  const auto mark = rest.find('?');
  out.path = unescape(rest.substr(0, mark), false);
  if (mark == std::string_view::npos) return out;
  std::string_view query = rest.substr(mark + 1);
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    out.query.emplace_back(unescape(pair.substr(0, equals), true),
                           equals == std::string_view::npos ? "" : unescape(pair.substr(equals + 1), true));
  }
  return out;
}

bool HttpRequest::has(std::string_view key) const {
  return std::any_of(query.begin(), query.end(), [&](const auto& pair) { return pair.first == key; });
}

std::string_view HttpRequest::get(std::string_view key) const {
  const auto found = std::find_if(query.begin(), query.end(), [&](const auto& pair) { return pair.first == key; });
  return found == query.end() ? std::string_view() : std::string_view(found->second);
}

std::string HttpResponse::head(Instant now) const {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\n", status, reason_of(status));
  const auto line = [&](std::string_view name, std::string_view value) { out += fmt::format("{}: {}\r\n", name, value); };
  if (!content_type.empty()) line("Content-Type", content_type);
  line("Vary", "Accept-Encoding");
  line("X-Consul-Default-Acl-Policy", "allow");
  if (meta) {
    if (!meta->consistency_level.empty()) line("X-Consul-Effective-Consistency", meta->consistency_level);
    line("X-Consul-Index", std::to_string(std::max<std::uint64_t>(meta->index, 1)));
    line("X-Consul-Knownleader", meta->known_leader ? "true" : "false");
    line("X-Consul-Lastcontact", std::to_string(meta->last_contact.millis()));
    line("X-Consul-Query-Backend", "blocking-query");
  }
  line("Date", http_date(now));
  if (body.size() > kChunkThreshold) line("Transfer-Encoding", "chunked");
  else line("Content-Length", std::to_string(body.size()));
  return out + "\r\n";
}

// --- What the endpoints share ------------------------------------------------------------------------------------------

void HttpCall::json(Instant now, JsonWriter& w, std::optional<wire::rpc::QueryMeta> meta, int status) {
  HttpResponse r;
  r.status = status;
  r.body = w.take();
  if (request.has("pretty")) r.body += "\n";
  r.meta = std::move(meta);
  done(now, std::move(r));
}

void HttpCall::plain(Instant now, int status, std::string body, std::optional<wire::rpc::QueryMeta> meta) {
  HttpResponse r;
  r.status = status;
  r.body = std::move(body);
  r.content_type = r.body.empty() ? "" : "text/plain; charset=utf-8";
  r.meta = std::move(meta);
  done(now, std::move(r));
}

void HttpCall::not_allowed(Instant now) { plain(now, 405, fmt::format("method {} not allowed", request.method)); }

void HttpCall::rpc_failed(Instant now, const Error& error) { plain(now, http_status(error.text), error.text); }

std::string HttpCall::datacenter() const {
  const std::string_view dc = request.get("dc");
  return dc.empty() ? agent.config().datacenter : std::string(dc);
}

std::string_view HttpCall::consistency() const {
  return request.has("consistent") ? "consistent" : request.has("stale") ? "stale" : "leader";
}

/// parseConsistency, parseWait.
std::optional<wire::rpc::QueryOptions> HttpCall::options(Instant now) {
  wire::rpc::QueryOptions o;
  o.allow_stale = request.has("stale");
  o.require_consistent = request.has("consistent");
  const auto refuse = [&](std::string text) {
    plain(now, 400, std::move(text));
    return std::nullopt;
  };
  if (o.allow_stale && o.require_consistent) return refuse("Cannot specify ?stale with ?consistent, conflicting semantics.");
  if (const std::string_view wait = request.get("wait"); !wait.empty()) {
    const auto d = parse_go_duration(wait);
    if (!d) return refuse("Invalid wait time");
    o.max_query_time = *d;
  }
  if (const std::string_view index = request.get("index"); !index.empty()) {
    const auto i = parse_uint(index);
    if (!i) return refuse("Invalid index");
    o.min_query_index = *i;
  }
  return o;
}

wire::rpc::TextMap HttpCall::node_meta() const {
  wire::rpc::TextMap out;
  for (const auto& [key, value] : request.query) {
    if (key != "node-meta") continue;
    const auto colon = value.find(':');
    out[value.substr(0, colon)] = colon == std::string::npos ? "" : value.substr(colon + 1);
  }
  return out;
}

wire::rpc::QuerySource HttpCall::source() const {
  wire::rpc::QuerySource s;
  s.datacenter = datacenter();
  const std::string_view near = request.get("near");
  s.node = near == "_agent" ? agent.config().node_name : std::string(near);
  return s;
}

// --- kv (agent/kvs_endpoint.go) ----------------------------------------------------------------------------------------

namespace {

using namespace wire::rpc;

void kv_keys(Instant now, const HttpCallPtr& call, const std::string& key, const QueryOptions& options) {
  KeyListRequest request;
  request.datacenter = call->datacenter();
  request.prefix = key;
  request.separator = call->request.has("separator") ? call->request.get("separator") : call->request.get("seperator");
  request.options = options;
  rpc_call<IndexedKeyList>(call->agent.rpc(), now, method::kKvsListKeys, request, [call, key](Instant at, const Result<IndexedKeyList>& reply) {
    if (!reply) return call->rpc_failed(at, reply.error());
    if (reply->keys.empty() && !key.empty()) return call->plain(at, 404, "", reply->meta);
    JsonWriter w = call->writer();
    w.texts(reply->keys);
    call->json(at, w, reply->meta);
  });
}

void kv_get(Instant now, const HttpCallPtr& call, const std::string& key) {
  const auto options = call->options(now);
  if (!options) return;
  if (call->request.has("keys")) return kv_keys(now, call, key, *options);
  const bool recurse = call->request.has("recurse");
  if (!recurse && key.empty()) return call->plain(now, 400, "Missing key name");
  KeyRequest request;
  request.datacenter = call->datacenter();
  request.key = key;
  request.options = *options;
  rpc_call<IndexedDirEntries>(call->agent.rpc(), now, recurse ? method::kKvsList : method::kKvsGet, request,
                              [call, recurse](Instant at, const Result<IndexedDirEntries>& reply) {
                                if (!reply) return call->rpc_failed(at, reply.error());
                                if (reply->entries.empty()) return call->plain(at, 404, "", reply->meta);
                                if (call->request.has("raw") && !recurse) {
                                  HttpResponse r;
                                  r.body = text_of(reply->entries[0].value);
                                  r.content_type = "text/plain";
                                  r.meta = reply->meta;
                                  return call->done(at, std::move(r));
                                }
                                JsonWriter w = call->writer();
                                w.begin_array();
                                for (const DirEntry& e : reply->entries) to_json(w, e);
                                w.end_array();
                                call->json(at, w, reply->meta);
                              });
}

/// True, and answered, if two of these are given.
bool conflict(Instant now, const HttpCallPtr& call, std::initializer_list<std::string_view> flags) {
  if (std::count_if(flags.begin(), flags.end(), [&](std::string_view f) { return call->request.has(f); }) < 2) return false;
  auto pairs = call->request.query;
  std::stable_sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string text;
  for (const auto& [key, value] : pairs) text += fmt::format("{}{}={}", text.empty() ? "" : "&", key, value);
  call->plain(now, 400, fmt::format("Conflicting flags: {}\n", text));
  return true;
}

/// strconv.ParseUint of a query's value; false, and answered, if it is none.
bool uint_of(Instant now, const HttpCallPtr& call, std::string_view name, std::uint64_t& into) {
  const std::string_view text = call->request.get(name);
  const auto value = parse_uint(text);
  if (!value) call->plain(now, 500, fmt::format("strconv.ParseUint: parsing {:?}: invalid syntax", text));
  else into = *value;
  return value.has_value();
}

void kv_apply(Instant now, const HttpCallPtr& call, KvsRequest request) {
  const bool conditional = request.op != "set" && request.op != "delete" && request.op != "delete-tree";
  rpc_call<bool>(call->agent.rpc(), now, method::kKvsApply, request, [call, conditional](Instant at, const Result<bool>& reply) {
    if (!reply) return call->rpc_failed(at, reply.error());
    JsonWriter w = call->writer();
    w.boolean(!conditional || *reply);
    call->json(at, w);
  });
}

void kv_put(Instant now, const HttpCallPtr& call, const std::string& key) {
  if (key.empty()) return call->plain(now, 400, "Missing key name");
  if (conflict(now, call, {"cas", "acquire", "release"})) return;
  KvsRequest request;
  request.datacenter = call->datacenter();
  request.op = "set";
  request.entry.key = key;
  if (call->request.has("flags") && !uint_of(now, call, "flags", request.entry.flags)) return;
  if (call->request.has("cas")) {
    if (!uint_of(now, call, "cas", request.entry.index.modify_index)) return;
    request.op = "cas";
  }
  for (const auto& [flag, op] : {std::pair<std::string_view, const char*>{"acquire", "lock"}, {"release", "unlock"}}) {
    if (!call->request.has(flag)) continue;
    request.entry.session = call->request.get(flag);
    request.op = op;
  }
  if (call->request.body.size() > kMaxKvValue) {
    return call->plain(now, 413,
                       fmt::format("Request body({} bytes) too large, max size: {} bytes. See "
                                   "https://developer.hashicorp.com/docs/agent/config/config-files#kv_max_value_size.",
                                   call->request.body.size(), kMaxKvValue));
  }
  request.entry.value = Bytes(view_of(call->request.body));
  kv_apply(now, call, std::move(request));
}

void kv_delete(Instant now, const HttpCallPtr& call, const std::string& key) {
  if (conflict(now, call, {"recurse", "cas"})) return;
  KvsRequest request;
  request.datacenter = call->datacenter();
  request.op = "delete";
  request.entry.key = key;
  if (call->request.has("recurse")) request.op = "delete-tree";
  else if (key.empty()) return call->plain(now, 400, "Missing key name");
  if (call->request.has("cas")) {
    if (!uint_of(now, call, "cas", request.entry.index.modify_index)) return;
    request.op = "delete-cas";
  }
  kv_apply(now, call, std::move(request));
}

void serve_kv(Instant now, const HttpCallPtr& call, const std::string& key) {
  if (call->request.method == "GET") return kv_get(now, call, key);
  if (call->request.method == "PUT") return kv_put(now, call, key);
  if (call->request.method == "DELETE") return kv_delete(now, call, key);
  call->not_allowed(now);
}

}  // namespace

void serve_http(Instant now, HttpRequest request, CliAgent& agent, HttpDone done) {
  auto call = std::make_shared<HttpCall>(HttpCall{std::move(request), agent, std::move(done)});
  const std::string& path = call->request.path;
  const auto under = [&](std::string_view prefix) -> std::optional<std::string> {
    if (!path.starts_with(prefix)) return std::nullopt;
    return path.substr(prefix.size());
  };
  if (const auto key = under("/v1/kv/")) return serve_kv(now, call, *key);
  if (const auto rest = under("/v1/catalog/"); rest && serve_catalog(now, call, *rest)) return;
  if (const auto rest = under("/v1/health/"); rest && serve_health(now, call, *rest)) return;
  if (const auto rest = under("/v1/status/"); rest && serve_status(now, call, *rest)) return;
  if (const auto rest = under("/v1/agent/"); rest && (serve_agent(now, call, *rest) || serve_agent_registration(now, call, *rest))) return;
  if (const auto rest = under("/v1/session/"); rest && serve_session(now, call, *rest)) return;
  if (const auto rest = under("/v1/operator/"); rest && serve_operator(now, call, *rest)) return;
  call->plain(now, 404, "Invalid URL path: not a recognized HTTP API endpoint");
}

}  // namespace dcsim::consul
