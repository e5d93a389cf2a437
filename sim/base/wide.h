#pragma once

namespace dcsim {

// 128-bit integers, for the high half of a product. Both compilers have them as an extension on every 64-bit target.
__extension__ using Int128 = __int128;
__extension__ using Uint128 = unsigned __int128;

}  // namespace dcsim
