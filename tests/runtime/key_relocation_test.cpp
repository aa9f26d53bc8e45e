// What a key depends on and what it does not. Everything that changes the compiled bytes makes another
// key; where things lie and who asks for them makes none.
#include <fourge/kernel_spec.hpp>
#include <fourge/runtime.hpp>

#include "cache/digest.hpp"
#include "jit/nvrtc_location.hpp"
#include "runtime/artifact_builder.hpp"
#include "runtime/templates.hpp"
#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <locale>
#include <map>
#include <random>
#include <set>

namespace fs = std::filesystem;

using fourge::KernelSpec;
using fourge::make_key;
using fourge::Target;
using fourge::tests::Scratch;

namespace {

const KernelSpec kSpec = KernelSpec::parse("nvfp4_quantize[layout=8x4,tpc=2]@sm_90a");
constexpr const char* kIdentity = "0011223344 5566778899";

fourge::cache::CacheKey key_of(const KernelSpec& spec) {
  return make_key(spec, fourge::generate_source(spec), fourge::compile_options(spec), kIdentity);
}

// Counts in threes and writes a comma in numbers, as German and Turkish do.
class Grouping : public std::numpunct<char> {
  char do_thousands_sep() const override { return '.'; }
  char do_decimal_point() const override { return ','; }
  std::string do_grouping() const override { return "\3"; }
  std::string do_truename() const override { return "wahr"; }
  std::string do_falsename() const override { return "falsch"; }
};

class ScopedLocale {
 public:
  explicit ScopedLocale(const std::locale& locale) : before_(std::locale::global(locale)) {}
  ~ScopedLocale() { std::locale::global(before_); }
  ScopedLocale(const ScopedLocale&) = delete;
  ScopedLocale& operator=(const ScopedLocale&) = delete;

 private:
  std::locale before_;
};

// Runs a shell command and takes its standard output.
std::string output_of(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  char buffer[4096];
  for (std::size_t count = 0; (count = std::fread(buffer, 1, sizeof(buffer), pipe)) > 0;) {
    text.append(buffer, count);
  }
  ::pclose(pipe);
  return text;
}

// "key" of the command's JSON.
std::string key_in(const std::string& json) {
  const std::string mark = "\"key\": \"";
  const auto at = json.find(mark);
  return at == std::string::npos ? "no key in: " + json : json.substr(at + mark.size(), 64);
}

std::string quoted(const std::string& text) { return "'" + text + "'"; }

}  // namespace

TEST_CASE("every value of every axis makes another key", "[key]") {
  for (const fourge::OpDefinition* op : fourge::all_ops()) {
    const KernelSpec plain(*op, Target::parse("sm_100a"));
    if (!op->refusal(plain).empty()) continue;
    std::set<std::string> requests{key_of(plain).request.hex()};
    std::set<std::string> fulls{key_of(plain).full.hex()};
    std::size_t keys = 1;
    for (std::size_t axis = 0; axis < op->axes.size(); ++axis) {
      for (std::size_t value = 1; value < op->axes[axis].values.size(); ++value) {
        KernelSpec spec = plain;
        spec.set_index(axis, value);
        if (!op->refusal(spec).empty()) continue;
        INFO(spec.text());
        CHECK(requests.insert(key_of(spec).request.hex()).second);
        CHECK(fulls.insert(key_of(spec).full.hex()).second);
        ++keys;
      }
    }
    INFO(op->name);
    CHECK(requests.size() == keys);
  }
}

TEST_CASE("every operation and every target, suffix included, makes another key", "[key]") {
  std::set<std::string> keys;
  std::size_t made = 0;
  for (const fourge::OpDefinition* op : fourge::all_ops()) {
    for (const Target& target : Target::all()) {
      const KernelSpec spec(*op, target);
      if (!op->refusal(spec).empty()) continue;
      keys.insert(key_of(spec).request.hex());
      ++made;
    }
  }
  CHECK(made > fourge::all_ops().size());
  CHECK(keys.size() == made);
  CHECK(key_of(KernelSpec::parse("nvfp4_quantize@sm_90")).request !=
        key_of(KernelSpec::parse("nvfp4_quantize@sm_90a")).request);
  CHECK(key_of(KernelSpec::parse("nvfp4_quantize@sm_100a")).request !=
        key_of(KernelSpec::parse("nvfp4_quantize@sm_100f")).request);
}

TEST_CASE("the target makes another key even with the same source and options", "[key]") {
  const auto options = fourge::compile_options(kSpec);
  const auto of = [&](const char* target) {
    return make_key(KernelSpec::parse(kSpec.text_without_target() + "@" + target), "source",
                    options, kIdentity);
  };
  CHECK(of("sm_90").request != of("sm_90a").request);
}

