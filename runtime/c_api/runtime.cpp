// Runtimes, cubins and counters.
#include <fourge/fourge.h>
#include <fourge/prometheus.hpp>

#include <string>

#include "runtime/c_api/boundary.hpp"
#include "runtime/c_api/handles.hpp"
#include "runtime/c_api/options.hpp"
#include "runtime/c_api/texts.hpp"

namespace fourge::c_api {
namespace {

static_assert(sizeof(fourge_stats) == sizeof(Stats) + sizeof(std::size_t),
              "a new counter belongs at the end of fourge_stats (fourge.h), too");

fourge_stats c_stats(const Stats& stats) {
  fourge_stats c{};
  c.size = sizeof(c);
  c.memory_hits = stats.memory_hits;
  c.disk_hits = stats.disk_hits;
  c.read_only_hits = stats.read_only_hits;
  c.bundle_hits = stats.bundle_hits;
  c.promotions = stats.promotions;
  c.promotion_failures = stats.promotion_failures;
  c.compiles = stats.compiles;
  c.compile_failures = stats.compile_failures;
  c.remembered_failures = stats.remembered_failures;
  c.replaced_holders = stats.replaced_holders;
  c.waits = stats.waits;
  c.heals = stats.heals;
  c.miss_absent = stats.miss_absent;
  c.miss_format = stats.miss_format;
  c.miss_key = stats.miss_key;
  c.miss_corrupt = stats.miss_corrupt;
  c.miss_unreadable = stats.miss_unreadable;
  c.miss_untrusted = stats.miss_untrusted;
  c.miss_disabled = stats.miss_disabled;
  c.publish_failures = stats.publish_failures;
  c.loads = stats.loads;
  c.evictions = stats.evictions;
  c.bytes_evicted = stats.bytes_evicted;
  c.bytes_written = stats.bytes_written;
  c.compile_nanoseconds = stats.compile_nanoseconds;
  c.lookup_nanoseconds = stats.lookup_nanoseconds;
  c.wait_nanoseconds = stats.wait_nanoseconds;
  c.host_compiles = stats.host_compiles;
  c.frozen_misses = stats.frozen_misses;
  c.fallback_swaps = stats.fallback_swaps;
  c.cancelled = stats.cancelled;
  c.worker_compiles = stats.worker_compiles;
  return c;
}

static_assert(static_cast<int>(Origin::disk) == FOURGE_ORIGIN_DISK &&
              static_cast<int>(Origin::compiled) == FOURGE_ORIGIN_COMPILED);
static_assert(static_cast<int>(LogLevel::debug) == FOURGE_LOG_DEBUG &&
              static_cast<int>(LogLevel::info) == FOURGE_LOG_INFO &&
              static_cast<int>(LogLevel::warn) == FOURGE_LOG_WARN &&
              static_cast<int>(LogLevel::error) == FOURGE_LOG_ERROR);

}  // namespace
}  // namespace fourge::c_api

using fourge::c_api::guarded;
using fourge::c_api::require;

extern "C" {

uint32_t fourge_abi_version(void) { return FOURGE_ABI_VERSION; }

const char* fourge_version(void) { return FOURGE_VERSION; }

fourge_status fourge_runtime_create(const fourge_options* options, fourge_runtime** runtime,
                                    fourge_error** error) {
  return guarded(error, [&] {
    require(runtime, "fourge_runtime_create", "runtime");
    *runtime = new fourge_runtime{std::make_shared<fourge::Runtime>(
        options == nullptr ? fourge::Options::from_environment() : options->options)};
  });
}

void fourge_runtime_free(fourge_runtime* runtime) { delete runtime; }

fourge_status fourge_device_target(const fourge_runtime* runtime, const char** target,
                                   fourge_error** error) {
  return guarded(error, [&] {
    require(runtime, "fourge_device_target", "runtime");
    require(target, "fourge_device_target", "target");
    *target = fourge::c_api::target_name(runtime->runtime->device_target());
  });
}

fourge_status fourge_build(fourge_runtime* runtime, const char* spec, fourge_artifact** artifact,
                           fourge_error** error) {
  return guarded(error, [&] {
    require(runtime, "fourge_build", "runtime");
    require(spec, "fourge_build", "spec");
    require(artifact, "fourge_build", "artifact");
    auto built = runtime->runtime->build(runtime->runtime->parse(spec));
    std::string text = built->spec.text();
    *artifact = new fourge_artifact{std::move(built), std::move(text)};
  });
}

const void* fourge_artifact_cubin(const fourge_artifact* artifact, size_t* size) {
  if (size != nullptr) {
    *size = artifact->artifact->cubin.size();
  }
  return artifact->artifact->cubin.data();
}

const char* fourge_artifact_spec(const fourge_artifact* artifact) { return artifact->spec.c_str(); }

const char* fourge_artifact_entry(const fourge_artifact* artifact) {
  return artifact->artifact->entry_name.c_str();
}

const char* fourge_artifact_source(const fourge_artifact* artifact) {
  return artifact->artifact->source.c_str();
}

const char* fourge_artifact_key(const fourge_artifact* artifact) {
  return artifact->artifact->key.c_str();
}

int32_t fourge_artifact_origin(const fourge_artifact* artifact) {
  return static_cast<int32_t>(artifact->artifact->origin);
}

void fourge_artifact_free(fourge_artifact* artifact) { delete artifact; }

fourge_status fourge_runtime_stats(const fourge_runtime* runtime, fourge_stats* stats,
                                   fourge_error** error) {
  return guarded(error, [&] {
    require(runtime, "fourge_runtime_stats", "runtime");
    require(stats, "fourge_runtime_stats", "stats");
    const fourge_stats now = fourge::c_api::c_stats(runtime->runtime->stats());
    fourge::c_api::write_sized(&now, sizeof(now), stats, "fourge_runtime_stats");
  });
}

fourge_status fourge_runtime_metrics(const fourge_runtime* runtime, char* text, size_t capacity,
                                     size_t* length, fourge_error** error) {
  return guarded(error, [&] {
    require(runtime, "fourge_runtime_metrics", "runtime");
    require(length, "fourge_runtime_metrics", "length");
    if (capacity > 0) {
      require(text, "fourge_runtime_metrics", "text");
    }
    const std::string metrics = fourge::prometheus_text(runtime->runtime->stats());
    if (capacity > 0) {
      text[metrics.copy(text, capacity - 1)] = '\0';
    }
    *length = metrics.size();
  });
}

}  // extern "C"
