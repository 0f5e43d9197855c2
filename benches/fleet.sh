#!/usr/bin/env bash
# What a fleet costs, beside its floor: `fleetdiag snapshot --window 0s` against `ssh HOST true`, and against `ssh -L`
# and one update, over the same hosts, with the same ssh configuration and as many at once, in turns.
#
#   benches/fleet.sh                      # 8, 64 and 200 hosts, five rounds
#   HOSTS="64" ROUNDS=9 benches/fleet.sh  # others
#   RETENTION=1h benches/fleet.sh         # with consoles that remember as long as they do by default
#
# A host is an address of the loopback where sshd listens: four of them listen at 64 addresses. Its console is one of eight
# real programs, started anew for each run; it remembers five seconds (RETENTION), since what it has to tell would grow with
# its age, and so with the number of hosts. The shell that runs `true` is told that it is no first one, so that it does not
# read the user's start-up files. CPU is that of the client's side alone. Nothing else should run meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."
hosts=${HOSTS:-"8 64 200"} rounds=${ROUNDS:-5} forks=${FORKS:-64}
for needed in python3 curl ssh ssh-keygen; do
    command -v "$needed" > /dev/null || { echo "this needs \`$needed\`" >&2; exit 2; }
done
if [ -z "${FLEETDIAG:-}" ]; then
    cargo build --release --quiet
    FLEETDIAG=target/release/fleetdiag
fi
FLEETDIAG=$(realpath "$FLEETDIAG")
lab=$(mktemp -d)
started=()
finish() {
    for id in "${started[@]}"; do kill "$id" 2> /dev/null || true; done
    rm -rf "$lab"
}
trap finish EXIT

for key in host_key user_key; do ssh-keygen -q -t ed25519 -N '' -f "$lab/$key"; done
echo "lab $(cat "$lab/host_key.pub")" > "$lab/known_hosts"
cat > "$lab/sshd_config" << END
HostKey $lab/host_key
AuthorizedKeysFile $lab/user_key.pub
UsePAM no
StrictModes no
PidFile none
PasswordAuthentication no
MaxStartups 200
SetEnv SHLVL=2
LogLevel ERROR
END
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
ports=()
for server in 1 2 3 4; do
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    addresses=()
    for address in {1..16}; do addresses+=(-o "ListenAddress=127.0.0.$address:$port"); done
    /usr/sbin/sshd -D -f "$lab/sshd_config" "${addresses[@]}" &
    started+=($!)
    ports+=("$port")
done
most=0
for number in $hosts; do [ "$number" -le "$most" ] || most=$number; done
{ for ((host = 0; host < most; host++)); do
      printf 'Host host-%d\nHostName 127.0.0.%d\nPort %d\n' "$host" $((host % 16 + 1)) "${ports[host / 16 % 4]}"
  done
  cat << END
Host *
HostKeyAlias lab
UserKnownHostsFile $lab/known_hosts
IdentityFile $lab/user_key
IdentitiesOnly yes
BatchMode yes
END
} > "$lab/ssh_config"

# One host by hand: a forward to a socket, and the first update through it. An update is asked for by an empty message.
printf '\0\0\0\0\0' > "$lab/empty"
cat > "$lab/by-hand" << 'END'
#!/usr/bin/env bash
cd "$LAB"
ssh -F ssh_config -f -N -M -S "$1.control" -L "$LAB/$1.socket:$2" "$1"
curl --silent --no-buffer --http2-prior-knowledge --unix-socket "$1.socket" -H 'content-type: application/grpc' \
    -H 'te: trailers' --data-binary @empty http://console/rs.tokio.console.instrument.Instrument/WatchUpdates | head -c 5 |
    wc -c | grep -qx 5 || echo "no update of $1"
ssh -F ssh_config -S "$1.control" -O exit "$1" 2> /dev/null
rm -f "$1.socket"
END
chmod +x "$lab/by-hand"

export LAB=$lab FLEETDIAG FORKS=$forks ROUNDS=$rounds NUMBERS=$hosts XDG_RUNTIME_DIR=$lab XDG_STATE_HOME=$lab/state
export TOKIO_CONSOLE_RETENTION=${RETENTION:-5s}
python3 - << 'END'
import json, os, statistics, subprocess, time

