#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh SOURCE API OUTPUT STAMP: builds the dashboard with Vite into OUTPUT, in a private copy of its
# sources, with types made from the OpenAPI document API, and touches STAMP. npm is asked only when the lock
# file has changed.
set -eu
source=$1 api=$2 output=$(realpath -m "$3") stamp=$(realpath -m "$4")
work=$output.work

retry() {
    for wait in 5 15 30 60 0; do
        "$@" && return
        [ "$wait" = 0 ] || { echo "failed: $1; again in $wait s" >&2 && sleep "$wait"; }
    done
    return 1
}

mkdir -p "$work"
rm -rf "$work/src" "$work/public" "$work/test" "$work/dist"
cp -R "$source/src" "$source/public" "$source/test" "$work"
cp "$source/index.html" "$source/package.json" "$source/package-lock.json" "$source/tsconfig.json" \
    "$source/vite.config.ts" "$api" "$work"
cd "$work"
if ! cmp -s package-lock.json node_modules/.acpd-lock; then
    retry npm ci --no-audit --no-fund --prefer-offline --fetch-timeout=60000 >npm.log 2>&1 ||
        { cat npm.log >&2 && exit 1; }
    cp package-lock.json node_modules/.acpd-lock
fi
npm run --silent build -- --logLevel warn
find dist -name '*.js' -o -name '*.css' -o -name '*.html' -o -name '*.svg' | while read -r file; do
    gzip -9 -n -k "$file"
done
rm -rf "$output"
mv dist "$output"
touch "$stamp"
