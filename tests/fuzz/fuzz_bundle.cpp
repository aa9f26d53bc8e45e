// The reader of bundles, over a file in memory. As with entries, each input is also read with the
// digest of its index made right.
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "cache/bundle_reader.hpp"
#include "cache/digest.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace fourge;
using Bytes = std::span<const std::byte>;

constexpr std::size_t kDigestAt = cache::kBundleHeaderBytes - cache::Digest::kBytes;

class MemoryFile final : public cache::RandomAccessFile {
 public:
  explicit MemoryFile(Bytes bytes) : bytes_(bytes) {}

  cache::IoResult<cache::FileStatus> status() override {
    cache::FileStatus status;
    status.type = cache::FileType::regular;
    status.size = bytes_.size();
    status.mode = 0600;
    status.owner = ::getuid();
    status.group = ::getgid();
    return {status, 0, {}};
  }

  cache::IoResult<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
    if (offset >= bytes_.size()) return {0, 0, {}};
    const Bytes rest = bytes_.subspan(static_cast<std::size_t>(offset));
    const std::size_t count = std::min(buffer.size(), rest.size());
    std::ranges::copy(rest.first(count), buffer.begin());
    return {count, 0, {}};
  }

 private:
  Bytes bytes_;
};

void check(Bytes file) {
  const auto opened = cache::BundleReader::open(
      "bundle", nullptr, {}, [file](const std::string&) -> cache::OpenedFile {
        return {std::make_unique<MemoryFile>(file), 0, {}};
      });
  if (!opened.reader) {
    fuzz::require(!opened.detail.empty(), "a refusal has a reason");
    return;
  }
  cache::BundleReader& reader = *opened.reader;
  fuzz::require(reader.size() <= file.size() / cache::kBundleItemBytes,
                "no more items than the file has room for");
  for (std::size_t i = 0; i < reader.size(); ++i) {
    const cache::BundleItem& item = reader.item(i);
    fuzz::require(item.offset <= file.size() && item.length <= file.size() - item.offset,
                  "every item lies in the file");
    const cache::CacheKey key{item.request, item.full, {}};
    const cache::LookupResult found = reader.lookup(key);
    if (found.entry) {
      fuzz::require(found.entry->key_hex == item.full.hex(), "an entry is that of its item");
      fuzz::require(reader.lookup_request(key).entry.has_value(), "its request finds one too");
    } else {
      fuzz::require(!found.detail.empty(), "a refusal has a reason");
    }
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes file = fuzz::bytes_of(data, size);
  check(file);
  if (size < cache::kBundleHeaderBytes) return 0;
  std::vector<std::byte> forged(file.begin(), file.end());
  std::uint64_t count = 0;
  std::memcpy(&count, data + 16, sizeof(count));
  if (count > (size - cache::kBundleHeaderBytes) / cache::kBundleItemBytes) return 0;
  const std::size_t index_bytes = static_cast<std::size_t>(count) * cache::kBundleItemBytes;
  const cache::Digest digest =
      cache::Sha256()
          .update(Bytes(forged).first(kDigestAt))
          .update(Bytes(forged).subspan(cache::kBundleHeaderBytes, index_bytes))
          .finish();
  std::ranges::copy(digest.bytes, forged.begin() + kDigestAt);
  check(forged);
  return 0;
}
