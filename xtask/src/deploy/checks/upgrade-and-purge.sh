# An upgrade keeps configuration and state and restarts what runs; removal keeps both;
# purging keeps nothing.
echo '# mine' >>/etc/sonic/portsyncd.conf
echo kept >/var/lib/sonic/portsyncd/mine
pid=$(systemctl show portsyncd -p MainPID --value)
rm -rf /var/tmp/newer
dpkg-deb -R portsyncd_*.deb /var/tmp/newer
sed -i 's/^Version: .*/&+newer/' /var/tmp/newer/DEBIAN/control
dpkg-deb --root-owner-group -Znone -b /var/tmp/newer /var/tmp/newer.deb >/dev/null
dpkg -i /var/tmp/newer.deb
tail -n 1 /etc/sonic/portsyncd.conf | grep -cx '# mine'
grep -cx kept /var/lib/sonic/portsyncd/mine
systemctl is-active portsyncd
[ "$(systemctl show portsyncd -p MainPID --value)" != "$pid" ]

dpkg -r portsyncd
if systemctl -q is-active portsyncd; then echo "it runs on"; exit 1; fi
[ -e /etc/sonic/portsyncd.conf ] && [ -e /var/lib/sonic/portsyncd/mine ]

dpkg -P portsyncd
for gone in /etc/sonic/portsyncd.conf /var/lib/sonic/portsyncd /usr/bin/portsyncd \
    /lib/systemd/system/portsyncd.service /etc/systemd/system/multi-user.target.wants/portsyncd.service; do
    if [ -e "$gone" ] || [ -L "$gone" ]; then echo "$gone is still there"; exit 1; fi
done
if getent passwd portsyncd || getent group portsyncd; then echo "the user is still there"; exit 1; fi
