#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace dcsim::trace {

/// Samples kept in order: insert in O(sqrt n) moves, the k-th smallest in O(n / 1024). Beyond `kCapacity` every second
/// order statistic is let go and from then on only every second sample enters (and so on), which keeps the quantiles.
class OrderStatistics {
 public:
  static constexpr std::uint64_t kCapacity = std::uint64_t{4} << 20;

  explicit OrderStatistics(std::uint64_t capacity = kCapacity) : capacity_(capacity) {}

  void insert(double v) {
    if (arrivals_++ % stride_ != 0) return;
    auto chunk = std::lower_bound(chunks_.begin(), chunks_.end(), v,
                                  [](const std::vector<double>& c, double x) { return c.back() < x; });
    if (chunk == chunks_.end()) {
      if (chunks_.empty()) chunks_.emplace_back();
      chunk = chunks_.end() - 1;
    }
    chunk->insert(std::upper_bound(chunk->begin(), chunk->end(), v), v);
    if (chunk->size() >= 2 * kChunk) split(chunk);
    if (++size_ > capacity_) thin();
  }

  std::uint64_t size() const { return size_; }

  /// The k-th smallest, 0-based. Requires k < size().
  double at(std::uint64_t k) const {
    for (const std::vector<double>& chunk : chunks_) {
      if (k < chunk.size()) return chunk[static_cast<std::size_t>(k)];
      k -= chunk.size();
    }
    return 0;
  }

  template <class F>
  void each(F&& f) const {
    for (const std::vector<double>& chunk : chunks_) {
      for (const double v : chunk) f(v);
    }
  }

 private:
  static constexpr std::size_t kChunk = 1024;

  void split(std::vector<std::vector<double>>::iterator chunk) {
    std::vector<double> upper(chunk->begin() + kChunk, chunk->end());
    chunk->resize(kChunk);
    chunks_.insert(chunk + 1, std::move(upper));
  }

  void thin() {
    OrderStatistics kept(capacity_);
    std::uint64_t i = 0;
    std::vector<double> chunk;
    each([&](double v) {
      if (i++ % 2 != 0) return;
      chunk.push_back(v);
      if (chunk.size() == kChunk) kept.chunks_.push_back(std::move(chunk)), chunk.clear();
    });
    if (!chunk.empty()) kept.chunks_.push_back(std::move(chunk));
    chunks_ = std::move(kept.chunks_);
    size_ = (i + 1) / 2;
    stride_ *= 2;
    arrivals_ = 0;
  }

  std::vector<std::vector<double>> chunks_;
  std::uint64_t capacity_;
  std::uint64_t size_ = 0;
  std::uint64_t arrivals_ = 0;
  std::uint64_t stride_ = 1;
};

}  // namespace dcsim::trace
