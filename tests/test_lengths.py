"""Names that become too long for a file system are refused before the first job."""

import itertools
from types import SimpleNamespace

import pytest
import yaml
from conftest import PROJECT
from snakemake_executor_plugin_slurm.utils import get_job_wildcards

from mtpd.experiment import rows
from mtpd.experiment.errors import ConfigError
from mtpd.experiment.name_lengths import too_long
from mtpd.experiment.reading import load_experiment


def experiment(teachers, arm):
    """The small one with other names of its teachers, and one arm."""
    content = yaml.safe_load((PROJECT / "tests/data/small.yaml").read_text())
    for old, new in zip(("r18w32", "swin32"), teachers, strict=True):
        content["detectors"][new] = content["detectors"].pop(old)
    content["pools"] = {"both": list(teachers)}
    content["arms"] = {"only": {"recipe": "pkd", **arm}}
    return load_experiment(content)


def longest_chain(loaded):
    """Of all orders of the pool, or the one that is written."""
    pool = loaded.pools["both"]
    orders = [list(order) for count in (1, 2) for order in itertools.permutations(pool, count)]
    return max((str(chain) for chain in rows.chains_of(loaded.arms["only"], {"bgs": orders})), key=len)


def problems(teachers, arm, on_cluster):
    try:
        loaded = experiment(teachers, arm)
    except ConfigError as error:
        return str(error).splitlines()
    assert longest_chain(loaded) == f"{teachers[0]}@4+{teachers[1]}@4"
    return too_long(loaded, on_cluster)


@pytest.mark.parametrize("arm", [{"chain": "{}@4+{}@4"}, {"policy": "bgs", "pool": "both", "epochs": 8}])
@pytest.mark.parametrize("on_cluster", [True, False])
def test_a_folder_is_named_by_as_many_characters_as_a_file_system_takes(arm, on_cluster, tmp_path):
    """On a cluster by those that the plugin for Slurm joins."""
    refused = []
    for length in range(220, 254):
        teachers = ("a" * length, "b")
        chain = "{}@4+{}@4".format(*teachers)
        wildcards = ["shapes", "r18w8", "pkd", chain, "0"] if on_cluster else [chain]
        found = problems(teachers, {**arm, **({"chain": chain} if "chain" in arm else {})}, on_cluster)
        try:
            (tmp_path / get_job_wildcards(SimpleNamespace(wildcards=wildcards))).mkdir()
            assert not found
        except OSError:
            (line,) = found
            assert "arms.only: a folder is named by" in line
            refused.append(length)
    assert refused
