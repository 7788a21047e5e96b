# SPDX-License-Identifier: MIT
"""That the soak test works, and finds nothing in a moment that it would find in an hour. What depends
on timings is left to `./dev soak`."""

from soak import soak


def test_a_moment_of_everything(folder):
    assert not soak(folder, 15, with_timings=False)
