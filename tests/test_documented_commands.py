"""Commands and files that the documentation names exist."""

import re
import tomllib
from functools import cache
from pathlib import Path

import mmdet
import pytest
from conftest import PROJECT
from documents import PAGES, commands, files, links
from snakemake import cli

MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
FOLDERS = ("benchmarks", "config", "docs", "envs", "slurm", "src", "tests", "workflow", ".ci")
STOCK = Path(mmdet.__file__).parent / ".mim"  # mmdet's configs and tools
NAMED = {"STUDY": "config/studies/{}.yaml", "ROW": "benchmarks/{}.py"}  # files that variables of make name
SOURCES = (".py", ".smk", ".yaml")
MADE = ("my.yaml", "cells.yaml", "data.yaml", "envs/mtpd.sif", "predict.py", "my_neck.py")  # by the reader


def problems(text):
    """What a page names and the project lacks."""
    checks = {"make": of_make, "snakemake": of_snakemake, "python": of_python, "pytest": of_pytest}
    for words in commands(text):
        for problem in checks[words[0]](words[1:]):
            yield f"{' '.join(words)}: {problem}"
    yield from (f"no such file: {name}" for name in files(text) if not exists(name))


@cache
def make_rules():
    """The text of each target's rule, with that of the variables that it reads."""
    texts = dict(re.findall(r"^([a-z-]+): (.*?)(?:\n\n|\Z)", MAKEFILE, re.MULTILINE | re.DOTALL))
    texts["setup"] = MAKEFILE.partition("$(READY): ")[2].partition("\n\n")[0]
    needs = dict(re.findall(r"^(NEEDS_\w+) = (.*)$", MAKEFILE, re.MULTILINE))
    return {
        target: rule + "".join(text for name, text in needs.items() if f"$({name})" in rule)
        for target, rule in texts.items()
    }


def of_make(words):
    targets = [word for word in words if "=" not in word] or ["setup"]
    for target in targets:
        if target not in make_rules():
            yield f"no target {target}"
    for name, _, value in (word.partition("=") for word in words if "=" in word):
        scripts = (PROJECT / "envs/install.sh").read_text(encoding="utf-8")  # of ``make setup``
        read = "".join(make_rules().get(target, "") for target in targets)
        if f"$({name})" not in read and not ("setup" in targets and f"{{{name}:-" in scripts):
            yield f"the target does not read {name}"
        path = NAMED.get(name, "{}").format(value)
        if path.startswith(("config/", "benchmarks/")) and not exists(path):
            yield f"no such file: {path}"


@cache
def snakemake_rules():
    workflow = [PROJECT / "workflow/Snakefile", *(PROJECT / "workflow/rules").glob("*.smk")]
    texts = "".join(path.read_text(encoding="utf-8") for path in workflow)
    return set(re.findall(r"^(?:rule|checkpoint) (\w+):", texts, re.MULTILINE))


def of_snakemake(words):
    try:
        _, given = cli.parse_args(words)
    except SystemExit:
        yield "Snakemake does not know such options"
        return
    for target in given.targets:
        if target not in snakemake_rules() and not target.startswith("results/"):
            yield f"no rule {target}"


def of_python(words):
    module = words[1].replace(".", "/") if words[0] == "-m" else ""
    paths = (f"{module}.py", f"{module}/__main__.py", f"src/{module}.py") if module else (words[0],)
    if not any((PROJECT / path).exists() for path in paths) and words[0] not in MADE:
        yield "no such program"


def of_pytest(words):
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]
    markers = {line.partition(":")[0] for line in settings["ini_options"]["markers"]}
    for before, word in zip(["", *words], words, strict=False):
        if before == "-m" and word not in markers:
            yield f"no marker {word}"
        if word.startswith("tests/") and not exists(word):
            yield f"no such file: {word}"


def exists(name):
    """Whether the project has a file of this name; those of results and of the reader count as there."""
    pattern = re.sub(r"\{\w+\}", "*", name)
    if name in MADE or name.startswith("/"):  # of the machine
        return True
    if pattern.split("/")[0] in FOLDERS or (PROJECT / pattern).exists():
        return any(PROJECT.glob(pattern.rstrip("/")))
    places = [PROJECT / folder for folder in FOLDERS] + [STOCK]
    return not pattern.endswith(SOURCES) or any(any(place.rglob(pattern)) for place in places)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_what_a_page_names_exists(page, monkeypatch):
    monkeypatch.chdir(PROJECT)
    text = page.read_text(encoding="utf-8")
    assert list(problems(text)) == []
    assert [path for path in links(text) if not (page.parent / path).exists()] == []


@pytest.mark.parametrize(
    "text",
    [
        "`make demoo`",
        "```\nmake check CONFG=my.yaml\n```",
        "`make plan CONFIG=config/paper/none.yaml`",
        "`make study STUDY=none`",
        "`make bench FILE=planning`",
        "`make bench ROW=none`",
        "`srun --gpus=2 make test-gpus`",
        "```\nsnakemake --cores all --configfile my.yaml -- no_rule   # comment\n```",
        "`snakemake --coares all`",
        "`python -m benchmarks.none`",
        "`python workflow/scripts/none.py my.yaml`",
        "`pytest -m slo`",
        "`pytest tests/test_none.py`",
        "in `tests/test_none.py`",
        "`losses/none.py`",
        "`none.smk`",
        "`none_of_these.yaml`",
    ],
)
def test_what_is_missing_is_found(text, monkeypatch):
    monkeypatch.chdir(PROJECT)
    assert len(list(problems(text))) == 1


def test_every_target_of_the_makefile_is_in_its_help():
    (targets,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    helped = re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)
    assert sorted(targets.split()) == sorted(helped)
