#pragma once
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace dcsim {

/// An expected failure with its text, as the user or the peer would read it.
struct Error {
  std::string text;
  bool operator==(const Error&) const = default;
};

/// A value or an Error. Asking for the wrong one breaks an invariant.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() {
    DCSIM_CHECK(ok());
    return std::get<0>(state_);
  }
  const T& value() const {
    DCSIM_CHECK(ok());
    return std::get<0>(state_);
  }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const {
    DCSIM_CHECK(!ok());
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

}  // namespace dcsim
