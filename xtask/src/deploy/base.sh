# base.sh SUITE MIRROR PACKAGES DIRECTORY: disk.ext4, vmlinuz and initrd.img.
suite=$1 mirror=$2 packages=$3 directory=$4
tree=$directory/tree
trap 'rm -rf "$tree"' EXIT
rm -rf "$tree" "$directory/recipe"
debootstrap --variant=minbase --include="$packages" "$suite" "$tree" "$mirror" >"$directory/debootstrap.log"

# SONiC's Redis: its socket, its databases, its keyspace events.
cat >>"$tree/etc/redis/redis.conf" <<'EOF'
databases 100
save ""
notify-keyspace-events AKE
unixsocket /run/redis/redis.sock
unixsocketperm 760
EOF

# What runs the jobs: they come on the second disk and talk over the second serial port.
cat >"$tree/etc/systemd/system/deploy.service" <<'EOF'
[Unit]
Description=the jobs of cargo xtask test-deploy
Wants=redis-server.service
After=multi-user.target redis-server.service
ConditionKernelCommandLine=!deploy.keep

[Service]
Type=exec
ExecStart=/bin/sh -c 'mkdir -p /root/portsyncd && tar -C /root/portsyncd -xf /dev/vdb && exec /root/portsyncd/xtask guest-jobs /root/portsyncd/jobs.json'
StandardOutput=file:/dev/ttyS1
StandardError=journal+console
ExecStopPost=systemctl --no-block poweroff
EOF
mkdir -p "$tree/etc/systemd/system/graphical.target.wants" "$tree/var/log/journal"
ln -s ../deploy.service "$tree/etc/systemd/system/graphical.target.wants/deploy.service"
echo switch >"$tree/etc/hostname"
echo '127.0.0.1 localhost switch' >>"$tree/etc/hosts"
chroot "$tree" passwd --quiet --delete root
rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*

cp "$tree"/boot/vmlinuz-* "$directory/vmlinuz"
cp "$tree"/boot/initrd.img-* "$directory/initrd.img"
rm -f "$directory/disk.ext4"
truncate -s 2G "$directory/disk.ext4"
mkfs.ext4 -q -F -d "$tree" "$directory/disk.ext4"
