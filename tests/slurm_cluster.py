"""A real Slurm cluster of one node and two partitions, in a folder of its own, for ``make test-slurm``."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress

import psutil
from conftest import PROJECT

CORES, MEMORY_MB = 2, 16000
CLUSTER = "MTPD_TEST_CLUSTER"  # in the environment of all that runs on it
WITHOUT_ACCOUNTING = PROJECT / "slurm/without-accounting"  # as a user of such a cluster has it in PATH
# The profile's settings for jobs of hours would make tests wait.
QUICKLY = ["--slurm-init-seconds-before-status-checks=2", "--max-status-checks-per-second=1"]
LONGEST = 900  # seconds that a scene may take on a busy machine
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")

# One user, no accounting, no cgroups, so that it runs in a container too. When the first process of a job
# ends, the rest of its process group is killed (proctrack/pgid), as with cgroups. MinJobAge is the default
# of Slurm. A job of the partition "urgent" takes the node from those of "main", which go back to the queue. A
# job in the queue again waits as long as credentials live, 120 seconds by default: a node that gets a job
# whose processes it still has is drained.
CONFIG = """\
ClusterName=mtpd
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/none
AuthInfo=cred_expire=30
SchedulerParameters=sched_interval=5
CredType=cred/none
SlurmUser=root
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobFileAppend=1
MpiDefault=none
MinJobAge=300
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory}
PartitionName=main Default=YES Nodes=ALL PriorityTier=1
PartitionName=urgent Nodes=ALL PriorityTier=10
"""

# In a job, the plugin takes SLURM_CONF out of the environment of srun. On a cluster, srun finds the
# configuration in its usual place; here it does not.
SRUN = """\
#!/bin/sh
SLURM_CONF={folder}/slurm.conf exec {srun} "$@"
"""


def until(happened, within=300):
    """Wait for something to become true, and return it.

    Raises:
        AssertionError: not within this many seconds.
    """
    ends = time.monotonic() + within
    while time.monotonic() < ends:
        if result := happened():
            return result
        time.sleep(0.1)
    raise AssertionError(f"not within {within} seconds: {happened}")


def missing():
    """The programs of Slurm that are not installed."""
    return [name for name in PROGRAMS if not shutil.which(name)]


class Cluster:
    """The daemons, and what a user and an administrator ask of them."""

    def __init__(self, folder):
        self.folder, self.host = folder, socket.gethostname().partition(".")[0]
        for name in ("state", "spool", "bin"):
            (folder / name).mkdir()
        ports = dict(zip(("controller_port", "node_port"), free_ports(2), strict=True))
        names = {"folder": folder, "host": self.host, "cores": CORES, "memory": MEMORY_MB, **ports}
        (folder / "slurm.conf").write_text(CONFIG.format(**names))
        srun = folder / "bin/srun"
        srun.write_text(SRUN.format(folder=folder, srun=shutil.which("srun")))
        srun.chmod(0o755)
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("SLURM_", "SBATCH_"))
            },
            "SLURM_CONF": str(folder / "slurm.conf"),
            CLUSTER: str(folder),
            "PATH": os.pathsep.join([str(srun.parent), str(WITHOUT_ACCOUNTING), os.environ["PATH"]]),
        }
        self.daemons = {}

    def start(self, *names):
        """Start daemons, and wait until Slurm answers and has seen its node."""
        for name in names:
            with open(self.folder / f"{name}.said", "a", encoding="utf-8") as said:
                command = [shutil.which(name), "-D"]
                self.daemons[name] = psutil.Popen(command, env=self.environment, stdout=said, stderr=said)
        until(self._node)

    def stop(self, *names):
        for name in names:
            self.daemons[name].terminate()
            self.daemons.pop(name).wait()

    def clear(self):
        """A node without jobs that takes jobs, whatever a test has left."""
        self.start(*({"slurmctld", "slurmd"} - self.daemons.keys()))
        self.resume()
        self.run("scancel", "--user", "root")
        until(lambda: not self.jobs())
        self._end_leftovers()

    def _end_leftovers(self):
        """Without cgroups, Slurm does not see every process of a job that it ends."""
        for process in psutil.process_iter(["environ"]):
            environment = process.info["environ"] or {}
            if environment.get(CLUSTER) == str(self.folder) and "SLURM_JOB_ID" in environment:
                with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
                    process.kill()

    def run(self, *command):
        """What a command of Slurm says; it must succeed."""
        done = self._ask(*command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def jobs(self, *states):
        """The numbers of the jobs in these states, by default of all that have not ended."""
        chosen = ["--states", ",".join(states)] if states else []
        return self.run("squeue", "--noheader", "--format", "%i", *chosen).split()

    def set_node(self, state):
        """As an administrator does: DRAIN or DOWN."""
        self.run("scontrol", "update", f"NodeName={self.host}", f"State={state}", "Reason=test")

    def resume(self):
        """Let the node take jobs. One that is down may come back by itself, and then refuses the command."""
        if self._out_of_service():
            self._ask("scontrol", "update", f"NodeName={self.host}", "State=RESUME")
        until(lambda: not self._out_of_service())

    def _out_of_service(self):
        return self._node().startswith(("down", "drain"))

    def _node(self):
        """The state of the node; empty while Slurm does not answer or has not seen the node."""
        said = self._ask("sinfo", "--noheader", "--partition", "main", "--format", "%T").stdout.strip()
        return "" if said.startswith("unk") else said

    def _ask(self, *command):
        return subprocess.run(command, env=self.environment, capture_output=True, text=True)


class Controller:
    """Snakemake on the head node."""

    def __init__(self, cluster, folder, *targets, config, options=(), **environment):
        self.cluster, self.folder, self.said = cluster, folder, folder / "controller"
        start = ["snakemake", "--cores", "all", "--profile", PROJECT / "slurm", "-s", PROJECT / "Snakefile"]
        start += ["-d", folder, "--configfile", config, "--slurm-keep-successful-logs", *QUICKLY, *options]
        with open(self.said, "a", encoding="utf-8") as said:
            self.process = psutil.Popen(
                list(map(str, [*start, "--", *targets])),
                env={**cluster.environment, **environment},
                stdout=said,
                stderr=said,
                start_new_session=True,
                # Where the tests run in the background, a shell has told them to ignore Ctrl-C.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def wait_for_training(self):
        """Until the stage has saved a checkpoint; the number of its job."""
        until(lambda: list(self.folder.glob("work/**/iter_*.pth")) or self.process.poll() is not None)
        (job,) = self.cluster.jobs("RUNNING")
        return job

    def finish(self):
        try:
            assert self.process.wait(timeout=LONGEST) == 0, self.text()
        except psutil.TimeoutExpired:
            raise AssertionError(f"not within {LONGEST} seconds\n{self._everything()}") from None

    def text(self):
        return self.said.read_text()

    def _everything(self):
        """What Snakemake, Slurm and the jobs have said, newest last, for a person who looks for a fault."""
        logs = sorted(self.folder.glob(".snakemake/slurm_logs/**/*.log"), key=os.path.getmtime)
        logs += [self.cluster.folder / "slurmd.log", self.cluster.folder / "slurmctld.log"]
        parts = [self.text(), self.cluster.run("scontrol", "show", "job"), self.cluster.run("sinfo", "-R")]
        return "\n\n".join(parts + [f"{log}:\n{log.read_text()[-4000:]}" for log in logs])

    def kill(self):
        if self.process.is_running():
            self.process.kill()
            self.process.wait()


def free_ports(count):
    """Ports that nobody uses now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
