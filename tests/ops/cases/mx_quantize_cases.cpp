#include "tests/ops/cases/mx_quantize_cases.hpp"

#include <fourge/mx_quantize.hpp>

#include "reference/mx.hpp"
#include "tests/support/patterns.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace fourge::tests {
namespace {

using reference::ElementType;
using reference::MxFormat;
using Elements = std::vector<std::uint16_t>;

// What hurts MX formats in particular, in blocks of 32.
enum class MxInput {
  denormal,  // all near 1e-38
  mixed,     // rows near 1e-38 and 1e-40 in turn
  spikes,    // 9.18e-40 among 1e-36
  extreme,   // blocks of 0, +Inf, 448, -448 and of what else is special
  maxima,    // block maxima that run through the type's bit patterns, the flushed windows included
};
constexpr std::pair<MxInput, const char*> kMxInputs[] = {{MxInput::denormal, "denormal"},
                                                         {MxInput::mixed, "mixed"},
                                                         {MxInput::spikes, "spikes"},
                                                         {MxInput::extreme, "extreme"},
                                                         {MxInput::maxima, "maxima"}};

float extreme_value(std::size_t block, std::size_t i) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const float number = static_cast<float>(i) - 15.25F;
  switch (block % 10) {
    case 0:
      return 0.0F;
    case 1:
      return kInfinity;
    case 2:
      return 448.0F;
    case 3:
      return -448.0F;
    case 4:
      return -0.0F;
    case 5:
      return i % 2 == 0 ? kNan : -kNan;
    case 6:
      return i == 31 ? -kInfinity : number;
    case 7:  // the upper half only
      return i < 16 ? number : kNan;
    case 8:
      return i % 3 == 0 ? kNan : i % 3 == 1 ? -0.0F : 0.0F;
    default:
      return i == 0 ? kInfinity : i == 16 ? -kInfinity : i == 17 ? kNan : number;
  }
}

// A maximum at a place that depends on the block; the rest is up to it, signs alternate.
std::uint16_t below_maximum(ElementType type, std::uint64_t seed, std::size_t block,
                            std::size_t i) {
  const unsigned infinity = type == ElementType::bf16 ? 0x7F80U : 0x7C00U;
  // Odd blocks: the lowest patterns one by one; even ones: steps of a prime through all.
  const std::size_t run = seed * 1009 + block / 2;
  const auto maximum =
      static_cast<unsigned>(block % 2 == 1 ? 1 + run % (infinity / 16) : run * 211 % infinity);
  const auto lower = static_cast<unsigned>(i % 8);
  const unsigned magnitude = i == block % 32 ? maximum : maximum - maximum * lower / 16;
  return static_cast<std::uint16_t>(magnitude | (i % 2 == 0 ? 0U : 0x8000U));
}

Elements make_mx_input(MxInput input, ElementType type, std::int64_t rows, std::int64_t cols,
                       std::uint64_t seed) {
  // Normally distributed; the random pattern's first row is zero, so there is one more.
  Elements x = make_input(Pattern::random, type, rows + 1, cols, seed);
  x.erase(x.begin(), x.begin() + cols);
  for (std::size_t at = 0; at < x.size(); ++at) {
    const float normal = reference::to_float(type, x[at]);
    const auto row = at / static_cast<std::size_t>(cols);
    const std::size_t block = at / 32;
    const std::size_t i = at % 32;
    switch (input) {
      case MxInput::denormal:
        x[at] = reference::from_float(type, normal * 1e-38F);
        break;
      case MxInput::mixed:
        x[at] = reference::from_float(type, normal * (row % 2 == 0 ? 1e-38F : 1e-40F));
        break;
      case MxInput::spikes:
        x[at] = reference::from_float(type, i % 7 == 3 ? 9.18e-40F : 1e-36F);
        break;
      case MxInput::extreme:
        x[at] = reference::from_float(type, extreme_value(block, i));
        break;
      case MxInput::maxima:
        x[at] = below_maximum(type, seed, block, i);
        break;
    }
  }
  return x;
}

struct Shape {
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t padded_cols;

  std::string text() const {
    return std::to_string(rows) + "x" + std::to_string(cols) +
           (padded_cols == cols ? "" : " padded to " + std::to_string(padded_cols));
  }
};

ElementType type_of(const KernelSpec& spec) {
  return spec.get("in") == "bf16" ? ElementType::bf16 : ElementType::f16;
}

OpCall make_call(const KernelSpec& spec, MxFormat format, const Shape& shape, const Elements& x,
                 std::string label) {
  const auto expected =
      reference::quantize_mx({format, x, type_of(spec), shape.rows, shape.cols, shape.padded_cols,
                              reference::parse_scale_layout(spec.get("layout"))},
                             4);
  OpCall call{spec,
              std::move(label),
              {input_buffer("x", x), output_buffer("output", expected.data),
               output_buffer("scales", expected.scales)},
              {},
              {}};
  call.args = [format, shape](std::span<std::uint8_t* const> at) {
    if (format == MxFormat::mxfp4) {
      return args_bytes(Mxfp4QuantizeArgs{at[0], at[1], at[2], shape.rows, shape.cols});
    }
    return args_bytes(
        Mxfp8QuantizeArgs{at[0], at[1], at[2], shape.rows, shape.cols, shape.padded_cols});
  };
  return call;
}

