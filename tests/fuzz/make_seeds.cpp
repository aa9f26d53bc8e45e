// The seeds of the fuzz targets, from the code that writes the formats.
//   make_fuzz_seeds DIR          writes them
//   make_fuzz_seeds --check DIR  says whether those in DIR are these
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fourge/kernel_spec.hpp>
#include <fourge/op_definition.hpp>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>

#include "cache/bundle_writer.hpp"
#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "tests/gpu/cubin_builder.hpp"

namespace {

namespace fs = std::filesystem;
using namespace fourge;
using Seeds = std::map<std::string, std::string>;  // path to bytes

// For these seeds only.
constexpr const char* kSeedKey =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
    "-----END PRIVATE KEY-----\n";

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

cache::CacheKey key_of(const std::string& spec) {
  return cache::KeyBuilder()
      .field("spec", spec)
      .field("target", "sm_90a")
      .field("source_sha256", cache::sha256(spec).hex())
      .field("options", std::vector<std::string>{"--gpu-architecture=sm_90a", "--ftz=true"})
      .toolchain("nvrtc", "13.0 build 7")
      .finish();
}

std::string entry_of(const std::string& spec, const std::string& payload) {
  return cache::encode_entry(key_of(spec), std::as_bytes(std::span(payload)));
}

void add_bundles(Seeds& seeds) {
  std::string directory = (fs::temp_directory_path() / "fourge-seeds-XXXXXX").string();
  if (::mkdtemp(directory.data()) == nullptr) throw std::runtime_error("cannot make " + directory);
  const auto key = cache::PrivateKey::from_pem(kSeedKey);
  cache::BundleWriter writer;
  const auto write = [&](const cache::PrivateKey* signer) {
    std::string bundle;
    writer.write([&](std::span<const std::byte> part) { bundle += text_of(part); }, signer);
    return bundle;
  };
  seeds["bundle/empty"] = write(nullptr);
  for (const char* spec : {"a[x=1]", "a[x=2]", "b"}) {
    const std::string path = directory + '/' + key_of(spec).file_name();
    std::ofstream(path, std::ios::binary) << entry_of(spec, std::string("payload of ") + spec);
    ::chmod(path.c_str(), 0600);
    writer.add(path);
    seeds["bundle/" + std::to_string(writer.size())] = write(nullptr);
  }
  seeds["bundle/signed"] = write(&key);
  fs::remove_all(directory);
}

void add_specs(Seeds& seeds) {
  // A few of all operations, so that a new one needs no new seeds.
  for (const char* const name :
       {"nvfp4_quantize", "mxfp8_quantize", "row_amax", "scale_interleave"}) {
    const OpDefinition& op = find_op(name);
    const KernelSpec spec(op, Target::parse("sm_100a"));
    seeds[std::string("spec/") + name] = spec.text();
    std::string filter;
    for (const Axis& axis : op.axes) {
      filter += std::string(axis.name) + '=' + std::string(axis.values.back().text) + ',';
    }
    seeds[std::string("prewarm_request/") + name] =
        std::string("sm_90a,sm_100a\n") + name + '\n' + filter;
  }
  seeds["spec/blanks"] = " nvfp4_quantize [ layout = 8x4 , in = f16 ] @ sm_90a ";
  seeds["spec/no_target"] = "nvfp4_quantize[tpc=2]";
  seeds["prewarm_request/all"] = "all\n\n";
}

void add_manifests(Seeds& seeds) {
  const auto of = [](const std::string& specs) {
    return "{\"fourge_manifest\": 1, \"targets\": [\"sm_90a\", \"sm_100a\"],\n\"specs\": [" +
           specs + "]}\n";
  };
  seeds["manifest/empty"] = of("");
  seeds["manifest/texts"] = of("\"nvfp4_quantize[tpc=4]\", \"row_amax\"");
  seeds["manifest/objects"] =
      of("{\"spec\": \"nvfp4_quantize[tpc=2]\", \"fallback\": \"nvfp4_quantize[tpc=4]\"},\n"
         "{\"spec\": \"row_amax\", \"targets\": [\"sm_80\"], \"fallback\": false, \"comment\": "
         "\"\\u00e4\"}");
  seeds["manifest/target"] =
      "{\"fourge_manifest\":1,\"$schema\":\"s\",\"specs\":[\"row_amax@sm_90a\"]}";
}

void add_cubins(Seeds& seeds) {
  tests::BuiltCubin cubin;
  seeds["cubin/plain"] = text_of(tests::build_cubin(cubin));
  cubin.params = {{0, 8}, {8, 8}, {16, 4}, {24, 20}};
  cubin.opcodes.assign(6, 0x983);
  seeds["cubin/params"] = text_of(tests::build_cubin(cubin));
  cubin.target.clear();
  seeds["cubin/no_note"] = text_of(tests::build_cubin(cubin));
  cubin.target = "sm_100f";
  cubin.number = 100;
  seeds["cubin/family"] = text_of(tests::build_cubin(cubin));
}

void add_templates(Seeds& seeds) {
  seeds["template/usual"] =
      "// A kernel.\n#pragma once\n\n#include \"device/types.cuh\"\n#include \"own/part.cuh\"\n\n"
      "#if !defined(FOURGE_HOST_EXECUTION)\n#define A \"/*\"\n#endif\nint x = 1'000;\n";
  seeds["template/comments"] =
      "/* #include */ int a; /*\n * b\n */\n#include \"a.cuh\"  // c\nchar q = '\"';\n";
  seeds["template/refused"] = "#include \\\n<a>\n#ifdef B\n#include \"../b\"\n#endif\n__TIME__\n";
}

Seeds make_seeds() {
  Seeds seeds;
  seeds["entry/empty_payload"] = entry_of("a", "");
  seeds["entry/small"] = entry_of("nvfp4_quantize[in=bf16,tpc=1]", "payload");
  seeds["entry/cubin"] = entry_of("b", text_of(tests::build_cubin({})));
  seeds["key_record/usual"] = key_of("nvfp4_quantize[in=bf16,tpc=1]").record;
  seeds["key_record/empty"] = cache::KeyBuilder().finish().record;
  seeds["key_record/strange"] = cache::KeyBuilder()
                                    .field("quote", "a\"b\\\n\xc3\xa4\xff")
                                    .field("none", std::vector<std::string>{})
                                    .toolchain("t", "")
                                    .finish()
                                    .record;
  add_bundles(seeds);
  add_specs(seeds);
  add_manifests(seeds);
  add_cubins(seeds);
  add_templates(seeds);
  return seeds;
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

int check(const Seeds& seeds, const fs::path& directory) {
  int wrong = 0;
  for (const auto& [name, bytes] : seeds) {
    if (!fs::exists(directory / name) || read_file(directory / name) != bytes) {
      std::fprintf(stderr, "the seed %s is missing or out of date\n", name.c_str());
      ++wrong;
    }
  }
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file() && !seeds.contains(fs::relative(entry, directory).string())) {
      std::fprintf(stderr, "nothing makes the seed %s\n", entry.path().c_str());
      ++wrong;
    }
  }
  if (wrong != 0) std::fprintf(stderr, "make them anew: make_fuzz_seeds tests/fuzz/seeds\n");
  return wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Seeds seeds = make_seeds();
    if (argc == 3 && std::string(argv[1]) == "--check") return check(seeds, argv[2]);
    if (argc != 2) throw std::runtime_error("usage: make_fuzz_seeds [--check] DIR");
    for (const auto& [name, bytes] : seeds) {
      const fs::path path = fs::path(argv[1]) / name;
      fs::create_directories(path.parent_path());
      std::ofstream(path, std::ios::binary) << bytes;
    }
    return EXIT_SUCCESS;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return EXIT_FAILURE;
  }
}