TEST_CASE("every byte of the source makes another key", "[key]") {
  const std::string source = fourge::generate_source(kSpec);
  const auto options = fourge::compile_options(kSpec);
  std::set<std::string> keys{make_key(kSpec, source, options, kIdentity).request.hex()};
  std::mt19937 random(4);
  std::set<std::size_t> places{0, source.size() - 1};
  while (places.size() < 200) places.insert(random() % source.size());
  for (const std::size_t at : places) {
    std::string other = source;
    other[at] = static_cast<char>(other[at] ^ (1 << (random() % 7)));
    keys.insert(make_key(kSpec, other, options, kIdentity).request.hex());
  }
  CHECK(keys.size() == 201);
  keys.insert(make_key(kSpec, source + ' ', options, kIdentity).request.hex());
  keys.insert(make_key(kSpec, source.substr(1), options, kIdentity).request.hex());
  keys.insert(make_key(kSpec, "", options, kIdentity).request.hex());
  CHECK(keys.size() == 204);
}

TEST_CASE("every option makes another key", "[key]") {
  const auto options = fourge::compile_options(kSpec);
  const auto of = [](const std::vector<std::string>& list) {
    return make_key(kSpec, "source", list, kIdentity).request.hex();
  };
  std::set<std::string> keys{of(options)};
  for (std::size_t i = 0; i < options.size(); ++i) {
    auto without = options;
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK(keys.insert(of(without)).second);
    auto longer = options;
    longer[i] += '1';
    CHECK(keys.insert(of(longer)).second);
    auto twice = options;
    twice.push_back(options[i]);
    CHECK(keys.insert(of(twice)).second);
  }
}

TEST_CASE("another build of NVRTC makes another key of the same request", "[key]") {
  const std::string source = fourge::generate_source(kSpec);
  const auto options = fourge::compile_options(kSpec);
  const auto key = make_key(kSpec, source, options, kIdentity);
  for (const std::string other :
       {"", "0011223344", "0011223344 5566778898", "0011223344 556677889"}) {
    const auto changed = make_key(kSpec, source, options, other);
    CHECK(changed.request == key.request);
    CHECK(changed.full != key.full);
  }
}

TEST_CASE("templates and generated sources name no place, no time and no compiler's file",
          "[key]") {
  std::map<std::string, std::string> texts;
  for (const auto& file : fourge::template_files()) {
    CHECK(file.name.find("..") == std::string_view::npos);
    CHECK(file.name.front() != '/');
    texts.emplace(std::string(file.name), std::string(file.text));
  }
  for (const fourge::OpDefinition* op : fourge::all_ops()) {
    const KernelSpec spec(*op, Target::parse("sm_100a"));
    if (op->refusal(spec).empty()) texts.emplace(spec.text(), fourge::generate_source(spec));
  }
  CHECK(texts.size() > fourge::all_ops().size());
  for (const auto& [name, text] : texts) {
    INFO(name);
    for (const std::string& mark :
         {std::string(FOURGE_SOURCE_DIR), std::string("/home/"), std::string("/usr/"),
          std::string("/tmp/"), std::string("__FILE__"), std::string("__DATE__"),
          std::string("__TIME__"), std::string("__TIMESTAMP__"), std::string("#line"),
          std::string("source_location")}) {
      INFO(mark);
      CHECK(text.find(mark) == std::string::npos);
    }
  }
  for (const std::string& option : fourge::compile_options(kSpec)) {
    CHECK(option.find('/') == std::string::npos);
  }
}

TEST_CASE("the key does not depend on the process's locale", "[key]") {
  const auto expected = key_of(kSpec);
  const auto check = [&] {
    const auto key = key_of(KernelSpec::parse(kSpec.text()));
    CHECK(key.request == expected.request);
    CHECK(key.full == expected.full);
    CHECK(key.record == expected.record);
  };
  {
    const ScopedLocale scoped(std::locale(std::locale::classic(), new Grouping));
    check();
  }
  const std::string before = std::setlocale(LC_ALL, nullptr);
  for (const char* name : {"tr_TR.UTF-8", "de_DE.UTF-8", "C.UTF-8"}) {
    if (std::setlocale(LC_ALL, name) != nullptr) check();
  }
  std::setlocale(LC_ALL, before.c_str());
}

#ifdef FOURGE_COMMAND

