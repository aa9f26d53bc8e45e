#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/host_exec/host_test.hpp"

namespace fourge::tests {

namespace {

namespace fs = std::filesystem;

host::RawSource adder(int n) {
  const std::string name = "add_" + std::to_string(n);
  return kernel_source(
      name, "namespace { struct Config { static constexpr int kAddend = " + std::to_string(n) +
                "; }; }\nnamespace device { template <class C> __device__ void "
                "add(int* p) { store(p, load(p) + C::kAddend); } }\n"
                "extern \"C\" __global__ void " +
                name + "(int* p) { device::add<Config>(p + threadIdx.x); }\n");
}

std::vector<host::RawSource> adders(int first, int count) {
  std::vector<host::RawSource> sources;
  for (int i = 0; i < count; ++i) {
    sources.push_back(adder(first + i));
  }
  return sources;
}

int run_adder(host::HostExecutor& executor, const host::HostFunction& function) {
  return changed(executor, function, 1000) - 1000;
}

host::HostOptions options(const std::string& cache) {
  host::HostOptions result;
  result.cache_directory = cache;
  result.threads = 1;
  return result;
}

std::vector<fs::path> files_with(const std::string& directory, const std::string& extension) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == extension) {
      found.push_back(entry.path());
    }
  }
  return found;
}

std::string read_text(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

}  // namespace

TEST_CASE("many variants share a few translation units", "[host]") {
  host::HostExecutor executor({});
  const auto sources = adders(0, 40);
  const auto functions = executor.load(sources);
  CHECK(executor.counters().compiler_runs == 3);
  CHECK(executor.counters().kernels_compiled == 40);
  for (int i = 0; i < 40; ++i) {
    CHECK(run_adder(executor, *functions[static_cast<std::size_t>(i)]) == i);
  }
  // A source that is asked for twice is compiled once.
  const std::vector<host::RawSource> twice{adder(50), adder(50)};
  const auto same = executor.load(twice);
  CHECK(same[0] == same[1]);
  CHECK(executor.counters().kernels_compiled == 41);
}

TEST_CASE("a second executor finds everything on disk", "[host]") {
  // A directory that does not exist, with a space in its name.
  const TemporaryDirectory directory;
  const std::string cache = directory / "a cache/below";
  {
    host::HostExecutor executor(options(cache));
    executor.load(adders(0, 6));
    CHECK(executor.counters().kernels_compiled == 6);
  }
  CHECK((fs::status(cache).permissions() & fs::perms::mask) == fs::perms::owner_all);
  {
    host::HostExecutor executor(options(cache));
    const auto functions = executor.load(adders(2, 3));  // some of them, in other company
    CHECK(executor.counters().compiler_runs == 0);
    CHECK(executor.counters().disk_hits == 3);
    CHECK(run_adder(executor, *functions[0]) == 2);
    executor.load(adders(4, 3));  // two known, one new
    CHECK(executor.counters().compiler_runs == 1);
    CHECK(executor.counters().kernels_compiled == 1);
  }
  // Only batches and references stay.
  for (const auto& entry : fs::directory_iterator(cache + "/host")) {
    CHECK(entry.is_regular_file());
  }
}

TEST_CASE("a changed source is another kernel", "[host]") {
  const TemporaryDirectory directory;
  host::HostExecutor executor(options(directory.path()));
  host::RawSource source = adder(1);
  const auto before = executor.load({&source, 1});
  source.source.replace(source.source.find("kAddend = 1"), 11, "kAddend = 9");
  const auto after = executor.load({&source, 1});
  CHECK(executor.counters().compiler_runs == 2);
  CHECK(run_adder(executor, *before[0]) == 1);
  CHECK(run_adder(executor, *after[0]) == 9);
}

TEST_CASE("bad files of the cache are rebuilt", "[host]") {
  const TemporaryDirectory directory;
  const std::string cache = directory.path();
  {
    host::HostExecutor executor(options(cache));
    executor.load(adders(0, 1));
  }
  const auto objects = files_with(cache + "/host", ".so");
  REQUIRE(objects.size() == 1);
  const std::string good = read_text(objects[0]);
  std::uint64_t heals = 1;
  SECTION("a flipped byte") {
    std::string bad = good;
    bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 1);
    write_text(objects[0], bad);
  }
  SECTION("a cut file") { write_text(objects[0], good.substr(0, good.size() / 3)); }
  SECTION("an empty file") { write_text(objects[0], ""); }
  SECTION("a missing file") {
    fs::remove(objects[0]);
    heals = 0;
  }
  SECTION("a reference of nonsense") {
    write_text(files_with(cache + "/host", ".ref").at(0), "fourge-host 1 ../../etc\n");
    heals = 0;
  }
  for (int run = 0; run < 2; ++run) {
    host::HostExecutor executor(options(cache));
    const auto functions = executor.load(adders(0, 1));
    CHECK(executor.counters().compiler_runs == (run == 0 ? 1U : 0U));
    CHECK(executor.counters().heals == (run == 0 ? heals : 0U));
    CHECK(run_adder(executor, *functions[0]) == 0);
  }
}

