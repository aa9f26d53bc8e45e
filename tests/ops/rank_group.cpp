#include "tests/ops/rank_group.hpp"

#include <fourge/error.hpp>
#include <fourge/options.hpp>
#include <fourge/runtime.hpp>

#include "tests/support/op_call.hpp"

#include <algorithm>
#include <cstring>

namespace fourge::tests {

RankKernels::RankKernels()
    : executor_([] {
        const Options options = Options::from_environment();
        return host::HostOptions{options.host_compiler, options.cache_directory, 1, {}};
      }()) {}

std::vector<const host::HostFunction*> RankKernels::load(
    std::span<const KernelSpec> specs,
    const std::function<std::string(const KernelSpec&, std::string)>& change) {
  std::vector<host::RawSource> sources;
  for (const KernelSpec& spec : specs) {
    std::string source = generate_source(spec);
    sources.push_back({spec.entry_name(),
                       change ? change(spec, std::move(source)) : std::move(source), spec.text()});
  }
  return executor_.load(sources);
}

RankGroup::RankGroup(const comm::WorkspaceShape& shape, int multiprocessors)
    : shape_(shape),
      layout_(comm::workspace_layout(shape)),
      multiprocessors_(multiprocessors),
      deadlines_(static_cast<std::size_t>(shape.ranks), 1'000'000'000),
      launches_(static_cast<std::size_t>(shape.ranks)) {
  for (int r = 0; r < shape.ranks; ++r) {
    workspaces_.push_back(memory(static_cast<std::size_t>(layout_.bytes)));
    unsigned char* const bytes = workspaces_.back()[0].bytes;
    // What is never read before it is written: numbers that would show.
    std::memset(bytes, 0x41, static_cast<std::size_t>(layout_.bytes));
    std::memset(bytes, 0, static_cast<std::size_t>(layout_.one_shot_offset));
    for (std::int64_t i = layout_.one_shot_offset; i < layout_.input_offset; i += 4) {
      std::memcpy(bytes + i, &comm::kSentinelWord, 4);
    }
    controls_.push_back(memory(comm::kControlBytes));
    reports_.push_back(memory(comm::kReportBytes));
  }
}

RankGroup::Memory RankGroup::memory(std::size_t bytes) { return Memory((bytes + 127) / 128); }

const comm::Report& RankGroup::report(int rank) const {
  return *reinterpret_cast<const comm::Report*>(
      reports_[static_cast<std::size_t>(rank)].data()->bytes);
}

const comm::Control& RankGroup::control(int rank) const {
  return *reinterpret_cast<const comm::Control*>(
      controls_[static_cast<std::size_t>(rank)].data()->bytes);
}

template <class T>
void* RankGroup::input(Call& call, const std::vector<T>& values) {
  Memory& buffer = call.inputs.emplace_back(memory(values.size() * sizeof(T) + 1));
  if (!values.empty()) {
    std::memcpy(buffer.data()->bytes, values.data(), values.size() * sizeof(T));
  }
  return buffer.data();
}

template <class T>
void* RankGroup::output(Call& call, const char* name, const std::vector<T>& expected) {
  Output output{name, std::vector<unsigned char>(expected.size() * sizeof(T)), {}};
  if (!expected.empty()) {
    std::memcpy(output.expected.data(), expected.data(), output.expected.size());
  }
  output.found = memory(output.expected.size() + 1);
  std::memset(output.found.data()->bytes, kPoison, output.found.size() * 128);
  return call.outputs.emplace_back(std::move(output)).found.data();
}

AllreduceRmsnormQuantizeArgs RankGroup::arguments(int rank) {
  AllreduceRmsnormQuantizeArgs args;
  args.rank = rank;
  args.multiprocessors = multiprocessors_;
  for (int r = 0; r < shape_.ranks; ++r) {
    args.peers[r] = workspaces_[static_cast<std::size_t>(r)].data();
  }
  args.control = controls_[static_cast<std::size_t>(rank)].data();
  args.report = reports_[static_cast<std::size_t>(rank)].data();
  args.slot_bytes = layout_.slot_bytes;
  args.input_offset = layout_.input_offset;
  args.input_slot_bytes = layout_.input_slot_bytes;
  args.result_offset = layout_.result_offset;
  args.workspace_bytes = layout_.bytes;
  args.deadline_ns = deadlines_[static_cast<std::size_t>(rank)];
  return args;
}

void RankGroup::add_for(int rank, const KernelSpec& spec, const host::HostFunction* function,
                        const AllreduceCase& c, bool optional_outputs) {
  Call& call = calls_.emplace_back();
  call.rank = rank;
  call.label = spec.text() + ", " + std::to_string(c.rows) + "x" + std::to_string(c.cols);
  AllreduceRmsnormQuantizeArgs args = arguments(rank);
  args.rows = c.rows;
  args.cols = c.cols;
  args.x = input(call, c.x[static_cast<std::size_t>(rank)]);
  const auto out = spec.get("out");
  if (out == "sum") {
    args.sum_out = output(call, "sum_out", c.sum);
  } else {
    args.residual = input(call, c.residual);
    args.weight = input(call, c.weight);
    args.eps = c.after.eps;
    args.scale_value = c.after.scale;
    if (optional_outputs) {
      args.residual_out = output(call, "residual_out", c.after.residual_out);
    }
    if (optional_outputs || out == "norm") {
      args.norm_out = output(call, "norm_out", c.after.norm_out);
    }
    if (out != "norm") {
      args.q = static_cast<std::uint8_t*>(output(call, "q", c.after.q));
      args.scales = static_cast<std::uint8_t*>(output(call, "scales", c.after.scales));
    }
    if (spec.get("scale") == "token") {
      args.token_scales = static_cast<float*>(output(call, "token_scales", c.after.token_scales));
    }
  }
  launches_[static_cast<std::size_t>(rank)].push_back({function, spec, args_bytes(args)});
}

void RankGroup::add(const KernelSpec& spec, const host::HostFunction* function,
                    const AllreduceCase& c, bool optional_outputs, int absent) {
  for (int rank = 0; rank < shape_.ranks; ++rank) {
    if (rank != absent) {
      add_for(rank, spec, function, c, optional_outputs);
    }
  }
}

std::string RankGroup::first_report() const {
  for (int rank = 0; rank < shape_.ranks; ++rank) {
    if (report(rank).magic != 0) {
      return "rank " + std::to_string(rank) + " gave up waiting for rank " +
             std::to_string(report(rank).rank) + " in call " + std::to_string(report(rank).call) +
             ", wait " + std::to_string(static_cast<unsigned>(report(rank).kind));
    }
  }
  return {};
}

std::string RankGroup::difference() const {
  std::vector<std::uint64_t> calls_of(static_cast<std::size_t>(shape_.ranks), 0);
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    const comm::Report& end = report(calls_[i].rank);
    const std::uint64_t number = calls_of[static_cast<std::size_t>(calls_[i].rank)]++;
    if (end.magic != 0 && number >= end.call) continue;
    for (const Output& output : calls_[i].outputs) {
      const unsigned char* const found = output.found.data()->bytes;
      const auto at = std::mismatch(output.expected.begin(), output.expected.end(), found);
      if (at.first != output.expected.end()) {
        return "call " + std::to_string(i) + ", rank " + std::to_string(calls_[i].rank) + ", " +
               calls_[i].label + ": " + output.name + " differs at byte " +
               std::to_string(at.first - output.expected.begin());
      }
    }
  }
  return {};
}

std::string RankGroup::run(const host::RankSchedule& schedule) {
  const std::string problem = run_until_reports(schedule);
  return problem.empty() ? first_report() : problem;
}

std::string RankGroup::run_until_reports(const host::RankSchedule& schedule) {
  try {
    host::run_ranks(launches_, schedule);
  } catch (const Error& error) {
    return error.what();
  }
  return difference();
}

}  // namespace fourge::tests
