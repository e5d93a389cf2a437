#include "gossip/serf_members.h"

#include <algorithm>
#include <utility>

namespace dcsim::gossip {

SerfMembers::~SerfMembers() {
  for (std::size_t i = 0; i < status_.size(); ++i) {
    if (status_[i] != MemberStatus::kNone) directory_.release(alive_[i]);
  }
}

void SerfMembers::insert(MemberId id, AliveId alive, MemberStatus status, LamportTime ltime) {
  DCSIM_CHECK(!contains(id) && status != MemberStatus::kNone);
  if (status_.size() <= id.index()) grow(id.index() + 1);
  status_[id.index()] = status;
  ltime_[id.index()] = ltime;
  alive_[id.index()] = alive;
  ++size_;
  ++counts_[static_cast<std::size_t>(status)];
}

void SerfMembers::grow(std::size_t rows) {
  if (status_.capacity() < rows) {
    // By an eighth, not by doubling: slack counts once per pair.
    const std::size_t wanted = std::max({rows, directory_.size(), status_.size() + status_.size() / 8 + 8});
    status_.reserve(wanted);
    ltime_.reserve(wanted);
    alive_.reserve(wanted);
  }
  status_.resize(rows, MemberStatus::kNone);
  ltime_.resize(rows, 0);
  alive_.resize(rows);
}

void SerfMembers::set_record(MemberId id, AliveId alive) {
  directory_.release(std::exchange(alive_[id.index()], alive));
}

void SerfMembers::set_status(MemberId id, MemberStatus status) {
  DCSIM_CHECK(contains(id) && status != MemberStatus::kNone);
  --counts_[static_cast<std::size_t>(status_[id.index()])];
  ++counts_[static_cast<std::size_t>(status)];
  status_[id.index()] = status;
}

void SerfMembers::erase(MemberId id) {
  DCSIM_CHECK(contains(id));
  --counts_[static_cast<std::size_t>(status_[id.index()])];
  --size_;
  status_[id.index()] = MemberStatus::kNone;
  directory_.release(std::exchange(alive_[id.index()], AliveId::none()));
}

std::optional<Instant> SerfMembers::remove(std::vector<Gone>& list, MemberId id) {
  for (Gone& gone : list) {
    if (gone.id != id) continue;
    const Instant since = gone.since;
    gone = list.back();
    list.pop_back();
    return since;
  }
  return std::nullopt;
}

std::size_t SerfMembers::heap_bytes() const {
  return status_.capacity() * sizeof(MemberStatus) + ltime_.capacity() * sizeof(LamportTime) +
         alive_.capacity() * sizeof(AliveId) + (failed_.capacity() + left_.capacity()) * sizeof(Gone);
}

}  // namespace dcsim::gossip
