"""The lab's network: a bridge with its own subnet, and the way out through this machine."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import inherit
from .command import LabError, Steps, run, write

IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NEIGHBOUR = "/proc/sys/net/ipv4/neigh"
_IFNAME_MAX = 15


def links() -> list[dict[str, Any]]:
    """List this machine's network interfaces."""
    found: list[dict[str, Any]] = json.loads(run(["ip", "-json", "link", "show"]) or "[]")
    return found


@dataclass(frozen=True, slots=True)
class Network:
    """One bridge and its rules; several lab hosts share it."""

    bridge: str
    subnet: ipaddress.IPv4Network
    state_file: Path

    @property
    def gateway(self) -> ipaddress.IPv4Address:
        """This machine's address on the bridge: the subnet's first."""
        return next(self.subnet.hosts())

    @property
    def rules(self) -> list[tuple[str, str, list[str]]]:
        """The iptables rules: table, chain and match; the comment says whose they are."""
        mark = ["-m", "comment", "--comment", f"serverbench-lab {self.bridge}"]
        subnet = str(self.subnet)
        return [
            ("nat", "POSTROUTING", ["-s", subnet, "!", "-d", subnet, *mark, "-j", "MASQUERADE"]),
            # Docker and ufw drop what is forwarded unless a rule ahead of theirs accepts it.
            ("filter", "FORWARD", ["-i", self.bridge, *mark, "-j", "ACCEPT"]),
            ("filter", "FORWARD", ["-o", self.bridge, *mark, "-j", "ACCEPT"]),
        ]

    def exists(self) -> bool:
        """Tell whether the bridge is there."""
        return Path(f"/sys/class/net/{self.bridge}").exists()

    def ports(self) -> list[str]:
        """Name the interfaces plugged into the bridge: one for each running lab host."""
        folder = Path(f"/sys/class/net/{self.bridge}/brif")
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def check_free(self) -> None:
        """Refuse a subnet that this machine already reaches some other way.

        Raises:
            LabError: a route overlaps it.
        """
        routes = json.loads(run(["ip", "-json", "-4", "route", "show"]) or "[]")
        for route in routes:
            if route["dst"] == "default" or route.get("dev") == self.bridge:
                continue
            if ipaddress.ip_network(route["dst"], strict=False).overlaps(self.subnet):
                raise LabError(
                    f"lab_host_subnet {self.subnet} overlaps {route['dst']}, which this machine "
                    f"reaches through {route.get('dev')}; set lab_host_subnet to a free subnet"
                )

    def ensure(self, steps: Steps) -> None:
        """Make the bridge, switch forwarding on and set the rules, whatever of it is missing."""
        if not self.exists():
            self.check_free()
            if steps.take(
                f"Make the bridge {self.bridge} ({self.gateway}/{self.subnet.prefixlen})"
            ):
                self._make_bridge()
        elif not self._has_address():
            raise LabError(
                f"the bridge {self.bridge} exists without the address {self.gateway}/"
                f"{self.subnet.prefixlen}; if lab_host_subnet changed, stop every lab host first "
                f"(`make lab-down`); if it is not ours, set lab_host_bridge to another name"
            )
        if IP_FORWARD.read_text().strip() != "1" and steps.take("Switch IPv4 forwarding on"):
            self._remember_forwarding()
            IP_FORWARD.write_text("1\n")
        for table, chain, rule in self.rules:
            present = run(["iptables", "-w", "10", "-t", table, "-C", chain, *rule], check=False)
            if present is None and steps.take(f"Add an iptables rule to {table}/{chain}"):
                run(["iptables", "-w", "10", "-t", table, "-I", chain, *rule])

    def remove(self, steps: Steps, *, other_bridges: list[str]) -> None:
        """Take the rules and the bridge away; with the last bridge, forwarding as it was."""
        for table, chain, rule in self.rules:
            query = ["iptables", "-w", "10", "-t", table]
            # The same rule may be there twice after two machines' worth of bad luck.
            while run([*query, "-C", chain, *rule], check=False) is not None:
                if not steps.take(f"Delete an iptables rule from {table}/{chain}"):
                    break
                run([*query, "-D", chain, *rule])
        if self.exists() and steps.take(f"Delete the bridge {self.bridge}"):
            run(["ip", "link", "delete", self.bridge])
        if not other_bridges:
            self._restore_forwarding(steps)

    def _make_bridge(self) -> None:
        bridge = self.bridge
        run(["ip", "link", "add", bridge, "type", "bridge", "stp_state", "0"])
        try:
            # Only IPv4 is routed here; an IPv6 address would only make names resolve slowly.
            ipv6 = Path(f"/proc/sys/net/ipv6/conf/{bridge}/disable_ipv6")
            if ipv6.exists():
                ipv6.write_text("1\n")
            # Ask for a booting host's hardware address ten times a second, not once.
            Path(f"{_NEIGHBOUR}/{bridge}/retrans_time_ms").write_text("100\n")
            run(["ip", "link", "set", bridge, "mtu", str(inherit.uplink_mtu())])
            run(["ip", "address", "add", f"{self.gateway}/{self.subnet.prefixlen}", "dev", bridge])
            run(["ip", "link", "set", bridge, "up"])
        except (LabError, OSError):
            run(["ip", "link", "delete", bridge], check=False)
            raise

    def _has_address(self) -> bool:
        shown = json.loads(run(["ip", "-json", "-4", "address", "show", self.bridge]) or "[]")
        return any(
            info["local"] == str(self.gateway) and info["prefixlen"] == self.subnet.prefixlen
            for link in shown
            for info in link.get("addr_info", [])
        )

    def _remember_forwarding(self) -> None:
        boot = BOOT_ID.read_text().strip()
        if self._remembered() is None:
            write(self.state_file, json.dumps({"boot_id": boot, "ip_forward": "0"}) + "\n")

    def _remembered(self) -> str | None:
        if not self.state_file.is_file():
            return None
        state = json.loads(self.state_file.read_text())
        # After a reboot the kernel has its own idea again, and ours is void.
        return state["ip_forward"] if state["boot_id"] == BOOT_ID.read_text().strip() else None

    def _restore_forwarding(self, steps: Steps) -> None:
        former = self._remembered()
        if former is not None and steps.take(f"Set IPv4 forwarding back to {former}"):
            IP_FORWARD.write_text(f"{former}\n")
        if not steps.check_mode:
            self.state_file.unlink(missing_ok=True)


