"""NVFP4 of bfloat16 in exact mode, as docs/numerics.md defines it, in plain Python: slow and independent
of the library. Values must be finite."""
import bisect
import ctypes
import struct

E2M1_BOUNDS = (0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0)
E4M3_VALUES = [
    m * 2.0**-9 if e == 0 else (1 + m / 8) * 2.0 ** (e - 7) for e in range(16) for m in range(8)
][:127]
FLOAT_MAX = 3.4028234663852886e38


def f32(value):
    """One rounding to binary32. What is exact in binary64, or a quotient, is rounded once."""
    value = ctypes.c_float(value).value
    return 0.0 if abs(value) < 2.0**-126 else value


def bf16(bits):
    return struct.unpack("<f", struct.pack("<I", (bits & 0xFFFF) << 16))[0]


def to_bf16(value):
    """Cut off, not rounded: good enough to make input."""
    return struct.unpack("<I", struct.pack("<f", value))[0] >> 16


def e4m3(value):
    """The code of a value that is not negative: the nearest, of two equally near the even one."""
    above = bisect.bisect_left(E4M3_VALUES, value)
    if above == 0 or above == len(E4M3_VALUES):
        return min(above, len(E4M3_VALUES) - 1)
    below = above - 1
    down, up = value - E4M3_VALUES[below], E4M3_VALUES[above] - value
    return below if down < up or (down == up and below % 2 == 0) else above


def e2m1(value, negative):
    magnitude = abs(value)
    # Ties: up to 0.25 is 0, below 0.75 is 1, and so on, alternating.
    code = sum(
        magnitude > bound if index % 2 == 0 else magnitude >= bound
        for index, bound in enumerate(E2M1_BOUNDS)
    )
    return code | (8 if negative else 0)


def quantize_block(bits, global_scale):
    """Of 16 values: the scale's code and 8 bytes of codes."""
    values = [bf16(b) for b in bits]
    largest = max(abs(v) for v in values)
    t = f32(global_scale * f32(1 / 6))
    scale = e4m3(f32(f32(largest) * t) if largest else 0.0)
    multiplier = 0.0
    if largest:
        p = f32(E4M3_VALUES[scale] * f32(1 / global_scale))
        multiplier = min(f32(1 / p), FLOAT_MAX) if p else FLOAT_MAX
    codes = [e2m1(f32(v * multiplier), (b & 0x8000) != 0) for v, b in zip(values, bits)]
    return scale, bytes(codes[i] | codes[i + 1] << 4 for i in range(0, 16, 2))


def scale_offset(layout, row, column, scale_columns):
    if layout == "linear":
        return row * scale_columns + column
    padded = (scale_columns + 3) // 4 * 4  # 128x4
    return (row // 128) * (padded // 4) * 512 + (column // 4) * 512 + (row % 32) * 16 + (
        row % 128
    ) // 32 * 4 + column % 4


def quantize(bits, rows, cols, global_scale, layout, scale_bytes):
    """bits: bfloat16 as integers, row after row. Returns codes and scales."""
    codes, scales = bytearray(), bytearray(scale_bytes)
    for row in range(rows):
        for column in range(cols // 16):
            begin = row * cols + column * 16
            scale, packed = quantize_block(bits[begin : begin + 16], global_scale)
            scales[scale_offset(layout, row, column, cols // 16)] = scale
            codes += packed
    return bytes(codes), bytes(scales)


def compare(name, found, wanted):
    """True if they are the same, bit for bit; else says where they first differ."""
    if found == wanted:
        return True
    first = next((i for i, (a, b) in enumerate(zip(found, wanted)) if a != b), min(len(found), len(wanted)))
    print(f"FAIL: {name} differ from byte {first} on ({len(found)} bytes, {len(wanted)} wanted): "
          f"{found[first:first + 8].hex()} instead of {wanted[first:first + 8].hex()}")
    return False