TEST_CASE("the command finds the same key wherever and however it runs", "[key][nvrtc]") {
  const Scratch scratch;
  const std::string root = scratch.path();
  ::chmod(root.c_str(), 0755);
  // A copy elsewhere: another install prefix. (A checkout elsewhere differs by its sources' paths,
  // which the embedded templates do not hold; see above.)
  const std::string prefix = root + "/a prefix/bin";
  fs::create_directories(prefix);
  fs::create_directories(root + "/home");
  fs::copy_file(FOURGE_COMMAND, prefix + "/fourge");
  const auto location =
      fourge::jit::locate_nvrtc({fourge::Options::from_environment().nvrtc_library,
                                 fourge::Options::from_environment().cuda_home});
  REQUIRE(location.found());

  // Locales are made here where the system brings none.
  output_of("for l in tr_TR de_DE; do localedef -i $l -f UTF-8 " + quoted(root) +
            "/$l.UTF-8 2>&1; done");
  std::string inherited;
  for (const char* name :
       {"PATH", "LD_LIBRARY_PATH", "CUDA_HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name))
      inherited += " " + quoted(std::string(name) + "=" + value);
  }
  inherited +=
      " " + quoted("FOURGE_NVRTC=" + location.path) + " FOURGE_CACHE_DIR=" + quoted(root + "/none");
  struct Run {
    std::string directory = "/";
    std::string environment;
    std::string wrapper;
    std::string program = FOURGE_COMMAND;
  };
  const auto key = [&](const Run& run) {
    return key_in(output_of("cd " + quoted(run.directory) + " && env -i" + inherited + " " +
                            run.environment + " " + run.wrapper + " " + quoted(run.program) +
                            " explain " + quoted(kSpec.text()) + " --json 2>&1"));
  };
  const std::string expected = key({});
  CHECK(expected.size() == 64);
  CHECK(expected == make_key(kSpec, fourge::generate_source(kSpec), fourge::compile_options(kSpec),
                             location.build_identity)
                        .full.hex());

  std::vector<Run> runs;
  const auto add = [&](auto change) { change(runs.emplace_back()); };
  add([&](Run& run) { run.program = prefix + "/fourge"; });
  add([&](Run& run) { run.directory = root + "/home"; });
  add([&](Run& run) { run.environment = "HOME=" + quoted(root + "/home") + " XDG_CACHE_HOME=/x"; });
  add([&](Run& run) { run.environment = "USER=somebody LOGNAME=somebody HOSTNAME=elsewhere"; });
  for (const char* zone : {"Asia/Tokyo", "America/St_Johns", "UTC+12"}) {
    add([&](Run& run) { run.environment = std::string("TZ=") + zone; });
  }
  for (const char* locale : {"tr_TR.UTF-8", "de_DE.UTF-8", "C.UTF-8", "POSIX"}) {
    add([&](Run& run) {
      run.environment = std::string("LC_ALL=") + locale + " LOCPATH=" + quoted(root);
    });
  }
  add([&](Run& run) { run.environment = "OMP_NUM_THREADS=3 TMPDIR=/var/tmp"; });
  add([&](Run& run) { run.wrapper = "taskset -c 0"; });
  add([&](Run& run) { run.wrapper = "sh -c 'umask 077; exec \"$0\" \"$@\"'"; });
  if (::geteuid() == 0) {
    add([&](Run& run) {
      run.program = prefix + "/fourge";
      run.wrapper = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    });
  }
  for (const Run& run : runs) {
    INFO(run.directory << ' ' << run.environment << ' ' << run.wrapper << ' ' << run.program);
    CHECK(key(run) == expected);
  }
  Run other;
  other.program = FOURGE_COMMAND;
  CHECK(key(other) == expected);
}

TEST_CASE("the same NVRTC at another place makes the same key", "[key][nvrtc]") {
  const Scratch scratch;
  const auto location =
      fourge::jit::locate_nvrtc({fourge::Options::from_environment().nvrtc_library,
                                 fourge::Options::from_environment().cuda_home});
  REQUIRE(location.found());
  const fs::path original = fs::canonical(location.path);
  const fs::path elsewhere = scratch.path() + "/lib";
  fs::create_directory(elsewhere);
  for (const auto& file : fs::directory_iterator(original.parent_path())) {
    if (file.path().filename().string().find("libnvrtc") == 0) {
      fs::create_symlink(fs::canonical(file.path()), elsewhere / file.path().filename());
    }
  }
  const auto moved =
      fourge::jit::locate_nvrtc({(elsewhere / original.filename()).string(), std::string()});
  CHECK(moved.found());
  CHECK(moved.build_identity == location.build_identity);
  CHECK(moved.path.find(scratch.path()) == 0);
}

#endif
