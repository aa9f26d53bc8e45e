#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fourge/error.hpp>

#include "cache/bundle_reader.hpp"
#include "cache/bundle_writer.hpp"
#include "cache/entry.hpp"
#include "tests/cache/bundle_support.hpp"
#include "tests/support/catch.hpp"

using namespace fourge;
using namespace fourge::cache;
using namespace fourge::tests;

namespace {

const std::vector<std::string> kNames{"a", "b", "c"};

// Two keys of one request, by different compilers.
CacheKey key_by(std::string_view name, std::string_view compiler) {
  return KeyBuilder().field("spec", name).toolchain("compiler", compiler).finish();
}

BundleReader::Opened open_bytes(MemoryFile& file, const PublicKey* key = nullptr) {
  return BundleReader::open("bundle", key, {}, file.opener());
}

// Whatever a damaged bundle gives for the names must be right. Returns how many entries it gave.
std::size_t count_right(const std::string& content, const PublicKey* key, bool& wrong) {
  MemoryFile file{content};
  const BundleReader::Opened opened = open_bytes(file, key);
  std::size_t given = 0;
  for (const std::string& name : kNames) {
    if (!opened.reader) break;
    for (const LookupResult& found :
         {opened.reader->lookup(make_key(name)), opened.reader->lookup_request(make_key(name))}) {
      if (!found.entry) continue;
      ++given;
      wrong = wrong || found.entry->payload != make_payload(name, 40) ||
              found.entry->record != make_key(name).record;
    }
  }
  return given;
}

}  // namespace

TEST_CASE("bundle: every entry is found, others are absent") {
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back("spec " + std::to_string(i));
  MemoryFile file{make_bundle(names, nullptr)};
  const auto opened = open_bytes(file);
  REQUIRE(opened.reader);
  CHECK(opened.reader->size() == names.size());
  for (const std::string& name : names) {
    const LookupResult found = opened.reader->lookup(make_key(name));
    REQUIRE(found.entry);
    CHECK(found.entry->payload == make_payload(name, 40));
    CHECK(found.entry->key_hex == make_key(name).full.hex());
    CHECK(opened.reader->lookup_request(make_key(name)).entry);
  }
  const LookupResult missing = opened.reader->lookup(make_key("other"));
  CHECK_FALSE(missing.entry);
  CHECK(missing.cause == MissCause::absent);
  CHECK(opened.reader->lookup_request(make_key("other")).cause == MissCause::absent);
}

TEST_CASE("bundle: the index is read once, a hit reads its entry and a miss nothing") {
  MemoryFile file{make_bundle(kNames, nullptr)};
  const auto opened = open_bytes(file);
  REQUIRE(opened.reader);
  const std::size_t reads = file.reads;
  CHECK(opened.reader->lookup(make_key("other")).cause == MissCause::absent);
  CHECK(file.reads == reads);
  CHECK(opened.reader->lookup(make_key("b")).entry);
  CHECK(file.reads == reads + 1);
  CHECK(file.opens == 1);
}

TEST_CASE("bundle: an empty one is a bundle") {
  MemoryFile file{make_bundle({}, nullptr)};
  CHECK(file.content.size() == kBundleHeaderBytes);
  const auto opened = open_bytes(file);
  REQUIRE(opened.reader);
  CHECK(opened.reader->lookup(make_key("a")).cause == MissCause::absent);
}

TEST_CASE("bundle: the same entries give the same bytes, in whatever order they were added") {
  const PrivateKey key = PrivateKey::generate();
  CHECK(make_bundle({"a", "b", "c"}, nullptr) == make_bundle({"c", "a", "b", "a"}, nullptr));
  CHECK(make_bundle({"a", "b", "c"}, &key) == make_bundle({"c", "b", "a"}, &key));
  CHECK(make_bundle({"a", "b"}, nullptr) != make_bundle({"a", "c"}, nullptr));
}

TEST_CASE("bundle: by the request alone, another compiler's entry is found") {
  const TemporaryDirectory directory;
  BundleWriter writer;
  for (const char* compiler : {"13.0", "12.9"}) {
    const std::string path = directory / compiler;
    write_all(path, encode_entry(key_by("a", compiler), make_payload(compiler)));
    writer.add(path);
  }
  MemoryFile file;
  writer.write(
      [&](std::span<const std::byte> bytes) {
        file.content.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      },
      nullptr);
  auto opened = open_bytes(file);
  REQUIRE(opened.reader);
  CHECK_FALSE(opened.reader->lookup(key_by("a", "14.0")).entry);
  const LookupResult found = opened.reader->lookup_request(key_by("a", "14.0"));
  REQUIRE(found.entry);
  // A bad one is passed over.
  const BundleItem first = opened.reader->item(0);
  file.content[static_cast<std::size_t>(first.offset + first.length) - 1] ^= 1;
  const LookupResult other = opened.reader->lookup_request(key_by("a", "14.0"));
  REQUIRE(other.entry);
  CHECK(other.entry->key_hex != found.entry->key_hex);
}

