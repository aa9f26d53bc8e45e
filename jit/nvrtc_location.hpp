// Finding libnvrtc without loading it: a process that only hits the cache needs the identity of the
// compiler for the key, and not the 100 MB library.
#pragma once

#include <string>
#include <vector>

namespace fourge::jit {

struct NvrtcSearch {
  std::string library;    // a path to take, or empty
  std::string cuda_home;  // CUDA_HOME, or empty
};

struct NvrtcLocation {
  std::string path;                   // empty: not found
  std::string build_identity;         // build ids of libnvrtc and libnvrtc-builtins beside it
  std::vector<std::string> searched;  // files and directories, in order
  bool found() const { return !path.empty(); }
};

// In order: search.library (nothing else, if given); the loader's directories (LD_LIBRARY_PATH,
// /etc/ld.so.conf, the defaults); CUDA_HOME; /usr/local/cuda. Newest major version first. Does not
// throw: what was searched is in the result.
NvrtcLocation locate_nvrtc(const NvrtcSearch& search);

// NvrtcLocation::build_identity of a library, as its files are now.
std::string build_identity_of(const std::string& library);

// The file of the builtins beside the library that its version loads; empty if there is none.
std::string builtins_beside(const std::string& library, int major, int minor);

// The directories that a file like /etc/ld.so.conf names, with those of the files that it includes.
std::vector<std::string> loader_config_directories(const std::string& file);

// "libnvrtc was not found ..." with what was searched and how to get it.
std::string nvrtc_missing_message(const NvrtcLocation& location);

}  // namespace fourge::jit
