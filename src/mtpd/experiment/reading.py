"""Reading an experiment file, with every mistake named by its key.

``python -m mtpd.experiment.reading`` writes ``config/schema.json`` for editors.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mtpd.experiment import bases, chains, consistency, includes, input_files, rows, yaml_files
from mtpd.experiment.errors import ConfigError, expected
from mtpd.experiment.rehearsal import rehearsed
from mtpd.experiment.schema import Dataset, Experiment

EXAMPLES = {"seeds": "[0, 1, 2]", "scale": "[96, 96]"}  # of lists that one value does not suggest


def load_experiment(config: dict[str, Any], source: str = "config") -> Experiment:
    """Check a parsed experiment file.

    Args:
        config: its content.
        source: its name, which begins every line of an error.

    Raises:
        ConfigError: a line for each wrong key: the key, what was found, what was expected.
    """
    return _consistent(_with_known_names(config, source), source)


def _with_known_names(config: dict[str, Any], source: str) -> Experiment:
    """An experiment of which every key is sound by itself, and every name refers to something."""
    whole = bases.with_bases(config, source)
    try:
        experiment = Experiment.model_validate(whole)
    except ValidationError as error:
        # A list without its wrong items is too short for pydantic, too.
        wrong = [item for item in error.errors() if item["type"] != "too_short" or not item["input"]]
        raise _config_error(source, [_describe(item) for item in wrong]) from None
    if wrong := consistency.unknown_names(experiment):
        raise _config_error(source, wrong)
    return experiment


def load_dataset(keys: dict[str, Any], source: str) -> Dataset:
    """The part ``dataset`` of an experiment file by itself.

    Raises:
        ConfigError: a line for each wrong key.
    """
    try:
        return Dataset.model_validate(keys)
    except ValidationError as error:
        wrong = [_describe({**item, "loc": ("dataset", *item["loc"])}) for item in error.errors()]
        raise _config_error(source, wrong) from None


def _consistent(experiment: Experiment, source: str) -> Experiment:
    if wrong := consistency.problems(experiment):
        raise _config_error(source, wrong)
    return experiment


def read_file(path: Path, project: Path) -> Experiment:
    """``load_with_includes`` of an experiment file, without Snakemake.

    Raises:
        ConfigError: as ``yaml_files.read`` and ``load_with_includes``, or the file has no keys.
        OSError: it cannot be read.
    """
    content = yaml_files.read(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: found no experiment; expected keys and values")
    return load_with_includes(content, str(path), project, [path.parent])


def load_with_includes(
    config: dict[str, Any], source: str, project: Path, folders: Sequence[Path] = ()
) -> Experiment:
    """``load_experiment``, with what the file includes, and the project's own files found.

    Args:
        config: content of the experiment file.
        source: its name.
        project: folder of this project.
        folders: where included files are looked up first: the folder of the experiment file.

    Raises:
        ConfigError: as ``load_experiment``, or a file to include is missing, or other characters than ASCII
            would name other files here than in the jobs.
    """
    whole = includes.with_includes(config, source, [*folders, Path(), project])
    _require_utf8(whole, source)
    used = includes.without_unused(_with_known_names(whole, source), config)
    return input_files.with_shipped_files(_consistent(used, source), project)


def _require_utf8(config: dict[str, Any], source: str) -> None:
    """Jobs read text and name files in UTF-8, whatever the locale; here Python may take another encoding."""
    encoding = sys.getfilesystemencoding()
    text = json.dumps(config, ensure_ascii=False, default=str)
    if encoding != "utf-8" and not text.isascii():
        beyond = next(part for part in text.split('"') if not part.isascii())
        raise ConfigError(
            f"{source}: found {beyond!a}; such names are read in {encoding} in this locale, and in UTF-8 "
            "in the jobs; set PYTHONUTF8=1 (export PYTHONUTF8=1) and start again"
        )


def load_with_files(
    config: dict[str, Any], source: str, project: Path, folders: Sequence[Path] = ()
) -> Experiment:
    """``load_with_includes``; the configs and checkpoints that it names must exist, here or in ``project``.

    Data may be missing, see ``consistency.missing_data``. A rehearsal needs no checkpoints either; see
    ``rehearsal.rehearsed``.

    Raises:
        ConfigError: as ``load_with_includes``, and a line for each key whose file or folder is missing, or
            that names no result of the paper.
    """
    experiment = load_with_includes(config, source, project, folders)
    if experiment.rehearsal:
        experiment = rehearsed(experiment)
    wrong = consistency.missing_files(experiment)
    if rows.reproducing_arms(experiment):
        wrong += consistency.unknown_results(experiment, input_files.paper_results(project))
    if wrong:
        raise _config_error(source, wrong)
    return experiment


def _config_error(source: str, lines: list[str]) -> ConfigError:
    return ConfigError("\n".join(f"{source}: {line}" for line in lines))


def _describe(error: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"] if not _is_form(part))
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key; {expected(str(error['loc'][-1]), _keys_at(error['loc'][:-1]))}"
    if error["type"] == "value_error":
        return f"{where.removesuffix('.[key]')}: {error['ctx']['error']}".removeprefix(": ")
    if error.get("ctx", {}).get("pattern") == f"^{chains.NAME}$":
        return f"{where}: found {error['input']!r}; expected {chains.NAME_IN_WORDS}"
    if error["type"] == "missing":
        return f"{where}: missing"
    if error["loc"][-1] == "[key]":
        where = ".".join(map(str, error["loc"][:-2]))
        return f"{where}: found the name {error['input']!r}, which YAML reads as no text; put it in quotes"
    if error["type"] == "tuple_type":
        example = EXAMPLES.get(error["loc"][-1], f"[{error['input']}]")
        return f"{where}: found {error['input']!r}; expected a list, like {example}"
    return f"{where}: found {error['input']!r}; {error['msg']}"


def _is_form(part: str | int) -> bool:
    """Whether a part of a path names the form of a key that has two (``schema.Validation``), and no key."""
    return isinstance(part, str) and part.startswith("<")


def _keys_at(path: tuple) -> list[str]:
    """The keys that the schema allows at a path of the experiment file."""
    schema = Experiment.model_json_schema()
    node = schema
    for part in path:
        if _is_form(part):
            node = schema["$defs"].get(part.strip("<>"), {})
            continue
        node = _resolve(schema, node)
        named = [node.get("properties", {}).get(part), *node.get("patternProperties", {}).values()]
        node = next((child for child in named if child), {})
    return list(_resolve(schema, node).get("properties", {}))


def _resolve(schema: dict, node: dict) -> dict:
    for option in node.get("anyOf", []):
        if "$ref" in option:
            node = option
    return schema["$defs"][node["$ref"].rsplit("/", 1)[-1]] if "$ref" in node else node


def json_schema() -> str:
    """The keys for editors; a file that includes others need not have all required keys itself."""
    schema = Experiment.model_json_schema()
    schema["anyOf"] = [{"required": [includes.KEY]}, {"required": schema.pop("required")}]
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    Path("config/schema.json").write_text(json_schema(), encoding="utf-8")
