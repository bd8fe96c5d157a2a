"""Requests that are hostile as requests, whatever picture they bring: heads, forms, and JSON.

As they go over the wire, because clients' libraries would not send most of them.
"""

import base64
import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.hostile import END, FORM, part
from tests.support import encode, texture

PICTURE = encode(texture(80, 60), "JPEG")
INFER = "/v2/models/starter/infer"
PREDICT = "/v1/models/starter:predict"

HUNG_UP = 0
"""In place of a status: the connection ends, or is cut off, without an answer."""

MOST = 9_900_000
"""Bytes: nearly as many as a body may have."""


@dataclass(frozen=True, slots=True)
class Wire:
    """What one connection is sent, and what it may be answered first."""

    name: str
    statuses: frozenset[int]
    pieces: tuple[bytes, ...] = field(repr=False)
    """Each is sent when the one before is."""


def wire(name: str, *pieces: bytes, status: int | tuple[int, ...]) -> Wire:
    """Only ``status``, or one of them, is right."""
    statuses = status if isinstance(status, tuple) else (status,)
    return Wire(name, frozenset(statuses), pieces)


def head(line: str, *headers: str | bytes) -> bytes:
    """Up to the body."""
    lines = [line.encode("latin-1"), b"Host: x"]
    lines += [one.encode("latin-1") if isinstance(one, str) else one for one in headers]
    return b"\r\n".join([*lines, b"", b""])


def post(path: str, body: bytes, *headers: str) -> bytes:
    """A whole request with a body."""
    return head(f"POST {path} HTTP/1.1", f"Content-Length: {len(body)}", *headers) + body


def corpus(size: int = MOST) -> Iterator[Wire]:
    """All of them, with the same bytes each time; each is made when it is asked for. Where nothing
    else limits a body, it has about ``size`` bytes."""
    yield from _heads()
    yield from _headers()
    yield from _bodies()
    yield from _forms(size)
    yield from _texts(size)
    yield from _tensors(size)


def _heads() -> Iterator[Wire]:
    """Request lines, and what is no HTTP."""
    get = head("GET /health/live HTTP/1.1")
    yield wire("5,000 requests in one piece", get * 5000, status=200)
    yield wire("pictures in one piece", post("/predict", PICTURE) * 500, status=200)
    yield wire("requests and garbage", get * 3 + b"\0garbage", status=(200, HUNG_UP))
    yield wire(
        "a head of 100 kB in one piece", head("GET / HTTP/1.1", "X: " + "y" * 100_000), status=431
    )
    yield wire(
        "a head of 100 kB behind empty lines",
        b"\r\n" * 4 + head("GET / HTTP/1.1", "X: " + "y" * 100_000),
        status=431,
    )
    yield wire("a head of spaces", head("GET / HTTP/1.1", "X:" + " " * 200_000 + "y"), status=431)
    yield wire("a path of 60 kB", head(f"GET /{'a' * 60_000} HTTP/1.1"), status=404)
    yield wire("a path of 60 kB of escapes", head(f"GET /{'%ff' * 20_000} HTTP/1.1"), status=404)
    yield wire("a model of 60 kB", head(f"GET /v2/models/{'a' * 60_000} HTTP/1.1"), status=404)
    query = "&".join(["top_k=1"] * 7000)
    yield wire("7,000 parameters", post(f"/predict?{query}", PICTURE), status=(200, 422))
    yield wire(
        "a number of 60,000 digits", post(f"/predict?top_k={'9' * 60_000}", PICTURE), status=422
    )
    yield wire("a query that is not ASCII", head("GET /nothing?\xff HTTP/1.1"), status=(400, 404))
    yield wire("a path that is not ASCII", head("GET /\xff HTTP/1.1"), status=(400, 404))
    yield wire("a zero byte in the path", head("GET /%00%0d%0a HTTP/1.1"), status=404)
    for line in (
        "GET / HTTP/9.9",
        "PRI * HTTP/2.0",
        "CONNECT a:1 HTTP/1.1",
        "GET http://[ HTTP/1.1",
        "get",
    ):
        yield wire(f"the line {line}", head(line), status=400)
    yield wire("TLS", bytes.fromhex("16030100c8010000c40303") + bytes(200), status=400)
    yield wire("noise", random.Random(1).randbytes(100_000), status=(400, HUNG_UP))


