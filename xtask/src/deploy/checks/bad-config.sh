# A bad configuration fails the unit for good, says which key, and only such lines are
# errors in the journal.
cp /etc/sonic/portsyncd.conf /root/portsyncd.conf.good
since=$(date '+%Y-%m-%d %H:%M:%S')
systemctl restart portsyncd
journalctl -u portsyncd -p err --since "$since" --no-pager -q | tee /dev/stderr | wc -l | grep -cx 0
printf '[performance]\nmax_event_queue = 0\n' >/etc/sonic/portsyncd.conf
if systemctl restart portsyncd; then echo "it started"; exit 1; fi
systemctl show portsyncd -p ActiveState,ExecMainStatus | tee /dev/stderr | paste -sd ' ' |
    grep -cE 'ExecMainStatus=64 ActiveState=failed|ActiveState=failed ExecMainStatus=64'
# It stays so: a repetition mends nothing.
sleep 3
[ "$(systemctl is-failed portsyncd)" = failed ]
journalctl -u portsyncd _TRANSPORT=stdout -p err --since "$since" --no-pager -q -o cat | tee /dev/stderr |
    grep -c 'performance.max_event_queue'
mv /root/portsyncd.conf.good /etc/sonic/portsyncd.conf
systemctl restart portsyncd
# A bad file on reload changes nothing.
pid=$(systemctl show portsyncd -p MainPID --value)
echo 'nonsense = 1' >>/etc/sonic/portsyncd.conf
systemctl reload portsyncd
for _ in $(seq 100); do
    journalctl -u portsyncd -p err --since "$since" -o cat | grep 'the old one stays in force' && break
    sleep 0.1
done
sed -i '$d' /etc/sonic/portsyncd.conf
systemctl reload portsyncd
[ "$(systemctl show portsyncd -p MainPID --value)" = "$pid" ]
journalctl -u portsyncd -p err --since "$since" -o cat | grep -c 'the old one stays in force'
# Stopping takes less than five seconds.
started=$(date +%s%N)
systemctl stop portsyncd
took=$((($(date +%s%N) - started) / 1000000))
echo "stopped within $took ms"
[ "$took" -lt 5000 ]
[ "$(systemctl show portsyncd -p Result --value)" = success ]
systemctl start portsyncd
