#include "trace/recording.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <unordered_map>

#include "base/name_table.h"
#include "trace/bin_format.h"

namespace dcsim::trace {

/// A file's bytes, mapped for reading.
class Recording::Mapping {
 public:
  static Result<std::unique_ptr<Mapping>> open(const std::string& path) {
    const auto fail = [&] { return Error{path + ": " + std::strerror(errno)}; };
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fail();
    struct stat info {};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
      if (errno == 0 || !S_ISREG(info.st_mode)) errno = EINVAL;
      const Error error = fail();
      ::close(fd);
      return error;
    }
    auto mapping = std::make_unique<Mapping>();
    mapping->size_ = static_cast<std::size_t>(info.st_size);
    if (mapping->size_ > 0) {
      void* data = ::mmap(nullptr, mapping->size_, PROT_READ, MAP_PRIVATE, fd, 0);
      if (data == MAP_FAILED) {
        const Error error = fail();
        ::close(fd);
        return error;
      }
      mapping->data_ = static_cast<const std::uint8_t*>(data);
    }
    ::close(fd);
    return mapping;
  }
  Mapping() = default;
  ~Mapping() {
    if (data_) ::munmap(const_cast<std::uint8_t*>(data_), size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  const std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

struct Recording::Index {
  std::unordered_map<std::string_view, std::uint32_t> names;
};

Recording::Recording() : names_{std::string_view()} {}
Recording::~Recording() = default;
Recording::Recording(Recording&&) noexcept = default;
Recording& Recording::operator=(Recording&&) noexcept = default;

/// Reads a trace.bin section by section. Every size is checked against what is left of the file before use.
class Recording::BinReader {
 public:
  BinReader(Recording& out, const Mapping& file) : out_(out), data_(file.data()), size_(file.size()) {}

  std::optional<std::string> read() {
    if (size_ < bin::kHeaderBytes) return "shorter than its header";
    if (bin::get32(data_ + 8) != bin::kVersion) return "a version this program does not read";
    if (bin::get32(data_ + 12) != bin::kHeaderBytes) return "malformed header";
    out_.seed_ = bin::get64(data_ + 16);
    out_.complete_ = false;
    at_ = bin::kHeaderBytes;
    while (size_ - at_ >= 4) {
      const std::uint32_t magic = bin::get32(data_ + at_);
      if (magic == bin::kEnd) return end();
      if (magic != bin::kBlock) return fail("neither block nor end");
      bool whole = false;
      if (auto error = block(whole)) return error;
      if (!whole) break;
    }
    return std::nullopt;  // the writer was interrupted: what is whole counts
  }

 private:
  std::string fail(std::string_view what) const { return "byte " + std::to_string(at_) + ": " + std::string(what); }

  std::optional<std::string> end() {
    if (size_ - at_ != bin::kEndBytes) return fail("malformed end");
    if (bin::get64(data_ + at_ + 8) != out_.size_) return fail("the end counts other records than there are");
    out_.digest_ = digest_at(at_ + 16);
    out_.complete_ = true;
    return std::nullopt;
  }

  std::optional<std::string> block(bool& whole) {
    if (size_ - at_ < bin::kBlockHeaderBytes) return std::nullopt;
    const std::uint8_t* h = data_ + at_;
    const std::uint32_t first = bin::get32(h + 4);
    const std::uint32_t count = bin::get32(h + 8);
    const std::uint32_t kept = bin::get32(h + 12);
    const std::uint32_t new_names = bin::get32(h + 16);
    const std::uint32_t name_bytes = bin::get32(h + 20);
    if (first != out_.size_ || first % kBlockRecords != 0) return fail("blocks do not follow one another");
    if (count == 0 || count > kBlockRecords || kept > count || name_bytes % 8 != 0) return fail("malformed block");
    Block block;
    block.index = first / kBlockRecords;
    for (std::size_t w = 0; w < block.bitmap.size(); ++w) {
      block.bitmap[w] = bin::get64(h + 40 + 8 * w);
      block.kept += static_cast<std::uint32_t>(std::popcount(block.bitmap[w]));
    }
    if (block.kept != kept) return fail("a block's bitmap disagrees with its count");
    for (std::uint32_t i = count; i < kBlockRecords; ++i) {
      if (block.has(i)) return fail("a block keeps records it does not have");
    }
    const std::uint64_t body = std::uint64_t{name_bytes} + std::uint64_t{kept} * sizeof(Record);
    if (size_ - at_ - bin::kBlockHeaderBytes < body) return std::nullopt;
    if (auto error = names(at_ + bin::kBlockHeaderBytes, name_bytes, new_names)) return error;
    block.records = data_ + at_ + bin::kBlockHeaderBytes + name_bytes;
    out_.blocks_.push_back(std::move(block));
    out_.checkpoints_.push_back(digest_at(at_ + 24));
    out_.size_ += count;
    out_.kept_ += kept;
    at_ += bin::kBlockHeaderBytes + body;
    whole = true;
    return std::nullopt;
  }

  std::optional<std::string> names(std::size_t from, std::size_t bytes, std::uint32_t count) {
    if (count > bytes / 4) return fail("more names than bytes");
    std::size_t left = bytes;
    for (std::uint32_t i = 0; i < count; ++i) {
      if (left < 4) return fail("names are cut off");
      const std::uint32_t length = bin::get32(data_ + from);
      from += 4;
      left -= 4;
      if (length > left) return fail("a name is longer than its block");
      out_.names_.emplace_back(reinterpret_cast<const char*>(data_ + from), length);
      from += length;
      left -= length;
    }
    return left < 8 ? std::nullopt : std::optional(fail("names leave bytes over"));
  }

  Digest digest_at(std::size_t at) const {
    Digest d;
    std::memcpy(d.bytes.data(), data_ + at, d.bytes.size());
    return d;
  }

  Recording& out_;
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

Result<Recording> Recording::load(const std::string& path) {
  std::error_code ignored;
  std::string file = path;
  if (std::filesystem::is_directory(path, ignored)) {
    file = path + "/trace.bin";
    if (!std::filesystem::exists(file, ignored)) file = path + "/trace.jsonl";
    if (!std::filesystem::exists(file, ignored)) return Error{path + ": holds neither trace.bin nor trace.jsonl"};
  }
  auto mapping = Mapping::open(file);
  if (!mapping) return mapping.error();
  const std::string_view text = (*mapping)->text();
  if (text.substr(0, 8) == std::string_view(bin::kMagic, 8)) {
    Recording out;
    out.mapping_ = std::move(*mapping);
    if (auto error = BinReader(out, *out.mapping_).read()) return Error{file + ": not a trace: " + *error};
    return out;
  }
  auto out = read_jsonl(text);
  if (!out) return Error{file + ": " + out.error().text};
  return out;
}

std::size_t Recording::block_at(std::uint64_t index) const {
  if (index < blocks_.size() && blocks_[static_cast<std::size_t>(index)].index == index)
    return static_cast<std::size_t>(index);
  const auto it = std::lower_bound(blocks_.begin(), blocks_.end(), index,
                                   [](const Block& b, std::uint64_t i) { return b.index < i; });
  return static_cast<std::size_t>(it - blocks_.begin());
}

std::optional<Record> Recording::at(std::uint64_t number) const {
  const std::uint64_t index = number / kBlockRecords;
  const std::size_t position = block_at(index);
  if (position >= blocks_.size() || blocks_[position].index != index) return std::nullopt;
  const Block& block = blocks_[position];
  const auto i = static_cast<std::uint32_t>(number % kBlockRecords);
  if (!block.has(i)) return std::nullopt;
  const std::uint8_t* records = block.records ? block.records : block.owned.data();
  Record r = decode(records + std::size_t{block.rank(i)} * sizeof(Record));
  if (r.cause > number) r.cause = 0;  // a cause lies before its effect, whatever a file says
  return r;
}

std::optional<std::uint64_t> Recording::next(std::uint64_t number) const {
  for (std::size_t b = block_at(number / kBlockRecords); b < blocks_.size(); ++b) {
    const std::uint64_t first = std::uint64_t{blocks_[b].index} * kBlockRecords;
    std::uint32_t i = number > first ? static_cast<std::uint32_t>(number - first) : 0;
    for (std::uint32_t w = i / 64; w < kBlockRecords / 64; ++w) {
      std::uint64_t bits = blocks_[b].bitmap[w];
      if (w == i / 64) bits &= ~std::uint64_t{0} << (i % 64);
      if (bits) return first + w * 64 + static_cast<std::uint64_t>(std::countr_zero(bits));
    }
  }
  return std::nullopt;
}

std::uint32_t Recording::find_name(std::string_view text) const {
  if (!index_) {
    index_ = std::make_unique<Index>();
    for (std::size_t i = names_.size(); i-- > 0;) index_->names[names_[i]] = static_cast<std::uint32_t>(i);
  }
  const auto it = index_->names.find(text);
  return it == index_->names.end() ? NameId::none().value : it->second;
}

std::uint32_t Recording::add_name(std::string_view text) {
  owned_names_.push_back(std::make_unique<std::string>(text));
  names_.emplace_back(*owned_names_.back());
  return static_cast<std::uint32_t>(names_.size() - 1);
}

void Recording::add_record(std::uint64_t number, const Record& r) {
  DCSIM_CHECK(number >= size_ && number < 0xffffffffu);
  const auto index = static_cast<std::uint32_t>(number / kBlockRecords);
  if (blocks_.empty() || blocks_.back().index != index) {
    blocks_.emplace_back();
    blocks_.back().index = index;
  }
  Block& block = blocks_.back();
  const auto i = static_cast<std::uint32_t>(number % kBlockRecords);
  block.bitmap[i / 64] |= std::uint64_t{1} << (i % 64);
  ++block.kept;
  block.owned.resize(block.owned.size() + sizeof(Record));
  encode(r, block.owned.data() + block.owned.size() - sizeof(Record));
  size_ = number + 1;
  ++kept_;
}

std::optional<Digest> Recording::recompute() const {
  if (kept_ != size_) return std::nullopt;
  NameTable table;
  std::vector<NameId> ids;
  for (const std::string_view text : names_) ids.push_back(table.intern(text));
  const auto id = [&](std::uint64_t local) {
    return local < ids.size() ? ids[static_cast<std::size_t>(local)] : NameId{0};
  };
  Tracer tracer(table);
  each([&](std::uint64_t, Record r) {
    for (const FieldSpec& f : kind_spec(r.ev).fields()) {
      if (f.type != FieldType::kName && f.type != FieldType::kEndpoint) continue;
      const std::uint64_t v = slot_value(r, f.slot);
      const std::uint64_t host = id(v & 0xffffffffu).value;
      set_slot(r, f.slot, f.type == FieldType::kName ? host : (v & ~std::uint64_t{0xffffffffu}) | host);
    }
    tracer.append(Instant{r.t}, static_cast<Ev>(r.ev), id(r.node), {r.x, r.a, r.b, r.c, r.d}, Cause{r.cause});
    return true;
  });
  return tracer.digest();
}

}  // namespace dcsim::trace
