# Asks the URL $1 for at most $2 seconds, here and without a proxy, and prints the tool, the status and the time it took.
LC_ALL=C; export LC_ALL
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
if command -v curl >/dev/null 2>&1; then
    curl -q -s -S -g -o /dev/null --max-time "$2" -w 'curl %{http_code} %{time_total}\n' "$1"
elif command -v wget >/dev/null 2>&1; then
    before=$(cut -d ' ' -f 1 /proc/uptime)
    # Its complaints are wanted as well as the status line.
    wget -S -t 1 -T "$2" -O /dev/null "$1" 2>&1 | tail -n 40
    echo "wget $before $(cut -d ' ' -f 1 /proc/uptime)"
else
    echo none
fi
