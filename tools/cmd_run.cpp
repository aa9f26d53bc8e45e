// fourge run: one operation on one array, from a file to a file.
#include <fourge/runtime.hpp>

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "tools/any_run.hpp"
#include "tools/command.hpp"
#include "tools/execution.hpp"
#include "tools/npy.hpp"
#include "tools/nvfp4_tensor.hpp"
#include "tools/output_file.hpp"
#include "tools/report.hpp"
#include "tools/run_spec.hpp"

namespace fourge::tools {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::invalid_argument, what);
}

template <class Number>
bool parse_number(std::string_view text, Number& value) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  return result.ec == std::errc() && result.ptr == end;
}

std::pair<std::int64_t, std::int64_t> parse_shape(const std::string& text) {
  const std::size_t cross = text.find('x');
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  if (cross == std::string::npos || !parse_number(std::string_view(text).substr(0, cross), rows) ||
      !parse_number(std::string_view(text).substr(cross + 1), cols)) {
    refuse(fmt::format("--shape is \"{}\"; it must be ROWSxCOLS, such as 128x7168", text));
  }
  return {rows, cols};
}

float parse_global_scale(const std::string& text) {
  float value = 0;
  if (!parse_number(text, value)) {
    refuse(fmt::format("--global-scale is \"{}\", which is not a float", text));
  }
  return value;
}

// One run, step by step, and what is to be told about it.
class Nvfp4Run {
 public:
  Nvfp4Run(const RunOptions& options, const CommonOptions& common)
      : options_(options), common_(common), spec_(choose_spec()) {}

  ExitCode run() {
    if (!has_files()) {
      return run_without_files();
    }
    take_input();
    open_outputs();
    Nvfp4Result result = make_nvfp4_result(spec_, input_.rows, input_.cols);
    const Nvfp4QuantizeArgs args = nvfp4_args(input_, result, global_scale_);
    Runtime runtime(library_options(common_));
    execution_ =
        execute(runtime, spec_, place_, std::as_bytes(std::span(&args, 1)), options_.repeat);
    if (options_.verify) {
      const auto start = Clock::now();
      verification_ = verify_nvfp4(spec_, input_, global_scale_, result);
      verify_time_ = Clock::now() - start;
    }
    if (passed()) {
      write_outputs(result);
    }
    print_report();
    return passed() ? ExitCode::ok : ExitCode::negative;
  }

 private:
  // The plain forms of nvfp4_quantize, which take files and are compared with the reference here.
  bool has_files() const {
    return spec_.op().name == Nvfp4QuantizeArgs::kOp && spec_.get("in") != "e4m3" &&
           spec_.get("scale") == "tensor" && spec_.get("4over6") == "off";
  }

  ExitCode run_without_files() const {
    if (!options_.input.empty() || !options_.codes_path.empty() || !options_.scales_path.empty() ||
        !options_.global_scale.empty() || options_.verify) {
      refuse(
          fmt::format("{}: --input, --output, --scales, --global-scale and --verify are for "
                      "nvfp4_quantize with in=bf16 or f16, scale=tensor and 4over6=off; this one "
                      "runs on random "
                      "data of --shape (op_host_tests compares it with the reference)",
                      spec_.text()));
    }
    const auto [rows, cols] = parse_shape(options_.shape);
    return run_any({spec_, place_, rows, cols, options_.seed, options_.repeat}, common_);
  }

  bool passed() const { return !verification_ || verification_->ok(); }

  KernelSpec choose_spec() {
    const std::string& text = options_.spec.empty() ? options_.op : options_.spec;
    if (text.empty()) {
      refuse("no operation was named; give one (nvfp4_quantize) or --spec SPEC");
    }
    const std::optional<Target> target = wanted_target(options_, text);
    // Before devices are looked at: a wrong name is told as such everywhere.
    make_spec(options_, text, target.value_or(Target::parse(kHostTarget)));
    place_ = choose_place(options_.device, target);
    const Target fallback =
        place_ ? place_->target.value_or(Target::parse(kHostTarget)) : Target::parse(kHostTarget);
    return make_spec(options_, text, target.value_or(fallback));
  }

  reference::ElementType type() const {
    return spec_.get("in") == "f16" ? reference::ElementType::f16 : reference::ElementType::bf16;
  }

