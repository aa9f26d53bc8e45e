// The parts of the quantize_server example, without HTTP and without a device.
#include <atomic>
#include <bit>
#include <cmath>
#include <future>
#include <limits>
#include <map>
#include <string>

#include "examples/quantize_server/job_queue.hpp"
#include "examples/quantize_server/npy.hpp"
#include "examples/quantize_server/server_metrics.hpp"
#include "examples/quantize_server/server_options.hpp"
#include "examples/quantize_server/tensor.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/exposition.hpp"

namespace fourge::tests {
namespace {

using namespace quantize_server;

Parameters given(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

std::string refusal(std::map<std::string, std::string> values, std::string body) {
  try {
    read_tensor(given(std::move(values)), std::move(body));
  } catch (const BadRequest& error) {
    return error.what();
  }
  return "nothing was refused";
}

std::string npy(const std::string& dictionary, std::size_t data_bytes, char version = 1) {
  std::string file = "\x93NUMPY";
  file += version;
  file += '\0';
  file += static_cast<char>(dictionary.size());
  file += '\0';
  if (version > 1) file += std::string(2, '\0');
  return file + dictionary + std::string(data_bytes, '\1');
}

bool says(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

std::string element(std::uint16_t bits) {
  return {static_cast<char>(bits & 0xFFU), static_cast<char>(bits >> 8U)};
}

// Waits in quantize() until it is let go.
class SlowBackend : public Backend {
 public:
  std::string name() const override { return "slow"; }
  void prepare() override {}
  std::unique_ptr<Quantizer> make_quantizer() override {
    if (fails) throw std::runtime_error("no device");
    return std::make_unique<Idle>();
  }
  bool fails = false;

 private:
  class Idle : public Quantizer {
    QuantizedTensor quantize(const Tensor&) override { return {}; }
  };
};

}  // namespace

TEST_CASE("server: raw bytes with dtype and shape", "[quantize_server]") {
  const Tensor tensor =
      read_tensor(given({{"dtype", "f16"}, {"shape", "2x16"}}), std::string(64, '\0'));
  CHECK(tensor.dtype == Dtype::f16);
  CHECK(tensor.layout == Layout::tiles_128x4);
  CHECK(tensor.rows == 2);
  CHECK(tensor.cols == 16);
  CHECK(tensor.global_scale == 1);
  CHECK(tensor.bytes() == 64);
  const auto scaled = read_tensor(
      given({{"dtype", "bf16"}, {"shape", "1x32"}, {"layout", "8x4"}, {"global_scale", "2.5"}}),
      std::string(64, '\0'));
  CHECK(scaled.layout == Layout::tiles_8x4);
  CHECK(scaled.global_scale == 2.5F);
}

TEST_CASE("server: what is wrong is said", "[quantize_server]") {
  const std::string body(64, '\0');
  CHECK(says(refusal({}, body), "dtype is missing"));
  CHECK(says(refusal({{"dtype", "f32"}}, body), "dtype is \"f32\""));
  CHECK(says(refusal({{"dtype", "bf16"}}, body), "shape is missing"));
  for (const char* shape : {"", "x", "2", "2x", "x16", "2x16x1", "-2x16", "0x16", "2 x16", "axb",
                            "99999999999999999999x16"}) {
    CHECK(says(refusal({{"dtype", "bf16"}, {"shape", shape}}, body), "ROWSxCOLS"));
  }
  CHECK(says(refusal({{"dtype", "bf16"}, {"shape", "4x8"}}, body), "multiples of 16"));
  CHECK(says(refusal({{"dtype", "bf16"}, {"shape", "1x16"}}, body), "64 bytes; 1x16"));
  CHECK(says(refusal({{"dtype", "bf16"}, {"shape", "1x16"}}, ""), "0 bytes"));
  CHECK(says(refusal({{"dtype", "bf16"}, {"shape", "2x16"}}, body + "x"), "65 bytes"));
  // 2^62 * 16 * 2 overflows to 0.
  CHECK(says(refusal({{"dtype", "bf16"}, {"shape", "4611686018427387904x16"}}, ""), "expected"));
  const std::map<std::string, std::string> good{{"dtype", "bf16"}, {"shape", "2x16"}};
  auto with = good;
  with["layout"] = "4x4";
  CHECK(says(refusal(with, body), "linear, 128x4 and 8x4"));
  for (const char* scale : {"", "0", "-1", "nan", "inf", "1e99", "2x"}) {
    with = good;
    with["global_scale"] = scale;
    CHECK(says(refusal(with, body), "positive, finite"));
  }
}

TEST_CASE("server: .npy files", "[quantize_server]") {
  const std::string head = "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 16), }\n";
  for (const char version : {char{1}, char{2}, char{3}}) {
    const Tensor tensor = read_tensor(given({}), npy(head, 64, version));
    CHECK(tensor.dtype == Dtype::f16);
    CHECK(tensor.rows == 2);
    CHECK(tensor.cols == 16);
    CHECK(tensor.bytes() == 64);
  }
  const auto flat =
      read_tensor(given({{"dtype", "bf16"}}),
                  npy("{'descr': '<u2', 'fortran_order': False, 'shape': (32,), }", 64));
  CHECK(flat.dtype == Dtype::bf16);
  CHECK(flat.rows == 1);
  CHECK(flat.cols == 32);
  const auto bad = [](const std::string& dictionary, std::size_t bytes = 64) {
    return refusal({}, npy(dictionary, bytes));
  };
  CHECK(says(bad("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 16), }"), "<f4"));
  CHECK(says(bad("{'descr': [('a', '<f2')], 'fortran_order': False, 'shape': (2,)}"), "plain"));
  CHECK(says(bad("{'descr': '<f2', 'fortran_order': True, 'shape': (2, 16), }"), "Fortran"));
  CHECK(says(bad("{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2, 16), }"), "3 dim"));
  CHECK(says(bad("{'descr': '<f2', 'fortran_order': False, 'shape': (), }"), "0 dim"));
  CHECK(says(bad("{'descr': '<f2', 'fortran_order': False, 'shape': (a,), }"), "bad shape"));
  CHECK(says(bad("{'descr': '<f2', 'fortran_order': False, 'shape': 3}"), "no shape"));
  CHECK(says(bad("{'descr': '<f2', 'shape': (2, 16), }"), "fortran_order"));
  CHECK(says(bad("{'descr': '<f2', 'fortran_order': False, 'shape': (2, 16), }", 62), "62 bytes"));
  CHECK(says(refusal({{"dtype", "bf16"}}, npy(head, 64)), "dtype is bf16"));
  CHECK(says(refusal({{"shape", "2x16"}}, npy(head, 64)), "leave shape out"));
  // Cut off anywhere, or with any length, it is refused and nothing else happens.
  const std::string whole = npy(head, 64);
  for (std::size_t length = 6; length < whole.size(); ++length) {
    CHECK_THROWS_AS(read_tensor(given({{"dtype", "f16"}}), whole.substr(0, length)), BadRequest);
  }
  CHECK(says(refusal({}, npy(head, 64, 4)), "versions"));
}

TEST_CASE("server: the scale follows from the largest magnitude", "[quantize_server]") {
  const auto scale = [](const char* dtype, std::uint16_t first, std::uint16_t second) {
    std::string body = element(first) + element(second) + std::string(28, '\0');
    return read_tensor(given({{"dtype", dtype}, {"shape", "1x16"}}), std::move(body)).global_scale;
  };
  CHECK(scale("bf16", 0x40C0, 0xBF80) == 448.0F);  // 6, -1
  CHECK(scale("bf16", 0x3F80, 0xC0C0) == 448.0F);
  CHECK(scale("f16", 0x4600, 0x3C00) == 448.0F);
  CHECK(scale("f16", 0x7BFF, 0) == 2688.0F / 65504.0F);
  CHECK(scale("f16", 0x0001, 0) == 2688.0F / std::ldexp(1.0F, -24));
  CHECK(scale("bf16", 0x0001, 0) == std::numeric_limits<float>::max());
  CHECK(scale("bf16", 0x7FC0, 0x40C0) == 448.0F);  // NaN is passed over
  CHECK(scale("bf16", 0x8000, 0) == 1.0F);
  CHECK_THROWS_AS(scale("bf16", 0xFF80, 0), BadRequest);
  CHECK_THROWS_AS(scale("f16", 0x7C00, 0), BadRequest);
}

TEST_CASE("server: the queue takes as many as it says", "[quantize_server]") {
  SlowBackend backend;
  JobQueue queue(2);
  queue.start(1, backend);
  std::promise<void> begun;
  std::promise<void> go;
  std::atomic<int> done{0};
  REQUIRE(queue.push([&](Quantizer&) {
    begun.set_value();
    go.get_future().wait();
    ++done;
  }));
  begun.get_future().wait();
  const auto count = [&](Quantizer&) { ++done; };
  CHECK(queue.push(count));
  CHECK(queue.push(count));
  CHECK(queue.depth() == 2);
  CHECK_FALSE(queue.push(count));
  go.set_value();
  queue.close();  // what waits is done
  CHECK(done == 3);
  CHECK_FALSE(queue.push(count));
  JobQueue other(1);
  backend.fails = true;
  CHECK_THROWS_WITH(other.start(1, backend), "no device");
}

TEST_CASE("server: metrics are valid", "[quantize_server]") {
  ServerMetrics metrics;
  metrics.answered(200);
  metrics.answered(503);
  metrics.answered(418);
  metrics.quantized(512, std::chrono::milliseconds(3));
  metrics.quantized(512, std::chrono::seconds(30));
  const Exposition read = parse_exposition(metrics.text({4, 3, 32, true}));
  INFO(read.problem);
  REQUIRE(read.problem.empty());
  CHECK(read.value("quantize_server_answers_total", "status=200") == "1");
  CHECK(read.value("quantize_server_answers_total", "status=500") == "1");
  CHECK(read.value("quantize_server_elements_total", "") == "1024");
  CHECK(read.value("quantize_server_seconds", "#bucket,le=0.0025") == "0");
  CHECK(read.value("quantize_server_seconds", "#bucket,le=0.005") == "1");
  CHECK(read.value("quantize_server_seconds", "#bucket,le=10") == "1");
  CHECK(read.value("quantize_server_seconds", "#bucket,le=+Inf") == "2");
  CHECK(read.value("quantize_server_seconds", "#count") == "2");
  CHECK(read.value("quantize_server_under_way", "") == "4");
  CHECK(read.value("quantize_server_queue_depth", "") == "3");
  CHECK(read.value("quantize_server_ready", "") == "1");
}

TEST_CASE("server: options", "[quantize_server]") {
  const ServerOptions options = parse_options({"--port", "0", "--device", "gpu", "--workers", "3",
                                               "--queue", "5", "--max-body", "77", "--verbose"});
  CHECK(options.port == 0);
  CHECK(options.device == DeviceChoice::gpu);
  CHECK(options.workers == 3);
  CHECK(options.queue == 5);
  CHECK(options.max_body == 77);
  CHECK(options.verbose);
  CHECK(parse_options({"--help"}).help);
  CHECK_THROWS_WITH(parse_options({"--port", "65536"}),
                    "--port takes a number from 0 to 65535, not \"65536\"");
  CHECK_THROWS_AS(parse_options({"--device", "tpu"}), std::invalid_argument);
  CHECK_THROWS_AS(parse_options({"--queue"}), std::invalid_argument);
  CHECK_THROWS_AS(parse_options({"--colour", "red"}), std::invalid_argument);
}

}  // namespace fourge::tests
