"""What a client is answered by a real server, and what it raises."""

import asyncio
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image

import millisight
from millisight import AsyncClient, Classifier, Client
from millisight.answers import ServedResult
from millisight.errors import (
    BadImage,
    BadParameter,
    BadRequest,
    DeadlineExceeded,
    ImageTooLarge,
    MillisightError,
    ModelNotFound,
    Unauthorized,
    UnexpectedAnswer,
    UnsupportedFormat,
    UploadTooLarge,
)
from tests.client.conftest import CAT, COFFEE, EXAMPLES, KEY, SLOW, Ask, numbered
from tests.e2e.conftest import Server
from tests.support import encode, solid, texture


@pytest.fixture(scope="module")
def classifier() -> Iterator[Classifier]:
    with millisight.load("starter", threads=1) as one:
        yield one


def test_the_answer_is_that_of_the_python_api(
    classifier: Classifier, server: Server, ask: Ask
) -> None:
    here = classifier.classify(COFFEE, top_k=5)
    there = ask(server.url, "predict", COFFEE, 5, api_key=KEY, request_id="mine-1")
    assert isinstance(there, millisight.Result)
    assert [one.label for one in there.predictions] == [one.label for one in here.predictions]
    assert there.predictions[0].label == "espresso"
    assert there.predictions[0].index == here.predictions[0].index
    assert there.predictions[0].confidence == pytest.approx(
        here.predictions[0].confidence, abs=1e-5
    )
    assert (there.model, there.warnings) == (here.model, here.warnings)
    assert (there.uncertain, there.request_id) == (None, "mine-1")
    assert there.timings_ms.total >= there.inference_time_ms >= 0


def test_every_kind_of_picture_is_sent(client: Client) -> None:
    data = COFFEE.read_bytes()
    with COFFEE.open("rb") as file:
        kinds = [COFFEE, str(COFFEE), data, BytesIO(data), file, Image.open(COFFEE)]
        answers = [client.predict(kind) for kind in kinds]
    assert {one.predictions[0].label for one in answers} == {"espresso"}
    assert [one.cached for one in answers[1:5]] == [True] * 4


def test_a_pillow_image_is_sent_upright_and_as_it_is(client: Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.open(BytesIO(encode(texture(300, 200), "JPEG", exif=exif)))
    assert client.predict(turned).warnings == ("exif_rotated",)
    assert client.predict(solid((1, 2, 3, 4), "RGBA")).warnings == ("alpha_on_white",)
    with pytest.raises(BadImage, match="cannot be sent as a PNG") as refused:
        client.predict(solid((0, 0, 0, 0), "CMYK"))
    assert "RGB" in refused.value.hint


@pytest.mark.parametrize("loaded", [False, True])
def test_a_turned_tiff_is_turned_once(loaded: bool, client: Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.open(COFFEE).convert("RGB"), "TIFF", exif=exif)
    turned = Image.open(BytesIO(data))
    if loaded:
        turned.load()
    assert client.predict(turned).predictions == client.predict(data).predictions


@pytest.mark.parametrize("what", [None, 3, np.zeros((4, 4, 3), np.uint8), ["cat.avif"]], ids=str)
def test_what_is_no_picture_is_refused_here(what: object, client: Client) -> None:
    with pytest.raises(BadImage, match="cannot be sent"):
        client.predict(what)  # type: ignore[arg-type]


def test_a_file_opened_as_text_is_refused_here(tmp_path: Path, client: Client) -> None:
    (tmp_path / "a.jpg").write_text("a")
    with (tmp_path / "a.jpg").open() as file, pytest.raises(BadImage, match="cannot be sent"):
        client.predict(file)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        client.predict(tmp_path / "none.jpg")


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        (b"", BadRequest),
        (b"This is a letter, not a picture.", UnsupportedFormat),
        (encode(texture(200, 200), "JPEG")[:1500], BadImage),
        (bytes(4_100_000), UploadTooLarge),
        (encode(solid(0, "L", (8000, 7000)), "PNG"), ImageTooLarge),
    ],
    ids=["empty", "text", "cut off", "bytes", "pixels"],
)
def test_a_refused_picture_is_the_servers_own_error(
    picture: bytes, kind: type[MillisightError], server: Server, ask: Ask
) -> None:
    with pytest.raises(kind) as refused:
        ask(server.url, "predict", picture, api_key=KEY, request_id="mine-2")
    asked = httpx2.post(
        f"{server.url}/predict", content=picture, headers={"Authorization": f"Bearer {KEY}"}
    ).json()
    error = refused.value
    assert type(error) is kind
    assert (error.code, error.message, error.hint) == (asked["code"], asked["error"], asked["hint"])
    assert error.request_id == "mine-2"


