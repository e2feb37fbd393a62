"""Backbones of timm, the collection of image models, as mmdet builds backbones.

Stock mmdet builds them too once this module is imported: the config of a checkpoint names it in
``custom_imports``.
"""

from __future__ import annotations

import timm
import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader
from torch import Tensor

NAMED = 3  # tensors in a message
# Options of timm that load weights past the reader and the hashes of this project.
LOADING = {"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"}


@MODELS.register_module()
class TimmBackbone(BaseModule):
    """A model of timm without its classifier, which gives features at several strides.

    Args:
        name: of the model, like ``tf_efficientnet_lite0``.
        out_indices: which of its feature levels, from the finest one on (0 has stride 2 in most networks).
        options: further arguments of ``timm.create_model``, like ``drop_path_rate``.
        init_cfg: ``dict(type="Pretrained", checkpoint=...)``: a file, or ``timm://NAME`` for timm's own
            weights of a model; they may be those of the whole classifier. Without it, weights are random.

    Raises:
        RuntimeError: timm has no such model, or no such levels.
        ValueError: ``options`` name pretrained weights.
    """

    def __init__(
        self,
        name: str,
        out_indices: tuple[int, ...],
        options: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if wrong := sorted(LOADING & set(options or {})):
            raise ValueError(
                f"options: found {', '.join(wrong)}; pretrained weights are named in init_cfg alone"
            )
        self.settings = {
            "model_name": name,
            "features_only": True,
            "out_indices": tuple(out_indices),
            **(options or {}),
        }
        self.model = timm.create_model(**self.settings)
        self.channels_last = getattr(self.model, "output_fmt", None) == "NHWC"

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Args: images, N x 3 x H x W, normalised. Returns: features, N x C x H / stride x W / stride."""
        features = self.model(images)
        return tuple(level.permute(0, 3, 1, 2) if self.channels_last else level for level in features)

    def init_weights(self) -> None:
        """Load the pretrained weights that ``init_cfg`` names; timm renames what its models call otherwise.

        Raises:
            ValueError: the file lacks some of the model's weights.
        """
        if not self.init_cfg or self._is_init:
            return
        path = self.init_cfg["checkpoint"]
        found = CheckpointLoader.load_checkpoint(path, map_location="cpu")
        drawn, loaded = self._drawn(), self._drawn(found.get("state_dict", found))
        absent = [name for name in drawn if _is_random(drawn[name]) and drawn[name].equal(loaded[name])]
        if absent:
            name = self.settings["model_name"]
            raise ValueError(
                f"{path}: lacks {len(absent)} of {len(drawn)} tensors of {name} ({', '.join(absent[:NAMED])})"
            )
        self.model.load_state_dict(loaded)
        self._is_init = True

    def _drawn(self, weights: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The weights of a model that is drawn with a fixed seed and then loads the given ones.

        timm leaves a model's own values where a file has none, and only logs it: two draws show which.
        """
        given = {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": weights}} if weights else {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return timm.create_model(**self.settings, **given).state_dict()


def _is_random(values: Tensor) -> bool:
    """Whether values were drawn, and are no constants like those of a new batch norm."""
    return values.is_floating_point() and values.numel() > 1 and bool(values.ne(values.flatten()[0]).any())
