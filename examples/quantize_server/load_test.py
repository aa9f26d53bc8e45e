#!/usr/bin/env python3
"""Load on a running quantize_server, and figures as JSON. Needs the standard library only.

Ends with 1 if a request failed, or if the server compiled or loaded a kernel after it was ready.
"""
import argparse
import array
import http.client
import json
import random
import sys
import threading
import time
import urllib.parse

# What must stand still once the server is ready.
COMPILER = ["fourge_compiles_total", "fourge_host_compiles_total", "fourge_compile_failures_total",
            "fourge_compile_waits_total", "fourge_loads_total", "fourge_frozen_misses_total",
            "fourge_worker_compiles_total", "fourge_fallback_swaps_total"]
VARIANTS = [(dtype, layout) for dtype in ("bf16", "f16") for layout in ("linear", "128x4", "8x4")]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--shape", default="64x4096", help="ROWSxCOLS of each tensor")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for one answer")
    parser.add_argument("--wait", type=float, default=120, help="seconds to wait for /readyz")
    return parser.parse_args()


class Client:
    """One connection that is kept open."""

    def __init__(self, url, timeout):
        parts = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)

    def get(self, path):
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()

    def quantize(self, body, dtype, layout, shape):
        self.connection.request(
            "POST", f"/v1/quantize?dtype={dtype}&layout={layout}&shape={shape}&global_scale=100",
            body, {"Content-Type": "application/octet-stream"})
        answer = self.connection.getresponse()
        return answer.status, answer.read()


def wait_until_ready(args):
    end = time.monotonic() + args.wait
    while True:
        try:
            status, _ = Client(args.url, args.timeout).get("/readyz")
        except OSError:
            status = 0
        if status == 200:
            return
        if time.monotonic() > end:
            sys.exit(f"{args.url} was not ready after {args.wait} s")
        time.sleep(0.1)


def compiler_counters(args):
    _, text = Client(args.url, args.timeout).get("/metrics")
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: int(samples[name]) for name in COMPILER}


def random_body(shape, seed):
    """Bits that are finite numbers of middling size as bf16 and as f16."""
    rows, cols = (int(length) for length in shape.split("x"))
    generator = random.Random(seed)
    values = array.array("H", (generator.choice((0x3000, 0xB000)) | generator.getrandbits(12)
                               for _ in range(rows * cols)))
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def percentile(times, share):
    return times[min(len(times) - 1, int(len(times) * share))]


def run(args):
    body = random_body(args.shape, 1)
    lock = threading.Lock()
    state = {"next": 0}
    times, statuses = [], {}

    def work():
        client = Client(args.url, args.timeout)
        while True:
            with lock:
                number = state["next"]
                state["next"] += 1
            if number >= args.requests:
                return
            start = time.perf_counter()
            try:
                status, _ = client.quantize(body, *VARIANTS[number % len(VARIANTS)], args.shape)
            except (OSError, http.client.HTTPException) as error:
                status = type(error).__name__
                client = Client(args.url, args.timeout)
            took = time.perf_counter() - start
            with lock:
                statuses[str(status)] = statuses.get(str(status), 0) + 1
                if status == 200:
                    times.append(took)

    threads = [threading.Thread(target=work) for _ in range(args.concurrency)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(times), statuses, time.perf_counter() - start


def main():
    args = arguments()
    wait_until_ready(args)
    before = compiler_counters(args)
    times, statuses, took = run(args)
    after = compiler_counters(args)
    figures = {
        "url": args.url,
        "device": Client(args.url, args.timeout).get("/healthz")[1].strip(),
        "shape": args.shape,
        "concurrency": args.concurrency,
        "statuses": statuses,
        "requests_per_second": round(len(times) / took, 1),
        "compiler_before": before,
        "compiler_after": after,
        "compiler_untouched": before == after,
    }
    if times:
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)):
            figures[f"{name}_ms"] = round(percentile(times, share) * 1000, 3)
    print(json.dumps(figures, indent=2))
    # 503 is the bounded queue at work, and no failure.
    failed = sum(count for status, count in statuses.items() if status not in ("200", "503"))
    sys.exit(0 if failed == 0 and times and before == after else 1)


if __name__ == "__main__":
    main()
