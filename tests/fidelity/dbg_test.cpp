#include <fmt/format.h>
#include "ground_truth.h"
#include "samples.h"
#include "serf_cluster.h"
using namespace dcsim; using namespace dcsim::fidelity;
TEST_CASE("dbg tcp") {
  SerfCluster c({3,1,"lan",SerfCluster::Keep::kPackets});
  c.assemble({0,10,20}); c.run_for(70000);
  auto r=c.recording(); int k=0; r.each([&](std::uint64_t,const trace::Record&x){ if(x.x==2 && x.t>1000000000 && k++<24) fmt::print("{:.3f} {} -> {} len {} flags {}\n",x.t/1e6,(x.b>>32)&0xffff,(x.c>>32)&0xffff,x.a,x.b>>48);return true;});
}