// Every number up to 6 times some powers of two, which is the first of its block: all that rounding to E2M1 can meet. Signs
// in turns; a multiple of `cols`.
Elements all_magnitudes(ElementType type, std::size_t cols) {
  const bool bf16 = type == ElementType::bf16;
  Elements x;
  const auto put = [&](unsigned largest) {
    for (unsigned bits = 0; bits <= largest; ++bits) {
      if (x.size() % 32 == 0) {
        x.push_back(static_cast<std::uint16_t>(largest));
      }
      x.push_back(static_cast<std::uint16_t>(bits | (bits % 3 == 0 ? 0x8000U : 0U)));
    }
    x.resize((x.size() + 31) / 32 * 32);
  };
  for (const int power :
       bf16 ? std::vector<int>{-98, -30, 0, 7, 99} : std::vector<int>{-14, 0, 13}) {
    const auto exponent = static_cast<unsigned>((bf16 ? 129 : 17) + power);
    put(bf16 ? exponent << 7 | 0x40U : exponent << 10 | 0x200U);
  }
  x.resize((x.size() + cols - 1) / cols * cols);
  return x;
}

// Rows below a tile and above, columns that fill no group of four, CTAs or warps.
constexpr Shape kSmall[] = {{0, 64, 64},   {1, 32, 32},    {3, 128, 256},   {17, 224, 224},
                            {120, 64, 96}, {129, 96, 128}, {1, 4160, 4160}, {2, 1568, 1664}};

void visit_small(const KernelSpec& spec, MxFormat format, const CallSink& sink) {
  constexpr std::int64_t kCols = 1024;
  const auto all = all_magnitudes(type_of(spec), kCols);
  const Shape all_shape{std::ssize(all) / kCols, kCols, kCols};
  sink(make_call(spec, format, all_shape, all, all_shape.text() + " all magnitudes"));
  std::uint64_t seed = 600;
  for (Shape shape : kSmall) {
    if (format == MxFormat::mxfp4) {
      shape.padded_cols = shape.cols;
    }
    for (const Pattern pattern : all_patterns()) {
      const auto x = make_input(pattern, type_of(spec), shape.rows, shape.cols, ++seed);
      sink(make_call(spec, format, shape, x, shape.text() + " " + to_string(pattern)));
    }
    for (const auto& [input, name] : kMxInputs) {
      const auto x = make_mx_input(input, type_of(spec), shape.rows, shape.cols, ++seed);
      sink(make_call(spec, format, shape, x, shape.text() + " " + name));
    }
  }
}

// More rows than a grid has in y: of rows, with padding columns and without, and of groups of eight.
void visit_tall(const KernelSpec& spec, MxFormat format, const CallSink& sink) {
  const auto call = [&](const Shape& shape) {
    sink(make_call(spec, format, shape,
                   make_mx_input(MxInput::maxima, type_of(spec), shape.rows, shape.cols, 1),
                   shape.text() + " maxima"));
  };
  call({70001, 32, 32});
  if (format == MxFormat::mxfp8) {
    call({70001, 32, 64});
  } else if (spec.get("layout") != "linear" && spec.get("tpc") == "1") {
    call({8 * 65535 + 1, 32, 32});
  }
}

// The published matrix of shapes and alignments, every combination with another input.
void visit_large(const KernelSpec& spec, MxFormat format, const CallSink& sink) {
  std::uint64_t seed = 0;
  for (const std::int64_t rows : {1, 2, 3, 16, 64, 1024}) {
    for (const std::int64_t cols : {128, 512, 1024, 1568, 8192}) {
      for (const std::int64_t alignment : {32, 64, 128}) {
        if (format == MxFormat::mxfp4 && alignment != 32) {
          continue;
        }
        const Shape shape{rows, cols, (cols + alignment - 1) / alignment * alignment};
        const std::size_t kind = ++seed % (std::size(kMxInputs) + 1);
        const bool random = kind == std::size(kMxInputs);
        const auto x = random
                           ? make_input(Pattern::random, type_of(spec), rows, cols, seed)
                           : make_mx_input(kMxInputs[kind].first, type_of(spec), rows, cols, seed);
        sink(make_call(spec, format, shape, x,
                       shape.text() + " " + (random ? "random" : kMxInputs[kind].second)));
      }
    }
  }
  visit_tall(spec, format, sink);
}

void visit(const KernelSpec& spec, MxFormat format, CallSize size, const CallSink& sink) {
  if (size == CallSize::small) {
    visit_small(spec, format, sink);
  } else {
    visit_large(spec, format, sink);
  }
}

}  // namespace

void visit_mxfp4_quantize_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  visit(spec, MxFormat::mxfp4, size, sink);
}

void visit_mxfp8_quantize_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  visit(spec, MxFormat::mxfp8, size, sink);
}

}  // namespace fourge::tests
