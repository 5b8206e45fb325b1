# A daemon that is killed comes back, and so does what it published.
pid=$(systemctl show portsyncd -p MainPID --value)
restarts=$(systemctl show portsyncd -p NRestarts --value)
redis-cli -n 6 DEL 'PORT_TABLE|Ethernet4'
kill -9 "$pid"
for _ in $(seq 300); do
    [ "$(systemctl show portsyncd -p NRestarts --value)" -gt "$restarts" ] && break
    sleep 0.1
done
for _ in $(seq 300); do systemctl -q is-active portsyncd && break; sleep 0.1; done
systemctl is-active portsyncd
new=$(systemctl show portsyncd -p MainPID --value)
echo "killed $pid, now $new"
[ "$new" != "$pid" ]
redis-cli -n 6 HGETALL 'PORT_TABLE|Ethernet4' | paste -sd ' ' | tee /dev/stderr |
    grep -c 'netdev_oper_status up'
