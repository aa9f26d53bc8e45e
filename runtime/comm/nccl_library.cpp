#include "runtime/comm/nccl_library.hpp"

#include <fmt/format.h>

#include <dlfcn.h>
#include <fourge/error.hpp>

namespace fourge::comm {
namespace {

template <class Function>
void find(void* library, const std::string& path, const char* name, Function*& function) {
  // NOLINTNEXTLINE: dlsym gives an object pointer, POSIX makes the cast good.
  function = reinterpret_cast<Function*>(dlsym(library, name));
  if (function == nullptr) {
    throw Error(ErrorKind::library_missing,
                fmt::format("{} has no {}: it is no NCCL of version 2", path, name));
  }
}

}  // namespace

std::shared_ptr<const NcclLibrary> NcclLibrary::load(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* reason = dlerror();
    throw Error(ErrorKind::library_missing,
                fmt::format("NCCL was not found: searched for {}; the loader says: {}. Install "
                            "libnccl2, or give its path (GroupConfig::nccl_library)",
                            path, reason == nullptr ? "nothing" : reason));
  }
  const std::shared_ptr<NcclLibrary> nccl(new NcclLibrary);
  find(library, path, "ncclGetUniqueId", nccl->get_unique_id);
  find(library, path, "ncclCommInitRank", nccl->comm_init_rank);
  find(library, path, "ncclAllReduce", nccl->all_reduce);
  find(library, path, "ncclCommCount", nccl->comm_count);
  find(library, path, "ncclCommUserRank", nccl->comm_user_rank);
  find(library, path, "ncclCommDestroy", nccl->comm_destroy);
  find(library, path, "ncclCommAbort", nccl->comm_abort);
  find(library, path, "ncclGetErrorString", nccl->get_error_string);
  return nccl;
}

void NcclLibrary::check(int result, std::string_view call) const {
  if (result == kNcclSuccess) {
    return;
  }
  const char* text = get_error_string(result);
  throw Error(ErrorKind::driver, fmt::format("{} failed with {}: {}", call, result,
                                             text == nullptr ? "no text" : text));
}

}  // namespace fourge::comm
