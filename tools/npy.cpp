#include "tools/npy.hpp"

#include <fourge/error.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>

namespace fourge::tools {
namespace {

constexpr std::string_view kMagic{"\x93NUMPY", 6};
constexpr std::size_t kMostDimensions = 32;

[[noreturn]] void refuse(std::string_view name, const std::string& what) {
  throw Error(ErrorKind::invalid_argument, fmt::format("{}: {}", name, what));
}

struct NumberType {
  std::string_view dtype;
  std::size_t bytes;
};
constexpr NumberType kNumberTypes[] = {{"|u1", 1}, {"|i1", 1}, {"|b1", 1}, {"<u2", 2}, {"<i2", 2},
                                       {"<f2", 2}, {"|V2", 2}, {"<V2", 2}, {"<u4", 4}, {"<i4", 4},
                                       {"<f4", 4}, {"<u8", 8}, {"<i8", 8}, {"<f8", 8}};

// The header's text is a Python dictionary; this reads the three entries that NumPy writes.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::string_view name) : text_(text), name_(name) {}

  NpyHeader parse() {
    expect('{');
    while (!accept('}')) {
      entry();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (position_ != text_.size()) {
      malformed("there is text after the closing brace");
    }
    if (!dtype_ || !fortran_order_ || !shape_) {
      malformed("it must have the keys 'descr', 'fortran_order' and 'shape'");
    }
    NpyHeader header;
    header.dtype = *dtype_;
    header.shape = *shape_;
    check_order();
    return header;
  }

 private:
  [[noreturn]] void malformed(const std::string& what) const {
    refuse(name_, fmt::format("the .npy header is malformed at character {}: {}", position_, what));
  }

  void skip_space() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\n' ||
                                        text_[position_] == '\t' || text_[position_] == '\r')) {
      ++position_;
    }
  }
  bool accept(char wanted) {
    skip_space();
    if (position_ < text_.size() && text_[position_] == wanted) {
      ++position_;
      return true;
    }
    return false;
  }
  void expect(char wanted) {
    if (!accept(wanted)) {
      malformed(fmt::format("expected '{}'", wanted));
    }
  }

  std::string quoted() {
    skip_space();
    if (position_ >= text_.size() || (text_[position_] != '\'' && text_[position_] != '"')) {
      malformed("expected a quoted string");
    }
    const char quote = text_[position_++];
    const std::size_t end = text_.find(quote, position_);
    if (end == std::string_view::npos) {
      malformed("a string is not closed");
    }
    std::string value(text_.substr(position_, end - position_));
    const bool printable =
        std::all_of(value.begin(), value.end(), [](char c) { return c >= ' ' && c <= '~'; });
    if (!printable || value.find('\\') != std::string::npos) {
      malformed("a string holds characters that NumPy does not write");
    }
    position_ = end + 1;
    return value;
  }

  bool boolean() {
    skip_space();
    for (const std::string_view word : {"True", "False"}) {
      if (text_.substr(position_, word.size()) == word) {
        position_ += word.size();
        return word == "True";
      }
    }
    malformed("expected True or False");
  }

  std::int64_t extent() {
    skip_space();
    const std::size_t begin = position_;
    std::int64_t value = 0;
    while (position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9') {
      const int digit = text_[position_] - '0';
      if (value > (std::numeric_limits<std::int64_t>::max() - digit) / 10) {
        malformed("an extent of the shape does not fit 63 bits");
      }
      value = value * 10 + digit;
      ++position_;
    }
    if (position_ == begin) {
      malformed("expected a non-negative integer in the shape");
    }
    return value;
  }

  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> values;
    expect('(');
    while (!accept(')')) {
      if (values.size() == kMostDimensions) {
        malformed(fmt::format("more than {} dimensions", kMostDimensions));
      }
      values.push_back(extent());
      if (!accept(',')) {
        if (values.size() == 1) {
          malformed("a tuple of one needs a comma");
        }
        expect(')');
        break;
      }
    }
    return values;
  }

  template <class T>
  void assign(std::optional<T>& slot, const std::string& key, T value) {
    if (slot) {
      malformed(fmt::format("the key '{}' appears twice", key));
    }
    slot = std::move(value);
  }

  void entry() {
    const std::string key = quoted();
    expect(':');
    if (key == "descr") {
      skip_space();
      if (position_ < text_.size() && text_[position_] == '[') {
        refuse(name_, "the array has a structured dtype; fourge reads plain numbers");
      }
      assign(dtype_, key, quoted());
    } else if (key == "fortran_order") {
      assign(fortran_order_, key, boolean());
    } else if (key == "shape") {
      assign(shape_, key, tuple());
    } else {
      malformed(fmt::format("unknown key '{}'", key));
    }
  }

  void check_order() const {
    // An array of one dimension is both; NumPy then writes False.
    if (*fortran_order_) {
      refuse(name_,
             "the array is in Fortran order; fourge reads C order "
             "(save it with numpy.ascontiguousarray(x))");
    }
  }

  std::string_view text_;
  std::string_view name_;
  std::size_t position_ = 0;
  std::optional<std::string> dtype_;
  std::optional<bool> fortran_order_;
  std::optional<std::vector<std::int64_t>> shape_;
};

