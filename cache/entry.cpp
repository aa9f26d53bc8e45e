#include "cache/entry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fourge/error.hpp>

#include "cache/byte_order.hpp"

namespace fourge::cache {

namespace {

using Bytes = std::span<const std::byte>;

constexpr std::string_view kMagic{"\x8e\x66ourge\n", 8};
constexpr std::size_t kPreambleBytes = kMagic.size() + 2 * sizeof(std::uint32_t);
constexpr std::size_t kFixedHeaderBytes = 2 * Digest::kBytes + sizeof(std::uint32_t);

// Takes bytes from the front; the caller has checked that they are there.
class Reader {
 public:
  explicit Reader(Bytes data) : data_(data) {}

  std::size_t left() const { return data_.size(); }
  Bytes rest() const { return data_; }

  Bytes take(std::size_t count) {
    const Bytes taken = data_.first(count);
    data_ = data_.subspan(count);
    return taken;
  }

  template <typename T>
  T integer() {
    return load_little_endian<T>(take(sizeof(T)).template first<sizeof(T)>());
  }

  Digest digest() {
    Digest digest;
    const Bytes taken = take(Digest::kBytes);
    std::copy(taken.begin(), taken.end(), digest.bytes.begin());
    return digest;
  }

 private:
  Bytes data_;
};

ParseResult refuse(MissCause cause, std::string detail) {
  return {std::nullopt, cause, std::move(detail)};
}

bool begins_with_magic(Bytes file) {
  const std::size_t count = std::min(file.size(), kMagic.size());
  return std::equal(
      kMagic.begin(), kMagic.begin() + static_cast<std::ptrdiff_t>(count), file.begin(),
      [](char expected, std::byte found) { return static_cast<std::byte>(expected) == found; });
}

std::string text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

const char* to_string(MissCause cause) noexcept {
  switch (cause) {
    case MissCause::absent:
      return "absent";
    case MissCause::format:
      return "format";
    case MissCause::key:
      return "key";
    case MissCause::corrupt:
      return "corrupt";
    case MissCause::unreadable:
      return "unreadable";
    case MissCause::untrusted:
      return "untrusted";
    case MissCause::disabled:
      return "disabled";
  }
  return "unknown";
}

std::string Entry::file_name() const {
  CacheKey key;
  key.request = Digest::from_hex(request_hex).value_or(Digest{});
  key.full = Digest::from_hex(key_hex).value_or(Digest{});
  return key.file_name();
}

std::string encode_entry(const CacheKey& key, std::span<const std::byte> payload) {
  if (key.record.size() > kMaximumHeaderBytes - kFixedHeaderBytes) {
    throw Error(ErrorKind::internal,
                fmt::format("cache entry: a key record of {} bytes is too long (at most {}); put a "
                            "digest of the content into the key instead",
                            key.record.size(), kMaximumHeaderBytes - kFixedHeaderBytes));
  }
  const auto append_digest = [](std::string& stream, const Digest& digest) {
    stream.append(reinterpret_cast<const char*>(digest.bytes.data()), Digest::kBytes);
  };
  const std::size_t header_bytes = kFixedHeaderBytes + key.record.size();
  std::string file;
  file.reserve(kPreambleBytes + header_bytes + sizeof(std::uint64_t) + Digest::kBytes +
               payload.size());
  file += kMagic;
  append_little_endian(file, kEntryFormat);
  append_little_endian(file, static_cast<std::uint32_t>(header_bytes));
  append_digest(file, key.request);
  append_digest(file, key.full);
  append_little_endian(file, static_cast<std::uint32_t>(key.record.size()));
  file += key.record;
  append_little_endian<std::uint64_t>(file, payload.size());
  append_digest(file, Sha256().update(file).update(payload).finish());
  file.append(reinterpret_cast<const char*>(payload.data()), payload.size());
  return file;
}

std::uint64_t encoded_entry_bytes(const CacheKey& key, std::size_t payload_bytes) noexcept {
  return kPreambleBytes + kFixedHeaderBytes + key.record.size() + sizeof(std::uint64_t) +
         Digest::kBytes + payload_bytes;
}

ParseResult parse_entry(std::span<const std::byte> file, const CacheKey* expected) {
  if (!begins_with_magic(file)) return refuse(MissCause::format, "it is not a fourge cache entry");
  if (file.size() < kPreambleBytes) {
    return refuse(MissCause::corrupt, fmt::format("it is cut after {} bytes", file.size()));
  }
  Reader reader(file);
  reader.take(kMagic.size());
  if (const auto version = reader.integer<std::uint32_t>(); version != kEntryFormat) {
    return refuse(MissCause::format, fmt::format("it has format version {}, this program uses {}",
                                                 version, kEntryFormat));
  }

  const std::size_t header_bytes = reader.integer<std::uint32_t>();
  if (header_bytes < kFixedHeaderBytes || header_bytes > kMaximumHeaderBytes) {
    return refuse(MissCause::corrupt,
                  fmt::format("its header claims {} bytes, which cannot be", header_bytes));
  }
  if (reader.left() < header_bytes + sizeof(std::uint64_t) + Digest::kBytes) {
    return refuse(MissCause::corrupt, fmt::format("it is cut after {} bytes", file.size()));
  }
  const Digest request = reader.digest();
  const Digest full = reader.digest();
  const std::size_t record_bytes = reader.integer<std::uint32_t>();
  if (record_bytes != header_bytes - kFixedHeaderBytes) {
    return refuse(MissCause::corrupt, fmt::format("its key record claims {} bytes, its header {}",
                                                  record_bytes, header_bytes));
  }
  const Bytes record = reader.take(record_bytes);

  const auto payload_bytes = reader.integer<std::uint64_t>();
  const Bytes covered = file.first(file.size() - reader.left());
  const Digest digest = reader.digest();
  if (payload_bytes != reader.left()) {
    return refuse(MissCause::corrupt, fmt::format("its payload claims {} bytes, the file holds {}",
                                                  payload_bytes, reader.left()));
  }
  if (Sha256().update(covered).update(reader.rest()).finish() != digest) {
    return refuse(MissCause::corrupt, "its digest does not match its contents");
  }
  if (expected != nullptr && (expected->full != full || expected->request != request)) {
    return refuse(MissCause::key, fmt::format("it is the entry of key {}, wanted was {}",
                                              full.hex(), expected->full.hex()));
  }
  ParseResult result;
  result.entry = Entry{
      request.hex(), full.hex(), text_of(record), {reader.rest().begin(), reader.rest().end()}};
  return result;
}

}  // namespace fourge::cache
