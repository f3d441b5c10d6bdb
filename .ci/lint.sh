#!/usr/bin/env bash
# Everything that can be checked without running it. All checks run, so that one look shows all there is to do; the last line names
# those that failed. `.ci/lint.sh fix` formats instead.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

mapfile -t c_files < <(git ls-files -co --exclude-standard '*.c' '*.h')
mapfile -t shell_files < <(git ls-files -co --exclude-standard '*.sh' .ci/run)
mapfile -t go_files < <(git ls-files -co --exclude-standard '*.go')

if [[ ${1:-} == fix ]]; then
  clang-format -i "${c_files[@]}"
  ruff check --quiet --fix .
  ruff format --quiet .
  gofmt -w "${go_files[@]}"
  exit
fi

failed=()
check() { # NAME COMMAND...
  local name=$1
  shift
  printf 'lint: %s\n' "$name"
  "$@" || failed+=("$name")
}

go_format() {
  local wrong
  wrong=$(gofmt -l "${go_files[@]}") || return 1
  [[ -z $wrong ]] || { printf 'gofmt would change:\n%s\n' "$wrong"; return 1; }
}

# Two at a time; a file's complaints come together. The headers of the bench's peers are there after `make bench` only.
clang_tidy() {
  local -a sources
  mapfile -t sources < <(git ls-files -co --exclude-standard 'core/src/*.c' 'tests/**/*.c' \
    ':!tests/bench/c/visits/peer_*.c' ':!tests/bench/go/*' ':!tests/python/*.c')
  printf '%s\n' "${sources[@]}" | xargs -P 2 -I{} clang-tidy --quiet {} -- -std=gnu11 -Icore/include -Icore/src -Itests/core 2>&1 |
    grep -vE '^([0-9]+ warnings? generated|Suppressed [0-9]+ warning|Use -header-filter)'
  return "${PIPESTATUS[1]}"
}

# Go compiles the core's .c files unless it is told to use the shared library; the line is a comment to C.
build_lines() {
  local file wrong=0
  for file in core/src/*.c; do
    [[ $(head -n 1 "$file") =~ ^//go:build\ (samebytes_[a-z_]+\ \&\&\ )?!samebytes_shared$ && -z $(sed -n 2p "$file") ]] && continue
    echo "$file: must begin with the line '//go:build !samebytes_shared', with another tag before it or not, and an empty one"
    wrong=1
  done
  return $wrong
}

# A path of one person's machine works on no other.
machine_paths() {
  ! git grep -nIE --untracked -e '(^|[^a-zA-Z0-9_./])/(home/[a-z]|root/|Users/|work/)' -- . ':!.ci/lint.sh' ':!*.json'
}

# Words that mark work as not done.
unfinished() {
  ! git grep -nIwE --untracked -e 'TODO|FIXME|XXX' -- . ':!.ci/lint.sh'
}

# Whatever has sentences. The words are parts of names and data, or misspelt on purpose.
spelling() {
  git ls-files -co --exclude-standard -- '*.[chm]*' '*.py*' '*.go' '*.sh' '*.to*ml' Makefile '*.cmake' '*.txt' '.ci/run' |
    xargs codespell --ignore-words-list=viewin,caf,inout,everythings,uesr,ans
}

check 'C format' clang-format --dry-run --Werror "${c_files[@]}"
check 'C (clang-tidy)' clang_tidy
check 'C files begin with their Go build line' build_lines
check 'Python format' ruff format --quiet --check --diff .
check 'Python (ruff)' ruff check --quiet .
check 'Python types (mypy)' mypy --no-error-summary bindings/generate bindings/python/src/samebytes
check 'Go format' go_format
check 'Go (vet)' go vet ./...
check 'shell (shellcheck)' shellcheck "${shell_files[@]}"
check 'spelling (codespell)' spelling
check 'no path of one machine' machine_paths
check 'nothing marked as unfinished' unfinished
check 'generated files match the headers' python -m bindings.generate --check

if ((${#failed[@]})); then
  printf 'lint failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
echo 'lint: all checks passed'
