// The quantize_server example as people run it: a process that is asked over HTTP, by host execution.
#include <httplib.h>
#include <signal.h>
#include <sys/stat.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "reference/nvfp4.hpp"
#include "tests/examples/running_server.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/exposition.hpp"

namespace fourge::tests {
namespace {

constexpr const char* kBinary = "application/octet-stream";

// Finite numbers of both types, none very large.
std::vector<std::uint16_t> numbers(std::int64_t rows, std::int64_t cols) {
  std::vector<std::uint16_t> x(static_cast<std::size_t>(rows * cols));
  std::uint32_t state = 12345;
  for (auto& bits : x) {
    state = state * 1664525U + 1013904223U;
    bits = static_cast<std::uint16_t>((state >> 8U & 0x8FFFU) | 0x3000U);
  }
  return x;
}

std::string bytes_of(const std::vector<std::uint16_t>& x) {
  std::string bytes(x.size() * 2, '\0');
  std::memcpy(bytes.data(), x.data(), bytes.size());
  return bytes;
}

httplib::Client client_for(const RunningServer& server) {
  httplib::Client client("127.0.0.1", server.port());
  client.set_read_timeout(120);
  return client;
}

Exposition metrics_of(const RunningServer& server) {
  auto client = client_for(server);
  const auto answer = client.Get("/metrics");
  REQUIRE(answer);
  CHECK(answer->get_header_value("Content-Type").find("version=0.0.4") != std::string::npos);
  Exposition read = parse_exposition(answer->body);
  INFO(read.problem);
  REQUIRE(read.problem.empty());
  return read;
}

bool says(const httplib::Result& answer, int status, const std::string& part) {
  REQUIRE(answer);
  INFO(answer->status << ": " << answer->body);
  CHECK(answer->status == status);
  return answer->body.find(part) != std::string::npos;
}

// The reference's codes and scales, one behind the other.
std::string expected(const std::vector<std::uint16_t>& x, std::int64_t rows, std::int64_t cols,
                     const std::string& dtype, const std::string& layout, float scale) {
  reference::Nvfp4Problem problem;
  problem.x = x;
  problem.type = dtype == "f16" ? reference::ElementType::f16 : reference::ElementType::bf16;
  problem.rows = rows;
  problem.cols = cols;
  problem.global_scale = scale;
  problem.layout = reference::parse_scale_layout(layout);
  const auto output = reference::quantize_nvfp4(problem);
  std::string bytes(output.codes.begin(), output.codes.end());
  return bytes.append(output.scales.begin(), output.scales.end());
}

}  // namespace

TEST_CASE("server: quantizes as the reference does, and compiles nothing when ready",
          "[quantize_server][process]") {
  RunningServer server({"--max-body", "40000"});
  REQUIRE(server.wait_for_line("ready"));
  auto client = client_for(server);
  CHECK(says(client.Get("/healthz"), 200, "host execution"));
  CHECK(says(client.Get("/readyz"), 200, "ready"));
  const auto before = metrics_of(server);

  constexpr std::int64_t kRows = 130;
  constexpr std::int64_t kCols = 80;
  const auto x = numbers(kRows, kCols);
  for (const char* dtype : {"bf16", "f16"}) {
    for (const char* layout : {"linear", "128x4", "8x4"}) {
      INFO(dtype << ' ' << layout);
      const auto answer =
          client.Post(std::string("/v1/quantize?dtype=") + dtype + "&shape=130x80&layout=" + layout,
                      bytes_of(x), kBinary);
      REQUIRE(answer);
      INFO(answer->body);
      REQUIRE(answer->status == 200);
      const float scale = std::stof(answer->get_header_value("X-Global-Scale"));
      CHECK((answer->body == expected(x, kRows, kCols, dtype, layout, scale)));
      CHECK(answer->get_header_value("X-Shape") == "130x80");
      CHECK(answer->get_header_value("X-Device") == "host execution");
      CHECK(answer->get_header_value("X-Codes-Bytes") == std::to_string(kRows * kCols / 2));
    }
  }
  // Parameters as headers, and a .npy file.
  const httplib::Headers headers{
      {"X-Dtype", "bf16"}, {"X-Shape", "1x16"}, {"X-Global-Scale", "7.5"}, {"X-Layout", "linear"}};
  const auto one = numbers(1, 16);
  const auto answer = client.Post("/v1/quantize", headers, bytes_of(one), kBinary);
  REQUIRE(answer);
  CHECK((answer->body == expected(one, 1, 16, "bf16", "linear", 7.5F)));
  std::string npy("\x93NUMPY\x01\x00\x3d\x00", 10);
  npy += "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 16), }\n";
  const auto from_npy =
      client.Post("/v1/quantize?layout=linear&global_scale=2", npy + bytes_of(one), kBinary);
  REQUIRE(from_npy);
  INFO(from_npy->body);
  CHECK((from_npy->body == expected(one, 1, 16, "f16", "linear", 2.0F)));

  CHECK(says(client.Post("/v1/quantize", bytes_of(one), kBinary), 400, "dtype is missing"));
  CHECK(says(client.Post("/v1/quantize?dtype=bf16&shape=1x32", bytes_of(one), kBinary), 400,
             "32 bytes; 1x32"));
  CHECK(says(client.Post("/v1/quantize", std::string(40001, 'x'), kBinary), 413, "40000 bytes"));
  CHECK(says(client.Get("/v1/nothing"), 404, "there is no /v1/nothing"));

  const auto after = metrics_of(server);
  for (const char* name :
       {"fourge_compiles_total", "fourge_host_compiles_total", "fourge_compile_failures_total",
        "fourge_loads_total", "fourge_frozen_misses_total"}) {
    INFO(name);
    CHECK_FALSE(after.value(name, "").empty());
    CHECK(after.value(name, "") == before.value(name, ""));
  }
  CHECK(after.value("quantize_server_answers_total", "status=200") == "8");
  CHECK(after.value("quantize_server_answers_total", "status=400") == "2");
  CHECK(after.value("quantize_server_answers_total", "status=413") == "1");
  CHECK(after.value("quantize_server_ready", "") == "1");
  server.signal(SIGTERM);
  CHECK(server.wait() == 0);
  CHECK(server.all().find("stopped") != std::string::npos);
}

TEST_CASE("server: a full queue refuses, and SIGTERM lets requests finish",
          "[quantize_server][process]") {
  RunningServer server({"--workers", "1", "--queue", "1", "--grace", "120"});
  REQUIRE(server.wait_for_line("ready"));
  const std::string body = bytes_of(numbers(2048, 1024));
  const auto ask = [&] {
    auto client = client_for(server);
    const auto answer =
        client.Post("/v1/quantize?dtype=bf16&shape=2048x1024&global_scale=1", body, kBinary);
    if (!answer) return 0;
    if (answer->status == 503 && answer->get_header_value("Retry-After") != "1") return -1;
    return answer->status;
  };
  std::vector<std::future<int>> asked;
  for (int i = 0; i < 8; ++i) asked.push_back(std::async(std::launch::async, ask));
  std::map<int, int> statuses;
  for (auto& answer : asked) ++statuses[answer.get()];
  INFO(statuses[0] << " without an answer");
  CHECK(statuses[200] >= 2);
  CHECK(statuses[503] >= 1);
  CHECK(statuses[200] + statuses[503] == 8);
  CHECK(metrics_of(server).value("quantize_server_answers_total", "status=503") ==
        std::to_string(statuses[503]));

  auto last = std::async(std::launch::async, ask);
  while (metrics_of(server).value("quantize_server_under_way", "") == "0" &&
         last.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  server.signal(SIGTERM);
  CHECK(last.get() == 200);
  const int exit_code = server.wait();
  INFO(server.all());
  CHECK(exit_code == 0);
}

TEST_CASE("server: not ready is said, and a kernel that does not compile ends it",
          "[quantize_server][process]") {
  namespace fs = std::filesystem;
  std::string pattern = (fs::temp_directory_path() / "fourge-server-XXXXXX").string();
  const std::string directory = mkdtemp(pattern.data());
  const std::string compiler = directory + "/c++";
  std::ofstream(compiler) << "#!/bin/sh\ntouch " << directory << "/begun\nwhile [ ! -e "
                          << directory << "/go ]; do sleep 0.05; done\necho broken >&2\nexit 1\n";
  chmod(compiler.c_str(), 0700);
  RunningServer server({}, {{"FOURGE_CACHE_DIR", ""}, {"FOURGE_HOST_CXX", compiler}});
  auto client = client_for(server);
  CHECK(says(client.Get("/healthz"), 200, "ok"));
  CHECK(says(client.Get("/readyz"), 503, "preparing"));
  CHECK(says(client.Post("/v1/quantize?dtype=bf16&shape=1x16", std::string(32, '\0'), kBinary), 503,
             "being prepared"));
  while (!fs::exists(directory + "/begun")) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(metrics_of(server).value("quantize_server_ready", "") == "0");
  std::ofstream(directory + "/go") << "go";
  CHECK(server.wait() == 1);
  CHECK(server.all().find("broken") != std::string::npos);
  fs::remove_all(directory);
}

namespace {

// What a command prints to its standard output, and its exit code.
struct CommandEnd {
  std::string said;
  int code;
};
CommandEnd run_command(const std::string& command) {
  CommandEnd end{{}, -1};
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return end;
  char buffer[1024];
  while (std::fgets(buffer, sizeof(buffer), pipe) != nullptr) end.said += buffer;
  const int status = pclose(pipe);
  end.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return end;
}

}  // namespace

TEST_CASE("server: the load test's figures", "[quantize_server][process]") {
  const std::string python = FOURGE_PYTHON3;
  if (python.empty()) {
    WARN("python3 is not installed: the load test is not checked");
    return;
  }
  RunningServer server({"--queue", "8"});
  const CommandEnd end = run_command(python +
                                     " " FOURGE_SOURCE_DIR
                                     "/examples/quantize_server/load_test.py --requests 24 "
                                     "--concurrency 4 --shape 16x64 --url " +
                                     server.url());
  INFO(end.said);
  CHECK(end.code == 0);
  CHECK(end.said.find("\"200\": 24") != std::string::npos);
  CHECK(end.said.find("\"compiler_untouched\": true") != std::string::npos);
  CHECK(end.said.find("\"p99_ms\"") != std::string::npos);
}

TEST_CASE("server: the script that starts it, loads it and stops it",
          "[quantize_server][process]") {
  if (std::string(FOURGE_PYTHON3).empty()) {
    WARN("python3 is not installed: the script is not checked");
    return;
  }
  const std::string script = FOURGE_SOURCE_DIR "/tests/gpu/server_load.sh ";
  const CommandEnd good = run_command(script + FOURGE_QUANTIZE_SERVER + " host 24 16x64");
  INFO(good.said);
  CHECK(good.code == 0);
  CHECK(good.said.find("\"200\": 24") != std::string::npos);
  CHECK(good.said.find("\"compiler_untouched\": true") != std::string::npos);
  const CommandEnd none = run_command(script + "/no/such/program host");
  CHECK(none.code == 77);
  CHECK(none.said.find("{\"skipped\": \"quantize_server was not built") == 0);
  CHECK(run_command(script + "2>/dev/null").code == 2);
}

}  // namespace fourge::tests
