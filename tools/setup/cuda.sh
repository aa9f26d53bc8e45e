# shellcheck shell=bash
# NVRTC and CUDA's headers: from the toolkit, or from the Python package registry. Needs common.sh and
# packages.sh. Sets
#   CUDA_INCLUDE   directories with cuda.h, nvrtc.h and the number formats' headers
#   FOURGE_NVRTC   the library, exported if fourge would not find it by itself or would find another

# The oldest toolkit whose NVRTC compiles for all of fourge's targets.
FOURGE_OLDEST_CUDA=12090
# cuda.h and cuda_fp*.h are in -runtime, the crt/ headers that they include in -crt.
FOURGE_WHEELS=(nvidia-cuda-nvrtc==13.0.88 nvidia-cuda-runtime==13.0.88 nvidia-cuda-crt==13.0.88)

# usable_toolkit DIR: has headers and NVRTC, both new enough.
usable_toolkit() {
  local version
  [ -f "$1/include/cuda.h" ] && [ -f "$1/include/nvrtc.h" ] && [ -f "$1/include/cuda_fp4.h" ] || return 1
  compgen -G "$1/lib64/libnvrtc.so.*" >/dev/null || compgen -G "$1/lib/libnvrtc.so.*" >/dev/null || return 1
  version="$(sed -n 's/^#define CUDA_VERSION \([0-9]*\).*/\1/p' "$1/include/cuda.h")"
  [ "${version:-0}" -ge "$FOURGE_OLDEST_CUDA" ]
}

# Prints the toolkit's directory.
find_toolkit() {
  local directory
  for directory in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda /usr/local/cuda-*; do
    if [ -n "$directory" ] && usable_toolkit "$directory"; then
      printf '%s\n' "$directory"
      return
    fi
  done
  return 1
}

# fetch_wheels DIR: NVRTC and headers below DIR, once.
fetch_wheels() {
  local directory="$1" stamp="$1/fetched" wanted="${FOURGE_WHEELS[*]}"
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    return
  fi
  ensure_packages "${FOURGE_WHEEL_PACKAGES[@]}"
  note "no CUDA toolkit: fetching $wanted"
  rm -rf "$directory"
  mkdir -p "$directory"
  # A virtual environment only for its pip: the system's Python is not to be installed into.
  python3 -m venv "$directory/venv"
  "$directory/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir --no-deps \
    --only-binary=:all: --target "$directory/site" "${FOURGE_WHEELS[@]}" ||
    die "the Python package registry did not give $wanted; install the CUDA toolkit 12.9 or later"
  rm -rf "$directory/venv"
  printf '%s\n' "$wanted" >"$stamp"
}

# find_cuda WHEEL_DIRECTORY USE_TOOLKIT(0 or 1)
find_cuda() {
  local toolkit site libraries
  if [ "$2" -eq 1 ] && toolkit="$(find_toolkit)"; then
    CUDA_INCLUDE="$toolkit/include"
    # fourge looks there by itself, unless the loader's path has another one.
    export CUDA_HOME="$toolkit"
    note "CUDA toolkit in $toolkit"
    return
  fi
  fetch_wheels "$1"
  site="$1/site/nvidia/cu13"
  CUDA_INCLUDE="$site/include"
  libraries=("$site"/lib/libnvrtc.so.*)
  if [ ! -f "${libraries[0]}" ] || [ ! -f "$CUDA_INCLUDE/cuda.h" ]; then
    die "$site lacks libnvrtc or cuda.h; remove $1 and start again"
  fi
  # Whoever named a library means it.
  export FOURGE_NVRTC="${FOURGE_NVRTC:-${libraries[0]}}"
  note "NVRTC $FOURGE_NVRTC"
}
