# shellcheck shell=bash
# Shared by tools/quickstart and tests/run: messages and the repository's root. Sourced, in strict mode.

# shellcheck disable=SC2034  # used by those who source this
FOURGE_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"

note() { printf '== %s\n' "$*"; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# Seconds since 1970 with milliseconds, as an integer number of milliseconds.
now_ms() { date +%s%3N; }

# "1234" -> "1.234 s"
seconds_text() { printf '%d.%03d s' "$(($1 / 1000))" "$(($1 % 1000))"; }
