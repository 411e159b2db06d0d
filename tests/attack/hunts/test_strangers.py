"""Hunts over what plugins bring and what servers answer."""

import socket
import tempfile
import threading
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from tests.attack.hunts.words import OBEYED, must_be_sentence, numbers, scalars, texts, values
from vaezoo.bench.records import Damaged
from vaezoo.bench.records.checks import descriptions
from vaezoo.bench.report.naming import safe_name
from vaezoo.bench.text import on_one_line, plain
from vaezoo.data.fetching import fetch
from vaezoo.data.files import BadData, File, Files, MissingData
from vaezoo.hooks import Column, Figure, Metric, Table
from vaezoo.registry.soundness import must_be_sound, must_have_its_types

NAMES = st.one_of(texts, st.sampled_from(["elbo", "a-b", "../x", "Ä", "x" * 61, "CON"]), scalars)
FIELDS = {
    "name": NAMES, "unit": st.one_of(texts, st.just("nats"), scalars),
    "better": st.sampled_from(["lower", "higher", "", "up", None]),
    "table": NAMES, "digits": st.one_of(st.integers(0, 3), numbers), "lead": numbers,
    "panel": st.one_of(st.booleans(), scalars), "rests_on": st.sampled_from(["", "q,p", "z", 3]),
    "axis": texts, "low": st.one_of(st.none(), numbers), "high": st.one_of(st.none(), numbers),
    "rows": texts,
}  # fmt: skip
COLUMN = {"name": "elbo", "unit": "nats", "better": "higher"}
COLUMNS = st.dictionaries(st.sampled_from(sorted(FIELDS)), st.none(), max_size=3).flatmap(
    lambda some: st.fixed_dictionaries({name: FIELDS[name] for name in some})
)
TABLES = st.fixed_dictionaries({
    "name": NAMES, "title": st.one_of(texts, scalars), "order": numbers,
    "always": st.one_of(st.booleans(), scalars),
})  # fmt: skip


def accepted(make):
    """What a plugin may bring; None of what is refused, in a sentence."""
    try:
        made = make()
        must_have_its_types(made)
    except (TypeError, ValueError) as error:
        must_be_sentence(ValueError(str(error).replace("\n", " ")))
        return None
    return made


@given(COLUMNS, TABLES)
def test_what_a_plugin_may_say_of_a_metric_is_what_a_trial_may_keep(column, table):
    for record in (
        accepted(lambda: Metric("m", (Column(**(COLUMN | column)),), print)),
        accepted(
            lambda: Metric("m", (Column(**COLUMN),), print, table=Table(**({"name": "t"} | table)))
        ),
    ):
        if record is None:
            continue
        for kind, one in ((Column, record.columns[0]), (Table, record.table)):
            if not isinstance(one, kind):
                continue
            try:
                (kept,) = descriptions(kind, [asdict(one)], "it")
            except Damaged as error:
                pytest.fail(f"accepted of a plugin and refused of a trial: {error}")
            assert kept == asdict(one)
            assert safe_name(one.name) == one.name
            assert all(plain(each) == each for each in kept.values() if isinstance(each, str))


@given(NAMES, st.one_of(texts, scalars), st.lists(NAMES, max_size=2), st.booleans())
def test_a_function_of_a_plugin_has_a_name_for_the_command_line_or_is_refused(
    name, doc, tags, is_frozen
):
    def made(spec, rate: float = 1.0):
        """A variant."""

    try:
        made.__name__ = name
        made.__doc__ = doc
        made.tags = frozenset(tags) if is_frozen else tags
        must_be_sound(made)
    except TypeError as error:
        must_be_sentence(ValueError(str(error).replace("\n", " ")))
        return
    assert made.__name__.isascii()
    assert made.__name__.isidentifier()
    assert len(made.__name__) <= 60
    assert plain(made.__doc__ or "") == (made.__doc__ or "") or "\u00a0" in made.__doc__
    assert all(tag.isascii() and tag.isprintable() for tag in made.tags)


@given(NAMES, values)
def test_a_figure_of_a_plugin_has_a_name_of_a_file_or_is_refused(name, draw):
    made = accepted(lambda: Figure(name, draw if draw is not None else print))
    assert made is None or safe_name(made.name) == made.name


