"""Experiment files as text: keys that stand twice, and files and locales that are not UTF-8."""

import os
import subprocess
import sys

import pytest
import yaml
from conftest import PROJECT
from snakes import TINY, snakemake

from mtpd.experiment import yaml_files
from mtpd.experiment.errors import ConfigError

SCRIPTS = PROJECT / "workflow/scripts"
LATIN_1 = "license: Müller\n".encode("latin-1")
# The content of a file, and what is said of its keys.
TWICE = {
    "section": ("a: {x: 1}\nb: 2\na: {y: 1}\n", ["a: found twice, in lines 1 and 3"]),
    "quoted": ("a: 1\n'a': 2\n", ["a: found twice, in lines 1 and 2"]),
    "deep": ("a:\n  b:\n  - {c: 1}\n  - c: 1\n    c: 2\n", ["a.b.1.c: found twice, in lines 4 and 5"]),
    "three times": ("a: 1\na: 2\na: 3\n", [f"a: found twice, in lines {n} and {n + 1}" for n in (1, 2)]),
    "in an anchor": ("a: &x {b: 1, b: 2}\nc: *x\nd: {<<: *x}\n", ["a.b: found twice, in lines 1 and 1"]),
    "merged": ("a: &x {b: 1}\nc: {<<: *x, b: 2}\nd: {<<: *x, b: 3}\n", []),
    "in two mappings": ("a: {x: 1}\nb: {x: 1}\n", []),
    "an anchor within itself": ("a: &x {b: *x}\n", []),
}  # fmt: skip


@pytest.mark.parametrize("case", TWICE)
def test_a_key_that_stands_twice_is_named_with_both_lines(case, tmp_path):
    content, expected = TWICE[case]
    path = tmp_path / "my.yaml"
    path.write_text(content, encoding="utf-8")
    if not expected:
        assert yaml_files.read(path).keys() == yaml.safe_load(content).keys()
        return
    with pytest.raises(ConfigError) as error:
        yaml_files.read(path)
    assert str(error.value).splitlines() == [f"{path}: {line}; keep one, or rename one" for line in expected]


def test_json_that_is_no_yaml_is_left_to_snakemake(tmp_path):
    (tmp_path / "my.json").write_text('{\n\t"a": 1}', encoding="utf-8")
    yaml_files.require_unique_keys(tmp_path / "my.json")


def script(name, path, **environment):
    """Exit status, and all that a script says of an experiment file."""
    command = [sys.executable, SCRIPTS / name, path]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["plan.py", "status.py"])
def test_plan_and_status_name_the_file(name, tmp_path):
    twice, strange = tmp_path / "twice.yaml", tmp_path / "latin.yaml"
    twice.write_text(TINY.read_text(encoding="utf-8") + "seeds: [1]\nseeds: [2]\n", encoding="utf-8")
    strange.write_bytes(b"# one\n" + LATIN_1)
    code, said = script(name, twice)
    assert code == 1 and f"{twice}: seeds: found twice, in lines " in said and "Traceback" not in said
    code, said = script(name, strange)
    assert code == 1 and said.startswith(f"{strange}: line 2 is not in UTF-8; save the file as UTF-8")


def test_a_run_stops_at_a_key_that_stands_twice_in_any_file(tmp_path):
    """Snakemake parses the experiment file itself, and would take the last."""
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"include: [tiny.yaml]\n{TINY.read_text(encoding='utf-8')}", encoding="utf-8")
    again = "\nexperiment: again\n"
    (tmp_path / "tiny.yaml").write_text(TINY.read_text(encoding="utf-8") + again, encoding="utf-8")
    code, said = snakemake(tmp_path, "-n", config=mine)
    assert code == 1 and f"{tmp_path}/tiny.yaml: experiment: found twice, in lines " in said
    mine.write_text(TINY.read_text(encoding="utf-8") + again, encoding="utf-8")
    code, said = snakemake(tmp_path, "-n", config=mine)
    assert code == 1 and f"{mine}: experiment: found twice, in lines " in said


def test_a_default_experiment_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_bytes(LATIN_1)
    command = ["snakemake", "-s", PROJECT / "Snakefile", "--cores", "1", "-n"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "config/config.yaml: line 1 is not in UTF-8" in said
    assert "UnicodeDecodeError" not in said


def test_make_names_a_file_that_is_not_utf8(tmp_path):
    (tmp_path / "my.yaml").write_bytes(LATIN_1)
    command = ["make", "-n", "-o", ".venv/ready", "check", f"CONFIG={tmp_path}/my.yaml"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 2 and f"{tmp_path}/my.yaml is not in UTF-8: save it as UTF-8" in done.stderr


def test_names_beyond_ascii_need_a_locale_of_utf8(tmp_path):
    """In another one, the same name would be that of another file in the jobs."""
    other = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    path = tmp_path / "my.yaml"
    content = TINY.read_text(encoding="utf-8")
    path.write_text(f"# Größe\n{content}", encoding="utf-8")
    assert script("plan.py", path, **other)[0] == 0
    changed = content.replace("dataset:\n", "dataset:\n  license: of Müller\n")
    path.write_text(changed, encoding="utf-8")
    code, said = script("plan.py", path, **other)
    assert code == 1 and r"found 'of M\xfcller'" in said and "set PYTHONUTF8=1" in said
    assert script("plan.py", path, **other | {"PYTHONUTF8": "1"})[0] == 0