  void take_input() {
    const auto start = Clock::now();
    const bool given = !options_.global_scale.empty();
    if (given) {
      global_scale_ = parse_global_scale(options_.global_scale);
    }
    if (!options_.input.empty()) {
      input_ = read_nvfp4_input(options_.input, type());
      check_nvfp4_call(spec_, input_.rows, input_.cols, global_scale_);
    } else if (!options_.shape.empty()) {
      const auto [rows, cols] = parse_shape(options_.shape);
      check_nvfp4_call(spec_, rows, cols, global_scale_);
      input_ = random_nvfp4_input(rows, cols, type(), options_.seed);
    } else {
      refuse("there is no input; give --input FILE.npy, or --shape ROWSxCOLS for random data");
    }
    if (!given) {
      global_scale_ = usual_global_scale(input_, type(), amax_);
    }
    input_time_ = Clock::now() - start;
  }

  void open_outputs() {
    if (!options_.codes_path.empty() && options_.codes_path == options_.scales_path) {
      refuse(fmt::format("--output and --scales are the same file, {}", options_.codes_path));
    }
    if (!options_.codes_path.empty()) {
      codes_file_.emplace(options_.codes_path);
    }
    if (!options_.scales_path.empty()) {
      scales_file_.emplace(options_.scales_path);
    }
  }

  void write_outputs(const Nvfp4Result& result) {
    const auto start = Clock::now();
    if (codes_file_) {
      const std::int64_t shape[] = {input_.rows, input_.cols / 2};
      codes_file_->write(npy_header_bytes("|u1", shape));
      codes_file_->write(result.codes.as<std::byte>());
    }
    if (scales_file_) {
      // Positions in a tiled buffer are no rows and columns.
      const std::vector<std::int64_t> shape =
          spec_.get("layout") == "linear"
              ? std::vector<std::int64_t>{input_.rows, input_.cols / reference::kNvfp4Block}
              : std::vector<std::int64_t>{static_cast<std::int64_t>(result.scales.size())};
      scales_file_->write(npy_header_bytes("|u1", shape));
      scales_file_->write(result.scales.as<std::byte>());
    }
    for (auto* file : {&codes_file_, &scales_file_}) {
      if (*file) {
        (*file)->commit();
      }
    }
    write_time_ = Clock::now() - start;
  }

  void print_report() const {
    if (common_.json) {
      print_json(json_report());
    } else {
      print_text(text_report());
    }
  }

  Json json_report() const {
    Json report{{"spec", spec_.text()},
                {"device", place_ ? place_->name : "host"},
                {"device_kind", place_ ? "gpu" : "host"},
                {"device_ordinal", place_ ? Json(place_->ordinal) : Json(nullptr)},
                {"rows", input_.rows},
                {"cols", input_.cols},
                {"global_scale", global_scale_},
                {"global_scale_given", !options_.global_scale.empty()}};
    report["kernel"] = execution_.to_json();
    report["input_ms"] = milliseconds(input_time_);
    report["write_ms"] = milliseconds(write_time_);
    report["output"] = codes_file_ && passed() ? Json(options_.codes_path) : Json(nullptr);
    report["scales"] = scales_file_ && passed() ? Json(options_.scales_path) : Json(nullptr);
    if (verification_) {
      report["verification"] = {{"ok", verification_->ok()},
                                {"blocks", verification_->blocks},
                                {"scale_differences", verification_->scale_differences},
                                {"code_differences", verification_->code_differences},
                                {"excused_codes", verification_->excused_codes},
                                {"first", verification_->first},
                                {"ms", milliseconds(verify_time_)}};
    }
    return report;
  }

  std::string global_scale_text() const {
    if (!options_.global_scale.empty()) {
      return fmt::format("{}", global_scale_);
    }
    return std::isfinite(amax_)
               ? fmt::format("{} (448 * 6 / amax, amax {})", global_scale_, amax_)
               : fmt::format("{} (as for an amax of {}: no scale fits)", global_scale_, amax_);
  }

  std::string text_report() const {
    std::string text = spec_.text() + "\n";
    const auto line = [&text](const char* name, const std::string& value) {
      text += fmt::format("  {:<13} {}\n", name, value);
    };
    line("device", describe(place_));
    line("input",
         fmt::format("{}, {} rows of {}, {}",
                     options_.input.empty() ? fmt::format("random numbers (seed {})", options_.seed)
                                            : options_.input,
                     input_.rows, input_.cols, duration_text(input_time_)));
    line("global scale", global_scale_text());
    line("kernel", fmt::format("{}, {}{}", origin_text(), duration_text(execution_.build),
                               place_ ? ", loaded in " + duration_text(execution_.load) : ""));
    if (place_) {
      line("copies", fmt::format("{} in, {} out", duration_text(execution_.copy_in),
                                 duration_text(execution_.copy_out)));
    }
    line("launch",
         fmt::format("{}{}", duration_text(execution_.median_launch()),
                     options_.repeat > 1 ? fmt::format(" (median of {})", options_.repeat) : ""));
    if (verification_) {
      line("verified", verification_text());
    }
    if (passed() && codes_file_) {
      line("codes", options_.codes_path);
    }
    if (passed() && scales_file_) {
      line("scales", options_.scales_path);
    }
    return text;
  }

