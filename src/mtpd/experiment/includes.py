"""``include``: what several experiments share stands in files of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtpd.experiment import chains, yaml_files
from mtpd.experiment.errors import ConfigError
from mtpd.experiment.schema import Experiment

KEY = "include"


def with_includes(
    config: dict[str, Any], source: str, folders: Sequence[Path], above: tuple[Path, ...] = ()
) -> dict[str, Any]:
    """The experiment file, merged onto the files that it includes.

    Mappings are merged key by key. Of two other values, that of the including file is taken, or of the later
    of two included files.

    Args:
        config: content of the including file.
        source: its name, for errors.
        folders: where included files are looked up; one that an included file names, first beside that file.
        above: the files that are being included, outermost first.

    Raises:
        ConfigError: a file is missing, cannot be read, has a key twice, holds no mapping, or includes itself.
    """
    merged: dict[str, Any] = {}
    for number, name in enumerate(_names(config, source)):
        key = f"{source}: {KEY}.{number}"
        path = _find(name, folders, key)
        if path in above:
            circle = " -> ".join(map(str, [*above[above.index(path) :], path]))
            raise ConfigError(f"{key}: found a circle: {circle}")
        content = with_includes(_read(path, key), str(path), [path.parent, *folders], (*above, path))
        merged = _merge(merged, content)
    return _merge(merged, {name: value for name, value in config.items() if name != KEY})


def _names(config: dict[str, Any], source: str) -> list[str]:
    names = config.get(KEY, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{source}: {KEY}: found {names!r}; expected a list of YAML files")
    return names


def _find(name: str, folders: Sequence[Path], key: str) -> Path:
    for folder in folders:
        if (path := folder / name).is_file():
            return path.resolve()
    looked = ", ".join(dict.fromkeys(str(folder.resolve()) for folder in folders))
    raise ConfigError(f"{key}: no such file: {name}; looked for it in {looked}")


def _read(path: Path, key: str) -> dict[str, Any]:
    try:
        content = yaml_files.read(path)
    except OSError as error:
        raise ConfigError(f"{key}: {path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{key}: {path} holds {type(content).__name__}; expected a mapping")
    return content


def _merge(base: Any, over: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return {**base, **{key: _merge(base.get(key), value) for key, value in over.items()}}


def without_unused(experiment: Experiment, own: dict[str, Any]) -> Experiment:
    """The experiment without those detectors, pools and recipes of included files that it does not use.

    So a file with the whole model zoo can be included, and the target ``detectors`` downloads what is needed.

    Args:
        experiment: with everything that is included.
        own: content of the including file; what it names itself stays.
    """
    arms = experiment.arms.values()
    pools = {arm.pool for arm in arms} | {*own.get("pools", ())}
    recipes = {arm.recipe for arm in arms} | {*own.get("recipes", ())}
    detectors = {*experiment.students, *own.get("detectors", ())}
    detectors |= {name for arm in arms if arm.chain for name in chains.parse(arm.chain).teachers}
    detectors |= {name for pool in pools & experiment.pools.keys() for name in experiment.pools[pool]}
    detectors |= {experiment.recipes[name].inherit for name in recipes}
    trained = [found.train for name, found in experiment.detectors.items() if name in detectors]
    recipes |= {train.recipe for train in trained if train}
    return experiment.model_copy(
        update={
            "pools": {name: pool for name, pool in experiment.pools.items() if name in pools},
            "recipes": {name: recipe for name, recipe in experiment.recipes.items() if name in recipes},
            "detectors": {name: found for name, found in experiment.detectors.items() if name in detectors},
        }
    )
