#include "runtime/host/host_executor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fourge/error.hpp>
#include <optional>
#include <system_error>
#include <thread>

#include "cache/digest.hpp"
#include "cache/file_system.hpp"
#include "runtime/host/batch_source.hpp"
#include "runtime/host/files.hpp"
#include "runtime/host/host_kernel_state.hpp"
#include "runtime/host/loaded_object.hpp"
#include "runtime/host/object_store.hpp"

namespace fourge::host {

namespace {

constexpr std::size_t kBatchSize = 16;
// Compilers at a time. More would starve a machine that has other work.
constexpr std::size_t kCompilers = 2;
// Each OS thread may map a thousand stacks, and the kernel limits mappings.
constexpr unsigned kMaxThreads = 16;

unsigned thread_count(unsigned wanted) {
  const unsigned found = wanted != 0 ? wanted : std::thread::hardware_concurrency();
  return std::clamp(found, 1U, kMaxThreads);
}

std::string field(std::string_view tag, std::string_view value) {
  return fmt::format("{}:{}:{}\n", tag, value.size(), value);
}

std::string label_of(const RawSource& source) {
  return source.label.empty() ? source.entry_name : source.label;
}

std::string function_id(const std::string& key, const RawSource& source) {
  return key + "\n" + label_of(source);
}

}  // namespace

struct HostExecutor::Pending {
  std::string key;
  const RawSource* source;
};

struct HostExecutor::Built {
  std::unique_ptr<ScopedDirectory> directory;
  std::string object_path;
};

HostExecutor::HostExecutor(HostOptions options)
    : options_(std::move(options)),
      compiler_(options_.compiler),
      grid_(thread_count(options_.threads)) {}

HostExecutor::~HostExecutor() = default;

void HostExecutor::log(LogLevel level, const std::string& text) const {
  if (options_.log) {
    options_.log(level, text);
  }
}

HostCounters HostExecutor::counters() const {
  return {memory_hits_, disk_hits_, kernels_compiled_, compiler_runs_, heals_};
}

void HostExecutor::open_store() {
  if (store_ != nullptr) {
    return;
  }
  std::string directory;
  if (!options_.cache_directory.empty()) {
    try {
      directory = options_.cache_directory + "/host";
      const cache::Root root{options_.cache_directory, options_.trust};
      if (const cache::IoStatus made =
              cache::posix_file_system().make_directories(cache::FilePath(root, directory));
          !made.ok()) {
        throw Error(ErrorKind::io,
                    fmt::format("host execution: {} is not used: {}", directory, made.reason()));
      }
      build_prefix_ = directory + "/build-";
      const ScopedDirectory probe(make_unique_directory(build_prefix_));
    } catch (const Error& error) {
      log(LogLevel::warn,
          fmt::format("{}; host kernels are kept in a temporary directory instead", error.what()));
      directory.clear();
    }
  }
  if (directory.empty()) {
    private_directory_ = std::make_unique<ScopedDirectory>(
        make_unique_directory(temporary_root() + "/fourge-host-"));
    directory = private_directory_->path();
    // Beside it, because the sources of a failed compile outlive the executor.
    build_prefix_ = temporary_root() + "/fourge-host-build-";
  }
  const ScopedDirectory scratch(make_unique_directory(build_prefix_));
  identity_ = compiler_.identity(scratch.path());
  store_ = std::make_unique<ObjectStore>(directory, options_.trust);
}

// Covers all that the compiler sees and the compiler itself.
std::string HostExecutor::key_of(const RawSource& source) const {
  std::string text = field("format", "fourge-host 1") + field("compiler", identity_);
  for (const EmbeddedText& file : prelude_files()) {
    text += field(file.name, file.text);
  }
  const BatchPiece piece{"", source.entry_name, source.source};
  text += field("unit", batch_source({&piece, 1}));
  return cache::sha256(text).hex();
}

const LoadedObject* HostExecutor::find_object(const std::string& digest) {
  if (const auto found = objects_.find(digest); found != objects_.end()) {
    return found->second.get();
  }
  const std::string path = store_->object_path(digest);
  if (std::error_code error; !std::filesystem::exists(path, error)) {
    return nullptr;
  }
  std::string reason = store_->problem_of(digest);
  if (reason.empty()) {
    try {
      return objects_.emplace(digest, std::make_unique<LoadedObject>(path)).first->second.get();
    } catch (const Error& error) {
      reason = error.what();
    }
  }
  log(LogLevel::warn, fmt::format("host execution: {} is removed and rebuilt: {}", path, reason));
  store_->remove_object(digest);
  ++heals_;
  return nullptr;
}

const HostFunction* HostExecutor::add(const std::string& key, const RawSource& source,
                                      const LoadedObject& object) {
  const fourge_host::Function* const function = object.find(key);
  if (function == nullptr) {
    return nullptr;
  }
  auto entry =
      std::make_unique<HostFunction>(HostFunction{label_of(source), source.entry_name, function});
  return functions_.insert_or_assign(function_id(key, source), std::move(entry))
      .first->second.get();
}

const HostFunction* HostExecutor::find(const std::string& key, const RawSource& source) {
  if (const auto found = functions_.find(function_id(key, source)); found != functions_.end()) {
    ++memory_hits_;
    return found->second.get();
  }
  const auto digest = store_->find(key);
  const LoadedObject* const object = digest ? find_object(*digest) : nullptr;
  const HostFunction* const function = object != nullptr ? add(key, source, *object) : nullptr;
  if (function != nullptr) {
    ++disk_hits_;
    log(LogLevel::debug,
        fmt::format("host execution: {} found in {}", function->label, store_->directory()));
  }
  return function;
}

std::vector<const HostFunction*> HostExecutor::load(std::span<const RawSource> sources) {
  const std::lock_guard lock(mutex_);
  open_store();
  std::vector<const HostFunction*> functions(sources.size());
  std::vector<std::string> keys;
  std::vector<Pending> missing;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    keys.push_back(key_of(sources[i]));
    functions[i] = find(keys[i], sources[i]);
    const bool asked = std::any_of(missing.begin(), missing.end(),
                                   [&](const Pending& other) { return other.key == keys[i]; });
    if (functions[i] == nullptr && !asked) {
      missing.push_back({keys[i], &sources[i]});
    }
  }
  compile(missing);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (functions[i] == nullptr) {
      const auto found = functions_.find(function_id(keys[i], sources[i]));
      functions[i] = found != functions_.end() ? found->second.get() : find(keys[i], sources[i]);
    }
    if (functions[i] == nullptr) {
      throw Error(ErrorKind::internal, fmt::format("host execution: {} was compiled but is not in "
                                                   "its batch",
                                                   label_of(sources[i])));
    }
  }
  return functions;
}

