#include <fmt/format.h>

#include <fourge/device.hpp>
#include <fourge/error.hpp>
#include <utility>

#include "runtime/driver/capture.hpp"
#include "runtime/driver/driver.hpp"

namespace fourge {
namespace detail {

// A retained context; what is made in it holds on to it.
struct ContextState {
  ContextState(int ordinal_wanted, ContextKind kind_wanted, const std::string& path);
  ~ContextState();
  ContextState(const ContextState&) = delete;
  ContextState& operator=(const ContextState&) = delete;

  void push() const { driver->check(driver->cuCtxPushCurrent(context), "cuCtxPushCurrent"); }
  // True if it could be made current.
  bool try_push() const noexcept { return driver->cuCtxPushCurrent(context) == CUDA_SUCCESS; }
  void pop() const noexcept {
    CUcontext popped = nullptr;
    driver->cuCtxPopCurrent(&popped);
  }

  std::shared_ptr<const Driver> driver;
  int ordinal;
  ContextKind kind;
  CUdevice device = 0;
  CUcontext context = nullptr;
};

ContextState::ContextState(int ordinal_wanted, ContextKind kind_wanted, const std::string& path)
    : driver(Driver::load(path)), ordinal(ordinal_wanted), kind(kind_wanted) {
  int count = 0;
  driver->check(driver->cuDeviceGetCount(&count), "cuDeviceGetCount");
  if (ordinal < 0 || ordinal >= count) {
    throw Error(ErrorKind::unsupported,
                fmt::format("device {} was asked for; this machine has {}", ordinal, count));
  }
  driver->check(driver->cuDeviceGet(&device, ordinal), "cuDeviceGet");
  if (kind == ContextKind::primary) {
    driver->check(driver->cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
    return;
  }
  driver->check(driver->cuCtxCreate(&context, 0, device), "cuCtxCreate");
  pop();  // creating made it current; who wants that pushes
}

ContextState::~ContextState() {
  if (kind == ContextKind::primary) {
    driver->cuDevicePrimaryCtxRelease(device);
  } else {
    driver->cuCtxDestroy(context);
  }
}

}  // namespace detail

namespace {

using detail::ContextState;

// Makes an object's context current while it is freed, whatever the thread has current.
template <class Free>
void free_in(const ContextState& state, const Free& free_it) noexcept {
  const bool pushed = state.try_push();
  free_it();
  if (pushed) state.pop();
}

CUdeviceptr device_pointer(const std::uint8_t* data) {
  return static_cast<CUdeviceptr>(reinterpret_cast<std::uintptr_t>(data));
}

std::string uuid_text(const CUuuid& uuid) {
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

DeviceInfo read_info(const Driver& driver, int ordinal) {
  DeviceInfo info;
  info.ordinal = ordinal;
  CUdevice device = 0;
  driver.check(driver.cuDeviceGet(&device, ordinal), "cuDeviceGet");
  const auto attribute = [&](CUdevice_attribute which) {
    int value = 0;
    driver.check(driver.cuDeviceGetAttribute(&value, which, device), "cuDeviceGetAttribute");
    return value;
  };
  char name[256] = {};
  driver.check(driver.cuDeviceGetName(name, sizeof(name) - 1, device), "cuDeviceGetName");
  info.name = name;
  info.major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  info.minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  info.multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  info.l2_bytes = static_cast<std::size_t>(attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE));
  driver.check(driver.cuDeviceTotalMem(&info.memory_bytes, device), "cuDeviceTotalMem");
  CUuuid uuid = {};
  driver.check(driver.cuDeviceGetUuid(&uuid, device), "cuDeviceGetUuid");
  info.uuid = uuid_text(uuid);
  info.target = Target::for_device(info.major, info.minor);
  return info;
}

}  // namespace

std::vector<DeviceInfo> list_devices(std::string* reason, const std::string& driver_path) {
  std::vector<DeviceInfo> devices;
  std::string why;
  try {
    const auto driver = Driver::load(driver_path);
    int count = 0;
    driver->check(driver->cuDeviceGetCount(&count), "cuDeviceGetCount");
    for (int ordinal = 0; ordinal < count; ++ordinal) {
      devices.push_back(read_info(*driver, ordinal));
    }
    if (count == 0) why = "the CUDA driver is installed and reports no device";
  } catch (const Error& error) {
    devices.clear();
    why = error.what();
  }
  if (reason != nullptr) *reason = why;
  return devices;
}

int driver_version(std::string* reason, const std::string& driver_path) {
  try {
    return Driver::load(driver_path)->version();
  } catch (const Error& error) {
    if (reason != nullptr) *reason = error.what();
    return 0;
  }
}

DeviceContext::DeviceContext(int ordinal, ContextKind kind, const std::string& driver)
    : state_(std::make_shared<ContextState>(ordinal, kind, driver)) {
  state_->push();
}

DeviceContext::~DeviceContext() { state_->pop(); }

int DeviceContext::ordinal() const noexcept { return state_->ordinal; }

void DeviceContext::synchronize() const {
  const CurrentContext current(*this);
  state_->driver->check(state_->driver->cuCtxSynchronize(), "cuCtxSynchronize");
}

CurrentContext::CurrentContext(const DeviceContext& context) : state_(context.state()) {
  state_->push();
}

CurrentContext::~CurrentContext() { state_->pop(); }

Stream::Stream(const DeviceContext& context) : state_(context.state()) {
  const CurrentContext current(context);
  const Driver& driver = *state_->driver;
  driver.check(driver.cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
}

Stream::~Stream() {
  free_in(*state_, [&] { state_->driver->cuStreamDestroy(stream_); });
}

void Stream::synchronize() const {
  state_->driver->check(state_->driver->cuStreamSynchronize(stream_), "cuStreamSynchronize");
}

Event::Event(const DeviceContext& context) : state_(context.state()) {
  const CurrentContext current(context);
  const Driver& driver = *state_->driver;
  driver.check(driver.cuEventCreate(&event_, CU_EVENT_DEFAULT), "cuEventCreate");
}

Event::~Event() {
  free_in(*state_, [&] { state_->driver->cuEventDestroy(event_); });
}

void Event::record(CUstream_st* stream) {
  state_->driver->check(state_->driver->cuEventRecord(event_, stream), "cuEventRecord");
}

void Event::synchronize() const {
  state_->driver->check(state_->driver->cuEventSynchronize(event_), "cuEventSynchronize");
}

double Event::milliseconds(const Event& begin, const Event& end) {
  const Driver& driver = *begin.state_->driver;
  float time = 0;
  driver.check(driver.cuEventElapsedTime(&time, begin.event_, end.event_), "cuEventElapsedTime");
  return static_cast<double>(time);
}

DeviceBuffer::DeviceBuffer(const DeviceContext& context, std::size_t bytes)
    : state_(context.state()), bytes_(bytes) {
  const CurrentContext current(context);
  CUdeviceptr pointer = 0;
  // The driver refuses to allocate nothing.
  const std::size_t wanted = bytes == 0 ? 1 : bytes;
  state_->driver->check(state_->driver->cuMemAlloc(&pointer, wanted), "cuMemAlloc",
                        fmt::format("{} bytes", wanted));
  data_ = reinterpret_cast<std::uint8_t*>(static_cast<std::uintptr_t>(pointer));
}

DeviceBuffer::~DeviceBuffer() {
  if (data_ == nullptr) return;
  free_in(*state_, [&] { state_->driver->cuMemFree(device_pointer(data_)); });
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : state_(other.state_),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

void DeviceBuffer::check_range(std::size_t offset, std::size_t bytes, const char* what) const {
  if (offset <= bytes_ && bytes <= bytes_ - offset) return;
  throw Error(ErrorKind::invalid_argument,
              fmt::format("{} of {} bytes at offset {} does not fit a device buffer of {}", what,
                          bytes, offset, bytes_));
}

void DeviceBuffer::upload(const void* source, std::size_t bytes, CUstream_st* stream,
                          std::size_t offset) {
  check_range(offset, bytes, "an upload");
  if (bytes == 0) return;
  state_->driver->check(
      state_->driver->cuMemcpyHtoDAsync(device_pointer(data_ + offset), source, bytes, stream),
      "cuMemcpyHtoDAsync");
}

void DeviceBuffer::download(void* destination, std::size_t bytes, CUstream_st* stream,
                            std::size_t offset) const {
  check_range(offset, bytes, "a download");
  if (bytes == 0) return;
  state_->driver->check(
      state_->driver->cuMemcpyDtoHAsync(destination, device_pointer(data_ + offset), bytes, stream),
      "cuMemcpyDtoHAsync");
}

void DeviceBuffer::fill(std::uint8_t value, CUstream_st* stream) { fill(value, bytes_, stream, 0); }

void DeviceBuffer::fill(std::uint8_t value, std::size_t bytes, CUstream_st* stream,
                        std::size_t offset) {
  check_range(offset, bytes, "a fill");
  if (bytes == 0) return;
  state_->driver->check(
      state_->driver->cuMemsetD8Async(device_pointer(data_ + offset), value, bytes, stream),
      "cuMemsetD8Async");
}

void DeviceBuffer::copy_from(const DeviceBuffer& source, std::size_t bytes, CUstream_st* stream,
                             std::size_t source_offset, std::size_t offset) {
  source.check_range(source_offset, bytes, "a copy from");
  check_range(offset, bytes, "a copy to");
  if (bytes == 0) return;
  state_->driver->check(state_->driver->cuMemcpyDtoDAsync(
                            device_pointer(data_ + offset),
                            device_pointer(source.data_ + source_offset), bytes, stream),
                        "cuMemcpyDtoDAsync");
}

Graph::Graph(const DeviceContext& context, const Stream& stream, const std::function<void()>& body)
    : state_(context.state()) {
  const Driver& driver = *state_->driver;
  driver.check(driver.cuStreamBeginCapture(stream.get(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
               "cuStreamBeginCapture");
  CUgraph graph = nullptr;
  try {
    const detail::CapturingThread capturing;
    body();
  } catch (...) {
    if (driver.cuStreamEndCapture(stream.get(), &graph) == CUDA_SUCCESS && graph != nullptr) {
      driver.cuGraphDestroy(graph);
    }
    throw;
  }
  driver.check(driver.cuStreamEndCapture(stream.get(), &graph), "cuStreamEndCapture");
  const CUresult result = driver.cuGraphInstantiateWithFlags(&graph_, graph, 0);
  driver.cuGraphDestroy(graph);
  driver.check(result, "cuGraphInstantiateWithFlags");
  if (driver.cuGraphUpload == nullptr) return;
  const CUresult uploaded = driver.cuGraphUpload(graph_, stream.get());
  if (uploaded != CUDA_SUCCESS) driver.cuGraphExecDestroy(graph_);
  driver.check(uploaded, "cuGraphUpload");
}

Graph::~Graph() {
  free_in(*state_, [&] { state_->driver->cuGraphExecDestroy(graph_); });
}

void Graph::launch(CUstream_st* stream) const {
  state_->driver->check(state_->driver->cuGraphLaunch(graph_, stream), "cuGraphLaunch");
}

}  // namespace fourge
