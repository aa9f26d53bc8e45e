#include "runtime/json_tree.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>
#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

namespace fourge {
namespace {

constexpr std::size_t kDeepest = 16;

// Counts the lines that the parser has read through. It reads a character ahead after a number, so that
// an end of line counts only when something behind it was read.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, std::size_t* line) : at_(at), line_(line) {}

  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *line_ += pending_newline_ ? 1U : 0U;
    pending_newline_ = *at_ == '\n';
    ++at_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  std::size_t* line_;
  bool pending_newline_ = false;
};

class TreeBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  TreeBuilder(const std::string& name, const std::size_t& line) : name_(name), line_(line) {}

  JsonNode take() { return std::move(root_); }

  bool null() override { return add({}); }
  bool boolean(bool value) override {
    JsonNode node = of(JsonNode::Kind::boolean);
    node.boolean = value;
    return add(std::move(node));
  }
  bool number_integer(number_integer_t value) override {
    return add_number(static_cast<double>(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return add_number(static_cast<double>(value));
  }
  bool number_float(number_float_t value, const string_t& /*text*/) override {
    return add_number(value);
  }
  bool string(string_t& value) override {
    JsonNode node = of(JsonNode::Kind::string);
    node.text = std::move(value);
    return add(std::move(node));
  }
  bool binary(binary_t& /*value*/) override { return false; }  // not in JSON
  bool start_object(std::size_t /*elements*/) override { return open(JsonNode::Kind::object); }
  bool start_array(std::size_t /*elements*/) override { return open(JsonNode::Kind::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    JsonNode& object = *open_.back();
    if (object.find(name) != nullptr) {
      fail(fmt::format("\"{}\" is there twice", name));
    }
    object.members.push_back({std::move(name), JsonNode{}});
    return true;
  }
  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 2, column 3: syntax error while ..."
    std::string_view what = error.what();
    const std::size_t end = what.find(": ");
    fail(end == std::string_view::npos ? what : what.substr(end + 2));
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorKind::invalid_argument, fmt::format("{}:{}: {}", name_, line_, what));
  }

  JsonNode of(JsonNode::Kind kind) const {
    JsonNode node;
    node.kind = kind;
    node.line = line_;
    return node;
  }

  bool add_number(double value) {
    JsonNode node = of(JsonNode::Kind::number);
    node.number = value;
    return add(std::move(node));
  }

  bool add(JsonNode node) {
    node.line = line_;
    place(std::move(node));
    return true;
  }

  JsonNode* place(JsonNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return &root_;
    }
    JsonNode& parent = *open_.back();
    if (parent.kind == JsonNode::Kind::array) {
      parent.items.push_back(std::move(node));
      return &parent.items.back();
    }
    parent.members.back().second = std::move(node);
    return &parent.members.back().second;
  }

  bool open(JsonNode::Kind kind) {
    if (open_.size() == kDeepest) {
      fail(fmt::format("nested deeper than {}", kDeepest));
    }
    open_.push_back(place(of(kind)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  const std::string& name_;
  const std::size_t& line_;
  JsonNode root_;
  // Those that are being read. The last of an array's items only is among them, so none moves.
  std::vector<JsonNode*> open_;
};

}  // namespace

const JsonNode* JsonNode::find(std::string_view name) const noexcept {
  const auto found = std::find_if(members.begin(), members.end(),
                                  [name](const auto& member) { return member.first == name; });
  return found == members.end() ? nullptr : &found->second;
}

const char* JsonNode::kind_name() const noexcept {
  switch (kind) {
    case Kind::null:
      return "null";
    case Kind::boolean:
      return "true or false";
    case Kind::number:
      return "a number";
    case Kind::string:
      return "a string";
    case Kind::array:
      return "an array";
    case Kind::object:
      return "an object";
  }
  return "something else";
}

JsonNode parse_json(std::string_view text, const std::string& name) {
  std::size_t line = 1;
  TreeBuilder builder(name, line);
  const CountingIterator begin(text.data(), &line);
  const CountingIterator end(text.data() + text.size(), &line);
  nlohmann::json::sax_parse(begin, end, &builder);
  return builder.take();
}

}  // namespace fourge
