#include "scenario/loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "scenario/document_set.h"
#include "scenario/scenario_reader.h"
#include "scenario/series_check.h"
#include "scenario/topology_reader.h"

namespace dcsim::scenario {

namespace {

constexpr std::size_t kMaxParams = 1000;

/// `--set` values as nodes, so that mistakes in them are reported like any other.
class Settings {
 public:
  Settings(const LoadOptions& options, Diagnostics& out) {
    for (const auto& [name, value] : options.set) add(name, value, options, out);
  }

  const std::vector<std::pair<std::string, const Node*>>& values() const { return values_; }
  /// The values as texts that messages can show.
  const std::deque<SourceFile>& texts() const { return files_; }
  const Node* find(std::string_view name) const {
    for (const auto& [key, node] : values_) {
      if (key == name) return node;
    }
    return nullptr;
  }
  /// `link.NAME.ATTRIBUTE` ones that are no parameters.
  std::vector<LinkSet> link_sets(const Scope& scope) {
    std::vector<LinkSet> out;
    for (const auto& [name, node] : values_) {
      const std::size_t dot = name.rfind('.');
      if (name.rfind("link.", 0) != 0 || dot < 5 || dot == std::string::npos || scope.find(name) != nullptr) continue;
      Node& key = scalar(name, name.substr(dot + 1));
      Node& map = nodes_.emplace_back(key);
      map.kind = Node::Kind::kMap;
      map.children = {&key, node};
      out.push_back({name.substr(5, dot - 5), &map});
    }
    return out;
  }

 private:
  Node& scalar(const std::string& name, const std::string& text) {
    files_.emplace_back("--set " + name, std::make_shared<const std::string>(text));
    Node& node = nodes_.emplace_back();
    node.kind = Node::Kind::kScalar;
    node.text = text;
    node.file = &files_.back();
    node.end = static_cast<std::uint32_t>(std::min<std::size_t>(text.size(), 0x7fffffff));
    return node;
  }
  void add(const std::string& name, const std::string& value, const LoadOptions& options, Diagnostics& out) {
    const bool structured = !value.empty() && std::string_view("[{\"'").find(value[0]) != std::string_view::npos;
    if (structured && value.size() <= options.max_file_bytes) {
      const YamlLimits limits{options.max_nodes, options.max_depth};
      parsed_.push_back(parse_yaml("--set " + name, std::make_shared<const std::string>(value), limits, out));
      if (parsed_.back().documents.size() == 1) {
        values_.emplace_back(name, parsed_.back().documents.front());
        return;
      }
    }
    values_.emplace_back(name, &scalar(name, value));
  }

  std::deque<SourceFile> files_;
  std::deque<Node> nodes_;
  std::deque<YamlFile> parsed_;
  std::vector<std::pair<std::string, const Node*>> values_;
};

class Loader {
 public:
  explicit Loader(const LoadOptions& options)
      : options_(options), files_(options), documents_(files_, options, out_), settings_(options, out_) {}

  FileStore& files() { return files_; }
  Diagnostics& out() { return out_; }

  LoadResult load(const std::string& path) {
    LoadResult result;
    try {
      if (const DocumentFile* file = documents_.open(path, {})) {
        broken_ = file->broken;
        read(*file, result);
      } else {
        broken_ = true;
      }
      check_settings(path);
    } catch (const TooManyMistakes&) {
      out_.push_back({code::kLimit,
                      Diagnostic::Severity::kError,
                      fmt::format("{} mistakes are listed; the rest of the file was not checked", out_.size()),
                      {path, 0x7fffffff, 0, 0},
                      {},
                      {}});
    }
    std::stable_partition(out_.begin(), out_.end(), [&](const Diagnostic& d) { return d.at.file == path; });
    sort_diagnostics(out_);
    result.diagnostics = std::move(out_);
    result.sources = files_.sources();
    for (const SourceFile& setting : settings_.texts()) result.sources[setting.name] = setting.text;
    return result;
  }

 private:
  void read(const DocumentFile& file, LoadResult& result) {
    std::set<const Document*> used;
    for (const Document& document : file.documents) {
      if (document.kind == Document::Kind::kScenario) read_scenario(document, file, result, used);
    }
    for (const Document& document : file.documents) {
      if (document.kind != Document::Kind::kTopology || used.count(&document) != 0) continue;
      const Value value = documents_.merged(document, file);
      Scope scope;
      add_params(value, scope);
      override_params(scope);
      build_topology(document, value, scope);
    }
    for (const Document& document : file.documents) {
      const auto built =
          std::find_if(topologies_.begin(), topologies_.end(), [&](const Built& b) { return b.document == &document; });
      if (built != topologies_.end()) result.topologies.push_back(built->topology);
    }
  }

