#!/bin/sh
# Installs what the tests need from the system's packages (real servers, a browser, promtool), and with `bench` what the benchmarks
# need besides, where this user may and wants it.
# What can't be installed is named; the tests that need it are then skipped, or fail with CI=true.
#
# On a person's machine it says which packages and asks first. It does not ask with CI=true, nor root without a terminal
# (a container); anybody else without a terminal gets nothing installed.
set -u
as_root=
[ "$(id -u)" = 0 ] || as_root="sudo"
missing=

need() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

need redis-server redis-server
need rsyslogd rsyslog
ls /usr/lib/*/rsyslog/omkafka.so >/dev/null 2>&1 || missing="$missing rsyslog-kafka"
need java openjdk-17-jdk-headless
need mvn maven
command -v google-chrome >/dev/null 2>&1 || need chromium chromium
need chromedriver chromium-driver
[ -x .venv/bin/promtool ] || need promtool prometheus
[ "${1:-}" != bench ] || need wrk wrk
[ -n "$missing" ] || exit 0

may_install() {
    [ "${CI:-}" = true ] && return 0
    if [ -t 0 ] && [ -t 1 ]; then
        printf 'The tests on real servers and in a browser need these packages of the system:%s\nInstall them with %s apt-get? [y/N] ' "$missing" "$as_root"
        read -r answer
        [ "$answer" = y ] || [ "$answer" = Y ]
    else
        [ "$(id -u)" = 0 ]
    fi
}

# promtool alone, into .venv: the package would start a server.
unpack_promtool() {
    unpacked=$(mktemp -d) || return 1
    (cd "$unpacked" && apt-get download -qq prometheus && dpkg -x prometheus_*.deb .) >/dev/null 2>&1
    cp "$unpacked/usr/bin/promtool" .venv/bin/ 2>/dev/null
    status=$?
    rm -rf "$unpacked"
    return $status
}

install() { # PACKAGE
    [ "$1" = prometheus ] && { unpack_promtool; return; }
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >/dev/null 2>&1
}

if ! command -v apt-get >/dev/null 2>&1 || ! may_install; then
    echo "the tests on real servers and in a browser are skipped without these; get them with your package manager (Debian: apt-get install$missing)"
    exit 0
fi
updated=
for package in $missing; do
    echo "installing $package, which some tests or benchmarks need"
    install "$package" && continue
    [ -n "$updated" ] || $as_root apt-get update -qq >/dev/null 2>&1
    updated=yes
    install "$package" || echo "$package could not be installed: get it with your package manager (Debian: apt-get install $package)"
done
exit 0
