// Any bytes as an expression and as matchers: they parse or give errors that lie inside the text, and what parses can be
// evaluated with values of every kind.
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "scenario/expr.h"

namespace {

using namespace dcsim;
using scenario::ExprError;
using trace::Value;

void check_errors(const std::vector<ExprError>& errors, std::string_view text) {
  for (const ExprError& e : errors) {
    DCSIM_CHECK(e.from <= e.to && e.to <= text.size());
    DCSIM_CHECK(!e.message.empty());
  }
}

Value value_of(std::size_t kind) {
  switch (kind % 4) {
    case 0: return Value::none();
    case 1: return Value::of(2.5);
    case 2: return Value::of(std::string_view("alive"));
    default: {
      Value list;
      list.kind = Value::Kind::kList;
      list.list = {Value::of(1.0), Value::of(std::string_view("failed"))};
      return list;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::vector<std::string> labels = {"rack", "zone"};
  std::vector<ExprError> errors;
  const auto expr = scenario::Expression::parse(text, labels, errors);
  DCSIM_CHECK(static_cast<bool>(expr) == errors.empty());
  check_errors(errors, text);
  if (expr) {
    std::vector<Value> values;
    for (std::size_t shift = 0; shift < 4; ++shift) {
      values.clear();
      for (std::size_t i = 0; i < expr->aggregates().size(); ++i) values.push_back(value_of(i + shift));
      (void)expr->holds(values);
      (void)expr->values_text(values);
      (void)scenario::value_text(expr->evaluate(values));
    }
  }
  errors.clear();
  (void)scenario::parse_matchers(text, errors);
  check_errors(errors, text);
  return 0;
}
