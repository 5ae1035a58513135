"""The engine cache: what is in it is what was put in, or it is built again."""

import fcntl
import json
import logging
import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.engine_cache import GIB, MARKER, EngineCache, default_engine_cache, files
from bench.errors import InputError

KEY = {"version": "v4", "backend": "tensorrt-onnx", "precision": "fp16", "shapes": "1x500", "weights": "w"}
PLAN = bytes(range(256)) * 40


class Builder:
    """A build that counts its calls."""

    def __init__(self, plan: bytes = PLAN) -> None:
        self.plan, self.calls = plan, 0

    def __call__(self) -> bytes:
        """The engine."""
        self.calls += 1
        return self.plan


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    """A cache in a folder that does not exist yet."""
    return EngineCache(tmp_path / "engines", 2**30)


def only_engine(cache: EngineCache) -> Path:
    """The one engine file."""
    [file] = cache.folder.glob("*.engine")
    return file


def test_an_engine_is_built_once(cache: EngineCache) -> None:
    """The second fetch reads what the first built, with the first one's build time."""
    build = Builder()
    first, second = cache.fetch(KEY, build), cache.fetch(KEY, build)
    assert build.calls == 1
    assert (first.plan, second.plan) == (PLAN, PLAN)
    assert (first.from_cache, second.from_cache) == (False, True)
    assert second.build_s == first.build_s
    assert second.read_s is not None
    assert (first.note, second.note) == ("", "")


@pytest.mark.parametrize("name", list(KEY))
def test_every_part_of_the_key_counts(cache: EngineCache, name: str) -> None:
    """Another value of any part is another engine, and so is a missing one."""
    cache.fetch(KEY, Builder())
    for other in ({**KEY, name: "other"}, {key: value for key, value in KEY.items() if key != name}):
        build = Builder(b"other")
        assert cache.fetch(other, build).plan == b"other"
        assert build.calls == 1
    assert cache.fetch(dict(reversed(KEY.items())), Builder()).from_cache


def flipped(content: bytes) -> bytes:
    """The last byte changed."""
    return content[:-1] + bytes([content[-1] ^ 1])


def with_header(**changes: object) -> Callable[[bytes], bytes]:
    """Another header before the same engine."""

    def change(content: bytes) -> bytes:
        line, _, rest = content.partition(b"\n")
        return json.dumps({**json.loads(line), **changes}).encode() + b"\n" + rest

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flipped, "checksum is wrong"),
        (lambda content: content[:-100], "bytes instead of"),
        (lambda content: content + b"more", "bytes instead of"),
        (lambda content: content[:30], "truncated or no engine file"),
        (lambda _: b"", "truncated or no engine file"),
        (lambda _: b"\x80\x04pickle\n", "truncated or no engine file"),
        (lambda _: b"[1, 2]\n", "truncated or no engine file"),
        (with_header(form=0), "has form 0"),
        (with_header(build_s=None), "header is incomplete"),
        (with_header(build_s="1"), "header is incomplete"),
        (with_header(build_s=True), "header is incomplete"),
        (with_header(build_s=float("nan")), "header is incomplete"),
        (with_header(build_s=10**400), "header is incomplete"),
        (with_header(build_s=-1), "header is incomplete"),
        (with_header(form=True), "has form True"),
        (with_header(form=[1]), "has form [1]"),
        (with_header(bytes="7"), "header is incomplete"),
        (with_header(sha256=7), "header is incomplete"),
        (with_header(key={**KEY, "weights": 7}), "header is incomplete"),
        (with_header(key="v4"), "truncated or no engine file"),
        (lambda _: b"[" * 60000 + b"\n", "truncated or no engine file"),
        (lambda _: b"9" * 60000 + b"\n", "truncated or no engine file"),
        (with_header(bytes=7), "bytes instead of 7"),
        (with_header(key={**KEY, "weights": "others"}), "made for something else"),
    ],
)
def test_what_is_not_whole_is_built_again(
    cache: EngineCache, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes], said: str
) -> None:
    """Corrupt, truncated, foreign and outdated files are never handed out; they are replaced with a warning."""
    cache.fetch(KEY, Builder(b"an older engine" * 30))
    file = only_engine(cache)
    file.write_bytes(damage(file.read_bytes()))
    build = Builder()
    with caplog.at_level(logging.WARNING):
        found = cache.fetch(KEY, build)
    assert (found.plan, found.from_cache, build.calls) == (PLAN, False, 1)
    assert said in found.note
    assert said in caplog.text
    assert cache.fetch(KEY, build).from_cache


