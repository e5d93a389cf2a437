#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/terminal.h"

namespace dcsim::cli {

enum class Format { kText, kJson, kGithub };

/// What most commands share.
struct Common {
  ColorMode color = ColorMode::kAuto;
  Format format = Format::kText;
  std::vector<std::string> set;  ///< "name=value"
};

struct RunArguments {
  std::string file;
  std::string scenario;  ///< which one of the file; "" = the only one
  std::optional<std::uint64_t> seed;
  std::string until;
  std::string out;
};

// Each returns the exit status: 0 all held, 1 an expectation failed or runs differ, 2 bad input, 3 internal error, 130.
int run(const Common& common, const RunArguments& arguments);
int check(const Common& common, const std::vector<std::string>& files, const std::string& scenario);
int explain(const Common& common, const std::string& file, const std::string& scenario, const std::vector<std::string>& flow);
int reach(const Common& common, const std::string& file, const std::string& scenario, const std::string& diff, bool by_agent, bool enable_all);
int verify(const Common& common, const RunArguments& arguments);
int completions(const std::string& shell);

}  // namespace dcsim::cli
