"""Files are found, fetched and refused for the right reasons; the downloads are real, from a server
on this machine.
"""

import gzip
import hashlib

import pytest

from vaezoo.data.files import BadData, CorruptData, File, Files, MissingData, decompressed

CONTENT = b"some numbers" * 50
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("VAEZOO_DATA", raising=False)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def put(folder, name, content=CONTENT):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("stored", "content"),
    [
        ("a/b.gz", gzip.compress(CONTENT, 1)),
        ("a/b.gz", gzip.compress(CONTENT, 9)),
        ("a/b", CONTENT),
    ],
)
def test_the_hash_is_of_the_decompressed_bytes_however_a_mirror_packed_them(
    tmp_path, cache, stored, content
):
    put(tmp_path, stored, content)
    assert Files([tmp_path], offline=True, cache=cache).read("a/b.gz", sha256=SHA) == CONTENT


def test_a_given_folder_comes_before_the_environment_and_that_before_the_cache(
    tmp_path, cache, monkeypatch
):
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path / "environment"))
    files = Files([tmp_path / "given"], offline=True, cache=cache)
    assert files.folders == (tmp_path / "given", tmp_path / "environment", cache)
    put(cache, "f")
    assert files.read("f", sha256=SHA) == CONTENT
    # now the environment's file is the one that is read
    put(tmp_path / "environment", "f", b"wrong")
    with pytest.raises(CorruptData, match="environment"):
        files.read("f", sha256=SHA)
    put(tmp_path / "given", "f")
    assert files.read("f", sha256=SHA) == CONTENT


def test_one_error_names_all_missing_files_with_hash_address_and_place(tmp_path, cache):
    wanted = [
        File("m/one.gz", "1" * 64, ("http://x/one.gz",)),
        File("m/two", "2" * 64, hint="ask its maker"),
        File("here", SHA),
    ]
    put(tmp_path, "here")
    with pytest.raises(MissingData) as caught:
        Files([tmp_path], offline=True, cache=cache).read_all(wanted)
    said = str(caught.value)
    for word in (
        "m/one.gz",
        "m/two",
        "1" * 64,
        "2" * 64,
        "http://x/one.gz",
        "ask its maker",
        str(tmp_path),
        "--data-dir",
        "offline",
    ):
        assert word in said
    assert "here" not in said.replace("there", "").split("looked in")[0]


def test_a_file_is_fetched_into_the_cache_and_then_read_without_a_network(server, cache):
    folder, address = server
    put(folder, "f.gz", gzip.compress(CONTENT))
    assert (
        Files(cache=cache).read(
            "sub/f.gz", sha256=SHA, urls=[f"{address}/gone.gz", f"{address}/f.gz"]
        )
        == CONTENT
    )
    assert [p.name for p in cache.rglob("*") if p.is_file()] == ["f.gz"]
    assert Files(offline=True, cache=cache).read("sub/f.gz", sha256=SHA) == CONTENT


def test_a_download_of_wrong_hash_is_refused_and_leaves_nothing_in_the_cache(server, cache):
    folder, address = server
    put(folder, "f", b"an error page of the mirror")
    with pytest.raises(
        MissingData, match=r"(?s)failed: .*SHA-256 is [0-9a-f]{64}, expected " + SHA
    ):
        Files(cache=cache).read("f", sha256=SHA, urls=[f"{address}/f"])
    assert not list(cache.iterdir())


def test_an_offline_reader_asks_no_server(server, cache):
    folder, address = server
    put(folder, "f")
    with pytest.raises(MissingData):
        Files(offline=True, cache=cache).read("f", sha256=SHA, urls=[f"{address}/f"])


def test_an_address_that_answers_nothing_is_reported(cache):
    with pytest.raises(MissingData, match=r"127\.0\.0\.1"):
        Files(cache=cache).read("f", sha256=SHA, urls=["http://127.0.0.1:9/f"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"other", "SHA-256"),
        (gzip.compress(CONTENT)[:-9], "damaged or cut-off gzip"),
        (gzip.compress(CONTENT)[:12], "damaged or cut-off gzip"),
        (b"\x1f\x8bgarbage", "damaged or cut-off gzip"),
        (gzip.compress(CONTENT) + b"tail", "damaged or cut-off gzip"),
    ],
)
def test_a_wrong_file_is_refused_with_a_sentence_that_names_it(tmp_path, cache, content, words):
    put(tmp_path, "f.gz", content)
    with pytest.raises(CorruptData, match=words) as caught:
        Files([tmp_path], offline=True, cache=cache).read("f.gz", sha256=SHA)
    assert str(tmp_path / "f.gz") in str(caught.value)
    assert isinstance(caught.value, BadData)


def test_a_file_that_unpacks_without_end_is_not_unpacked():
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(CorruptData, match="more than 1,000,000 bytes"):
        decompressed(bomb, "bomb", limit=1_000_000)


@pytest.mark.parametrize("name", ["../secret", "a/../../b", "/etc/passwd", "a\\..\\b", "", "c:x"])
def test_a_name_that_leaves_its_folder_is_refused(name):
    with pytest.raises(ValueError, match="relative to its folder"):
        File(name, SHA)
