"""Head and body of an answer in one write.

uvicorn writes the head as soon as the app begins. That wakes the client, which can do nothing yet,
often in place of who was about to write the body: of a short answer it is the dearest part.
"""

from typing import Any


class OneWrite:
    """What an answer is written to, in place of the ``transport`` of its connection."""

    def __init__(self, cycle: Any, transport: Any) -> None:
        """``cycle`` is uvicorn's request and response."""
        # Until the head is there: a circle of references would keep the request for long.
        self._cycle = cycle
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        """The head is held back until something comes after it; what comes before it, such as
        ``100 Continue``, is not."""
        if self._cycle is not None and self._cycle.response_started:
            self._cycle = None
            self._head = data
        else:
            head, self._head = self._head, b""
            self._transport.write(head + data)

    def flush(self) -> None:
        """Nothing comes after the head, as for ``HEAD``."""
        if self._head and not self._transport.is_closing():
            self.write(b"")

    def close(self) -> None:
        """Once all is written."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing more can be written."""
        closing: bool = self._transport.is_closing()
        return closing
