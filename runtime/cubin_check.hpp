// Whether a cubin is the kernel that a spec asks for, by what the ELF file says of itself: the target,
// the entry's name, and the number, sizes and offsets of its parameters against the op's argument
// struct. Needs no GPU. Asked of every entry that comes from a cache, before it is handed out, and once
// more of whatever is to be loaded.
#pragma once

#include <fourge/kernel_spec.hpp>

#include <cstddef>
#include <span>
#include <string_view>

#include "cache/disk_store.hpp"
#include "jit/cubin.hpp"

namespace fourge {

// Entry parameters of an op at most.
inline constexpr std::size_t kMaxParams = 32;

// The entry of the cubin. Throws Error(invalid_argument) for bytes that are no cubin or one for another
// target, Error(internal) for one without the entry or whose parameters are not the op's.
jit::CubinKernel require_kernel(const KernelSpec& spec, std::string_view entry_name,
                                std::span<const std::byte> cubin);

// The same as the cache asks it: a payload that is no cubin is corrupt, another kernel's is of another
// key. The spec must outlive the check.
cache::EntryCheck cubin_check(const KernelSpec& spec);

}  // namespace fourge
