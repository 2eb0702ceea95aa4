"""A real Slurm on this one machine, for tests: munged, slurmctld and a slurmd for each node, on loopback, without systemd. All that it
writes is in one folder; all that it starts ends with it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PACKAGES = ["slurm-wlm", "munge"]
PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol"]
# Keeps maintainer scripts from starting services: ours run from a folder.
POLICY = Path("/usr/sbin/policy-rc.d")

CONF = """\
ClusterName=here
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={dir}/munge/socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={port}
SlurmctldPidFile={dir}/slurmctld.pid
SlurmctldLogFile={dir}/log/slurmctld.log
StateSaveLocation={dir}/state
SlurmdPidFile={dir}/slurmd.%n.pid
SlurmdLogFile={dir}/log/slurmd.%n.log
SlurmdSpoolDir={dir}/spool/%n
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2
PriorityType=priority/basic
ReturnToService=2
SlurmdTimeout=10
SlurmctldTimeout=10
MessageTimeout=10
KillWait=5
MinJobAge=60
InactiveLimit=0
Waittime=0
"""


def install():
    """Why Slurm can't be had here; nothing where it is."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if not missing:
        return None
    if not shutil.which("apt-get"):
        return f"{', '.join(missing)} are not here, and neither is apt-get"
    as_root = [] if os.getuid() == 0 else ["sudo", "-n"]
    made_policy = False
    if os.getuid() == 0 and not POLICY.exists():
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
        made_policy = True
    try:
        for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
            done = subprocess.run(
                [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *words],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                timeout=300,
            )
            if done.returncode:
                return f"apt-get {words[0]} failed: {done.stderr.strip()[-300:]}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"apt-get can't be run: {error}"
    finally:
        if made_policy:
            POLICY.unlink()
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    return f"{', '.join(missing)} are not in the packages" if missing else None


def free_ports(count):
    """The first of so many ports in a row that nobody has."""
    for first in range(21000 + os.getpid() % 8000, 60000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as found:
                    found.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    sys.exit("no ports are free")


class Cluster:
    """Slurm with so many nodes of so many processors; `settings` are lines of slurm.conf that win over the others."""

    def __init__(self, folder, nodes=2, cpus=2, memory=2000, settings=()):
        self.dir = Path(folder).resolve()
        for name in ("log", "state", "spool", "munge"):
            (self.dir / name).mkdir(parents=True, exist_ok=True)
        (self.dir / "state").chmod(0o700)
        self.dir.chmod(0o755)
        self.nodes = [f"node{number}" for number in range(1, nodes + 1)]
        self.running = {}
        port = free_ports(16 + nodes)
        user = "root" if os.getuid() == 0 else os.environ.get("USER", "nobody")
        lines = CONF.format(dir=self.dir, port=port, user=user).splitlines() + list(settings)
        for number, node in enumerate(self.nodes):
            lines.append(
                f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port + 10 + number} "
                f"CPUs={cpus} RealMemory={memory} State=UNKNOWN"
            )
        lines.append(f"PartitionName=main Nodes={','.join(self.nodes)} Default=YES MaxTime=INFINITE State=UP")
        self.conf = self.dir / "slurm.conf"
        self.conf.write_text("\n".join(lines) + "\n")
        self.env = {**os.environ, "SLURM_CONF": str(self.conf)}

    def __enter__(self):
        munge = self.dir / "munge"
        key = munge / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        self.start(
            "munged",
            ["munged", "--foreground", "--force", f"--socket={munge}/socket", f"--key-file={key}",
             f"--log-file={self.dir}/log/munged.log", f"--pid-file={munge}/pid", f"--seed-file={munge}/seed"],
        )
        self.wait(10, "munged", lambda: self.call("munge", "-S", f"{munge}/socket", "-n").returncode == 0)
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        self.wait_for_nodes()
        return self

    def __exit__(self, *_):
        self.call("scancel", "--quiet", f"--user={os.environ.get('USER') or 'root'}")
        end = time.time() + 8
        while self.queue() and time.time() < end:
            time.sleep(0.2)
        for name in [*self.nodes, "slurmctld", "munged"]:
            self.stop(name, signal.SIGTERM)
        # Steps of nodes that were killed have nobody left to end them.
        for pid in self.processes("slurmstepd"):
            os.kill(pid, signal.SIGKILL)

    def start(self, name, words):
        log = open(self.dir / "log" / f"{name}.out", "ab")
        self.running[name] = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, start_new_session=True
        )

    def start_controller(self):
        self.start("slurmctld", ["slurmctld", "-D", "-i", "-f", str(self.conf)])
        self.wait(20, "slurmctld", lambda: self.call("scontrol", "ping").returncode == 0)

    def start_node(self, node):
        (self.dir / "spool" / node).mkdir(exist_ok=True)
        self.start(node, ["slurmd", "-D", "-N", node, "-f", str(self.conf)])

    def wait_for_nodes(self):
        states = []

        def are_up():
            states[:] = self.call("sinfo", "-h", "-N", "-o", "%N %t").stdout.split("\n")[:-1]
            return sum(line.endswith((" idle", " mix", " alloc")) for line in states) >= len(self.nodes)

        try:
            # A node that was killed while a task ended there is "comp" until the controller has asked it again.
            self.wait(150, f"{len(self.nodes)} nodes", are_up)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{states}") from None

    def stop(self, name, how):
        process = self.running.pop(name, None)
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def call(self, *words):
        try:
            return subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=30)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(words, 1, "", "no answer")

    def queue(self):
        """Lines of what waits or runs: name, index, state, node."""
        return self.call("squeue", "-h", "-r", "-o", "%j %K %T %N").stdout.split("\n")[:-1]

    def wait(self, seconds, what, has_come):
        end = time.time() + seconds
        while not has_come():
            if time.time() > end:
                raise RuntimeError(f"{what}: not within {seconds} s; logs are in {self.dir}/log\n{self.queue()}")
            time.sleep(0.1)

    def processes(self, name=None, node=None):
        """Processes of this cluster, by the configuration in their environment."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                environ = (entry / "environ").read_bytes().split(b"\0")
                own = entry.joinpath("exe").readlink().name if name else None
            except OSError:
                continue
            if f"SLURM_CONF={self.conf}".encode() not in environ or (name and own != name):
                continue
            if node and f"SLURMD_NODENAME={node}".encode() not in environ:
                continue
            found.append(int(entry.name))
        return found

    def tasks(self, node):
        """Processes of homebench's tasks on a node."""
        found = []
        for pid in self.processes(node=node):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if len(words) > 1 and words[1] == b"task":
                found.append(pid)
        return found

    def kill_node(self, node):
        """As a machine that is gone: its slurmd, the steps, and the tasks. Cells have to end by themselves."""
        self.stop(node, signal.SIGKILL)
        tasks = self.tasks(node)
        parents = []
        for task in tasks:
            parent = int(Path(f"/proc/{task}/stat").read_text().rsplit(")", 1)[1].split()[1])
            if Path(f"/proc/{parent}/exe").readlink().name == "slurmstepd":
                parents.append(parent)
        for pid in parents + tasks:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return len(tasks)
