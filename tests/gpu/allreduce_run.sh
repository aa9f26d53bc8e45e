#!/usr/bin/env bash
# The tests and the benchmark of all-reduce on a machine with two or more GPUs, within $FOURGE_RUN_SECONDS (100) seconds; with
# FOURGE_TEST_RANKS the tests on one, too.
#
#   tests/gpu/allreduce_run.sh [DIRECTORY]     DIRECTORY: of a build (build/release), or of the programs
#                                              allreduce_gpu_tests and fourge themselves; else the bundle of
#                                              tests/gpu/run_device, else build/device, which is built
#
# Logs go to $OUT, or build/device-out. FOURGE_TEST_RANKS: fewer ranks than devices, or more, up to four a device, which
# share devices then: what shows nothing so (tune, benchmark) or needs a device a rank (processes, NCCL) is left
# out, and said. Everything is run, with the first failure's status at the end.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
out="${OUT:-build/device-out}"
mkdir -p "$out"
status=0
begin=$SECONDS
# Without NVLink multicast, whatever the environment says: not every machine bears it.
export NCCL_NVLS_ENABLE=0

note() { printf '\n== %s (%ss)\n' "$*" "$((SECONDS - begin))"; }

# run_logged SECONDS LINES LOG COMMAND...: the last lines are shown, all is kept. Not longer than is left of
# the whole time.
run_logged() {
  local limit="$1" lines="$2" log="$3" result=0 left
  left="$((${FOURGE_RUN_SECONDS:-100} - (SECONDS - begin)))"
  shift 3
  if [ "$left" -lt 5 ]; then left=5; fi
  if [ "$limit" -gt "$left" ]; then limit="$left"; fi
  timeout -k 5 "$limit" "$@" >"$out/$log" 2>&1 || result=$?
  tail -n "$lines" "$out/$log" | cut -c1-600
  if [ "$result" -ne 0 ]; then
    note "FAILED with $result: $*"
    if [ "$status" -eq 0 ]; then status="$result"; fi
  fi
}

find_programs() {
  local directory
  for directory in "$@"; do
    if [ -x "$directory/allreduce_gpu_tests" ] && [ -x "$directory/fourge" ]; then
      tests="$directory/allreduce_gpu_tests"
      command="$directory/fourge"
      if [ -d "$directory/lib" ]; then
        export LD_LIBRARY_PATH="$PWD/$directory/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
      fi
      return 0
    fi
    if [ -x "$directory/tests/allreduce_gpu_tests" ] && [ -x "$directory/tools/fourge" ]; then
      tests="$directory/tests/allreduce_gpu_tests"
      command="$directory/tools/fourge"
      return 0
    fi
  done
  return 1
}

if ! find_programs "${1:-build/device/bundle}" build/device; then
  note "building"
  if ! { cmake --preset release -B build/device &&
    cmake --build build/device -j "$(nproc)" --target allreduce_gpu_tests fourge_cli; } \
    >"$out/build.log" 2>&1; then
    tail -n 40 "$out/build.log"
    exit 1
  fi
  find_programs build/device || exit 1
  begin=$SECONDS
fi

devices="$("$tests" --devices)"
ranks="${FOURGE_TEST_RANKS:-$devices}"
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | sort | uniq -c
# NCCL may lie beside PyTorch only.
nccl="$(ldconfig -p 2>/dev/null | sed -n 's|.*libnccl\.so\.2 .*=> ||p' | head -n 1)"
if [ -z "$nccl" ]; then
  nccl="$(python3 -c 'import nvidia.nccl as n; print(list(n.__path__)[0] + "/lib/libnccl.so.2")' \
    2>/dev/null)"
fi
export FOURGE_TEST_NCCL="${nccl:-libnccl.so.2}"
export FOURGE_CACHE_DIR="$out/allreduce-cache"
FOURGE_WORKER="$(realpath "$command")"
export FOURGE_WORKER

note "$ranks ranks, NCCL: $FOURGE_TEST_NCCL; kernels"
"$tests" --manifest "$ranks" >"$out/allreduce-manifest.json"
run_logged 60 3 allreduce-prewarm.log "$command" prewarm --manifest "$out/allreduce-manifest.json" \
  --target sm_90a

note "tests"
run_logged 75 60 allreduce_tests.log "$tests" --durations yes

if [ "$ranks" -gt "$devices" ]; then
  note "$ranks ranks on $devices device(s): no tune and no benchmark, which shared devices make meaningless; no memcheck, under" \
    "which kernels need not run beside each other; the tests said what they skipped"
  note "done, status $status; logs in $out"
  exit "$status"
fi

note "tune"
run_logged 15 4 allreduce_tune.log "$command" tune allreduce --ranks "$ranks" --samples 5

note "benchmark"
run_logged 40 20 allreduce_bench.log "$command" bench allreduce --ranks "$ranks" --nccl \
  "$FOURGE_TEST_NCCL" --samples 12

if command -v compute-sanitizer >/dev/null; then
  note "compute-sanitizer memcheck"
  run_logged 40 6 allreduce_memcheck.log compute-sanitizer --tool memcheck --error-exitcode 99 \
    "$tests" '[allreduce-sanitize]'
else
  note "compute-sanitizer is not installed: skipped"
fi

note "done, status $status; logs in $out"
exit "$status"
