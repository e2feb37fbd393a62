"""Files from the network: resumed, tried again, looked for in caches and at mirrors; needs no torch.

A file gets its name only when all of it is there and its hash is right.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from mtpd import files

PAUSES = (1, 5, 20)  # seconds before the next tries, as long as nothing more arrives
TIMEOUT = 60  # seconds without a byte
BLOCK = 1 << 16
BUSY = (408, 425, 429)  # besides 5xx, the answers of a server after which another try can help


class FetchError(RuntimeError):
    """A file could not be fetched; the message says from where it was tried, and what to do."""


class _Broken(Exception):
    """Nothing arrives any more; another try can help."""


class _Refused(Exception):
    """The server does not give the file; another try would not help."""


@dataclass(frozen=True)
class Wanted:
    """A file: for what it is needed, its address, and its SHA-256 in hex (or first digits; '' if unknown)."""

    what: str
    url: str
    sha256: str
    own_name: str = ""  # where the last part of the address is the name of other files, too

    @property
    def name(self) -> str:  # in caches
        return self.own_name or unquote(PurePosixPath(urlsplit(self.url).path).name)


def hash_in_name(url: str) -> str:
    """The first digits of the SHA-256, where the name ends in them (``resnet50-19c8e357.pth``), or ''."""
    found = re.search(r"-([0-9a-f]{8,64})\.[a-z.]+$", url)
    return found[1] if found else ""


def cache() -> Path:
    """The folder of downloads that experiments and users share: ``MTPD_CACHE``, or ``~/.cache/mtpd``."""
    return Path(os.environ.get("MTPD_CACHE") or Path.home() / ".cache/mtpd").absolute()


def torch_cache() -> Path:
    """Where ``torch.hub`` keeps checkpoints, by torch's own rule."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TORCH_HOME") or Path(caches, "torch")).expanduser() / "hub/checkpoints"


def addresses(url: str) -> list[str]:
    """Where to ask for a file: at the mirrors of ``MTPD_MIRRORS``, then at its own address.

    ``MTPD_MIRRORS`` has pairs ``PREFIX=MIRROR`` with spaces between them: an address that begins with PREFIX
    is first tried with MIRROR in its place.

    Raises:
        FetchError: the variable has something else.
    """
    found = []
    for pair in os.environ.get("MTPD_MIRRORS", "").split():
        prefix, _, mirror = pair.partition("=")
        if "://" not in prefix or "://" not in mirror:
            raise FetchError(f"MTPD_MIRRORS: found {pair!r}; expected PREFIX=MIRROR, two addresses")
        if url.startswith(prefix):
            found.append(mirror + url.removeprefix(prefix))
    return [*found, url]


def fetch(wanted: Wanted, target: Path, work: Path, sleep: Callable[[float], None] = time.sleep) -> None:
    """Fetch a file: from a cache, or from the network and then also into the cache.

    Args:
        wanted: the file.
        target: where it shall be.
        work: folder of the parts of files; the same call resumes from them.
        sleep: pauses between two tries, for so many seconds.

    Raises:
        FetchError: no address gave the file, its hash is wrong, or it cannot be written.
    """
    with fetched(wanted, work, sleep, keep=True) as found:
        if not files.copy_checked(found, target, wanted.sha256):
            raise FetchError(f"{target}: differs from {found} after copying: is the disk sound?")


@contextmanager
def fetched(
    wanted: Wanted, work: Path, sleep: Callable[[float], None] = time.sleep, keep: bool = False
) -> Iterator[Path]:
    """A file inside the block: that of a cache, or one from the network, which is deleted after the block.

    Args and errors are those of ``fetch``; ``keep``: whether what comes from the network is put into the
    cache. If the block fails, the next call goes on with what has arrived.
    """
    partial = work / f"{wanted.name}.{files.fingerprint([wanted.url, wanted.sha256])}.part"
    try:
        with _alone(partial):
            if cached := _in_cache(wanted):
                yield cached
                return
            _download(wanted, partial, sleep)
            if keep:
                _into_cache(wanted, partial)
            yield partial
            partial.unlink()
    except OSError as error:
        raise FetchError(
            f"{wanted.what}: {wanted.name}: {error}: correct this (on a full disk, make room) and start "
            f"again; what has arrived is kept in {partial.absolute()}"
        ) from error


