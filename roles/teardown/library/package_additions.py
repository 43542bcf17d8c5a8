#!/usr/bin/python
"""Ansible module: remove the packages and accounts that were added since a note was taken."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: package_additions
short_description: Remove packages and accounts that were added since a note was taken
description:
  - Takes what O(notes) calls brought for automatically installed, in a copy of apt's records, and
    asks apt what it could then do without. Purged is what it could not do without before, was not
    there when the note was taken, and nobody else's package recommends.
  - So what somebody installed meanwhile stays, with all that it needs, also where it is a package
    that the kit would have asked for.
  - Without notes no package is removed.
options:
  notes: {description: Folder of the notes., type: path, required: true}
  packages:
    description: Packages that may have been asked for; those that were there before are marked
      again as apt had them.
    type: list
    elements: str
    required: true
  accounts:
    description: Users and groups that packages leave behind, each with its package.
    type: dict
    required: true
  user: {description: A user of no package that is removed as well., type: str, required: true}
attributes:
  check_mode: {description: Says what it would do., support: full}
author: [serverbench]
"""

EXAMPLES = r"""
- name: Remove wrk again, unless it was there before
  package_additions:
    notes: /var/lib/serverbench/before
    packages: [wrk]
    accounts: {}
    user: serverbench
"""

RETURN = r"""
removed: {description: Packages that were purged., type: list, returned: always}
kept: {description: O(packages) that stay although they are new., type: list, returned: always}
accounts: {description: Users and groups that were removed., type: list, returned: always}
"""

# A suggestion keeps nothing. Recommendations are looked at one by one: those of packages that were
# here before held nothing then, either.
AUTOREMOVE = (
    "apt-get",
    "--simulate",
    "--option=APT::AutoRemove::SuggestsImportant=false",
    "--option=APT::AutoRemove::RecommendsImportant=false",
    "autoremove",
)
RECORDS = Path("/var/lib/apt/extended_states")
ARCHIVES = Path("/var/cache/apt/archives")
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "LC_ALL": "C.UTF-8"}


class Host:
    """The packages and accounts of this host."""

    def __init__(self, module: AnsibleModule) -> None:
        """Remember where to run commands."""
        self.module = module

    def said(self, *command: str, **environment: str) -> list[str]:
        """Run a command and return its lines; one that fails ends the module."""
        _, out, _ = self.module.run_command(
            list(command), check_rc=True, environ_update=QUIET | environment
        )
        return [line for line in str(out).splitlines() if line]

    def installed(self) -> dict[str, str]:
        """Return what each installed package recommends, by the name dpkg gives it."""
        lines = self.said(
            "dpkg-query",
            "--show",
            "--showformat=${db:Status-Abbrev}\t${binary:Package}\t${Recommends}\n",
        )
        fields = [line.split("\t") for line in lines]
        return {name: recommends for status, name, recommends in fields if status[1] == "i"}

    def orphans(self, automatic: list[str]) -> set[str]:
        """Return what apt could do without, were these not asked for by anybody."""
        with tempfile.TemporaryDirectory() as folder:
            records = Path(folder) / "extended_states"
            if RECORDS.exists():
                shutil.copy(RECORDS, records)
            elsewhere = f"--option=Dir::State::extended_states={records}"
            if automatic:
                self.said("apt-mark", elsewhere, "auto", *automatic)
            # In /etc/apt/apt.conf.d postgresql-common tells apt never to do without a server.
            settings = Path(folder) / "apt.conf"
            settings.write_text('Dir::Etc::Parts "/dev/null";\n')
            lines = self.said(*AUTOREMOVE, elsewhere, APT_CONFIG=str(settings))
        return {line.split()[1] for line in lines if line.startswith("Remv ")}


def bare(name: str) -> str:
    """Return a package's name without its architecture."""
    return name.partition(":")[0]


def additions(host: Host, notes: Path) -> set[str]:
    """Return the packages to purge."""
    asked_for = sorted(set((notes / "brought").read_text().split()))
    before = {bare(name) for name in (notes / "packages").read_text().split()}
    installed = {bare(name): wants for name, wants in host.installed().items()}
    new = [name for name in asked_for if name in installed and name not in before]
    found = {bare(name) for name in host.orphans(new) - host.orphans([])} - before
    others = [wants for name, wants in installed.items() if name not in before | found]
    wanted = {
        alternative.split()[0]
        for wants in others
        for group in wants.replace("|", ",").split(",")
        if (alternative := group.strip())
    }
    return found - wanted


def accounts_left(notes: Path, accounts: dict[str, str], installed: set[str]) -> list[str]:
    """Return the accounts whose package is gone and which were not here before."""
    files = (notes / "users", notes / "groups")
    before = {name for file in files if file.exists() for name in file.read_text().split()}
    return [
        name
        for name, package in accounts.items()
        if name not in before and package not in installed
    ]


def names(path: str) -> set[str]:
    """Return the names in /etc/passwd or /etc/group."""
    return {line.partition(":")[0] for line in Path(path).read_text().splitlines()}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "notes": {"type": "path", "required": True},
            "packages": {"type": "list", "elements": "str", "required": True},
            "accounts": {"type": "dict", "required": True},
            "user": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    host, notes = Host(module), Path(module.params["notes"])
    asked_for = module.params["packages"]
    is_noted = (notes / "packages").exists()
    installed = {bare(name) for name in host.installed()}
    removed = additions(host, notes) if (notes / "brought").exists() else set()
    before = (
        {bare(name) for name in (notes / "packages").read_text().split()} if is_noted else set()
    )
    was_automatic = set((notes / "automatic").read_text().split()) if is_noted else set()
    # Ansible's apt marks what it finds installed as asked for.
    marks = sorted(was_automatic.intersection(asked_for) - set(host.said("apt-mark", "showauto")))
    accounts = (
        accounts_left(notes, module.params["accounts"], installed - removed) if is_noted else []
    )
    accounts = [*accounts, module.params["user"]]
    users = [name for name in accounts if name in names("/etc/passwd")]
    groups = [name for name in accounts if name in names("/etc/group")]
    if not module.check_mode:
        if removed:
            host.said(
                "apt-get", "-o", "DPkg::Lock::Timeout=600", "--yes", "purge", *sorted(removed)
            )
        for name in removed:
            for archive in ARCHIVES.glob(f"{name}_*.deb"):
                archive.unlink()
        if marks:
            host.said("apt-mark", "auto", *marks)
        # Some packages take their own account along, and userdel takes the user's group.
        for name in users:
            if name in names("/etc/passwd"):
                host.said("userdel", name)
        for name in groups:
            if name in names("/etc/group"):
                host.said("groupdel", name)
    gone = sorted(removed)
    module.exit_json(
        changed=bool(removed or marks or users or groups),
        removed=gone,
        kept=sorted(
            name for name in asked_for if name in installed - removed - before and is_noted
        ),
        accounts=sorted({*users, *groups}),
        diff={
            "before": "".join(f"{name}\n" for name in [*gone, *sorted({*users, *groups})]),
            "after": "",
        },
    )


if __name__ == "__main__":
    main()
