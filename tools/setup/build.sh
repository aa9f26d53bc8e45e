# shellcheck shell=bash
# Configures and builds. Needs common.sh, packages.sh and cuda.sh.

# build_preset PRESET DIRECTORY [TARGET...]: configures when that was not done, or was done for something
# else, and builds the targets, or everything. Afterwards DIRECTORY/env holds what a shell needs to run the programs by hand.
build_preset() {
  local preset="$1" directory="$2" log="$2/setup.log" wanted target targets=()
  for target in "${@:3}"; do targets+=(--target "$target"); done
  mkdir -p "$directory"
  # Ninja starts CMake again when a CMakeLists.txt changes, but knows nothing of these.
  wanted="$preset $CUDA_INCLUDE $(sha256sum <"$FOURGE_ROOT/CMakePresets.json")"
  if [ ! -f "$directory/build.ninja" ] || [ "$(cat "$directory/configured" 2>/dev/null)" != "$wanted" ]; then
    note "configuring $preset in $directory"
    rm -f "$directory/configured" "$directory/CMakeCache.txt"
    (cd "$FOURGE_ROOT" && cmake --preset "$preset" -B "$directory" \
      -DFOURGE_CUDA_INCLUDE="$CUDA_INCLUDE" -DFOURGE_NVRTC_INCLUDE="$CUDA_INCLUDE") >"$log" 2>&1 ||
      { tail -n 40 "$log" >&2; die "configuring failed, see $log"; }
    grep -- '-- fourge:' "$log" || true
    printf '%s\n' "$wanted" >"$directory/configured"
  fi
  note "building"
  cmake --build "$directory" --parallel "$(nproc)" "${targets[@]}" >"$log" 2>&1 ||
    { grep -E -A12 'error|FAILED' "$log" | tail -n 60 >&2; die "building failed, see $log"; }
  tail -n 1 "$log"
  if [ -n "${FOURGE_NVRTC:-}" ]; then
    printf 'export FOURGE_NVRTC=%q\n' "$FOURGE_NVRTC"
  elif [ -n "${CUDA_HOME:-}" ]; then
    printf 'export CUDA_HOME=%q\n' "$CUDA_HOME"
  fi >"$directory/env"
}
