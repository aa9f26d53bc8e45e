#include "cache/record_log.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <span>
#include <utility>

#include "cache/byte_order.hpp"

namespace fourge::cache {

namespace {

constexpr std::size_t kWord = sizeof(std::uint64_t);
constexpr std::size_t kRecordBytes = 3 * kWord;

// The finaliser of splitmix64, twice. Not zero for a record of zeros, which a hole in a file gives.
std::uint64_t check_of(const Record& record) {
  const auto mix = [](std::uint64_t value) {
    value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
    value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
    return value ^ (value >> 31U);
  };
  return mix(mix(record.tag + 0x9e3779b97f4a7c15U) + record.value);
}

std::uint64_t word_at(std::span<const std::byte> bytes, std::size_t offset) {
  return load_little_endian<std::uint64_t>(bytes.subspan(offset).first<kWord>());
}

}  // namespace

RecordLog::RecordLog(const Root& root, const std::string& name, FileSystem& files)
    : root_(&root),
      path_(fmt::format("{}/{}/{}", root.path, kUsageDirectory, name)),
      files_(&files) {}

std::string RecordLog::encode(const std::vector<Record>& records) {
  std::string bytes;
  bytes.reserve(records.size() * kRecordBytes);
  for (const Record& record : records) {
    append_little_endian(bytes, record.tag);
    append_little_endian(bytes, record.value);
    append_little_endian(bytes, check_of(record));
  }
  return bytes;
}

LogContents RecordLog::parse(std::span<const std::byte> bytes) {
  LogContents contents;
  contents.bytes = bytes.size();
  while (bytes.size() >= kRecordBytes) {
    const Record record{word_at(bytes, 0), word_at(bytes, kWord)};
    if (word_at(bytes, 2 * kWord) == check_of(record)) {
      contents.records.push_back(record);
      bytes = bytes.subspan(kRecordBytes);
    } else {
      ++contents.damaged_bytes;
      bytes = bytes.subspan(1);
    }
  }
  contents.damaged_bytes += bytes.size();
  return contents;
}

IoResult<std::uint64_t> RecordLog::append(const std::vector<Record>& records) {
  const std::string bytes = encode(records);
  const auto span = std::as_bytes(std::span(bytes));
  const IoResult<std::uint64_t> first = files_->append_file(in_root(path_), span);
  if (first.error != ENOENT) return first;
  const IoResult<FileStatus> root = files_->status(root_->path);
  if (!root.ok()) return {0, root.error};
  const IoStatus made =
      files_->make_directories(in_root(fmt::format("{}/{}", root_->path, kUsageDirectory)));
  if (!made.ok()) return {0, made.error};
  return files_->append_file(in_root(path_), span);
}

LogContents RecordLog::read() {
  const IoResult<FileContents> file = files_->read_file(in_root(path_), kMaximumLogBytes);
  if (file.ok()) return parse(file.value.bytes);
  LogContents contents;
  contents.error = file.error;
  // Nobody can use these; the next append begins anew. (A directory goes only if it is empty.)
  if (file.error == EFBIG || file.error == EISDIR || file.error == ELOOP || file.error == EINVAL) {
    static_cast<void>(files_->remove(in_root(path_)));
  }
  return contents;
}

IoStatus RecordLog::replace(const std::vector<Record>& records) {
  std::random_device device;
  const std::string temporary =
      fmt::format("{}.{}-{:08x}{:08x}.tmp", path_, ::getpid(), device(), device());
  const std::string bytes = encode(records);
  const IoStatus written =
      files_->write_new_file(in_root(temporary), std::as_bytes(std::span(bytes)));
  if (!written.ok()) return written;
  const IoStatus renamed = files_->rename(in_root(temporary), in_root(path_));
  if (!renamed.ok()) static_cast<void>(files_->remove(in_root(temporary)));
  return renamed;
}

}  // namespace fourge::cache
