// Operations from outside: what a registry takes and refuses, and that its operations go the way of the
// built-in ones.
#include <fourge/runtime.hpp>

#include "reference/formats.hpp"
#include "runtime/definition_check.hpp"
#include "tests/runtime/op_registry_support.hpp"
#include "tests/support/aligned_buffer.hpp"

#include <cmath>

namespace fourge::tests {
namespace {

// One call of every kind of number, against the reference's conversions.
void check_on_host(const HostKernel& kernel) {
  constexpr std::int64_t kRows = 7;
  constexpr std::int64_t kCols = 2080;  // more than one CTA of columns
  const bool by_row = kernel.spec().get("scale") == "row";
  const auto type = kernel.spec().get("in") == "bf16" ? reference::ElementType::bf16
                                                      : reference::ElementType::f16;
  std::vector<std::uint16_t> x(kRows * kCols);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<std::uint16_t>(i * 40503U);
  }
  std::vector<float> scales{0.5F, 1.0F, 3.0F, 0.0078125F, 448.0F, -1.5F, 1e-3F};
  AlignedBuffer input(x.data(), x.size() * 2);
  AlignedBuffer factors(scales.data(), scales.size() * 4);
  AlignedBuffer codes(x.size(), 0xA5);
  ScaledCastArgs args;
  args.x = input.data();
  args.codes = codes.data();
  args.row_scales = reinterpret_cast<const float*>(factors.data());
  args.scale = 0.3F;
  args.rows = kRows;
  args.cols = kCols;
  kernel.launch(args);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float factor = by_row ? scales[i / kCols] : args.scale;
    float value = reference::to_float(type, x[i]);
    value = std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0F, value) : value;
    const auto expected = reference::encode_e4m3(value * factor);
    INFO(kernel.spec().text() << " element " << i);
    REQUIRE(codes.data()[i] == expected);
  }
}

}  // namespace

TEST_CASE("an added operation's variants run on the host", "[op_registry]") {
  const auto ops = with_scaled_cast();
  Options options = Options::from_environment();
  options.ops = ops;
  Runtime runtime(options);
  std::vector<KernelSpec> specs;
  for (const char* target : {"sm_80", "sm_90a", "sm_100a"}) {
    for (const KernelSpec& spec : legal_variants(scaled_cast_op(), Target::parse(target))) {
      specs.push_back(spec);
    }
  }
  REQUIRE(specs.size() == 12);
  for (const HostKernel& kernel : runtime.prepare_host(specs)) {
    check_on_host(kernel);
  }
  ScaledCastArgs args;
  args.rows = 1;
  args.cols = 24;
  const auto kernel = runtime.prepare_host(specs.front());
  CHECK(
      holds(error_of(ErrorKind::invalid_argument, [&] { kernel.launch(args); }), "multiple of 16"));
  args.cols = 16;
  CHECK(holds(error_of(ErrorKind::invalid_argument, [&] { kernel.launch(args); }), "x must be"));
  args.rows = 0;
  kernel.launch(args);
}

TEST_CASE("host execution holds an added operation to its regions", "[op_registry]") {
  static const OpDefinition kShort = [] {
    OpDefinition op = scaled_cast_op();
    op.name = "scaled_cast_short";
    op.min_ctas = [](const KernelSpec&) { return 4; };
    // All but the last row's factor.
    op.regions = [](const KernelSpec& spec, const void* args) {
      auto regions = scaled_cast_op().regions(spec, args);
      regions.back().bytes -= sizeof(float);
      return regions;
    };
    return op;
  }();
  Options options = Options::from_environment();
  options.ops = with_scaled_cast();
  options.ops.add(kShort, kTemplates);
  Runtime runtime(options);
  const auto spec = runtime.parse("scaled_cast_short[scale=row]@sm_90a");
  CHECK(holds(generate_source(spec, options.ops), "__launch_bounds__(128, 4)"));
  AlignedBuffer x(2 * 16 * 2, 0);
  AlignedBuffer codes(2 * 16, 0);
  AlignedBuffer scales(2 * sizeof(float), 0);
  ScaledCastArgs args;
  args.x = x.data();
  args.codes = codes.data();
  args.row_scales = reinterpret_cast<const float*>(scales.data());
  args.rows = 2;
  args.cols = 16;
  const auto kernel = runtime.prepare_host(spec);
  const auto launch = [&] { kernel.launch_args("scaled_cast_short", &args, sizeof(args)); };
  const auto what = error_of(ErrorKind::internal, launch);
  CHECK(holds(what, "out of bounds"));
  CHECK(holds(what, "'row_scales'"));
  // The struct names the operation that it belongs to.
  CHECK(holds(error_of(ErrorKind::invalid_argument, [&] { kernel.launch(args); }), "scaled_cast"));
}

