#include "jit/build_id.hpp"

#include <elf.h>
#include <fmt/format.h>
#include <array>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <vector>

namespace fourge::jit {
namespace {

constexpr std::size_t kMostNoteBytes = 1 << 20;

// The first page has, as a rule, all that is asked for: it is read once.
class File {
 public:
  explicit File(const std::string& path) : stream_(path, std::ios::binary) {
    stream_.read(first_.data(), static_cast<std::streamsize>(first_.size()));
    first_bytes_ = static_cast<std::uint64_t>(stream_.gcount());
  }

  bool read_at(std::uint64_t offset, void* to, std::size_t size) {
    if (offset <= first_bytes_ && size <= first_bytes_ - offset) {
      std::memcpy(to, first_.data() + offset, size);
      return true;
    }
    stream_.clear();
    stream_.seekg(static_cast<std::streamoff>(offset));
    stream_.read(static_cast<char*>(to), static_cast<std::streamsize>(size));
    return stream_.good();
  }

 private:
  std::ifstream stream_;
  std::array<char, 4096> first_;
  std::uint64_t first_bytes_ = 0;
};

// Walks the notes of one PT_NOTE segment.
std::optional<std::string> build_id_in(const std::vector<unsigned char>& notes) {
  std::size_t at = 0;
  while (at + sizeof(Elf64_Nhdr) <= notes.size()) {
    Elf64_Nhdr note;
    std::memcpy(&note, notes.data() + at, sizeof note);
    const std::size_t name = at + sizeof note;
    const std::size_t description = name + (std::size_t{note.n_namesz} + 3) / 4 * 4;
    const std::size_t next = description + (std::size_t{note.n_descsz} + 3) / 4 * 4;
    if (next > notes.size()) {
      return std::nullopt;
    }
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
        std::memcmp(notes.data() + name, "GNU", 4) == 0) {
      std::string hex;
      for (std::size_t i = 0; i < note.n_descsz; ++i) {
        hex += fmt::format("{:02x}", notes[description + i]);
      }
      return hex;
    }
    at = next;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> read_build_id(const std::string& path) {
  File file(path);
  Elf64_Ehdr header;
  if (!file.read_at(0, &header, sizeof header) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_phentsize != sizeof(Elf64_Phdr)) {
    return std::nullopt;
  }
  for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    if (!file.read_at(header.e_phoff + i * sizeof segment, &segment, sizeof segment)) {
      return std::nullopt;
    }
    if (segment.p_type != PT_NOTE || segment.p_filesz > kMostNoteBytes) {
      continue;
    }
    std::vector<unsigned char> notes(segment.p_filesz);
    if (!file.read_at(segment.p_offset, notes.data(), notes.size())) {
      return std::nullopt;
    }
    if (auto id = build_id_in(notes)) {
      return id;
    }
  }
  return std::nullopt;
}

}  // namespace fourge::jit
