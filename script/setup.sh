# shellcheck shell=bash
# Sourced by the other scripts: makes whatever is missing on a fresh Debian 12 or Ubuntu and takes no time when nothing is.
#   setup_server   .venv: the server's environment           setup_sandbox  .venv-sandbox: the analysts'; nothing of the server
#                  with SHUZHA_SPAWNER=kubernetes its extra is in it too
#   setup_frontend the portal's files from npm               setup_tests    .venv with the test tools; Chromium, a font, PostgreSQL
#   setup_spark    .venv-spark: the engine with Apache Spark, and a Java for it; nothing of the server
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
export PYTHONPATH= PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '\033[2m[setup]\033[0m %s\n' "$*" >&2; }
fail() { printf '[setup] %s\n' "$*" >&2; exit 3; }

# need_packages NAME=COMMAND-OR-FILE …: installs Debian packages whose command or file is absent (as root), else names the one command.
need_packages() {
  local missing=() pair
  for pair in "$@"; do
    local probe=${pair#*=}
    if [[ $probe == /* ]]; then compgen -G "$probe" >/dev/null || missing+=("${pair%%=*}")
    else command -v "$probe" >/dev/null || missing+=("${pair%%=*}"); fi
  done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then fail "missing system packages; run:  sudo apt-get install -y --no-install-recommends ${missing[*]}"; fi
  say "installing system packages: ${missing[*]}"
  apt-get update -qq >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# A Python that sandbox users may read too: the system's own first, then whatever is on PATH.
find_python() {
  local candidate
  for candidate in "${SHUZHA_PYTHON:-}" /usr/bin/python3 /usr/bin/python3.13 /usr/bin/python3.12 /usr/bin/python3.11 python3; do
    [[ -n $candidate ]] && command -v "$candidate" >/dev/null || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then command -v "$candidate"; return; fi
  done
  fail "no Python >= 3.11 found; run:  apt-get install -y python3 python3-venv"
}

# uv, in an environment of its own, installs the pinned, hashed lists; it is told of the index that pip is configured with.
use_uv() {
  UV=$ROOT/.venv-tools/bin/uv
  local tools=.venv-tools stamp index
  stamp=$(stamp_of requirements/bootstrap.txt)
  if ! is_fresh $tools/.stamp "$stamp"; then
    need_packages python3-venv='/usr/lib/python3*/ensurepip/__init__.py'
    rm -rf $tools
    "$(find_python)" -m venv $tools
    $tools/bin/python -m pip install -q --require-hashes -r requirements/bootstrap.txt
    printf '%s' "$stamp" >$tools/.stamp
  fi
  index=$($tools/bin/python -m pip config get global.index-url 2>/dev/null || true)
  if [[ -n $index && -z ${UV_DEFAULT_INDEX:-} ]]; then export UV_DEFAULT_INDEX=$index; fi
  export UV_LINK_MODE=${UV_LINK_MODE:-copy}
}

stamp_of() { cat "$@" | sha256sum | cut -c1-32; }
is_fresh() { [[ -f $1 && $(<"$1") == "$2" ]]; }

bare_environment() { # FOLDER
  use_uv
  [[ -x $1/bin/python ]] && "$1/bin/python" -c '' 2>/dev/null && return
  rm -rf "$1"
  "$UV" venv -q --python "$(find_python)" "$1"
}

# An optional format checker of jsonschema whose import alone costs every process a second or more.
drop_slow_extra() { "$UV" pip uninstall -q --python "$1/bin/python" rfc3987-syntax lark 2>/dev/null || true; }

server_environment() { # LIST: server, kubernetes or dev. Each holds all of the ones before, which never take it away again.
  local stamp larger; stamp=$(stamp_of "requirements/$1.txt" pyproject.toml)
  is_fresh ".venv/.stamp-$1" "$stamp" && return
  for larger in kubernetes dev; do
    [[ $1 == dev || $1 == "$larger" ]] && continue
    is_fresh ".venv/.stamp-$larger" "$(stamp_of "requirements/$larger.txt" pyproject.toml)" && return
  done
  say "making .venv from requirements/$1.txt"
  bare_environment .venv
  # Compiled once here: every process of the platform starts in less than half the time.
  "$UV" pip sync -q --compile-bytecode --python .venv/bin/python --require-hashes "requirements/$1.txt"
  drop_slow_extra .venv
  "$UV" pip install -q --python .venv/bin/python --no-deps --no-build-isolation --offline -e .
  printf '%s' "$stamp" >".venv/.stamp-$1"
}

# Root gives each workspace a disk image of its own.
need_image_tools() { ((EUID)) || need_packages e2fsprogs=/usr/sbin/mkfs.ext4 mount=/usr/bin/mount; }

setup_server() {
  need_packages bubblewrap=bwrap libseccomp2='/usr/lib/*/libseccomp.so.2' fonts-wqy-microhei=/usr/share/fonts/truetype/wqy/wqy-microhei.ttc
  need_image_tools
  if [[ ${SHUZHA_SPAWNER:-} == kubernetes ]]; then server_environment kubernetes; else server_environment server; fi
}

# fill_sandbox FOLDER LIST…: an analysts' environment of these pinned, hashed lists and the workbench; nothing of the server.
fill_sandbox() {
  local folder=$1 wheels; shift
  bare_environment "$folder"
  "$UV" pip sync -q --python "$folder/bin/python" --require-hashes "$@"
  drop_slow_extra "$folder"
  # Nothing is installed from inside a jail; in pip's place the workbench says where to ask.
  "$UV" pip uninstall -q --python "$folder/bin/python" pip 2>/dev/null || true
  wheels=$(mktemp -d)
  (cd notebooks/workbench && "$ROOT/.venv/bin/python" -m hatchling build -t wheel -d "$wheels" >/dev/null 2>&1) || fail "the workbench wheel does not build"
  "$UV" pip install -q --python "$folder/bin/python" --no-deps --no-index --reinstall "$wheels"/*.whl
  rm -rf "$wheels"
  # The environment is read-only inside the jail, so its byte code is made now.
  "$folder/bin/python" -m compileall -q -j 0 "$folder/lib" || true
}

setup_sandbox() {
  # A link is what `shuzha environment build` switched to: that command renews it.
  [[ -L .venv-sandbox ]] && return
  local stamp; stamp=$(stamp_of requirements/sandbox.txt $(find notebooks/workbench -type f ! -path '*/__pycache__/*' ! -path '*/.*_cache/*' | sort))
  is_fresh .venv-sandbox/.stamp "$stamp" && return
  say "making .venv-sandbox, which holds nothing of the server"
  fill_sandbox .venv-sandbox requirements/sandbox.txt
  printf '%s' "$stamp" >.venv-sandbox/.stamp
}

setup_spark() {
  local stamp; stamp=$(stamp_of requirements/spark.txt)
  need_packages openjdk-17-jre-headless=java
  is_fresh .venv-spark/.stamp "$stamp" && return
  say "making .venv-spark, with Apache Spark (1.4 GB)"
  bare_environment .venv-spark
  "$UV" pip sync -q --python .venv-spark/bin/python --require-hashes requirements/spark.txt
  printf '%s' "$stamp" >.venv-spark/.stamp
}

setup_frontend() { # with "tests": axe-core too
  local front=shuzha/portal/frontend vendor=shuzha/portal/static/vendor extra=(--omit=dev) stamp
  [[ ${1:-} == tests ]] && extra=()
  stamp=$(stamp_of $front/package-lock.json)${extra[*]:-}
  is_fresh $vendor/.stamp "$stamp" && return
  [[ ${1:-} != tests ]] && is_fresh $vendor/.stamp "$(stamp_of $front/package-lock.json)" && return
  local npm=npm
  if ! command -v npm >/dev/null; then
    [[ -x .venv-node/bin/npm ]] || { bare_environment .venv-node; "$UV" pip sync -q --python .venv-node/bin/python --require-hashes requirements/node.txt; }
    export PATH=$ROOT/.venv-node/bin:$PATH
  fi
  say "fetching the portal's front-end files"
  (cd $front && $npm ci --silent "${extra[@]}" >/dev/null 2>&1) || fail "npm ci failed in $front; see: (cd $front && npm ci)"
  mkdir -p $vendor
  cp $front/node_modules/htmx.org/dist/htmx.min.js $front/node_modules/@picocss/pico/css/pico.min.css $vendor/
  [[ ${1:-} == tests ]] && cp $front/node_modules/axe-core/axe.min.js $vendor/
  printf '%s' "$stamp" >$vendor/.stamp
}

setup_all() {
  setup_server
  setup_sandbox
  setup_frontend
}

setup_tests() {
  need_packages bubblewrap=bwrap libseccomp2='/usr/lib/*/libseccomp.so.2' chromium=/usr/bin/chromium \
    fonts-noto-cjk='/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc' \
    fonts-wqy-microhei=/usr/share/fonts/truetype/wqy/wqy-microhei.ttc postgresql='/usr/lib/postgresql/*/bin/initdb'
  need_image_tools
  server_environment dev
  setup_sandbox
  setup_frontend tests
}