TEST_CASE("an added operation is compiled once, cached and found again", "[op_registry]") {
  const Scratch scratch;
  std::string key;
  {
    Runtime runtime(options_with(scratch, with_scaled_cast()));
    for (const char* target : {"sm_90a", "sm_100a"}) {
      const auto spec = runtime.parse("scaled_cast[scale=row]", Target::parse(target));
      const auto artifact = runtime.build(spec);
      CHECK(artifact->origin == Origin::compiled);
      CHECK(artifact->source == generate_source(spec, runtime.options().ops));
      CHECK(holds(artifact->source, "scaled_cast::scaled_cast_kernel<fourge_generated::Config>"));
      CHECK_FALSE(holds(artifact->source, "#include"));
      CHECK_FALSE(holds(artifact->source, kTemplates));
      CHECK_FALSE(holds(artifact->key_record, kTemplates));
      key = artifact->key;
    }
    CHECK(runtime.stats().compiles == 2);
  }
  // Elsewhere, the same text: the same key, found on disk.
  const std::string moved = copied(scratch, "moved templates");
  Runtime runtime(options_with(scratch, with_scaled_cast(moved)));
  const auto found = runtime.build(runtime.parse("scaled_cast[in=bf16,scale=row]@sm_100a"));
  CHECK(found->origin == Origin::disk);
  CHECK(found->key == key);
  CHECK(runtime.stats().compiles == 0);
}

TEST_CASE("templates are those of the moment of add()", "[op_registry]") {
  const Scratch scratch;
  const std::string directory = copied(scratch, "templates");
  const OpRegistry before = with_scaled_cast(directory);
  const auto spec = before.parse("scaled_cast@sm_90a");
  const std::string source = generate_source(spec, before);
  write(directory + "/scale_of_row.cuh", "// nothing is here any more\n");
  CHECK(generate_source(spec, before) == source);
  CHECK(generate_source(spec, OpRegistry(before)) == source);
  const OpRegistry after = with_scaled_cast(directory);
  CHECK(generate_source(spec, after) != source);
  fs::remove_all(directory);
  CHECK(generate_source(spec, before) == source);
  // As text, with no directory at all. What was taken from fourge is not looked at.
  const auto taken = before.templates(scaled_cast_op());
  const std::vector<TemplateText> texts(taken.begin(), taken.end());
  OpRegistry embedded;
  embedded.add(scaled_cast_op(), texts);
  CHECK(generate_source(spec, embedded) == source);
}

