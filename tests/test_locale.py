"""Jobs in a locale that is not UTF-8: a class whose name is beyond ASCII keeps its AP."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import torch
from conftest import PROJECT
from snakes import snakemake

from mtpd import files
from mtpd.evaluation.evaluate import evaluate

OTHER_LOCALE = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}


def renamed(dataset, folder, old, new):
    """The data set with another name for a class, which its files write in UTF-8."""
    splits = {}
    for split in ("train", "val"):
        content = json.loads(Path(dataset[split]["annotations"]).read_text(encoding="utf-8"))
        for category in content["categories"]:
            category["name"] = category["name"].replace(old, new)
        path = folder / f"{split}.json"
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        splits[split] = {**dataset[split], "annotations": str(path)}
    return {**dataset, **splits}


def test_a_class_with_an_umlaut_keeps_its_ap(dataset, tmp_path):
    """mmdet and pycocotools open files in the encoding of the locale, unless Python is told UTF-8."""
    config = {"config": str(PROJECT / "config/detectors/zoo_r18_w32.py"), "overrides": {}, "image_scale": 1}
    plain = str(PROJECT / "config/zoo/r18w32.pth")
    expected = evaluate(dataset, config, plain, tmp_path / "plain").summary(dataset["name"])
    assert expected["bbox"]["AP"] > 3
    content = torch.load(plain, weights_only=True)
    classes = content["meta"]["dataset_meta"]["classes"]
    content["meta"]["dataset_meta"]["classes"] = ["Größe" if name == "disc" else name for name in classes]
    torch.save(content, tmp_path / "weights.pth")
    spec = {"dataset": renamed(dataset, tmp_path, "disc", "Größe"), "detector": config}
    files.write_json(tmp_path / "spec.json", spec)
    command = [sys.executable, PROJECT / "workflow/scripts/evaluate.py", "--spec", "spec.json"]
    command += ["--weights", "weights.pth", "--metrics", "metrics.json", "--predictions", "predictions.json"]
    environment = {**os.environ, **OTHER_LOCALE, "PYTHONUTF8": "1"}  # as in the next test
    done = subprocess.run(list(map(str, command)), cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert files.read_json(tmp_path / "metrics.json")["bbox"] == expected["bbox"]


def test_every_job_of_a_script_is_told_utf8(tmp_path):
    code, said = snakemake(tmp_path, "-n", "-p")
    assert code == 0, said
    commands = re.findall(r"^.*/scripts/\w+\.py .*$", said, re.MULTILINE)
    assert len({re.search(r"(\w+)\.py", line)[1] for line in commands}) > 5
    assert [line for line in commands if "PYTHONUTF8=1 " not in line] == []
