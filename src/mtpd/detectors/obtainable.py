"""Whether pretrained weights can be had; ``make new`` chooses by it."""

from __future__ import annotations

from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

from mtpd import fetch
from mtpd.detectors import lite_weights
from mtpd.experiment import backbones

SECONDS = 5  # that a server may take to answer


def is_obtainable(name: str) -> bool:
    """Whether pretrained weights are here, in a package or a cache, or can be fetched. Args: their name."""
    if Path(backbones.path(name)).exists() or lite_weights.package_file(name):
        return True
    from mtpd.detectors.pretrained import file_of  # imports torch, which takes seconds

    wanted = file_of(name)
    if any((folder / wanted.name).exists() for folder in (fetch.cache(), fetch.torch_cache())):
        return True
    return any(map(_answers, fetch.addresses(wanted.url)))


def _answers(address: str) -> bool:
    try:
        with urlopen(Request(address, method="HEAD", headers={"User-Agent": "mtpd"}), timeout=SECONDS):
            return True
    except (OSError, HTTPException):
        return False
