#!/usr/bin/python
"""Ansible module: a throw-away lab host on this machine."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.serverbench_lab import preflight
from ansible.module_utils.serverbench_lab.command import LabError, Steps
from ansible.module_utils.serverbench_lab.host import LabHost
from ansible.module_utils.serverbench_lab.records import ARGUMENT_SPEC, REQUIRED_IF, Wanted

DOCUMENTATION = r"""
---
module: lab_host
short_description: Keep a throw-away systemd host on this machine
description:
  - Builds a Debian root with mmdebstrap, starts it with systemd-nspawn or, as a virtual machine,
    with QEMU, with CPU and memory limits that hold, on a bridge of its own, and waits until its
    sshd answers.
  - Takes over this machine's package sources, certificate authorities, pip settings and name
    servers, so that apt and pip work inside.
options:
  state:
    description:
      - C(checked) only looks whether this machine can carry a lab host, and needs no root.
      - C(present) has it up, C(absent) down (its files stay), C(reset) starts it over from the
        base or from O(layer), C(saved) keeps what is on it as O(layer), C(purged) deletes it all.
    choices: [checked, present, absent, reset, saved, purged]
    default: present
    type: str
  name: {description: The host's name., type: str}
  kind:
    description: A container of systemd-nspawn, or a virtual machine of QEMU with its own kernel.
    choices: [container, vm]
    default: container
    type: str
  address: {description: Its IPv4 address, in O(subnet)., type: str}
  subnet: {description: The lab's subnet; its first address is this machine's., type: str}
  bridge: {description: The lab's bridge., type: str}
  release: {description: Debian release., type: str, choices: [trixie, bookworm]}
  cpus: {description: How many of this machine's CPUs it may use., type: int}
  memory_bytes: {description: How much memory it may use, without swap., type: int}
  layer: {description: Name of a saved layer., type: str, default: ""}
  nameservers: {description: Name servers instead of this machine's., type: list, elements: str}
  root_dir: {description: Where bases and hosts live., type: path}
  ssh_dir: {description: Where the user's key and known_hosts live., type: path}
  owner_uid: {description: The user who runs Ansible., type: int}
  owner_gid: {description: That user's group., type: int}
  boot_timeout_s: {description: How long to wait for sshd., type: float, default: 60}
  accelerator:
    description: What runs the guest's code; C(auto) takes KVM where a trial shows that it works.
    choices: [auto, kvm, tcg]
    default: auto
    type: str
attributes:
  check_mode: {description: Says what it would do., support: full}
author: [serverbench]
"""

EXAMPLES = r"""
- name: Have a host up
  lab_host:
    name: lab1
    address: 198.19.87.11
    subnet: 198.19.87.0/24
    bridge: sblab0
    release: trixie
    cpus: 2
    memory_bytes: 2147483648
    root_dir: /var/lib/serverbench-lab
    ssh_dir: /home/me/serverbench/.lab/ssh
    owner_uid: 1000
    owner_gid: 1000
"""

RETURN = r"""
actions: {description: What was done, in order., returned: always, type: list, elements: str}
timings_s: {description: Seconds for the long steps., returned: always, type: dict}
missing_packages:
  description: Debian packages this machine lacks, with what each is for (state C(checked)).
  returned: when state is checked
  type: dict
problems:
  description: What else this machine lacks, in words (state C(checked)); the task fails then.
  returned: when state is checked
  type: list
uid: {description: The user's id (state C(checked))., returned: when state is checked, type: int}
gid: {description: The user's group (state C(checked))., returned: when state is checked, type: int}
"""


def main() -> None:
    """Do what the task asks."""
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC, required_if=REQUIRED_IF, supports_check_mode=True
    )
    given = module.params
    if given["state"] == "checked":
        seen = preflight.look(given["kind"])
        if seen["problems"]:
            module.fail_json(
                msg=f"This machine cannot carry the lab host ({given['kind']}). It lacks: "
                f"{'; '.join(seen['problems'])}. To benchmark this machine itself, use "
                f"`-i inventory/localhost`.",
                **seen,
            )
        module.exit_json(changed=False, **seen)
    steps = Steps(check_mode=module.check_mode)
    try:
        host = LabHost(Wanted.of(given), steps)
        getattr(host, given["state"])()
    except (LabError, OSError, ValueError) as error:
        module.fail_json(
            msg=f"{given['name']}: {error}", actions=steps.actions, timings_s=steps.timings_s
        )
    module.exit_json(
        changed=bool(steps.actions),
        actions=steps.actions,
        timings_s=steps.timings_s,
        diff={"prepared": "".join(f"{action}\n" for action in steps.actions)},
    )


if __name__ == "__main__":
    main()