TEST_CASE("a registry is a value, and knows the built-in operations too", "[op_registry]") {
  const OpRegistry none;
  OpRegistry ops = none;
  ops.add(scaled_cast_op(), kTemplates);
  CHECK(none.added().empty());
  REQUIRE(ops.added().size() == 1);
  CHECK(ops.added().front() == &scaled_cast_op());
  CHECK(&ops.find("scaled_cast") == &scaled_cast_op());
  CHECK(&ops.find("row_amax") == &find_op("row_amax"));
  CHECK(ops.parse("row_amax@sm_90a") == KernelSpec::parse("row_amax@sm_90a"));
  const auto unknown = error_of(ErrorKind::invalid_spec, [&] { ops.parse("scaled_cas@sm_90a"); });
  CHECK(holds(unknown, "row_amax"));
  CHECK(holds(unknown, ", scaled_cast"));
  CHECK(
      holds(error_of(ErrorKind::invalid_spec, [&] { ops.parse("scaled_cast[scale=col]@sm_90a"); }),
            "tensor, row"));
  error_of(ErrorKind::invalid_spec, [&] { none.parse("scaled_cast@sm_90a"); });

  // A spec of an operation that this Runtime was not given.
  const Scratch scratch;
  Runtime runtime(scratch.options());
  const auto spec = ops.parse("scaled_cast@sm_90a");
  const auto foreign = error_of(ErrorKind::invalid_spec, [&] { runtime.build(spec); });
  CHECK(holds(foreign, "scaled_cast[in=bf16,scale=tensor]@sm_90a: the operation is not built in"));
  error_of(ErrorKind::invalid_spec, [&] { runtime.prepare_host(spec); });
}

TEST_CASE("names that are taken are refused", "[op_registry]") {
  OpRegistry ops = with_scaled_cast();
  CHECK(holds(error_of(ErrorKind::invalid_argument, [&] { ops.add(scaled_cast_op(), kTemplates); }),
              "one of that name was added before"));
  OpDefinition builtin = scaled_cast_op();
  builtin.name = "row_amax";
  CHECK(holds(error_of(ErrorKind::invalid_argument, [&] { ops.add(builtin, kTemplates); }),
              "fourge has a built-in one of that name"));
  CHECK(ops.added().size() == 1);
}

TEST_CASE("every built-in definition would be taken, one with a defect is not", "[op_registry]") {
  for (const OpDefinition* op : all_ops()) {
    CHECK_NOTHROW(check_definition(*op));
  }
  static constexpr AxisValue kValues[] = {{"a", "1", ""}, {"a", "2", ""}};
  static constexpr AxisValue kComma[] = {{"a,b", "1", ""}};
  static constexpr Axis kTwice[] = {{"x", "kX", "", kValues}};
  static constexpr Axis kBadValue[] = {{"x", "kX", "", kComma}};
  static constexpr Axis kTaken[] = {{"x", "kLoad256", "", std::span(kValues).first(1)}};
  static constexpr Axis kEmpty[] = {{"x", "kX", "", {}}};
  static constexpr Param kOutside[] = {{"x", "float", 44, 8}};
  static constexpr Param kNoName[] = {{"x y", "float", 0, 4}};
  const struct {
    const char* says;
    void (*damage)(OpDefinition&);
  } cases[] = {
      {"C identifier", [](OpDefinition& op) { op.name = "scaled cast"; }},
      {"must name a function template", [](OpDefinition& op) { op.entry_function = "a:b"; }},
      {"twice", [](OpDefinition& op) { op.axes = kTwice; }},
      {"value \"a,b\"", [](OpDefinition& op) { op.axes = kBadValue; }},
      {"is taken", [](OpDefinition& op) { op.axes = kTaken; }},
      {"has 0 values", [](OpDefinition& op) { op.axes = kEmpty; }},
      {"lies outside", [](OpDefinition& op) { op.params = kOutside; }},
      {"identifier of its own", [](OpDefinition& op) { op.params = kNoName; }},
      {"has 0 parameters", [](OpDefinition& op) { op.params = {}; }},
      {"launch_shape is null", [](OpDefinition& op) { op.launch_shape = nullptr; }},
      {"regions is null", [](OpDefinition& op) { op.regions = nullptr; }},
      {"below device/", [](OpDefinition& op) { op.template_file = "device/x.cuh"; }},
      {"template_file", [](OpDefinition& op) { op.template_file = "../x.cuh"; }}};
  for (const auto& c : cases) {
    OpDefinition op = scaled_cast_op();
    c.damage(op);
    OpRegistry ops;
    INFO(c.says);
    CHECK(holds(error_of(ErrorKind::invalid_argument, [&] { ops.add(op, kTemplates); }), c.says));
    CHECK(ops.added().empty());
  }
}

}  // namespace fourge::tests
