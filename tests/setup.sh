#!/usr/bin/env bash
# Installs what the tests need on a Debian machine that has only Rust, or says what to install.
set -euo pipefail

# program → Debian package
declare -A needed=([ssh]=openssh-client [sshd]=openssh-server [ssh-keygen]=openssh-client [protoc]=protobuf-compiler [unzip]=unzip [cc]=gcc)

export PATH="$PATH:/usr/sbin:/sbin"
packages=()
for program in "${!needed[@]}"; do
    command -v "$program" >/dev/null || packages+=("${needed[$program]}")
done

if [ ${#packages[@]} -gt 0 ]; then
    mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
    if [ "$(id -u)" -ne 0 ]; then
        echo "The tests need: ${packages[*]}. Install them with:" >&2
        echo "    sudo apt-get install -y ${packages[*]}" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

# An sshd that runs as root wants its privilege separation directory, which Debian makes only with the service.
if [ "$(id -u)" -eq 0 ]; then
    mkdir -p /run/sshd
    chmod 755 /run/sshd
fi
