"""The lab host: what it takes over from this machine, and that it comes, holds and goes.

The hosts here are labt1 and labt2, on a bridge of their own: lab1 is left alone.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from labkit import LAB_INVENTORY, REPO, PlaybookRun, run_playbook

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path.insert(0, str(REPO / "roles/lab_host/module_utils"))
inherit = importlib.import_module("serverbench_lab.inherit")
supervisor = importlib.import_module("serverbench_lab.supervisor")

HOSTS = """\
all:
  children:
    lab_hosts:
      hosts:
        labt1: {lab_host_address: 198.19.88.11}
        labt2: {lab_host_address: 198.19.88.12}
      vars:
        lab_host_subnet: 198.19.88.0/24
        lab_host_bridge: sblabt0
"""
GIB = 1024**3


# -- what is taken over ---------------------------------------------------------------------------


def test_both_forms_of_package_sources_name_the_other_release():
    one_line = inherit.parse_one_line(
        "# deb http://old.test/debian bookworm main\n"
        "deb [arch=amd64] http://mirror.test/debian bookworm main contrib # ours\n"
        "deb-src http://mirror.test/debian bookworm main\n"
    )
    paragraphs = inherit.parse_deb822(
        "Types: deb deb-src\n# a comment\nURIs: http://mirror.test/debian-security\n"
        "Suites: bookworm-security\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://mirror.test/debian\nSuites: bookworm-updates\n"
        "Components: main\n"
    )
    assert inherit.debian_sources([*one_line, *paragraphs], "bookworm", "trixie") == [
        "deb http://mirror.test/debian trixie main",
        "deb http://mirror.test/debian-security trixie-security main",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "deb [signed-by=/etc/apt/keyrings/vendor.gpg] http://vendor.test/debian bookworm main",
        "deb http://vendor.test/debian/12/prod bookworm main",
        "deb http://vendor.test/debian bookworm stable",
        "deb http://vendor.test/debian bookworm-tool main",
        "deb file:/srv/debian bookworm main",
    ],
)
def test_a_vendor_under_debians_suite_names_is_not_debian(line):
    assert inherit.debian_sources(inherit.parse_one_line(line), "bookworm", "trixie") == []


def test_a_mirror_list_of_a_cloud_image_is_read(tmp_path):
    (tmp_path / "etc/apt/mirrors").mkdir(parents=True)
    (tmp_path / "etc/apt/mirrors/debian.list").write_text("# first\nhttps://near.test/debian\n")
    uri = "mirror+file:///etc/apt/mirrors/debian.list"
    assert inherit.resolve_mirror_list(uri, tmp_path) == "https://near.test/debian"


def test_pip_settings_that_mean_nothing_inside_stay_outside(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.test/simple")
    monkeypatch.setattr(inherit, "certificates", dict)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/pip.conf").write_text(
        "[global]\nindex-url = https://other.test/simple\nfind-links = /opt/wheels\n"
        "extra-index-url = file:///opt/simple https://more.test/simple\n"
        "cert = /home/me/ca.pem\nproxy = http://127.0.0.1:3128\n"
    )
    assert inherit.pip_settings(tmp_path, tmp_path) == {
        "index-url": "https://index.test/simple",
        "extra-index-url": "https://more.test/simple",
    }


def test_name_servers_the_lab_host_cannot_reach_are_left_out(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_text("nameserver 127.0.0.53\noptions edns0\n")
    with pytest.raises(inherit.LabError, match="lab_host_nameservers"):
        inherit.resolver_configuration([], tmp_path)
    (tmp_path / "run/systemd/resolve").mkdir(parents=True)
    (tmp_path / "run/systemd/resolve/resolv.conf").write_text(
        "nameserver fd00::1\nnameserver 192.0.2.53\nsearch lan\n"
    )
    assert inherit.resolver_configuration([], tmp_path) == "nameserver 192.0.2.53\nsearch lan\n"


def test_a_machine_that_cannot_carry_it_hears_what_is_missing(monkeypatch):
    preflight = importlib.import_module("serverbench_lab.preflight")
    monkeypatch.setattr(preflight.shutil, "which", lambda *_args, **_kw: None)
    seen = preflight.look("container")
    assert "builds" in seen["missing_packages"]["mmdebstrap"]
    assert any("mmdebstrap" in problem for problem in seen["problems"])
    monkeypatch.setattr(preflight.platform, "system", lambda: "Darwin")
    assert any("Linux" in problem for problem in preflight.look("container")["problems"])


def test_each_kind_asks_for_its_own_programs_alone(monkeypatch):
    preflight = importlib.import_module("serverbench_lab.preflight")
    monkeypatch.setattr(preflight.shutil, "which", lambda *_args, **_kw: None)
    container, vm = (preflight.look(kind)["missing_packages"] for kind in ("container", "vm"))
    assert "virtual machine" in vm["qemu-system-x86"]
    assert set(container) - set(vm) == {"systemd-container"}
    assert set(vm) - set(container) == {"qemu-system-x86", "qemu-utils", "e2fsprogs"}
    monkeypatch.setattr(preflight.platform, "machine", lambda: "aarch64")
    assert any("x86_64" in problem for problem in preflight.look("vm")["problems"])
    assert not any("x86_64" in problem for problem in preflight.look("container")["problems"])


def test_kvm_is_tried_once_a_boot_and_only_then_believed(tmp_path, monkeypatch):
    accelerator = importlib.import_module("serverbench_lab.accelerator")
    kernel, memory, boot = tmp_path / "vmlinuz", tmp_path / "kvm.json", tmp_path / "boot_id"
    monkeypatch.setattr(accelerator, "_DEVICE", str(tmp_path / "kvm"))
    monkeypatch.setattr(accelerator, "BOOT_ID", boot)
    boot.write_text("first\n")
    assert "tcg" in str(accelerator.options("auto", kernel, memory))

    # The device is there, and a boot with it stalls, or ends.
    (tmp_path / "kvm").touch()
    tried = []

    def stall(argv, **_kw):
        tried.append(argv)
        raise accelerator.LabError("gave up")

    monkeypatch.setattr(accelerator, "run", stall)
    assert "tcg" in str(accelerator.options("auto", kernel, memory))
    assert tried == []
    boot.write_text("second\n")
    assert "tcg" in str(accelerator.options("auto", kernel, memory))
    assert len(tried) == 1
    monkeypatch.setattr(accelerator, "run", lambda _argv, **_kw: "")
    assert "tcg" in str(accelerator.options("auto", kernel, memory))
    boot.write_text("third\n")
    assert accelerator.options("auto", kernel, memory) == ["-accel", "kvm", "-cpu", "host"]
    assert "tcg" in str(accelerator.options("tcg", kernel, memory))


def test_ssh_logs_in_as_who_the_kind_of_host_lets_in(tmp_path):
    keys = importlib.import_module("serverbench_lab.keys")
    command = importlib.import_module("serverbench_lab.command")
    client = keys.ClientKeys(tmp_path, keys.Owner(os.getuid(), os.getgid()))
    steps = command.Steps(check_mode=False)
    client.pin("one", "198.19.88.11", "ssh-ed25519 AAAA one", "root", steps)
    client.pin("two", "198.19.88.12", "ssh-ed25519 BBBB two", "ubuntu", steps)
    for name, user in (("one", "root"), ("two", "ubuntu")):
        said = subprocess.run(
            ["ssh", "-G", "-F", tmp_path / "config", name],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        assert f"user {user}" in said
    before = len(steps.actions)
    client.pin("two", "198.19.88.12", "ssh-ed25519 BBBB two", "ubuntu", steps)
    assert len(steps.actions) == before
    # The same host as a container.
    client.pin("two", "198.19.88.12", "ssh-ed25519 BBBB two", "root", steps)
    assert "ubuntu" not in (tmp_path / "config").read_text()


def test_a_record_of_an_earlier_edition_is_a_containers(tmp_path):
    records = importlib.import_module("serverbench_lab.records")
    (tmp_path / "host.json").write_text(
        '{"release": "trixie", "base": "trixie-1", "layers": [], "address": "198.19.88.11",'
        ' "subnet": "198.19.88.0/24", "bridge": "sblabt0"}'
    )
    assert records.Record.read(tmp_path / "host.json").kind == "container"


def test_a_layer_of_the_other_kind_is_refused_by_name(tmp_path):
    records = importlib.import_module("serverbench_lab.records")
    layers = importlib.import_module("serverbench_lab.layers")
    keys = importlib.import_module("serverbench_lab.keys")
    command = importlib.import_module("serverbench_lab.command")

    def wanted(kind, release):
        return records.Wanted(
            name="one",
            kind=kind,
            address="198.19.88.11",
            subnet="198.19.88.0/24",
            bridge="sblabt0",
            release=release,
            cpus=2,
            memory_bytes=2 * GIB,
            layer="mine",
            nameservers=(),
            root_dir=tmp_path,
            ssh_dir=tmp_path / "ssh",
            owner=keys.Owner(0, 0),
            boot_timeout_s=60,
            accelerator="auto",
        )

    steps = command.Steps(check_mode=False)
    record = records.Record("trixie", "trixie_vm-1", (), "198.19.88.11", "", "", "vm")
    layers.Layers(wanted("vm", "trixie"), steps).save(record, lambda _target: None)
    assert layers.Layers(wanted("vm", "trixie"), steps).find().layers == ("mine-1",)
    for kind, release in (("container", "trixie"), ("vm", "bookworm")):
        with pytest.raises(command.LabError, match="lab_host_kind"):
            layers.Layers(wanted(kind, release), steps).find()


def test_cgroup_hierarchies_are_told_apart():
    hybrid = supervisor.find_hierarchies(
        "cgroup /c/memory cgroup rw,memory 0 0\ncgroup /c/cpuset cgroup rw,cpuset 0 0\n"
        "cgroup2 /c/unified cgroup2 rw 0 0\n",
        systemd=False,
    )
    assert hybrid.problem is None
    v2 = "cgroup2 /c cgroup2 rw 0 0\n"
    assert supervisor.find_hierarchies(v2, systemd=True).problem is None
    assert "memory and cpuset" in supervisor.find_hierarchies(v2, systemd=False).problem
    assert "cgroup2" in supervisor.find_hierarchies("", systemd=True).problem


def test_cpu_lists_are_read_as_the_kernel_writes_them():
    assert supervisor.parse_cpu_list("0-2,5\n") == {0, 1, 2, 5}
    assert supervisor.parse_cpu_list("\n") == set()


# -- the real thing -------------------------------------------------------------------------------


class Lab:
    """The two hosts of these tests."""

    def __init__(self, folder: Path) -> None:
        self.inventory = folder / "inventory/labt"
        self.inventory.mkdir(parents=True)
        (self.inventory / "hosts.yml").write_text(HOSTS)
        # The kit's own connection settings, so that they are what is tested.
        (self.inventory / "group_vars").symlink_to(LAB_INVENTORY / "group_vars")
        self.ssh_config = folder / ".lab/ssh/config"

    def have(self, state: str, *, limit: str = "lab_hosts", **extra: Any) -> PlaybookRun:
        return run_playbook("lab.yml", self.inventory, limit=limit, lab_host_state=state, **extra)

    def ssh(self, host: str, command: str, *, check: bool = True) -> str:
        done = subprocess.run(
            ["ssh", "-F", self.ssh_config, host, command],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def labt(tmp_path_factory) -> Iterator[Lab]:
    # While lab1 exists, purging these two leaves the bases for everyone's next test.
    run_playbook("lab.yml")
    hosts = Lab(tmp_path_factory.mktemp("lab"))
    hosts.have("purged")
    yield hosts
    hosts.have("purged")


@pytest.fixture
def up(labt: Lab) -> Lab:
    # Without Ansible's start-up where they run already; only a reset or an end changes that.
    if any(supervisor.supervisor_for(name).leader() is None for name in ("labt1", "labt2")):
        labt.have("present")
    return labt


def groups(name: str) -> dict[str, Path]:
    found = supervisor.hierarchies()
    assert found.unified is not None
    return {
        path.parts[-3]: path
        for point in found.everywhere
        if (path := point / "serverbench-lab" / name).is_dir()
    }


def traces() -> list[str]:
    """Everything on this machine that speaks of these tests' hosts."""

    def said(*argv: str) -> list[str]:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()

    lines = [
        *said("ps", "-eo", "args"),
        *said("ip", "-oneline", "link"),
        *said("iptables-save"),
        *Path("/proc/mounts").read_text().splitlines(),
        *map(str, Path("/sys/fs/cgroup").rglob("serverbench-lab/*")),
    ]
    marks = ("serverbench-labt", "serverbench-lab/labt", "sblabt0", "198.19.88.", "hosts/labt")
    # The SSH connections Ansible keeps open for a while are the user's, not the lab's.
    return [line for line in lines if any(m in line for m in marks) and not line.startswith("ssh")]