TEST_CASE("a failed compile says what, how, why and where", "[host]") {
  const TemporaryDirectory directory;
  host::HostExecutor executor(options(directory.path()));
  auto sources = adders(0, 4);
  sources[2].source += "\nint broken = undeclared_name;\n";
  sources[2].label = "add_2[some=axis]@sm_90a";
  try {
    executor.load(sources);
    FAIL("no error");
  } catch (const CompileError& error) {
    CHECK(error.kind() == ErrorKind::compile_failed);
    CHECK_CONTAINS(error.what(), "add_2[some=axis]@sm_90a");
    CHECK_FALSE(contains(error.what(), "add_3"));  // only the one that is wrong
    CHECK_CONTAINS(error.what(), "c++ -std=c++20");
    CHECK_CONTAINS(error.what(), "undeclared_name");
    CHECK_CONTAINS(error.log(), "undeclared_name");
    CHECK_CONTAINS(error.log(), error.source_path());
    CHECK_CONTAINS(read_text(error.source_path()), "int broken = undeclared_name;");
    CHECK(fs::exists(fs::path(error.source_path()).parent_path() / "prelude.hpp"));
  }
  // Only the source of the error is kept, and the others can be had.
  std::size_t kept = 0;
  for (const auto& entry : fs::directory_iterator(directory / "host")) {
    kept += entry.is_directory() ? 1U : 0U;
  }
  CHECK(kept == 1);
  sources.erase(sources.begin() + 2);
  const auto functions = executor.load(sources);
  CHECK(run_adder(executor, *functions[2]) == 3);
}

TEST_CASE("the source of a failed compile outlives an executor without a cache", "[host]") {
  std::string path;
  {
    host::HostExecutor executor({});
    const host::RawSource source = kernel_source("bad", "extern \"C\" __global__ void bad( {}");
    try {
      executor.load({&source, 1});
      FAIL("no error");
    } catch (const CompileError& error) {
      path = error.source_path();
    }
  }
  CHECK(fs::exists(path));
  fs::remove_all(fs::path(path).parent_path());
}

TEST_CASE("a compiler that is not there is named", "[host]") {
  for (const std::string name : {"no-such-compiler-here", "/no/such/path/c++"}) {
    host::HostOptions opts;
    opts.compiler = name;
    host::HostExecutor executor(opts);
    const auto source = adder(0);
    try {
      executor.load({&source, 1});
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::unsupported);
      CHECK_CONTAINS(error.what(), name);
      CHECK_CONTAINS(error.what(), "FOURGE_HOST_CXX");
    }
  }
}

TEST_CASE("a compiler's path may hold spaces and quotes", "[host]") {
  const TemporaryDirectory directory;
  const std::string compiler = directory / "my 'c++' $HOME";
  write_text(compiler, "#!/bin/sh\nexec c++ \"$@\"\n");
  fs::permissions(compiler, fs::perms::owner_all);
  host::HostOptions opts = options(directory / "cache of mine");
  opts.compiler = compiler;
  host::HostExecutor executor(opts);
  CHECK(run_adder(executor, *executor.load(adders(4, 1)).front()) == 4);
}

TEST_CASE("another compiler does not get the first one's batches", "[host]") {
  const TemporaryDirectory directory;
  const std::string compiler = directory / "cxx";
  write_text(
      compiler,
      "#!/bin/sh\n[ \"$1\" = --version ] && echo other version && exit 0\nexec c++ \"$@\"\n");
  fs::permissions(compiler, fs::perms::owner_all);
  host::HostOptions opts = options(directory / "cache");
  for (const std::string& name : {std::string("c++"), compiler}) {
    opts.compiler = name;
    host::HostExecutor executor(opts);
    executor.load(adders(0, 1));
    CHECK(executor.counters().compiler_runs == 1);
  }
}

TEST_CASE("a cache that others may write is neither read nor written", "[host]") {
  const TemporaryDirectory directory;
  const std::string cache = directory / "cache";
  {
    host::HostExecutor executor(options(cache));
    executor.load(adders(4, 1));
  }
  const auto objects = files_with(cache + "/host", ".so");
  REQUIRE(objects.size() == 1);
  CHECK(fs::status(objects[0]).permissions() == (fs::perms::owner_read | fs::perms::owner_write));

  host::HostOptions opts = options(cache);
  std::string warning;
  opts.log = [&](LogLevel level, std::string_view text) {
    if (level == LogLevel::warn) warning += text;
  };
  SECTION("the root, or the directory in it") {
    const std::string open = GENERATE(std::string(), std::string("/host"));
    fs::permissions(cache + open, fs::perms(0777));
    const auto before = fs::last_write_time(cache + "/host");
    host::HostExecutor executor(opts);
    CHECK(run_adder(executor, *executor.load(adders(4, 1)).front()) == 4);
    CHECK(executor.counters().disk_hits == 0);
    CHECK(fs::last_write_time(cache + "/host") == before);
    CHECK(warning.find("chmod go-w '" + cache + open + "'") != std::string::npos);
  }
  SECTION("one file") {
    fs::permissions(objects[0], fs::perms(0666));
    host::HostExecutor executor(opts);
    CHECK(run_adder(executor, *executor.load(adders(4, 1)).front()) == 4);
    CHECK(executor.counters().heals == 1);
    CHECK(warning.find("is not trusted") != std::string::npos);
    CHECK(fs::status(objects[0]).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  }
  SECTION("a link in place of the directory") {
    fs::rename(cache + "/host", directory / "elsewhere");
    fs::create_symlink(directory / "elsewhere", cache + "/host");
    host::HostExecutor executor(opts);
    CHECK(run_adder(executor, *executor.load(adders(4, 1)).front()) == 4);
    CHECK(executor.counters().disk_hits == 0);
    CHECK_FALSE(warning.empty());
  }
}

TEST_CASE("a cache that cannot be made is a warning and nothing more", "[host]") {
  const TemporaryDirectory directory;
  write_text(directory / "file", "in the way");
  int warnings = 0;
  host::HostOptions opts = options(directory / "file");
  opts.log = [&](LogLevel level, std::string_view) { warnings += level == LogLevel::warn ? 1 : 0; };
  host::HostExecutor executor(opts);
  CHECK(run_adder(executor, *executor.load(adders(4, 1)).front()) == 4);
  executor.load(adders(5, 1));
  CHECK(warnings == 1);
}

}  // namespace fourge::tests