class Server(threading.Thread):
    """It answers every connection with the same bytes, whatever they are."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.answer = b""
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/file"

    def run(self) -> None:
        while True:
            connection, _ = self.socket.accept()
            with connection:
                try:
                    connection.recv(9999)
                    connection.sendall(self.answer)
                    connection.shutdown(socket.SHUT_WR)
                    connection.settimeout(0.2)
                    connection.recv(9999)
                except OSError:
                    continue


SERVER = Server()
SERVER.start()
FOLDER = Path(tempfile.mkdtemp(prefix="hunt-"))
BODY = b"the right content"
STATUS = st.sampled_from([
    "200 OK", "206 Partial", "302 Found", "307 x", "404 No", "500 x", "999 x", "-1 x", "20", "",
    "204 None", "100 Continue", "304 Same", "0200 OK",
])  # fmt: skip
HEADERS = st.sampled_from([
    "Content-Length: 17", "Content-Length: 99", "Content-Length: -1", "Content-Length: 1e3",
    "Content-Length: 17, 18", "Content-Encoding: gzip", "Content-Encoding: deflate",
    "Content-Encoding: gzip, gzip, gzip", "Content-Encoding: br", "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip", "Location: file:///etc/passwd", "Location: ftp://127.0.0.1:9/x",
    "Location: http://[::1", "Location: http://127.0.0.1:99999/", "Location: //", "Location:",
    "Location: http://", "Location: data:,x", "Location: \\x", "Location: http://127.0.0.1:9/",
    "Set-Cookie: a=b; Domain=.", "Content-Type: text/html; charset=zzz", ":", "x", "X: \x00",
    "Content-Range: bytes 0-1/2", "Connection: close", "Retry-After: 99999", "X: " + "y" * 5000,
])  # fmt: skip
CONTENTS = st.one_of(
    st.just(BODY),
    st.just(b"11\r\n" + BODY + b"\r\n0\r\n\r\n"),
    st.just(b"ffffffff\r\nx"),
    st.just(b"\x1f\x8b\x08\x00"),
    st.binary(max_size=40),
    st.just(b"x" * 300),
)
ANSWERS = st.one_of(
    st.builds(
        lambda status, headers, body: (
            "\r\n".join([f"HTTP/1.1 {status}", *headers]).encode() + b"\r\n\r\n" + body
        ),
        STATUS,
        st.lists(HEADERS, max_size=4),
        CONTENTS,
    ),
    st.binary(max_size=60),
)


@given(ANSWERS)
def test_an_answer_is_the_file_or_one_sentence_and_leaves_nothing(answer):
    SERVER.answer = answer
    path = FOLDER / "fetched"
    with suppress(OSError, ValueError):
        fetch(SERVER.url, path, 100)
        assert path.stat().st_size <= 100
    path.unlink(missing_ok=True)


@given(ANSWERS)
def test_nothing_is_kept_that_has_another_hash(answer):
    SERVER.answer = answer
    with tempfile.TemporaryDirectory(dir=FOLDER) as cache:
        file = File("a/file.bin", sha256(BODY).hexdigest(), (SERVER.url,), size=100)
        kept = Path(cache, "a", "file.bin")
        with suppress(MissingData):
            assert Files(cache=cache).read_all([file]) == [BODY]
            assert kept.is_file()
        assert [path for path in Path(cache).rglob("*") if path.is_file()] in ([], [kept])


@given(st.one_of(texts, st.sampled_from(["a/b", "../x", "C:x", "/x", "a\\..\\x", ""])))
def test_a_data_file_lies_in_its_folder_or_is_no_file(name):
    try:
        file = File(name, "0" * 64)
    except ValueError as error:
        must_be_sentence(ValueError(str(error).replace("\n", " ")))
        return
    for each in file.names:
        inside = Path("/data", each.replace("\0", ""))
        assert inside.is_relative_to("/data")
        assert ".." not in inside.parts


@given(texts)
def test_a_sentence_about_data_has_one_line(text):
    sentence = str(BadData(f"the file {text} is odd"))
    assert sentence == on_one_line(sentence)
    assert not OBEYED.search(sentence)
    assert len(sentence) <= 1000
