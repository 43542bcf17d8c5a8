"""Refuse a variable of the inventory that makes no sense, before any host is touched.

What is measured is checked by the plan, the service by the request and the project by the project;
this is for everything else that somebody can write: paths, names, addresses and numbers that end in
a unit file, in the configuration of a proxy or in a command on a host. Pure.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collect.checkout import REF
from collect.errors import DataError, shown
from collect.inputs import check_environment, check_folder_name, check_whole
from collect.variants import ENVIRONMENT_NAME, is_systemd_text, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# It stands in unit files and their command lines, whose quoting each server reads in its own way.
FOLDER = re.compile(r"[A-Za-z0-9._@+=,:/-]{0,500}")
IN_SOURCE = "a folder inside app_source, such as src, without spaces or quotes; empty for itself"
_OF_REPORTS = ("report.", "report-")
_MAY_BE_NULL = ("proxy_keepalive_s", "runner_memory_limit_bytes")
_SWITCH = ("true", "false", "yes", "no", "on", "off", "1", "0", "t", "f", "y", "n")
_MAX_ITEMS = 500
_MAX_PATH = 1000
# Neither spaces nor anything that means something to a shell, to systemd, nginx or Caddy.
_HOST_PATH = re.compile(r"(?!.*/\.\.?(?:/|$))/[A-Za-z0-9._@+=,:/-]*")
_NAME_OF_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{0,99}(:[a-z0-9-]{1,20})?(=[A-Za-z0-9.+:~-]{1,99})?")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~%!&'()*+,;=:@\[\]/-]{1,2000}")
_MIRROR = re.compile(r"https?://[A-Za-z0-9._~%+:@\[\]/-]{1,500}")
_STATIC_URL = re.compile(r"/([A-Za-z0-9._~-]+/){1,20}")
_BIND = re.compile(r"[A-Za-z0-9.:\[\]]{1,60}:[0-9]{1,5}|unix:/run(/[A-Za-z0-9._@+-]+){2,5}")
_HOST = re.compile(r"[A-Za-z0-9:_\[][A-Za-z0-9.:_%\[\]-]{0,254}")
_LOGIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+\\-]{0,99}")
_BRIDGE = re.compile(r"[a-z][a-z0-9]{0,11}")
_LAYER = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,99})?")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a variable may hold; `accepts` gets plain values and never null."""

    accepted: str
    accepts: Callable[[object], bool]
    is_secret: bool = False
    """No message repeats what it got."""


def check_variables(variables: Mapping[str, object]) -> None:
    """Raise `DataError` for the first of the variables that has a rule and does not keep it.

    Null passes where it is the default, or says the same as an empty text.
    """
    for name, rule in RULES.items():
        if name not in variables:
            continue
        if variables[name] is None:
            # It does not stand for the default, but for nothing, and would be rendered like that.
            if name.startswith("ansible_") or name in _MAY_BE_NULL or rule.accepts(""):
                continue
            raise DataError(f"{name}: got nothing; accepted: {rule.accepted}")
        value = plain(variables[name], name)
        if not rule.accepts(value):
            got = "" if rule.is_secret else f"got {shown(value)}; "
            raise DataError(f"{name}: {got}accepted: {rule.accepted}")
    for name in ENVIRONMENTS:
        if variables.get(name) is not None:
            check_environment(plain(variables[name], name), name)


ENVIRONMENTS = ("app_environment", "app_database_environment")


def _text(pattern: re.Pattern[str], accepted: str, *, secret: bool = False) -> Rule:
    return Rule(accepted, lambda v: isinstance(v, str) and pattern.fullmatch(v) is not None, secret)


def _or_empty(rule: Rule) -> Rule:
    return Rule(
        f"{rule.accepted}, or nothing", lambda v: v == "" or rule.accepts(v), rule.is_secret
    )


def _list_of(rule: Rule) -> Rule:
    return Rule(
        f"a list, each {rule.accepted}",
        lambda v: isinstance(v, list) and len(v) <= _MAX_ITEMS and all(map(rule.accepts, v)),
        rule.is_secret,
    )


def _one_of(*values: str) -> Rule:
    return Rule(", ".join(values), lambda v: v in values)


def _whole(minimum: int, maximum: int) -> Rule:
    def accepts(value: object) -> bool:
        # Templates write a number that `-e` made a text as it stands.
        if isinstance(value, str) and value != value.strip():
            return False
        try:
            check_whole(value, "", minimum, maximum)
        except DataError:
            return False
        return True

    return Rule(f"a whole number from {minimum} to {maximum}", accepts)


