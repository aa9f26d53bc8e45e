#!/usr/bin/env bash
# The server example under load: starts it, waits until it is ready, sends requests, prints the figures
# as JSON and stops it. Builds nothing.
#
#   tests/gpu/server_load.sh PROGRAM [DEVICE [REQUESTS [SHAPE]]]
#
# PROGRAM is a quantize_server; DEVICE gpu (the default), host or auto. Its kernels are compiled into a
# cache directory of this run. Ends with 0 if all requests were answered and nothing was compiled once
# the server was ready; with 77 and {"skipped": ...} where the program is not there, cannot be started
# (it needs libcpp-httplib), or python3 is missing; with 1 otherwise. What the server said is printed to
# standard error then.
set -uo pipefail

skip() {
  printf '{"skipped": "%s"}\n' "$1"
  exit 77
}

if [ "$#" -lt 1 ] || [ "$#" -gt 4 ]; then
  echo "usage: tests/gpu/server_load.sh PROGRAM [DEVICE [REQUESTS [SHAPE]]]" >&2
  exit 2
fi
program="$1"
device="${2:-gpu}"
requests="${3:-1000}"
shape="${4:-64x4096}"
load_test="$(cd "$(dirname "$0")/../.." && pwd)/examples/quantize_server/load_test.py"

[ -x "$program" ] || skip "quantize_server was not built (cpp-httplib was not found)"
command -v python3 >/dev/null || skip "there is no python3"
"$program" --help >/dev/null 2>&1 || skip "quantize_server cannot be started here (a library is missing)"

directory="$(mktemp -d)"
log="$directory/log"
FOURGE_CACHE_DIR="$directory/cache" "$program" --port 0 --device "$device" >"$log" 2>&1 &
server=$!
trap 'kill -KILL "$server" 2>/dev/null; rm -rf "$directory"' EXIT

fail() {
  printf 'server_load: %s\n' "$1" >&2
  cat "$log" >&2
  exit 1
}

port=""
for _ in $(seq 100); do
  port="$(sed -n 's|.*http://127.0.0.1:\([0-9]*\).*|\1|p' "$log")"
  if [ -n "$port" ] || ! kill -0 "$server" 2>/dev/null; then break; fi
  sleep 0.1
done
[ -n "$port" ] || fail "the server does not listen"

# Waits for /readyz itself.
timeout 110 python3 "$load_test" --url "http://127.0.0.1:$port" --requests "$requests" \
  --concurrency 8 --shape "$shape" --wait 60 || fail "the load test ended with $?"
kill -TERM "$server"
wait "$server" || fail "the server ended with $?"
