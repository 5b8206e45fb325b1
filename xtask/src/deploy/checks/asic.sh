# The instance that the guide set up works in its ASIC's namespace, without privileges.
systemctl start portsyncd@0
row() { redis-cli -s /run/redis0/redis.sock -n 6 HGET 'PORT_TABLE|Ethernet0' "$1"; }
[ "$(row netdev_oper_status)" = up ]
nsenter --net=/run/netns/asic0 ip link set Ethernet0 mtu 1400
for _ in $(seq 100); do [ "$(row mtu)" = 1400 ] && break; sleep 0.1; done
[ "$(row mtu)" = 1400 ]
# The port of the same name outside is another one.
[ "$(redis-cli -n 6 HGET 'PORT_TABLE|Ethernet0' mtu)" = 9100 ]
id=$(systemctl show portsyncd@0 -p InvocationID --value)
until journalctl -o cat _SYSTEMD_INVOCATION_ID="$id" | grep 'every capability given up'; do sleep 0.2; done
pid=$(systemctl show portsyncd@0 -p MainPID --value)
if grep -hE 'Cap(Eff|Prm|Amb):' /proc/"$pid"/task/*/status | grep -v '0000000000000000$'; then exit 1; fi
# swss@0 takes it along.
systemctl restart swss@0
for _ in $(seq 100); do [ "$(row netdev_oper_status)" = up ] && break; sleep 0.1; done
[ "$(row netdev_oper_status)" = up ]
[ "$(systemctl show portsyncd@0 -p MainPID --value)" != "$pid" ]
systemctl stop portsyncd@0
