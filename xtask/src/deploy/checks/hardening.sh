# The unit's exposure, as systemd itself judges it.
exposure() {
    systemd-analyze --no-pager security "$1" | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p'
}
systemctl is-active portsyncd
main=$(exposure portsyncd.service)
echo "portsyncd.service: $main"
awk -v score="$main" 'BEGIN { exit !(score <= 2.0) }'
asic=$(exposure portsyncd@0.service)
echo "portsyncd@0.service: $asic"
awk -v score="$asic" 'BEGIN { exit !(score <= 3.0) }'
systemd-analyze --man=no verify /lib/systemd/system/portsyncd.service /lib/systemd/system/portsyncd@.service
