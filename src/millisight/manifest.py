"""What a bundle says of itself: the schema of ``manifest.json``."""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FORMAT_VERSION = 3
"""The only version this code reads and writes."""

Precision = Literal["int8", "bf16", "float32"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Triple = tuple[float, float, float]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Preprocess(_Part):
    """Input geometry and normalisation, as the weights were trained with.

    The shorter side is resized to ``resize`` pixels and the centre ``crop`` × ``crop`` pixels are
    taken (outside the graph, on uint8). ``mean`` and ``std`` apply to channels scaled to 0…1 and
    are part of the graph; they stand here so that a reader knows them.
    """

    resize: int = Field(ge=1, le=4096)
    crop: int = Field(ge=1, le=4096)
    interpolation: Literal["bilinear", "bicubic"]
    mean: Triple
    std: Triple

    @model_validator(mode="after")
    def _crop_fits(self) -> "Preprocess":
        if self.crop > self.resize:
            raise ValueError("crop is larger than resize")
        return self


class Weights(_Part):
    """Where the weights came from."""

    source: str
    """A sentence a person understands, such as ``torchvision ResNet18_Weights.IMAGENET1K_V1``."""
    url: str = ""
    """Where the file is published; empty for a file of the user's own."""
    sha256: Sha256
    """Digest of the weights file that was loaded."""


class Calibration(_Part):
    """How the INT8 ranges were found."""

    source: str
    images: int
    """Pictures the ranges were taken from."""
    samples: int
    """Network inputs made from them (several crops of one picture count each)."""
    seed: int
    estimator: str
    """NNCF range estimator that was chosen for activations."""


class Accuracy(_Part):
    """Share of labelled pictures answered right, in percent."""

    images: int
    top1: float
    top5: float


class Measured(_Part):
    """Figures taken while building. Agreement and accuracy are in percent."""

    max_logit_difference: float
    """Largest absolute difference between torch eager and the float32 graph."""
    agreement: float
    """Top-1 agreement of the bundle with the float32 graph on pictures not used to calibrate."""
    agreement_images: int
    expected_drop: float
    """Points of top-1 that the disagreements are expected to cost, by float32's own
    probabilities."""
    float32: Accuracy | None = None
    """Accuracy of the float32 graph, where labelled pictures were given."""
    bundle: Accuracy | None = None
    """Accuracy of this bundle on the same pictures."""


class Confidence(_Part):
    """How sure the bundle may be: found with its own answers to labelled pictures.

    Confidences are the softmax of logits ÷ ``temperature`` (Guo et al., "On Calibration of Modern
    Neural Networks", ICML 2017, arXiv:1706.04599). Shares and errors are 0…1.
    """

    images: int
    """The labelled pictures."""
    temperature: float = Field(gt=0)
    ece_before: float
    """Expected calibration error (15 bins of equal width, as in the paper) at temperature 1."""
    ece_after: float
    """The same once scaled, each picture by a temperature fitted without it."""
    ece_by_chance: float
    """What it would be on average if every confidence were exactly true: so many pictures cannot
    show less."""
    min_precision: float | None = None
    """The share of right answers that was asked for among those the bundle is certain of."""
    threshold: float | None = None
    """Below this confidence of its first answer the bundle is uncertain; null where no precision
    was asked for, or none so high is reached."""
    precision: float | None = None
    """Share of right answers from the threshold up."""
    coverage: float | None = None
    """Share of the pictures that are from the threshold up."""


class Epoch(_Part):
    """One pass over the training pictures, and what the network knew after it."""

    phase: str
    epoch: int
    """From 1 in each phase."""
    train_loss: float
    """In nats, of smoothed labels and varied pictures, so higher than in validation."""
    validation_loss: float
    """In nats, at the temperature that makes the confidences true."""
    validation_top1: float
    """In percent."""


class Training(_Part):
    """What the weights were fitted to, and how."""

    base: str
    """What the training began with."""
    fingerprint: Sha256
    """Digest of the pictures and their classes."""
    class_counts: tuple[int, ...]
    """Training pictures of each class, in the order of the labels."""
    train_images: int
    validation_images: int
    seed: int
    epochs: int
    minutes: float
    curves: tuple[Epoch, ...]


class FileEntry(_Part):
    """Size and digest of one file of the bundle."""

    bytes: int
    sha256: Sha256


class Manifest(_Part):
    """Everything there is to know about a bundle besides its labels and its graph."""

    format_version: Literal[3] = 3
    name: str
    architecture: str
    weights: Weights
    class_count: int = Field(ge=1)
    preprocess: Preprocess
    precision: Precision
    activation_map: tuple[int, int] | None = None
    """Height and width of the class activation maps that the graph can give; null where it does
    not end in global average pooling and one linear layer."""
    calibration: Calibration | None = None
    measured: Measured
    confidence: Confidence | None = None
    """Null where there were too few labelled pictures to say."""
    training: Training | None = None
    """Null where the weights were not trained here."""
    built_with: dict[str, str]
    files: dict[str, FileEntry]

    @property
    def temperature(self) -> float:
        """What the logits are divided by before they become confidences."""
        return self.confidence.temperature if self.confidence else 1.0

    @property
    def threshold(self) -> float | None:
        """Below this confidence of the first answer the bundle is uncertain, if it says so."""
        return self.confidence.threshold if self.confidence else None

    @model_validator(mode="after")
    def _counts_fit(self) -> "Manifest":
        if self.training and len(self.training.class_counts) != self.class_count:
            raise ValueError("training does not count the pictures of each class")
        return self

    @property
    def size(self) -> int:
        """Bytes of all files named in the manifest."""
        return sum(entry.bytes for entry in self.files.values())

    def digest(self) -> str:
        """SHA-256 of the canonical JSON of all fields: the identity of the bundle."""
        canonical = json.dumps(
            self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True
        )
        return hashlib.sha256(canonical.encode()).hexdigest()

    def describe(self) -> str:
        """One line for console and page: name, precision, size, classes and provenance."""
        return (
            f"{self.name} ({self.precision}, {self.size / 1e6:.1f} MB, {self.class_count} classes; "
            f"weights: {self.weights.source})"
        )
