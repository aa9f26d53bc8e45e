#!/usr/bin/env python3
"""Quantizes a PyTorch tensor to NVFP4 on the GPU, on PyTorch's current stream, without a copy.

    python3 examples/python/quantize_torch.py [--library build/release/shared/libfourge.so]

Prints PASS if codes and scales are those of the reference in nvfp4_reference.py, bit for bit, on the
current stream and in a replayed CUDA graph. Ends with 77 where PyTorch or a GPU is missing.
"""
import argparse
import sys

import fourge_c
import nvfp4_reference as reference

SKIPPED = 77
LAYOUT = "128x4"


def quantize(runtime, x):
    """codes [rows, cols / 2], scales as the layout says, and the encode scale."""
    import torch

    rows, cols = x.shape
    if x.dtype != torch.bfloat16 or not x.is_contiguous() or not x.is_cuda:
        raise ValueError("a contiguous bfloat16 tensor on a GPU is needed")
    kernel = runtime.prepare(f"nvfp4_quantize[in=bf16,layout={LAYOUT},math=exact]")
    # Read by the kernel in stream order, so that the CPU need not wait for the maximum.
    global_scale = (448.0 * 6.0 / x.abs().amax().float()).reshape(1)
    size = runtime.buffer_bytes(kernel.spec, "scales", rows=rows, cols=cols)
    codes = torch.empty((rows, cols // 2), dtype=torch.uint8, device=x.device)
    scales = torch.empty(size, dtype=torch.uint8, device=x.device)
    kernel.launch(
        torch.cuda.current_stream(x.device).cuda_stream,
        x=x.data_ptr(),
        codes=codes.data_ptr(),
        scales=scales.data_ptr(),
        global_scale=global_scale.data_ptr(),
        rows=rows,
        cols=cols,
    )
    return codes, scales, global_scale


def equals_reference(what, x, codes, scales, global_scale):
    import torch

    bits = x.view(torch.int16).flatten().cpu().tolist()
    codes, scales = (bytes(t.flatten().cpu().tolist()) for t in (codes, scales))
    wanted = reference.quantize(bits, *x.shape, global_scale.item(), LAYOUT, len(scales))
    same = reference.compare(f"{what}: codes", codes, wanted[0])
    return reference.compare(f"{what}: scales", scales, wanted[1]) and same


def make_tensor(rows, cols):
    import torch

    x = torch.randn((rows, cols), device="cuda")
    x = x * torch.exp2(torch.randint(-6, 7, (rows, cols // 16), device="cuda").float()).repeat_interleave(16, 1)
    x[0, 16:32] = -0.0
    return x.to(torch.bfloat16)


def check(runtime):
    import torch

    torch.manual_seed(7)
    x = make_tensor(200, 528)
    # On a stream of PyTorch's own: input is made on it, the kernel follows, the result is read after it.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        result = quantize(runtime, x)
        same = equals_reference("stream", x, *result)
    torch.cuda.current_stream().wait_stream(stream)

    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = quantize(runtime, x)
    for replay in range(3):
        x.copy_(make_tensor(200, 528))
        graph.replay()
        torch.cuda.synchronize()
        same = equals_reference(f"graph, replay {replay}", x, *result) and same
    if same:
        print(f"PASS: quantize_torch: PyTorch {torch.__version__}, {torch.cuda.get_device_name()}: codes and "
              f"scales of {x.shape[0]}x{x.shape[1]} bfloat16 equal the reference bit for bit, on a stream and "
              "in 3 replays of a CUDA graph")
    return same


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", default="libfourge.so.0.1", help="path of libfourge.so")
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        print("SKIPPED: PyTorch is missing: pip install torch (quantize_host.py needs neither it nor a GPU)")
        return SKIPPED
    if not torch.cuda.is_available():
        print("SKIPPED: PyTorch finds no GPU here (quantize_host.py needs none)")
        return SKIPPED
    torch.cuda.init()
    torch.zeros(1, device="cuda")  # makes the device's context current
    try:
        return 0 if check(fourge_c.Runtime(fourge_c.load(options.library))) else 1
    except OSError as error:
        print(f"libfourge.so is missing: {error}; give --library", file=sys.stderr)
    except fourge_c.FourgeError as error:
        print(f"{error}\n{error.log}", file=sys.stderr)
    return 3


if __name__ == "__main__":
    sys.exit(main())
