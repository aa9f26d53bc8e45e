#include "tests/ops/moe_pipeline.hpp"

#include "reference/moe_activation.hpp"
#include "reference/moe_finalize.hpp"
#include "reference/moe_route.hpp"
#include "reference/quantize_values.hpp"
#include "reference/scale_layout.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/moe_maps.hpp"
#include "tests/support/op_call.hpp"
#include "tests/support/patterns.hpp"

#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace fourge::tests {
namespace {

using reference::ElementType;
using Elements = std::vector<std::uint16_t>;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

// An array where the kernels run; poisoned until one writes it.
template <class T>
class Array {
 public:
  Array(PipelinePlace& place, std::int64_t count)
      : Array(place, poison(index(count) * sizeof(T))) {}
  Array(PipelinePlace& place, const std::vector<T>& values) : Array(place, bytes_of(values)) {}

  T* get() const { return reinterpret_cast<T*>(address_); }
  std::vector<T> values() const {
    std::vector<std::uint8_t> bytes(bytes_);
    place_.read(address_, bytes);
    std::vector<T> values(bytes_ / sizeof(T));
    std::memcpy(values.data(), bytes.data(), bytes_);
    return values;
  }

 private:
  struct Raw {
    std::vector<std::uint8_t> bytes;
  };
  static Raw bytes_of(const std::vector<T>& values) {
    Raw raw{std::vector<std::uint8_t>(values.size() * sizeof(T))};
    std::memcpy(raw.bytes.data(), values.data(), raw.bytes.size());
    return raw;
  }
  static Raw poison(std::size_t bytes) { return {std::vector<std::uint8_t>(bytes, kPoison)}; }
  Array(PipelinePlace& place, const Raw& contents)
      : place_(place), bytes_(contents.bytes.size()), address_(place.allocate(contents.bytes)) {}

  PipelinePlace& place_;
  std::size_t bytes_;
  std::uint8_t* address_;
};

constexpr std::int64_t kHidden = 64;
constexpr std::int64_t kInner = 96;
constexpr std::int64_t kExperts = 8;
constexpr std::int64_t kFirst = 2;  // local: 2 to 7
constexpr std::int64_t kLocals = 6;
constexpr std::int64_t kTopK = 3;
constexpr ElementType kType = ElementType::bf16;

float value(std::uint16_t bits) { return reference::to_float(kType, bits); }

// The rows that have an entry, times their expert's weights ([n][k] each), rounded; others are 0.
Elements grouped_product(const std::vector<float>& x, const RowMaps& maps, const Elements& weights,
                         std::int64_t k, std::int64_t n) {
  Elements y(index(maps.capacity * n));
  for (std::int64_t e = 0; e < kLocals; ++e) {
    for (std::int64_t row = maps.expert_rows[index(e)]; row < maps.expert_rows[index(e + 1)];
         ++row) {
      for (std::int64_t c = 0; maps.entries[index(row)] >= 0 && c < n; ++c) {
        float sum = 0;
        for (std::int64_t i = 0; i < k; ++i) {
          sum += x[index(row * k + i)] * value(weights[index((e * n + c) * k + i)]);
        }
        y[index(row * n + c)] = reference::from_float(kType, sum);
      }
    }
  }
  return y;
}

std::vector<float> to_floats(const Elements& x) {
  std::vector<float> values;
  for (const std::uint16_t bits : x) {
    values.push_back(value(bits));
  }
  return values;
}

class Pipeline {
 public:
  Pipeline(const PipelineShape& shape, PipelinePlace& place) : shape_(shape), place_(place) {}

  void run() {
    choose();
    map();
    expand();
    permute();
    activate();
    finalize();
  }

 private:
  const moe::Calls& calls() const { return place_.calls(); }
  std::string axis() const { return shape_.padded ? "index=padded" : "index=compact"; }

