"""Run a command beside a network of real delay and rate: two namespaces, joined in user space.

For kernels without a queue that delays packets (sch_netem). Each namespace has a TUN device, and
this program carries the packets between the two: it holds each for its turn on the line and half of
the round trip, drops what the queue has no room for, and loses some at random. Real TCP runs over
it, so handshakes, slow start and what congestion control makes of losses are real.

Needs root. The command runs outside of both namespaces; it finds in SRV_IP the server's address, and
in SRV and CLI the words that start a program in either:

    shaped_net.py --rtt 30 --mbit 1000 -- bash -c '$SRV iperf3 -s -1 -D; $CLI iperf3 -c $SRV_IP'

Without loss packets may be up to 64 KiB, as a network card takes them, which is what makes 1 Gbit/s
cheap; with loss each is at most 1,500 bytes. Losses are the same in each run.
"""

from __future__ import annotations

import argparse
import collections
import ctypes
import fcntl
import json
import os
import random
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field

SERVER_ADDRESS, CLIENT_ADDRESS = "10.77.0.1", "10.77.0.2"
DEVICE = b"wan0"
MTU = 1500
LARGEST_PACKET = 70_000  # 64 KiB, headers, and the one of the TUN device

# From linux/sched.h and linux/if_tun.h.
CLONE_NEWNET = 0x40000000
TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x1, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4 = 0x1, 0x2
VNET_HEADER_BYTES = 10

READS_IN_A_ROW = 64  # packets taken before looking whether one is due
GRAIN_SECONDS = 0.00005  # a packet this close to its time goes out


@dataclass(frozen=True, slots=True)
class Line:
    """What the network is like: round trip, rate, losses each way, and the time it can queue."""

    rtt_ms: float
    mbit: float
    loss_percent: float = 0.0
    queue_ms: float = 50.0

    @property
    def has_large_packets(self) -> bool:
        """Whether packets may be larger than the MTU; a lost one would be too much at once."""
        return not self.loss_percent


@dataclass(slots=True)
class LaneTotals:
    """What went through one direction, and what did not."""

    bytes: int = 0
    packets: int = 0
    dropped: int = 0
    lost: int = 0


@dataclass(slots=True)
class Lane:
    """One direction of a line, from one TUN device to the other."""

    source: int
    target: int
    line: Line
    totals: LaneTotals = field(default_factory=LaneTotals)
    _waiting: collections.deque[tuple[float, bytes]] = field(default_factory=collections.deque)
    _free_at: float = 0.0
    # The same losses in each run, so that runs can be compared.
    _random: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311

    def carry(self) -> None:
        """Carry packets until the source is closed."""
        while True:
            wait = self._waiting[0][0] - time.monotonic() if self._waiting else 1.0
            if wait > GRAIN_SECONDS:
                # Not poll, whose grain is a millisecond.
                select.select([self.source], [], [], wait)
            try:
                self._take()
            except OSError:  # closed
                return
            self._send_due()

    def _take(self) -> None:
        now = time.monotonic()
        header = VNET_HEADER_BYTES if self.line.has_large_packets else 0
        for _ in range(READS_IN_A_ROW):
            try:
                packet = os.read(self.source, LARGEST_PACKET)
            except BlockingIOError:
                return
            self._schedule(packet, len(packet) - header, now)

    def _schedule(self, packet: bytes, size: int, now: float) -> None:
        self._free_at = max(self._free_at, now)
        if self._free_at - now > self.line.queue_ms / 1000:
            self.totals.dropped += 1
            return
        self._free_at += size * 8 / (self.line.mbit * 1e6)
        # A lost packet had its turn on the line.
        if self.line.loss_percent and self._random.random() * 100 < self.line.loss_percent:
            self.totals.lost += 1
            return
        self.totals.bytes += size
        self.totals.packets += 1
        self._waiting.append((self._free_at + self.line.rtt_ms / 2000, packet))

    def _send_due(self) -> None:
        due = time.monotonic() + GRAIN_SECONDS
        while self._waiting and self._waiting[0][0] <= due:
            packet = self._waiting.popleft()[1]
            try:
                os.write(self.target, packet)
            except OSError:
                self.totals.dropped += 1


def open_tun(namespace: str, *, large_packets: bool) -> int:
    """Make a TUN device in a namespace; the descriptor is good outside of it, too."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"namespace {namespace} cannot be entered")
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        flags = IFF_TUN | IFF_NO_PI | (IFF_VNET_HDR if large_packets else 0)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", DEVICE, flags))
        if large_packets:
            fcntl.ioctl(device, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4)
    finally:
        libc.setns(here, CLONE_NEWNET)
        os.close(here)
        os.close(there)
    return device


def set_up(namespace: str, address: str) -> None:
    """Give the device of a namespace its address, and switch it and loopback on."""
    device = DEVICE.decode()
    for words in (
        ["link", "set", "lo", "up"],
        ["addr", "add", f"{address}/24", "dev", device],
        ["link", "set", device, "mtu", str(MTU), "txqueuelen", "2000", "up"],
    ):
        subprocess.run(["ip", "-n", namespace, *words], check=True)


@contextmanager
def shaped_network(line: Line) -> Iterator[tuple[dict[str, str], dict[str, LaneTotals]]]:
    """Make the network, and yield the variables that tell of it, and its totals."""
    # Names of its own, so that several can be there at once.
    server, client = f"bench-srv-{os.getpid()}", f"bench-cli-{os.getpid()}"
    made = []
    try:
        for namespace in (server, client):
            subprocess.run(["ip", "netns", "add", namespace], check=True)
            made.append(namespace)
        here = open_tun(server, large_packets=line.has_large_packets)
        there = open_tun(client, large_packets=line.has_large_packets)
        set_up(server, SERVER_ADDRESS)
        set_up(client, CLIENT_ADDRESS)
        lanes = {"up": Lane(there, here, line), "down": Lane(here, there, line)}
        sys.setswitchinterval(0.0005)  # the two lanes share the interpreter
        for lane in lanes.values():
            threading.Thread(target=lane.carry, daemon=True).start()
        variables = {
            "SRV_IP": SERVER_ADDRESS,
            "SRV": f"ip netns exec {server}",
            "CLI": f"ip netns exec {client}",
        }
        yield variables, {way: lane.totals for way, lane in lanes.items()}
    finally:
        for namespace in made:
            subprocess.run(["ip", "netns", "del", namespace], check=False)


def main() -> None:
    """Run a command beside the network; its exit code is ours."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rtt", type=float, default=30, help="round trip in ms")
    parser.add_argument("--mbit", type=float, default=1000, help="rate each way in Mbit/s")
    parser.add_argument("--loss", type=float, default=0, help="packets lost each way, in percent")
    parser.add_argument("--queue-ms", type=float, default=50, help="what waits longer is dropped")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    if os.geteuid():
        parser.error("only root may make network namespaces")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    line = Line(options.rtt, options.mbit, options.loss, options.queue_ms)
    with shaped_network(line) as (variables, totals):
        running = subprocess.Popen(options.command, env=os.environ | variables)
        try:
            code = running.wait()
        finally:
            with suppress(ProcessLookupError):
                running.terminate()
            running.wait()
        print(json.dumps({way: asdict(of_way) for way, of_way in totals.items()}), file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
