// fourge explain: whether the cache holds a kernel and, if not, what made the miss.
#include <fourge/runtime.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "cache/key_record.hpp"
#include "runtime/artifact_builder.hpp"
#include "tools/cache_access.hpp"
#include "tools/command.hpp"
#include "tools/report.hpp"
#include "tools/spec_argument.hpp"
#include "tools/tier_entries.hpp"
#include "tools/toolkit.hpp"

namespace fourge::tools {
namespace {

struct ExplainOptions {
  std::string spec;
  std::string target;
};

// What would be looked up.
struct Wanted {
  cache::CacheKey key;
  cache::KeyRecord record;
  bool any_toolchain = false;  // no NVRTC here: an entry of any will do
};

struct Neighbour {
  cache::EntryInfo entry;
  cache::KeyRecord record;
  cache::RecordComparison comparison;
  const TierContents* tier = nullptr;
};

struct Explanation {
  std::optional<cache::EntryInfo> present;
  const TierContents* tier = nullptr;        // that has it
  std::optional<cache::EntryInfo> bad;       // of this key, but no good
  std::optional<Neighbour> nearest;          // unless present
  std::vector<cache::EntryInfo> unreadable;  // good entries whose record says nothing; detail: why
  std::size_t entries = 0;
};

Wanted wanted_key(const KernelSpec& spec, const Options& options) {
  const jit::NvrtcLocation location = find_nvrtc(options);
  Wanted wanted;
  wanted.key =
      make_key(spec, generate_source(spec), compile_options(spec), location.build_identity);
  wanted.any_toolchain = !location.found();
  cache::RecordResult parsed = cache::parse_key_record(wanted.key.record);
  if (!parsed.record) {
    throw Error(ErrorKind::internal, fmt::format("the key record of {} cannot be read back: {}",
                                                 spec.text(), parsed.detail));
  }
  wanted.record = std::move(*parsed.record);
  if (wanted.any_toolchain) {
    std::erase_if(wanted.record.fields, [](const cache::RecordField& f) { return f.toolchain; });
  }
  return wanted;
}

bool is_wanted(const TierEntry& entry, const Wanted& wanted) {
  if (!wanted.any_toolchain) return entry.info.key_hex == wanted.key.full.hex();
  return wanted.key.request.hex().starts_with(entry.request);
}

void look_at(const TierContents& tier, const TierEntry& entry, const Wanted& wanted,
             Explanation& explanation) {
  const cache::EntryInfo& info = entry.info;
  if (is_wanted(entry, wanted)) {
    if (info.valid && !explanation.present) {
      explanation.present = info;
      explanation.tier = &tier;
    } else if (!info.valid && !explanation.bad) {
      explanation.bad = info;
    }
    return;
  }
  if (!info.valid) return;
  cache::RecordResult parsed = cache::parse_key_record(info.record);
  if (!parsed.record) {
    explanation.unreadable.push_back(info);
    explanation.unreadable.back().detail = std::move(parsed.detail);
    return;
  }
  cache::RecordComparison comparison = compare(wanted.record, *parsed.record);
  if (!explanation.nearest || comparison.nearer_than(explanation.nearest->comparison)) {
    explanation.nearest = {info, std::move(*parsed.record), std::move(comparison), &tier};
  }
}

Explanation explain_miss(const std::vector<TierContents>& tiers, const Wanted& wanted) {
  Explanation explanation;
  for (const TierContents& tier : tiers) {
    explanation.entries += tier.entries.size();
    for (const TierEntry& entry : tier.entries) look_at(tier, entry, wanted, explanation);
  }
  if (explanation.present) explanation.nearest.reset();
  return explanation;
}

// What is in a but not in b, each as often as it is missing there.
std::vector<std::string> missing_in(const std::vector<std::string>& a, std::vector<std::string> b) {
  std::vector<std::string> missing;
  for (const std::string& text : a) {
    const auto same = std::find(b.begin(), b.end(), text);
    if (same == b.end()) {
      missing.push_back(text);
    } else {
      b.erase(same);
    }
  }
  return missing;
}

Json value_json(const std::optional<cache::RecordField>& field) {
  if (!field) return nullptr;
  return field->is_list ? Json(field->values) : Json(field->values.front());
}

std::string value_text(const std::optional<cache::RecordField>& field) {
  if (!field) return "(no such field)";
  return field->is_list ? fmt::format("{}", fmt::join(field->values, " ")) : field->values.front();
}

// What a difference means where the values alone do not tell.
std::string note_of(const cache::RecordDifference& difference) {
  if (difference.tag == "source_sha256") {
    return "the generated source differs: the spec, the target's features or the templates do";
  }
  if (difference.tag == "nvrtc") return "another build of NVRTC";
  if (difference.tag == "key_format") return "made by a fourge of another key format";
  return {};
}

bool both_lists(const cache::RecordDifference& difference) {
  return difference.wanted && difference.found && difference.wanted->is_list &&
         difference.found->is_list;
}

Json difference_json(const cache::RecordDifference& difference) {
  Json document{{"field", difference.tag},
                {"wanted", value_json(difference.wanted)},
                {"found", value_json(difference.found)}};
  if (both_lists(difference)) {
    document["only_wanted"] = missing_in(difference.wanted->values, difference.found->values);
    document["only_found"] = missing_in(difference.found->values, difference.wanted->values);
  }
  if (const std::string note = note_of(difference); !note.empty()) document["note"] = note;
  return document;
}

std::string difference_text(const cache::RecordDifference& difference) {
  std::string wanted = value_text(difference.wanted);
  std::string found = value_text(difference.found);
  std::string note = note_of(difference);
  if (both_lists(difference)) {
    const auto only_wanted = missing_in(difference.wanted->values, difference.found->values);
    const auto only_found = missing_in(difference.found->values, difference.wanted->values);
    if (only_wanted.empty() && only_found.empty()) {
      note = "the same, in another order";
    } else {
      wanted =
          only_wanted.empty() ? "nothing more" : fmt::format("{}", fmt::join(only_wanted, " "));
      found = only_found.empty() ? "nothing more" : fmt::format("{}", fmt::join(only_found, " "));
      note = "the others are the same";
    }
  }
  return fmt::format("  {}{}\n    wanted  {}\n    found   {}\n", difference.tag,
                     note.empty() ? note : ": " + note, wanted, found);
}

Json nearest_json(const Neighbour& nearest, const cache::KeyRecord& wanted) {
  Json differences = Json::array();
  for (const auto& difference : nearest.comparison.different) {
    differences.push_back(difference_json(difference));
  }
  return {{"spec", nearest.record.spec_text()},
          {"key", nearest.entry.key_hex},
          {"tier", to_string(nearest.tier->kind)},
          {"path", nearest.entry.path},
          {"equal_fields", nearest.comparison.equal},
          {"fields", wanted.fields.size()},
          {"differences", differences}};
}

Json tiers_json(const std::vector<TierContents>& tiers) {
  Json all = Json::array();
  for (const TierContents& tier : tiers) {
    Json one{{"kind", to_string(tier.kind)}, {"path", tier.path}, {"entries", tier.entries.size()}};
    if (!tier.refused.empty()) one["refused"] = tier.refused;
    all.push_back(std::move(one));
  }
  return all;
}

Json explanation_json(const KernelSpec& spec, const Wanted& wanted,
                      const std::vector<TierContents>& tiers, const Explanation& explanation) {
  Json unreadable = Json::array();
  for (const cache::EntryInfo& entry : explanation.unreadable) {
    unreadable.push_back({{"path", entry.path}, {"detail", entry.detail}});
  }
  Json document{
      {"spec", spec.text()},
      {"tiers", tiers_json(tiers)},
      {"key", wanted.any_toolchain ? Json(nullptr) : Json(wanted.key.full.hex())},
      {"request", wanted.key.request.hex()},
      {"record", Json::parse(wanted.key.record, nullptr, false)},
      {"present", explanation.present.has_value()},
      {"path", explanation.present ? Json(explanation.present->path) : Json(nullptr)},
      {"tier", explanation.tier ? Json(to_string(explanation.tier->kind)) : Json(nullptr)},
      {"entries", explanation.entries}};
  if (explanation.bad) {
    document["bad"] = {{"path", explanation.bad->path},
                       {"cause", cache::to_string(explanation.bad->cause)},
                       {"detail", explanation.bad->detail}};
  }
  document["nearest"] =
      explanation.nearest ? nearest_json(*explanation.nearest, wanted.record) : Json(nullptr);
  document["unreadable_records"] = unreadable;
  return document;
}

// "the 3 entries in A, the bundle B": what was looked at, and what could not be.
std::string places_text(const std::vector<TierContents>& tiers, const Explanation& explanation) {
  std::vector<std::string> places;
  for (const TierContents& tier : tiers) places.push_back(tier.path);
  std::string text =
      fmt::format("not among the {} entries in {}\n", explanation.entries, fmt::join(places, ", "));
  for (const TierContents& tier : tiers) {
    if (!tier.refused.empty()) {
      text +=
          fmt::format("the {} {} is not used: {}\n",
                      tier.kind == cache::TierKind::local ? "cache directory" : "read-only tier",
                      tier.path, tier.refused);
    }
  }
  return text;
}

std::string explanation_text(const KernelSpec& spec, const Wanted& wanted,
                             const std::vector<TierContents>& tiers,
                             const Explanation& explanation) {
  std::string text = fmt::format("{}\n", spec.text());
  if (wanted.any_toolchain) {
    text += "NVRTC was not found here, so an entry made by any NVRTC counts\n";
  }
  if (explanation.present) {
    const bool local = explanation.tier->kind == cache::TierKind::local;
    return text + fmt::format("in the {}: {}\n",
                              local ? std::string("cache")
                                    : fmt::format("read-only tier {}", explanation.tier->path),
                              explanation.present->path);
  }
  text += places_text(tiers, explanation);
  if (explanation.bad) {
    text += fmt::format("its entry is bad ({}): {}\n", cache::to_string(explanation.bad->cause),
                        explanation.bad->detail);
  }
  if (const auto& nearest = explanation.nearest) {
    text += fmt::format("nearest: {}\n  {}\n{} of {} fields are equal; different:\n",
                        nearest->record.spec_text(), nearest->entry.path, nearest->comparison.equal,
                        wanted.record.fields.size());
    for (const auto& difference : nearest->comparison.different) {
      text += difference_text(difference);
    }
  }
  for (const cache::EntryInfo& entry : explanation.unreadable) {
    text += fmt::format("key record unreadable: {}: {}\n", entry.path, entry.detail);
  }
  return text;
}

ExitCode explain(const ExplainOptions& explain_options, const CommonOptions& common) {
  const KernelSpec spec = parse_spec_argument(explain_options.spec, explain_options.target);
  Options options = library_options(common);
  if (options.cache_read_only.empty()) options = options_with_cache(common);
  const Wanted wanted = wanted_key(spec, options);
  const std::vector<TierContents> tiers = read_all_tiers(options);
  const Explanation explanation = explain_miss(tiers, wanted);
  if (common.json) {
    print_json(explanation_json(spec, wanted, tiers, explanation));
  } else {
    print_text(explanation_text(spec, wanted, tiers, explanation));
  }
  return explanation.present ? ExitCode::ok : ExitCode::negative;
}

}  // namespace

void add_explain(CLI::App& app, CommandLine& line) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App& command =
      add_command(app, line, "explain",
                  "Tell whether the cache or a read-only tier holds a kernel; if not, the nearest "
                  "entry and what\n"
                  "differs.",
                  "Exit code 0 if it does, 1 if not. Compiles and changes nothing.\n"
                  "Example: fourge explain 'nvfp4_quantize[layout=8x4]@sm_90a'");
  command.add_option("spec", options->spec, "Spec of the kernel")->required()->type_name("SPEC");
  command.add_option("--target", options->target, "Target, if the spec names none")
      ->type_name("TARGET");
  command.callback([&line, options] {
    line.action = [&line, options] { return explain(*options, line.common); };
  });
}

}  // namespace fourge::tools
