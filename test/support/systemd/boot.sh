#!/bin/sh
# Becomes process 1 of a machine that shares the files below / but writes elsewhere, and starts
# nothing but systemd. Arguments: an empty directory; the source tree, which becomes /opt/wvs; Node.
# Runs in PID, mount, UTS, IPC and cgroup namespaces of its own, and in the director's network.
set -e
directory=$1
tree=$2
mount --make-rprivate /
mount -t tmpfs tmpfs "$directory"
root=$directory/root
mkdir "$directory/upper" "$directory/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$directory/upper,workdir=$directory/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root/opt/wvs" "$root/etc/wvs" "$root/run/systemd/system"
mount --bind "$tree" "$root/opt/wvs"
printf '#!/bin/sh\nexec %s /opt/wvs/dist/host/main.js "$@"\n' "$3" >"$root/usr/local/bin/wvs"
chmod 755 "$root/usr/local/bin/wvs"
cp "$tree/host/appliance/wvs.service" "$root/etc/systemd/system/"
printf '[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\n' >"$root/run/systemd/system/bare.target"
exec chroot "$root" env container=test /lib/systemd/systemd --unit=bare.target --log-target=console
