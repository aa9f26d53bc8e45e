#include "jit/cubin.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fourge/error.hpp>
#include <optional>
#include <type_traits>

namespace fourge::jit {
namespace {

[[noreturn]] void malformed(std::string_view what) {
  throw Error(ErrorKind::invalid_argument,
              fmt::format("not a usable cubin: {}; recompile it or remove the cache entry", what));
}

// ELF64 facts, little-endian.
constexpr std::uint16_t kMachineCuda = 190;
constexpr std::uint32_t kSectionSymbols = 2;
constexpr std::uint32_t kSectionNoBits = 8;
constexpr std::uint8_t kSymbolFunction = 2;
constexpr std::uint8_t kOtherEntry = 0x10;
constexpr std::size_t kHeaderBytes = 64;
constexpr std::size_t kSectionHeaderBytes = 64;
constexpr std::size_t kSymbolBytes = 24;

// Records of .nv.info: a format byte, an attribute byte and a 16-bit value, followed by that many
// bytes where the format says so.
constexpr std::uint8_t kFormatSized = 4;
constexpr std::uint8_t kAttributeMinStackSize = 0x12;
constexpr std::uint8_t kAttributeFrameSize = 0x11;
constexpr std::uint8_t kAttributeParam = 0x17;
constexpr std::uint8_t kAttributeRegisterCount = 0x2f;
// Records of .nv.compat are alike.
constexpr std::uint8_t kCompatArchitectureSpecific = 0x09;

// SASS since sm_70: 16-byte instructions with the opcode in the low 12 bits.
constexpr std::size_t kInstructionBytes = 16;
constexpr std::uint16_t kOpcodeMask = 0xfff;
constexpr std::uint16_t kOpcodeLoadLocal = 0x983;
constexpr std::uint16_t kOpcodeStoreLocal = 0x387;
constexpr std::uint16_t kOpcodeWait = 0x82e;  // ACQBULK
// LDG, LDG of 256 bits, LDGSTS, UBLKCP.
constexpr std::uint16_t kOpcodesLoadGlobal[] = {0x981, 0x381, 0x97e, 0xfae, 0x3ba};

constexpr std::uint64_t kReservedShared = 1024;
constexpr int kFirstReservedMajor = 9;

// A range of bytes that refuses to be read past its end.
class View {
 public:
  View(std::span<const std::byte> bytes, std::string_view what) : bytes_(bytes), what_(what) {}

  std::size_t size() const noexcept { return bytes_.size(); }

  template <class T>
  T at(std::uint64_t offset) const {
    static_assert(std::is_trivially_copyable_v<T>);
    check(offset, sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }

  View part(std::uint64_t offset, std::uint64_t size, std::string_view what) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) {
      malformed(fmt::format("{} lies outside the file", what));
    }
    return {bytes_.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size)), what};
  }

  // The NUL-terminated text at an offset.
  std::string_view text(std::uint64_t offset) const {
    check(offset, 1);
    const auto* begin = reinterpret_cast<const char*>(bytes_.data()) + offset;
    const auto length = bytes_.size() - static_cast<std::size_t>(offset);
    const void* end = std::memchr(begin, 0, length);
    if (end == nullptr) malformed(fmt::format("a name in {} has no end", what_));
    return {begin, static_cast<std::size_t>(static_cast<const char*>(end) - begin)};
  }

  std::string_view characters() const noexcept {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }

 private:
  void check(std::uint64_t offset, std::uint64_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) {
      malformed(fmt::format("{} is cut short ({} bytes)", what_, bytes_.size()));
    }
  }

  std::span<const std::byte> bytes_;
  std::string_view what_;
};

struct Section {
  std::string_view name;
  std::uint32_t type;
  std::uint64_t offset;
  std::uint64_t size;
  std::uint32_t link;
};

struct Symbol {
  std::string_view name;
  bool entry;
};

