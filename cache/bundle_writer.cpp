#include "cache/bundle_writer.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <fourge/error.hpp>

#include "cache/byte_order.hpp"
#include "cache/disk_store.hpp"
#include "cache/entry.hpp"

namespace fourge::cache {

namespace {

void append_digest(std::string& stream, const Digest& digest) {
  stream.append(reinterpret_cast<const char*>(digest.bytes.data()), Digest::kBytes);
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span<const char>(text));
}

std::vector<std::byte> read_entry(FileSystem& files, const std::string& path) {
  IoResult<FileContents> file = files.read_file(path, kMaximumEntryBytes);
  if (!file.ok()) {
    throw Error(ErrorKind::io,
                fmt::format("cannot put {} into a bundle: {}", path, describe_errno(file.error)));
  }
  return std::move(file.value.bytes);
}

bool is_gone(FileSystem& files, const std::string& path) {
  return files.read_file(path, kMaximumEntryBytes).error == ENOENT;
}

}  // namespace

void BundleWriter::add(const std::string& path) {
  const std::vector<std::byte> bytes = read_entry(files_, path);
  const ParseResult parsed = parse_entry(bytes, nullptr);
  if (!parsed.entry) {
    throw Error(ErrorKind::io, fmt::format("cannot put {} into a bundle: {}; `fourge cache verify` "
                                           "sets bad entries aside",
                                           path, parsed.detail));
  }
  const Digest request = Digest::from_hex(parsed.entry->request_hex).value_or(Digest{});
  const Digest full = Digest::from_hex(parsed.entry->key_hex).value_or(Digest{});
  sources_[{request, full}] = {path, bytes.size(), sha256(bytes)};
}

bool BundleWriter::add_if_there(const std::string& path) {
  try {
    add(path);
    return true;
  } catch (const Error&) {
    if (!is_gone(files_, path)) throw;
    return false;
  }
}

std::size_t BundleWriter::refresh() {
  std::size_t changed = 0;
  for (auto next = sources_.begin(); next != sources_.end();) {
    const auto present = next++;
    const std::string path = present->second.path;
    const IoResult<FileContents> file = files_.read_file(path, kMaximumEntryBytes);
    if (file.ok() ? sha256(file.value.bytes) == present->second.digest : file.error != ENOENT) {
      continue;  // as it was, or write() says what it is
    }
    sources_.erase(present);
    add_if_there(path);
    ++changed;
  }
  return changed;
}

std::uint64_t BundleWriter::write(const Sink& sink, const PrivateKey* key) const {
  if (sources_.size() > kMaximumBundleEntries) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{} entries are too many for a bundle (at most {}); choose fewer",
                            sources_.size(), kMaximumBundleEntries));
  }
  const std::size_t signature_bytes = key == nullptr ? 0 : kSignatureBytes;
  const std::uint64_t begin =
      kBundleHeaderBytes + sources_.size() * kBundleItemBytes + signature_bytes;
  std::string index;
  std::uint64_t end = begin;
  for (const auto& [name, source] : sources_) {
    append_digest(index, name.first);
    append_digest(index, name.second);
    append_little_endian(index, end);
    append_little_endian(index, source.length);
    append_digest(index, source.digest);
    end += source.length;
  }
  std::string header(kBundleMagic);
  append_little_endian(header, kBundleFormat);
  append_little_endian(header, static_cast<std::uint32_t>(signature_bytes));
  append_little_endian<std::uint64_t>(header, sources_.size());
  append_little_endian<std::uint64_t>(header, end - begin);
  const Digest digest = Sha256().update(header).update(index).finish();
  append_digest(header, digest);
  sink(bytes_of(header));
  sink(bytes_of(index));
  if (key != nullptr) {
    std::string message(kBundleSignedPrefix);
    append_digest(message, digest);
    sink(key->sign(bytes_of(message)));
  }
  for (const auto& [name, source] : sources_) {
    const std::vector<std::byte> bytes = read_entry(files_, source.path);
    if (sha256(bytes) != source.digest) {
      throw Error(ErrorKind::io,
                  fmt::format("{} changed while the bundle was written; try again", source.path));
    }
    sink(bytes);
  }
  return end;
}

}  // namespace fourge::cache
