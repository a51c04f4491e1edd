#!/usr/bin/env bash
# Rebuilds the WASM policies from their sources: policies/*/guest -> policies/*/plugin.wasm and plugin.wasm.sha256.
#
#   policies/build.sh [FOLDER]    with FOLDER, the results go to FOLDER/<policy>.wasm and the committed files stay as they are
#   policies/build.sh FOLDER GUEST...    the same for other guests, each a folder with a Cargo.toml: FOLDER/<guest>.wasm
#
# With rustup's wasm32-unknown-unknown target it needs nothing else. Without it, it takes Debian's rustc-web and rust-web-src
# (installed with apt where they are missing and it may), builds std for the target, and links with the linker of the toolchain
# that is installed. The same toolchain and sources give the same bytes; other toolchains give other bytes that do the same.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
target=wasm32-unknown-unknown
host=$(rustc -vV | sed -n 's/^host: //p')
tools=$(rustc --print sysroot)/lib/rustlib/$host/bin
linker=$tools/wasm-component-ld
[ -x "$linker" ] || { echo "build.sh: the Rust toolchain has no $linker" >&2; exit 1; }

# No paths of this machine in what is committed, no panic messages that nobody could read.
# Vectors of 16 bytes, which wasmtime has unless it is told otherwise.
# A small stack and room for a small heap from the start: a guest that does not grow its memory is made and wiped faster.
flags="-Ctarget-feature=+simd128 -Clinker-flavor=wasm-ld -Clink-arg=-zstack-size=131072 -Clink-arg=--initial-memory=1048576 --remap-path-prefix=$root=gatewright --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
arguments=(--release --locked --target "$target")

if [ -d "$(rustc --print target-libdir --target "$target" 2>/dev/null)" ]; then
  compiler=$(command -v rustc)
  unset RUSTC_BOOTSTRAP
else
  compiler=/usr/bin/rustc
  if [ ! -x "$compiler" ] || [ ! -d "$("$compiler" --print sysroot)/lib/rustlib/src/rust/library" ]; then
    echo "build.sh: installing rustc-web and rust-web-src" >&2
    apt-get install -y --no-install-recommends rustc-web rust-web-src >&2 || {
      echo "build.sh: add the target ($target) with rustup, or install rustc-web and rust-web-src" >&2
      exit 1
    }
  fi
  export RUSTC_BOOTSTRAP=1
  flags="$flags -Zlocation-detail=none -Zunstable-options -Cpanic=immediate-abort"
  arguments+=(-Zbuild-std=std,panic_abort)
fi

out=${CARGO_TARGET_DIR:-$root/target}/guests
guests=("${@:2}")
[ ${#guests[@]} -gt 0 ] || guests=("$root"/policies/*/guest)
for guest in "${guests[@]}"; do
  policy=$(sed -n '0,/^name = /s/^name = "\(.*\)"/\1/p' "$guest/Cargo.toml")
  ( cd "$guest"
    PATH=$tools/gcc-ld:$PATH RUSTC=$compiler RUSTFLAGS=$flags CARGO_TARGET_DIR=$out \
      CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linker cargo build "${arguments[@]}" )
  built=$out/$target/release/${policy//-/_}.wasm
  if [ $# -gt 0 ]; then
    mkdir -p "$1"
    cp "$built" "$1/$policy.wasm"
  else
    cp "$built" "$root/policies/$policy/plugin.wasm"
    ( cd "$root/policies/$policy" && sha256sum plugin.wasm > plugin.wasm.sha256 )
    cat "$root/policies/$policy/plugin.wasm.sha256"
  fi
done
