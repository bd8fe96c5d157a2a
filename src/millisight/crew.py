"""What the classifiers of one process share, so that several ask no more of it than one does."""

from millisight.budget import PixelBudget
from millisight.dispatcher import Dispatcher
from millisight.image import Limits
from millisight.settings import Settings


class Crew:
    """The threads that answer, the one that explains, and the room that they have to decode in."""

    def __init__(self, lanes: int, settings: Settings) -> None:
        """``lanes`` threads will answer; none is started yet."""
        self.limits = Limits(
            max_pixels=int(settings.max_megapixels * 1e6),
            budget=PixelBudget(int(settings.max_decoding_megapixels * 1e6)),
        )
        self.answering = Dispatcher(
            lanes,
            max_batch=settings.max_batch,
            max_queue=settings.max_queue,
            max_wait=settings.max_wait_ms / 1e3,
        )
        self.explaining = Dispatcher(1, max_batch=1, max_queue=settings.max_queue, max_wait=0)
