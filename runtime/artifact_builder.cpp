#include "runtime/artifact_builder.hpp"

#include "cache/lock_file.hpp"
#include "jit/source_generator.hpp"
#include "runtime/cubin_check.hpp"
#include "runtime/templates.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>
#include <chrono>
#include <filesystem>

namespace fourge {
namespace {

using Clock = std::chrono::steady_clock;

void count_miss(Counters& counters, cache::MissCause cause) {
  switch (cause) {
    case cache::MissCause::absent:
      ++counters.miss_absent;
      return;
    case cache::MissCause::format:
      ++counters.miss_format;
      return;
    case cache::MissCause::key:
      ++counters.miss_key;
      return;
    case cache::MissCause::corrupt:
      ++counters.miss_corrupt;
      return;
    case cache::MissCause::unreadable:
      ++counters.miss_unreadable;
      return;
    case cache::MissCause::untrusted:
      ++counters.miss_untrusted;
      return;
    case cache::MissCause::disabled:
      ++counters.miss_disabled;
      return;
  }
}

}  // namespace

Artifact artifact_of(const BuildRequest& request) {
  return Artifact{request.spec,
                  request.spec.entry_name(),
                  request.source,
                  request.options,
                  request.key.full.hex(),
                  request.key.record,
                  {},
                  Origin::compiled,
                  {}};
}

cache::CacheKey make_key(const KernelSpec& spec, std::string_view source,
                         const std::vector<std::string>& options,
                         const std::string& nvrtc_identity) {
  return cache::KeyBuilder()
      .field("spec", spec.text_without_target())
      .field("target", spec.target().text())
      .field("source_sha256", cache::sha256(source).hex())
      .field("options", options)
      .toolchain("nvrtc", nvrtc_identity)
      .finish();
}

ArtifactBuilder::ArtifactBuilder(const Options& options, Counters& counters,
                                 cache::FileSystem& files)
    : options_(options), counters_(counters) {
  if (!options_.trusted_group.empty()) {
    trust_.group = cache::find_group(options_.trusted_group);
  }
  if (!options_.cache_directory.empty()) {
    store_.emplace(options_.cache_directory, files, trust_);
    cache::EvictionPolicy policy;
    policy.byte_limit = options_.cache_byte_limit;
    policy.lock_directory = cache::default_lock_directory(options_.runtime_directory, getuid());
    policy.trust = trust_;
    evictor_.emplace(options_.cache_directory, policy, files);
    kept_.emplace(options_.cache_directory, files, trust_);
  }
  std::vector<std::unique_ptr<cache::ReadOnlyTier>> lower;
  for (const std::string& path : options_.cache_read_only) {
    lower.push_back(cache::make_read_only_tier(path, options_.bundle_public_key, trust_, files));
  }
  compiler_.emplace(options_, counters_, trust_, files);
  tiers_.emplace(store_ ? &*store_ : nullptr, std::move(lower), options_.cache_promote,
                 evictor_ ? &*evictor_ : nullptr);
}

ArtifactBuilder::~ArtifactBuilder() { keep_counters(); }

void ArtifactBuilder::keep_counters() noexcept {
  if (!evictor_ || !kept_) {
    return;
  }
  const cache::EvictorCounters done = evictor_->counters();
  counters_.evictions = done.removed;
  counters_.bytes_evicted = done.removed_bytes;
  counters_.bytes_written = done.published_bytes;
  kept_->record(kept_counters(counters_.snapshot()));
}

BuildRequest ArtifactBuilder::request(const KernelSpec& spec) {
  std::string source = generate_source(spec, options_.ops);
  std::vector<std::string> options = jit::nvrtc_options(spec.target());
  cache::CacheKey key = make_key(spec, source, options, compiler_->location().build_identity);
  return {spec, std::move(source), std::move(options), std::move(key)};
}

Artifact ArtifactBuilder::build(const KernelSpec& spec, const std::stop_token& stop,
                                CompileElsewhere* elsewhere) {
  const auto start = Clock::now();
  const BuildRequest wanted = request(spec);
  try {
    Artifact artifact = checked_build(wanted, stop, elsewhere);
    artifact.took = Clock::now() - start;
    keep_counters();
    return artifact;
  } catch (...) {
    keep_counters();
    throw;
  }
}

Artifact ArtifactBuilder::checked_build(const BuildRequest& request, const std::stop_token& stop,
                                        CompileElsewhere* elsewhere) {
  if (!compiler_->location().found()) {
    return build_without_compiler(request);
  }
  std::optional<Artifact> found = from_disk(request, Look::first);
  if (!found && elsewhere != nullptr) {
    found = build_elsewhere(request, stop, *elsewhere);
  }
  return found ? std::move(*found) : build_on_miss(request, stop);
}

std::optional<Artifact> ArtifactBuilder::build_elsewhere(const BuildRequest& request,
                                                         const std::stop_token& stop,
                                                         CompileElsewhere& elsewhere) {
  std::optional<Elsewhere> made = elsewhere.compile(request, stop);
  if (!made) {
    return std::nullopt;
  }
  std::optional<Artifact> artifact;
  if (made->kept) {
    artifact = from_disk(request, Look::again);
  } else {
    cache::Entry entry;
    entry.payload = std::move(made->cubin);
    if (!cubin_check(request.spec)(entry)) {
      artifact = artifact_of(request);
      artifact->cubin = std::move(entry.payload);
    }
  }
  if (artifact && made->origin == Origin::compiled) {
    artifact->origin = made->origin;
    artifact->tier.clear();
    ++counters_.worker_compiles;
  }
  return artifact;
}

bool ArtifactBuilder::is_cached(const KernelSpec& spec) {
  const BuildRequest wanted = request(spec);
  const cache::TieredResult found = compiler_->location().found()
                                        ? tiers_->lookup(wanted.key, cubin_check(spec))
                                        : tiers_->lookup_request(wanted.key, cubin_check(spec));
  count(spec, found, Look::first);
  keep_counters();
  return found.entry.has_value();
}

cache::TieredResult ArtifactBuilder::timed(const std::function<cache::TieredResult()>& look) {
  const auto start = Clock::now();
  cache::TieredResult found = look();
  counters_.lookup_nanoseconds += static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count());
  return found;
}

