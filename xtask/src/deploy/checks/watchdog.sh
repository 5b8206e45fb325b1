# A daemon that hangs is restarted by systemd's watchdog.
pid=$(systemctl show portsyncd -p MainPID --value)
kill -STOP "$pid"
started=$SECONDS
for _ in $(seq 900); do
    [ "$(systemctl show portsyncd -p MainPID --value)" != "$pid" ] && systemctl -q is-active portsyncd && break
    sleep 0.1
done
echo "hung $pid, after $((SECONDS - started)) s $(systemctl show portsyncd -p MainPID --value)"
[ "$(systemctl show portsyncd -p MainPID --value)" != "$pid" ]
systemctl is-active portsyncd
journalctl -u portsyncd -b | grep 'Watchdog timeout'