std::size_t item_bytes_of(const std::string& dtype, std::string_view name) {
  for (const NumberType& type : kNumberTypes) {
    if (type.dtype == dtype) {
      return type.bytes;
    }
  }
  if (!dtype.empty() && dtype[0] == '>') {
    refuse(name, fmt::format("dtype '{}' is big-endian; fourge reads little-endian arrays", dtype));
  }
  refuse(name, fmt::format("dtype '{}' is none that fourge reads", dtype));
}

std::size_t data_bytes_of(const NpyHeader& header, std::string_view name) {
  constexpr std::size_t kMost = std::numeric_limits<std::int64_t>::max();
  const bool empty = std::find(header.shape.begin(), header.shape.end(), 0) != header.shape.end();
  std::size_t bytes = empty ? 0 : header.item_bytes;
  for (const std::int64_t extent : header.shape) {
    const auto count = static_cast<std::size_t>(extent);
    if (count != 0 && bytes > kMost / count) {
      refuse(name, fmt::format("shape {} is too large", shape_text(header.shape)));
    }
    bytes *= count;
  }
  return bytes;
}

std::size_t little_endian(std::span<const std::byte> bytes) {
  std::size_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = value << 8U | std::to_integer<std::size_t>(bytes[i]);
  }
  return value;
}

class OpenFile {
 public:
  explicit OpenFile(const std::string& path)
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (descriptor_ < 0) {
      refuse(path, fmt::format("cannot be opened: {}", std::strerror(errno)));
    }
  }
  ~OpenFile() { ::close(descriptor_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  std::size_t size(const std::string& path) const {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) {
      refuse(path, fmt::format("cannot be examined: {}", std::strerror(errno)));
    }
    if (!S_ISREG(status.st_mode)) {
      refuse(path, "is not a regular file");
    }
    return static_cast<std::size_t>(status.st_size);
  }

  // Reads exactly that much, or says that the file became shorter.
  void read(std::byte* to, std::size_t bytes, std::size_t offset, const std::string& path) const {
    while (bytes != 0) {
      const ssize_t got = ::pread(descriptor_, to, bytes, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got <= 0) {
        refuse(path, got == 0 ? std::string("ends early")
                              : fmt::format("cannot be read: {}", std::strerror(errno)));
      }
      const auto count = static_cast<std::size_t>(got);
      to += count;
      offset += count;
      bytes -= count;
    }
  }

 private:
  int descriptor_;
};

}  // namespace

NpyHeader parse_npy_header(std::span<const std::byte> start, std::string_view name) {
  if (start.size() < kMagic.size() + 2 ||
      std::memcmp(start.data(), kMagic.data(), kMagic.size()) != 0) {
    refuse(name, "is not a .npy file (it does not begin with \\x93NUMPY and a version)");
  }
  const auto major = std::to_integer<unsigned>(start[6]);
  const auto minor = std::to_integer<unsigned>(start[7]);
  if (major < 1 || major > 3 || minor != 0) {
    refuse(name, fmt::format(".npy version {}.{} is unknown; fourge reads 1.0, 2.0 and 3.0", major,
                             minor));
  }
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  const std::size_t text_offset = kMagic.size() + 2 + length_bytes;
  if (start.size() < text_offset) {
    refuse(name, "the .npy header is cut off");
  }
  const std::size_t length = little_endian(start.subspan(kMagic.size() + 2, length_bytes));
  if (length > kMostNpyHeaderBytes) {
    refuse(name, fmt::format("the .npy header claims {} bytes; fourge reads at most {}", length,
                             kMostNpyHeaderBytes));
  }
  if (start.size() - text_offset < length) {
    refuse(name, fmt::format("the .npy header is cut off: {} bytes of {}",
                             start.size() - text_offset, length));
  }
  const std::string_view text(reinterpret_cast<const char*>(start.data()) + text_offset, length);
  NpyHeader header = HeaderParser(text, name).parse();
  header.item_bytes = item_bytes_of(header.dtype, name);
  header.data_offset = text_offset + length;
  header.data_bytes = data_bytes_of(header, name);
  return header;
}

NpyArray read_npy(const std::string& path) {
  const OpenFile file(path);
  const std::size_t size = file.size(path);
  std::vector<std::byte> start(std::min<std::size_t>(size, kMostNpyHeaderBytes + 12));
  file.read(start.data(), start.size(), 0, path);
  NpyHeader header = parse_npy_header(start, path);
  const std::size_t present = size - header.data_offset;
  if (present != header.data_bytes) {
    refuse(path, fmt::format("shape {} of dtype '{}' takes {} bytes, but the file has {} after its "
                             "header ({})",
                             shape_text(header.shape), header.dtype, header.data_bytes, present,
                             present < header.data_bytes ? "it is truncated" : "too many"));
  }
  AlignedBytes data(header.data_bytes);
  file.read(data.data(), data.size(), header.data_offset, path);
  return {std::move(header), std::move(data)};
}

std::string npy_header_bytes(std::string_view dtype, std::span<const std::int64_t> shape) {
  constexpr std::size_t kAlignment = 64;  // of the data, as NumPy writes it
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", dtype,
                                 shape_text(shape));
  const std::size_t unpadded = kMagic.size() + 4 + text.size() + 1;
  text.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  text += '\n';
  std::string bytes(kMagic);
  bytes += '\x01';
  bytes += '\x00';
  bytes += static_cast<char>(text.size() & 0xFFU);
  bytes += static_cast<char>(text.size() >> 8U);
  return bytes + text;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ", shape[i]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace fourge::tools
