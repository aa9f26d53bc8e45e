#include "cache/bundle_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <optional>
#include <span>
#include <utility>

#include "cache/byte_order.hpp"
#include "cache/trust.hpp"

namespace fourge::cache {

namespace {

using Bytes = std::span<const std::byte>;

struct Refused {
  MissCause cause;
  std::string detail;
};

struct Header {
  std::uint64_t count = 0;
  std::size_t signature_bytes = 0;
  std::uint64_t entries_bytes = 0;
  Digest digest;

  std::size_t index_bytes() const { return static_cast<std::size_t>(count) * kBundleItemBytes; }
};

template <typename T>
T integer_at(Bytes bytes, std::size_t offset) {
  return load_little_endian<T>(bytes.subspan(offset).first<sizeof(T)>());
}

Digest digest_at(Bytes bytes, std::size_t offset) {
  Digest digest;
  const Bytes found = bytes.subspan(offset, Digest::kBytes);
  std::copy(found.begin(), found.end(), digest.bytes.begin());
  return digest;
}

// Bytes [offset, offset + count) of the file, all of them.
std::vector<std::byte> read_exactly(RandomAccessFile& file, std::uint64_t offset,
                                    std::size_t count) {
  std::vector<std::byte> bytes(count);
  const IoResult<std::size_t> got = file.read_at(offset, bytes);
  if (!got.ok()) {
    throw Refused{MissCause::unreadable,
                  fmt::format("it cannot be read: {}", describe_errno(got.error))};
  }
  if (got.value != count) {
    throw Refused{MissCause::corrupt, fmt::format("it is cut after {} bytes", offset + got.value)};
  }
  return bytes;
}

Header parse_header(Bytes bytes, std::uint64_t file_bytes) {
  const auto matches = [](char expected, std::byte found) {
    return static_cast<std::byte>(expected) == found;
  };
  if (!std::equal(kBundleMagic.begin(), kBundleMagic.end(), bytes.begin(), matches)) {
    throw Refused{MissCause::format, "it is not a fourge bundle"};
  }
  if (const auto version = integer_at<std::uint32_t>(bytes, 8); version != kBundleFormat) {
    throw Refused{MissCause::format, fmt::format("it has bundle format {}, this program uses {}",
                                                 version, kBundleFormat)};
  }
  Header header;
  header.signature_bytes = integer_at<std::uint32_t>(bytes, 12);
  header.count = integer_at<std::uint64_t>(bytes, 16);
  header.entries_bytes = integer_at<std::uint64_t>(bytes, 24);
  header.digest = digest_at(bytes, 32);
  if (header.signature_bytes != 0 && header.signature_bytes != kSignatureBytes) {
    throw Refused{MissCause::corrupt, fmt::format("its signature claims {} bytes, not 0 or {}",
                                                  header.signature_bytes, kSignatureBytes)};
  }
  if (header.count > kMaximumBundleEntries) {
    throw Refused{MissCause::corrupt,
                  fmt::format("it claims {} entries, which cannot be", header.count)};
  }
  const std::uint64_t before = kBundleHeaderBytes + header.index_bytes() + header.signature_bytes;
  if (file_bytes < before || file_bytes - before != header.entries_bytes) {
    throw Refused{MissCause::corrupt,
                  fmt::format("its parts claim {} and {} bytes, the file has {}", before,
                              header.entries_bytes, file_bytes)};
  }
  return header;
}

void require_signature(const Digest& digest, Bytes bytes, const PublicKey& key) {
  if (bytes.empty()) {
    throw Refused{MissCause::untrusted,
                  "it is not signed, and a public key is set; export it with --sign"};
  }
  Signature signature;
  std::copy(bytes.begin(), bytes.end(), signature.begin());
  std::string message(kBundleSignedPrefix);
  message.append(reinterpret_cast<const char*>(digest.bytes.data()), Digest::kBytes);
  if (!key.verifies(std::as_bytes(std::span<const char>(message)), signature)) {
    throw Refused{MissCause::untrusted, "its signature is not of the public key that is set"};
  }
}

std::vector<BundleItem> parse_index(const Header& header, Bytes bytes) {
  std::vector<BundleItem> items;
  items.reserve(static_cast<std::size_t>(header.count));
  std::uint64_t offset = kBundleHeaderBytes + header.index_bytes() + header.signature_bytes;
  const std::uint64_t end = offset + header.entries_bytes;
  for (std::size_t at = 0; at < bytes.size(); at += kBundleItemBytes) {
    BundleItem item;
    item.request = digest_at(bytes, at);
    item.full = digest_at(bytes, at + 32);
    item.offset = integer_at<std::uint64_t>(bytes, at + 64);
    item.length = integer_at<std::uint64_t>(bytes, at + 72);
    item.digest = digest_at(bytes, at + 80);
    const bool in_place =
        item.offset == offset && item.length <= kMaximumEntryBytes && item.length <= end - offset;
    const bool in_order = items.empty() || std::pair(items.back().request, items.back().full) <
                                               std::pair(item.request, item.full);
    if (!in_place || !in_order) {
      throw Refused{MissCause::corrupt,
                    fmt::format("item {} of its index is out of {}", at / kBundleItemBytes,
                                in_place ? "order" : "place")};
    }
    offset += item.length;
    items.push_back(item);
  }
  if (offset != end) {
    throw Refused{MissCause::corrupt,
                  fmt::format("{} bytes at its end belong to no entry", end - offset)};
  }
  return items;
}

void require_trusted_file(const std::string& path, const FileStatus& status, bool has_key,
                          TrustPolicy policy) {
  if (status.type != FileType::regular) {
    throw Refused{MissCause::untrusted,
                  fmt::format("it is {}, not a regular file", to_string(status.type))};
  }
  if (has_key) return;  // the signature decides
  policy.accept_root = true;
  if (const std::string reason = distrust(policy, status, path); !reason.empty()) {
    throw Refused{MissCause::untrusted, reason};
  }
}

// No memory, no digest: a miss.
template <class Look>
LookupResult miss_instead_of_exception(const std::string& path, Look look) noexcept {
  LookupResult result;
  try {
    try {
      return look();
    } catch (const Refused& refused) {
      result.cause = refused.cause;
      result.detail = fmt::format("{}: {}", path, refused.detail);
    } catch (const std::exception& error) {
      result.cause = MissCause::unreadable;
      result.detail = fmt::format("{}: {}", path, error.what());
    }
  } catch (const std::exception&) {
    result.detail.clear();
  }
  return result;
}

}  // namespace

BundleReader::Opened BundleReader::open(const std::string& path, const PublicKey* key,
                                        const TrustPolicy& trust,
                                        const OpenFile& open_file) noexcept {
  Opened opened;
  LookupResult failed = miss_instead_of_exception(path, [&] {
    opened = checked_open(path, key, trust, open_file);
    return LookupResult{};
  });
  if (!opened.reader && opened.detail.empty()) {
    opened.cause = failed.cause;
    opened.detail = std::move(failed.detail);
  }
  return opened;
}

BundleReader::Opened BundleReader::checked_open(const std::string& path, const PublicKey* key,
                                                const TrustPolicy& trust,
                                                const OpenFile& open_file) {
  OpenedFile file = open_file(path);
  if (file.error == ENOENT) return {nullptr, MissCause::absent, "there is no " + path};
  if (file.error == ELOOP) {
    throw Refused{MissCause::untrusted, "it is a symbolic link; name the file itself"};
  }
  if (!file.ok()) {
    throw Refused{MissCause::unreadable,
                  fmt::format("it cannot be opened: {}", describe_errno(file.error))};
  }
  const IoResult<FileStatus> status = file.value->status();
  if (!status.ok()) {
    throw Refused{MissCause::unreadable,
                  fmt::format("it cannot be read: {}", describe_errno(status.error))};
  }
  require_trusted_file(path, status.value, key != nullptr, trust);
  if (status.value.size < kBundleHeaderBytes) {
    throw Refused{MissCause::corrupt, fmt::format("it is cut after {} bytes", status.value.size)};
  }
  const std::vector<std::byte> header_bytes = read_exactly(*file.value, 0, kBundleHeaderBytes);
  const Header header = parse_header(header_bytes, status.value.size);
  const std::vector<std::byte> rest =
      read_exactly(*file.value, kBundleHeaderBytes, header.index_bytes() + header.signature_bytes);
  const Bytes index = Bytes(rest).first(header.index_bytes());
  const Bytes covered = Bytes(header_bytes).first(kBundleHeaderBytes - Digest::kBytes);
  if (Sha256().update(covered).update(index).finish() != header.digest) {
    throw Refused{MissCause::corrupt, "its digest does not match its index"};
  }
  if (key != nullptr) {
    require_signature(header.digest, Bytes(rest).subspan(header.index_bytes()), *key);
  }
  std::vector<BundleItem> items = parse_index(header, index);
  Opened opened;
  opened.reader.reset(new BundleReader(path, std::move(file.value), std::move(items)));
  return opened;
}

LookupResult BundleReader::lookup(const CacheKey& key, const EntryCheck& check) noexcept {
  return miss_instead_of_exception(path_, [&] {
    const auto before = [](const BundleItem& item, const CacheKey& wanted) {
      return std::pair(item.request, item.full) < std::pair(wanted.request, wanted.full);
    };
    const auto found = std::lower_bound(items_.begin(), items_.end(), key, before);
    if (found == items_.end() || found->request != key.request || found->full != key.full) {
      LookupResult miss;
      miss.detail = "there is no such entry in " + path_;
      return miss;
    }
    return checked_entry(read(*found, &key), check);
  });
}

LookupResult BundleReader::lookup_request(const CacheKey& key, const EntryCheck& check) noexcept {
  return miss_instead_of_exception(path_, [&] {
    const auto before = [](const BundleItem& item, const Digest& request) {
      return item.request < request;
    };
    LookupResult result;
    result.detail = "there is no entry of this request in " + path_;
    for (auto item = std::lower_bound(items_.begin(), items_.end(), key.request, before);
         item != items_.end() && item->request == key.request; ++item) {
      LookupResult found = miss_instead_of_exception(
          path_, [&] { return checked_entry(read(*item, nullptr), check); });
      if (found.entry || result.cause == MissCause::absent) result = std::move(found);
      if (result.entry) break;
    }
    return result;
  });
}

LookupResult BundleReader::entry(std::size_t position) noexcept {
  return miss_instead_of_exception(path_, [&] { return read(items_.at(position), nullptr); });
}

LookupResult BundleReader::read(const BundleItem& item, const CacheKey* expected) {
  const std::vector<std::byte> bytes =
      read_exactly(*file_, item.offset, static_cast<std::size_t>(item.length));
  if (sha256(bytes) != item.digest) {
    throw Refused{MissCause::corrupt,
                  fmt::format("the entry of key {} is not the one in its index", item.full.hex())};
  }
  ParseResult parsed = parse_entry(bytes, expected);
  if (!parsed.entry) {
    throw Refused{parsed.cause, fmt::format("entry {}: {}", item.full.hex(), parsed.detail)};
  }
  if (parsed.entry->key_hex != item.full.hex() || parsed.entry->request_hex != item.request.hex()) {
    throw Refused{MissCause::key, fmt::format("what its index calls {} is the entry of key {}",
                                              item.full.hex(), parsed.entry->key_hex)};
  }
  LookupResult result;
  result.entry = std::move(parsed.entry);
  return result;
}

}  // namespace fourge::cache
