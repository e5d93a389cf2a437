#pragma once
#include <functional>
#include <string>

#include "lab/run.h"

namespace dcsim::lab {

struct VerifyResult {
  bool same = false;
  bool broken = false;      ///< a run met a broken invariant
  std::string text;         ///< what was run and what came out; the first differing record if there is one
  std::string digest;
};

/// Runs the scenario several times: recorded, recorded again, unrecorded, and unrecorded on another thread beside a second
/// run. All digests must be one. Recordings go to temporary directories that are removed unless they differ.
VerifyResult verify_scenario(const scenario::Scenario& scenario, const RunOptions& options);

}  // namespace dcsim::lab
