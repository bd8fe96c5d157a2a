"""How often the first answer, or one of the first five, is right."""

from collections.abc import Iterable, Sequence

from millisight.manifest import Accuracy


def accuracy(answers: Iterable[Sequence[int]], truth: Iterable[int]) -> Accuracy:
    """Top-1 and top-5 in percent from class indices, best first (at least five where there are
    as many classes), and the right index of each picture."""
    images = top1 = top5 = 0
    for answer, right in zip(answers, truth, strict=True):
        images += 1
        top1 += answer[0] == right
        top5 += right in answer[:5]
    return Accuracy(
        images=images,
        top1=round(100 * top1 / images, 2),
        top5=round(100 * top5 / images, 2),
    )
