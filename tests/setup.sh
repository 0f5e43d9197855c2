#!/usr/bin/env bash
# Installs what the tests need on a Debian machine that has only Rust, or says what to install.
set -euo pipefail

# program → Debian package
declare -A needed=([git]=git [ssh]=openssh-client [sshd]=openssh-server [ssh-keygen]=openssh-client [protoc]=protobuf-compiler [unzip]=unzip [cc]=gcc [docker]=docker.io [dockerd]=docker.io [podman]=podman [busybox]=busybox-static [nsenter]=util-linux [iptables]=iptables [strip]=binutils [python3]=python3 [systemd-analyze]=systemd [go]=golang-go [chromium]=chromium [chromedriver]=chromium-driver)

export PATH="$PATH:/usr/sbin:/sbin"
packages=()
for program in "${!needed[@]}"; do
    command -v "$program" >/dev/null || packages+=("${needed[$program]}")
done

python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)

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

# The readers that reports are held against, in an environment of their own.
python=target/tools/python
if ! cmp -s tests/requirements.txt "$python/requirements.txt"; then
    [ -x "$python/bin/pip" ] || python3 -m venv "$python"
    "$python/bin/pip" install --quiet --disable-pip-version-check --requirement tests/requirements.txt
    cp tests/requirements.txt "$python/requirements.txt"
fi

# The official SARIF schema, out of a crate that ships it. Nothing of that crate is built.
sarif=target/tools/sarif
if [ ! -f "$sarif/schema.json" ]; then
    mkdir -p "$sarif/src"
    touch "$sarif/src/lib.rs"
    printf '[package]\nname = "sarif-schema"\nversion = "0.0.0"\n[dependencies]\nserde-sarif = "=0.8.0"\n[workspace]\n' >"$sarif/Cargo.toml"
    (cd "$sarif" && cargo vendor --quiet vendor >/dev/null)
    cp "$sarif/vendor/serde-sarif/src/schema.json" "$sarif/schema.json"
    rm -r "$sarif/vendor"
fi

# An sshd that runs as root wants its privilege separation directory, which Debian makes only with the service.
if [ "$(id -u)" -eq 0 ]; then
    mkdir -p /run/sshd
    chmod 755 /run/sshd
fi
