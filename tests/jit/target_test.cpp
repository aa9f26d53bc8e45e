#include <fourge/error.hpp>
#include <fourge/target.hpp>

#include "tests/support/catch.hpp"

#include <algorithm>
#include <set>

using fourge::Error;
using fourge::Target;

TEST_CASE("every known target parses back from its text", "[target]") {
  std::set<std::string> texts;
  for (const Target& target : Target::all()) {
    CHECK(Target::parse(target.text()) == target);
    texts.insert(target.text());
  }
  CHECK(texts.size() == Target::all().size());
  for (const char* needed : {"sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_100a", "sm_100f",
                             "sm_103a", "sm_110a", "sm_120a", "sm_120f", "sm_121a"}) {
    CHECK(texts.count(needed) == 1);
  }
  CHECK(std::is_sorted(Target::all().begin(), Target::all().end()));
}

TEST_CASE("an unknown target is refused by name and no suffix is ever guessed", "[target]") {
  for (const char* text : {"", "sm_", "sm_91", "sm_103", "sm_121", "90a", "sm_90A", "sm_90a ",
                           "compute_90a", "sm_900"}) {
    CHECK_FALSE(Target::try_parse(text).has_value());
    try {
      Target::parse(text);
      FAIL("accepted " << text);
    } catch (const Error& error) {
      CHECK(error.kind() == fourge::ErrorKind::invalid_spec);
      const std::string message = error.what();
      CHECK(message.find("\"" + std::string(text) + "\"") != std::string::npos);
      CHECK(message.find("sm_90a") != std::string::npos);
    }
  }
  try {
    Target::parse("sm_103");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find("did you mean sm_103a?") != std::string::npos);
  }
}

TEST_CASE("features follow the suffix", "[target]") {
  CHECK(Target::parse("sm_100a").features().cvt_e2m1);
  CHECK(Target::parse("sm_120f").features().cvt_e2m1);
  CHECK_FALSE(Target::parse("sm_100").features().cvt_e2m1);
  CHECK_FALSE(Target::parse("sm_120").features().cvt_e2m1);
  CHECK_FALSE(Target::parse("sm_90a").features().cvt_e2m1);
  CHECK_FALSE(Target::parse("sm_86").features().cvt_e4m3);
  CHECK(Target::parse("sm_89").features().cvt_e4m3);
  CHECK(Target::parse("sm_90a").features().wgmma);
  CHECK_FALSE(Target::parse("sm_90").features().wgmma);
  CHECK_FALSE(Target::parse("sm_110a").features().redux_f32);
}

TEST_CASE("where a cubin loads", "[target]") {
  const auto runs = [](const char* text, int major, int minor) {
    return Target::parse(text).runs_on(major, minor);
  };
  CHECK(runs("sm_80", 8, 0));
  CHECK(runs("sm_80", 8, 6));
  CHECK_FALSE(runs("sm_86", 8, 0));
  CHECK_FALSE(runs("sm_80", 9, 0));
  CHECK(runs("sm_90a", 9, 0));
  CHECK_FALSE(runs("sm_100a", 10, 3));
  CHECK(runs("sm_100f", 10, 3));
  CHECK_FALSE(runs("sm_100f", 12, 0));
  CHECK(runs("sm_120f", 12, 1));
}

TEST_CASE("the target for a device", "[target]") {
  const auto chosen = [](int major, int minor) {
    const auto target = Target::for_device(major, minor);
    return target ? target->text() : std::string("none");
  };
  CHECK(chosen(8, 0) == "sm_80");
  CHECK(chosen(8, 6) == "sm_86");
  CHECK(chosen(8, 7) == "sm_86");
  CHECK(chosen(8, 9) == "sm_89");
  CHECK(chosen(9, 0) == "sm_90a");
  CHECK(chosen(10, 0) == "sm_100a");
  CHECK(chosen(10, 3) == "sm_103a");
  CHECK(chosen(11, 0) == "sm_110a");
  CHECK(chosen(12, 0) == "sm_120a");
  CHECK(chosen(12, 1) == "sm_121a");
  CHECK(chosen(7, 5) == "none");
}