@pytest.mark.lab
def test_check_mode_says_what_it_would_do_and_does_nothing(labt):
    run = run_playbook("lab.yml", labt.inventory, limit="labt1", check=True)
    actions = run.result("labt1", "Have the lab host")["actions"]
    assert any(action.startswith("Make the bridge") for action in actions)
    assert any(action.startswith("Start serverbench-labt1") for action in actions)
    assert traces() == []


@pytest.mark.lab
def test_two_come_up_from_nothing_and_again_is_a_no_op(labt):
    first = labt.have("present")
    assert set(first.changed) == {"labt1", "labt2"}
    assert labt.have("present").changed == {}
    for host, other in (("labt1", "198.19.88.12"), ("labt2", "198.19.88.11")):
        assert labt.ssh(host, "cat /etc/hostname").strip() == host
        assert labt.ssh(host, "systemctl is-system-running --wait").strip() == "running"
        mtu = str(inherit.uplink_mtu())
        assert labt.ssh(host, "cat /sys/class/net/host0/mtu").strip() == mtu
        greet = f"import socket; print(socket.create_connection(('{other}', 22), 5).recv(7))"
        assert "SSH-2.0" in labt.ssh(host, f'python3 -c "{greet}"')


@pytest.mark.lab
def test_ansible_reaches_it_with_the_kits_own_connection_settings(up, tmp_path):
    play = tmp_path / "ping.yml"
    play.write_text("- {hosts: lab_hosts, gather_facts: false, tasks: [ansible.builtin.ping: {}]}")
    run = run_playbook(play, up.inventory)
    assert run.result("labt2", "ping")["ping"] == "pong"
    assert (
        "StrictHostKeyChecking=yes"
        in (LAB_INVENTORY / "group_vars/lab_hosts/connection.yml").read_text()
    )


