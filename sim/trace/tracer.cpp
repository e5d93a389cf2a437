#include "trace/tracer.h"

#include "trace/bin_format.h"
#include "trace/digest_stream.h"
#include "trace/output.h"
#include "trace/recording.h"
#include "trace/render.h"

namespace dcsim::trace {
namespace {

constexpr std::uint32_t kUnseen = 0xffffffffu;
constexpr std::uint32_t kNoName = NameId::none().value;

}  // namespace

struct Tracer::Hash {
  DigestStream stream;
};

struct Tracer::File {
  explicit File(const std::string& path) : writer(path) {}
  FileWriter writer;
};

struct Tracer::KeptBlock {
  std::vector<std::uint32_t> numbers;
  std::vector<Record> records;
};

Tracer::Tracer(const NameTable& names, TracerOptions options)
    : names_(names),
      options_(std::move(options)),
      block_(std::make_unique<Record[]>(kBlockRecords)),
      used_names_{NameId{0}},
      hashed_names_(1),
      hash_(std::make_unique<Hash>()) {
  DCSIM_CHECK(options_.digest || options_.keep == Keep::kNothing);
  checkpoints_.reserve(4096);
  kept_kinds_.fill(options_.only.empty());
  for (const Ev ev : options_.only) kept_kinds_[static_cast<std::size_t>(ev)] = true;
  if (options_.keep != Keep::kFile) return;
  file_ = std::make_unique<File>(options_.path);
  std::string header(bin::kMagic, 8);
  bin::put32(header, bin::kVersion);
  bin::put32(header, bin::kHeaderBytes);
  bin::put64(header, options_.seed);
  bin::put64(header, 0);
  file_->writer.write(header);
}

Tracer::~Tracer() = default;

/// The number of a name that has none yet, or of no name. The empty string and "no name" are 0 without being used.
std::uint32_t Tracer::first_use(std::uint32_t id) const {
  if (id == kNoName) return 0;
  DCSIM_CHECK_MSG(id < local_.size(), "a record names what was never interned");
  const auto number = static_cast<std::uint32_t>(used_names_.size());
  local_[id] = number;
  used_names_.push_back(NameId{id});
  return number;
}

/// Replaces NameIds by their numbers in the records that still have them.
// Hot: about 1 ns a name; once for each record.
void Tracer::renumber() const {
  if (local_.size() < names_.size()) local_.resize(names_.size(), kUnseen);
  local_[0] = 0;
  const std::uint32_t* table = local_.data();
  const std::size_t known = local_.size();
  const auto local = [&](std::uint64_t id) -> std::uint32_t {
    if (id >= known || table[id] == kUnseen) [[unlikely]]
      return first_use(static_cast<std::uint32_t>(id));
    return table[id];
  };
  const auto low = [&](std::uint64_t& word) { word = (word & ~std::uint64_t{0xffffffff}) | local(word & 0xffffffff); };
  const auto high = [&](std::uint64_t& word) {
    word = (word & 0xffffffff) | static_cast<std::uint64_t>(local(word >> 32)) << 32;
  };
  for (; renumbered_ < used_; ++renumbered_) {
    Record& r = block_[renumbered_];
    r.node = local(r.node);
    const std::uint8_t parts = name_parts(r.ev);
    if (parts == (kPartBLo | kPartCLo | kPartDLo)) {  // packets, by far the most
      low(r.b);
      low(r.c);
      low(r.d);
      continue;
    }
    if (parts & kPartA) r.a = local(r.a);
    if (parts & kPartBLo) low(r.b);
    if (parts & kPartBHi) high(r.b);
    if (parts & kPartCLo) low(r.c);
    if (parts & kPartCHi) high(r.c);
    if (parts & kPartDLo) low(r.d);
    if (parts & kPartDHi) high(r.d);
  }
}

/// The names first used in the block being filled, framed.
std::string Tracer::new_names() const {
  std::string framed;
  for (std::size_t i = hashed_names_; i < used_names_.size(); ++i)
    DigestStream::frame(names_.text(used_names_[i]), framed);
  return framed;
}

void Tracer::seal() {
  DCSIM_CHECK_MSG(sealed_ < 0xffffffffu - 2 * kBlockRecords, "more than 2^32 trace records");
  Digest checkpoint;
  if (options_.digest) {
    renumber();
    const std::string names = new_names();
    hash_->stream.names(names);
    hash_->stream.records({block_.get(), used_});
    checkpoint = hash_->stream.value();
    checkpoints_.push_back(checkpoint);
    if (options_.keep != Keep::kNothing) keep_block(names, checkpoint);
    hashed_names_ = used_names_.size();
  }
  sealed_ += used_;
  used_ = 0;
  renumbered_ = 0;
}

void Tracer::keep_block(const std::string& names, const Digest& checkpoint) {
  KeptBlock kept;
  kept.numbers.reserve(options_.only.empty() ? used_ : 0);
  kept.records.reserve(options_.only.empty() ? used_ : 0);
  std::array<std::uint8_t, bin::kBitmapBytes> bitmap{};
  for (std::uint32_t i = 0; i < used_; ++i) {
    if (!kept_kinds_[block_[i].ev]) continue;
    bitmap[i / 8] = static_cast<std::uint8_t>(bitmap[i / 8] | 1u << (i % 8));
    kept.numbers.push_back(sealed_ + i);
    kept.records.push_back(block_[i]);
  }
  if (options_.keep == Keep::kMemory) {
    memory_.push_back(std::move(kept));
    return;
  }
  std::string padded = names;
  bin::pad8(padded);
  std::string out;
  bin::put32(out, bin::kBlock);
  bin::put32(out, sealed_);
  bin::put32(out, used_);
  bin::put32(out, static_cast<std::uint32_t>(kept.records.size()));
  bin::put32(out, static_cast<std::uint32_t>(used_names_.size() - hashed_names_));
  bin::put32(out, static_cast<std::uint32_t>(padded.size()));
  out.append(reinterpret_cast<const char*>(checkpoint.bytes.data()), checkpoint.bytes.size());
  out.append(reinterpret_cast<const char*>(bitmap.data()), bitmap.size());
  out.append(padded);
  const std::size_t before = out.size();
  out.resize(before + kept.records.size() * sizeof(Record));
  auto* image = reinterpret_cast<std::uint8_t*>(out.data() + before);
  for (std::size_t i = 0; i < kept.records.size(); ++i) encode(kept.records[i], image + i * sizeof(Record));
  file_->writer.write(out);
}

Digest Tracer::digest() const {
  renumber();
  DigestStream stream = hash_->stream;
  stream.names(new_names());
  stream.records({block_.get(), used_});
  return stream.value();
}

Result<bool> Tracer::finish() {
  DCSIM_CHECK(!finished_);
  finished_ = true;
  if (used_ > 0) seal();
  if (!file_) return true;
  const Digest all = digest();
  std::string end;
  bin::put32(end, bin::kEnd);
  bin::put32(end, 0);
  bin::put64(end, size());
  end.append(reinterpret_cast<const char*>(all.bytes.data()), all.bytes.size());
  file_->writer.write(end);
  return file_->writer.finish();
}

Recording Tracer::recording() const {
  DCSIM_CHECK(options_.keep == Keep::kMemory);
  renumber();
  Recording out;
  for (std::size_t i = 1; i < used_names_.size(); ++i) out.add_name(names_.text(used_names_[i]));
  for (const KeptBlock& kept : memory_) {
    for (std::size_t i = 0; i < kept.records.size(); ++i) out.add_record(kept.numbers[i], kept.records[i]);
  }
  for (std::uint32_t i = 0; i < used_; ++i) {
    if (kept_kinds_[block_[i].ev]) out.add_record(sealed_ + i, block_[i]);
  }
  for (const Digest& d : checkpoints_) out.add_checkpoint(d);
  const Digest all = digest();
  if (used_ > 0) out.add_checkpoint(all);
  out.set_digest(all);
  out.set_size(size());
  out.set_seed(options_.seed);
  return out;
}

std::vector<std::string> Tracer::last_lines(std::size_t n) const {
  renumber();
  Recording names;
  for (std::size_t i = 1; i < used_names_.size(); ++i) names.add_name(names_.text(used_names_[i]));
  std::vector<std::string> lines;
  for (std::uint32_t i = used_ > n ? used_ - static_cast<std::uint32_t>(n) : 0; i < used_; ++i) {
    lines.emplace_back();
    append_text_line(lines.back(), sealed_ + i, block_[i], names);
  }
  return lines;
}

}  // namespace dcsim::trace