def test_a_wrong_parameter_is_the_servers_own_error(client: Client) -> None:
    with pytest.raises(BadParameter, match="top_k"):
        client.predict(CAT, 1000)
    with pytest.raises(BadParameter, match="X-Deadline-Ms"):
        client.predict(CAT, deadline_ms=0)
    with pytest.raises(BadParameter, match="no class 4000"):
        client.explain(CAT, 4000)


def test_a_model_is_asked_by_its_name(server: Server, ask: Ask) -> None:
    [model] = ask(server.url, "models", api_key=KEY)
    assert (model.name, len(model.digest)) == ("starter", 64)
    for method in ("predict", "embed", "explain"):
        assert ask(server.url, method, CAT, model="starter", api_key=KEY)
        with pytest.raises(ModelNotFound, match="none-of-these"):
            ask(server.url, method, CAT, model="none-of-these", api_key=KEY)


@pytest.mark.parametrize("key", ["", "another-key-that-is-wrong"], ids=["no key", "wrong key"])
def test_who_has_no_key_is_told_so(key: str, server: Server, ask: Ask) -> None:
    with pytest.raises(Unauthorized) as refused:
        ask(server.url, "predict", CAT, api_key=key)
    assert "Bearer" in refused.value.hint
    assert ask(server.url, "ready", api_key=key) is True


def test_an_answer_that_cannot_be_in_time_is_the_servers_own_error(
    server: Server, ask: Ask
) -> None:
    with pytest.raises(DeadlineExceeded, match="within 1 ms"):
        ask(server.url, "explain", SLOW, deadline_ms=1, api_key=KEY)


def test_an_embedding_is_exact(classifier: Classifier, server: Server, ask: Ask) -> None:
    here = classifier.embed(CAT)
    there = ask(server.url, "embed", CAT, api_key=KEY)
    assert there.vector.dtype == np.float32
    assert (there.dimensions, there.model) == (here.dimensions, here.model)
    assert np.allclose(there.vector, here.vector, atol=1e-4)
    scaled = ask(server.url, "embed", CAT, normalize=True, api_key=KEY)
    assert np.linalg.norm(scaled.vector) == pytest.approx(1, abs=1e-5)


def test_an_explanation_is_a_picture(server: Server, ask: Ask) -> None:
    best, other = (ask(server.url, "explain", COFFEE, index, api_key=KEY) for index in (None, 968))
    assert Image.open(BytesIO(best)).format == "PNG"
    assert best != other


def test_another_path_is_not_taken_for_an_answer(server: Server, ask: Ask) -> None:
    with pytest.raises(UnexpectedAnswer, match="POST /elsewhere/predict: not found"):
        ask(f"{server.url}/elsewhere", "predict", CAT, api_key=KEY)


def test_many_come_in_order_and_are_read_as_they_are_needed(client: Client) -> None:
    taken: list[int] = []

    def pictures() -> Iterator[bytes]:
        for number in range(12):
            taken.append(number)
            yield b"no picture" if number == 3 else numbered((CAT, COFFEE)[number % 2], number)

    answers = client.predict_many(pictures(), 1, concurrency=3, return_errors=True)
    first = next(answers)
    assert len(taken) <= 3
    labels = [
        one.predictions[0].label if isinstance(one, ServedResult) else one.code
        for one in [first, *answers]
    ]
    cat = labels[0]
    assert "cat" in cat
    assert labels == [cat, "espresso", cat, "unsupported_format", *[cat, "espresso"] * 4]


def test_the_first_of_many_that_fails_ends_them(client: Client) -> None:
    answers = client.predict_many([CAT, b"no picture", *[CAT] * 5], concurrency=2)
    assert next(answers).predictions
    with pytest.raises(UnsupportedFormat):
        next(answers)
    assert list(answers) == []
    with pytest.raises(BadParameter, match="concurrency"):
        next(client.predict_many([CAT], concurrency=0))


def test_many_at_once_for_an_event_loop(server: Server) -> None:
    missing = Path("/no/such/picture.jpg")

    async def whole() -> None:
        taken: list[Path] = []
        pictures = [EXAMPLES / f"{name}.avif" for name in ("cat", "coffee", "camera", "coat")]
        async with AsyncClient(server.url, api_key=KEY) as client:
            asked = (taken.append(one) or one for one in [*pictures, missing, *pictures])
            answers = client.predict_many(asked, concurrency=2, return_errors=True)
            first = await anext(answers)
            assert len(taken) == 2
            rest = [one async for one in answers]
            assert isinstance(rest[3], FileNotFoundError)
            names = [one.predictions[0].label for one in [first, *rest] if one is not rest[3]]
            assert names[:4] == names[4:]
            assert len(set(names)) == 4
            with pytest.raises(FileNotFoundError):
                await anext(client.predict_many([missing, *pictures], concurrency=3))
            with pytest.raises(BadParameter, match="concurrency"):
                client.predict_many(pictures, concurrency=0)
            # Nothing is left under way by who stops early.
            async for _ in client.predict_many(pictures * 3, concurrency=3):
                break

    asyncio.run(whole())