@pytest.mark.lab
def test_the_limits_hold_and_a_memory_hog_dies_alone(up):
    if not supervisor.hierarchies().memory:
        group = supervisor.supervisor_for("labt1").group
        assert (group / "memory.max").read_text().strip() == str(2 * GIB)
        assert (group / "memory.swap.max").read_text().strip() == "0"
        cpus = (group / "cpuset.cpus").read_text()
        kills = group / "memory.events"
    else:
        memory = groups("labt1")["memory"]
        assert (memory / "memory.limit_in_bytes").read_text().strip() == str(2 * GIB)
        assert (memory / "memory.memsw.limit_in_bytes").read_text().strip() == str(2 * GIB)
        cpus = (groups("labt1")["cpuset"] / "cpuset.cpus").read_text()
        kills = memory / "memory.oom_control"
    assert len(supervisor.parse_cpu_list(cpus)) == 2
    assert up.ssh("labt1", "nproc").strip() == "2"
    # Every process is inside, the ones of the host's own systemd included.
    assert len(supervisor.supervisor_for("labt1").processes()) > 5

    hog = "import sys; a = bytearray(1 << 30); print('one', flush=True); b = bytearray(2 << 30)"
    assert up.ssh("labt1", f'python3 -c "{hog}"', check=False).strip() == "one"
    assert "oom_kill 1" in kills.read_text()
    assert up.ssh("labt1", "systemctl is-system-running").strip() == "running"