lab, forks, rounds = os.environ["LAB"], os.environ["FORKS"], int(os.environ["ROUNDS"])

def snapshot(*more):
    return [os.environ["FLEETDIAG"], "snapshot", "all", "-i", f"{lab}/hosts.yaml", "--ssh-config", f"{lab}/ssh_config",
            "--no-save", "--quiet", "-o", f"json={lab}/report", *more]

def each(lines, *command):
    return ["xargs", "-P", forks, "-a", f"{lab}/{lines}", *command]

ways = {
    "ssh HOST true": each("hosts", "-I", "HOST", "ssh", "-F", f"{lab}/ssh_config", "HOST", "true"),
    "ssh -L, one update": each("consoles", "-L", "1", f"{lab}/by-hand"),
    "fleetdiag snapshot": snapshot("--window", "0s", "--forks", forks),
}

class Consoles:
    """Programs with a console each, and the lists of hosts that have them."""
    def __init__(self, number):
        start = [os.environ["FLEETDIAG"], "demo-program", "jobs"]
        self.programs = [subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(8)]
        addresses = [program.stdout.readline().strip() for program in self.programs]
        hosts = [(f"host-{host}", addresses[host % len(addresses)]) for host in range(int(number))]
        with open(f"{lab}/hosts", "w") as names, open(f"{lab}/consoles", "w") as pairs, open(f"{lab}/hosts.yaml", "w") as yaml:
            yaml.write("all:\n  hosts:\n")
            for host, console in hosts:
                names.write(f"{host}\n")
                pairs.write(f"{host} {console}\n")
                yaml.write(f"    {host}: {{console: '{console}'}}\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in self.programs:
            program.stdin.close()
            program.wait()

def run(command):
    began = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    took = time.monotonic() - began
    # 3: nobody is called healthy after one look.
    if os.waitstatus_to_exitcode(status) not in (0, 3) or said:
        raise SystemExit(f"{command}: status {status}: {said.decode(errors='replace')}")
    return took, used.ru_utime + used.ru_stime

def all_seen(number):
    with open(f"{lab}/report") as report:
        report = json.load(report)
    coverage = report["coverage"]
    if coverage["failed"] or coverage["planned"] != int(number):
        failed = {(target["reason"], target["detail"]) for target in report["targets"] if target["status"] == "failed"}
        raise SystemExit(f"not all of {number} hosts were seen: {coverage}, {failed}")

def tree(parent):
    """The processes below, without the servers, which are below their ssh."""
    children = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as stat:
                name, _, rest = stat.read().rpartition(")")
        except OSError:
            continue
        children.setdefault(int(rest.split()[1]), []).append((int(entry), name.partition("(")[2]))
    waiting, found = [parent], []
    while waiting:
        process = waiting.pop()
        found.append(process)
        waiting += [child for child, name in children.get(process, []) if not name.startswith("sshd")]
    return found

def pss(process):
    try:
        with open(f"/proc/{process}/smaps_rollup") as rollup:
            return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0

def memory(number):
    """The largest sum of PSS over our processes, in KiB, while all hosts are held at once."""
    child = subprocess.Popen(snapshot("--window", "4s", "--forks", number), stdin=subprocess.DEVNULL)
    largest = (0, 0)
    while child.poll() is None:
        processes = tree(child.pid)
        largest = max(largest, (sum(map(pss, processes)), len(processes)))
        time.sleep(0.1)
    return largest

print(f"{'hosts':>5}  {'':20} {'wall':>10} {'ratio':>6} {'CPU/host':>10} {'ratio':>6}")
for number in os.environ["NUMBERS"].split():
    took = {name: [] for name in ways}
    for _ in range(rounds):
        for name, command in ways.items():
            with Consoles(number):
                took[name].append(run(command))
        all_seen(number)
    floor = None
    for name, runs in took.items():
        wall, cpu = (statistics.median(each) for each in zip(*runs))
        floor = floor or (wall, cpu)
        print(f"{number:>5}  {name:20} {wall:8.2f} s {wall / floor[0]:6.2f} {cpu / int(number) * 1000:7.1f} ms {cpu / floor[1]:6.2f}")
    with Consoles(number):
        held, processes = memory(number)
    print(f"{number:>5}  held at once: {held / int(number) / 1024:.2f} MiB of PSS per host in {processes} processes", flush=True)
END