def _headers() -> Iterator[Wire]:
    """One header that is too long, too many, or lies."""
    yield wire("10,000 headers", head("GET / HTTP/1.1", *["a: b"] * 10_000), status=431)
    quotes = 'a/b;a="' + ";" * 60_000
    for name, path in (("Accept", "/embed"), ("Accept", "/explain")):
        yield wire(f"{name} to {path}", post(path, PICTURE, f"{name}: {quotes}"), status=422)
    yield wire(
        "Accept of 10,000 types", post("/embed", PICTURE, f"Accept: {'a/b,' * 15_000}"), status=422
    )
    for name in (
        "Authorization",
        "Cookie",
        "If-None-Match",
        "X-Request-Id",
        "Accept-Encoding",
        "Origin",
    ):
        sent = post("/predict", PICTURE, f"{name}: {quotes}")
        yield wire(f"{name} of 60 kB", sent, status=200)
    yield wire(
        "Content-Type of 60 kB", post("/predict", PICTURE, f"Content-Type: {quotes}"), status=200
    )
    form = f"Content-Type: {FORM};{quotes}"
    yield wire(
        "a form's Content-Type of 60 kB", post("/predict", part(PICTURE) + END, form), status=400
    )
    yield wire(
        "Content-Encoding of 60 kB", post(INFER, b"{}", f"Content-Encoding: {quotes}"), status=400
    )
    ranges = "bytes=" + ",".join(f"{n}-" for n in range(9000))
    yield wire(
        "9,000 ranges",
        head("GET /static/page.js HTTP/1.1", f"Range: {ranges}"),
        status=(200, 206, 400, 416),
    )
    yield wire(
        "another protocol",
        head("GET / HTTP/1.1", "Connection: upgrade", "Upgrade: websocket"),
        status=200,
    )
    yield wire(
        "X-Deadline-Ms of 60,000 digits",
        post("/predict", PICTURE, f"X-Deadline-Ms: {'9' * 60_000}"),
        status=422,
    )
    for length in ("-1", "9" * 60, "0x10", "1, 1", "²"):
        yield wire(
            f"Content-Length: {length}",
            head("POST /predict HTTP/1.1", f"Content-Length: {length}"),
            status=400,
        )
    both = head("POST /predict HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked")
    yield wire("two lengths", both + b"0\r\n\r\n", status=400)


def _bodies() -> Iterator[Wire]:
    """Chunks, and what stands between and behind them."""
    chunked = head("POST /predict HTTP/1.1", "Transfer-Encoding: chunked")
    whole = chunked + b"%x\r\n%s\r\n" % (len(PICTURE), PICTURE)
    yield wire("a trailer", whole + b"0\r\nX: y\r\n\r\n", status=200)
    yield wire(
        "trailers without end",
        whole + b"0\r\n",
        *[b"X: y\r\n" * 10_000] * 200,
        status=(400, HUNG_UP),
    )
    yield wire(
        "a trailer without end", whole + b"0\r\nX: ", *[b"y" * 60_000] * 200, status=(400, HUNG_UP)
    )
    yield wire(
        "an extension without end", chunked + b"1;", *[b"y" * 60_000] * 200, status=(400, HUNG_UP)
    )
    yield wire(
        "an extension of 100 kB in one piece",
        chunked + b"1;" + b"y" * 100_000,
        status=(400, HUNG_UP),
    )
    yield wire(
        "chunks of one byte", chunked, *[b"1\r\nx\r\n" * 10_000] * 200, status=(400, HUNG_UP)
    )
    yield wire(
        "chunks of eight bytes", chunked, b"8\r\nxxxxxxxx\r\n" * 100_000, b"0\r\n\r\n", status=415
    )
    yield wire(
        "a chunk of 2^60",
        chunked + b"1000000000000000\r\n",
        *[bytes(60_000)] * 200,
        status=(413, HUNG_UP),
    )
    yield wire("a chunk that is none", chunked + b"zz\r\n", status=400)