@pytest.mark.lab
def test_other_limits_are_set_while_it_runs(up):
    boot = up.ssh("labt2", "cat /proc/1/stat")
    run = up.have("present", limit="labt2", lab_host_cpus=1, lab_host_memory_bytes=GIB)
    assert [a.split(":")[0] for a in run.result("labt2", "Have the lab host")["actions"]] == [
        "Set the limits"
    ]
    limits = supervisor.supervisor_for("labt2").limits()
    assert (len(limits.cpus), limits.memory_bytes) == (1, GIB)
    up.have("present", limit="labt2")
    assert supervisor.supervisor_for("labt2").limits().memory_bytes == 2 * GIB
    assert up.ssh("labt2", "cat /proc/1/stat").split()[21] == boot.split()[21]


@pytest.mark.lab
def test_apt_and_pip_work_inside(up):
    up.ssh("labt1", "apt-get -qq update && apt-get -qq install -y python3-venv >/dev/null")
    up.ssh("labt1", "python3 -m venv /tmp/v && /tmp/v/bin/pip install -q --no-deps six")


@pytest.mark.lab
def test_a_saved_layer_is_what_a_reset_goes_back_to(up):
    up.ssh("labt1", "echo kept >/root/provisioned")
    up.have("saved", limit="labt1", lab_host_layer="labt")
    up.ssh("labt1", "test -f /root/provisioned; rm /root/provisioned; touch /root/later")
    # Another host may start from it as well, and is still another host.
    up.have("reset", lab_host_layer="labt")
    for host in ("labt1", "labt2"):
        assert up.ssh(host, "cat /root/provisioned").strip() == "kept"
        assert up.ssh(host, "ls /root").strip() == "provisioned"
    ids = {up.ssh(host, "cat /etc/machine-id /etc/hostname") for host in ("labt1", "labt2")}
    assert len({line.split()[0] for line in ids}) == 2


