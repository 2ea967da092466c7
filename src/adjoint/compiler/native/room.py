"""Rooms: memory that programs work in, one for all the large ones that never run at once."""

from __future__ import annotations

import ctypes
import weakref

import numpy as np

from .pieces import piece

LEAST = 2**20  # bytes from which on a program works in the room that others work in too


class Room:
    """A piece of memory, and whether a program is in it."""

    def __init__(self, size: int):
        self.busy = ctypes.c_int64(0)
        self.guests: weakref.WeakSet = weakref.WeakSet()
        self._take(size)

    def _take(self, size):
        self.memory, start = piece(size, np.zeros)
        self.size, self.start = size, self.memory.ctypes.data + start

    def hold(self, guest, size: int) -> None:
        """Have room for a program that needs so much; the others find it where it is then."""
        if size > self.size:
            self._take(size)
            for other in self.guests:
                other.enter(self)
        self.guests.add(guest)


_common: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


def room_for(guest, size: int) -> Room:
    """The common room, if the program is large and nobody is in it; else one of its own."""
    room = _common.get("room") if size >= LEAST else None
    if room is None or room.busy.value:
        room = Room(size)
        if size >= LEAST and "room" not in _common:
            _common["room"] = room
    room.hold(guest, size)
    return room
