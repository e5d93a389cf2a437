#include <algorithm>

#include "consul/cli_command.h"
#include "consul/cli_json.h"

// command/kv/{get,put,del,exp} over api/kv.go and agent/kvs_endpoint.go.
namespace dcsim::consul {

namespace {

using wire::rpc::DirEntry;
namespace method = wire::rpc::method;

std::string too_many(std::size_t got, std::string_view expected = "1") {
  return fmt::format("Too many arguments (expected {}, got {})", expected, got);
}

std::string as_text(const DirEntry& pair, bool encode) { return encode ? base64(pair.value) : std::string(text_of(pair.value)); }

/// text/tabwriter with 6 blanks of padding: the longest name has 11 letters.
std::string detailed(const DirEntry& pair, bool encode) {
  std::string out;
  const auto row = [&](std::string_view name, std::string_view value) { out += fmt::format("{:<17}{}", name, value); };
  row("CreateIndex", std::to_string(pair.index.create_index) + "\n");
  row("Flags", std::to_string(pair.flags) + "\n");
  row("Key", pair.key + "\n");
  row("LockIndex", std::to_string(pair.lock_index) + "\n");
  row("ModifyIndex", std::to_string(pair.index.modify_index) + "\n");
  row("Session", (pair.session.empty() ? "-" : pair.session) + "\n");
  row("Value", as_text(pair, encode));
  return out;
}

struct GetFlags {
  bool encode = false, detailed = false, keys = false, recurse = false;
  std::string separator = "/";
  HttpFlags http{};
};

void print_pairs(CliRun& run, const std::vector<DirEntry>& pairs, const GetFlags& f) {
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (!f.detailed) {
      run.output(pairs[i].key + ":" + as_text(pairs[i], f.encode));
      continue;
    }
    run.output(detailed(pairs[i], f.encode));
    if (i + 1 < pairs.size()) run.output("");
  }
}

void list_keys(Instant now, const CliRunPtr& run, const std::string& key, const GetFlags& f) {
  wire::rpc::KeyListRequest request;
  request.datacenter = f.http.dc(run->agent);
  request.prefix = key;
  request.separator = f.separator;
  request.options = f.http.options();
  rpc_call<wire::rpc::IndexedKeyList>(run->agent.rpc(), now, method::kKvsListKeys, request, [run](Instant at, const Result<wire::rpc::IndexedKeyList>& reply) {
    if (!reply) return run->fail(at, "Error querying Consul agent: " + api_error_text(reply.error().text));
    for (const std::string& k : reply->keys) run->output(k);
    run->finish(at, 0);
  });
}

using PairsThen = std::function<void(Instant, const std::vector<DirEntry>&)>;
void read_pairs(Instant now, const CliRunPtr& run, std::string_view how, const std::string& key, const HttpFlags& http, PairsThen then) {
  wire::rpc::KeyRequest request;
  request.datacenter = http.dc(run->agent);
  request.key = key;
  request.options = http.options();
  rpc_call<wire::rpc::IndexedDirEntries>(run->agent.rpc(), now, how, request,
                                         [run, then = std::move(then)](Instant at, const Result<wire::rpc::IndexedDirEntries>& reply) {
                                           if (!reply) return run->fail(at, "Error querying Consul agent: " + api_error_text(reply.error().text));
                                           then(at, reply->entries);
                                         });
}

/// "/foo" means "foo".
std::string key_of(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return "";
  return arguments[0].starts_with('/') ? arguments[0].substr(1) : arguments[0];
}

void get(Instant now, const CliRunPtr& run) {
  GetFlags f;
  Flags flags;
  flags.boolean("base64", &f.encode);
  flags.boolean("detailed", &f.detailed);
  flags.boolean("keys", &f.keys);
  flags.boolean("recurse", &f.recurse);
  flags.text("separator", &f.separator);
  f.http.declare(flags);
  const auto arguments = flags.parse(run->words, 3);
  if (!arguments) return run->fail(now, arguments.error().text);
  if (arguments->size() > 1) return run->fail(now, too_many(arguments->size()));
  const std::string key = key_of(*arguments);
  if (key.empty() && !f.recurse && !f.keys) return run->fail(now, "Error! Missing KEY argument");
  if (f.keys) return list_keys(now, run, key, f);
  read_pairs(now, run, f.recurse ? method::kKvsList : method::kKvsGet, key, f.http, [run, f, key](Instant at, const std::vector<DirEntry>& pairs) {
    if (f.recurse) {
      print_pairs(*run, pairs, f);
      return run->finish(at, 0);
    }
    if (pairs.empty()) return run->fail(at, "Error! No key exists at: " + key);
    run->output(f.detailed ? detailed(pairs[0], f.encode) : as_text(pairs[0], f.encode));
    run->finish(at, 0);
  });
}

void export_pairs(Instant now, const CliRunPtr& run) {
  HttpFlags http;
  Flags flags;
  http.declare(flags);
  const auto arguments = flags.parse(run->words, 3);
  if (!arguments) return run->fail(now, arguments.error().text);
  if (arguments->size() > 1) return run->fail(now, too_many(arguments->size()));
  read_pairs(now, run, method::kKvsList, key_of(*arguments), http, [run](Instant at, const std::vector<DirEntry>& pairs) {
    JsonWriter w(true, "\t");
    w.begin_array();
    for (const DirEntry& pair : pairs) {
      w.begin_object().member("key", pair.key).member("flags", pair.flags).member("value", base64(pair.value)).end_object();
    }
    run->output(w.end_array().take());
    run->finish(at, 0);
  });
}

/// What each kind of write says.
struct WriteTexts {
  std::string failed;   ///< stands before the error
  std::string refused;  ///< a conditional operation did not happen
  std::string done;
};

void write(Instant now, const CliRunPtr& run, const HttpFlags& http, std::string op, DirEntry entry, WriteTexts texts) {
  wire::rpc::KvsRequest request;
  request.datacenter = http.dc(run->agent);
  request.op = std::move(op);
  request.entry = std::move(entry);
  rpc_call<bool>(run->agent.rpc(), now, method::kKvsApply, request, [run, texts = std::move(texts)](Instant at, const Result<bool>& reply) {
    if (!reply) return run->fail(at, texts.failed + api_error_text(reply.error().text));
    if (!*reply && !texts.refused.empty()) return run->fail(at, texts.refused);
    run->output(texts.done);
    run->finish(at, 0);
  });
}

struct PutFlags {
  bool cas = false, acquire = false, release = false, encoded = false;
  std::string flags = "0", modify_index = "0", session{};
  HttpFlags http{};
};

void put_value(Instant now, const CliRunPtr& run, const PutFlags& f, DirEntry entry) {
  const std::string key = entry.key;
  const std::string done = "Success! Data written to: " + key;
  // api/kv.go refuses it before it asks; a lock release names the key where the others give the error.
  if (key.starts_with('/')) {
    const std::string why = fmt::format("Invalid key. Key must not begin with a '/': {}", key);
    if (f.cas) return run->fail(now, fmt::format("Error! Did not write to {}: {}", key, why));
    return run->fail(now, "Error! Failed writing data: " + (f.release && !f.acquire ? key : why));
  }
  if (f.cas) {
    return write(now, run, f.http, "cas", std::move(entry),
                 {fmt::format("Error! Did not write to {}: ", key), fmt::format("Error! Did not write to {}: CAS failed", key), done});
  }
  if (f.acquire) {
    return write(now, run, f.http, "lock", std::move(entry),
                 {"Error! Failed writing data: ", "Error! Did not acquire lock", "Success! Lock acquired on: " + key});
  }
  if (f.release) {
    return write(now, run, f.http, "unlock", std::move(entry),
                 {"Error! Failed writing data: ", "Error! Did not release lock", "Success! Lock released on: " + key});
  }
  write(now, run, f.http, "set", std::move(entry), {"Error! Failed writing data: ", "", done});
}

void put(Instant now, const CliRunPtr& run) {
  PutFlags f;
  Flags flags;
  flags.boolean("cas", &f.cas);
  flags.boolean("acquire", &f.acquire);
  flags.boolean("release", &f.release);
  flags.boolean("base64", &f.encoded);
  flags.text("flags", &f.flags);
  flags.text("modify-index", &f.modify_index);
  flags.text("session", &f.session);
  f.http.declare(flags);
  const auto arguments = flags.parse(run->words, 3);
  if (!arguments) return run->fail(now, arguments.error().text);
  const auto number = parse_uint(f.flags), index = parse_uint(f.modify_index);
  if (!number) return run->fail(now, bad_flag(f.flags, "flags", "parse error"));
  if (!index) return run->fail(now, bad_flag(f.modify_index, "modify-index", "parse error"));
  if (arguments->empty()) return run->fail(now, "Error! Missing KEY argument");
  if (arguments->size() > 2) return run->fail(now, "Error! " + too_many(arguments->size(), "1 or 2"));
  const std::string data = arguments->size() > 1 ? (*arguments)[1] : "";
  if (data.starts_with('@')) {
    return run->fail(now, fmt::format("Error! Failed to read file: open {}: no such file or directory", data.substr(1)));
  }
  DirEntry entry;
  entry.key = (*arguments)[0];
  entry.flags = *number;
  entry.index.modify_index = *index;
  entry.session = f.session;
  entry.value = Bytes(view_of(data == "-" ? "" : data));  // standard input is empty
  if (f.encoded) {
    Buffer decoded;
    std::size_t bad = 0;
    // Consul complains, and writes what it could read all the same.
    if (!base64_decode(data, decoded, bad)) run->error(fmt::format("Error! Cannot base 64 decode data: illegal base64 data at input byte {}", bad));
    entry.value = Bytes(decoded);
  }
  if ((f.release || f.acquire) && f.session.empty()) {
    return run->fail(now, "Error! Missing -session (required with -acquire and -release)");
  }
  if (f.cas && *index == 0) return run->fail(now, "Must specify -modify-index with -cas!");
  put_value(now, run, f, std::move(entry));
}

void remove(Instant now, const CliRunPtr& run) {
  bool cas = false, recurse = false;
  std::string modify_index = "0";
  HttpFlags http;
  Flags flags;
  flags.boolean("cas", &cas);
  flags.boolean("recurse", &recurse);
  flags.text("modify-index", &modify_index);
  http.declare(flags);
  const auto arguments = flags.parse(run->words, 3);
  if (!arguments) return run->fail(now, arguments.error().text);
  const auto index = parse_uint(modify_index);
  if (!index) return run->fail(now, bad_flag(modify_index, "modify-index", "parse error"));
  if (arguments->size() > 1) return run->fail(now, too_many(arguments->size()));
  DirEntry entry;
  entry.key = key_of(*arguments);
  entry.index.modify_index = *index;
  const std::string key = entry.key;
  if (key.empty() && !recurse) return run->fail(now, "Error! Missing KEY argument");
  if (cas && *index == 0) {
    return run->fail(now, "Cannot delete a key that does not exist. Provide a -modify-index greater than than 0.");
  }
  if (*index != 0 && !cas) return run->fail(now, "Cannot specify -modify-index without -cas!");
  if (recurse && cas) return run->fail(now, "Cannot specify both -cas and -recurse!");
  if (recurse) {
    return write(now, run, http, "delete-tree", std::move(entry),
                 {fmt::format("Error! Did not delete prefix {}: ", key), "", "Success! Deleted keys with prefix: " + key});
  }
  if (cas) {
    return write(now, run, http, "delete-cas", std::move(entry),
                 {fmt::format("Error! Did not delete key {}: ", key), fmt::format("Error! Did not delete key {}: CAS failed", key),
                  "Success! Deleted key: " + key});
  }
  write(now, run, http, "delete", std::move(entry), {fmt::format("Error deleting key {}: ", key), "", "Success! Deleted key: " + key});
}

}  // namespace

void run_kv(Instant now, const CliRunPtr& run) {
  const std::string& what = run->words[2];
  if (what == "get") return get(now, run);
  if (what == "put") return put(now, run);
  if (what == "delete") return remove(now, run);
  export_pairs(now, run);
}

}  // namespace dcsim::consul