struct File {
  View bytes;
  std::uint8_t abi;
  std::uint32_t flags;
  std::vector<Section> sections;
  std::vector<Symbol> symbols;

  const Section* find(std::string_view name) const noexcept {
    const auto found = std::find_if(sections.begin(), sections.end(),
                                    [&](const Section& s) { return s.name == name; });
    return found == sections.end() ? nullptr : &*found;
  }
  const Section* find(std::string_view prefix, std::string_view kernel) const {
    return find(fmt::format("{}{}", prefix, kernel));
  }
  View content(const Section& section) const {
    return bytes.part(section.offset, section.size, section.name);
  }
};

void read_sections(File& file) {
  const auto table = file.bytes.at<std::uint64_t>(40);
  const auto entry_size = file.bytes.at<std::uint16_t>(58);
  const auto count = file.bytes.at<std::uint16_t>(60);
  const auto names_index = file.bytes.at<std::uint16_t>(62);
  if (entry_size != kSectionHeaderBytes) malformed("section headers of an unknown size");
  if (names_index >= count) malformed("the section of section names does not exist");
  const View headers =
      file.bytes.part(table, std::uint64_t{count} * kSectionHeaderBytes, "the section table");

  const std::uint64_t names_header = std::uint64_t{names_index} * kSectionHeaderBytes;
  const View names = file.bytes.part(headers.at<std::uint64_t>(names_header + 24),
                                     headers.at<std::uint64_t>(names_header + 32), "section names");
  for (std::uint64_t at = 0; at < headers.size(); at += kSectionHeaderBytes) {
    const Section section{names.text(headers.at<std::uint32_t>(at)),
                          headers.at<std::uint32_t>(at + 4), headers.at<std::uint64_t>(at + 24),
                          headers.at<std::uint64_t>(at + 32), headers.at<std::uint32_t>(at + 40)};
    if (section.type != kSectionNoBits && section.type != 0) file.content(section);
    file.sections.push_back(section);
  }
}

void read_symbols(File& file) {
  const auto table =
      std::find_if(file.sections.begin(), file.sections.end(),
                   [](const Section& section) { return section.type == kSectionSymbols; });
  if (table == file.sections.end()) malformed("it has no symbol table");
  if (table->link >= file.sections.size()) malformed("the symbol names do not exist");
  if (table->size % kSymbolBytes != 0) malformed("the symbol table has an odd size");
  const Section& strings = file.sections[table->link];
  if (strings.type == kSectionNoBits) malformed("the symbol names are not in the file");
  const View names = file.content(strings);
  const View symbols = file.content(*table);
  for (std::uint64_t at = 0; at < symbols.size(); at += kSymbolBytes) {
    const bool function = (symbols.at<std::uint8_t>(at + 4) & 0xf) == kSymbolFunction;
    const bool entry = function && (symbols.at<std::uint8_t>(at + 5) & kOtherEntry) != 0;
    file.symbols.push_back({names.text(symbols.at<std::uint32_t>(at)), entry});
  }
}

File read_file(std::span<const std::byte> data) {
  File file{View(data, "the file"), 0, 0, {}, {}};
  if (data.size() < kHeaderBytes) {
    malformed(fmt::format("{} bytes are too few for an ELF header", data.size()));
  }
  if (file.bytes.characters().substr(0, 4) !=
      "\x7f"
      "ELF") {
    malformed("it does not begin as an ELF file");
  }
  if (file.bytes.at<std::uint8_t>(4) != 2 || file.bytes.at<std::uint8_t>(5) != 1) {
    malformed("it is not 64-bit little-endian ELF");
  }
  if (file.bytes.at<std::uint16_t>(18) != kMachineCuda) malformed("its machine is not CUDA");
  file.abi = file.bytes.at<std::uint8_t>(8);
  file.flags = file.bytes.at<std::uint32_t>(48);
  read_sections(file);
  read_symbols(file);
  return file;
}

struct Record {
  std::uint8_t attribute;
  std::uint16_t value;
  View data;
};

