#include "tests/cache/bundle_support.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <stdexcept>

#include "cache/bundle_writer.hpp"
#include "cache/entry.hpp"

namespace fourge::tests {

namespace {

class OpenMemoryFile : public cache::RandomAccessFile {
 public:
  explicit OpenMemoryFile(MemoryFile& file) : file_(file) {}

  cache::IoResult<cache::FileStatus> status() override {
    cache::FileStatus status;
    status.type = cache::FileType::regular;
    status.size = file_.content.size();
    status.mode = file_.mode;
    status.owner = file_.owner;
    return {status, 0};
  }

  cache::IoResult<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
    ++file_.reads;
    if (file_.read_error != 0) return {0, file_.read_error};
    const std::size_t begin =
        std::min<std::size_t>(static_cast<std::size_t>(offset), file_.content.size());
    const auto bytes = as_bytes(file_.content).subspan(begin);
    const std::size_t count = std::min(bytes.size(), buffer.size());
    std::copy_n(bytes.begin(), count, buffer.begin());
    return {count, 0};
  }

 private:
  MemoryFile& file_;
};

}  // namespace

std::string make_bundle(const std::vector<std::string>& names, const cache::PrivateKey* key,
                        std::size_t payload_bytes) {
  const TemporaryDirectory directory;
  cache::BundleWriter writer;
  for (const std::string& name : names) {
    const std::string path = directory / name;
    write_all(path, cache::encode_entry(make_key(name), make_payload(name, payload_bytes)));
    writer.add(path);
  }
  std::string bundle;
  writer.write(
      [&](std::span<const std::byte> bytes) {
        bundle.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      },
      key);
  return bundle;
}

void write_private(const std::string& path, std::string_view content) {
  write_all(path, content);
  if (::chmod(path.c_str(), 0600) != 0) throw std::runtime_error("cannot chmod " + path);
}

cache::OpenFile MemoryFile::opener() {
  return [this](const std::string&) -> cache::OpenedFile {
    ++opens;
    if (open_error != 0) return {nullptr, open_error};
    return {std::make_unique<OpenMemoryFile>(*this), 0};
  };
}

}  // namespace fourge::tests
