#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vm.sh BUILD: the tests of limits under Debian's kernel in an emulated machine, whose control groups are
# all of the second kind. BUILD has an acpd without sanitizers. Needs qemu and a kernel's package, which
# is only unpacked.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
build=$(readlink -f "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

kernel() {
    cd "$work"
    apt-get -qq download "$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ {print $2; exit}')"
    dpkg-deb -x linux-image-*.deb kernel
}

# A program, a library or a folder, at the place where it is here, with what it is linked with.
take() {
    local path file library
    for path in "$@"; do
        mkdir -p "$root$(dirname "$path")"
        cp -rL "$path" "$root$path"
        find "$path" -type f \( -perm -u+x -o -name '*.so' \)
    done | while read -r file; do
        ldd "$file" 2>/dev/null | grep -o '/[^ ]*\.so[^ ]*' || true
    done | sort -u | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -nL "$library" "$root$library"
    done
}

(kernel)
mkdir -p "$root"/{bin,proc,sys,dev,tmp,etc,project/build-clang/{api,daemon}}
take /usr/bin/{python3.11,seq,sleep,cut,tail,touch,cat,env,setsid,ldd,bash} /usr/lib/python3 /usr/lib/python3.11 /bin/dash
rm -rf "$root"/usr/lib/python3.11/test
ln -s python3.11 "$root/usr/bin/python3"
ln -s dash "$root/bin/sh"
cp /bin/busybox "$root/bin/"
cp /etc/passwd /etc/group "$root/etc/"
take "$build/daemon/acpd"
cp "$build/daemon/acpd" "$root/project/build-clang/daemon/"
cp "$build"/api/*.json "$root/project/build-clang/api/"
cp -r "$here" "$root/project/tests"
find "$root/project/tests" -name node_modules -prune -exec rm -rf {} +
cat >"$root/init" <<'END'
#!/bin/sh
export PATH=/usr/bin:/bin
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
busybox mount -t tmpfs tmp /tmp
busybox mount -t cgroup2 cgroup2 /sys/fs/cgroup
busybox ln -s /proc/self/fd/0 /dev/stdin
echo '+memory +pids' >/sys/fs/cgroup/cgroup.subtree_control
cd /project/tests
ACPD_BUILD=/project/build-clang python3 -m pytest -c pytest.ini -p no:timeout -p no:xdist -o addopts= \
    --color=no -v -rs faults/test_limits.py && echo THE TESTS PASSED
busybox poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initrd.gz"
timeout 900 qemu-system-x86_64 -accel tcg -cpu max -m 3000 -smp 2 -nographic -no-reboot \
    -kernel "$work"/kernel/boot/vmlinuz-* -initrd "$work/initrd.gz" -append 'console=ttyS0 panic=1 quiet' |
    tee "$work/log"
grep -q 'THE TESTS PASSED' "$work/log"