std::optional<Artifact> ArtifactBuilder::from_disk(const BuildRequest& request, Look look) {
  cache::TieredResult found =
      timed([&] { return tiers_->lookup(request.key, cubin_check(request.spec)); });
  count(request.spec, found, look);
  if (!found.entry) {
    return std::nullopt;
  }
  Artifact artifact = artifact_of(request);
  artifact.cubin = std::move(found.entry->payload);
  artifact.origin = Origin::disk;
  artifact.tier = std::move(found.path);
  if (evictor_) {
    evictor_->hold(request.key);
  }
  return artifact;
}

// A read-only tier that merely has not got an entry is no miss of the cache, unless there is no other.
void ArtifactBuilder::count(const KernelSpec& spec, const cache::TieredResult& found, Look look) {
  bool counted = look == Look::again;
  for (const cache::TierMiss& miss : found.misses) {
    const bool is_miss = (store_ && miss.tier == 0) || miss.cause != cache::MissCause::absent;
    // A bad entry that this look has moved away is not the one that an earlier look has seen.
    if (is_miss && (look == Look::first || miss.set_aside)) {
      count_miss(counters_, miss.cause);
      counted = true;
    }
    if (miss.set_aside) {
      ++counters_.heals;
      log(LogLevel::warn, fmt::format("{}: a bad cache entry was set aside and will be rebuilt: {}",
                                      spec.text(), miss.detail));
    } else {
      log(LogLevel::debug, fmt::format("{}: cache miss ({}): {}", spec.text(),
                                       cache::to_string(miss.cause), miss.detail));
    }
  }
  for (const std::string& warning : found.warnings) {
    log(LogLevel::warn, warning);
  }
  if (!found.entry && !counted) {
    count_miss(counters_,
               tiers_->tiers() == 0 ? cache::MissCause::disabled : cache::MissCause::absent);
  }
  if (found.entry) {
    ++counters_.disk_hits;
    counters_.read_only_hits += found.kind == cache::TierKind::directory ? 1U : 0U;
    counters_.bundle_hits += found.kind == cache::TierKind::bundle ? 1U : 0U;
    counters_.promotions += found.promoted ? 1U : 0U;
    counters_.promotion_failures += found.promotion_failed ? 1U : 0U;
  }
}

Artifact ArtifactBuilder::build_without_compiler(const BuildRequest& request) {
  cache::TieredResult found =
      timed([&] { return tiers_->lookup_request(request.key, cubin_check(request.spec)); });
  count(request.spec, found, Look::first);
  if (!found.entry) {
    std::vector<std::string> asked = options_.cache_read_only;
    if (store_) {
      asked.insert(asked.begin(), options_.cache_directory);
    }
    std::string why;
    for (const cache::TierMiss& miss : found.misses) {
      why += miss.cause == cache::MissCause::absent ? std::string() : "\n  " + miss.detail;
    }
    throw Error(
        ErrorKind::library_missing,
        fmt::format("{} is not in the cache ({}) and cannot be compiled: {}{}", request.spec.text(),
                    asked.empty() ? "none" : fmt::format("{}", fmt::join(asked, ", ")),
                    jit::nvrtc_missing_message(compiler_->location()), why));
  }
  Artifact artifact = artifact_of(request);
  artifact.key = found.entry->key_hex;
  artifact.key_record = found.entry->record;
  artifact.cubin = std::move(found.entry->payload);
  artifact.origin = Origin::disk;
  artifact.tier = std::move(found.path);
  return artifact;
}

Artifact ArtifactBuilder::build_on_miss(const BuildRequest& request, const std::stop_token& stop) {
  SharedResults results;
  if (store_) {
    results.root = store_->root();
    results.appeared = [path = store_->path_of(request.key)] {
      std::error_code ignored;
      return std::filesystem::exists(path, ignored);
    };
    results.take = [&] { return from_disk(request, Look::again); };
    results.publish = [&](const Artifact& artifact) { return publish(request, artifact); };
  }
  return compiler_->build(request, results, stop);
}

bool ArtifactBuilder::publish(const BuildRequest& request, const Artifact& artifact) {
  evictor_->hold(request.key);  // before it is there, so that it is not the first to go
  const cache::PublishResult result = tiers_->publish(request.key, artifact.cubin);
  if (result.ok) {
    return true;
  }
  evictor_->release(request.key);
  ++counters_.publish_failures;
  if (!warned_.exchange(true)) {
    log(LogLevel::warn,
        fmt::format("the cache directory {} keeps nothing ({}); kernels are kept in memory "
                    "only. Put it right or choose another with FOURGE_CACHE_DIR.",
                    options_.cache_directory, result.detail));
  }
  return false;
}

void ArtifactBuilder::log(LogLevel level, std::string_view text) const {
  if (options_.log) {
    options_.log(level, text);
  }
}

}  // namespace fourge
