#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DCSIM_ALLOC_HOOKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define DCSIM_ALLOC_HOOKS 1
#endif
#endif
#ifdef DCSIM_ALLOC_HOOKS
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*malloc_hook)(const volatile void*, std::size_t),
                                                         void (*free_hook)(const volatile void*));
#endif

/// Counts heap allocations of the whole test binary, for tests that a loop allocates nothing:
///
///     const auto before = dcsim::test::allocations();
///     ... steady state ...
///     CHECK(dcsim::test::allocations() == before);
///
/// Keep doctest assertions out of the counted stretch: they may allocate. May be included by several files of a binary.
namespace dcsim::test {

inline std::atomic<std::uint64_t> allocation_count{0};

#ifdef DCSIM_ALLOC_HOOKS
inline std::uint64_t allocations() {
  static const int installed = __sanitizer_install_malloc_and_free_hooks(
      [](const volatile void*, std::size_t) { allocation_count.fetch_add(1, std::memory_order_relaxed); },
      [](const volatile void*) {});
  return installed > 0 ? allocation_count.load() : ~std::uint64_t{0};
}
#else
inline std::uint64_t allocations() { return allocation_count.load(); }

inline void* counted_allocation(std::size_t size, std::size_t alignment) {
  allocation_count.fetch_add(1, std::memory_order_relaxed);
  const std::size_t room = size ? size : 1;
  void* const memory =
      alignment ? std::aligned_alloc(alignment, (room + alignment - 1) / alignment * alignment) : std::malloc(room);
  if (!memory) throw std::bad_alloc();
  return memory;
}
#endif

}  // namespace dcsim::test

#ifndef DCSIM_ALLOC_HOOKS
// Weak, so that every file of a test binary may include this; they still replace the library's own. The array and
// nothrow forms call these.
__attribute__((weak)) void* operator new(std::size_t size) { return dcsim::test::counted_allocation(size, 0); }
__attribute__((weak)) void* operator new(std::size_t size, std::align_val_t alignment) {
  return dcsim::test::counted_allocation(size, static_cast<std::size_t>(alignment));
}
__attribute__((weak)) void operator delete(void* memory) noexcept { std::free(memory); }
__attribute__((weak)) void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
__attribute__((weak)) void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
__attribute__((weak)) void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
#endif
