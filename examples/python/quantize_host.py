#!/usr/bin/env python3
"""Quantizes numbers to NVFP4 by host execution: no GPU, no PyTorch, no numpy; a C++ compiler is needed.

    python3 examples/python/quantize_host.py [--library build/release/shared/libfourge.so]

Prints PASS if codes and scales are those of the reference in nvfp4_reference.py, bit for bit.
"""
import argparse
import ctypes
import random
import sys

import fourge_c
import nvfp4_reference as reference

ROWS, COLS, LAYOUT = 5, 208, "128x4"


def aligned(size, alignment=32):
    """A ctypes array of bytes and the address in it to use."""
    memory = (ctypes.c_uint8 * (size + alignment))()
    address = (ctypes.addressof(memory) + alignment - 1) // alignment * alignment
    return memory, address


def make_input():
    source = random.Random(7)
    bits = [reference.to_bf16(source.gauss(0, 1) * 2 ** source.randint(-6, 6)) for _ in range(ROWS * COLS)]
    bits[16:32] = [0x8000] * 16  # a block of -0
    return bits


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", default="libfourge.so.0.1", help="path of libfourge.so")
    options = parser.parse_args()
    try:
        runtime = fourge_c.Runtime(fourge_c.load(options.library))
        kernel = runtime.prepare_host(f"nvfp4_quantize[in=bf16,layout={LAYOUT}]")
    except OSError as error:
        print(f"libfourge.so is missing: {error}; give --library", file=sys.stderr)
        return 3
    except fourge_c.FourgeError as error:
        print(error, file=sys.stderr)
        return 3

    bits = make_input()
    global_scale = reference.f32(448 * 6 / max(abs(reference.bf16(b)) for b in bits))
    shape = {"rows": ROWS, "cols": COLS, "global_scale_value": global_scale}
    size = {name: runtime.buffer_bytes(kernel.spec, name, **shape) for name in ("x", "codes", "scales")}
    memory = {name: aligned(bytes_) for name, bytes_ in size.items()}
    ctypes.memmove(memory["x"][1], (ctypes.c_uint16 * len(bits))(*bits), size["x"])
    kernel.launch(**{name: address for name, (_, address) in memory.items()}, **shape)

    codes, scales = (ctypes.string_at(memory[name][1], size[name]) for name in ("codes", "scales"))
    wanted = reference.quantize(bits, ROWS, COLS, global_scale, LAYOUT, size["scales"])
    same = reference.compare("codes", codes, wanted[0])
    same = reference.compare("scales", scales, wanted[1]) and same
    if same:
        print(f"PASS: {kernel.spec} on the CPU: {len(codes)} bytes of codes and {len(scales)} of scales "
              "equal the reference bit for bit")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
