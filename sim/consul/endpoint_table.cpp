#include "consul/endpoint_table.h"

#include "wire/rpc.h"

namespace dcsim::consul {

// Hot: once per request; a handful of comparisons.
const RpcMethod* find_rpc_method(std::string_view name) {
  for (const RpcMethods& table :
       {kvs_methods(), status_methods(), catalog_methods(), session_methods(), operator_methods()}) {
    for (std::size_t i = 0; i < table.count; ++i) {
      if (table.first[i].name == name) return &table.first[i];
    }
  }
  return nullptr;
}

}  // namespace dcsim::consul
