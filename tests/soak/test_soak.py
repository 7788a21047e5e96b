# SPDX-License-Identifier: MIT
"""Runs the soak test for some seconds, to see that it works. Checks that depend on timing are left
to `./dev soak`."""

from soak import soak


def test_a_moment_of_everything(folder):
    assert not soak(folder, 15, with_timings=False)
