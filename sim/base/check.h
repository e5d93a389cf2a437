#pragma once
#include <stdexcept>
#include <string>

namespace dcsim {

/// A broken invariant of the program itself: the run stops with seed, time and last records, exit status 3.
/// Never thrown for bad input (diagnostics) or protocol outcomes (values).
struct InvariantBroken : std::logic_error {
  using std::logic_error::logic_error;
};

[[noreturn]] void invariant_broken(const char* expression, const std::string& detail,
                                   const char* file = __builtin_FILE(), int line = __builtin_LINE());

}  // namespace dcsim

/// Asserts an invariant, in release builds too. Throws InvariantBroken.
#define DCSIM_CHECK(expression)                   \
  do {                                            \
    if (!(expression)) [[unlikely]]               \
      ::dcsim::invariant_broken(#expression, {}); \
  } while (false)

/// The same with a detail text that is built only on failure.
#define DCSIM_CHECK_MSG(expression, detail)           \
  do {                                                \
    if (!(expression)) [[unlikely]]                   \
      ::dcsim::invariant_broken(#expression, detail); \
  } while (false)
