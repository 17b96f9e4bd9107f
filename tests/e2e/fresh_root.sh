#!/usr/bin/env bash
# Inside the mount namespace of scripts/fresh-machine: binds the tools into the bare root and goes there.
#   fresh_root.sh ROOT root|user all|none|STEPS      the last one says which steps of scripts/test are run
# Absent on purpose: any clean-up. Mounts end with the namespace, files are removed by whoever made them.
set -euo pipefail
root=$1 person=$2 tests=$3

bind() { # FROM, TO below the root; read-only
    mkdir -p "$root$2"
    mount --bind "$1" "$root$2"
    mount -o remount,ro,bind "$root$2"
}
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
chmod 1777 "$root/tmp"
bind "${RUSTUP_HOME:-$HOME/.rustup}" /opt/rustup
bind "${CARGO_HOME:-$HOME/.cargo}/bin" /opt/cargo/bin
node=$(readlink -f "$(command -v node)")
npm=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")
bind "$(dirname "$node")" /opt/node-host
bind "$npm" /opt/npm
mkdir -p "$root/opt/node/bin"
ln -s /opt/node-host/"$(basename "$node")" "$root/opt/node/bin/node"
ln -s /opt/npm/bin/npm-cli.js "$root/opt/node/bin/npm"
ln -s /opt/npm/bin/npx-cli.js "$root/opt/node/bin/npx"

# How this machine reaches the network is not the product's business: it is taken over as it is.
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
mkdir -p "$root/etc/ssl/certs" "$root/usr/local/share/ca-certificates"
# Certificates of this machine's own survive the installation of ca-certificates, which makes the bundle anew.
find /usr/local/share/ca-certificates -name "*.crt" -exec cp -L -t "$root/usr/local/share/ca-certificates" {} +
[ ! -r /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
outside=()
for name in http_proxy https_proxy no_proxy SSL_CERT_FILE NODE_EXTRA_CA_CERTS PIP_CERT CARGO_HTTP_CAINFO; do
    [ -z "${!name:-}" ] || outside+=("$name=${!name}")
done

dir=/root
if [ "$person" = user ]; then
    chroot "$root" sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends sudo >/dev/null'
    chroot "$root" useradd --create-home --shell /bin/bash seller
    echo 'seller ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/seller"
    dir=/home/seller
fi
mkdir -p "$root$dir/.cargo"
[ ! -r "${CARGO_HOME:-$HOME/.cargo}/config.toml" ] || cp "${CARGO_HOME:-$HOME/.cargo}/config.toml" "$root$dir/.cargo/"
[ ! -r "$HOME/.npmrc" ] || cp "$HOME/.npmrc" "$root$dir/"
mv "$root/clone" "$root$dir/fieldkit"
cp "$(dirname "$0")/fresh_steps.sh" "$root/opt/steps.sh"
[ "$person" = root ] || chroot "$root" chown -R seller:seller "$dir"

within=(env -i "HOME=$dir" "USER=$person" TERM=dumb LANG=C.UTF-8 RUSTUP_HOME=/opt/rustup "CARGO_HOME=$dir/.cargo"
    "PATH=/opt/cargo/bin:/opt/node/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "${outside[@]}")
spec=$([ "$person" = user ] && echo seller:seller || echo root:root)
# The bare root becomes the root of this namespace, not only of a process: a chroot may make no namespaces of its own,
# and scripts/offline-sales makes one.
cd "$root"
mkdir -p old
pivot_root . old
cd /
umount -l /old
rmdir /old
chroot --userspec="$spec" --groups="" / "${within[@]}" bash /opt/steps.sh "$tests"