  const char* origin_text() const {
    return execution_.origin == Origin::disk ? "from the disk cache" : "compiled";
  }

  std::string verification_text() const {
    const auto& found = *verification_;
    if (!found.ok()) {
      return fmt::format(
          "DIFFERENT from the reference: {} scales, {} codes of {} blocks; first: "
          "{}; no output was written",
          found.scale_differences, found.code_differences, found.blocks, found.first);
    }
    return fmt::format("equal to the reference, {} blocks{}, {}", found.blocks,
                       found.excused_codes == 0
                           ? ""
                           : fmt::format(" ({} codes beside a tie)", found.excused_codes),
                       duration_text(verify_time_));
  }

  const RunOptions& options_;
  const CommonOptions& common_;
  Place place_;  // before spec_, which chooses it
  KernelSpec spec_;
  Nvfp4Input input_;
  float global_scale_ = 1.0F;
  float amax_ = 0.0F;
  std::optional<OutputFile> codes_file_;
  std::optional<OutputFile> scales_file_;
  Execution execution_;
  std::optional<reference::CompareReport> verification_;
  std::chrono::nanoseconds input_time_{};
  std::chrono::nanoseconds verify_time_{};
  std::chrono::nanoseconds write_time_{};
};

}  // namespace

void add_run(CLI::App& app, CommandLine& line) {
  auto options = std::make_shared<RunOptions>();
  CLI::App& command =
      add_command(app, line, "run",
                  "Run an operation on an array, on the GPU or, where there is none, on the CPU.",
                  "Example: fourge run nvfp4_quantize --input x.npy --dtype bf16 --output q.npy "
                  "--scales sf.npy");
  command
      .add_option("op", options->op,
                  "Operation, or a spec: nvfp4_quantize; others run on random data")
      ->type_name("OP");
  command.add_option("--spec", options->spec, "Spec text instead of OP and the axis options")
      ->type_name("SPEC");
  command.add_option("--dtype", options->dtype, "Element type of the input: bf16, f16")
      ->type_name("TYPE");
  command.add_option("--layout", options->layout, "Layout of the block scales: linear, 128x4, 8x4")
      ->type_name("LAYOUT");
  command.add_option("--math", options->math, "Arithmetic: exact, fast")->type_name("MATH");
  command.add_option("--tpc", options->tpc, "Rows a CTA takes at a time: 1, 2, 4")
      ->type_name("ROWS");
  command.add_option("--target", options->target, "Target (default: the device's)")
      ->type_name("TARGET");
  command
      .add_option("--device", options->device,
                  "auto (a GPU, else the CPU), gpu, host, or a device's number")
      ->type_name("DEVICE");
  auto* input = command
                    .add_option("--input", options->input,
                                "Array of shape (rows, cols): the elements' bits as uint16, or "
                                "float16 for f16")
                    ->type_name("FILE.npy");
  command.add_option("--shape", options->shape, "Random data of this shape instead")
      ->type_name("ROWSxCOLS")
      ->excludes(input);
  command.add_option("--seed", options->seed, "Of the random data")
      ->check(whole_number())
      ->type_name("NUMBER");
  command
      .add_option("--global-scale", options->global_scale,
                  "Encode scale G (default: 448 * 6 / amax of the input)")
      ->type_name("G");
  command
      .add_option("--output", options->codes_path,
                  "Codes: uint8 of shape (rows, cols/2), element 2i in the low half of byte i")
      ->type_name("FILE.npy");
  command
      .add_option("--scales", options->scales_path,
                  "Block scales: uint8 of shape (rows, cols/16) when linear, else one row of "
                  "all bytes of the tiled buffer")
      ->type_name("FILE.npy");
  command.add_flag("--verify", options->verify,
                   "Compare with the CPU reference; on a difference write nothing and exit with 1");
  command.add_option("--repeat", options->repeat, "Launch this many times")
      ->check(CLI::Range(1, 1'000'000));
  command.callback([&line, options] {
    line.action = [&line, options] { return Nvfp4Run(*options, line.common).run(); };
  });
}

}  // namespace fourge::tools