def _forms(size: int) -> Iterator[Wire]:
    """Forms whose type, texts or boundaries take long."""
    note = part(b"A" * 1_000_000, b"; name=a")
    for charset in ("punycode", "idna", "utf-7", "unicode_escape", "rot13", "../../x", "canary"):
        sent = post(
            "/predict", note + part(PICTURE) + END, f"Content-Type: {FORM}; charset={charset}"
        )
        yield wire(f"a text in {charset}", sent, status=200)
    name = part(PICTURE, b'; name="file"; filename="' + b"A" * 4000 + b'"') + END
    yield wire(
        "a name in punycode",
        post("/predict", name, f"Content-Type: {FORM}; charset=punycode"),
        status=200,
    )
    kind = f"Content-Type: {FORM}"
    for name, pattern in (
        ("line feeds", b"\r"),
        ("line ends", b"\r\n"),
        ("nearly boundaries", b"\r\n--"),
        ("boundaries of others", b"\r\n--y"),
    ):
        body = part(pattern * (size // len(pattern))) + END
        yield wire(f"a file of {name}", post("/predict", body, kind), status=415)
    many = part(b"A" * 600_000, b"; name=a") * 16
    yield wire("16 long texts", post("/predict", many + END, kind), status=400)
    escapes = part(PICTURE, b'; name="' + b'\\"' * 2000 + b'"')
    yield wire("a name of quotes", post("/predict", escapes + END, kind), status=400)


def _texts(size: int) -> Iterator[Wire]:
    """JSON that takes long or much memory, whatever it says."""
    for path, name in ((INFER, "inputs"), (PREDICT, "instances"), (INFER, "outputs")):
        for what, element in (
            ("empty texts", b'""'),
            ("zeros", b"0"),
            ("nulls", b"null"),
            ("texts", b'"abcdefgh"'),
        ):
            many = b",".join([element] * (size // (len(element) + 1)))
            yield wire(
                f"{name} of {what}", post(path, b'{"%s":[%s]}' % (name.encode(), many)), status=400
            )
        objects = b",".join([b"{}"] * min(size // 3, 240_000))
        yield wire(
            f"{name} of objects", post(path, b'{"%s":[%s]}' % (name.encode(), objects)), status=400
        )
    for path in (INFER, PREDICT):
        for what, text in (
            ("deep lists", b"[" * min(size, 240_000)),
            ("deep objects", b'{"a":' * min(size // 5, 240_000)),
            ("a number of very many digits", b'{"inputs":%s}' % (b"1" * size)),
            ("a fraction of very many digits", b'{"inputs":0.%s}' % (b"1" * size)),
            ("a text of escapes", b'{"inputs":"%s"}' % (b"\\u0000" * (size // 6))),
            ("very many keys", b"{%s}" % b",".join(b'"%d":0' % n for n in range(size // 20))),
            ("what is not UTF-8", b'{"inputs":"' + b"\xff" * size),
        ):
            yield wire(f"{what} to {path}", post(path, text), status=400)
    packed = gzip.compress(b" " * size)
    yield wire("blanks in gzip", post(INFER, packed, "Content-Encoding: gzip"), status=400)
    bomb = gzip.compress(bytes(5 * MOST), 1)
    yield wire("a bomb in gzip", post(INFER, bomb, "Content-Encoding: gzip"), status=413)


def _tensors(size: int) -> Iterator[Wire]:
    """Tensors that are not what they say, or cannot be."""
    pixels = {"name": "image", "shape": [1, 1, 1, 3], "datatype": "UINT8", "data": [1, 2, 3]}
    for name, changed in {
        "a shape of texts": {"shape": ["a"] * (size // 4)},
        "a shape of millions": {"shape": [1] * (size // 2)},
        "a shape of huge numbers": {"shape": [10**18] * (size // 20)},
        "data of texts": {"data": ["abcdefgh"] * (size // 11)},
        "data of fractions": {"data": [0.5] * (size // 4)},
        "data of huge numbers": {"data": [10**18] * (size // 20)},
        "pixels for nothing": {"data": [0] * (size // 2)},
        "a name of megabytes": {"name": "a" * size},
        "a type of megabytes": {"datatype": "a" * size},
        "parameters of megabytes": {
            "parameters": {str(n): 0 for n in range(size // 20)},
            "data": [1],
        },
    }.items():
        text = json.dumps({"inputs": [pixels | changed]}, separators=(",", ":"))
        yield wire(name, post(INFER, text.encode()), status=400)
    one = {"name": "", "shape": [], "datatype": ""}
    for what, count in (("17", 17), ("very many", size // 40)):
        text = json.dumps({"inputs": [one] * count}, separators=(",", ":"))
        yield wire(f"{what} inputs", post(INFER, text.encode()), status=400)
    long = "Inference-Header-Content-Length: " + "9" * 60_000
    yield wire("a JSON of 60,000 digits of bytes", post(INFER, b"{}", long), status=400)
    text = b'{"instances":[{"b64":"%s"}]}' % (b"!" * size)
    yield wire("a picture that is not base64", post(PREDICT, text), status=400)
    many = {"name": "image", "shape": [256], "datatype": "BYTES"}
    many["data"] = [base64.b64encode(PICTURE).decode()] * 256
    best = {"name": "probabilities", "parameters": {"classification": 1000}}
    text = json.dumps({"inputs": [many], "outputs": [best]})
    yield wire("the best 1000 of 256 pictures", post(INFER, text.encode()), status=400)
