"""What the command's exit status means. 2 is also what wrong usage of an option gives."""

from millisight.errors import (
    AccuracyLoss,
    BadParameter,
    BuildError,
    BuildUnavailable,
    BundleError,
    DataError,
    ExtraMissing,
    GoalMissed,
    ImageError,
    MillisightError,
    ModelNotFound,
    SettingsError,
)

OK = 0
FAILED = 1
USAGE = 2
BAD_INPUT = 3
MODEL_NOT_FOUND = 4
BAD_BUNDLE = 5
NOT_INSTALLED = 6
BUILD_FAILED = 7
ACCURACY_LOSS = 8
GOAL_MISSED = 9
INTERRUPTED = 130
"""Ctrl-C: 128 and the number of SIGINT, as shells have it."""

# The first class that fits counts, so subclasses come first.
_CODES: tuple[tuple[type[MillisightError], int], ...] = (
    (SettingsError, USAGE),
    (BadParameter, USAGE),
    (ImageError, BAD_INPUT),
    (DataError, BAD_INPUT),
    (ModelNotFound, MODEL_NOT_FOUND),
    (BundleError, BAD_BUNDLE),
    (BuildUnavailable, NOT_INSTALLED),
    (ExtraMissing, NOT_INSTALLED),
    (AccuracyLoss, ACCURACY_LOSS),
    (BuildError, BUILD_FAILED),
    (GoalMissed, GOAL_MISSED),
)


def exit_code(error: MillisightError) -> int:
    """The exit status that ``error`` ends the command with."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)