template <class Visit>
void for_each_record(const View& info, const Visit& visit) {
  std::uint64_t at = 0;
  while (at < info.size()) {
    const auto format = info.at<std::uint8_t>(at);
    const auto attribute = info.at<std::uint8_t>(at + 1);
    const auto value = info.at<std::uint16_t>(at + 2);
    const std::uint64_t extra = format == kFormatSized ? value : 0;
    visit(Record{attribute, value, info.part(at + 4, extra, "a resource record")});
    at += 4 + extra;
  }
}

// The suffix in the compiler's note: its options are kept there as text, "-arch sm_100f ".
std::optional<CubinTarget> noted_target(const File& file) {
  const Section* note = file.find(".note.nv.tkinfo");
  if (note == nullptr || note->type == kSectionNoBits) return std::nullopt;
  const std::string_view text = file.content(*note).characters();
  constexpr std::string_view kMark = "-arch sm_";
  const auto mark = text.find(kMark);
  if (mark == std::string_view::npos) return std::nullopt;
  int number = 0;
  std::size_t at = mark + kMark.size();
  const std::size_t limit = std::min(text.size(), at + 4);
  for (; at < limit && text[at] >= '0' && text[at] <= '9'; ++at) {
    number = number * 10 + (text[at] - '0');
  }
  const char next = at < text.size() ? text[at] : '\0';
  return CubinTarget{number / 10, number % 10, next == 'a' || next == 'f' ? next : '\0', true};
}

bool marked_architecture_specific(const File& file) {
  const bool flagged = (file.flags & (file.abi >= 8 ? 0x8U : 0x800U)) != 0;
  const Section* compat = file.find(".nv.compat");
  if (flagged || compat == nullptr || compat->type == kSectionNoBits) return flagged;
  bool marked = false;
  for_each_record(file.content(*compat), [&](const Record& record) {
    if (record.attribute == kCompatArchitectureSpecific) marked = (record.value & 0xff) == 1;
  });
  return marked;
}

CubinTarget read_target(const File& file) {
  if (file.abi != 7 && file.abi != 8) {
    malformed(fmt::format("its ABI version {} is unknown (7 and 8 are known)", file.abi));
  }
  const auto number =
      static_cast<int>(file.abi == 8 ? (file.flags >> 8) & 0xff : file.flags & 0xff);
  CubinTarget target{number / 10, number % 10, '\0', false};
  const bool specific = marked_architecture_specific(file);
  if (const auto noted = noted_target(file)) {
    const bool agrees = noted->major == target.major && noted->minor == target.minor &&
                        (!specific || noted->suffix == 'a');
    if (!agrees) {
      malformed(fmt::format("its header says sm_{}{} and its compiler's note {}", number,
                            specific ? "a" : "", noted->text()));
    }
    return *noted;
  }
  if (specific) target.suffix = 'a';
  // Family targets came with ABI 8, which has the note.
  target.suffix_known = specific || file.abi == 7;
  return target;
}

// Records of the file's own .nv.info name their kernel by symbol index.
void read_shared_records(const File& file, std::vector<CubinKernel>& kernels) {
  const Section* info = file.find(".nv.info");
  if (info == nullptr || info->type == kSectionNoBits) malformed("it has no resource records");
  for_each_record(file.content(*info), [&](const Record& record) {
    const bool known = record.attribute == kAttributeRegisterCount ||
                       record.attribute == kAttributeFrameSize ||
                       record.attribute == kAttributeMinStackSize;
    if (!known) return;
    const auto index = record.data.at<std::uint32_t>(0);
    const auto value = record.data.at<std::uint32_t>(4);
    if (index >= file.symbols.size()) malformed("a resource record names no symbol");
    const auto kernel = std::find_if(kernels.begin(), kernels.end(), [&](const CubinKernel& k) {
      return k.name == file.symbols[index].name;
    });
    if (kernel == kernels.end()) return;  // of a device function
    if (record.attribute == kAttributeRegisterCount) kernel->registers = value;
    if (record.attribute == kAttributeFrameSize) kernel->frame_bytes = value;
    if (record.attribute == kAttributeMinStackSize) kernel->stack_bytes = value;
  });
}