TEST_CASE("bundle: cut at any byte it is refused or gives right entries only") {
  const PrivateKey key = PrivateKey::generate();
  const PublicKey known = PublicKey::from_pem(key.public_pem());
  const std::string whole = make_bundle(kNames, &key);
  bool wrong = false;
  REQUIRE(count_right(whole, &known, wrong) == 2 * kNames.size());
  std::size_t given = 0;
  for (std::size_t length = 0; length < whole.size(); ++length) {
    given += count_right(whole.substr(0, length), nullptr, wrong);
    given += count_right(whole.substr(0, length), &known, wrong);
  }
  CHECK(given == 0);
  CHECK(count_right(whole + '\0', nullptr, wrong) == 0);
  CHECK_FALSE(wrong);
}

TEST_CASE("bundle: no flipped byte makes a wrong entry") {
  const PrivateKey key = PrivateKey::generate();
  const PublicKey known = PublicKey::from_pem(key.public_pem());
  const std::string whole = make_bundle(kNames, &key);
  const std::size_t entries =
      kBundleHeaderBytes + kNames.size() * kBundleItemBytes + kSignatureBytes;
  bool wrong = false;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const char bit : {'\x01', '\x80'}) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ bit);
      const std::size_t given = count_right(flipped, &known, wrong);
      // Before the entries nothing may be wrong at all; a bad entry costs that one.
      CHECK(given == (at < entries ? 0 : 2 * (kNames.size() - 1)));
      count_right(flipped, nullptr, wrong);
    }
  }
  CHECK_FALSE(wrong);
}

TEST_CASE("bundle: cut or overwritten while it is open") {
  MemoryFile file{make_bundle(kNames, nullptr)};
  const auto opened = open_bytes(file);
  REQUIRE(opened.reader);
  const std::string whole = file.content;
  file.content.resize(kBundleHeaderBytes);
  CHECK(opened.reader->lookup(make_key("a")).cause == MissCause::corrupt);
  file.content = whole;
  file.read_error = EIO;
  const LookupResult failed = opened.reader->lookup(make_key("a"));
  CHECK(failed.cause == MissCause::unreadable);
  CHECK(failed.detail.find("bundle") == 0);
  file.read_error = 0;
  CHECK(opened.reader->lookup(make_key("a")).entry);
}

TEST_CASE("bundle: two entries that change places are refused") {
  MemoryFile file{make_bundle(kNames, nullptr)};
  auto opened = open_bytes(file);
  REQUIRE(opened.reader);
  const BundleItem first = opened.reader->item(0);
  const BundleItem second = opened.reader->item(1);
  REQUIRE(first.length == second.length);
  const auto length = static_cast<std::size_t>(first.length);
  std::swap_ranges(file.content.begin() + static_cast<std::ptrdiff_t>(first.offset),
                   file.content.begin() + static_cast<std::ptrdiff_t>(first.offset + length),
                   file.content.begin() + static_cast<std::ptrdiff_t>(second.offset));
  CHECK(opened.reader->entry(0).cause == MissCause::corrupt);
  CHECK(opened.reader->entry(1).cause == MissCause::corrupt);
  CHECK(opened.reader->entry(2).entry);
}

TEST_CASE("bundle: with a key, unsigned and wrongly signed ones are untrusted and say so") {
  const PrivateKey key = PrivateKey::generate();
  const PublicKey known = PublicKey::from_pem(key.public_pem());
  const PrivateKey stranger = PrivateKey::generate();
  MemoryFile good{make_bundle(kNames, &key)};
  CHECK(open_bytes(good, &known).reader);
  CHECK(open_bytes(good).reader);  // nobody asks

  MemoryFile unsigned_file{make_bundle(kNames, nullptr)};
  const auto without = open_bytes(unsigned_file, &known);
  CHECK_FALSE(without.reader);
  CHECK(without.cause == MissCause::untrusted);
  CHECK(without.detail.find("not signed") != std::string::npos);

  MemoryFile strange{make_bundle(kNames, &stranger)};
  const auto wrong = open_bytes(strange, &known);
  CHECK_FALSE(wrong.reader);
  CHECK(wrong.cause == MissCause::untrusted);
  CHECK(wrong.detail.find("signature") != std::string::npos);
}

TEST_CASE("bundle: an index that was rewritten under an old signature is untrusted") {
  const PrivateKey key = PrivateKey::generate();
  const PublicKey known = PublicKey::from_pem(key.public_pem());
  const PrivateKey forger = PrivateKey::generate();
  // The forger's bundle is whole in itself; the old signature is put into it.
  const std::string old = make_bundle(kNames, &key);
  MemoryFile forged{make_bundle({"a", "b", "d"}, &forger)};
  const std::size_t at = kBundleHeaderBytes + kNames.size() * kBundleItemBytes;
  forged.content.replace(at, kSignatureBytes, old, at, kSignatureBytes);
  CHECK(open_bytes(forged).reader);
  const auto opened = open_bytes(forged, &known);
  CHECK_FALSE(opened.reader);
  CHECK(opened.cause == MissCause::untrusted);
}

