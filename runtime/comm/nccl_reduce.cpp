#include "runtime/comm/nccl_reduce.hpp"

#include <fmt/format.h>

#include <fourge/error.hpp>
#include <utility>

namespace fourge::comm {

NcclReduce::NcclReduce(std::shared_ptr<const NcclLibrary> library, NcclCommunicator given, int rank,
                       int ranks)
    : library_(std::move(library)), communicator_(given) {
  int its_ranks = 0;
  int its_rank = 0;
  library_->check(library_->comm_count(given, &its_ranks), "ncclCommCount");
  library_->check(library_->comm_user_rank(given, &its_rank), "ncclCommUserRank");
  if (its_ranks != ranks || its_rank != rank) {
    throw Error(
        ErrorKind::invalid_argument,
        fmt::format("the NCCL communicator given is that of rank {} of {}; the group's rank "
                    "is {} of {}",
                    its_rank, its_ranks, rank, ranks));
  }
}

NcclReduce::NcclReduce(std::shared_ptr<const NcclLibrary> library, const NcclUniqueId& id, int rank,
                       int ranks)
    : library_(std::move(library)), own_(true) {
  library_->check(library_->comm_init_rank(&communicator_, ranks, id, rank), "ncclCommInitRank");
}

NcclReduce::~NcclReduce() {
  if (own_ && communicator_ != nullptr) library_->comm_abort(communicator_);
}

void NcclReduce::sum(const void* from, void* to, std::int64_t elements, bool bf16,
                     CUstream_st* stream) const {
  library_->check(
      library_->all_reduce(from, to, static_cast<std::size_t>(elements),
                           bf16 ? kNcclBfloat16 : kNcclFloat16, kNcclSum, communicator_, stream),
      "ncclAllReduce");
}

NcclUniqueId make_nccl_id(const NcclLibrary& library) {
  NcclUniqueId id{};
  library.check(library.get_unique_id(&id), "ncclGetUniqueId");
  return id;
}

}  // namespace fourge::comm