  // The routing that the reference gives.
  void choose() {
    const auto narrow =
        make_input(Pattern::random, kType, shape_.tokens, kExperts * 2, 31);  // half of it is taken
    logits_.assign(narrow.begin(), narrow.begin() + shape_.tokens * kExperts);
    const auto all = to_floats(logits_);
    for (std::int64_t t = 0; t < shape_.tokens; ++t) {
      const auto one =
          reference::route_token(std::span(all).subspan(index(t * kExperts), index(kExperts)), {},
                                 {reference::RouteMethod::renormalize, index(kTopK), 1, 1, 1.0F});
      ids_.insert(ids_.end(), one.ids.begin(), one.ids.end());
      weights_.insert(weights_.end(), one.weights.begin(), one.weights.end());
    }
  }

  // The maps that follow from it.
  void expect_maps() {
    Routing routing;
    routing.tokens = shape_.tokens;
    routing.top_k = kTopK;
    routing.experts = kExperts;
    routing.first_local = kFirst;
    routing.locals = kLocals;
    routing.ids.assign(ids_.begin(), ids_.end());
    convention_ = shape_.padded ? IndexConvention::padded : IndexConvention::compact;
    maps_ = make_row_maps(routing, convention_, shape_.tile);
    maps_.capacity = moe::route_capacity(shape_.tokens, kTopK, kLocals, shape_.tile);
    maps_.entries.resize(index(maps_.capacity), -1);
    CHECK(maps_.used <= maps_.capacity);
  }

  void map() {
    expect_maps();
    Array<std::uint16_t> input(place_, logits_);
    Array<std::int32_t> ids(place_, shape_.tokens * kTopK);
    Array<float> weights(place_, shape_.tokens * kTopK);
    Array<std::int32_t> rows(place_, shape_.tokens * kTopK);
    Array<std::int32_t> entries(place_, maps_.capacity);
    Array<std::int64_t> expert_rows(place_, kLocals + 1);
    Array<std::int32_t> used(place_, 1);
    moe::RouteArgs args;
    args.topk.logits = input.get();
    args.topk.ids = ids.get();
    args.topk.weights = weights.get();
    args.topk.tokens = shape_.tokens;
    args.topk.experts = kExperts;
    args.topk.top_k = kTopK;
    args.maps.rows = rows.get();
    args.maps.row_entries = entries.get();
    args.maps.expert_rows = expert_rows.get();
    args.maps.padded_rows = used.get();
    args.maps.first_expert = kFirst;
    args.maps.experts = kLocals;
    args.maps.tile = shape_.tile;
    args.maps.capacity = maps_.capacity;
    calls().route(args, "in=bf16,method=renormalize", axis(), place_.stream());
    CHECK(ids.values() == ids_);
    CHECK(weights.values() == weights_);
    CHECK(rows.values() == maps_.rows);
    CHECK(entries.values() == maps_.entries);
    CHECK(expert_rows.values() == maps_.expert_rows);
    CHECK(used.values()[0] == maps_.used);
    expert_rows_ = expert_rows.values();
  }

  std::int64_t token_of(std::int64_t entry) const {
    return shape_.padded ? entry / kTopK : entry % shape_.tokens;
  }