void read_params(const File& file, CubinKernel& kernel) {
  const Section* info = file.find(".nv.info.", kernel.name);
  if (info == nullptr || info->type == kSectionNoBits) {
    malformed(fmt::format("kernel {} has no parameter records", kernel.name));
  }
  for_each_record(file.content(*info), [&](const Record& record) {
    if (record.attribute != kAttributeParam) return;
    kernel.params.push_back({record.data.at<std::uint16_t>(4), record.data.at<std::uint16_t>(6),
                             record.data.at<std::uint32_t>(8) >> 18});
  });
  std::sort(kernel.params.begin(), kernel.params.end(),
            [](const CubinParam& a, const CubinParam& b) { return a.index < b.index; });
  for (std::size_t i = 0; i < kernel.params.size(); ++i) {
    if (kernel.params[i].index != i) {
      malformed(fmt::format("kernel {} has no parameter {} or has it twice", kernel.name, i));
    }
  }
}

void read_code(const File& file, CubinKernel& kernel) {
  const Section* section = file.find(".text.", kernel.name);
  if (section == nullptr || section->type == kSectionNoBits || section->size == 0) {
    malformed(fmt::format("kernel {} has no code", kernel.name));
  }
  const View code = file.content(*section);
  if (code.size() % kInstructionBytes != 0) {
    malformed(fmt::format("the code of kernel {} ends inside an instruction", kernel.name));
  }
  kernel.code_bytes = code.size();
  std::uint32_t loads = 0;
  bool waited = false;
  for (std::uint64_t at = 0; at < code.size(); at += kInstructionBytes) {
    const auto opcode = code.at<std::uint16_t>(at) & kOpcodeMask;
    if (opcode == kOpcodeLoadLocal) ++kernel.local_loads;
    if (opcode == kOpcodeStoreLocal) ++kernel.local_stores;
    if (std::ranges::count(kOpcodesLoadGlobal, opcode) != 0) ++loads;
    if (opcode == kOpcodeWait && !waited) {
      waited = true;
      kernel.loads_before_wait = loads;
    }
  }
}

void read_memory(const File& file, const CubinTarget& target, CubinKernel& kernel) {
  if (const Section* shared = file.find(".nv.shared.", kernel.name)) {
    const bool reserves = target.major >= kFirstReservedMajor && shared->size >= kReservedShared;
    kernel.reserved_shared_bytes = reserves ? kReservedShared : 0;
    kernel.static_shared_bytes = shared->size - kernel.reserved_shared_bytes;
  }
  if (const Section* constant = file.find(".nv.constant0.", kernel.name)) {
    kernel.constant_bytes = constant->size;
  }
}

}  // namespace

std::string CubinTarget::text() const {
  std::string text = fmt::format("sm_{}", major * 10 + minor);
  if (suffix != '\0') text += suffix;
  return text;
}

const CubinKernel* CubinInfo::find(std::string_view name) const noexcept {
  const auto found = std::find_if(kernels.begin(), kernels.end(),
                                  [&](const CubinKernel& kernel) { return kernel.name == name; });
  return found == kernels.end() ? nullptr : &*found;
}

CubinInfo parse_cubin(std::span<const std::byte> bytes) {
  const File file = read_file(bytes);
  CubinInfo info;
  info.target = read_target(file);
  for (const Symbol& symbol : file.symbols) {
    if (!symbol.entry) continue;
    CubinKernel kernel;
    kernel.name = std::string(symbol.name);
    read_params(file, kernel);
    read_code(file, kernel);
    read_memory(file, info.target, kernel);
    info.kernels.push_back(std::move(kernel));
  }
  read_shared_records(file, info.kernels);
  return info;
}

}  // namespace fourge::jit
