#!/bin/sh
# Says why this machine should start again, a line each; nothing if it need not.
for file in /run/reboot-required /var/run/reboot-required; do
    if [ -e "$file" ]; then
        echo "packages ask for it"
        break
    fi
done
# A container has the kernel of the machine around it.
if systemd-detect-virt --quiet --container; then exit 0; fi
running=$(uname -r)
newest=$(ls /boot/vmlinuz-* 2>/dev/null | sort -V | tail -n 1)
newest=${newest#/boot/vmlinuz-}
if [ -n "$newest" ] && [ "$newest" != "$running" ]; then
    echo "Linux $newest is installed, $running runs"
elif [ -e "/boot/vmlinuz-$running" ] &&
    [ "$(stat -c %Z "/boot/vmlinuz-$running")" -gt "$(sed -n 's/^btime //p' /proc/stat)" ]; then
    echo "Linux $running was upgraded after the last start"
fi
