"""How a connection ends: when nothing comes in time, or what goes out is not taken in time."""

import asyncio


class Farewell:
    """The clocks of one connection, ``transport``.

    Closing sends first what is still to be sent, which for who does not read takes for ever: so
    ``taking`` seconds later it is cut off.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, taking: float
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._taking = taking
        self._closing: asyncio.TimerHandle | None = None
        self._cutting: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Now, but for what is still to be sent."""
        self._transport.close()
        self.cut_off_in_time()

    def close_in(self, seconds: float) -> None:
        """The same later; whatever was said of it before is forgotten."""
        self.stay()
        self._closing = self._loop.call_later(seconds, self.close)

    def stay(self) -> None:
        """Not to be closed later."""
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def cut_off_in_time(self) -> None:
        """What goes out must be taken by then, counted from the first time that this is said."""
        if self._cutting is None:
            self._cutting = self._loop.call_later(self._taking, self._transport.abort)

    def taken(self) -> None:
        """It was."""
        if self._cutting is not None:
            self._cutting.cancel()
            self._cutting = None
