# No thread of the running daemon has a capability left, and each is under the filter.
systemctl restart portsyncd
given_up() {
    journalctl -u portsyncd _SYSTEMD_INVOCATION_ID="$(systemctl show portsyncd -p InvocationID --value)" |
        grep 'every capability given up'
}
until given_up; do sleep 0.2; done
pid=$(systemctl show portsyncd -p MainPID --value)
for task in /proc/"$pid"/task/*; do
    grep -E '^(Name|Uid|Groups|Cap...|NoNewPrivs|Seccomp):' "$task/status"
    for set in CapInh CapPrm CapEff CapAmb; do
        grep -c "^$set:[[:space:]]*0000000000000000$" "$task/status"
    done
    grep -c '^NoNewPrivs:[[:space:]]*1$' "$task/status"
    grep -c '^Seccomp:[[:space:]]*2$' "$task/status"
done
[ "$(stat -c %U /proc/"$pid")" = portsyncd ]
stat -c '%a %U:%G %n' /var/lib/sonic/portsyncd /var/lib/sonic/portsyncd/metrics /var/lib/sonic/portsyncd/backups |
    tee /dev/stderr | grep -c '^750 portsyncd:portsyncd ' | grep -cx 3
