#!/bin/sh
# Installs what the tests' real servers need from the system's packages, where this user may. What can't be installed is
# named; the tests that need it are then skipped, or fail with CI=true.
set -u
as_root=
[ "$(id -u)" = 0 ] || as_root="sudo -n"

install() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 && return
    if command -v apt-get >/dev/null 2>&1; then
        echo "installing $2"
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null 2>&1 && return
        $as_root apt-get update -qq >/dev/null 2>&1
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null 2>&1 && return
    fi
    echo "$1 is missing and could not be installed: get it with your package manager (Debian: apt-get install $2)"
}

install redis-server redis-server
install rsyslogd rsyslog
ls /usr/lib/*/rsyslog/omkafka.so >/dev/null 2>&1 || install rsyslog-omkafka rsyslog-kafka
install java openjdk-17-jdk-headless
install mvn maven
exit 0
