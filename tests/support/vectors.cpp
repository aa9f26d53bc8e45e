#include "tests/support/vectors.hpp"

#include <bit>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace fourge::tests {
namespace {

static_assert(std::endian::native == std::endian::little, "the arrays are little-endian");

std::string read_file(const std::string& name) {
  const std::string path = std::string(FOURGE_VECTORS_DIR) + "/" + name;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw std::runtime_error("cannot open " + path);
  }
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

template <class T>
std::vector<T> read_array(const std::string& blob, const nlohmann::json& where) {
  const auto offset = where.at("offset").get<std::size_t>();
  const auto bytes = where.at("bytes").get<std::size_t>();
  if (offset > blob.size() || bytes > blob.size() - offset || bytes % sizeof(T) != 0) {
    throw std::runtime_error("vectors.json points outside vectors.bin: " + where.dump());
  }
  std::vector<T> values(bytes / sizeof(T));
  if (bytes != 0) {
    std::memcpy(values.data(), blob.data() + offset, bytes);
  }
  return values;
}

VectorResult read_result(const std::string& blob, const nlohmann::json& json) {
  VectorResult result;
  result.config = json.at("config").get<std::string>();
  result.scaling = json.at("scaling").get<std::string>();
  result.codes = read_array<std::uint8_t>(blob, json.at("q"));
  result.scales = read_array<std::uint8_t>(blob, json.at("sf_linear"));
  if (result.scaling == "tensor") {
    result.global_scale = read_array<float>(blob, json.at("global_scale_f32")).at(0);
  } else {
    result.global_scale_inverse = read_array<float>(blob, json.at("global_scale_inv_f32")).at(0);
    result.token_scales = read_array<float>(blob, json.at("token_scale_f32"));
  }
  return result;
}

VectorCase read_case(const std::string& blob, const nlohmann::json& json) {
  VectorCase result;
  const auto type = json.at("dtype").get<std::string>();
  if (type != "bf16" && type != "f16") {
    throw std::runtime_error("vectors.json: unknown dtype " + type);
  }
  result.type = type == "bf16" ? reference::ElementType::bf16 : reference::ElementType::f16;
  result.rows = json.at("m").get<std::int64_t>();
  result.cols = json.at("n").get<std::int64_t>();
  result.init = json.at("init").get<std::string>();
  result.x = read_array<std::uint16_t>(blob, json.at("x"));
  for (const nlohmann::json& entry : json.at("results")) {
    result.results.push_back(read_result(blob, entry));
  }
  return result;
}

}  // namespace

std::string VectorCase::name() const {
  return std::string(reference::to_string(type)) + " " + std::to_string(rows) + "x" +
         std::to_string(cols) + " " + init;
}

const VectorResult& VectorCase::result(std::string_view config, std::string_view scaling) const {
  for (const VectorResult& candidate : results) {
    if (candidate.config == config && candidate.scaling == scaling) {
      return candidate;
    }
  }
  throw std::runtime_error("the vectors of " + name() + " have no result " + std::string(config) +
                           ", " + std::string(scaling));
}

std::vector<VectorCase> load_vectors() {
  const nlohmann::json json = nlohmann::json::parse(read_file("vectors.json"));
  const std::string blob = read_file("vectors.bin");
  std::vector<VectorCase> cases;
  for (const nlohmann::json& entry : json.at("cases")) {
    cases.push_back(read_case(blob, entry));
  }
  return cases;
}

}  // namespace fourge::tests
