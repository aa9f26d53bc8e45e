#include "tools/npy.hpp"

#include <fourge/error.hpp>

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/support/catch.hpp"

using fourge::Error;
using namespace fourge::tools;

namespace {

std::string file_bytes(const std::string& header, int version = 1) {
  std::string bytes("\x93NUMPY", 6);
  bytes += static_cast<char>(version);
  bytes += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) {
    bytes += static_cast<char>(header.size() >> (8 * i) & 0xFFU);
  }
  return bytes + header;
}

NpyHeader parse(const std::string& bytes) {
  return parse_npy_header(std::as_bytes(std::span(bytes)), "x.npy");
}

std::string refusal(const std::string& bytes) {
  try {
    parse(bytes);
  } catch (const Error& error) {
    CHECK(error.kind() == fourge::ErrorKind::invalid_argument);
    return error.what();
  }
  return "(accepted)";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& bytes) {
    std::string name = (std::filesystem::temp_directory_path() / "fourge-npy-XXXXXX").string();
    ::close(::mkstemp(name.data()));
    path_ = name;
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

constexpr const char* kGood = "{'descr': '<u2', 'fortran_order': False, 'shape': (3, 16), }\n";

}  // namespace

TEST_CASE("npy: versions 1.0, 2.0 and 3.0 are read") {
  for (const int version : {1, 2, 3}) {
    const NpyHeader header = parse(file_bytes(kGood, version));
    CHECK(header.dtype == "<u2");
    CHECK(header.shape == std::vector<std::int64_t>{3, 16});
    CHECK(header.item_bytes == 2);
    CHECK(header.data_bytes == 96);
    CHECK(header.data_offset == std::strlen(kGood) + (version == 1 ? 10 : 12));
  }
}

TEST_CASE("npy: keys may come in any order and with double quotes") {
  const NpyHeader header =
      parse(file_bytes("{\"shape\":(5,),\"descr\":\"<f2\",\"fortran_order\":False}"));
  CHECK(header.dtype == "<f2");
  CHECK(header.shape == std::vector<std::int64_t>{5});
  CHECK(parse(file_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': ()}")).data_bytes == 4);
}

TEST_CASE("npy: what is written is read back") {
  const std::vector<std::vector<std::int64_t>> shapes = {{}, {7}, {3, 16}, {0, 16}, {2, 3, 4}};
  for (const auto& shape : shapes) {
    const std::string bytes = npy_header_bytes("|u1", shape);
    CHECK(bytes.size() % 64 == 0);
    CHECK(bytes.back() == '\n');
    const NpyHeader header = parse(bytes);
    CHECK(header.dtype == "|u1");
    CHECK(header.shape == shape);
    CHECK(header.data_offset == bytes.size());
  }
}

TEST_CASE("npy: what is not supported is refused by name") {
  const auto with = [](const std::string& dtype, const std::string& order,
                       const std::string& shape) {
    return refusal(file_bytes("{'descr': " + dtype + ", 'fortran_order': " + order +
                              ", 'shape': " + shape + "}"));
  };
  CHECK(contains(with("'<u2'", "True", "(3, 16)"), "Fortran order"));
  CHECK(contains(with("'>u2'", "False", "(3, 16)"), "big-endian"));
  CHECK(contains(with("'<c8'", "False", "(3, 16)"), "'<c8'"));
  CHECK(contains(with("[('a', '<u2')]", "False", "(3, 16)"), "structured"));
  CHECK(contains(with("'<u2'", "False", "(4611686018427387904, 4)"), "too large"));
  CHECK(contains(with("'<u2'", "False", "(99999999999999999999,)"), "63 bits"));
  CHECK(contains(with("'<u2'", "False", "(-1, 4)"), "non-negative"));
  CHECK(contains(with("'<u2'", "False", "(4)"), "comma"));
  CHECK(contains(with("'<u2'", "0", "(4,)"), "True or False"));
  CHECK(contains(refusal("PK\x03\x04 something else"), "not a .npy file"));
  CHECK(contains(refusal(file_bytes(kGood, 4)), "version 4.0"));
  CHECK(contains(refusal(file_bytes(std::string(kGood) + "x")), "after the closing brace"));
  CHECK(contains(refusal(file_bytes("{'descr': '<u2'}")), "keys"));
  CHECK(contains(refusal(file_bytes("{'descr': '<u2', 'descr': '<u2'}")), "twice"));
  CHECK(contains(refusal(file_bytes("{'color': '<u2'}")), "'color'"));
  std::string huge("\x93NUMPY\x02\x00\xff\xff\xff\x7f", 12);
  CHECK(contains(refusal(huge), "claims"));
  CHECK(contains(refusal(file_bytes(kGood)), "(accepted)"));
}

TEST_CASE("npy: a zero extent hides no overflow and takes no bytes") {
  const NpyHeader header = parse(
      file_bytes("{'descr': '<u2', 'fortran_order': False, 'shape': (9223372036854775807, 0)}"));
  CHECK(header.data_bytes == 0);
}

TEST_CASE("npy: every truncation is refused") {
  const std::int64_t shape[] = {3, 16};
  const std::string whole = npy_header_bytes("<u2", shape) + std::string(96, '\x11');
  {
    const TemporaryFile file(whole);
    const NpyArray array = read_npy(file.path());
    REQUIRE(array.data.size() == 96);
    CHECK(array.data.data()[95] == std::byte{0x11});
  }
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const TemporaryFile file(whole.substr(0, length));
    CHECK_THROWS_AS(read_npy(file.path()), Error);
  }
  const TemporaryFile longer(whole + "!");
  CHECK_THROWS_AS(read_npy(longer.path()), Error);
}

TEST_CASE("npy: a file that is none is refused by its path") {
  for (const char* path : {"/nonexistent/x.npy", "/", "/dev/null"}) {
    try {
      read_npy(path);
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(contains(error.what(), path));
    }
  }
}

TEST_CASE("npy: random damage never gets past the checks") {
  const std::string whole = file_bytes(kGood, 2);
  std::mt19937 random(7);
  std::size_t accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = whole;
    for (unsigned i = 0, count = 1 + random() % 4; i < count; ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    bytes.resize(random() % 4 == 0 ? random() % (bytes.size() + 1) : bytes.size());
    try {
      const NpyHeader header = parse(bytes);
      ++accepted;
      std::size_t product = header.item_bytes;
      for (const std::int64_t extent : header.shape) {
        product *= static_cast<std::size_t>(extent);
      }
      REQUIRE(header.data_bytes == product);
      REQUIRE(header.data_offset <= bytes.size());
    } catch (const Error&) {
      // refused: fine
    }
  }
  CHECK(accepted > 0);      // another digit in the shape is no damage
  CHECK(accepted < 10000);  // most of it is
}
