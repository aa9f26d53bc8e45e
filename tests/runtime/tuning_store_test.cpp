// Records of what was tuned: written whole, read exactly, and not believed when they are damaged, of
// something else or stale.
#include <fourge/error.hpp>

#include "runtime/tuning/tuning_store.hpp"
#include "tests/cache/faulty_file_system.hpp"
#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

#include <sys/stat.h>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <thread>
#include <vector>

using fourge::encode_tuning;
using fourge::parse_tuning;
using fourge::TuningAnswer;
using fourge::TuningRecord;
using fourge::TuningStore;
using fourge::tests::FaultyFileSystem;
using fourge::tests::Operation;
using fourge::tests::Scratch;

namespace {

TuningRecord sample() {
  return {{"NVIDIA H200", "nvfp4_quantize[in=bf16,layout=128x4]@sm_90a", "1024x7168"},
          {132, "0123456789abcdef"},
          "tpc=2",
          4.25};
}

std::string text_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

bool refused(const TuningRecord& record) {
  try {
    encode_tuning(record);
  } catch (const fourge::Error& error) {
    return error.kind() == fourge::ErrorKind::invalid_argument;
  }
  return false;
}

}  // namespace

TEST_CASE("a tuning record is read as it was written") {
  TuningRecord record = sample();
  CHECK(parse_tuning(encode_tuning(record)) == record);
  record.key.device = "a \"quoted\" \\ name, \xC3\xA9";
  record.microseconds = 0.1;
  CHECK(parse_tuning(encode_tuning(record)) == record);
}

TEST_CASE("a record that may not be is not written") {
  CHECK_FALSE(refused(sample()));
  TuningRecord record = sample();
  SECTION("empty text") { record.choice.clear(); }
  SECTION("two lines") { record.key.subject += "\nmore"; }
  SECTION("too long") { record.key.bucket.assign(fourge::kTuningTextBytes + 1, 'x'); }
  SECTION("no multiprocessors") { record.basis.multiprocessors = 0; }
  SECTION("negative time") { record.microseconds = -1; }
  SECTION("no number") { record.microseconds = std::numeric_limits<double>::quiet_NaN(); }
  CHECK(refused(record));
}