  void read_scenario(const Document& document, const DocumentFile& file, LoadResult& result,
                     std::set<const Document*>& used) {
    const Value value = documents_.merged(document, file);
    Scope own;
    add_params(value, own);
    Scope scope;
    std::shared_ptr<const Topology> topology;
    const std::vector<const DocumentFile*> lineage = documents_.lineage(document, file);
    if (const auto found = find_topology(value, own, lineage)) {
      const auto& [topology_document, topology_file] = *found;
      used.insert(topology_document);
      const Value under = documents_.merged(*topology_document, *topology_file);
      add_params(under, scope);
      for (const auto& [name, node] : own.params) scope.set(name, node);
      override_params(scope);
      topology = build_topology(*topology_document, under, scope);
    } else {
      // Without its topology most names of a scenario are unknown: only its shape can be checked.
      scope = own;
      override_params(scope);
      check_shape(value, scope, documents_.baseless(document));
      return;
    }
    Reading reading(out_, scope);
    ScenarioReader reader(reading, topology, noted_);
    std::vector<std::string> topologies;
    for (const DocumentFile* each : lineage) {
      for (std::string& name : documents_.names(Document::Kind::kTopology, *each)) topologies.push_back(std::move(name));
    }
    const std::size_t before = out_.size();
    Scenario scenario = reader.read(value, topologies);
    if (documents_.baseless(document))
      out_.erase(std::remove_if(out_.begin() + static_cast<std::ptrdiff_t>(before), out_.end(), lacks_key), out_.end());
    if (const Node* seed = scope.find("seed") == nullptr ? settings_.find("seed") : nullptr) {
      if (const auto number = reading.seed({seed, seed}, "`seed`"))
        scenario.seed = *number;
    }
    check_expressions(scenario, out_);
    result.scenarios.push_back(std::move(scenario));
  }

  std::optional<std::pair<const Document*, const DocumentFile*>> find_topology(
      const Value& scenario, const Scope& own, const std::vector<const DocumentFile*>& lineage) {
    Scope scope = own;
    override_params(scope);
    Reading reading(out_, scope);
    const Node* named = scope.find("topology") == nullptr ? settings_.find("topology") : nullptr;
    if (named == nullptr) {
      for (const Entry& entry : reading.entries(scenario, "scenario")) {
        if (entry.name == "topology") named = entry.value.at;
      }
    }
    if (named == nullptr) return std::nullopt;  // the shape check reports it
    const Value value = reading.follow(named);
    if (value.is(Node::Kind::kNull)) return std::nullopt;
    const auto name = reading.string(value, "`topology` in scenario");
    if (!name) return std::nullopt;
    for (const DocumentFile* file : lineage) {
      if (const Document* found = documents_.look_up(Document::Kind::kTopology, name->text, *file))
        return std::pair(found, found->file);
    }
    const DocumentFile* in = nullptr;
    const Document* found = documents_.find(Document::Kind::kTopology, *name, *lineage.front(), &in);
    if (found == nullptr) return std::nullopt;
    return std::pair(found, in);
  }

  /// Keys and types of a scenario whose topology is not known: complaints about names are kept to itself.
  static bool lacks_key(const Diagnostic& d) {
    constexpr std::string_view kTail = " in scenario";
    return d.code == code::kMissingKey && std::string_view(d.message).ends_with(kTail);
  }

  void check_shape(const Value& value, const Scope& scope, bool baseless) {
    Diagnostics all;
    Reading reading(all, scope);
    auto nothing = std::make_shared<Topology>();
    nothing->index();
    std::set<std::string> noted;
    ScenarioReader(reading, nothing, noted).read(value, {});
    for (Diagnostic& d : all) {
      if (baseless && lacks_key(d)) continue;  // its base may well have it
      const bool about_names = d.code == code::kUndefined || d.code == code::kMatchesNothing;
      const bool param_or_step =
          d.message.find("parameter") != std::string::npos || d.message.find("step") != std::string::npos;
      if (!about_names || (param_or_step && d.message.find("firewall") == std::string::npos))
        out_.push_back(std::move(d));
    }
  }

