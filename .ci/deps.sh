#!/usr/bin/env bash
# Makes sure that the machine has what a make target needs: deps.sh build|test. As root on Debian or Ubuntu it installs what is missing
# by apt-get; elsewhere it says what to install, and fails. It prints nothing when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { echo "usage: .ci/deps.sh build|test" >&2; exit 2; }
level=${1:-}
[[ $level == build || $level == test ]] || usage

python=${PYTHON:-python3}
packages=()  # Debian packages that are missing
by_hand=()   # what apt-get has not, or not new enough

have() { command -v "$1" >/dev/null 2>&1; }
need() { have "$1" || packages+=("$2"); }

has_cmocka() {
  printf '#include <%s>\n' stdarg.h stddef.h stdint.h setjmp.h cmocka.h | "${CC:-cc}" -E -x c - >/dev/null 2>&1
}

# libFuzzer comes with clang; CLANG names another one than clang-19.
has_fuzzer() {
  echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' | "${CLANG:-clang-19}" -fsanitize=fuzzer,address -x c - -o /dev/null 2>/dev/null
}

check_python() {
  if ! have "$python"; then
    packages+=(python3 python3-venv python3-dev)
    return
  fi
  if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    by_hand+=("Python 3.11 or later (found $("$python" --version 2>&1)); make PYTHON=python3.12 names another one")
    return
  fi
  local name
  name=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
  "$python" -c 'import venv, ensurepip' 2>/dev/null || packages+=("$name-venv")
  "$python" -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(sysconfig.get_paths()["include"] + "/Python.h"))' ||
    packages+=("$name-dev")
}

# go.mod says which Go the module needs; a later toolchain is not fetched for it.
check_go() {
  local version needed
  needed=$(sed -n 's/^go 1\.\([0-9]*\).*/\1/p' go.mod)
  version=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null || true)
  [[ $version =~ ^go1\.([0-9]+) && ${BASH_REMATCH[1]} -ge $needed ]] ||
    by_hand+=("Go 1.$needed or later, from https://go.dev/dl (found ${version:-none})")
}

need "${CC:-cc}" gcc
check_python
check_go
if [[ $level == test ]]; then
  need git git
  need g++ g++
  need readelf binutils
  need pkg-config pkg-config
  need strace strace
  has_cmocka || packages+=(libcmocka-dev)
  # The conformance testee in C runs big-endian as well.
  s390x-linux-gnu-gcc --version >/dev/null 2>&1 && [[ -e /usr/s390x-linux-gnu/lib/libc.a ]] ||
    packages+=(gcc-s390x-linux-gnu libc6-dev-s390x-cross)
  need qemu-s390x-static qemu-user-static
  has_fuzzer || packages+=(clang-19 libclang-rt-19-dev)
  [[ -z ${SAMEBYTES_NIGHTLY:-} ]] || need valgrind valgrind
fi

if ((${#by_hand[@]})); then
  printf 'samebytes needs: %s\n' "${by_hand[@]}" >&2
  exit 1
fi
((${#packages[@]})) || exit 0
if [[ $(id -u) != 0 ]] || ! have apt-get; then
  echo "samebytes needs these Debian packages, or what they hold: ${packages[*]}" >&2
  echo "Install them, for example by: sudo apt-get install ${packages[*]}" >&2
  exit 1
fi
echo "installing by apt-get: ${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=120 -qq update
apt-get -o DPkg::Lock::Timeout=120 -qq -y --no-install-recommends install "${packages[@]}" </dev/null