HostExecutor::Built HostExecutor::build(std::span<const Pending> batch) {
  std::vector<BatchPiece> pieces;
  std::vector<std::string> labels;
  for (const Pending& pending : batch) {
    pieces.push_back({pending.key, pending.source->entry_name, pending.source->source});
    labels.push_back(label_of(*pending.source));
  }
  auto directory = std::make_unique<ScopedDirectory>(make_unique_directory(build_prefix_));
  try {
    ++compiler_runs_;
    std::string object = compiler_.compile(directory->path(), batch_source(pieces), labels);
    return {std::move(directory), std::move(object)};
  } catch (const CompileError&) {
    directory->release();  // the error says where the source is
    throw;
  }
}

// A log of sixteen kernels hides the one that is wrong, so that one is compiled alone.
HostExecutor::Built HostExecutor::build_or_explain(std::span<const Pending> batch) {
  try {
    return build(batch);
  } catch (const CompileError& error) {
    if (batch.size() == 1) {
      throw;
    }
    std::string kept = error.source_path();
    kept.resize(kept.rfind('/'));
    ScopedDirectory whole(kept);
    for (const Pending& pending : batch) {
      build({&pending, 1});
    }
    whole.release();  // each compiles alone: only the batch shows the error
    throw;
  }
}

void HostExecutor::install(Built& built, std::span<const Pending> batch) {
  const std::string scratch = built.directory->path();
  std::string path = built.object_path;
  std::string digest = path;
  try {
    digest = store_->publish_object(path);
    path = store_->object_path(digest);
    for (const Pending& pending : batch) {
      store_->publish_reference(pending.key, digest, scratch);
    }
  } catch (const Error& error) {
    log(LogLevel::warn, fmt::format("{}; these kernels will be compiled again", error.what()));
    unpublished_.push_back(std::move(built.directory));
  }
  auto& object = objects_[digest];
  if (object == nullptr) {
    object = std::make_unique<LoadedObject>(path);
  }
  for (const Pending& pending : batch) {
    add(pending.key, *pending.source, *object);
  }
  kernels_compiled_ += batch.size();
}

void HostExecutor::compile(const std::vector<Pending>& missing) {
  if (missing.empty()) {
    return;
  }
  const std::size_t size = std::min(kBatchSize, (missing.size() + kCompilers - 1) / kCompilers);
  std::vector<std::span<const Pending>> batches;
  for (std::size_t i = 0; i < missing.size(); i += size) {
    batches.push_back(std::span(missing).subspan(i, std::min(size, missing.size() - i)));
  }
  std::vector<std::optional<Built>> built(batches.size());
  std::vector<std::exception_ptr> failures(batches.size());
  std::atomic<std::size_t> next{0};
  std::atomic<bool> failed{false};
  const auto work = [&] {
    for (std::size_t i = next++; i < batches.size() && !failed; i = next++) {
      try {
        built[i].emplace(build_or_explain(batches[i]));
      } catch (...) {
        failures[i] = std::current_exception();
        failed = true;
      }
    }
  };
  std::optional<std::thread> helper;
  if (batches.size() > 1) {
    helper.emplace(work);
  }
  work();
  if (helper) {
    helper->join();
  }
  for (std::size_t i = 0; i < batches.size(); ++i) {
    if (built[i]) {
      install(*built[i], batches[i]);
      log(LogLevel::info, fmt::format("host execution: compiled {} kernels, the first {}",
                                      batches[i].size(), label_of(*batches[i].front().source)));
    }
  }
  for (const std::exception_ptr& failure : failures) {
    if (failure) {
      std::rethrow_exception(failure);
    }
  }
}

}  // namespace fourge::host
