"""Hosts as network namespaces, each with one cable to a bridge."""

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass

from infra.demo.errors import DemoError

BRIDGE = "lan"
OUTSIDE = "10.77.0.1"
"""The bridge's own address: that of the machine which is no host, where laptop, servers and store are."""


@dataclass(frozen=True)
class Host:
    """A machine with a network of its own."""

    name: str
    address: str

    @property
    def on(self) -> tuple[str, ...]:
        """What comes before a command to run it there."""
        return ("ip", "netns", "exec", self.name)

    def pids(self) -> list[int]:
        """Its processes."""
        return [int(pid) for pid in _ip("netns", "pids", self.name).split()]

    def kill(self) -> int:
        """Kill -9 everything on it; returns how many processes that were."""
        killed: set[int] = set()
        while pids := self.pids():
            killed |= set(pids)
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return len(killed)

    def lose(self) -> int:
        """Cut its cable, then kill everything on it, as when its power fails: nobody is told that it goes."""
        _ip("link", "set", self.name, "down")
        return self.kill()


def make_bridge() -> None:
    """Make the bridge that the hosts are on."""
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("address", "add", f"{OUTSIDE}/24", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")


def add_host(name: str, number: int) -> Host:
    """Add a host with the address 10.77.0.`number`."""
    host = Host(name, f"10.77.0.{number}")
    _ip("netns", "add", name)
    _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
    _ip("link", "set", name, "master", BRIDGE, "up")
    _ip("-n", name, "address", "add", f"{host.address}/24", "dev", "eth0")
    for link in ("lo", "eth0"):
        _ip("-n", name, "link", "set", link, "up")
    _ip("-n", name, "route", "add", "default", "via", OUTSIDE)  # Ray asks the routes which address is its own
    return host


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}. The kernel wants veth and bridge")
    return done.stdout
