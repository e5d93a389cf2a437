#include "state_fixture.h"

using namespace dcsim;
using namespace dcsim::test::state;

// Consul API docs "KV Store Endpoints"; agent/consul/state/kvs.go, kvs_endpoint.go.

TEST_CASE("kv: put, get, delete") {
  Machine m;
  CHECK(get(m, "a").meta.index == 1);  // an empty store must not answer 0: it would not block
  CHECK(m.kv("set", "a", "1") == kDone);
  KvsRequest flagged;
  flagged.op = "set";
  flagged.entry.key = "a";
  flagged.entry.flags = 42;
  flagged.entry.value = Bytes(view_of("2"));
  CHECK(m(flagged) == kDone);
  IndexedDirEntries r = get(m, "a");
  REQUIRE(r.entries.size() == 1);
  CHECK(text_of(r.entries[0].value) == "2");
  CHECK(r.entries[0].flags == 42);
  CHECK(r.entries[0].index == RaftIndex{1, 2});
  CHECK(r.meta.index == 2);

  m.kv("set", "b", "x");
  CHECK(get(m, "a").meta.index == 2);  // its own, not the table's
  CHECK(get(m, "c").meta.index == 3);
  CHECK(get(m, "A").entries.empty());  // keys are exact

  CHECK(m.kv("delete", "a") == kDone);
  CHECK(get(m, "a").entries.empty());
  CHECK(get(m, "a").meta.index == 4);
  CHECK(m.kv("delete", "a") == kDone);
  CHECK(get(m, "a").meta.index == 4);
}

TEST_CASE("kv: putting what is there already changes no index") {
  Machine m;
  m.kv("set", "a", "1");
  m.kv("set", "a", "1");
  CHECK(get(m, "a").entries[0].index == RaftIndex{1, 1});
  CHECK(list(m, "") == Names{1, {"a"}});
}

TEST_CASE("kv: check-and-set") {
  Machine m;
  CHECK(m.kv("cas", "a", "1", 7) == kFalse);  // does not exist
  CHECK(m.kv("cas", "a", "1", 0) == kTrue);
  CHECK(m.kv("cas", "a", "2", 0) == kFalse);  // exists
  CHECK(m.kv("cas", "a", "2", 1) == kFalse);
  CHECK(m.kv("cas", "a", "2", 2) == kTrue);
  CHECK(text_of(get(m, "a").entries[0].value) == "2");
  CHECK(get(m, "a").entries[0].index == RaftIndex{2, 5});

  CHECK(m.kv("delete-cas", "a", "", 2) == kFalse);
  CHECK(m.kv("delete-cas", "a", "", 5) == kTrue);
  CHECK(get(m, "a").entries.empty());
  CHECK(m.kv("delete-cas", "a", "", 5) == kTrue);  // gone is what was wanted
}

TEST_CASE("kv: lists are ordered by key, and by prefix, not by directory") {
  Machine m;
  for (const char* key : {"web/b", "web", "webb", "db/x", "web/a/1", "web/a/2"}) m.kv("set", key, "v");
  CHECK(list(m, "").names == Texts{"db/x", "web", "web/a/1", "web/a/2", "web/b", "webb"});
  CHECK(list(m, "web").names == Texts{"web", "web/a/1", "web/a/2", "web/b", "webb"});
  CHECK(list(m, "web/a/") == Names{6, {"web/a/1", "web/a/2"}});
  CHECK(list(m, "db/").index == 4);  // the newest below the prefix
  CHECK(list(m, "none/") == Names{6, {}});
}

TEST_CASE("kv: ?keys&separator=/ folds what lies deeper") {
  Machine m;
  for (const char* key : {"web/b", "web/a/1", "web/a/2", "web/c/", "web/c/x"}) m.kv("set", key, "v");
  CHECK(keys(m, "web/", "/").names == Texts{"web/a/", "web/b", "web/c/"});
  CHECK(keys(m, "", "/").names == Texts{"web/"});
  CHECK(keys(m, "web/", "").names.size() == 5);
  CHECK(keys(m, "web/a/", "/").names == Texts{"web/a/1", "web/a/2"});
  CHECK(keys(m, "none", "/") == Names{5, {}});
}

TEST_CASE("kv: tombstones keep a list's index from falling, until they are reaped") {
  Machine m;
  m.kv("set", "a/1", "v");
  m.kv("set", "a/2", "v");
  m.kv("set", "b", "v");
  m.kv("delete", "a/2");
  CHECK(m.store().kv().newest_tombstone() == 4);
  m.kv("set", "c", "v");
  CHECK(list(m, "a/") == Names{4, {"a/1"}});

  TombstoneRequest reap;
  reap.op = "reap";
  reap.reap_index = 3;
  CHECK(m(reap) == kDone);
  CHECK(list(m, "a/").index == 4);
  reap.reap_index = 4;
  CHECK(m(reap) == kDone);
  CHECK(list(m, "a/").index == 1);
  CHECK(list(m, "").index == 5);

  reap.op = "keep";
  CHECK(m(reap) == refused("Invalid Tombstone operation 'keep'"));
}

TEST_CASE("kv: delete-tree takes all below the prefix and leaves one tombstone") {
  Machine m;
  for (const char* key : {"a", "a/1", "a/2", "ab", "b"}) m.kv("set", key, "v");
  CHECK(m.kv("delete-tree", "a/") == kDone);
  CHECK(list(m, "").names == Texts{"a", "ab", "b"});
  CHECK(m.store().kv().tombstones().size() == 1);
  CHECK(list(m, "a/") == Names{6, {}});
  CHECK(m.kv("delete-tree", "nothing") == kDone);
  CHECK(list(m, "").index == 6);
  CHECK(m.kv("delete-tree", "") == kDone);
  CHECK(list(m, "") == Names{8, {}});
  CHECK(m.store().kv().tombstones().size() == 1);
}

TEST_CASE("kv: an operation that does not exist, or lacks its key or session, is refused") {
  Machine m;
  CHECK(m.kv("increment", "a") == refused("Invalid KVS operation 'increment'"));
  CHECK(m.kv("lock", "a", "v") == refused("missing session"));
  CHECK(m.kv("unlock", "a", "v") == refused("missing session"));
  CHECK(m.kv("lock", "a", "v", 0, "no-such") == refused("invalid session \"no-such\""));
  CHECK(m.kv("set", "").kind == Applied::Kind::kError);
  CHECK(list(m, "") == Names{1, {}});
}

TEST_CASE("kv: values may hold any bytes") {
  Machine m;
  const std::string value("\0\xff\xc0\x80", 4);
  m.kv("set", "bin", value);
  CHECK(text_of(get(m, "bin").entries[0].value) == value);
  m.kv("set", "empty", "");
  CHECK(get(m, "empty").entries[0].value.empty());
}
