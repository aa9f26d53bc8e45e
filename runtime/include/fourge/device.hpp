// Owners of device things, for tools, tests and examples. An embedder with contexts, streams and
// memory of its own needs none of this: kernels run on any stream in any current context.
//
// Sizes and offsets are bytes. Every operation throws Error; destructors never do. Objects keep the
// context they were made with alive and may be destroyed in any order and on any thread, except
// DeviceContext and CurrentContext, which are undone by the thread that made them, last made first.
#pragma once

#include <fourge/export.hpp>
#include <fourge/target.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

struct CUctx_st;
struct CUevent_st;
struct CUgraphExec_st;
struct CUstream_st;

namespace fourge {

namespace detail {
struct ContextState;
}  // namespace detail

inline constexpr const char* kDefaultDriver = "libcuda.so.1";

struct DeviceInfo {
  int ordinal = 0;
  std::string name;
  int major = 0;  // compute capability
  int minor = 0;
  int multiprocessors = 0;
  std::size_t l2_bytes = 0;
  std::size_t memory_bytes = 0;
  std::string uuid;              // "GPU-xxxxxxxx-xxxx-...", as nvidia-smi shows it
  std::optional<Target> target;  // nullopt: fourge has none for it
};

// The devices of this machine. Does not throw: without a driver, or with one that refuses to start,
// there are none, and *reason (if given) says why. Creates no context.
FOURGE_API std::vector<DeviceInfo> list_devices(std::string* reason = nullptr,
                                                const std::string& driver = kDefaultDriver);

// CUDA version of the driver, as 13000 for 13.0; 0 and a reason where there is none.
FOURGE_API int driver_version(std::string* reason = nullptr,
                              const std::string& driver = kDefaultDriver);

enum class ContextKind {
  primary,   // the device's primary context, shared with the CUDA runtime and other libraries
  separate,  // a context of its own
};

// A context that is current for the thread that made it, as long as this object lives. The context
// that was current before is current again afterwards.
class FOURGE_API DeviceContext {
 public:
  explicit DeviceContext(int ordinal, ContextKind kind = ContextKind::primary,
                         const std::string& driver = kDefaultDriver);
  ~DeviceContext();
  DeviceContext(const DeviceContext&) = delete;
  DeviceContext& operator=(const DeviceContext&) = delete;

  int ordinal() const noexcept;
  // Waits for all work of the context.
  void synchronize() const;

  const std::shared_ptr<detail::ContextState>& state() const noexcept { return state_; }

 private:
  std::shared_ptr<detail::ContextState> state_;
};

// Makes a context current for the calling thread too.
class FOURGE_API CurrentContext {
 public:
  explicit CurrentContext(const DeviceContext& context);
  ~CurrentContext();
  CurrentContext(const CurrentContext&) = delete;
  CurrentContext& operator=(const CurrentContext&) = delete;

 private:
  std::shared_ptr<detail::ContextState> state_;
};

// Takes no part in the legacy default stream's ordering (non-blocking).
class FOURGE_API Stream {
 public:
  explicit Stream(const DeviceContext& context);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  CUstream_st* get() const noexcept { return stream_; }
  void synchronize() const;

 private:
  std::shared_ptr<detail::ContextState> state_;
  CUstream_st* stream_ = nullptr;
};

// A point in a stream's work, with a time stamp.
class FOURGE_API Event {
 public:
  explicit Event(const DeviceContext& context);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(CUstream_st* stream);
  void synchronize() const;
  // From begin to end, both recorded and reached.
  static double milliseconds(const Event& begin, const Event& end);

 private:
  std::shared_ptr<detail::ContextState> state_;
  CUevent_st* event_ = nullptr;
};

// Device memory, aligned to 256 bytes. Copies and fills are ordered on the stream (null: the legacy
// default stream) and may return before they are done; host memory must stay until then. A range
// outside the buffer throws Error(invalid_argument).
class FOURGE_API DeviceBuffer {
 public:
  DeviceBuffer(const DeviceContext& context, std::size_t bytes);
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&&) = delete;

  std::size_t size() const noexcept { return bytes_; }
  std::uint8_t* data() const noexcept { return data_; }

  void upload(const void* source, std::size_t bytes, CUstream_st* stream, std::size_t offset = 0);
  void download(void* destination, std::size_t bytes, CUstream_st* stream,
                std::size_t offset = 0) const;
  void fill(std::uint8_t value, CUstream_st* stream);
  void fill(std::uint8_t value, std::size_t bytes, CUstream_st* stream, std::size_t offset);
  void copy_from(const DeviceBuffer& source, std::size_t bytes, CUstream_st* stream,
                 std::size_t source_offset = 0, std::size_t offset = 0);

 private:
  void check_range(std::size_t offset, std::size_t bytes, const char* what) const;

  std::shared_ptr<detail::ContextState> state_;
  std::uint8_t* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// Work captured from a stream once and replayed.
class FOURGE_API Graph {
 public:
  // Runs body, which launches on the stream, with the stream in (thread-local) capture mode. What
  // body throws passes on, and the capture ends. Sends the graph to the device, on the stream, so that
  // the first launch does no more than later ones.
  Graph(const DeviceContext& context, const Stream& stream, const std::function<void()>& body);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void launch(CUstream_st* stream) const;

 private:
  std::shared_ptr<detail::ContextState> state_;
  CUgraphExec_st* graph_ = nullptr;
};

}  // namespace fourge