TEST_CASE("bundle: owner and mode of the file") {
  const PrivateKey key = PrivateKey::generate();
  const PublicKey known = PublicKey::from_pem(key.public_pem());
  for (const std::uint32_t mode : {0620U, 0602U, 0666U}) {
    MemoryFile file{make_bundle(kNames, &key)};
    file.mode = mode;
    const auto opened = open_bytes(file);
    CHECK_FALSE(opened.reader);
    CHECK(opened.cause == MissCause::untrusted);
    CHECK(opened.detail.find("mode 0" + std::string(mode == 0620U   ? "620"
                                                    : mode == 0602U ? "602"
                                                                    : "666")) != std::string::npos);
    CHECK(open_bytes(file, &known).reader);  // the signature decides
  }
  MemoryFile file{make_bundle(kNames, nullptr)};
  file.owner = effective_user() + 1;
  CHECK(open_bytes(file).cause == MissCause::untrusted);
  file.owner = 0;
  file.mode = 0644;
  CHECK(open_bytes(file).reader);
}

TEST_CASE("bundle: what is no regular file is not opened as one") {
  const TemporaryDirectory directory;
  write_private(directory / "real.fourge", make_bundle(kNames, nullptr));
  CHECK(BundleReader::open(directory / "real.fourge", nullptr).reader);
  CHECK(BundleReader::open(directory / "none.fourge", nullptr).cause == MissCause::absent);
  REQUIRE(::symlink("real.fourge", (directory / "link.fourge").c_str()) == 0);
  CHECK(BundleReader::open(directory / "link.fourge", nullptr).cause == MissCause::untrusted);
  REQUIRE(::mkfifo((directory / "fifo.fourge").c_str(), 0600) == 0);
  CHECK(BundleReader::open(directory / "fifo.fourge", nullptr).cause == MissCause::untrusted);
  CHECK(BundleReader::open(directory.path(), nullptr).cause == MissCause::untrusted);
  write_private(directory / "text.fourge", std::string(200, 'x'));
  CHECK(BundleReader::open(directory / "text.fourge", nullptr).cause == MissCause::format);
  write_private(directory / "entry.fourge", encode_entry(make_key("a"), make_payload("a")));
  CHECK(BundleReader::open(directory / "entry.fourge", nullptr).cause == MissCause::format);
}

TEST_CASE("bundle: a newer format is refused by its number") {
  std::string content = make_bundle(kNames, nullptr);
  content[8] = 2;
  MemoryFile file{content};
  const auto opened = open_bytes(file);
  CHECK(opened.cause == MissCause::format);
  CHECK(opened.detail.find("bundle format 2") != std::string::npos);
}

TEST_CASE("bundle: counts and lengths that cannot be are refused without memory for them") {
  const std::string good = make_bundle(kNames, nullptr);
  for (const std::size_t at : {16U, 20U, 23U, 24U, 31U}) {
    std::string content = good;
    content[at] = '\x7f';
    MemoryFile file{content};
    CHECK(open_bytes(file).cause == MissCause::corrupt);
  }
}

TEST_CASE("bundle writer: a bad or changed entry is an error") {
  const TemporaryDirectory directory;
  BundleWriter writer;
  CHECK_THROWS_AS(writer.add(directory / "none"), Error);
  write_all(directory / "bad", "no entry");
  CHECK_THROWS_AS(writer.add(directory / "bad"), Error);
  write_all(directory / "a", encode_entry(make_key("a"), make_payload("a")));
  writer.add(directory / "a");
  CHECK(writer.size() == 1);
  write_all(directory / "a", encode_entry(make_key("a"), make_payload("b")));
  CHECK_THROWS_AS(writer.write([](std::span<const std::byte>) {}, nullptr), Error);
}

TEST_CASE("bundle writer: entries that were evicted or replaced meanwhile") {
  const TemporaryDirectory directory;
  BundleWriter writer;
  for (const char* name : {"a", "b", "c"}) {
    write_all(directory / name, encode_entry(make_key(name), make_payload(name)));
    CHECK(writer.add_if_there(directory / name));
  }
  CHECK_FALSE(writer.add_if_there(directory / "none"));
  write_all(directory / "bad", "no entry");
  CHECK_THROWS_AS(writer.add_if_there(directory / "bad"), Error);
  CHECK(writer.refresh() == 0);

  std::filesystem::remove(directory / "b");
  write_all(directory / "c", encode_entry(make_key("c"), make_payload("d")));
  MemoryFile file;
  const auto sink = [&](std::span<const std::byte> bytes) {
    file.content.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  CHECK_THROWS_AS(writer.write(sink, nullptr), Error);
  CHECK(writer.refresh() == 2);
  CHECK(writer.refresh() == 0);
  CHECK(writer.size() == 2);
  file.content.clear();
  writer.write(sink, nullptr);
  const auto opened = open_bytes(file);
  REQUIRE(opened.reader);
  CHECK(opened.reader->lookup(make_key("a")).entry);
  CHECK(opened.reader->lookup(make_key("b")).cause == MissCause::absent);
  CHECK(opened.reader->lookup(make_key("c")).entry);

  write_all(directory / "a", "no entry any more");
  CHECK_THROWS_AS(writer.write(sink, nullptr), Error);
  CHECK_THROWS_AS(writer.refresh(), Error);
}