@pytest.mark.lab
def test_a_reset_wipes_everything_and_kept_connections_survive_it(up, tmp_path):
    play = tmp_path / "touch.yml"
    play.write_text(
        "- hosts: labt1\n  gather_facts: false\n  tasks:\n"
        "    - ansible.builtin.command: touch /root/file\n"
    )
    run_playbook(play, up.inventory)
    up.have("reset", limit="labt1")
    assert up.ssh("labt1", "ls /root").strip() == ""
    # Through Ansible's kept connection to the host that was: it has to notice.
    run_playbook(play, up.inventory)


@pytest.mark.lab
def test_a_host_that_died_uncleanly_is_recovered(up):
    watcher = supervisor.supervisor_for("labt1")
    os.kill(watcher.leader(), signal.SIGKILL)
    assert supervisor.wait_until(lambda: watcher.leader() is None, 10)
    run = up.have("present", limit="labt1")
    assert "Start serverbench-labt1" in str(run.result("labt1", "Have the lab host")["actions"])
    assert up.ssh("labt1", "systemctl is-system-running --wait").strip() == "running"
    assert up.have("present").changed == {}


@pytest.mark.lab
def test_files_that_vanished_under_it_are_made_anew(up):
    root = Path("/var/lib/serverbench-lab/hosts/labt1")
    (root / "host.json").unlink()
    (up.ssh_config.parent / "known_hosts").unlink()
    up.have("present", limit="labt1")
    up.have("present", limit="labt2")
    assert up.ssh("labt1", "hostname").strip() == "labt1"
    assert up.ssh("labt2", "hostname").strip() == "labt2"


@pytest.mark.lab
def test_debian_12_boots_and_never_by_accident(up):
    refused = run_playbook(
        "lab.yml", up.inventory, limit="labt2", expect=2, lab_host_release="bookworm"
    )
    assert "make lab-reset" in refused.result("labt2", "Have the lab host")["msg"]
    up.have("reset", limit="labt2", lab_host_release="bookworm")
    assert up.ssh("labt2", "cat /etc/debian_version").startswith("12.")
    assert up.ssh("labt2", "systemctl is-system-running --wait").strip() == "running"
    up.have("reset", limit="labt2")


@pytest.mark.lab
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"lab_host_address": "198.19.88.1"}, "lab_host_address"),
        ({"lab_host_cpus": 1000}, "lab_host_cpus"),
        ({"lab_host_layer": "none-such", "lab_host_state": "reset"}, "lab_host_layer"),
    ],
)
def test_what_cannot_be_is_refused_by_name(up, variables, words):
    run = run_playbook("lab.yml", up.inventory, limit="labt1", expect=2, **variables)
    assert words in run.result("labt1", "Have the lab host")["msg"]
    assert up.ssh("labt1", "hostname").strip() == "labt1"


@pytest.mark.lab
def test_down_leaves_nothing_and_twice_is_fine(up):
    up.have("absent", limit="labt1")
    # The other one still needs the bridge and the way out.
    assert up.ssh("labt2", "hostname").strip() == "labt2"
    assert any("sblabt0" in line for line in traces())
    up.have("absent")
    assert traces() == []
    assert up.have("absent").changed == {}


@pytest.mark.lab
def test_the_network_is_left_as_it_was_found(tmp_path):
    """In a network namespace of its own, where no other lab keeps forwarding on."""
    script = f"""
import ipaddress, pathlib, subprocess, sys
sys.path.insert(0, {str(REPO / "roles/lab_host/module_utils")!r})
STATE = pathlib.Path({str(tmp_path / "state")!r})
from serverbench_lab.command import Steps
from serverbench_lab.network import IP_FORWARD, Network
IP_FORWARD.write_text("0")
def rules():
    saved = subprocess.check_output(["iptables-save"], text=True)
    return [line for line in saved.splitlines() if line.startswith("-A")]
net = Network("sbn0", ipaddress.IPv4Network("198.19.99.0/24"), STATE)
steps = Steps(check_mode=False)
net.ensure(steps)
assert IP_FORWARD.read_text().strip() == "1" and len(rules()) == 3 and net.exists()
before = len(steps.actions)
net.ensure(steps)
assert len(steps.actions) == before, steps.actions
net.remove(steps, other_bridges=["another"])
assert IP_FORWARD.read_text().strip() == "1"
net.remove(steps, other_bridges=[])
assert IP_FORWARD.read_text().strip() == "0" and rules() == [] and not net.exists()
"""
    # A /sys of its own too, or it would show this machine's interfaces.
    inside = 'mount -t sysfs sysfs /sys && exec "$0" -c "$1"'
    subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", inside, sys.executable, script],
        check=True,
        timeout=60,
    )
