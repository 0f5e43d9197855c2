# Prints what /proc tells of the program behind a console, and of the machine, a fact a line. Reads only.
# $1 tcp, unix or pid; $2 the port, path or number; $3 how many seconds lie between two samples, 0 for one sample.
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/sbin
kind=$1 value=$2 pause=$3
exec 2>/dev/null
echo 'fleetdiag-host 1'
[ -r /proc/stat ] || { echo 'unseen all no-proc'; echo end; exit 0; }
command -v awk >/dev/null || { echo 'unseen all no-awk'; echo end; exit 0; }

sample() {
    awk -v n="$1" '$1 == "cpu" { printf "cpu%s %.0f %.0f\n", n, $2 + $3 + $4 + $7 + $8 + $9, $5 + $6; exit }' /proc/stat
    [ -n "$pid" ] || return
    awk -v n="$1" '{ print "uptime" n, $1 }' /proc/uptime
    sed -n '$s/.*) //p' "/proc/$pid/stat" | awk -v n="$1" '{ printf "ticks%s %.0f\n", n, $12 + $13; print "start", $20 }'
    awk -v n="$1" '$1 == "TcpExt:" && !at { for (i = 2; i <= NF; i++) if ($i == "ListenOverflows") at = i; next }
        $1 == "TcpExt:" && at { print "overflow" n, $at; exit }' "/proc/$pid/net/netstat"
}

awk '/^cpu[0-9]/ { n++ } END { print "cpus", n }' /proc/stat
awk '{ print "load", $1 }' /proc/loadavg
awk '/^MemTotal:/ { print "memory", $2 } /^MemAvailable:/ { print "available", $2 }' /proc/meminfo
for resource in cpu memory io; do
    awk -v r="$resource" '{ split($2, a, "="); print "psi", r, $1, a[2] }' "/proc/pressure/$resource"
done

pid='' inode=''
case $kind in
pid) pid=$value ;;
tcp)
    inode=$(cat /proc/net/tcp /proc/net/tcp6 | awk -v end="$(printf ':%04X' "$value")" \
        '$4 == "0A" && substr($2, length($2) - 4) == end { print $10; exit }')
    ;;
unix)
    inode=$(wanted=$value awk '$4 == "00010000" && $8 == ENVIRON["wanted"] { print $7; exit }' /proc/net/unix)
    ;;
esac
# A socket can be open in several processes, such as a service manager and its service: the youngest serves it.
if [ -n "$inode" ]; then
    pid=$(ls -l /proc/[0-9]*/fd | awk -v wanted="socket:[$inode]" '/^\/proc\// { split($1, a, "/"); p = a[3]; next }
        $NF == wanted && p + 0 > best + 0 { best = p } END { if (best) print best }')
fi
if [ -n "$pid" ] && ! [ -r "/proc/$pid/status" ]; then
    pid=''
    echo 'unseen process gone'
elif [ -z "$pid" ]; then
    if [ -n "$inode" ]; then echo 'unseen process denied'; else echo 'unseen process nobody'; fi
fi
sample 0

if [ -n "$pid" ]; then
    echo "pid $pid"
    awk '/^Name:/ { print "name", $2 } /^Threads:/ { print "threads", $2 } /^VmRSS:/ { print "rss", $2 }' "/proc/$pid/status"
    awk '/^Max open files/ { print "fdlimit", $4 }' "/proc/$pid/limits"
    group=$(sed -n 's/^0:://p' "/proc/$pid/cgroup")
    [ -n "$group" ] && awk '{ print "cgmemory", $1 }' "/sys/fs/cgroup$group/memory.max"
    [ -n "$group" ] && awk '$1 == "oom_kill" { print "oomkill", $2 }' "/sys/fs/cgroup$group/memory.events"
    group=$(sed -n 's/^[0-9]*:memory://p' "/proc/$pid/cgroup")
    [ -n "$group" ] && awk '{ print "cgmemory", $1 }' "/sys/fs/cgroup/memory$group/memory.limit_in_bytes"
fi
tables=/proc/${pid:-self}/net
sockets=$(cat "$tables/sockstat" "$tables/sockstat6" | awk '/^TCP6?:/ { n += $3 } END { print n + 0 }')
if [ "${sockets:-0}" -gt 200000 ]; then
    echo "unseen tcp many"
    rows=''
elif [ -z "$pid$inode" ]; then
    # Nobody's: what other programs of the machine have open says nothing.
    rows=''
else
    rows="$tables/tcp $tables/tcp6"
fi
# The process's descriptors first, then the table of sockets, in which they are found again by inode. Connections that
# wait to be accepted have none: they count where the process listens on their port.
{ ls -l "/proc/${pid:-none}/fd"; echo --; [ -z "$rows" ] || cat $rows; } | awk '
    !table && /^--$/ { table = 1; next }
    !table { if (/ -> /) { fds++; if ($NF ~ /^socket:\[[0-9]+\]$/) mine[substr($NF, 9, length($NF) - 9)] = 1 } next }
    $1 == "sl" { seen = 1; next }
    {
        port = substr($2, length($2) - 3)
        all[$4]++
        if ($4 == "0A") { queue = substr($5, 10, 8); if (queue > every[port]) every[port] = queue }
        if ($10 in mine) { own[$4]++; if ($4 == "0A") { if (queue >= listens[port]) listens[port] = queue } }
        else if ($10 == "0") waiting[$4 " " port]++
    }
    END {
        if (fds) print "fds", fds
        if (!seen) exit
        for (key in waiting) { split(key, a, " "); if (a[2] in listens) own[a[1]] += waiting[key] }
        print "of", fds ? "process" : "network"
        if (fds) { for (s in own) print "tcp", s, own[s]; for (p in listens) print "listen", p, listens[p] }
        else { for (s in all) print "tcp", s, all[s]; for (p in every) print "listen", p, every[p] }
    }' | head -n 400
if [ "$kind" != pid ] && command -v ss >/dev/null; then
    ss -ltn | awk '$1 == "LISTEN" { n = split($4, a, ":"); print "ss", a[n], $2, $3 }' | head -n 400
fi
if [ "$pause" -gt 0 ]; then
    sleep "$pause"
    sample 1
fi
echo end
