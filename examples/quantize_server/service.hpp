// The HTTP side: routes, states, answers.
//
//   POST /v1/quantize   a tensor (tensor.hpp); 200 with the codes, then the scales
//   GET  /healthz       200 as long as the process serves
//   GET  /readyz        200 when every kernel is prepared, 503 before and while stopping
//   GET  /metrics       Prometheus text: the server's and fourge's
#pragma once

#include <fourge/runtime.hpp>

#include <httplib.h>

#include <atomic>
#include <memory>
#include <string>

#include "examples/quantize_server/backend.hpp"
#include "examples/quantize_server/job_queue.hpp"
#include "examples/quantize_server/server_metrics.hpp"
#include "examples/quantize_server/server_options.hpp"

namespace quantize_server {

class Service {
 public:
  // All of them must outlive it.
  Service(const ServerOptions& options, fourge::Runtime& runtime, Backend& backend);

  // The port it listens on, or -1.
  int bind();
  // Serves until stop(). Requests to quantize are refused until prepare() is done.
  void serve();
  // Prepares the kernels and starts the workers. Throws what the backend throws.
  void prepare();
  // Refuses new requests, lets those that were taken finish, ends serve(). From another thread.
  void stop();

 private:
  enum class State { preparing, ready, stopping };

  void add_routes();
  void quantize(const httplib::Request& request, httplib::Response& response);
  void answer(httplib::Response& response, int status, const std::string& text);
  // Waits for its turn. False if the queue has no room.
  bool run(const Tensor& tensor, QuantizedTensor& result);

  const ServerOptions& options_;
  fourge::Runtime& runtime_;
  Backend& backend_;
  ServerMetrics metrics_;
  JobQueue queue_;
  std::atomic<State> state_{State::preparing};
  std::atomic<std::size_t> under_way_{0};  // tensors that were taken
  httplib::Server http_;
};

}  // namespace quantize_server
