"""The tree of errors is the one that is drawn."""

import inspect
import re

from millisight import errors
from millisight.errors import MillisightError


def drawn() -> dict[str, str]:
    """Class and its parent, from the drawing in the module's docstring."""
    parents: dict[str, str] = {}
    path = ["MillisightError"]
    for line in inspect.getdoc(errors).splitlines():  # type: ignore[union-attr]
        match = re.match(r"([│ ]*)[├└]── (\w+)", line)
        if match:
            depth = len(match[1]) // 4 + 1
            path[depth:] = [match[2]]
            parents[match[2]] = path[depth - 1]
    return parents


def defined() -> dict[str, str]:
    return {
        name: kind.__bases__[0].__name__
        for name, kind in vars(errors).items()
        if isinstance(kind, type)
        and issubclass(kind, MillisightError)
        and kind.__bases__[0] is not Exception
    }


def test_the_drawing_is_true() -> None:
    assert drawn() == defined()


def test_every_error_has_its_own_code_and_a_real_status() -> None:
    kinds = [getattr(errors, name) for name in defined()] + [MillisightError]
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(400 <= kind.status < 600 for kind in kinds)


def test_an_error_carries_a_sentence_and_a_hint() -> None:
    error = errors.BadImage("It is broken.", hint="Mend it.")
    assert (str(error), error.message, error.hint) == ("It is broken.",) * 2 + ("Mend it.",)
