# shellcheck shell=bash
# Shared by the tests of the packages. Sourced, in strict mode, after FOURGE_BUILT and the like were set.

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# quietly COMMAND...: shows what it said only if it fails.
quietly() {
  "$@" >"$work/log" 2>&1 || {
    tail -n 40 "$work/log" >&2
    fail "failed: $*"
  }
}

# expect TEXT COMMAND...
expect() {
  local wanted="$1" found
  shift
  found="$("$@")" || fail "failed: $*"
  [[ "$found" == *"$wanted"* ]] || fail "$* says \"$found\", expected \"$wanted\""
}

# Installs all of $FOURGE_BUILT below $work/prefix, by way of another place: the tree may be moved.
install_and_move() {
  quietly "$FOURGE_CMAKE" --install "$FOURGE_BUILT" --prefix "$work/first"
  mv "$work/first" "$work/prefix"
}

# consume DIRECTORY ARGUMENT...: configures, builds and runs the consumer.
consume() {
  local directory="$1"
  shift
  quietly "$FOURGE_CMAKE" -S "$here/consumer" -B "$directory" -G Ninja -DCMAKE_BUILD_TYPE="$FOURGE_BUILD_TYPE" \
    -DCMAKE_CXX_COMPILER="$FOURGE_CXX" -DCMAKE_C_COMPILER="$FOURGE_C" -DCMAKE_CXX_FLAGS="$FOURGE_FLAGS" \
    -DCMAKE_C_FLAGS="$FOURGE_FLAGS" "$@"
  quietly "$FOURGE_CMAKE" --build "$directory" --parallel 2
  expect "invalid_spec 00" "$directory/consumer"
  expect "batches 1" "$directory/consumer_c"
}
