"""Where pretrained weights are that configs name."""

from __future__ import annotations

from mmengine.runner import checkpoint as tables

from mtpd import fetch


def file_of(name: str) -> fetch.Wanted:
    """The file of pretrained weights that configs call so: an address, or a name in a table (mmengine, timm).

    Raises:
        FetchError: the tables do not have the name.
    """
    scheme, _, model = name.partition("://")
    url: str | None = name
    if scheme == "timm":
        return _of_timm(name, model)
    if scheme in ("torchvision", "modelzoo"):
        url = tables.get_torchvision_models().get(model)
    elif scheme in ("open-mmlab", "openmmlab"):
        url = tables.get_external_models().get(tables.get_deprecated_model_names().get(model, model))
    if not url:
        raise fetch.FetchError(f"{name}: no such pretrained checkpoint: correct the detector's config")
    return fetch.Wanted(f"pretrained weights {name}", url, fetch.hash_in_name(url))


def _of_timm(name: str, model: str) -> fetch.Wanted:
    """The file of a model's weights in timm's tables.

    Where they name an address besides the hub's, it mostly has a hash in it, and is taken. Files of the hub
    all have the same name, so here they get the name of the model.
    """
    from timm.models import get_pretrained_cfg, is_model_pretrained  # takes seconds

    if not is_model_pretrained(model):
        raise fetch.FetchError(f"{name}: timm has no such model with weights: correct the detector's config")
    table = get_pretrained_cfg(model)
    what = f"pretrained weights {name} (licence: {table.license or 'not stated by timm'})"
    if table.url:
        return fetch.Wanted(what, table.url, fetch.hash_in_name(table.url))
    file = table.hf_hub_filename or "model.safetensors"
    address = f"https://huggingface.co/{table.hf_hub_id}/resolve/main/{file}"
    return fetch.Wanted(what, address, "", f"{model}-{file}")