  // Quantized to NVFP4 with tiled scales while they are brought to their rows: for compact rows the
  // experts' tiles follow from the rows that routing gave them.
  void expand() {
    const auto tokens = make_input(Pattern::random, kType, shape_.tokens, kHidden, 32);
    const std::vector<float> global{97.0F};
    const std::int64_t scale_rows = moe::expand_scale_rows(
        "128x4", shape_.padded ? "padded" : "compact", maps_.capacity, kLocals);
    const reference::ScaleMatrix matrix(reference::ScaleLayout::tiled_128x4, scale_rows,
                                        kHidden / 16);
    Array<std::uint16_t> x(place_, tokens);
    Array<std::uint8_t> out(place_, maps_.capacity * kHidden / 2);
    Array<std::uint8_t> scales(place_, static_cast<std::int64_t>(matrix.bytes()));
    Array<float> scale(place_, global);
    Array<std::int32_t> rows(place_, maps_.rows);
    Array<std::int32_t> ids(place_, ids_);
    Array<std::int64_t> expert_rows(place_, expert_rows_);
    MoeExpandQuantizeArgs args;
    args.x = x.get();
    args.out = out.get();
    args.scales = scales.get();
    args.global_scale = scale.get();
    args.rows = rows.get();
    args.expert_ids = ids.get();
    args.expert_rows = expert_rows.get();
    args.tokens = shape_.tokens;
    args.top_k = kTopK;
    args.cols = kHidden;
    args.capacity = maps_.capacity;
    args.experts = kLocals;
    args.first_expert = kFirst;
    calls().expand_quantize(args, "layout=128x4," + axis(), place_.stream());
    const auto found = out.values();
    const auto found_scales = scales.values();
    reference::ValueQuantizer quantizer;
    quantizer.scale = global[0];
    for (std::int64_t e = 0; e < kLocals; ++e) {
      const std::int64_t first = maps_.expert_rows[index(e)];
      const std::int64_t region = shape_.padded ? first : (first + 127 * e + 127) / 128 * 128;
      for (std::int64_t row = first; row < maps_.expert_rows[index(e + 1)]; ++row) {
        const std::int64_t entry = maps_.entries[index(row)];
        if (entry < 0) {
          continue;
        }
        const auto token = std::span(tokens).subspan(index(token_of(entry) * kHidden), kHidden);
        const auto expected =
            reference::quantize_values(to_floats({token.begin(), token.end()}), quantizer);
        for (std::int64_t i = 0; i < kHidden / 2; ++i) {
          CHECK(found[index(row * kHidden / 2 + i)] == expected.codes[index(i)]);
        }
        for (std::int64_t c = 0; c < kHidden / 16; ++c) {
          CHECK(found_scales[matrix.offset(region + row - first, c)] == expected.scales[index(c)]);
        }
      }
    }
  }

  void permute() {
    const auto tokens = make_input(Pattern::random, kType, shape_.tokens, kHidden, 32);
    Array<std::uint16_t> x(place_, tokens);
    Array<std::uint16_t> y(place_, maps_.capacity * kHidden);
    Array<std::int32_t> entries(place_, maps_.entries);
    Array<std::int32_t> used(place_,
                             std::vector<std::int32_t>{static_cast<std::int32_t>(maps_.used)});
    MoePermuteArgs args;
    args.x = x.get();
    args.y = y.get();
    args.row_entries = entries.get();
    args.padded_rows = used.get();
    args.tokens = shape_.tokens;
    args.top_k = kTopK;
    args.cols = kHidden;
    args.capacity = maps_.capacity;
    calls().permute(args, axis(), place_.stream());
    permuted_ = y.values();
    for (std::int64_t row = 0; row < maps_.capacity; ++row) {
      const std::int64_t entry = maps_.entries[index(row)];
      for (std::int64_t c = 0; c < kHidden; ++c) {
        const std::uint16_t expected =
            entry < 0 ? std::uint16_t{0xA5A5} : tokens[index(token_of(entry) * kHidden + c)];
        CHECK(permuted_[index(row * kHidden + c)] == expected);
      }
    }
  }

