// Enumeration. A fourge_op is an OpDefinition; the texts of built-in ones are literals, which end with
// a zero (a test reads them all).
#include <fourge/c_ops.h>
#include <fourge/kernel_spec.hpp>
#include <fourge/op_definition.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/c_api/boundary.hpp"
#include "runtime/c_api/texts.hpp"

struct fourge_variants {
  std::vector<std::string> specs;
};

namespace fourge::c_api {
namespace {

const std::vector<std::string>& target_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const Target& target : Target::all()) {
      names.push_back(target.text());
    }
    return names;
  }();
  return kNames;
}

const fourge_op* to_c(const OpDefinition* op) { return reinterpret_cast<const fourge_op*>(op); }
const OpDefinition* from_c(const fourge_op* op) {
  return reinterpret_cast<const OpDefinition*>(op);
}

const Axis* axis_of(const fourge_op* op, std::size_t axis) {
  return op == nullptr || axis >= from_c(op)->axes.size() ? nullptr : &from_c(op)->axes[axis];
}

const AxisValue* value_of(const fourge_op* op, std::size_t axis, std::size_t value) {
  const Axis* const found = axis_of(op, axis);
  return found == nullptr || value >= found->values.size() ? nullptr : &found->values[value];
}

std::int32_t argument_kind(const Param& param) {
  if (param.type.ends_with('*')) {
    return FOURGE_ARGUMENT_POINTER;
  }
  if (param.type == "long long") {
    return FOURGE_ARGUMENT_INT64;
  }
  if (param.type == "int") {
    return FOURGE_ARGUMENT_INT32;
  }
  return param.type == "float" ? FOURGE_ARGUMENT_FLOAT : FOURGE_ARGUMENT_OTHER;
}

}  // namespace

const char* target_name(const Target& target) {
  const auto all = Target::all();
  const auto index = std::find(all.begin(), all.end(), target) - all.begin();
  return target_names()[static_cast<std::size_t>(index)].c_str();
}

}  // namespace fourge::c_api

using namespace fourge::c_api;

extern "C" {

size_t fourge_target_count(void) { return fourge::Target::all().size(); }

const char* fourge_target_name(size_t index) {
  try {
    return index < target_names().size() ? target_names()[index].c_str() : nullptr;
  } catch (...) {
    return nullptr;  // no memory for the first call
  }
}

size_t fourge_op_count(void) { return fourge::all_ops().size(); }

const fourge_op* fourge_op_at(size_t index) {
  return index < fourge::all_ops().size() ? to_c(fourge::all_ops()[index]) : nullptr;
}

const fourge_op* fourge_op_find(const char* name) {
  for (const fourge::OpDefinition* op : fourge::all_ops()) {
    if (name != nullptr && op->name == name) {
      return to_c(op);
    }
  }
  return nullptr;
}

const char* fourge_op_name(const fourge_op* op) {
  return op == nullptr ? nullptr : from_c(op)->name.data();
}

const char* fourge_op_summary(const fourge_op* op) {
  return op == nullptr ? nullptr : from_c(op)->summary.data();
}

size_t fourge_op_axis_count(const fourge_op* op) {
  return op == nullptr ? 0 : from_c(op)->axes.size();
}

const char* fourge_op_axis_name(const fourge_op* op, size_t axis) {
  const fourge::Axis* const found = axis_of(op, axis);
  return found == nullptr ? nullptr : found->name.data();
}

const char* fourge_op_axis_summary(const fourge_op* op, size_t axis) {
  const fourge::Axis* const found = axis_of(op, axis);
  return found == nullptr ? nullptr : found->summary.data();
}

size_t fourge_op_value_count(const fourge_op* op, size_t axis) {
  const fourge::Axis* const found = axis_of(op, axis);
  return found == nullptr ? 0 : found->values.size();
}

const char* fourge_op_value(const fourge_op* op, size_t axis, size_t value) {
  const fourge::AxisValue* const found = value_of(op, axis, value);
  return found == nullptr ? nullptr : found->text.data();
}

const char* fourge_op_value_summary(const fourge_op* op, size_t axis, size_t value) {
  const fourge::AxisValue* const found = value_of(op, axis, value);
  return found == nullptr ? nullptr : found->summary.data();
}

fourge_status fourge_variants_create(const char* op, const char* target, fourge_variants** variants,
                                     fourge_error** error) {
  return guarded(error, [&] {
    require(op, "fourge_variants_create", "op");
    require(target, "fourge_variants_create", "target");
    require(variants, "fourge_variants_create", "variants");
    auto made = std::make_unique<fourge_variants>();
    for (const auto& spec :
         fourge::legal_variants(fourge::find_op(op), fourge::Target::parse(target))) {
      made->specs.push_back(spec.text());
    }
    *variants = made.release();
  });
}

size_t fourge_variants_count(const fourge_variants* variants) {
  return variants == nullptr ? 0 : variants->specs.size();
}

const char* fourge_variants_spec(const fourge_variants* variants, size_t index) {
  return index < fourge_variants_count(variants) ? variants->specs[index].c_str() : nullptr;
}

void fourge_variants_free(fourge_variants* variants) { delete variants; }

size_t fourge_op_args_size(const fourge_op* op) {
  return op == nullptr ? 0 : from_c(op)->args_size;
}

size_t fourge_op_argument_count(const fourge_op* op) {
  return op == nullptr ? 0 : from_c(op)->params.size();
}

fourge_status fourge_op_argument(const fourge_op* op, size_t index, fourge_argument* argument,
                                 fourge_error** error) {
  return guarded(error, [&] {
    require(op, "fourge_op_argument", "op");
    require(argument, "fourge_op_argument", "argument");
    const auto params = from_c(op)->params;
    if (index >= params.size()) {
      throw fourge::Error(fourge::ErrorKind::invalid_argument,
                          "fourge_op_argument: " + std::string(from_c(op)->name) + " has " +
                              std::to_string(params.size()) + " arguments, asked for number " +
                              std::to_string(index));
    }
    const fourge::Param& param = params[index];
    const fourge_argument full{
        sizeof(fourge_argument), param.name.data(), param.type.data(), param.offset, param.size,
        argument_kind(param)};
    write_sized(&full, sizeof(full), argument, "fourge_op_argument");
  });
}

}  // extern "C"
