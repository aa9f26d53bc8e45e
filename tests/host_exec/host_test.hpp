// What the tests of host execution share: temporary directories, sources and launches.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fourge/error.hpp>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/host/host_executor.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string path = (std::filesystem::temp_directory_path() / "fourge-test-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) {
      throw std::runtime_error("mkdtemp failed");
    }
    path_ = path;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string path() const { return path_.string(); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// Stands before each test kernel: checked accesses, as the device templates have them.
inline std::string with_primitives(std::string_view body) {
  return R"(
template <class T> __device__ __forceinline__ T load(const T* p) {
  fourge_host::check_global(p, sizeof(T), sizeof(T), 0);
  return *p;
}
template <class T> __device__ __forceinline__ void store(T* p, T v) {
  fourge_host::check_global(p, sizeof(T), sizeof(T), 1);
  *p = v;
}
template <class T> __device__ __forceinline__ T load_shared(const T* p) {
  fourge_host::check_shared(p, sizeof(T), 0);
  return *p;
}
template <class T> __device__ __forceinline__ void store_shared(T* p, T v) {
  fourge_host::check_shared(p, sizeof(T), 1);
  *p = v;
}
)" + std::string(body);
}

inline host::RawSource kernel_source(const std::string& entry, std::string_view body) {
  return {entry, with_primitives(body), ""};
}

// Kernels of one test file, compiled together at first use.
class Kernels {
 public:
  explicit Kernels(std::vector<host::RawSource> sources, unsigned threads = 2)
      : sources_(std::move(sources)), executor_(host::HostOptions{"c++", "", threads, {}}) {
    functions_ = executor_.load(sources_);
  }

  const host::HostFunction& operator[](std::string_view entry) const {
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      if (sources_[i].entry_name == entry) {
        return *functions_[i];
      }
    }
    throw std::runtime_error("no such test kernel: " + std::string(entry));
  }

  template <class... Arguments>
  void launch(std::string_view entry, const LaunchShape& shape,
              std::initializer_list<BufferRegion> regions, const Arguments&... arguments) {
    const std::vector<const void*> pointers{&arguments...};
    executor_.launch((*this)[entry], shape, std::vector<BufferRegion>(regions), pointers);
  }

 private:
  std::vector<host::RawSource> sources_;
  host::HostExecutor executor_;
  std::vector<const host::HostFunction*> functions_;
};

inline LaunchShape shape(std::uint32_t grid, std::uint32_t block, std::uint32_t dynamic = 0) {
  return LaunchShape{{grid, 1, 1}, {block, 1, 1}, dynamic, false};
}

template <class T>
BufferRegion region(std::string_view name, const std::vector<T>& buffer,
                    Access access = Access::read_write) {
  return {name, buffer.data(), buffer.size() * sizeof(T), access};
}

// What one thread of a kernel makes of one word.
inline int changed(host::HostExecutor& executor, const host::HostFunction& function, int word) {
  std::vector<int> data(1, word);
  int* p = data.data();
  const void* argument = &p;
  const auto buffer = region("p", data);
  executor.launch(function, shape(1, 1), {&buffer, 1}, {&argument, 1});
  return data[0];
}

// The message of the Error(internal) that the call throws.
template <class Call>
std::string internal_error(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::internal);
    return error.what();
  }
  FAIL("no error was thrown");
  return {};
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Shows the text if a part is missing.
#define CHECK_CONTAINS(text, part) \
  do {                             \
    INFO(text);                    \
    CHECK(contains(text, part));   \
  } while (false)

}  // namespace fourge::tests