  void activate() {
    const auto w = make_input(Pattern::random, kType, kLocals * 2 * kInner, kHidden, 33);
    const Elements y1 = grouped_product(to_floats(permuted_), maps_, w, kHidden, 2 * kInner);
    const std::vector<float> scales{3.0F, 2.5F, 4.0F, 1.75F, 3.5F, 2.0F};
    const auto bytes =
        moe::activation_scale_bytes("nvfp4", "128x4", maps_.capacity, kInner, kLocals);
    Array<std::uint16_t> x(place_, y1);
    Array<std::uint8_t> codes(place_, maps_.capacity * kInner / 2);
    Array<std::uint8_t> block_scales(place_, static_cast<std::int64_t>(bytes));
    Array<float> scale(place_, scales);
    Array<std::int64_t> expert_rows(place_, maps_.expert_rows);
    MoeActivationQuantizeArgs args;
    args.x = x.get();
    args.q = codes.get();
    args.scales = block_scales.get();
    args.scale = scale.get();
    args.expert_rows = expert_rows.get();
    args.rows = maps_.capacity;
    args.cols = kInner;
    args.experts = kLocals;
    calls().activation_quantize(args, "act=swiglu,out=nvfp4,layout=128x4,scale=expert",
                                place_.stream());
    const auto found = codes.values();
    const auto found_scales = block_scales.values();
    const reference::ScaleMatrix matrix(reference::ScaleLayout::tiled_128x4,
                                        maps_.capacity + 127 * kLocals, kInner / 16);
    inner_.assign(index(maps_.capacity * kInner), 0.0F);
    for (std::int64_t e = 0; e < kLocals; ++e) {
      const std::int64_t first = maps_.expert_rows[index(e)];
      const std::int64_t region = (first + 127 * e + 127) / 128 * 128;
      reference::ValueQuantizer quantizer;
      quantizer.scale = scales[index(e)];
      for (std::int64_t row = first; row < maps_.expert_rows[index(e + 1)]; ++row) {
        const auto values = reference::activate_row(
            std::span(y1).subspan(index(row * 2 * kInner), index(2 * kInner)), {}, kType, {});
        const auto expected = reference::quantize_values(values, quantizer);
        for (std::int64_t i = 0; i < kInner; ++i) {
          const std::uint8_t byte = found[index(row * kInner + i) / 2];
          const std::uint8_t block = found_scales[matrix.offset(region + row - first, i / 16)];
          CHECK(byte == expected.codes[index(i / 2)]);
          CHECK(block == expected.scales[index(i / 16)]);
          const auto code = static_cast<std::uint8_t>(i % 2 == 0 ? byte & 15 : byte >> 4);
          inner_[index(row * kInner + i)] =
              reference::decode_e2m1(code) * reference::decode_e4m3(block) / quantizer.scale;
        }
      }
    }
  }

  void finalize() {
    const auto w = make_input(Pattern::random, kType, kLocals * kHidden, kInner + 16, 34);
    const Elements y2 = grouped_product(inner_, maps_, w, kInner, kHidden);
    Array<std::uint16_t> x(place_, y2);
    Array<std::uint16_t> out(place_, shape_.tokens * kHidden);
    Array<std::int32_t> rows(place_, maps_.rows);
    Array<float> weights(place_, weights_);
    MoeFinalizeArgs args;
    args.x = x.get();
    args.out = out.get();
    args.rows = rows.get();
    args.weights = weights.get();
    args.tokens = shape_.tokens;
    args.top_k = kTopK;
    args.cols = args.x_cols = kHidden;
    args.capacity = maps_.capacity;
    calls().finalize(args, axis(), place_.stream());
    std::vector<std::int64_t> by_token;
    for (std::int64_t t = 0; t < shape_.tokens; ++t) {
      for (std::int64_t j = 0; j < kTopK; ++j) {
        by_token.push_back(
            maps_.rows[index(shape_.padded ? t * kTopK + j : j * shape_.tokens + t)]);
      }
    }
    reference::MoeFinalizeProblem problem;
    problem.x = y2;
    problem.rows = by_token;
    problem.weights = weights_;
    problem.tokens = shape_.tokens;
    problem.top_k = kTopK;
    problem.cols = problem.x_cols = kHidden;
    const auto expected = reference::moe_finalize(problem);
    CHECK(out.values() == expected);
    std::size_t nonzero = 0;
    for (const std::uint16_t bits : expected) {
      nonzero += (bits & 0x7FFFU) != 0 ? 1U : 0U;
    }
    CHECK(nonzero * 2 > expected.size());  // something went through
  }

  PipelineShape shape_;
  PipelinePlace& place_;
  IndexConvention convention_ = IndexConvention::padded;
  Elements logits_;
  std::vector<std::int32_t> ids_;
  std::vector<float> weights_;
  std::vector<std::int64_t> expert_rows_;
  RowMaps maps_;
  Elements permuted_;
  std::vector<float> inner_;
};

}  // namespace

std::span<const PipelineShape> pipeline_shapes() {
  static constexpr PipelineShape kShapes[] = {{"compact", false, 37, 1},
                                              {"one token", false, 1, 1},
                                              {"tiles of 8", true, 37, 8},
                                              {"tiles of 128", true, 5, 128}};
  return kShapes;
}

void run_moe_pipeline(const PipelineShape& shape, PipelinePlace& place) {
  Pipeline(shape, place).run();
}

}  // namespace fourge::tests