def test_a_foreign_engine_under_the_right_name(cache: EngineCache) -> None:
    """A file copied over another engine's name is not taken for it."""
    cache.fetch(KEY, Builder(b"foreign"))
    foreign = only_engine(cache).read_bytes()
    cache.clear()
    other = {**KEY, "weights": "v"}
    cache.fetch(other, Builder())
    only_engine(cache).write_bytes(foreign)
    assert cache.fetch(other, Builder()).plan == PLAN


def test_a_failed_build_leaves_nothing(cache: EngineCache) -> None:
    """What a build raises is passed on, and the next fetch builds."""

    def fail() -> bytes:
        raise RuntimeError("no engine")

    with pytest.raises(RuntimeError, match="no engine"):
        cache.fetch(KEY, fail)
    assert not list(cache.folder.glob("*.engine"))
    assert not list(cache.folder.glob("*.tmp"))
    assert cache.fetch(KEY, Builder()).plan == PLAN


def test_a_full_disk_costs_the_file_only(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nothing can be written the engine is still handed out, with a note, and no rest stays."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with caplog.at_level(logging.WARNING):
        found = cache.fetch(KEY, Builder())
    assert found.plan == PLAN
    assert found.file is None
    assert "not kept: No space left on device" in found.note
    assert not list(cache.folder.glob("*.tmp"))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A cache below a file is as good as none."""
    (tmp_path / "file").write_text("")
    found = EngineCache(tmp_path / "file" / "engines", 2**30).fetch(KEY, Builder())
    assert (found.plan, found.from_cache) == (PLAN, False)
    assert "not kept" in found.note


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    """Beyond the limit the engine that was not used longest goes, never the one just built."""
    cache = EngineCache(tmp_path, 2 * len(PLAN) + 2000)
    keys = [{**KEY, "weights": str(index)} for index in range(3)]
    for age, key in zip((300, 200), keys, strict=False):
        file = cache.fetch(key, Builder()).file
        assert file is not None
        os.utime(file, (time.time() - age, time.time() - age))
    cache.fetch(keys[0], Builder())
    cache.fetch(keys[2], Builder())
    kept = [cache.fetch(key, Builder()).from_cache for key in (keys[0], keys[2])]
    assert kept == [True, True]
    assert not cache.fetch(keys[1], Builder()).from_cache
    small = EngineCache(tmp_path / "small", 10)
    assert small.fetch(KEY, Builder()).file is not None
    assert small.fetch(KEY, Builder()).from_cache


def _build_slowly(folder: str, log: str) -> None:
    def build() -> bytes:
        with open(log, "a") as file:  # noqa: PTH123 - runs in a bare process
            file.write("built\n")
        time.sleep(1)
        return PLAN

    found = EngineCache(Path(folder), 2**30).fetch(KEY, build)
    assert found.plan == PLAN


def test_two_processes_end_with_one_good_file(cache: EngineCache, tmp_path: Path) -> None:
    """Of two processes that want the same engine at once, one builds and the other waits for its file."""
    log = tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_build_slowly, args=(str(cache.folder), str(log))) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert log.read_text() == "built\n"
    assert not cache.entries(checked=True)[0].fault
    assert len(list(cache.folder.glob("*.engine"))) == 1


def test_a_refused_engine_is_dropped(cache: EngineCache) -> None:
    """What TensorRT will not load is built again."""
    cache.fetch(KEY, Builder())
    cache.discard(KEY, "TensorRT cannot load the engine")
    assert not cache.fetch(KEY, Builder()).from_cache


def test_timing_caches_are_joined(cache: EngineCache) -> None:
    """The first is kept as it is, a later one joined with it; a corrupt one is as good as none."""
    identity = {"gpu": "a", "library version": "1"}

    def combine(kept: bytes, new: bytes) -> bytes:
        return kept + new

    assert cache.read_timing(identity) == b""
    cache.merge_timing(identity, b"one", combine)
    cache.merge_timing(identity, b"two", combine)
    assert cache.read_timing(identity) == b"onetwo"
    assert cache.read_timing({**identity, "gpu": "b"}) == b""
    [file] = cache.folder.glob("*.timing")
    file.write_bytes(flipped(file.read_bytes()))
    assert cache.read_timing(identity) == b""


def test_pruning(cache: EngineCache) -> None:
    """Corrupt, misnamed, unused and left-over files go; what is good stays."""
    cache.fetch(KEY, Builder())
    good = only_engine(cache)
    for weights in ("bad", "old"):
        file = cache.fetch({**KEY, "weights": weights}, Builder()).file
        assert file is not None
        if weights == "bad":
            file.write_bytes(flipped(file.read_bytes()))
        else:
            os.utime(file, (0, 0))
    copy = good.with_name(f"copy-{'0' * 32}.engine")
    shutil.copy(good, copy)
    fresh, dead = cache.folder / "writing-abcdefgh.tmp", cache.folder / "writing-abcdefgi.tmp"
    for file in (fresh, dead):
        file.touch(mode=0o600)
    os.utime(dead, (0, 0))
    removal = cache.prune(older_than_s=86400)
    gone = {entry.file.name: entry.fault for entry in removal.gone}
    assert (len(gone), removal.left) == (4, [])
    assert gone[copy.name] == "its name is another engine's"
    assert "died" in gone[dead.name]
    assert [file.name for file in cache.folder.glob("*.engine")] == [good.name]
    assert fresh.exists()


def test_settings_that_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A limit that is no size, and a file in the place of the folder, are the user's mistake."""
    monkeypatch.setenv("VOCODER_BENCH_ENGINES_LIMIT_GIB", "much")
    with pytest.raises(InputError, match="VOCODER_BENCH_ENGINES_LIMIT_GIB is a number of GiB"):
        default_engine_cache()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VOCODER_BENCH_ENGINES_LIMIT_GIB", "1")
    with pytest.raises(InputError, match="is not a folder"):
        default_engine_cache(str(tmp_path / "file"))


def test_the_default_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Twenty GiB where nothing else is said, in the user's folder for caches."""
    monkeypatch.delenv("VOCODER_BENCH_ENGINES", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = default_engine_cache()
    assert found.limit_bytes == 20 * GIB
    assert found.folder == tmp_path / "gpt-sovits-vocoder-bench" / "engines"


def test_folder_and_files_are_the_users_alone(cache: EngineCache) -> None:
    """The folder has mode 0700, every file in it 0600, whatever the umask, and a marker says whose it is."""
    before = os.umask(0)
    try:
        cache.fetch(KEY, Builder())
        cache.merge_timing({"gpu": "a"}, b"t", lambda _, new: new)
    finally:
        os.umask(before)
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in cache.folder.iterdir()} == {0o600}
    assert b"gpt-sovits-vocoder-bench" in (cache.folder / MARKER).read_bytes()


def test_a_cache_from_before_the_marker_is_taken_over(cache: EngineCache) -> None:
    """A folder with nothing but the cache's own names is used, closed to others and marked."""
    cache.fetch(KEY, Builder())
    (cache.folder / MARKER).unlink()
    cache.folder.chmod(0o755)
    assert cache.fetch(KEY, Builder()).from_cache
    assert (cache.folder / MARKER).exists()
    assert cache.folder.stat().st_mode & 0o777 == 0o700


def _open_folder(cache: EngineCache, _: Path) -> None:
    cache.folder.chmod(0o777)


def _unmarked_open_folder(cache: EngineCache, _: Path) -> None:
    (cache.folder / MARKER).unlink()
    cache.folder.chmod(0o777)


def _open_file(_: EngineCache, file: Path) -> None:
    file.chmod(0o666)


def _another_owner(_: EngineCache, file: Path) -> None:
    os.chown(file, 54321, 54321)


def _folder_of_another(cache: EngineCache, _: Path) -> None:
    os.chown(cache.folder, 54321, 54321)


def _pipe(_: EngineCache, file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


def _link(_: EngineCache, file: Path) -> None:
    target = file.parent.parent / "target"
    file.rename(target)
    file.symlink_to(target)


def _loop(_: EngineCache, file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


def _folder(_: EngineCache, file: Path) -> None:
    file.unlink()
    file.mkdir()


PLANTED = (
    (_open_folder, "open to other users"),
    (_unmarked_open_folder, "other users may write"),
    (_open_file, "open to other users"),
    (_another_owner, "belongs to another user"),
    (_folder_of_another, "belongs to another user"),
    (_pipe, "no regular file"),
    (_link, "no regular file"),
    (_loop, "no regular file"),
    (_folder, "no regular file"),
)


@pytest.mark.parametrize(("plant", "said"), PLANTED)
def test_what_is_not_the_caches_own_is_never_loaded_or_removed(
    cache: EngineCache, plant: Callable[[EngineCache, Path], None], said: str
) -> None:
    """A file or folder that others own or may write, and what is no regular file, is left as it is and not used."""
    if "another" in plant.__name__ and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    cache.fetch(KEY, Builder())
    file = only_engine(cache)
    plant(cache, file)
    build = Builder(b"built again")
    found = cache.fetch(KEY, build)
    assert (found.plan, found.from_cache, found.file) == (b"built again", False, None)
    assert said in found.note
    cache.discard(KEY, "no reason")
    if cache.refusal() is None:
        left = cache.prune(older_than_s=0).left + cache.clear().left
        assert len(left) == 2
        assert all(said in entry.fault for entry in left)
    else:
        for use in (cache.prune, cache.clear, lambda: default_engine_cache(str(cache.folder))):
            with pytest.raises(InputError, match=said):
                use()
    assert os.path.lexists(file)


def test_waiting_for_a_lock_is_said(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that waits for another one's build says for which."""
    monkeypatch.setattr(files, "_WAIT_S", 0.05)
    cache.fetch(KEY, Builder())
    file = only_engine(cache)
    lock = os.open(f"{file}.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    timer = threading.Timer(0.3, fcntl.flock, (lock, fcntl.LOCK_UN))
    timer.start()
    with caplog.at_level(logging.WARNING):
        assert cache.fetch(KEY, Builder()).from_cache
    timer.join()
    os.close(lock)
    assert f"{file.name}: another process builds it; waiting" in caplog.text


def test_a_large_engine_is_not_read_whole_to_verify(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit nothing is kept, and a file that claims more is not read."""
    cache.fetch(KEY, Builder())
    monkeypatch.setattr(files, "ENGINE_LIMIT_BYTES", len(PLAN) - 1)
    assert "more than" in cache.entries(checked=True)[0].fault
    found = cache.fetch(KEY, Builder())
    assert (found.plan, found.file) == (PLAN, None)


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the platform knows no folder for caches, one sentence names the variable; no folder called ~ is made."""
    monkeypatch.delenv("VOCODER_BENCH_ENGINES", raising=False)
    monkeypatch.setattr("bench.files.user_cache_dir", lambda _: "~/.cache/x")
    with pytest.raises(InputError, match="set VOCODER_BENCH_ENGINES or HOME"):
        default_engine_cache()