def interface_of(machine: str) -> str | None:
    """Find this machine's end of a lab host's cable.

    nspawn calls it vb-MACHINE; a name too long for the kernel is cut, and kept as an alias.
    """
    wanted = f"vb-{machine}"
    for link in links():
        if wanted in (link["ifname"], *link.get("altnames", [])):
            return str(link["ifname"])
    return None


def plug_tap(machine: str, bridge: str) -> str:
    """Make an interface for a virtual machine's network card and plug it into the bridge.

    It is named as nspawn's are found: by the alias, since the name may be too long for the kernel.
    """
    name = f"vb-{hashlib.sha256(machine.encode()).hexdigest()[:12]}"
    run(["ip", "tuntap", "add", "dev", name, "mode", "tap"])
    run(["ip", "link", "property", "add", "dev", name, "altname", f"vb-{machine}"])
    run(["ip", "link", "set", name, "mtu", str(inherit.uplink_mtu()), "master", bridge, "up"])
    return name


def cable_configuration(interface: str, address: str, network: Network, mtu: int) -> str:
    """Write systemd-networkd's file for the lab host's end of the cable."""
    return (
        "# Written by serverbench's role lab_host at every start.\n"
        f"[Match]\nName={interface}\n\n"
        f"[Link]\nMTUBytes={mtu}\n\n"
        f"[Network]\nAddress={address}/{network.subnet.prefixlen}\nGateway={network.gateway}\n"
        "LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
    )
