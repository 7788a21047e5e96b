#!/bin/sh
# SPDX-License-Identifier: MIT
# install.sh BUILT TARGET: copies the built page below the prefix.
set -eu
target=$MESON_INSTALL_DESTDIR_PREFIX/$2
mkdir -p "$target"
cp -R "$1/." "$target"
