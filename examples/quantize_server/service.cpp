#include "examples/quantize_server/service.hpp"

#include <fourge/prometheus.hpp>

#include <chrono>
#include <cstdio>
#include <future>

#include "examples/quantize_server/connection_pool.hpp"

namespace quantize_server {
namespace {

constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kQuantizePath = "/v1/quantize";
// Beside the requests that are worked on or wait: for health checks and metrics.
constexpr std::size_t kSpareThreads = 8;

// From the query string, or a header such as X-Dtype or X-Global-Scale.
Parameters parameters_of(const httplib::Request& request) {
  return [&request](const std::string& name) -> std::optional<std::string> {
    if (request.has_param(name.c_str())) return request.get_param_value(name.c_str());
    std::string header = "X-" + name;
    for (char& c : header) c = c == '_' ? '-' : c;
    if (request.has_header(header.c_str())) return request.get_header_value(header.c_str());
    return std::nullopt;
  };
}

// Enough digits for the same float when read again.
std::string float_text(float value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.9g", static_cast<double>(value));
  return text;
}

}  // namespace

Service::Service(const ServerOptions& options, fourge::Runtime& runtime, Backend& backend)
    : options_(options), runtime_(runtime), backend_(backend), queue_(options.queue) {
  http_.new_task_queue = [this] {
    return new ConnectionPool(options_.workers + options_.queue + kSpareThreads);
  };
  http_.set_payload_max_length(options_.max_body);
  http_.set_keep_alive_timeout(1);
  http_.set_keep_alive_max_count(100'000);
  http_.set_tcp_nodelay(true);
  add_routes();
}

int Service::bind() {
  if (options_.port == 0) return http_.bind_to_any_port(options_.address);
  return http_.bind_to_port(options_.address, options_.port) ? options_.port : -1;
}

void Service::serve() { http_.listen_after_bind(); }

void Service::prepare() {
  backend_.prepare();
  queue_.start(options_.workers, backend_);
  State expected = State::preparing;
  state_.compare_exchange_strong(expected, State::ready);
}

void Service::stop() {
  state_ = State::stopping;
  // Handlers wait for their jobs, and httplib for its handlers.
  http_.stop();
}

void Service::answer(httplib::Response& response, int status, const std::string& text) {
  response.status = status;
  if (status == 503) response.set_header("Retry-After", "1");
  response.set_content(text + "\n", kText);
}

void Service::add_routes() {
  http_.Post(kQuantizePath, [this](const httplib::Request& request, httplib::Response& response) {
    quantize(request, response);
    metrics_.answered(response.status);
  });
  http_.Get("/healthz", [this](const httplib::Request&, httplib::Response& response) {
    answer(response, 200, "ok, on " + backend_.name());
  });
  http_.Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
    const State state = state_;
    answer(response, state == State::ready ? 200 : 503,
           state == State::ready       ? "ready"
           : state == State::preparing ? "preparing kernels"
                                       : "stopping");
  });
  http_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
    const Gauges gauges{under_way_, queue_.depth(), queue_.capacity(), state_ == State::ready};
    response.set_content(metrics_.text(gauges) + fourge::prometheus_text(runtime_.stats()),
                         std::string(fourge::kPrometheusContentType));
  });
  // What no route answered: too large a body, an unknown path.
  http_.set_error_handler([this](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    if (response.status == 413) {
      metrics_.answered(413);
      answer(response, 413,
             "the body is larger than " + std::to_string(options_.max_body) +
                 " bytes (--max-body), or is sent as a form: use Content-Type: "
                 "application/octet-stream");
    } else if (response.status == 404) {
      answer(
          response, 404,
          "there is no " + request.path + "; POST /v1/quantize, GET /healthz, /readyz, /metrics");
    } else {
      answer(response, response.status, "status " + std::to_string(response.status));
    }
  });
}

bool Service::run(const Tensor& tensor, QuantizedTensor& result) {
  std::promise<void> promise;
  std::future<void> done = promise.get_future();
  const bool taken = queue_.push([&](Quantizer& quantizer) {
    try {
      result = quantizer.quantize(tensor);
      promise.set_value();
    } catch (...) {
      promise.set_exception(std::current_exception());
    }
  });
  if (!taken) return false;
  ++under_way_;
  done.wait();
  --under_way_;
  done.get();
  return true;
}

void Service::quantize(const httplib::Request& request, httplib::Response& response) {
  const auto start = std::chrono::steady_clock::now();
  if (const State state = state_; state != State::ready) {
    return answer(response, 503,
                  state == State::preparing ? "kernels are being prepared; ask /readyz"
                                            : "the server is stopping");
  }
  try {
    // The body is the request's, which httplib is done with.
    const Tensor tensor =
        read_tensor(parameters_of(request), std::move(const_cast<httplib::Request&>(request).body));
    QuantizedTensor result;
    if (!run(tensor, result)) {
      return answer(response, 503,
                    "the queue is full: " + std::to_string(queue_.capacity()) +
                        " requests wait already (--queue)");
    }
    response.status = 200;
    response.set_header("X-Shape", std::to_string(tensor.rows) + "x" + std::to_string(tensor.cols));
    response.set_header("X-Layout", to_string(tensor.layout));
    response.set_header("X-Global-Scale", float_text(tensor.global_scale));
    response.set_header("X-Codes-Bytes", std::to_string(result.codes.size()));
    response.set_header("X-Scales-Bytes", std::to_string(result.scales.size()));
    response.set_header("X-Device", backend_.name());
    const std::size_t elements = result.codes.size() * 2;
    response.set_content(std::move(result.codes) + result.scales, "application/octet-stream");
    metrics_.quantized(elements, std::chrono::steady_clock::now() - start);
  } catch (const BadRequest& error) {
    answer(response, 400, error.what());
  } catch (const fourge::Error& error) {
    answer(response, error.kind() == fourge::ErrorKind::invalid_argument ? 400 : 500, error.what());
  } catch (const std::exception& error) {
    answer(response, 500, error.what());
  }
}

}  // namespace quantize_server