TEST_CASE("no damaged record is believed") {
  const TuningRecord record = sample();
  const std::string text = encode_tuning(record);
  std::string why;
  for (std::size_t length = 0; length < text.size() - 1; ++length) {  // the last is a line's end
    INFO(length);
    CHECK_FALSE(parse_tuning(text.substr(0, length), &why));
    CHECK(!why.empty());
  }
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const int flip : {0x01, 0x08, 0x20, 0x80}) {
      std::string damaged = text;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      const auto parsed = parse_tuning(damaged);
      INFO(damaged);
      CHECK((!parsed || *parsed == record));  // a blank may become another
    }
  }
  for (const char* other :
       {"", "null", "[]", "{}", "{\"tuning\":1}", "{\"tuning\":-1}", "{\"tuning\":1e300}",
        "\xFF\xFE", "{\"tuning\":1,\"device\":3,\"subject\":[],\"bucket\":{},\"choice\":null}"}) {
    INFO(other);
    CHECK_FALSE(parse_tuning(other, &why));
    CHECK(!why.empty());
  }
  CHECK_FALSE(parse_tuning(std::string(100'000, '[')));
}

TEST_CASE("a store keeps one record for each question") {
  const Scratch scratch;
  TuningStore store(scratch.cache());
  TuningRecord record = sample();
  CHECK_FALSE(store.find(record.key, record.basis).record);
  CHECK(store.find(record.key, record.basis).warning.empty());
  CHECK_FALSE(std::filesystem::exists(scratch.cache()));

  store.keep(record);
  record.choice = "tpc=4";
  store.keep(record);
  TuningRecord other = sample();
  other.key.bucket = "2048x7168";
  store.keep(other);
  other.key.device = "NVIDIA B200";
  store.keep(other);

  CHECK(store.find(record.key, record.basis).record == record);
  CHECK(TuningStore(scratch.cache()).find(other.key, other.basis).record == other);
  CHECK(store.list().size() == 3);
  CHECK(scratch.files(".tuned").size() == 3);
  CHECK(scratch.files(".tmp").empty());
}

TEST_CASE("what is stale, of something else or damaged is not used, and the answer says why") {
  const Scratch scratch;
  TuningStore store(scratch.cache());
  const TuningRecord record = sample();
  store.keep(record);
  const std::string path = store.path_of(record.key);
  const auto warning = [&](const TuningRecord& wanted) {
    const TuningAnswer answer = store.find(wanted.key, wanted.basis);
    CHECK_FALSE(answer.record);
    CHECK(answer.warning.find(store.path_of(wanted.key)) != std::string::npos);
    return answer.warning;
  };
  TuningRecord now = record;
  SECTION("another version") {
    now.basis.made_of = "fedcba9876543210";
    CHECK(warning(now).find("another version") != std::string::npos);
  }
  SECTION("another device of this name") {
    now.basis.multiprocessors = 78;
    CHECK(warning(now).find("132 multiprocessors, and this one has 78") != std::string::npos);
  }
  SECTION("of another question") {
    now.key.device = "NVIDIA B200";
    std::filesystem::copy_file(path, store.path_of(now.key));
    CHECK(warning(now).find("on NVIDIA H200") != std::string::npos);
  }
  SECTION("damaged") {
    write_file(path, text_of_file(path).replace(40, 1, "~"));
    warning(now);
  }
  SECTION("too large") {
    write_file(path, text_of_file(path) + std::string(64 << 10, ' '));
    warning(now);
  }
  SECTION("a link") {
    std::filesystem::rename(path, path + ".real");
    std::filesystem::create_symlink(path + ".real", path);
    warning(now);
  }
  SECTION("writable by others") {
    REQUIRE(chmod(path.c_str(), 0666) == 0);
    CHECK(warning(now).find("666") != std::string::npos);
  }
}

TEST_CASE("a record that cannot be written leaves what was there") {
  const Scratch scratch;
  TuningStore(scratch.cache()).keep(sample());
  Operation failing = Operation::write;
  SECTION("no room") { failing = Operation::write; }
  SECTION("not renamed") { failing = Operation::rename; }
  FaultyFileSystem files([failing](Operation operation, const std::string&) {
    return operation == failing ? ENOSPC : 0;
  });
  TuningRecord changed = sample();
  changed.choice = "tpc=1";
  TuningStore store(scratch.cache(), files);
  CHECK_THROWS_AS(store.keep(changed), fourge::Error);
  CHECK(store.find(sample().key, sample().basis).record == sample());
  CHECK(scratch.files(".tmp").empty());

  CHECK_THROWS_AS(TuningStore("").keep(sample()), fourge::Error);
  CHECK_FALSE(TuningStore("").find(sample().key, sample().basis).record);
}

TEST_CASE("the newest records stay") {
  const Scratch scratch;
  TuningStore store(scratch.cache(), fourge::cache::posix_file_system(), {}, 3);
  TuningRecord record = sample();
  for (int i = 0; i < 5; ++i) {
    record.key.bucket = std::to_string(i);
    store.keep(record);
    const auto time = std::filesystem::file_time_type::clock::now() - std::chrono::hours(10 - i);
    std::filesystem::last_write_time(store.path_of(record.key), time);
  }
  std::string kept;
  for (const TuningRecord& one : store.list()) kept += one.key.bucket;
  CHECK(kept == "234");
}

TEST_CASE("readers see whole records while others write") {
  const Scratch scratch;
  TuningStore store(scratch.cache());
  store.keep(sample());
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&scratch, i] {
      TuningStore mine(scratch.cache());
      TuningRecord record = sample();
      record.choice = "tpc=" + std::to_string(i);
      for (int k = 0; k < 25; ++k) mine.keep(record);
    });
  }
  for (int i = 0; i < 200; ++i) {
    const TuningAnswer answer = store.find(sample().key, sample().basis);
    CHECK(answer.record.has_value());
    CHECK(answer.warning == "");
  }
  for (std::thread& writer : writers) writer.join();
}
