// Makes small ELF files shaped like NVRTC 13.0's cubins, for tests that need a cubin and neither
// NVRTC nor a GPU. They hold no code that could run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace fourge::tests {

struct BuiltParam {
  std::uint16_t offset;
  std::uint32_t size;
};

struct BuiltCubin {
  std::string target = "sm_90a";  // as in the compiler's note; empty: no note
  std::uint32_t number = 90;      // as in the ELF header
  std::string kernel = "k";
  std::vector<BuiltParam> params;
  std::uint32_t registers = 24;
  std::uint32_t shared_bytes = 1024;
  // Opcodes of the code, one instruction each.
  std::vector<std::uint16_t> opcodes = {0x7918, 0x794d};
};

namespace detail {

class Bytes {
 public:
  template <class T>
  Bytes& put(T value) {
    const auto* begin = reinterpret_cast<const std::byte*>(&value);
    data.insert(data.end(), begin, begin + sizeof(T));
    return *this;
  }
  Bytes& text(std::string_view value) {
    for (const char c : value) data.push_back(static_cast<std::byte>(c));
    data.push_back(std::byte{0});
    return *this;
  }
  std::vector<std::byte> data;
};

struct BuiltSection {
  std::string name;
  std::uint32_t type;
  std::vector<std::byte> data;
  std::uint64_t size;
  std::uint32_t link;
};

inline std::vector<std::byte> assemble(std::vector<BuiltSection> sections, std::uint32_t flags) {
  Bytes names;
  names.text("");
  std::vector<std::uint32_t> name_offsets;
  for (const auto& section : sections) {
    name_offsets.push_back(static_cast<std::uint32_t>(names.data.size()));
    names.text(section.name);
  }
  const auto last = static_cast<std::uint32_t>(names.data.size());
  names.text(".shstrtab");
  name_offsets.push_back(last);
  sections.push_back({".shstrtab", 3, names.data, names.data.size(), 0});

  Bytes body;
  std::vector<std::uint64_t> offsets;
  for (const auto& section : sections) {
    offsets.push_back(64 + body.data.size());
    body.data.insert(body.data.end(), section.data.begin(), section.data.end());
  }
  Bytes file;
  file.put<std::uint32_t>(0x464c457f).put<std::uint8_t>(2).put<std::uint8_t>(1);
  file.put<std::uint8_t>(1).put<std::uint8_t>(0x41).put<std::uint64_t>(8);
  file.put<std::uint16_t>(2).put<std::uint16_t>(190).put<std::uint32_t>(1);
  file.put<std::uint64_t>(0).put<std::uint64_t>(0).put<std::uint64_t>(64 + body.data.size());
  file.put<std::uint32_t>(flags).put<std::uint16_t>(64).put<std::uint16_t>(56);
  file.put<std::uint16_t>(0).put<std::uint16_t>(64);
  file.put<std::uint16_t>(static_cast<std::uint16_t>(sections.size() + 1));
  file.put<std::uint16_t>(static_cast<std::uint16_t>(sections.size()));
  file.data.insert(file.data.end(), body.data.begin(), body.data.end());
  file.data.insert(file.data.end(), 64, std::byte{0});  // section 0
  for (std::size_t i = 0; i < sections.size(); ++i) {
    file.put<std::uint32_t>(name_offsets[i]).put<std::uint32_t>(sections[i].type);
    file.put<std::uint64_t>(0).put<std::uint64_t>(0).put<std::uint64_t>(offsets[i]);
    file.put<std::uint64_t>(sections[i].size).put<std::uint32_t>(sections[i].link);
    file.put<std::uint32_t>(0).put<std::uint64_t>(4).put<std::uint64_t>(0);
  }
  return file.data;
}

}  // namespace detail

inline std::vector<std::byte> build_cubin(const BuiltCubin& cubin) {
  using detail::Bytes;
  constexpr std::uint32_t kProgram = 1, kSymbols = 2, kStrings = 3, kNote = 7, kNoBits = 8,
                          kInfo = 0x70000000;
  Bytes strings, symbols, note, info, params, code;
  strings.text("").text(cubin.kernel);
  symbols.data.assign(24, std::byte{0});
  symbols.put<std::uint32_t>(1).put<std::uint8_t>(0x12).put<std::uint8_t>(0x10);
  symbols.put<std::uint16_t>(3).put<std::uint64_t>(0).put<std::uint64_t>(32);
  note.text("ptxas").text("-arch " + cubin.target + " ");
  for (const std::uint8_t attribute : {std::uint8_t{0x2f}, std::uint8_t{0x11}}) {
    info.put<std::uint8_t>(4).put(attribute).put<std::uint16_t>(8).put<std::uint32_t>(1);
    info.put<std::uint32_t>(attribute == 0x2f ? cubin.registers : 0);
  }
  params.put<std::uint32_t>(0x5003);
  for (std::size_t i = cubin.params.size(); i-- > 0;) {
    params.put<std::uint8_t>(4).put<std::uint8_t>(0x17).put<std::uint16_t>(12);
    params.put<std::uint32_t>(0).put(static_cast<std::uint16_t>(i)).put(cubin.params[i].offset);
    params.put<std::uint32_t>(cubin.params[i].size << 18 | 0x1f000);
  }
  for (const std::uint16_t opcode : cubin.opcodes) {
    code.put(opcode).put<std::uint16_t>(0).put<std::uint32_t>(0).put<std::uint64_t>(0);
  }
  std::vector<detail::BuiltSection> sections = {
      {".strtab", kStrings, strings.data, strings.data.size(), 0},
      {".symtab", kSymbols, symbols.data, symbols.data.size(), 1},
      {".text." + cubin.kernel, kProgram, code.data, code.data.size(), 0},
      {".nv.info", kInfo, info.data, info.data.size(), 0},
      {".nv.info." + cubin.kernel, kInfo, params.data, params.data.size(), 0},
      {".nv.shared." + cubin.kernel, kNoBits, {}, cubin.shared_bytes, 0},
  };
  if (!cubin.target.empty()) {
    sections.push_back({".note.nv.tkinfo", kNote, note.data, note.data.size(), 0});
  }
  return detail::assemble(std::move(sections), 0x06000002U | cubin.number << 8);
}

}  // namespace fourge::tests
