// Stats as text for Prometheus, read by a strict parser of the exposition format.
#include <fourge/error.hpp>
#include <fourge/prometheus.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/exposition.hpp"

#include <array>
#include <bit>
#include <fstream>
#include <iterator>
#include <string>

using fourge::MetricLabel;
using fourge::prometheus_text;
using fourge::Stats;
using fourge::tests::Exposition;
using fourge::tests::parse_exposition;

namespace {

constexpr std::size_t kFields = sizeof(Stats) / sizeof(std::uint64_t);

// Every counter another number, far enough apart to be told from a sum or a difference of two.
Stats distinct_stats() {
  std::array<std::uint64_t, kFields> values{};
  for (std::size_t i = 0; i < kFields; ++i) values[i] = std::uint64_t{1} << (i + 1);
  return std::bit_cast<Stats>(values);
}

std::string problem_of(const std::string& text) { return parse_exposition(text).problem; }

}  // namespace

TEST_CASE("the text is valid, and every family a counter with help", "[metrics]") {
  const Exposition read = parse_exposition(prometheus_text(distinct_stats()));
  INFO(read.problem);
  REQUIRE(read.problem.empty());
  CHECK(read.families.size() >= 17);
  for (const auto& [name, family] : read.families) {
    INFO(name);
    CHECK(name.rfind("fourge_", 0) == 0);
    CHECK(family.type == "counter");
    CHECK(name.size() > 6);
    CHECK(name.substr(name.size() - 6) == "_total");
    CHECK(family.help.size() > 10);
    CHECK(family.help.back() == '.');
    CHECK_FALSE(family.samples.empty());
  }
}

TEST_CASE("tiers and causes are labels", "[metrics]") {
  Stats stats;
  stats.memory_hits = 5;
  stats.disk_hits = 100;  // of these
  stats.read_only_hits = 30;
  stats.bundle_hits = 20;
  stats.miss_corrupt = 7;
  stats.compile_nanoseconds = 1'500'000'000;
  stats.compiles = 18'446'744'073'709'551'615U;
  const Exposition read = parse_exposition(prometheus_text(stats));
  CHECK(read.value("fourge_cache_hits_total", "tier=memory") == "5");
  CHECK(read.value("fourge_cache_hits_total", "tier=disk") == "50");
  CHECK(read.value("fourge_cache_hits_total", "tier=read_only") == "30");
  CHECK(read.value("fourge_cache_hits_total", "tier=bundle") == "20");
  for (const char* cause : {"absent", "format", "key", "unreadable", "untrusted", "disabled"}) {
    CHECK(read.value("fourge_cache_misses_total", std::string("cause=") + cause) == "0");
  }
  CHECK(read.value("fourge_cache_misses_total", "cause=corrupt") == "7");
  CHECK(read.value("fourge_compile_seconds_total", "") == "1.500000000");
  CHECK(read.value("fourge_compiles_total", "") == "18446744073709551615");
  // Fields are read one after another: a hit may be counted in one and not yet in the other.
  stats.disk_hits = 0;
  CHECK(parse_exposition(prometheus_text(stats)).value("fourge_cache_hits_total", "tier=disk") ==
        "0");
}

TEST_CASE("every field of Stats is in it", "[metrics]") {
  const Exposition base = parse_exposition(prometheus_text(Stats{}));
  for (std::size_t field = 0; field < kFields; ++field) {
    std::array<std::uint64_t, kFields> values{};
    values[field] = 1'000'000'000;
    const auto stats = std::bit_cast<Stats>(values);
    INFO("field number " << field << " of Stats has no metric in runtime/prometheus.cpp");
    CHECK(parse_exposition(prometheus_text(stats)).families != base.families);
  }
}

TEST_CASE("every metric and label is documented", "[metrics]") {
  std::ifstream file(FOURGE_SOURCE_DIR "/docs/observability.md");
  const std::string page{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  for (const auto& [name, family] : parse_exposition(prometheus_text(Stats{})).families) {
    INFO(name);
    CHECK(page.find('`' + name + '`') != std::string::npos);
    for (const auto& [labels, number] : family.samples) {
      const std::string value = labels.substr(labels.find('=') + 1);
      INFO(labels << ' ' << number);
      CHECK((labels.empty() || page.find('`' + value + '`') != std::string::npos));
    }
  }
}

TEST_CASE("labels of one's own are on every sample and are quoted", "[metrics]") {
  const MetricLabel labels[] = {{"model", "a \"b\" \\ c\nd"}, {"rank", "3"}};
  const Exposition read = parse_exposition(prometheus_text(distinct_stats(), labels));
  INFO(read.problem);
  REQUIRE(read.problem.empty());
  for (const auto& [name, family] : read.families) {
    for (const auto& [key, value] : family.samples) {
      INFO(name << ' ' << key);
      CHECK(key.rfind("model=a \"b\" \\ c\nd,rank=3", 0) == 0);
    }
  }
  for (const char* bad : {"", "1a", "a-b", "__a", "tier", "cause", "a b", "\xc3\xa4"}) {
    const MetricLabel label[] = {{bad, "x"}};
    INFO(bad);
    CHECK_THROWS_AS(prometheus_text(Stats{}, label), fourge::Error);
  }
}

TEST_CASE("the parser finds what is wrong", "[metrics]") {
  const std::string head = "# HELP a_total Help.\n# TYPE a_total counter\n";
  CHECK(problem_of(head + "a_total 1\n").empty());
  CHECK(problem_of(head + "a_total{x=\"1\",y=\"\\\\\\\"\\n\"} 1.5\n").empty());
  for (const char* bad :
       {"", "a_total 1", "a_total x\n", "a_total -1\n", "a_total  1\n", "b_total 1\n",
        "a_total{x=1} 1\n", "a_total{x=\"1} 1\n", "a_total{x=\"\\t\"} 1\n", "a_total{} 1\n",
        "a_total{x=\"1\",} 1\n", "a_total{1=\"1\"} 1\n", "a_total{x=\"1\",x=\"2\"} 1\n",
        "a_total 1\na_total 2\n", "a_total 1 \n", "\n", "# TYPE a_total counter\na_total 1\n",
        "a_total 1\n# HELP b_total x\na_total{x=\"1\"} 1\n", "a_total 1\n# HELP b_total x\n"}) {
    INFO(bad);
    CHECK_FALSE(problem_of(head + bad).empty());
  }
  CHECK_FALSE(problem_of("# TYPE a_total counter\na_total 1\n").empty());
  CHECK_FALSE(problem_of("# HELP a_total x\n# TYPE a_total speed\na_total 1\n").empty());
  CHECK_FALSE(problem_of("# HELP a x\n# TYPE a counter\na 1\n").empty());
}