  void add_params(const Value& document, Scope& scope) {
    Reading reading(out_, scope);
    for (const Entry& entry : reading.entries(document, "document")) {
      if (entry.name != "params" || entry.value.is(Node::Kind::kNull)) continue;
      if (!entry.value.is(Node::Kind::kMap)) {
        reading.wrong_type(entry.value, "`params`", "a map of values");
        continue;
      }
      for (const Entry& param : reading.entries(entry.value, "params")) {
        known_.insert(std::string(param.name));
        const bool fits = !param.name.empty() &&
                          std::all_of(param.name.begin(), param.name.end(),
                                      [](char c) {
                                        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                               (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
                                      }) &&
                          !(param.name[0] >= '0' && param.name[0] <= '9') && param.name[0] != '-' &&
                          param.name[0] != '.';
        if (!fits) {
          reading.error(code::kBadValue, param.key_span(), fmt::format("`{}` is no name for a parameter", param.name),
                        {}, "letters, digits, `_`, `-` and `.`; a letter first");
          continue;
        }
        if (scope.params.size() >= kMaxParams) {
          reading.error(code::kLimit, param.key_span(), fmt::format("more than {} parameters", kMaxParams));
          break;
        }
        scope.set(param.name, param.value.at);
      }
    }
  }

  void override_params(Scope& scope) {
    for (const auto& [name, node] : settings_.values()) {
      if (scope.find(name) != nullptr) scope.set(name, node);
    }
    scope.close(out_);
  }

  std::shared_ptr<const Topology> build_topology(const Document& document, const Value& value, const Scope& scope) {
    for (const Built& built : topologies_) {
      if (built.document == &document && built.params == scope.params) return built.topology;
    }
    Reading reading(out_, scope);
    TopologyReader reader(reading, files_, options_, noted_);
    auto topology = reader.read(value, settings_.link_sets(scope));
    topologies_.push_back({&document, scope.params, topology});
    return topology;
  }

  void check_settings(const std::string& path) {
    if (broken_) return;  // its parameters may stand in the part that could not be read
    for (const auto& [name, node] : settings_.values()) {
      const bool special = name == "topology" || name == "seed" ||
                           (name.rfind("link.", 0) == 0 && name.find('.', 5) != std::string::npos);
      if (special || known_.count(name) != 0) continue;
      std::vector<std::string_view> names(known_.begin(), known_.end());
      out_.push_back({code::kUndefined,
                      Diagnostic::Severity::kError,
                      fmt::format("--set {}: `{}` has no parameter `{}`", name, path, name),
                      {"--set " + name, 1, 1, 1},
                      did_you_mean(name, names),
                      names.empty() ? "no `params` are defined" : "parameters: " + listed(names)});
    }
  }

  const LoadOptions& options_;
  Diagnostics out_;
  FileStore files_;
  DocumentSet documents_;
  Settings settings_;
  std::set<std::string> noted_;
  bool broken_ = false;
  std::set<std::string> known_;  ///< parameters of any document read

  /// A topology under one set of parameters; scenarios that agree share it.
  struct Built {
    const Document* document;
    std::vector<std::pair<std::string, const Node*>> params;
    std::shared_ptr<const Topology> topology;
  };
  std::vector<Built> topologies_;
};

}  // namespace

bool LoadResult::ok() const {
  return std::none_of(diagnostics.begin(), diagnostics.end(),
                      [](const Diagnostic& d) { return d.severity == Diagnostic::Severity::kError; });
}

LoadResult load_file(const std::string& path, const LoadOptions& options) { return Loader(options).load(path); }

LoadResult load_text(std::string_view text, const std::string& name, const LoadOptions& options) {
  Loader loader(options);
  if (loader.files().add(name, text, loader.out()) == nullptr) {
    LoadResult result;
    result.diagnostics = std::move(loader.out());
    return result;
  }
  return loader.load(name);
}

void sort_diagnostics(Diagnostics& diagnostics) {
  std::map<std::string, std::size_t> order;
  for (const Diagnostic& d : diagnostics) order.emplace(d.at.file, order.size());
  std::stable_sort(diagnostics.begin(), diagnostics.end(), [&](const Diagnostic& a, const Diagnostic& b) {
    return std::tuple(order.at(a.at.file), a.at.line, a.at.column) <
           std::tuple(order.at(b.at.file), b.at.line, b.at.column);
  });
  std::set<std::tuple<std::string, std::string, std::string, int, int>> seen;
  const auto repeated = [&](const Diagnostic& d) {
    return !seen.emplace(d.code, d.message, d.at.file, d.at.line, d.at.column).second;
  };
  diagnostics.erase(std::remove_if(diagnostics.begin(), diagnostics.end(), repeated), diagnostics.end());
}

}  // namespace dcsim::scenario
