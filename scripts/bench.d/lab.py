# SPDX-License-Identifier: BSD-3-Clause
"""
A lab (scripts/lab) as an object: namespaces, etad, and what can be read of them while a program runs.

Life: up() .. down(); down() may be called at any time and again. Everything that is started goes through run(), which returns a process whose
pid is the program itself, because every wrapper between replaces itself.
"""
import json
import os
import re
import signal
import subprocess

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class LabError(Exception):
    """Something of the lab did not work; the text says what."""


def cpu_s_of(pid):
    """CPU seconds of all threads of a process, 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    except (OSError, IndexError, ValueError):
        return 0.0


class Lab:
    """One lab; has_etad=False makes the same namespaces for the kernel alone. @favour: a command that goes before all that is measured."""

    def __init__(self, root, name, port, sets=(), has_etad=True, favour=(), link=""):
        self.tool = os.path.join(root, "scripts", "lab")
        self.name, self.port, self.sets, self.has_etad = name, port, list(sets), has_etad
        self.favour = list(favour)
        self.link = link
        self.vars = {}
        self.is_up = False

    def _tool(self, *args, timeout=60, check=True, env=None):
        done = subprocess.run([self.tool, "--name", self.name, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout, env=env, check=False)
        if check and done.returncode != 0:
            raise LabError(f"lab {' '.join(args[:2])}: {done.stderr.strip() or 'exit ' + str(done.returncode)}")
        return done.stdout

    def up(self):
        """Make it. LabError with the tool's own words."""
        env = dict(os.environ)
        if not self.has_etad:
            env["ETA_LAB_NO_ETAD"] = "1"
        if self.favour:
            env["ETA_LAB_WRAP"] = " ".join(self.favour)
        args = ["up", "--port", self.port]
        for line in self.sets:
            args += ["--set", line]
        if self.link:
            args += ["--link", self.link]
        self._tool(*args, timeout=90, env=env)
        self.is_up = True
        for line in self._tool("env").splitlines():
            key, _, value = line.partition("=")
            self.vars[key] = value.strip("'")
        for side in ("kernel", "peer"):
            if side == "kernel" or self.port != "ring":
                self._tool(side, "sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1", check=False)

    def down(self):
        """Take it away. Never raises."""
        try:
            self.thaw()
            self._tool("down", check=False)
        except subprocess.TimeoutExpired:
            pass
        self.is_up = False

    def revive(self):
        """After a failure: a new etad if the old one is gone or silent."""
        if not self.has_etad:
            return
        try:
            self._tool("etactl", "ping", timeout=5)
        except (LabError, subprocess.TimeoutExpired):
            self._tool("etad", "kill", check=False)
            self._tool("etad", "start", timeout=60)

    def address(self, side, family="v4"):
        """Address of the ETA side (eta, kernel) or of the peer."""
        return self.vars[("PEER" if side == "peer" else "ETA") + family[-1]]

    def ask(self, side, *argv):
        """What a command says on a side: kernel or peer."""
        return self._tool(side, *argv, timeout=10)

    def run(self, side, argv, stdout=subprocess.PIPE):
        """Start a program on a side: eta, kernel or peer."""
        return subprocess.Popen([*self.favour, self.tool, "--name", self.name, side, *argv], stdin=subprocess.PIPE, stdout=stdout,
                                stderr=subprocess.PIPE, text=True)

    def is_listening(self, side, port):
        """Does somebody listen on TCP port @port there?"""
        where = "peer" if side == "peer" else "kernel"
        return bool(self._tool(where, "ss", "-ltnH", f"sport = :{port}", timeout=10, check=False).strip())

    def etad_pid(self):
        """Process id of etad, 0 if it does not run."""
        if not self.has_etad:
            return 0
        text = self._tool("etad", "pid", check=False).strip()
        return int(text) if text.isdigit() else 0

    def etad_log(self, lines=10):
        """The last lines that etad wrote."""
        return self._tool("etad", "log", check=False).splitlines()[-lines:]

    def show(self, what):
        """What etactl shows, parsed: stats = {"engine": {..}, "ka": {..}, "ports": [..]}, sessions = [..]."""
        try:
            return json.loads(self._tool("etactl", "show", what, "--json", timeout=10))
        except ValueError as err:
            raise LabError(f"etactl show {what} --json: {err}") from err

    def etad_memory_bytes(self):
        """What etad took at its start, as it says itself."""
        found = re.findall(r"memory_bytes=(\d+)", self._tool("etad", "log", check=False))
        return int(found[-1]) if found else 0

    def freeze(self):
        """Keep a polling etad off its CPU while something else is measured."""
        pid = self.etad_pid() if self.is_up else 0
        if pid:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self):
        """Let it go on."""
        pid = self.etad_pid() if self.is_up else 0
        if pid:
            os.kill(pid, signal.SIGCONT)
