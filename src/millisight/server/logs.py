"""How the server logs: every line in one format, whoever writes it, and none that a client forged.

A record's further fields are given as ``extra``. In JSON each record is one object on one line;
as text its fields follow the message, and what would begin a line of its own is indented.
"""

import json
import logging
import re
import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from pythonjsonlogger.core import RESERVED_ATTRS, LogData, merge_record_extra
from pythonjsonlogger.json import JsonFormatter

from millisight.settings import Settings

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from threading import ExceptHookArgs

logger = logging.getLogger(__name__)

# uvicorn gives some messages a second time, in colours.
_NO_FIELDS = {*RESERVED_ATTRS, "color_message"}

# Whatever a terminal or a reader of lines would take for more than a character.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

# The message of a request's line begins with them.
_SAID = {"method", "path", "status"}

_CUT = 16_384
"""Characters of a traceback that are logged: the last ones say what happened."""


class _Utc(logging.Formatter):
    """Times as RFC 3339 has them, to a millisecond."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


class _Json(_Utc, JsonFormatter):
    """One object a line, in ASCII."""

    def __init__(self) -> None:
        encode = json.JSONEncoder(default=str, separators=(",", ":")).encode
        super().__init__(
            ["asctime", "levelname", "name", "process", "message"],
            rename_fields={
                "asctime": "time",
                "levelname": "level",
                "name": "logger",
                "process": "pid",
                "exc_info": "traceback",
            },
            reserved_attrs=sorted(_NO_FIELDS),
            json_serializer=lambda fields, **_: encode(fields),
        )

    def process_log_record(self, log_data: LogData) -> LogData:
        log_data["level"] = log_data["level"].lower()
        if "traceback" in log_data:
            log_data["traceback"] = log_data["traceback"][-_CUT:]
        return log_data


class _Text(_Utc):
    """For people: the fields after the message, tracebacks below it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        fields: dict[str, Any] = merge_record_extra(record, {}, _NO_FIELDS | _SAID)
        line = super().formatMessage(record)
        if fields:
            line += "  " + " ".join(f"{name}={_word(value)}" for name, value in fields.items())
        return _CONTROL.sub(_escaped, line)

    def formatException(self, ei: Any) -> str:  # noqa: N802 (logging's name)
        lines = super().formatException(ei)[-_CUT:].split("\n")
        return "\n".join(f"  {_CONTROL.sub(_escaped, line)}" for line in lines)


def _word(value: object) -> str:
    """Without spaces, so that no value looks like two fields."""
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or '"' in text else text


def _escaped(character: "re.Match[str]") -> str:
    return character[0].encode("unicode_escape").decode("ascii")


class _Stderr(logging.StreamHandler[TextIO]):
    """Line by line, and quiet once nobody reads: what Python's own stream cannot write it keeps,
    and ends the process with status 120."""

    def __init__(self) -> None:
        stream = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115
        super().__init__(stream)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def set_up_logs(settings: Settings) -> None:
    """Have everything in this process logged to stderr as ``settings`` say."""
    handler = _Stderr()
    handler.setFormatter(_Json() if settings.log_format == "json" else _Text())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    sys.unraisablehook = _log_unraisable


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    logger.critical("The process ends by an error", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(given: "ExceptHookArgs") -> None:
    if given.exc_value is not None:
        logger.critical(
            "A thread has ended by an error",
            exc_info=(given.exc_type, given.exc_value, given.exc_traceback),
        )


def _log_unraisable(given: "UnraisableHookArgs") -> None:
    what = given.err_msg or "Ignored an error in"
    logger.error("%s %r", what, given.object, exc_info=given.exc_value)
