#include "tests/support/exposition.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>
#include <stdexcept>
#include <system_error>

namespace fourge::tests {
namespace {

[[noreturn]] void fail(std::string_view line, const char* why) {
  throw std::runtime_error(std::string(why) + ": " + std::string(line));
}

bool is_name(std::string_view name, bool colon) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) != 0) return false;
  return std::all_of(name.begin(), name.end(), [colon](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || (colon && c == ':');
  });
}

// A number as written by this project: digits, a point, an exponent, or an infinity.
bool is_number(std::string_view text) {
  if (text == "+Inf") return true;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::string_view take_until(std::string_view& rest, std::string_view stops, std::string_view line) {
  const std::size_t at = rest.find_first_of(stops);
  if (at == std::string_view::npos) fail(line, "cut off");
  const std::string_view taken = rest.substr(0, at);
  rest.remove_prefix(at);
  return taken;
}

// "{a="1",b="2"}" as "a=1,b=2".
std::string take_labels(std::string_view& rest, std::string_view line) {
  std::string labels;
  std::set<std::string_view> names;
  do {
    rest.remove_prefix(1);  // { or ,
    const std::string_view name = take_until(rest, "=", line);
    if (!is_name(name, false)) fail(line, "no label name");
    if (!names.insert(name).second) fail(line, "a label twice");
    if (rest.substr(0, 2) != "=\"") fail(line, "no quote");
    rest.remove_prefix(2);
    labels += (labels.empty() ? "" : ",") + std::string(name) + '=';
    for (;;) {
      labels += take_until(rest, "\"\\", line);
      const char stop = rest.front();
      rest.remove_prefix(1);
      if (stop == '"') break;
      if (rest.empty()) fail(line, "cut off");
      const char escaped = rest.front();
      if (escaped != 'n' && escaped != '"' && escaped != '\\') fail(line, "no such escape");
      labels += escaped == 'n' ? '\n' : escaped;
      rest.remove_prefix(1);
    }
  } while (!rest.empty() && rest.front() == ',');
  if (rest.empty() || rest.front() != '}') fail(line, "no brace");
  rest.remove_prefix(1);
  return labels;
}

class Reader {
 public:
  explicit Reader(Exposition& result) : result_(result) {}

  void read(std::string_view line) {
    if (line.empty()) fail(line, "an empty line");
    if (line.substr(0, 7) == "# HELP ") return read_help(line);
    if (line.substr(0, 7) == "# TYPE ") return read_type(line);
    if (line.front() == '#') fail(line, "a comment");
    read_sample(line);
  }

  void finish() const {
    if (result_.families.empty()) fail("", "nothing in it");
    for (const auto& [name, family] : result_.families) {
      if (family.samples.empty()) fail(name, "no samples");
    }
  }

 private:
  void read_help(std::string_view line) {
    std::string_view rest = line.substr(7);
    const std::string name(take_until(rest, " ", line));
    if (!is_name(name, true)) fail(line, "no metric name");
    if (rest.size() < 2) fail(line, "no help");
    if (!result_.families.emplace(name, MetricFamily{std::string(rest.substr(1)), "", {}}).second) {
      fail(line, "a family twice");
    }
    name_ = name;
  }

  void read_type(std::string_view line) {
    std::string_view rest = line.substr(7);
    const std::string_view name = take_until(rest, " ", line);
    if (name != name_ || !current().type.empty() || !current().samples.empty()) {
      fail(line, "TYPE does not follow its HELP");
    }
    const std::string type(rest.substr(1));
    if (type != "counter" && type != "gauge" && type != "histogram") fail(line, "no such type");
    const bool total = name.size() > 6 && name.substr(name.size() - 6) == "_total";
    if (total != (type == "counter")) fail(line, "counters, and they only, end in _total");
    current().type = type;
  }

  void read_sample(std::string_view line) {
    std::string_view rest = line;
    const std::string_view name = take_until(rest, "{ ", line);
    if (name_.empty() || current().type.empty()) fail(line, "a sample before HELP and TYPE");
    std::string key = suffix_of(name, line);
    if (rest.front() == '{') {
      const std::string labels = take_labels(rest, line);
      key += (key.empty() ? "" : ",") + labels;
    }
    if (rest.empty() || rest.front() != ' ') fail(line, "no space before the value");
    rest.remove_prefix(1);
    if (!is_number(rest)) fail(line, "no number");
    if (current().type != "gauge" && rest.front() == '-') fail(line, "a negative count");
    if (!current().samples.emplace(key, rest).second) fail(line, "a sample twice");
  }

  std::string suffix_of(std::string_view name, std::string_view line) {
    if (current().type != "histogram") {
      if (name != name_) fail(line, "a sample of another family");
      return "";
    }
    for (const char* suffix : {"bucket", "sum", "count"}) {
      if (name == name_ + '_' + suffix) return std::string("#") + suffix;
    }
    fail(line, "no sample of this histogram");
  }

  MetricFamily& current() {
    if (name_.empty()) fail("", "no HELP first");
    return result_.families[name_];
  }

  Exposition& result_;
  std::string name_;
};

}  // namespace

std::string Exposition::value(const std::string& family, const std::string& labels) const {
  const auto found = families.find(family);
  if (found == families.end()) return "";
  const auto sample = found->second.samples.find(labels);
  return sample == found->second.samples.end() ? "" : sample->second;
}

Exposition parse_exposition(std::string_view text) {
  Exposition result;
  Reader reader(result);
  try {
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      if (end == std::string_view::npos) fail(text, "the last line has no end");
      reader.read(text.substr(0, end));
      text.remove_prefix(end + 1);
    }
    reader.finish();
  } catch (const std::runtime_error& error) {
    result.problem = error.what();
  }
  return result;
}

}  // namespace fourge::tests
