# With the drop-in of the guide a kprobe does what fentry does, and the capability that it
# takes is given up with the others.
mkdir -p /etc/systemd/system/portsyncd.service.d
printf '[Service]\nAmbientCapabilities=CAP_SYS_ADMIN\nCapabilityBoundingSet=CAP_SYS_ADMIN\n' \
    >/etc/systemd/system/portsyncd.service.d/kprobe.conf
cp /etc/sonic/portsyncd.conf /root/portsyncd.conf.good
sed -i 's/^carrier_hook = .*/carrier_hook = "kprobe"/' /etc/sonic/portsyncd.conf
log() { journalctl -o cat _SYSTEMD_INVOCATION_ID="$(systemctl show portsyncd -p InvocationID --value)"; }
hook() {
    systemctl daemon-reload
    systemctl restart portsyncd
    until log | grep -c 'every capability given up'; do sleep 0.2; done
    log | grep 'carrier hook'
}
hook | tee /dev/stderr | grep -c 'carrier_hook="kprobe"'
pid=$(systemctl show portsyncd -p MainPID --value)
if grep -hE 'Cap(Eff|Prm|Amb):' /proc/"$pid"/task/*/status | grep -v '0000000000000000$'; then exit 1; fi
# Without it the kernel refuses, and the log says what.
rm -r /etc/systemd/system/portsyncd.service.d
hook | tee /dev/stderr | grep -c 'perf_event_open'
mv /root/portsyncd.conf.good /etc/sonic/portsyncd.conf
hook
