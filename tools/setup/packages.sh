# shellcheck shell=bash
# Distribution packages. Needs common.sh.

# To build and run everything.
# shellcheck disable=SC2034
FOURGE_BUILD_PACKAGES=(g++ cmake ninja-build libfmt-dev libspdlog-dev nlohmann-json3-dev libssl-dev
  libcli11-dev catch2 libboost-context-dev)
# The suite also checks the formatting (other versions break lines elsewhere), runs benchmarks and the
# server example.
# shellcheck disable=SC2034
FOURGE_TEST_PACKAGES=(clang-format-14 git libbenchmark-dev libcpp-httplib-dev python3 pkg-config)
# To fetch NVRTC from the Python package registry.
# shellcheck disable=SC2034
FOURGE_WHEEL_PACKAGES=(python3 python3-venv ca-certificates)

# Prints those of the given packages that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    # ${...} is dpkg's.
    # shellcheck disable=SC2016
    case "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" in
      installed*) ;;
      *) printf '%s\n' "$package" ;;
    esac
  done
}

# Runs a command as root, if that is possible.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo "$@"
  fi
}

may_become_root() {
  [ "$(id -u)" -eq 0 ] || { command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; }
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    -o DPkg::Lock::Timeout=120 "$@" >"$apt_log" 2>&1
}

# ensure_packages NAME...: installs those that are missing.
ensure_packages() {
  local missing apt_log
  if ! command -v dpkg-query >/dev/null; then
    note "not Debian or Ubuntu: what belongs to these packages must be there: $*"
    return
  fi
  mapfile -t missing < <(missing_packages "$@")
  if [ "${#missing[@]}" -eq 0 ]; then
    return
  fi
  if ! may_become_root; then
    die "these packages are missing; install them as root and start again:
  apt-get install ${missing[*]}"
  fi
  note "installing ${missing[*]}"
  apt_log="$(mktemp)"
  # Package lists that are there may be old; then the second try has new ones.
  if [ -n "$(find /var/lib/apt/lists -name '*_Packages*' -print -quit 2>/dev/null)" ] &&
    apt_install "${missing[@]}"; then
    rm -f "$apt_log"
    return
  fi
  if ! as_root apt-get update -q >"$apt_log" 2>&1 || ! apt_install "${missing[@]}"; then
    tail -n 20 "$apt_log" >&2
    rm -f "$apt_log"
    die "apt-get could not install ${missing[*]}"
  fi
  rm -f "$apt_log"
}
