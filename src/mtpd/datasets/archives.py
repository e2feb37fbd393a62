"""Data sets that are published as zip files."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from pathlib import Path

from mtpd import fetch


def fetch_folder(wanted: fetch.Wanted, folder: Path, files: int, work: Path) -> None:
    """Fetch a zip file and take the folder out of it; it appears under its name when all of it is there.

    Args:
        wanted: the zip file.
        folder: where it shall be; the zip file has a folder of the same name. Where there are files already,
            none of them is touched.
        files: how many are in the folder.
        work: folder of the parts of downloads; the same call resumes from them.

    Raises:
        FetchError: as ``fetch.fetch``; or it is no zip file, or the folder has another number of files.
    """
    with fetch.fetched(wanted, work) as archive:
        try:
            _unpack(archive, folder, files)
        except (ValueError, zlib.error, zipfile.BadZipFile) as error:
            raise fetch.FetchError(f"{wanted.what}: {wanted.url}: {error}") from error


def _unpack(archive: Path, folder: Path, files: int) -> None:
    """Zip files have a checksum of every file, which is compared here.

    Raises:
        ValueError: another number of files.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # a killed job's
    with zipfile.ZipFile(archive) as content:
        inside = [name for name in content.namelist() if name.startswith(f"{folder.name}/")]
        members = [name for name in inside if not name.endswith("/")]
        if len(members) != files:
            found = f"found {len(members)} files in {folder.name}/ of the zip file"
            raise ValueError(f"{found}, expected {files}")
        content.extractall(partial, members)
    (partial / folder.name).rename(folder)  # which fails where there are files
    partial.rmdir()
