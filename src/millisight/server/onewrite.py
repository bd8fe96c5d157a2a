"""Head and body of an answer in one write.

uvicorn writes the head as soon as the app begins. That wakes the client, which can do nothing yet,
often in place of who was about to write the body: of a short answer it is the dearest part.
"""

from typing import Any


class OneWrite:
    """What an answer is written to, in place of the ``transport`` of its connection."""

    def __init__(self, cycle: Any, transport: Any) -> None:
        """``cycle`` is uvicorn's request and response."""
        self._cycle = cycle
        self._transport = transport
        self._begun = False
        self._head = b""

    def write(self, data: bytes) -> None:
        """The head is held back until something comes after it; what comes before it, such as
        ``100 Continue``, is not."""
        if self._cycle.response_started and not self._begun:
            self._begun = True
            self._head = data
        elif self._head:
            pieces, self._head = (self._head, data), b""
            self._transport.writelines(pieces)
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Nothing comes after the head, as for ``HEAD``."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        """Once all is written."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing more can be written."""
        closing: bool = self._transport.is_closing()
        return closing
