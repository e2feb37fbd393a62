"""What this project changes in mmengine and mmdet, which have no setting for it."""

from __future__ import annotations

from pathlib import Path

from mmdet.utils import dist_utils
from mmengine.runner import checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from mtpd import fetch
from mtpd.detectors.pretrained import file_of
from mtpd.detectors.reading import read_checkpoint
from mtpd.experiment.folders import DOWNLOADS


def apply() -> None:
    """Change both libraries for this process; ``configs.build`` calls it. A second call changes nothing more.

    - mmengine reads every checkpoint with ``read_checkpoint``: its own reader unpickles anything.
    - mmdet's heads do not look for other processes. Some (GFL, ATSS, FCOS, DETR) divide their losses by a
      mean over all of them; here a micro-batch has its own, so that the number of processes changes no
      result (docs/method.md, micro-batches).
    """
    CheckpointLoader.register_scheme(prefixes="", loader=_load_local, force=True)
    checkpoint.load_url = _load_url
    checkpoint._safe_torch_load = read_checkpoint  # of files with other schemes
    dist_utils.dist = _NotDistributed


def _load_local(filename, map_location=None, logger="current"):
    found = read_checkpoint(filename, map_location)
    if isinstance(found.get("meta"), dict):
        found["meta"].pop("config", None)  # mmengine would run it as Python when it resumes
    return found


def _load_url(url, model_dir=None, map_location=None, progress=False) -> dict:
    """Read pretrained weights that a config downloads, because nobody found them in it before.

    Raises:
        FetchError: there is no network, or the hash in the file name is wrong.
        CheckpointError: see ``read_checkpoint``.
    """
    wanted = file_of(url)
    path = Path(DOWNLOADS, wanted.name)
    fetch.fetch(wanted, path, path.parent)
    return read_checkpoint(path, map_location)


class _NotDistributed:
    """Takes the place of ``torch.distributed``."""

    @staticmethod
    def is_available() -> bool:
        return False
