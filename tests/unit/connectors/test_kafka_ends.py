"""A bounded source reads what was there when it was opened, and knows when it has."""

from __future__ import annotations

import numpy as np

from stream_magic.connectors.kafka.ends import Ends


def test_a_partition_without_messages_has_ended_at_once():
    ends = Ends()
    ends.look_up({0: (0, 3), 1: (5, 5), 2: (0, 9)}, {2: 9})
    assert ends.take_reached() == [1, 2]
    assert not ends.are_reached


def test_messages_behind_the_end_are_not_within():
    ends = Ends()
    ends.look_up({0: (0, 3), 1: (0, 2)}, {})
    partitions, offsets = np.array([0, 0, 1, 0, 0]), np.array([1, 2, 0, 3, 4])
    assert ends.within(partitions, offsets).tolist() == [True, True, True, False, False]
    assert ends.take_reached() == [0]
    assert not ends.are_reached


def test_the_end_may_lie_behind_the_last_message():
    """Transactions leave records of their own there."""
    ends = Ends()
    ends.look_up({0: (0, 5)}, {})
    assert ends.within(np.array([0]), np.array([2])).all()
    assert ends.come_to(0, 4) == 4
    assert not ends.are_reached
    assert ends.come_to(0, 7) == 5
    assert ends.are_reached
    assert (ends.take_reached(), ends.take_reached()) == ([0], [])


def test_a_partition_that_is_new_is_empty_for_us():
    ends = Ends()
    ends.look_up({0: (0, 0)}, {})
    ends.add_empty([1])
    assert ends.take_reached() == [0, 1]
    assert ends.within(np.array([1]), np.array([0])).tolist() == [False]
