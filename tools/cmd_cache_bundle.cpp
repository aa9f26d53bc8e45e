// fourge cache export, import, keygen: caches as one file that travels.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>

#include "cache/bundle_import.hpp"
#include "cache/bundle_reader.hpp"
#include "cache/bundle_writer.hpp"
#include "cache/file_descriptor.hpp"
#include "cache/key_lock.hpp"
#include "cache/key_record.hpp"
#include "cache/signature.hpp"
#include "cache/tiered_cache.hpp"
#include "tools/cache_access.hpp"
#include "tools/command.hpp"
#include "tools/output_file.hpp"
#include "tools/report.hpp"
#include "tools/spec_argument.hpp"

namespace fourge::tools {
namespace {

struct ExportOptions {
  std::string output;
  std::string sign;
  std::string targets;
  std::vector<std::string> ops;
  std::string filter;
};

struct ImportOptions {
  std::string bundle;
  std::string public_key;
};

struct KeygenOptions {
  std::string private_path;
  std::string public_path;
};

// The specs that the filters leave; nothing if there is no filter.
std::optional<std::set<std::string>> wanted_specs(const ExportOptions& options) {
  if (options.targets.empty() && options.ops.empty() && options.filter.empty()) {
    return std::nullopt;
  }
  std::set<std::string> wanted;
  const auto targets = parse_targets(options.targets.empty() ? "all" : options.targets);
  for (const OpVariants& variants :
       select_variants(parse_ops(options.ops), targets, options.filter)) {
    for (const KernelSpec& spec : variants.specs) {
      wanted.insert(spec.text());
    }
  }
  return wanted;
}

bool is_wanted(const std::optional<std::set<std::string>>& wanted, const std::string& record) {
  if (!wanted) {
    return true;
  }
  const cache::RecordResult parsed = cache::parse_key_record(record);
  return parsed.record && wanted->contains(parsed.record->spec_text());
}

// Entries that other processes evict or replace while it is written are left out or taken as they are then. Its length.
std::uint64_t write_bundle(const std::string& path, cache::BundleWriter& writer,
                           const cache::PrivateKey* key) {
  constexpr int kMostTries = 10;
  for (int tries = 1;; ++tries) {
    OutputFile output(path);
    try {
      const std::uint64_t bytes =
          writer.write([&](std::span<const std::byte> piece) { output.write(piece); }, key);
      output.commit();
      return bytes;
    } catch (const Error& error) {
      const bool again =
          error.kind() == ErrorKind::io && tries < kMostTries && writer.refresh() != 0;
      if (!again || writer.size() == 0) throw;
    }
  }
}

ExitCode export_bundle(const ExportOptions& options, const CommonOptions& common) {
  const Options library = options_with_cache(common);
  std::optional<cache::PrivateKey> key;
  if (!options.sign.empty()) {
    key.emplace(cache::PrivateKey::from_pem(cache::load_pem(options.sign)));
  }
  const auto wanted = wanted_specs(options);
  cache::DiskStore store(library.cache_directory, cache::posix_file_system(), trust_of(library));
  cache::BundleWriter writer;
  std::size_t bad = 0;
  std::size_t gone = 0;
  for (const cache::EntryInfo& entry : store.list()) {
    if (!entry.valid) {
      ++bad;
      library.log(LogLevel::warn, fmt::format("left out: {}", entry.detail));
    } else if (is_wanted(wanted, entry.record)) {
      gone += writer.add_if_there(entry.path) ? 0U : 1U;
    }
  }
  if (writer.size() == 0) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{} holds no good entry{}; fill it with `fourge prewarm`", store.root(),
                            wanted ? " that was asked for" : ""));
  }
  const std::size_t added = writer.size();
  const std::uint64_t bytes = write_bundle(options.output, writer, key ? &*key : nullptr);
  gone += added - writer.size();
  if (gone != 0) {
    library.log(LogLevel::warn,
                fmt::format("{} entries were evicted meanwhile and are not in the bundle", gone));
  }
  // Whatever the umask is: what others may write is not trusted when it is read.
  std::error_code error;
  std::filesystem::permissions(
      options.output, std::filesystem::perms::group_write | std::filesystem::perms::others_write,
      std::filesystem::perm_options::remove, error);
  if (common.json) {
    print_json({{"bundle", options.output},
                {"entries", writer.size()},
                {"bytes", bytes},
                {"signed", key.has_value()},
                {"bad", bad},
                {"gone", gone}});
  } else {
    print_text(fmt::format("{}: {} entries, {}{}\n", options.output, writer.size(),
                           bytes_text(bytes), key ? ", signed" : ", not signed"));
  }
  return bad == 0 ? ExitCode::ok : ExitCode::negative;
}

std::unique_ptr<cache::BundleReader> open_bundle(const ImportOptions& options,
                                                 const Options& library) {
  const std::string& pem =
      options.public_key.empty() ? library.bundle_public_key : options.public_key;
  std::optional<cache::PublicKey> key;
  if (!pem.empty()) {
    key.emplace(cache::PublicKey::from_pem(cache::load_pem(pem)));
  }
  cache::TrustPolicy trust = trust_of(library);
  trust.accept_root = true;
  cache::BundleReader::Opened opened =
      cache::BundleReader::open(options.bundle, key ? &*key : nullptr, trust);
  if (!opened.reader) {
    throw Error(
        opened.cause == cache::MissCause::unreadable ? ErrorKind::io : ErrorKind::invalid_argument,
        fmt::format("this bundle is not imported ({}): {}", cache::to_string(opened.cause),
                    opened.detail));
  }
  return std::move(opened.reader);
}

