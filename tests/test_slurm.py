"""``snakemake --cores all --profile slurm`` on a real cluster of one node.

Whatever happens to jobs, to Snakemake or to Slurm, the results are those of a run without Slurm and without
faults, and at most the epoch that was interrupted is begun again.
"""

import shutil
import signal
import subprocess

import pytest
from conftest import PROJECT
from processes import beside, slow_checkpoints
from slurm_cluster import LONGEST, Cluster, Controller, missing, until
from snakes import TINY, changed, command, snakemake
from test_faults import assert_same_results, epochs_trained

CLUSTER = PROJECT / "tests/data/cluster.yaml"
STAGE = "results/few-shapes/students/student/alone/none@12/seed0/student.pth"
pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    assert not missing(), f"not installed: {missing()}; run envs/slurm.sh"
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start("slurmctld", "slurmd")
        yield cluster
    finally:
        cluster.stop(*list(cluster.daemons))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A folder with the data set, where the experiment has passed its checks."""
    folder = tmp_path_factory.mktemp("cluster") / "drawn"
    folder.mkdir()
    (folder / "config").symlink_to(PROJECT / "config")
    splits = [f"results/few-shapes/data/{split}.json" for split in ("train", "val")]
    code, said = snakemake(folder, "--", *splits, config=CLUSTER)
    assert code == 0, said
    return folder


@pytest.fixture(scope="module")
def peaceful(drawn):
    """The folder of a run without Slurm and without faults."""
    folder = shutil.copytree(drawn, drawn.with_name("peaceful"), symlinks=True)
    code, said = snakemake(folder, "--", STAGE, config=CLUSTER)
    assert code == 0, said
    return folder


@pytest.fixture
def folder(drawn, tmp_path):
    """A copy of the folder with the data set."""
    return shutil.copytree(drawn, tmp_path / "work here", symlinks=True)


@pytest.fixture
def start(cluster):
    """Starts Snakemake; what is still at work at the end of a test is ended."""
    started = []

    def start(*arguments, **options):
        started.append(Controller(cluster, *arguments, **{"config": CLUSTER, **options}))
        return started[-1]

    yield start
    for controller in started:
        controller.kill()
    cluster.clear()


def assert_trained_once(folder, expected, lost=0):
    """The results are those expected; at most ``lost`` epochs were begun again."""
    assert_same_results(folder, expected)
    log = "".join(path.read_text() for path in folder.glob(".snakemake/slurm_logs/rule_train_stage/*/*.log"))
    (folder / "said").write_text(log)
    assert 0 <= sum(epochs_trained(folder).values()) - 12 <= lost


def test_the_tiny_experiment_runs_as_a_user_types_it(start, finished, tmp_path):
    (tmp_path / "config").symlink_to(PROJECT / "config")
    run = start(tmp_path, config=TINY)
    run.finish()
    assert_same_results(tmp_path, finished)
    for table in ("main.csv", "comparison.csv"):
        assert (tmp_path / f"results/tiny/tables/{table}").exists()


def cancelled(cluster, job):
    cluster.run("scancel", job)


def preempted(cluster, job):
    """A job of the urgent partition needs the whole node."""
    urgent = ("--partition", "urgent", "--exclusive", "--wrap", "true")
    cluster.run("sbatch", "--output", "/dev/null", *urgent)
    until(lambda: job in cluster.jobs("PENDING"))


def node_lost(cluster, job):
    cluster.set_node("DOWN")
    until(lambda: job in cluster.jobs("PENDING"))
    cluster.resume()


def drained(cluster, job):
    """The job ends, and the one that follows it has to wait for the node."""
    cluster.set_node("DRAIN")
    cluster.run("scancel", job)
    until(lambda: [one for one in cluster.jobs("PENDING") if one != job])
    cluster.resume()


@pytest.mark.parametrize("happens", [cancelled, preempted, node_lost, drained])
def test_a_job_ends_in_the_middle_of_its_stage(happens, start, cluster, folder, peaceful):
    run = start(folder, STAGE)
    happens(cluster, run.wait_for_training())
    run.finish()
    assert_trained_once(folder, peaceful, lost=1)


def test_a_checkpoint_that_takes_five_seconds_is_written_after_scancel(
    start, cluster, folder, peaceful, tmp_path
):
    slow = slow_checkpoints(tmp_path / "slow")
    run = start(folder, STAGE, PYTHONPATH=beside(slow))
    until((slow / "saving").exists)
    (job,) = cluster.jobs("RUNNING")
    cluster.run("scancel", job)
    (slow / "sitecustomize.py").unlink()  # the next job is quick
    run.finish()
    assert_trained_once(folder, peaceful)  # without the checkpoint, an epoch would be trained again


def diverging(folder):
    def change(experiment):
        experiment["recipes"]["alone"]["optimizer"] = {"type": "SGD", "lr": 1e38}

    return changed(folder, "cluster", change, source=CLUSTER)


def unreadable(folder):
    next(folder.glob("results/few-shapes/data/val/*.png")).write_bytes(b"no image")
    return CLUSTER


@pytest.mark.parametrize("spoilt", [diverging, unreadable])
def test_a_stage_that_would_fail_again_is_submitted_once(spoilt, start, folder):
    """The profile tries other jobs 500 times."""
    run = start(folder, STAGE, config=spoilt(folder))
    assert run.process.wait(timeout=LONGEST) == 1, run.text()
    assert len(list(folder.glob(".snakemake/slurm_logs/rule_train_stage/*/*.log"))) == 1


def test_slurm_does_not_answer_while_a_stage_ends(start, cluster, folder, peaceful):
    run = start(folder, STAGE, options=["--verbose"])
    run.wait_for_training()
    cluster.stop("slurmctld")
    # The plugin's own setting gives up after 5 attempts, and then waits for the job without end.
    until(lambda: (folder / STAGE).exists() and run.text().count("could not check status") > 5)
    cluster.start("slurmctld")
    run.finish()
    assert_trained_once(folder, peaceful)


def test_a_stage_that_is_longer_than_its_time_limit_spans_several_jobs(start, folder, peaceful):
    """Two minutes is what a stage keeps for saving: the first three jobs end after one step each."""
    run = start(folder, STAGE, options=["--set-resources", "train_stage:runtime=2 if attempt < 4 else 30"])
    run.finish()
    assert_trained_once(folder, peaceful)
    said = (folder / "said").read_text()
    for resumed in ("epoch 0 of 12, iteration 1 of 3", "epoch 0 of 12, iteration 2 of 3", "epoch 0 of 12\n"):
        assert f"resuming after {resumed}" in said


def interrupted(process):
    process.send_signal(signal.SIGINT)
    process.wait()


def hung_up(process):
    process.send_signal(signal.SIGHUP)
    process.wait()


def killed(process):
    process.kill()
    process.wait()


def terminated(process):
    process.terminate()  # it waits for its jobs
    process.wait()


@pytest.mark.parametrize("ends", [interrupted, hung_up, killed, terminated])
def test_snakemake_ends_in_the_middle_of_a_stage_and_starts_again(ends, start, folder, peaceful):
    """At once, while the job of the first run may still be at work."""
    first = start(folder, STAGE)
    first.wait_for_training()
    ends(first.process)
    subprocess.run([*command(folder, "--unlock", config=CLUSTER)], check=True, capture_output=True)
    start(folder, STAGE).finish()
    assert_trained_once(folder, peaceful)
