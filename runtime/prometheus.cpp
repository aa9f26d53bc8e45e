#include <fourge/error.hpp>
#include <fourge/prometheus.hpp>

#include <fmt/format.h>
#include <algorithm>
#include <iterator>
#include <vector>

namespace fourge {
namespace {

struct Sample {
  std::string_view label;  // "tier=\"disk\"" or nothing
  double scale;            // of the number
  std::uint64_t number;
};

struct Family {
  std::string_view name;
  std::string_view help;
  std::vector<Sample> samples;
};

constexpr double kPlain = 1;
constexpr double kNanoseconds = 1e-9;

Family single(std::string_view name, std::string_view help, std::uint64_t number,
              double scale = kPlain) {
  return {name, help, {{"", scale, number}}};
}

std::uint64_t local_hits(const Stats& stats) {
  const std::uint64_t lower = stats.read_only_hits + stats.bundle_hits;
  return std::max(stats.disk_hits, lower) - lower;
}

std::vector<Family> cache_families(const Stats& stats) {
  return {
      {"cache_hits",
       "Requests for a kernel that were answered without a compile, by what had it.",
       {{"tier=\"memory\"", kPlain, stats.memory_hits},
        {"tier=\"disk\"", kPlain, local_hits(stats)},
        {"tier=\"read_only\"", kPlain, stats.read_only_hits},
        {"tier=\"bundle\"", kPlain, stats.bundle_hits}}},
      {"cache_misses",
       "Look-ups in a cache on disk that gave no usable entry, by cause.",
       {{"cause=\"absent\"", kPlain, stats.miss_absent},
        {"cause=\"format\"", kPlain, stats.miss_format},
        {"cause=\"key\"", kPlain, stats.miss_key},
        {"cause=\"corrupt\"", kPlain, stats.miss_corrupt},
        {"cause=\"unreadable\"", kPlain, stats.miss_unreadable},
        {"cause=\"untrusted\"", kPlain, stats.miss_untrusted},
        {"cause=\"disabled\"", kPlain, stats.miss_disabled}}},
      single("cache_promotions", "Entries copied from a read-only cache into the cache directory.",
             stats.promotions),
      single("cache_promotion_failures", "Entries that could not be copied there.",
             stats.promotion_failures),
      single("cache_heals", "Bad entries that were set aside and rebuilt.", stats.heals),
      single("cache_publish_failures", "New entries that the cache directory did not take.",
             stats.publish_failures),
      single("cache_evictions", "Entries removed to keep the byte limit.", stats.evictions),
      single("cache_evicted_bytes", "Bytes of the entries removed to keep the byte limit.",
             stats.bytes_evicted),
      single("cache_written_bytes", "Bytes of the entries put into the cache directory.",
             stats.bytes_written),
      single("cache_lookup_seconds", "Time spent looking into caches on disk.",
             stats.lookup_nanoseconds, kNanoseconds),
  };
}

std::vector<Family> compile_families(const Stats& stats) {
  return {
      single("compiles", "Kernels compiled.", stats.compiles),
      single("compile_failures", "Kernels that did not compile.", stats.compile_failures),
      single("host_compiles", "Kernels compiled for host execution.", stats.host_compiles),
      single("compile_seconds", "Time spent on compiles that succeeded.", stats.compile_nanoseconds,
             kNanoseconds),
      single("remembered_failures",
             "Requests answered with a failure of before, without compiling again.",
             stats.remembered_failures),
      single("compile_waits", "Waits for another thread or process that compiled the same kernel.",
             stats.waits),
      single("compile_wait_seconds",
             "Time spent on those waits, and on waiting for a compile slot.",
             stats.wait_nanoseconds, kNanoseconds),
      single("compile_takeovers", "Compiles taken over from a process that was stuck.",
             stats.replaced_holders),
      single("loads", "Kernels loaded into the driver.", stats.loads),
      single("frozen_misses", "Kernels asked for after freezing that were not prepared.",
             stats.frozen_misses),
      single("fallback_swaps", "Kernels that took the place of their fallback variant.",
             stats.fallback_swaps),
      single("worker_compiles", "Kernels compiled by worker processes for this one.",
             stats.worker_compiles),
      single("cancelled_requests", "Background requests that ended by a cancel.", stats.cancelled),
  };
}

bool is_label_name(std::string_view name) {
  const auto is_letter = [](char c) {
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return !name.empty() && is_letter(name.front()) && name.substr(0, 2) != "__" && name != "tier" &&
         name != "cause" &&
         std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || is_digit(c); });
}

std::string common_labels(std::span<const MetricLabel> labels) {
  std::string text;
  for (const MetricLabel& label : labels) {
    if (!is_label_name(label.name)) {
      throw Error(ErrorKind::invalid_argument,
                  fmt::format("\"{}\" cannot be a metric's label: letters, digits and _, no digit "
                              "first, no __ first; tier and cause are taken",
                              label.name));
    }
    text += fmt::format("{}{}=\"", text.empty() ? "" : ",", label.name);
    for (const char c : label.value) {
      if (c == '\n') {
        text += "\\n";
        continue;
      }
      if (c == '\\' || c == '"') text += '\\';
      text += c;
    }
    text += '"';
  }
  return text;
}

void write(const Family& family, const std::string& common, std::string& text) {
  const auto out = std::back_inserter(text);
  const std::string name = fmt::format("fourge_{}_total", family.name);
  fmt::format_to(out, "# HELP {} {}\n# TYPE {} counter\n", name, family.help, name);
  for (const Sample& sample : family.samples) {
    const bool both = !common.empty() && !sample.label.empty();
    const std::string labels = fmt::format("{}{}{}", common, both ? "," : "", sample.label);
    text += labels.empty() ? name : fmt::format("{}{{{}}}", name, labels);
    if (sample.scale == kPlain) {
      fmt::format_to(out, " {}\n", sample.number);
    } else {
      fmt::format_to(out, " {:.9f}\n", static_cast<double>(sample.number) * sample.scale);
    }
  }
}

}  // namespace

std::string prometheus_text(const Stats& stats, std::span<const MetricLabel> labels) {
  const std::string common = common_labels(labels);
  std::string text;
  for (const Family& family : cache_families(stats)) write(family, common, text);
  for (const Family& family : compile_families(stats)) write(family, common, text);
  return text;
}

}  // namespace fourge
