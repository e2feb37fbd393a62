"""Where pretrained weights are that configs name."""

from __future__ import annotations

from mmengine.runner import checkpoint as tables

from mtpd import fetch


def file_of(name: str) -> fetch.Wanted:
    """The file of pretrained weights that configs call so: an address, or a name in mmengine's tables.

    Raises:
        FetchError: the tables do not have the name.
    """
    scheme, _, model = name.partition("://")
    url: str | None = name
    if scheme in ("torchvision", "modelzoo"):
        url = tables.get_torchvision_models().get(model)
    elif scheme in ("open-mmlab", "openmmlab"):
        url = tables.get_external_models().get(tables.get_deprecated_model_names().get(model, model))
    if not url:
        raise fetch.FetchError(f"{name}: no such pretrained checkpoint: correct the detector's config")
    return fetch.Wanted(f"pretrained weights {name}", url, fetch.hash_in_name(url))
