// The server example's worker threads on a GPU, without HTTP: right bytes, and nothing is compiled or
// loaded once it is prepared.
#include <atomic>
#include <cstring>
#include <future>
#include <string>

#include "examples/quantize_server/backend.hpp"
#include "examples/quantize_server/job_queue.hpp"
#include "tests/gpu/gpu_fixture.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"

namespace fourge::tests {
namespace {

using quantize_server::Dtype;
using quantize_server::Layout;
using quantize_server::QuantizedTensor;
using quantize_server::Tensor;

struct Request {
  std::vector<std::uint16_t> x;
  Tensor tensor;
};

Request request_of(std::size_t number) {
  constexpr Dtype kTypes[] = {Dtype::bf16, Dtype::f16};
  constexpr Layout kAll[] = {Layout::linear, Layout::tiles_128x4, Layout::tiles_8x4};
  Request request;
  Tensor& tensor = request.tensor;
  tensor.dtype = kTypes[number % 2];
  tensor.layout = kAll[number % 3];
  tensor.rows = static_cast<std::int64_t>(1 + number * 37 % 300);
  tensor.cols = static_cast<std::int64_t>(16 * (1 + number * 7 % 60));
  const auto type =
      tensor.dtype == Dtype::f16 ? reference::ElementType::f16 : reference::ElementType::bf16;
  request.x = make_input(Pattern::random, type, tensor.rows, tensor.cols, number);
  tensor.global_scale = te_global_scale(request.x, type);
  tensor.file.resize(request.x.size() * 2);
  std::memcpy(tensor.file.data(), request.x.data(), tensor.file.size());
  return request;
}

bool is_right(const Request& request, const QuantizedTensor& result) {
  reference::Nvfp4Problem problem;
  problem.x = request.x;
  problem.type = request.tensor.dtype == Dtype::f16 ? reference::ElementType::f16
                                                    : reference::ElementType::bf16;
  problem.rows = request.tensor.rows;
  problem.cols = request.tensor.cols;
  problem.global_scale = request.tensor.global_scale;
  problem.layout = reference::parse_scale_layout(to_string(request.tensor.layout));
  const auto expected = reference::quantize_nvfp4(problem);
  return result.codes == std::string(expected.codes.begin(), expected.codes.end()) &&
         result.scales == std::string(expected.scales.begin(), expected.scales.end());
}

}  // namespace

TEST_CASE("the server example's workers quantize on the GPU and compile nothing", "[server]") {
  Gpu& gpu = Gpu::get();
  Runtime runtime(gpu.runtime().options());
  quantize_server::ServerOptions options;
  options.ordinal = gpu.info().ordinal;
  const auto backend = quantize_server::make_backend(options, runtime);
  CHECK(backend->name() == gpu.info().name);
  backend->prepare();
  const Stats ready = runtime.stats();
  CHECK(ready.loads >= quantize_server::kVariants);  // fallback variants may come on top

  constexpr std::size_t kRequests = 120;
  std::atomic<std::size_t> right{0};
  std::atomic<std::size_t> failed{0};
  {
    quantize_server::JobQueue queue(kRequests);
    queue.start(4, *backend);
    for (std::size_t number = 0; number < kRequests; ++number) {
      REQUIRE(queue.push([&, number](quantize_server::Quantizer& quantizer) {
        try {
          const Request request = request_of(number);
          if (is_right(request, quantizer.quantize(request.tensor))) ++right;
        } catch (const std::exception&) {
          ++failed;
        }
      }));
    }
  }
  CHECK(failed == 0);
  CHECK(right == kRequests);
  CHECK(runtime.stats().compiles == ready.compiles);
  CHECK(runtime.stats().loads == ready.loads);
  CHECK(runtime.stats().frozen_misses == 0);
}

}  // namespace fourge::tests
