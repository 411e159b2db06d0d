"""A server on this machine serves a data file badly: the fetch ends soon, and keeps nothing."""

import contextlib
import gzip
import hashlib
import http.server
import io
import multiprocessing
import os
import signal
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vaezoo.data import fetching
from vaezoo.data.fetching import own_folder
from vaezoo.data.files import CorruptData, File, Files, MissingData, decompressed
from vaezoo.data.sources import debd, freyfaces, mnist, polyphonic

BODY = b"data" * 1000
SHA = hashlib.sha256(BODY).hexdigest()
PACKED = gzip.compress(BODY)


def bomb() -> bytes:
    """200 MB of zeros, packed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(bytes(2**22)) for _ in range(50)), packer.flush()])


class Bad(http.server.BaseHTTPRequestHandler):
    """Serves what its path says."""

    protocol_version = "HTTP/1.1"
    sent = 0
    asked = 0  # for what is given to the second who asks

    def log_message(self, *_: Any) -> None:
        pass

    def head(self, code: int, length: int | None, **more: str) -> None:
        self.send_response(code)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def body(self, content: bytes, length: int | None = None, **more: str) -> None:
        self.head(200, len(content) if length is None else length, **more)
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            getattr(self, f"say_{self.path.strip('/')}")()

    def say_good(self) -> None:
        self.body(BODY)

    def say_packed(self) -> None:
        self.body(PACKED)

    def say_encoded(self) -> None:
        self.body(PACKED, Content_Encoding="gzip")

    def say_hop(self) -> None:
        self.head(302, 0, Location="/good")

    def say_second(self) -> None:
        Bad.asked += 1
        if Bad.asked == 1:
            self.connection.shutdown(2)
        else:
            self.say_good()

    def say_page(self) -> None:
        self.body(b"<html>Please log in</html>")

    def say_wrong(self) -> None:
        self.body(b"evil" * 1000)

    def say_cut(self) -> None:
        self.body(BODY[:100], len(BODY))

    def say_cut_gzip(self) -> None:
        self.body(PACKED[:-9])

    def say_empty(self) -> None:
        self.head(200, 0)

    def say_404(self) -> None:
        self.head(404, 0)

    def say_loop(self) -> None:
        self.head(302, 0, Location="/loop")

    def say_file(self) -> None:
        self.head(302, 0, Location="file:///etc/hostname")

    def say_reset(self) -> None:
        self.connection.shutdown(2)

    def say_garbage(self) -> None:
        self.wfile.write(b"\0\1\2 not http\r\n\r\n")

    def say_length(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nx")

    def say_chunks(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx")

    def say_headers(self) -> None:
        self.send_response(200)
        for i in range(150):
            self.send_header(f"X-{i}", "y" * 60_000)
        self.end_headers()

    def say_bomb(self) -> None:
        self.body(bomb())

    def say_encoded_bomb(self) -> None:
        self.body(bomb(), Content_Encoding="gzip")

    def say_endless(self) -> None:
        self.head(200, None)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            self.wfile.write(bytes(2**16))
            Bad.sent += 2**16

    def say_slow(self) -> None:
        self.head(200, len(BODY))
        self.drip(b"d")

    def say_slow_head(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-")
        self.drip(b"d")

    def say_nothing(self) -> None:
        self.drip(b"")

    def drip(self, letter: bytes) -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            self.wfile.write(letter)
            time.sleep(0.05)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bad) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAEZOO_DATA", raising=False)
    monkeypatch.setattr(fetching, "PATIENCE", 1.0)


def fetched(cache: Path, *urls: str) -> bytes:
    return Files(cache=cache).read_all([File("a/b", SHA, urls, size=len(BODY))])[0]


@pytest.mark.parametrize("way", ["good", "packed", "encoded", "hop", "second"])
def test_what_is_right_is_kept_however_it_came(way: str, address: str, tmp_path: Path):
    assert fetched(tmp_path, f"{address}/{way}") == BODY
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["b"]


@pytest.mark.parametrize(
    "way",
    [
        "page", "wrong", "cut", "cut_gzip", "empty", "404", "loop", "file", "reset", "garbage",
        "length", "chunks", "headers", "bomb", "encoded_bomb", "endless", "slow", "slow_head",
        "nothing",
    ],
)  # fmt: skip
def test_what_is_wrong_ends_soon_and_leaves_nothing(way: str, address: str, tmp_path: Path):
    start = time.monotonic()
    with pytest.raises(MissingData, match=r"failed: \S+"):
        fetched(tmp_path, f"{address}/{way}")
    assert time.monotonic() - start < 10
    assert not list(tmp_path.iterdir())
    assert fetched(tmp_path, f"{address}/{way}", f"{address}/good") == BODY


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://127.0.0.1:9/x", "http://[::1", "", "\0", "http://", "x"]
)
def test_an_address_of_another_kind_is_a_reason(url: str, tmp_path: Path):
    with pytest.raises(MissingData):
        fetched(tmp_path, url)


def test_an_endless_file_is_stopped_at_its_size(address: str, tmp_path: Path):
    Bad.sent = 0
    with pytest.raises(
        MissingData, match=r"serves more than the 69,576 bytes that its File\(size="
    ):
        fetched(tmp_path, f"{address}/endless")
    time.sleep(0.2)
    assert Bad.sent < 2**24  # what buffers on the way hold


def test_a_file_that_says_no_size_has_one_all_the_same():
    assert File("a/b", SHA).size == 2**27


def test_a_local_file_of_another_size_is_not_read(tmp_path: Path):
    (tmp_path / "a").mkdir()
    with (tmp_path / "a" / "b").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(CorruptData, match="has 1,099,511,627,776 bytes"):
        fetched(tmp_path)


def test_a_local_file_unpacks_to_its_size_at_most(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(gzip.compress(bytes(2**20)))
    with pytest.raises(CorruptData, match="unpacks to more than 4,000 bytes"):
        fetched(tmp_path)


def killed_while_it_fetches(cache: Path) -> None:
    with own_folder(cache) as folder:
        (folder / "file").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_fetch_left_is_swept_and_what_lives_is_not(address: str, tmp_path: Path):
    child = multiprocessing.get_context("fork").Process(
        target=killed_while_it_fetches, args=[tmp_path]
    )
    child.start()
    child.join()
    assert list(tmp_path.glob(".fetching-*/file"))
    with own_folder(tmp_path) as mine:
        (mine / "file").write_bytes(b"half")
        assert fetched(tmp_path, f"{address}/good") == BODY
        assert list(tmp_path.glob(".fetching-*/file")) == [mine / "file"]
    assert not list(tmp_path.glob(".fetching-*"))


def test_every_file_of_ours_says_its_size():
    files = [*mnist.MNIST, *mnist.FASHION, freyfaces.FILE, *polyphonic.FILES.values()]
    files += [file for name in debd._HASHES for file in debd.files_of(name)]
    assert all(file.size < 2**26 for file in files)


def test_random_gzip_is_unpacked_or_refused():
    with io.BytesIO() as stream:
        with gzip.GzipFile(fileobj=stream, mode="wb") as packer:
            packer.write(os.urandom(5_000))
        content = stream.getvalue()
    for at in range(0, len(content), 37):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        with contextlib.suppress(CorruptData):
            assert len(decompressed(bytes(damaged), "x", 5_000)) <= len(content)
