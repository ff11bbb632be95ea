#!/usr/bin/env bash
# Sees to it that Nearline can be built here: a C++ compiler, make, cmake and libclang for RocksDB,
# perl for OpenSSL, and Rust.
#
# The other scripts source this one. What is missing is installed through the system's package manager where that
# needs no password; where it does, the one command to type is printed, and the exit code is 2. Where nothing is
# missing, nothing is said.

# The Rust that the code is checked with, and that is installed where there is none.
checked_rust=1.95.0
nearline_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

have() { command -v "$1" >/dev/null 2>&1; }
say() { printf '%s\n' "$*" >&2; }

# ---- What RocksDB and OpenSSL need -----------------------------------------------------------------------------------------

have_compiler() { have "${CXX:-c++}" && have "${CC:-cc}"; }

# The library that bindgen loads, and on Linux the headers that it comes with.
have_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    local library header
    for library in /usr/lib/llvm-*/lib/libclang{.so*,-[0-9]*.so*} /usr/lib/llvm*/lib/libclang.so* \
        /usr/lib/*/libclang{.so*,-[0-9]*.so*} /usr/lib/libclang.so* /usr/lib64/libclang.so* \
        /usr/lib64/llvm*/lib/libclang.so* /usr/local/lib/libclang.so* /usr/local/llvm*/lib/libclang.so* \
        {/opt/homebrew,/usr/local,/home/linuxbrew/.linuxbrew}/opt/llvm/lib/libclang.{dylib,so*} \
        /Library/Developer/CommandLineTools/usr/lib/libclang.dylib \
        /Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib/libclang.dylib; do
        [ -e "$library" ] || continue
        [ "$(uname)" = Linux ] || return 0
        for header in /usr/lib/llvm*/lib/clang/*/include/stddef.h /usr/lib/clang/*/include/stddef.h \
            /usr/lib64/clang/*/include/stddef.h /usr/lib64/llvm*/lib/clang/*/include/stddef.h \
            /usr/local/l*/lib/clang/*/include/stddef.h /usr/local/lib/clang/*/include/stddef.h \
            /home/linuxbrew/.linuxbrew/opt/llvm/lib/clang/*/include/stddef.h; do
            [ -e "$header" ] && return 0
        done
    done
    return 1
}

# OpenSSL, which the client of Kafka is built with, is configured by perl and some of its modules.
have_perl() { have perl && perl -MFindBin -MIPC::Cmd -MFile::Compare -MFile::Copy -MTime::Piece -e 1 2>/dev/null; }

missing_tools() {
    have_compiler || printf 'a C++ compiler\n'
    have make || printf 'make\n'
    have cmake || printf 'cmake\n'
    have_libclang || printf 'libclang\n'
    have_perl || printf 'perl with its modules\n'
    # For fetching Rust, where there is none.
    recent_rust || have curl || printf 'curl\n'
}

# Sets `update`, `install` and `packages` to this system's words, and `typed` to what a person would type.
know_packages() {
    update=() install=() packages=() typed=''
    if have apt-get; then
        update=(apt-get update -q)
        install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends)
        packages=(g++ make cmake libclang-dev pkg-config perl curl ca-certificates)
        typed="sudo apt-get update && sudo apt-get install -y ${packages[*]}"
    elif have dnf; then
        install=(dnf install -y)
        packages=(gcc-c++ make cmake clang-devel pkgconf-pkg-config perl-core curl ca-certificates)
    elif have pacman; then
        install=(pacman -Sy --noconfirm --needed)
        packages=(base-devel cmake clang perl curl ca-certificates)
    elif have apk; then
        install=(apk add)
        packages=(build-base cmake clang-dev clang-libclang linux-headers pkgconf perl bash curl ca-certificates)
    elif have brew; then
        install=(brew install)
        packages=(llvm cmake perl)
    else
        return 1
    fi
    if [ -z "$typed" ]; then
        typed="sudo ${install[*]} ${packages[*]}"
        if [ "${install[0]}" = brew ]; then typed="${install[*]} ${packages[*]}"; fi
    fi
}

# Runs a command as root, where no password is needed for that. Homebrew wants no root.
as_root() {
    if [ "$(id -u)" = 0 ] || [ "$1" = brew ]; then "$@" </dev/null >&2; else sudo -n "$@" </dev/null >&2; fi
}

may_install() { [ "$(id -u)" = 0 ] || [ "${install[0]}" = brew ] || { have sudo && sudo -n true 2>/dev/null; }; }

install_tools() {
    local missing
    missing="$(missing_tools | paste -sd, - | sed 's/,/, /g')"
    [ -n "$missing" ] || return 0
    if ! know_packages; then
        say "Nearline needs $missing to be built. Install that with your package manager and start again."
        exit 2
    fi
    if ! may_install; then
        say "Nearline needs $missing to be built. Type this and start again:"
        say ""
        say "    $typed"
        exit 2
    fi
    say "Installing what Nearline is built with, as it is missing here: $missing"
    if ! { [ ${#update[@]} = 0 ] || as_root "${update[@]}"; } || ! as_root "${install[@]}" "${packages[@]}"; then
        say "That failed. Type this, see what it says, and start again:"
        say ""
        say "    $typed"
        exit 2
    fi
    missing="$(missing_tools | paste -sd, - | sed 's/,/, /g')"
    if [ -n "$missing" ]; then
        say "${packages[*]} are installed, and still there is no sign of: $missing."
        say "Where it is libclang, set LIBCLANG_PATH to the folder that holds it. Then start again."
        exit 2
    fi
}

# ---- Rust -------------------------------------------------------------------------------------------------------

wanted_rust() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$nearline_root/Cargo.toml" | head -n 1; }

recent_rust() {
    have cargo && have rustc || return 1
    local found wanted
    wanted="$(wanted_rust)"
    found="$(found_rust)"
    [ -n "$found" ] && [ "$(number "$found")" -ge "$(number "$wanted")" ]
}

found_rust() { rustc --version 2>/dev/null | awk '{ print $2 }'; }

# 1.88.0 as 1088, to compare by.
number() { awk -F. '{ print $1 * 1000 + $2 }' <<<"$1"; }

# The official installer, from either of its two addresses.
fetch_rustup() {
    local fetch=(curl --proto '=https' --tlsv1.2 -sSf)
    "${fetch[@]}" https://sh.rustup.rs || "${fetch[@]}" https://static.rust-lang.org/rustup/rustup-init.sh
}

install_rust() {
    recent_rust && return 0
    local installer wanted
    wanted=(-y --no-modify-path --default-toolchain "$checked_rust" --profile minimal -c clippy -c rustfmt)
    say "Nearline needs Rust $(wanted_rust) or newer: installing it through rustup."
    if ! have rustup && know_packages && may_install && [ "${install[0]}" != apk ]; then
        # Where the system has rustup as a package (and nothing need be removed for it), that one.
        [ "${packages[0]}" = g++ ] && install+=(--no-remove)
        as_root "${install[@]}" rustup >/dev/null 2>&1 || true
        if ! have rustup && have rustup-init; then
            rustup-init "${wanted[@]}" </dev/null >&2 || true
        fi
    fi
    if ! have rustup; then
        say "The system has no package of it: fetching the official installer, https://sh.rustup.rs"
        installer="$(mktemp)"
        if fetch_rustup >"$installer"; then
            RUSTUP_INIT_SKIP_PATH_CHECK=yes sh "$installer" "${wanted[@]}" </dev/null >&2 || true
        fi
        rm -f "$installer"
    fi
    hash -r
    if ! recent_rust && have rustup; then
        rustup toolchain install "$checked_rust" --profile minimal -c clippy -c rustfmt </dev/null >&2 || true
        export RUSTUP_TOOLCHAIN="$checked_rust"
    fi
    if ! recent_rust; then
        say "That failed. Install Rust $(wanted_rust) or newer from https://rustup.rs and start again."
        exit 2
    fi
}

# An older Rust of the system comes after that of rustup.
recent_rust || export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
install_tools
install_rust
# bindgen must load libclang, which a statically linked build script cannot.
if have ldd && { ldd --version 2>&1 || true; } | grep -qi musl; then
    export RUSTFLAGS="${RUSTFLAGS:--C target-feature=-crt-static}"
fi
# One cache for everything: RocksDB takes 15 to 20 minutes to build on two cores, once.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/nearline/target}"
