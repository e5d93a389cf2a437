#include "scenario/document_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <unordered_map>

namespace dcsim::scenario {

namespace fs = std::filesystem;

namespace {

const Scope& no_params() {
  static const Scope kNone;
  return kNone;
}

const Entry* entry_of(const std::vector<Entry>& entries, std::string_view name) {
  for (const Entry& e : entries) {
    if (e.name == name) return &e;
  }
  return nullptr;
}

/// The `name` of a list's item, if it has one.
std::optional<std::string> item_name(const Value& item) {
  if (!item.is(Node::Kind::kMap)) return std::nullopt;
  Diagnostics unheard;
  Reading quiet(unheard, no_params());
  const std::vector<Entry> entries = quiet.entries(item, {});
  const Entry* name = entry_of(entries, "name");
  if (name == nullptr || !name->value.scalar()) return std::nullopt;
  return name->value.node->text;
}

}  // namespace

bool DocumentSet::looks_like_file(std::string_view name) {
  const auto ends = [&](std::string_view tail) {
    return name.size() > tail.size() && name.substr(name.size() - tail.size()) == tail;
  };
  return name.find('/') != std::string_view::npos || ends(".yaml") || ends(".yml") || ends(".json");
}

std::string DocumentSet::key_of(const std::string& path) const {
  std::error_code error;
  const fs::path canonical =
      options_.allow_files ? fs::weakly_canonical(path, error) : fs::path(path).lexically_normal();
  return error ? path : canonical.string();
}

const DocumentFile* DocumentSet::open(const std::string& path, const SourceSpan& at) {
  const std::string key = key_of(path);
  if (const auto it = by_key_.find(key); it != by_key_.end()) return &it->second;
  const YamlFile* yaml = files_.yaml(path, at, out_);
  if (yaml == nullptr) return nullptr;
  DocumentFile& file = by_key_[key];
  file.path = path;
  file.broken = yaml->broken;
  file.documents.reserve(yaml->documents.size());
  std::vector<std::vector<std::pair<std::string, SourceSpan>>> includes;
  for (const Node* root : yaml->documents) {
    std::vector<std::pair<std::string, SourceSpan>> named;
    const std::size_t before = file.documents.size();
    classify(root, file, named);
    if (file.documents.size() > before) includes.push_back(std::move(named));
  }
  if (yaml->documents.empty() && !yaml->broken) {
    out_.push_back({code::kMissingKey,
                    Diagnostic::Severity::kError,
                    "this file holds no document",
                    {path, 1, 1, 1},
                    {},
                    "a document begins version: 1, kind: topology or kind: scenario"});
  }
  open_.push_back(key);
  for (std::size_t i = 0; i < includes.size(); ++i) {
    for (const auto& [named, where] : includes[i]) {
      const std::string target = files_.resolve(named, path);
      const std::string target_key = key_of(target);
      if (std::find(open_.begin(), open_.end(), target_key) != open_.end()) {
        std::string circle;
        for (auto it = std::find(open_.begin(), open_.end(), target_key); it != open_.end(); ++it)
          circle += fmt::format("{} -> ", fs::path(*it).filename().string());
        out_.push_back(
            {code::kCycle,
             Diagnostic::Severity::kError,
             fmt::format("files include one another: {}{}", circle, fs::path(target_key).filename().string()),
             where,
             {},
             {}});
        continue;
      }
      if (open_.size() > static_cast<std::size_t>(options_.max_include_depth)) {
        out_.push_back({code::kLimit,
                        Diagnostic::Severity::kError,
                        fmt::format("includes are nested deeper than {}", options_.max_include_depth),
                        where,
                        {},
                        {}});
        continue;
      }
      if (open(target, where) != nullptr) file.documents[i].includes.push_back(target_key);
    }
  }
  open_.pop_back();
  return &file;
}

/// Which kind a document is, or seems to be when it does not say so properly.
std::optional<Document::Kind> DocumentSet::kind_of(const std::vector<Entry>& entries, const Value& root) {
  const Entry* kind = entry_of(entries, "kind");
  std::string said = kind != nullptr && kind->value.scalar() ? kind->value.node->text : std::string();
  if (said != "topology" && said != "scenario" && !said.empty()) said = nearest(said, {"topology", "scenario"});
  if (said == "topology") return Document::Kind::kTopology;
  if (said == "scenario") return Document::Kind::kScenario;
  for (const char* key : {"timeline", "expect", "topology", "duration", "workload"}) {
    if (entry_of(entries, key) != nullptr) return Document::Kind::kScenario;
  }
  for (const char* key : {"zones", "datacenters", "links", "firewalls", "services"}) {
    if (entry_of(entries, key) != nullptr) return Document::Kind::kTopology;
  }
  Reading reading(out_, no_params());
  if (kind == nullptr) {
    reading.error(code::kMissingKey, root.span(), "missing key `kind`: what is this document?", {},
                  "kind: topology or kind: scenario");
  } else {
    reading.error(code::kBadValue, kind->value.span(),
                  fmt::format("`kind` cannot be {}", reading.describe(kind->value)), {}, "topology or scenario");
  }
  return std::nullopt;
}

void DocumentSet::classify(const Node* root, DocumentFile& file,
                           std::vector<std::pair<std::string, SourceSpan>>& includes) {
  Reading reading(out_, no_params());
  Document document;
  document.file = &file;
  document.value = reading.follow(root);
  if (!document.value.is(Node::Kind::kMap)) {
    reading.wrong_type(document.value, "a document", "a map",
                       "a document begins version: 1, kind: topology or kind: scenario");
    return;
  }
  const std::vector<Entry> entries = reading.entries(document.value, "document");
  const auto kind = kind_of(entries, document.value);
  if (!kind) return;
  document.kind = *kind;
  if (const Entry* name = entry_of(entries, "name"); name != nullptr && name->value.scalar()) {
    document.name = name->value.node->text;
    for (const Document& other : file.documents) {
      if (other.kind == document.kind && other.name == document.name && !document.name.empty()) {
        reading.error(code::kDuplicateName, name->value.span(),
                      fmt::format("a second {} is called `{}`",
                                  *kind == Document::Kind::kTopology ? "topology" : "scenario", document.name));
      }
    }
  }
  if (const Entry* include = entry_of(entries, "include");
      include != nullptr && !include->value.is(Node::Kind::kNull)) {
    for (const SpannedText& path : reading.one_or_many(include->value, "`include`")) {
      if (path.empty())
        reading.error(code::kBadValue, path.at, "`include` names no file");
      else
        includes.emplace_back(path.text, path.at);
    }
  }
  file.documents.push_back(std::move(document));
}

std::vector<const Document*> DocumentSet::visible(const DocumentFile& file) const {
  std::vector<const Document*> out;
  std::vector<const DocumentFile*> queue = {&file};
  for (std::size_t i = 0; i < queue.size(); ++i) {
    for (const Document& document : queue[i]->documents) {
      out.push_back(&document);
      for (const std::string& key : document.includes) {
        const DocumentFile* included = &by_key_.at(key);
        if (std::find(queue.begin(), queue.end(), included) == queue.end()) queue.push_back(included);
      }
    }
  }
  return out;
}

std::vector<std::string> DocumentSet::names(Document::Kind kind, const DocumentFile& file) const {
  std::vector<std::string> out;
  for (const Document* document : visible(file)) {
    if (document->kind == kind && !document->name.empty()) out.push_back(document->name);
  }
  return out;
}

std::vector<const DocumentFile*> DocumentSet::lineage(const Document& document, const DocumentFile& file) const {
  std::vector<const DocumentFile*> out = {&file};
  const Document* at = &document;
  for (int step = 0; step <= options_.max_include_depth; ++step) {  // a circle has been reported
    const auto base = bases_.find(at);
    if (base == bases_.end()) break;
    at = base->second.first;
    if (std::find(out.begin(), out.end(), base->second.second) == out.end()) out.push_back(base->second.second);
  }
  return out;
}

const Document* DocumentSet::look_up(Document::Kind kind, std::string_view name, const DocumentFile& from) const {
  for (const Document* document : visible(from)) {
    if (document->kind == kind && document->name == name) return document;
  }
  return nullptr;
}

const Document* DocumentSet::find(Document::Kind kind, const SpannedText& name, const DocumentFile& from,
                                  const DocumentFile** in) {
  *in = &from;
  if (const Document* document = look_up(kind, name.text, from)) {
    *in = document->file;
    return document;
  }
  const char* what = kind == Document::Kind::kTopology ? "topology" : "scenario";
  Reading reading(out_, no_params());
  if (!looks_like_file(name.text)) {
    if (from.broken) return nullptr;  // it may well stand in the part that could not be read
    const std::vector<std::string> known = names(kind, from);
    const std::vector<std::string_view> views(known.begin(), known.end());
    reading.error(code::kUndefined, name.at, fmt::format("unknown {} `{}`", what, name.text),
                  did_you_mean(name.text, views),
                  views.empty() ? fmt::format("define it in this file, include: its file, or name the file itself")
                                : fmt::format("known here: {}", listed(views)));
    return nullptr;
  }
  const DocumentFile* file = open(files_.resolve(name.text, name.at.file), name.at);
  if (file == nullptr) return nullptr;
  std::vector<const Document*> found;
  for (const Document& document : file->documents) {
    if (document.kind == kind) found.push_back(&document);
  }
  if (found.size() != 1) {
    reading.error(code::kUndefined, name.at,
                  fmt::format("`{}` holds {} {} documents, not one", name.text, found.size(), what), {},
                  found.empty() ? "" : "include: the file and name the one you mean");
    return nullptr;
  }
  *in = file;
  return found.front();
}

Node& DocumentSet::make(const Node& like, Node::Kind kind) {
  Node& node = made_.emplace_back();
  node.kind = kind;
  node.file = like.file;
  node.begin = like.begin;
  node.end = like.end;
  return node;
}

/// Items of `over` replace those of `base` with the same name; the others follow.
const Node* DocumentSet::lay_lists(const Value& base, const Value& over) {
  Reading reading(out_, no_params());
  Node& list = made_.emplace_back(*over.node);
  list.children = base.node->children;
  std::map<std::string, std::size_t> by_name;
  for (std::size_t i = 0; i < list.children.size(); ++i) {
    if (const auto name = item_name(reading.follow(list.children[i]))) by_name.emplace(*name, i);
  }
  const std::size_t inherited = list.children.size();
  for (const Node* item : over.node->children) {
    const auto name = item_name(reading.follow(item));
    const auto it = name ? by_name.find(*name) : by_name.end();
    if (it != by_name.end() && it->second < inherited) {
      list.children[it->second] = item;
      by_name.erase(it);  // a second one of that name is a mistake of `over`, and stays visible
    } else {
      list.children.push_back(item);
    }
  }
  return &list;
}

Value DocumentSet::lay_over(const Value& base, const Value& over, Document::Kind kind, bool top) {
  Reading reading(out_, no_params());
  Node& map = make(*over.node, Node::Kind::kMap);
  const std::vector<Entry> under = reading.entries(base, "document");
  const std::vector<Entry> own = reading.entries(over, "document");
  std::unordered_map<std::string_view, const Entry*> inherited_by_name;
  for (const Entry& entry : under) inherited_by_name.emplace(entry.name, &entry);
  std::set<std::string_view> own_names;
  for (const Entry& entry : own) own_names.insert(entry.name);
  static constexpr std::string_view kOwnOnly[] = {"version", "kind", "name", "description", "include", "extends"};
  for (const Entry& entry : own) {
    const Node* value = entry.value.at;
    if (const auto it = inherited_by_name.find(entry.name); it != inherited_by_name.end()) {
      const Entry* inherited = it->second;
      const bool own_only =
          top && std::find(std::begin(kOwnOnly), std::end(kOwnOnly), entry.name) != std::end(kOwnOnly);
      if (!own_only && inherited->value.is(Node::Kind::kMap) && entry.value.is(Node::Kind::kMap))
        value = lay_over(inherited->value, entry.value, kind, false).node;
      if (!own_only && top && inherited->value.is(Node::Kind::kList) && entry.value.is(Node::Kind::kList))
        value = lay_lists(inherited->value, entry.value);
    }
    map.children.push_back(entry.key);
    map.children.push_back(value);
  }
  for (const Entry& entry : under) {
    const bool own_only = top && std::find(std::begin(kOwnOnly), std::end(kOwnOnly), entry.name) != std::end(kOwnOnly);
    if (own_only || own_names.count(entry.name) != 0) continue;
    map.children.push_back(entry.key);
    map.children.push_back(entry.value.at);
  }
  return {&map, &map};
}

Value DocumentSet::extended(const Document& document, const DocumentFile& file, std::vector<const Document*>& chain) {
  Reading reading(out_, no_params());
  const std::vector<Entry> entries = reading.entries(document.value, "scenario");
  const Entry* extends = entry_of(entries, "extends");
  if (extends == nullptr || extends->value.is(Node::Kind::kNull)) return document.value;
  const auto name = reading.string(extends->value, "`extends` in scenario");
  const auto without = [&] {
    baseless_.insert(&document);
    return document.value;
  };
  if (!name) return without();
  const DocumentFile* base_file = nullptr;
  const Document* base = find(Document::Kind::kScenario, *name, file, &base_file);
  if (base == nullptr) return without();
  bases_[&document] = {base, base_file};
  chain.push_back(&document);
  if (std::find(chain.begin(), chain.end(), base) != chain.end()) {
    reading.error(code::kCycle, name->at, fmt::format("scenario `{}` extends itself", base->name));
    return without();
  }
  if (chain.size() > static_cast<std::size_t>(options_.max_include_depth)) {
    reading.error(code::kLimit, name->at,
                  fmt::format("scenarios extend one another more than {} times", options_.max_include_depth));
    return without();
  }
  const Value under = extended(*base, *base_file, chain);
  if (baseless(*base)) baseless_.insert(&document);
  return lay_over(under, document.value, Document::Kind::kScenario, true);
}

Value DocumentSet::merged(const Document& document, const DocumentFile& file) {
  if (document.kind == Document::Kind::kScenario) {
    std::vector<const Document*> chain;
    return extended(document, file, chain);
  }
  Value value = document.value;
  std::optional<Value> under;
  for (const std::string& key : document.includes) {
    const DocumentFile& included = by_key_.at(key);
    for (const Document& part : included.documents) {
      if (part.kind != Document::Kind::kTopology) continue;
      const Value layer = merged(part, included);
      under = under ? lay_over(*under, layer, Document::Kind::kTopology, true) : layer;
    }
  }
  return under ? lay_over(*under, value, Document::Kind::kTopology, true) : value;
}

}  // namespace dcsim::scenario
