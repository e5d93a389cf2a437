#pragma once

namespace dcsim::scenario::code {

// Errors by kind. E02xx is the expression language's.
inline constexpr const char* kSyntax = "E0100";      ///< not YAML, not text
inline constexpr const char* kUnreadable = "E0101";  ///< a file that cannot be opened or is none
inline constexpr const char* kUnknownKey = "E0102";
inline constexpr const char* kDuplicateKey = "E0103";
inline constexpr const char* kMissingKey = "E0104";
inline constexpr const char* kWrongType = "E0105";
inline constexpr const char* kBadValue = "E0106";   ///< right kind of value, but unit, range or spelling is wrong
inline constexpr const char* kUndefined = "E0107";  ///< a name that nothing has
inline constexpr const char* kDuplicateName = "E0108";
inline constexpr const char* kCycle = "E0109";
inline constexpr const char* kLimit = "E0110";
inline constexpr const char* kConflict = "E0111";  ///< keys that exclude or need one another
inline constexpr const char* kAddress = "E0112";   ///< overlap, outside, clash, exhausted
inline constexpr const char* kRegex = "E0113";
inline constexpr const char* kSelector = "E0114";
inline constexpr const char* kUnsupported = "E0115";
inline constexpr const char* kNoLeader = "E0116";  ///< asks for Raft's leader, whom selectors do not know

inline constexpr const char* kIgnoredKey = "W0101";  ///< real, but not modelled
inline constexpr const char* kMatchesNothing = "W0102";
inline constexpr const char* kTooLate = "W0103";  ///< beyond the scenario's duration
inline constexpr const char* kNoEffect = "W0104";
inline constexpr const char* kUnfedSeries = "W0105";  ///< a series that nothing reports to

}  // namespace dcsim::scenario::code