// All of them, before the first is written.
void require_good_entries(cache::BundleReader& bundle) {
  for (std::size_t i = 0; i < bundle.size(); ++i) {
    const cache::LookupResult found = bundle.entry(i);
    if (!found.entry) {
      throw Error(ErrorKind::invalid_argument,
                  fmt::format("a bad entry ({}): {}", cache::to_string(found.cause), found.detail));
    }
  }
}

ExitCode import_bundle(const ImportOptions& options, const CommonOptions& common) {
  const Options library = options_with_cache(common);
  const std::unique_ptr<cache::BundleReader> bundle = open_bundle(options, library);
  require_good_entries(*bundle);
  const cache::TrustPolicy trust = trust_of(library);
  cache::DiskStore local(library.cache_directory, cache::posix_file_system(), trust);
  cache::EvictionPolicy policy;
  policy.byte_limit = library.cache_byte_limit;
  policy.lock_directory = cache::default_lock_directory(library.runtime_directory, ::getuid());
  policy.trust = trust;
  cache::Evictor evictor(library.cache_directory, policy);
  cache::TieredCache store(&local, {}, false, &evictor);
  const cache::ImportReport report = cache::import_bundle(*bundle, store);
  if (common.json) {
    Json document{{"bundle", options.bundle},
                  {"directory", library.cache_directory},
                  {"entries", bundle->size()},
                  {"imported", report.imported},
                  {"present", report.present}};
    if (!report.failure.empty()) {
      document["failure"] = report.failure;
    }
    print_json(document);
  } else {
    print_text(fmt::format("{} of {} entries imported into {}, {} were there\n", report.imported,
                           bundle->size(), library.cache_directory, report.present));
  }
  if (report.failure.empty()) {
    return ExitCode::ok;
  }
  library.log(LogLevel::error, fmt::format("the import ended early: {}", report.failure));
  return ExitCode::failure;
}

// A key is never written over.
void write_new(const std::string& path, const std::string& text, mode_t mode) {
  cache::FileDescriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!file.valid()) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("cannot write the new key {}: {}", path, std::strerror(errno)));
  }
  const bool written =
      ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      ::fsync(file.get()) == 0 && file.close() == 0;
  if (!written) {
    const int error = errno;
    ::unlink(path.c_str());
    throw Error(ErrorKind::io, fmt::format("cannot write {}: {}", path, std::strerror(error)));
  }
}

ExitCode keygen(const KeygenOptions& options, const CommonOptions& common) {
  const cache::PrivateKey key = cache::PrivateKey::generate();
  write_new(options.private_path, key.pem(), 0600);
  try {
    write_new(options.public_path, key.public_pem(), 0644);
  } catch (const Error&) {
    ::unlink(options.private_path.c_str());  // half a pair is of no use
    throw;
  }
  if (common.json) {
    print_json({{"private", options.private_path}, {"public", options.public_path}});
  } else {
    print_text(
        fmt::format("{}: keep it secret, sign with it (cache export --sign)\n"
                    "{}: give it to the fleet (FOURGE_BUNDLE_PUBLIC_KEY)\n",
                    options.private_path, options.public_path));
  }
  return ExitCode::ok;
}

void add_export(CLI::App& parent, CommandLine& line) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App& command = add_command(
      parent, line, "export", "Write the kernels of the cache directory into one file, a bundle.",
      "The same kernels give the same bytes. Example:\n"
      "  fourge cache export --target sm_90a --output fleet.fourge --sign private.pem\n"
      "  FOURGE_CACHE_READ_ONLY=fleet.fourge FOURGE_BUNDLE_PUBLIC_KEY=public.pem server");
  command.add_option("--output", options->output, "The bundle; its name should end with .fourge")
      ->required()
      ->type_name("FILE");
  command.add_option("--sign", options->sign, "Private key to sign it with")->type_name("PEM");
  command.add_option("--target", options->targets, "Only these targets")->type_name("TARGET,...");
  command.add_option("--op", options->ops, "Only these operations")
      ->delimiter(',')
      ->type_name("OP");
  command.add_option("--variants", options->filter, "Only variants with these values")
      ->type_name("AXIS=VALUE,...");
  command.callback([&line, options] {
    line.action = [&line, options] { return export_bundle(*options, line.common); };
  });
}

}  // namespace

void add_cache_bundle(CLI::App& parent, CommandLine& line) {
  add_export(parent, line);
  auto import_options = std::make_shared<ImportOptions>();
  CLI::App& importing =
      add_command(parent, line, "import",
                  "Verify a bundle as a whole, then copy its kernels into the cache directory.");
  importing.add_option("bundle", import_options->bundle, "The bundle")
      ->required()
      ->type_name("FILE");
  importing
      .add_option("--public-key", import_options->public_key,
                  "Key that it must be signed with (else FOURGE_BUNDLE_PUBLIC_KEY)")
      ->type_name("PEM");
  importing.callback([&line, import_options] {
    line.action = [&line, import_options] { return import_bundle(*import_options, line.common); };
  });
  auto keygen_options = std::make_shared<KeygenOptions>();
  CLI::App& generating =
      add_command(parent, line, "keygen", "Make a pair of keys (Ed25519) to sign bundles with.");
  generating.add_option("--private", keygen_options->private_path, "New file for the private key")
      ->required()
      ->type_name("FILE");
  generating.add_option("--public", keygen_options->public_path, "New file for the public key")
      ->required()
      ->type_name("FILE");
  generating.callback([&line, keygen_options] {
    line.action = [&line, keygen_options] { return keygen(*keygen_options, line.common); };
  });
}

}  // namespace fourge::tools