def _is_switch(value: object) -> bool:
    # As the filter `bool` of Ansible has it, which takes every other word for no.
    return isinstance(value, bool) or str(value).lower() in _SWITCH


def _is_address(value: object) -> bool:
    # A zone (fe80::1%eth0) may hold anything, says the library.
    if not isinstance(value, str) or "%" in value:
        return False
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_network(value: object) -> bool:
    try:
        return isinstance(value, str) and ipaddress.ip_network(value).version == 4  # noqa: PLR2004
    except ValueError:
        return False


def _is_printable(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and is_systemd_text(value)


def _is_command(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and is_systemd_text(value)


def _is_run_id(value: object) -> bool:
    if value == "":
        return True
    try:
        check_folder_name(value, "")
    except DataError:
        return False
    # `serverbench report latest` means another one.
    return value != "latest"


def _is_host_path(value: object) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= _MAX_PATH
        and _HOST_PATH.fullmatch(value) is not None
    )


_HOST_PATH_RULE = Rule(
    "an absolute path of letters, digits and . _ @ + = , : / -, without ..", _is_host_path
)
# Ansible puts variables of the environment into a path here and leaves them there.
_LOCAL_PATH = Rule(
    "a path on this machine, on one line and without $",
    lambda v: _is_printable(v) and 0 < len(str(v)) <= _MAX_PATH and "$" not in str(v),
)
_USER = _text(_NAME_OF_USER, "a user's name of a-z, 0-9, hyphen and underscore")
_DATABASE = _text(_IDENTIFIER, "a name of a-z, 0-9 and underscore")
_PACKAGES = _list_of(_text(_PACKAGE, "the name of a package, with =version if need be"))
_IP = Rule("an IP address, such as 127.0.0.1, 0.0.0.0 or ::1", _is_address)
_YES_OR_NO = Rule("true or false", _is_switch)
_SECONDS = _whole(1, 3600)
_PORT = _whole(1, 65535)
_PROXIES = _one_of("none", "caddy", "nginx")
_FOLDER_NAME = Rule(
    "up to 100 of A-Z a-z 0-9 . _ -, not starting with a dot or hyphen, and not latest; or nothing",
    _is_run_id,
)
_MIRROR_RULE = _or_empty(
    _text(
        _MIRROR,
        "an address such as http://mirrors.example.com, above debian/ or ubuntu/",
        secret=True,
    )
)
_INDEX_RULE = _or_empty(_text(_ADDRESS, "an address such as https://pypi.org/simple", secret=True))
_PASSWORD = Rule(
    "one line of text", lambda v: _is_printable(v) and len(str(v)) <= _MAX_PATH, is_secret=True
)
_ANY_LINE = Rule("one line of text", _is_printable)

RULES: dict[str, Rule] = {
    # How a host is reached: a name that begins with a hyphen would be an option of ssh.
    "inventory_hostname": Rule(
        "a host's name: up to 100 of A-Z a-z 0-9 . _ -, not starting with a dot or hyphen, nor "
        "with report. or report-",
        # Its folder stands beside the reports on the run.
        lambda v: bool(v) and _is_run_id(v) and not str(v).lower().startswith(_OF_REPORTS),
    ),
    "ansible_host": _text(_HOST, "a host's name or address"),
    "ansible_user": _text(_LOGIN, "a user's name"),
    "ansible_port": _PORT,
    "bench_run_id": _FOLDER_NAME,
    "bench_results_dir": _LOCAL_PATH,
    "app_ref": _or_empty(_text(REF, "a branch, a tag or a commit")),
    "app_root": _text(FOLDER, IN_SOURCE),
    "app_packages": _PACKAGES,
    "app_generated_secrets": _list_of(
        _text(ENVIRONMENT_NAME, "a name of letters, digits and underscores")
    ),
    "app_setup_commands": _list_of(Rule("a shell command", _is_command)),
    "app_interfaces": _list_of(_one_of("wsgi", "asgi")),
    "app_user": _USER,
    "app_state_dir": _HOST_PATH_RULE,
    "app_root_dir": _HOST_PATH_RULE,
    "app_database": _one_of("sqlite", "postgresql"),
    "app_release": _FOLDER_NAME,
    "app_releases_kept": _whole(1, 100),
    "service_ready_timeout_s": _SECONDS,
    "service_stop_timeout_s": _SECONDS,
    "service_candidate_port": _PORT,
    "deploy_everything": _YES_OR_NO,
    "proxy": _PROXIES,
    "proxy_kind": _PROXIES,
    "proxy_variant": _FOLDER_NAME,
    "proxy_address": _IP,
    "proxy_port": _PORT,
    "proxy_protocol": _one_of("http", "uwsgi"),
    "proxy_upstream": _text(_BIND, "address:port or unix:/run/folder/name"),
    "proxy_keepalive_s": _whole(0, 3600),
    "proxy_workers": _whole(1, 1024),
    "proxy_access_log": _YES_OR_NO,
    "proxy_max_body_bytes": _whole(1, 2**40),
    "proxy_read_timeout_s": _SECONDS,
    "proxy_static_url": _text(_STATIC_URL, "a path such as /static/, with a slash at both ends"),
    "proxy_static_root": _or_empty(_HOST_PATH_RULE),
    "proxy_user": _USER,
    "proxy_unit_dir": _HOST_PATH_RULE,
    "vault_postgresql_password": _PASSWORD,
    "postgresql_password": _PASSWORD,
    "postgresql_user": _DATABASE,
    "postgresql_database": _DATABASE,
    "postgresql_password_file": _HOST_PATH_RULE,
    "postgresql_state_dir": _HOST_PATH_RULE,
    "apt_mirror": _MIRROR_RULE,
    "base_apt_mirror": _MIRROR_RULE,
    "pip_index_url": _INDEX_RULE,
    "app_pip_index_url": _INDEX_RULE,
    "base_packages": _PACKAGES,
    "base_user": _USER,
    "ladder_python_dir": _HOST_PATH_RULE,
    "ladder_venv": _HOST_PATH_RULE,
    "loadgen_script_path": _HOST_PATH_RULE,
    "preflight_supported": _list_of(_ANY_LINE),
    "preflight_run_id": _FOLDER_NAME,
    "preflight_proxies": _list_of(_one_of("none", "caddy", "nginx")),
    "preflight_database": _one_of("sqlite", "postgresql"),
    "preflight_min_memory_mb": _whole(0, 2**30),
    "preflight_min_disk_mb": _whole(0, 2**30),
    "runner_root_dir": _HOST_PATH_RULE,
    "runner_runs_dir": _HOST_PATH_RULE,
    "runner_wrk_script": _HOST_PATH_RULE,
    "runner_venv": _HOST_PATH_RULE,
    "runner_memory_limit_bytes": _whole(1, 2**60),
    "runner_run_id": _FOLDER_NAME,
    "runner_results_dir": _LOCAL_PATH,
    "schedule_state": _one_of("present", "absent"),
    "schedule_runs_dir": _HOST_PATH_RULE,
    "schedule_run_id": _FOLDER_NAME,
    "schedule_min_free_mb": _whole(0, 2**30),
    "server_bind": _text(_BIND, "address:port or unix:/run/folder/name"),
    "server_protocol": _one_of("http", "uwsgi"),
    "server_drain_s": _SECONDS,
    "server_orderly_stop_s": _whole(0, 3600),
    "server_user": _USER,
    "server_home_dir": _HOST_PATH_RULE,
    "server_state_dir": _HOST_PATH_RULE,
    "server_unit_dir": _HOST_PATH_RULE,
    "server_environment_files": _list_of(_HOST_PATH_RULE),
    "teardown_results": _one_of("pull", "keep", "discard"),
    "teardown_results_dir": _LOCAL_PATH,
    "lab_kind": _one_of("container", "vm"),
    "lab_host_kind": _one_of("container", "vm"),
    "lab_host_state": _one_of("present", "absent", "reset", "saved", "purged"),
    "lab_host_release": _one_of("trixie", "bookworm"),
    "lab_host_accelerator": _one_of("auto", "kvm", "tcg"),
    "lab_host_address": _IP,
    "lab_host_subnet": Rule("an IPv4 network, such as 198.19.87.0/24", _is_network),
    "lab_host_bridge": _text(_BRIDGE, "up to 12 of a-z and 0-9"),
    "lab_host_layer": _text(_LAYER, "up to 100 of A-Z a-z 0-9 . _ -"),
    "lab_host_nameservers": _list_of(_IP),
    "lab_host_root_dir": _HOST_PATH_RULE,
    "lab_host_ssh_dir": _LOCAL_PATH,
    "lab_host_cpus": _whole(1, 1024),
    "lab_host_memory_bytes": _whole(64 * 2**20, 2**60),
}
"""What each variable accepts that no other module checks; in the order they are looked at."""
