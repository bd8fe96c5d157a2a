"""What a process needs that serves, before it does."""

import logging
import warnings

from millisight.memory import give_back_large_pieces


def prepare_process() -> None:
    """Give back memory, and leave out of the log what strangers' pictures make libraries say."""
    give_back_large_pieces()
    # Broken forms are strangers' mistakes: they are answered, and the log is not for them.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    # Pillow warns of damaged metadata in strangers' files; the answer does not depend on it.
    warnings.filterwarnings("ignore", module="PIL")
