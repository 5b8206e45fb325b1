# What a switch has and a bare Debian has not: ports, their configuration, a swss.service
# that treats the databases as SONiC's does on a cold start, and the second ASIC of a
# switch with several. Only Docker is missing.

# Ports are ends of veth pairs: a guest has no NIC of that name.
port() { # NAMESPACE-COMMAND NAME PEER
    $1 ip link add "$2" mtu 9100 type veth peer name "$3"
    $1 ip link set "$3" up
    $1 ip link set "$2" up
}
port '' Ethernet0 peer0
port '' Ethernet4 peer4
for port in Ethernet0 Ethernet4; do
    redis-cli -n 4 HSET "PORT|$port" lanes "${port#Ethernet}" speed 100000 mtu 9100 admin_status up >/dev/null
done
redis-cli -n 4 HSET 'DEVICE_METADATA|localhost' switch_type switch >/dev/null

cat >/usr/local/bin/swss.sh <<'EOF'
#!/bin/sh
# SONiC's swss.sh on a cold start, as far as portsyncd is concerned.
socket=/run/redis$1/redis.sock
redis-cli -s "$socket" -n 0 FLUSHDB
redis-cli -s "$socket" -n 6 --scan --pattern 'PORT_TABLE*' | xargs -r redis-cli -s "$socket" -n 6 DEL
EOF
chmod 755 /usr/local/bin/swss.sh
cat >/etc/systemd/system/swss.service <<'EOF'
[Unit]
Description=switch state service
After=redis-server.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/bin/swss.sh
EOF
sed -e 's/redis-server/redis@%i/' -e 's/swss.sh/swss.sh %i/' /etc/systemd/system/swss.service \
    >/etc/systemd/system/swss@.service

# SONiC's description of its databases; the guest's Redis is one instance.
describe() { # DIRECTORY
    mkdir -p "$1/sonic-db"
    jq -n --arg socket "$1/redis.sock" '{
        INSTANCES: {redis: {hostname: "127.0.0.1", port: 6379, unix_socket_path: $socket}},
        DATABASES: {
            APPL_DB: {id: 0, separator: ":", instance: "redis"},
            CONFIG_DB: {id: 4, separator: "|", instance: "redis"},
            STATE_DB: {id: 6, separator: "|", instance: "redis"}
        },
        VERSION: "1.0"
    }' >"$1/sonic-db/database_config.json"
}
describe /run/redis

# ASIC 0: a namespace that belongs to a process, as a container's does, linked as SONiC
# links it, and a Redis of its own.
cat >/etc/systemd/system/asic0.service <<'EOF'
[Service]
PrivateNetwork=yes
ExecStart=/bin/sleep infinity
EOF
cat >/etc/systemd/system/redis@.service <<'EOF'
[Service]
User=redis
Group=redis
RuntimeDirectory=redis%i
RuntimeDirectoryMode=2755
ExecStart=/usr/bin/redis-server --port 0 --unixsocket /run/redis%i/redis.sock --unixsocketperm 760 --databases 100 --save "" --notify-keyspace-events AKE
EOF
systemctl daemon-reload
systemctl start asic0 redis@0
mkdir -p /run/netns
pid=$(systemctl show asic0 -p MainPID --value)
ln -s "/proc/$pid/ns/net" /run/netns/asic0
port "nsenter --net=/run/netns/asic0" Ethernet0 peer0
until [ -S /run/redis0/redis.sock ]; do sleep 0.1; done
describe /run/redis0
redis-cli -s /run/redis0/redis.sock -n 4 HSET 'PORT|Ethernet0' lanes 0 speed 100000 mtu 9100 >/dev/null
