#include "wire/msgpack.h"

#include "support/vectors.h"

using namespace dcsim;
using namespace dcsim::test;
using wire::Reader;
using wire::Writer;

namespace {

std::string written(auto&& write) {
  Buffer out;
  {
    Writer w(out);
    write(w);
  }
  return to_hex(out);
}

}  // namespace

TEST_CASE("msgpack: the writer speaks the old spec: raw for text and bytes, shortest unsigned") {
  CHECK(written([](Writer& w) { w.text("abc"); }) == "a3616263");
  CHECK(written([](Writer& w) { w.text(std::string(32, 'x')); }).starts_with("da0020"));
  CHECK(written([](Writer& w) { w.text(std::string(65536, 'x')); }).starts_with("db00010000"));
  CHECK(written([](Writer& w) { w.unsigned_int(127), w.unsigned_int(128), w.unsigned_int(256); }) == "7fcc80cd0100");
  CHECK(written([](Writer& w) { w.unsigned_int(65536), w.unsigned_int(1ull << 32); }) ==
        "ce00010000cf0000000100000000");
  CHECK(written([](Writer& w) { w.map(15), w.map(16), w.array(16), w.array(65536); }) == "8fde0010dc0010dd00010000");
  CHECK(written([](Writer& w) { w.bytes({}), w.bytes(ByteView()); }) == "c0a0");
}

TEST_CASE("msgpack: signed fields as go-msgpack 0.5.x and as 2.x write them") {
  const auto both = [](std::int64_t v) {
    return written([&](Writer& w) { w.signed_int(v, wire::IntStyle::kOld); }) + " " +
           written([&](Writer& w) { w.signed_int(v, wire::IntStyle::kNew); });
  };
  CHECK(both(127) == "7f 7f");
  CHECK(both(128) == "cc80 d10080");
  CHECK(both(32768) == "cd8000 d200008000");
  CHECK(both(1ll << 31) == "ce80000000 d30000000080000000");
  CHECK(both(-1) == "ff ff");
  CHECK(both(-33) == "d0df d0df");
  CHECK(both(-129) == "d1ff7f d1ff7f");
  for (const std::int64_t v : {0ll, 127ll, 128ll, 32767ll, 32768ll, -1ll, -32ll, -33ll, -128ll, -129ll, -32769ll,
                               -2147483649ll, 9223372036854775807ll, -9223372036854775807ll - 1}) {
    for (const auto style : {wire::IntStyle::kOld, wire::IntStyle::kNew}) {
      Buffer out;
      Writer(out).signed_int(v, style);
      Reader r(out);
      CHECK(r.i64() == v);
      CHECK(r.ok());
      CHECK(r.at_end());
    }
  }
}

TEST_CASE("msgpack: the reader takes raw, str8 and bin, any integer width, nil anywhere, 0 and 1 as booleans") {
  for (const char* hex :
       {"a26162", "d9026162", "da00026162", "db000000026162", "c4026162", "c500026162", "c6000000026162"}) {
    CAPTURE(hex);
    const Buffer in = from_hex(hex);
    Reader r(in);
    CHECK(r.text() == "ab");
    CHECK(r.at_end());
  }
  for (const char* hex : {"05", "cc05", "cd0005", "ce00000005", "cf0000000000000005", "d005", "d10005", "d200000005",
                          "d30000000000000005"}) {
    CAPTURE(hex);
    const Buffer in = from_hex(hex);
    CHECK(Reader(in).u8() == 5);
    CHECK(Reader(in).i64() == 5);
  }
  const Buffer nils = from_hex("c0c0c0c0c0c0c0");
  Reader r(nils);
  CHECK(r.text().empty());
  CHECK(r.bytes().nil);
  CHECK(r.u64() == 0);
  CHECK(r.f64() == 0);
  CHECK_FALSE(r.boolean());
  CHECK(r.map() == 0);
  CHECK(r.array() == 0);
  CHECK(r.ok());
  const Buffer booleans = from_hex("01c300c2");
  Reader b(booleans);
  CHECK(b.boolean());
  CHECK(b.boolean());
  CHECK_FALSE(b.boolean());
  CHECK_FALSE(b.boolean());
  CHECK(b.ok());

  const Buffer list = from_hex("93010203");  // go-msgpack 2.x: a list of small integers for a byte field
  CHECK(to_hex(Reader(list).bytes().data) == "010203");
  Reader text(list);
  text.text();
  CHECK(text.status() == Reader::Status::kBad);
}

TEST_CASE("msgpack: the reader tells a value cut short from a malformed one, and stays failed") {
  const Buffer cut = from_hex("a5616263");
  Reader r(cut);
  CHECK(r.text().empty());
  CHECK(r.status() == Reader::Status::kShort);
  CHECK(r.missing() == 2);
  CHECK(r.u64() == 0);
  CHECK(r.map() == 0);
  CHECK(r.status() == Reader::Status::kShort);
  const Buffer wrong = from_hex("c1");
  Reader bad(wrong);
  bad.skip();
  CHECK(bad.status() == Reader::Status::kBad);
}

TEST_CASE(
    "msgpack: skipping takes any type at any depth in constant memory, and claims are checked against the input") {
  const Buffer mixed = from_hex("82a161c4026162a16293cb3ff0000000000000c70101ffd40102dc0001d9016105");
  Reader r(mixed);
  r.skip();  // {"a": bin, "b": [1.0, ext8, fixext1]}
  r.skip();  // ["a"]
  CHECK(r.ok());
  CHECK(r.u8() == 5);

  const Buffer deep(1u << 20, 0x91);  // a million lists, each in the last
  Reader d(deep);
  d.skip();
  CHECK(d.status() == Reader::Status::kShort);
  Buffer closed(100'000, 0x91);
  closed.push_back(0xc0);
  Reader c(closed);
  c.skip();
  CHECK(c.ok());
  CHECK(c.at_end());

  const Buffer huge = from_hex("dfffffffffc0");
  Reader h(huge);
  h.skip();
  CHECK(h.status() == Reader::Status::kShort);
  Reader l(huge);
  const wire::RawMap map = l.dict([](Reader& in) { in.key(), in.u64(); });
  CHECK(map.count == 0);
  CHECK_FALSE(l.ok());
}