@contextmanager
def _alone(partial: Path) -> Iterator[None]:
    """Inside the block, no other process works on this part of a file."""
    partial.parent.mkdir(parents=True, exist_ok=True)
    with open(partial.with_suffix(".lock"), "w", encoding="utf-8") as file:
        with suppress(OSError):  # a file system without locks; two writers would be found by the hash
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _in_cache(wanted: Wanted) -> Path | None:
    """The file in a cache that has it."""
    for found in (cache() / wanted.name, torch_cache() / wanted.name):
        if not found.is_file():
            continue
        wrong = files.what_is_wrong(found, wanted.sha256)
        if not wrong:
            print(f"{wanted.name}: taken from {found}")
            return found
        print(f"{found}: not used: {wrong}")
    return None


def _into_cache(wanted: Wanted, partial: Path) -> None:
    """Keep a file for other experiments; a cache that cannot be written is no error."""
    try:
        files.copy_checked(partial, cache() / wanted.name, wanted.sha256)
    except OSError as error:
        print(f"{wanted.name}: not kept in the cache: {error}")


def _download(wanted: Wanted, partial: Path, sleep: Callable[[float], None]) -> None:
    tried = []
    for address in addresses(wanted.url):
        problem = _from_address(address, wanted, partial, sleep)
        if not problem:
            return
        tried.append(f"  {address}: {problem}")
    begin = f"{wanted.what}: {wanted.name} could not be downloaded:"
    raise FetchError("\n".join([begin, *tried, _by_hand(wanted)]))


def _by_hand(wanted: Wanted) -> str:
    """How a user brings a file without the workflow."""
    check = f"\nIts SHA-256 must begin with {wanted.sha256} (sha256sum FILE)." if wanted.sha256 else ""
    return (
        f"Start again where there is network, or put the file there yourself, as {cache() / wanted.name} "
        f"(MTPD_CACHE names another folder, MTPD_MIRRORS other addresses).{check}"
    )


def _from_address(address: str, wanted: Wanted, partial: Path, sleep: Callable[[float], None]) -> str | None:
    """None if the whole file has arrived, and is the right one; else what is wrong."""
    resumes = _size(partial) > 0
    if problem := _all_bytes(address, partial, sleep):
        return problem
    if not (wrong := files.what_is_wrong(partial, wanted.sha256)):
        return None
    partial.unlink()
    if resumes:  # its beginning may have come from another address, or from before the file changed
        return _from_address(address, wanted, partial, sleep)
    return wrong


def _all_bytes(address: str, partial: Path, sleep: Callable[[float], None]) -> str | None:
    """Try until everything has arrived (None), or until no more arrives: then why."""
    most, pauses = _size(partial), iter(PAUSES)
    while True:
        try:
            return _receive(address, partial)
        except _Refused as error:
            return str(error)
        except _Broken as error:
            if _size(partial) > most:
                most, pauses = _size(partial), iter(PAUSES)
            pause = next(pauses, None)
            if pause is None:
                return f"{error} ({len(PAUSES) + 1} times in a row)"
            print(f"{address}: {error}; next try in {pause} s", flush=True)
            sleep(pause)


def _receive(address: str, partial: Path) -> None:
    """Ask for the bytes that are missing, and write those that come."""
    have = _size(partial)
    headers = {"User-Agent": "mtpd", **({"Range": f"bytes={have}-"} if have else {})}
    try:
        response = urlopen(Request(address, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and have:  # no bytes after these: it is all there
            return
        kind = _Broken if error.code in BUSY or error.code >= 500 else _Refused
        raise kind(f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        kind = _Refused if address.startswith("file:") else _Broken
        raise kind(str(getattr(error, "reason", error))) from error
    length, arrived = response.headers["Content-Length"], 0
    # Any other status than 206 (partial content) means that the server sends the file from its beginning.
    with response, open(partial, "ab" if response.status == 206 else "wb") as file:
        files.require_room(partial.parent, int(length or 0))
        while block := _read(response):
            file.write(block)
            arrived += len(block)
    if length and arrived < int(length):
        raise _Broken(f"broken off after {arrived} of {length} bytes")


def _read(response) -> bytes:
    try:
        return response.read(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(f"broken off: {error}") from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
