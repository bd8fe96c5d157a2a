"""Everything that can go wrong, as one tree.

MillisightError
├── BadRequest
│   └── BadParameter
├── Unauthorized
├── ImageError
│   ├── UnsupportedFormat
│   ├── BadImage
│   └── ImageTooLarge
├── UploadTooLarge
├── ModelNotFound
├── NotExplainable
├── NotEmbeddable
├── NoReport
├── BundleError
├── SettingsError
│   └── DeviceNotFound
├── NotReady
├── Overloaded
├── DeadlineExceeded
├── ExtraMissing
├── NotWritten
├── DataError
│   └── BadFeatures
├── Unreachable
├── UnexpectedAnswer
├── ProcessDied
├── EngineUnavailable
├── GoalMissed
└── BuildError
    ├── BuildUnavailable
    ├── WeightsUnavailable
    ├── BadWeights
    └── AccuracyLoss

Each class has one HTTP status and one stable ``code``; the app turns them into responses and the
command line into exit codes (``millisight.cli.exit_codes``). Errors of other libraries are
translated where they arise, with ``raise … from error``.
"""

from typing import ClassVar


class MillisightError(Exception):
    """Base of every error this package raises on purpose.

    ``message`` is a plain sentence for the user; ``hint`` says what to do next and may be empty.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    request_id = ""
    """Under which the server's log has the request, where a server said this to a client."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadRequest(MillisightError):
    """The request is not shaped as the API asks."""

    status = 400
    code = "bad_request"


class BadParameter(BadRequest):
    """A parameter has a value outside what is allowed."""

    status = 422
    code = "bad_parameter"


class Unauthorized(MillisightError):
    """The request shows no API key, or a wrong one."""

    status = 401
    code = "unauthorized"


class ImageError(MillisightError):
    """The bytes cannot be turned into pixels."""

    status = 422
    code = "image_error"


class UnsupportedFormat(ImageError):
    """The bytes are not a picture in a format on the allow-list."""

    status = 415
    code = "unsupported_format"


class BadImage(ImageError):
    """The bytes begin like a picture but are damaged or empty."""

    status = 422
    code = "bad_image"


class ImageTooLarge(ImageError):
    """The picture has more pixels than the limit."""

    status = 413
    code = "image_too_large"


class UploadTooLarge(MillisightError):
    """The request body has more bytes than the limit."""

    status = 413
    code = "upload_too_large"


class ModelNotFound(MillisightError):
    """No bundle has this name or path."""

    status = 404
    code = "model_not_found"


class NotExplainable(MillisightError):
    """The model has no class activation maps."""

    status = 404
    code = "not_explainable"


class NotEmbeddable(MillisightError):
    """The model has no embeddings."""

    status = 404
    code = "not_embeddable"


class NoReport(MillisightError):
    """The model was built without labelled pictures to report of."""

    status = 404
    code = "no_report"


class BundleError(MillisightError):
    """A bundle is incomplete, damaged or of another format version."""

    status = 500
    code = "bad_bundle"


class SettingsError(MillisightError):
    """A setting is unknown or has a value outside what is allowed."""

    status = 500
    code = "bad_settings"


class DeviceNotFound(SettingsError):
    """OpenVINO finds no such device on this machine."""

    code = "device_not_found"


class NotReady(MillisightError):
    """The server is starting or shutting down."""

    status = 503
    code = "not_ready"


class Overloaded(MillisightError):
    """Too much waits already; try again later."""

    status = 429
    code = "overloaded"

    def __init__(self, message: str, *, hint: str = "", retry_after: float = 0.0) -> None:
        """``retry_after``: seconds after which trying again is worth it."""
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class DeadlineExceeded(MillisightError):
    """The answer would come later than the request allows."""

    status = 504
    code = "deadline_exceeded"


class ExtraMissing(MillisightError):
    """The command needs packages that are installed only where asked for."""

    code = "extra_missing"


class NotWritten(MillisightError):
    """The file that the command is to make cannot be written."""

    code = "not_written"


class DataError(MillisightError):
    """A folder of pictures or a labels file is not what the command needs."""

    status = 422
    code = "bad_data"


class BadFeatures(DataError):
    """A file of embeddings is damaged, or of another model."""

    code = "bad_features"


class Unreachable(MillisightError):
    """The client found no server, or lost the connection to it."""

    status = 502
    code = "unreachable"


class UnexpectedAnswer(MillisightError):
    """What answered the client is no millisight, or has no such route."""

    status = 502
    code = "unexpected_answer"


class ProcessDied(MillisightError):
    """A process that was measured has ended by itself."""

    code = "process_died"


class EngineUnavailable(MillisightError):
    """An engine of the comparison cannot run here."""

    code = "engine_unavailable"


class GoalMissed(MillisightError):
    """No arrangement that was measured answers as soon as was asked."""

    code = "goal_missed"


class BuildError(MillisightError):
    """A bundle could not be built."""

    status = 500
    code = "build_failed"


class BuildUnavailable(BuildError):
    """This environment lacks the packages that building needs."""

    code = "build_unavailable"


class WeightsUnavailable(BuildError):
    """The weights could not be downloaded, or did not arrive intact."""

    code = "weights_unavailable"


class BadWeights(BuildError):
    """The weights file does not fit the model."""

    code = "bad_weights"


class AccuracyLoss(BuildError):
    """The quantised model lost more accuracy than allowed."""

    code = "accuracy_loss"
