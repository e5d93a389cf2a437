#pragma once
#include <cstddef>
#include <utility>
#include <vector>

namespace dcsim {

/// A queue in one block of memory that it keeps. Hot: push and pop are O(1) amortised and allocate only to grow.
template <class T>
class Fifo {
 public:
  bool empty() const { return head_ == items_.size(); }
  std::size_t size() const { return items_.size() - head_; }
  T& front() { return items_[head_]; }
  const T& front() const { return items_[head_]; }
  T& operator[](std::size_t i) { return items_[head_ + i]; }
  const T& operator[](std::size_t i) const { return items_[head_ + i]; }
  void push(T item) {
    if (head_ > 64 && head_ * 2 > items_.size()) {
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
    items_.push_back(std::move(item));
  }
  T pop() {
    T item = std::move(items_[head_]);
    drop();
    return item;
  }
  /// The first, if there is one.
  bool pop(T& item) {
    if (empty()) return false;
    item = pop();
    return true;
  }
  /// Forgets the first.
  void drop() {
    if (++head_ == items_.size()) clear();
  }
  /// Removes the item at `i`, keeping the order of the others.
  void erase(std::size_t i) { items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(head_ + i)); }
  void clear() {
    items_.clear();
    head_ = 0;
  }

 private:
  std::vector<T> items_;
  std::size_t head_ = 0;
};

}  // namespace dcsim
