"""Server-sent events out of bytes, wherever the network cut them."""

from __future__ import annotations

from typing import NamedTuple

LONGEST_EVENT = 8 * 2**20  # bytes; more than any answer, less than what fills the memory


class Event(NamedTuple):
    """One event: its data lines joined by newlines, and the name it was given (empty: none)."""

    data: str
    name: str = ""


class EventReader:
    """Takes bytes as they arrive and gives the events that are complete.

    Lines may end in LF, CRLF or CR; comments (keep-alives), ids and unknown fields are skipped. Bytes are decoded by whole lines, so a
    character may be cut anywhere; what is no UTF-8 becomes U+FFFD.

    Source:
        WHATWG HTML Standard, 9.2.6 "Interpreting an event stream".

    Example:
        >>> reader = EventReader()
        >>> reader.feed(b': ping\\n\\ndata: {"a":'), reader.feed(b' 1}\\n\\n')
        ([], [Event(data='{"a": 1}', name='')])
    """

    def __init__(self) -> None:
        self._rest = b""
        self._has_begun = self._ends_in_cr = False
        self._data: list[bytes] = []
        self._name = b""

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes, in order.

        Raises:
            ValueError: an event that does not end within `LONGEST_EVENT` bytes.
        """
        *lines, self._rest = (self._rest + self._with_newlines(data)).split(b"\n")
        if len(self._rest) > LONGEST_EVENT:
            raise ValueError(f"an event of the stream has more than {LONGEST_EVENT:,} bytes")
        if lines and not self._has_begun:
            self._has_begun = True
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
        events: list[Event] = []
        for line in lines:
            if line:
                self._read(line)
            elif self._data:
                events.append(self._event())
            else:
                self._name = b""
        return events

    def end(self) -> list[Event]:
        """The event whose lines are all there when a server closes without the blank line; a torn line is dropped."""
        return [self._event()] if self._data else []

    def _with_newlines(self, data: bytes) -> bytes:
        """CR and CRLF as LF, also where the two characters of one end of line came apart."""
        if self._ends_in_cr and data.startswith(b"\n"):
            data, self._ends_in_cr = data[1:], False
        if data:
            self._ends_in_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data

    def _read(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
        elif field == b"event":
            self._name = value.removeprefix(b" ")

    def _event(self) -> Event:
        event = Event(b"\n".join(self._data).decode("utf-8", "replace"), self._name.decode("utf-8", "replace"))
        self._data.clear()
        self._name = b""
        return event
