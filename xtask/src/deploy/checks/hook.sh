# Both programs work under the hardened unit: the carrier hook by fentry, the link
# messages by the socket filter.
id=$(systemctl show portsyncd -p InvocationID --value)
log() { journalctl -o cat _SYSTEMD_INVOCATION_ID="$id"; }
log | grep 'source="*ebpf'
log | grep 'carrier_hook="fentry"'
oper() { redis-cli -n 6 HGET 'PORT_TABLE|Ethernet0' netdev_oper_status; }
ip link set peer0 down
for _ in $(seq 100); do [ "$(oper)" = down ] && break; sleep 0.1; done
[ "$(oper)" = down ]
ip link set peer0 up
for _ in $(seq 100); do [ "$(oper)" = up ] && break; sleep 0.1; done
[ "$(oper)" = up ]
# What the hook saw is in the daemon's closing account.
systemctl restart portsyncd
log | grep -o 'carrier_changes=[0-9]*' | tee /dev/stderr | grep -cv 'carrier_changes=0'
