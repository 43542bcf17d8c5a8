"""No secret shows anywhere, and nothing listens to the world."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
import yaml
from labkit import BENCH_HOSTS, REPO, run_playbook, run_script

HOST = next(iter(BENCH_HOSTS))
CANARY = "canary-5up3r-s3cr3t-do-not-sing"
VARIABLES = {
    "bench_matrix": [{"server": "granian", "interface": "wsgi"}],
    "bench_endpoints": ["health"],
    "bench_blocks": 1,
    "bench_run_id": "canary",
    "bench_load": {"threads": 1, "connections": 4, "duration_s": 1, "warmup_s": 0, "timeout_s": 5},
}
UNIT = "serverbench-granian-wsgi.service"


@pytest.fixture(scope="module")
def planted(deployed, tmp_path_factory):
    """A run whose application knows a secret from vault, at full verbosity with diffs."""
    folder = tmp_path_factory.mktemp("canary")
    password = folder / "password"
    password.write_text("of the vault\n")
    vault = folder / "vault.yml"
    vault.write_text(yaml.safe_dump({"app_environment": {"PAYMENT_TOKEN": CANARY}}))
    subprocess.run(
        [
            REPO / ".venv/bin/ansible-vault",
            "encrypt",
            f"--vault-password-file={password}",
            vault,
        ],
        check=True,
        capture_output=True,
    )
    variables = {**VARIABLES, "bench_results_dir": str(folder / "results")}
    done = subprocess.run(
        [
            REPO / ".venv/bin/ansible-playbook",
            "bench.yml",
            "-i",
            deployed,
            "--limit",
            HOST,
            "--diff",
            "-vvv",
            f"--vault-password-file={password}",
            "-e",
            f"@{vault}",
            "-e",
            json.dumps(variables),
        ],
        cwd=REPO,
        env=os.environ | {"ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout + done.stderr, folder / "results"


@pytest.fixture(scope="module")
def secrets(planted):
    """What must not be seen: ours from vault, and the one that the host made for itself."""
    assert planted
    key = run_script(HOST, "sed -n 's/^DJANGO_SECRET_KEY=//p' /etc/serverbench/secret.env")
    assert len(key) > 40
    return [CANARY, key]


@pytest.mark.lab
def test_the_application_knows_the_secret(planted):
    assert planted
    # Or the rest of this file proves nothing.
    run_script(
        HOST,
        f"""
        systemctl start {UNIT}
        tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID {UNIT})/environ \\
          | grep -qx 'PAYMENT_TOKEN={CANARY}'
        found=$?; systemctl stop {UNIT}; exit $found""",
    )


@pytest.mark.lab
def test_no_secret_in_what_tasks_say(planted, secrets):
    said, _ = planted
    assert "granian" in said
    assert [line for line in said.splitlines() if any(secret in line for secret in secrets)] == []


@pytest.mark.lab
def test_no_secret_in_results_and_reports(planted, secrets):
    _, results = planted
    files = [path for path in results.rglob("*") if path.is_file()]
    assert results / "canary/report.md" in files
    for path in [*files, *(path for path in (REPO / ".build").glob("*") if path.is_file())]:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path


@pytest.mark.lab
def test_no_secret_on_the_host_for_anybody_but_root(secrets):
    """In the journal, in units, in command lines, in files and properties that anybody may read."""
    for secret in secrets:
        # The pattern comes from a file, or grep's own command line would hold it.
        found = run_script(
            HOST,
            f"""
            umask 077; pattern=$(mktemp /root/pattern.XXXXXX)
            printf '%s' '{secret}' > "$pattern"
            systemctl start {UNIT}; sleep 1
            journalctl --no-pager --quiet | grep -qFf "$pattern" && echo journal
            systemctl show '*' --no-pager | grep -qFf "$pattern" && echo 'systemctl show'
            cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' \\
              | grep -qFf "$pattern" && echo cmdline
            find /etc /opt/serverbench /var/lib/serverbench /var/log /run /tmp -xdev -type f \\
              -perm -o=r ! -path '*/site-packages/*' -print0 2>/dev/null \\
              | xargs -0 grep -lFf "$pattern" 2>/dev/null
            systemctl stop {UNIT}; rm "$pattern"; true""",
        )
        assert found == ""


@pytest.mark.lab
def test_nothing_listens_beyond_loopback(deployed):
    assert deployed
    seen = run_script(
        HOST,
        """
        for file in /etc/systemd/system/serverbench-*.service; do
          unit=$(basename "$file")
          case $unit in *@*) continue ;; esac
          systemctl start "$unit"
          for _ in $(seq 100); do ss -Hltn | grep -q ' 127.0.0.1:9875 ' && break; sleep 0.1; done
          ss -Hltn | awk -v unit="$unit" '{print unit, $4}'
          systemctl stop "$unit" "${unit%.service}.socket" 2>/dev/null
        done; true""",
    )
    by_unit = {}
    for line in seen.splitlines():
        unit, address = line.split()
        by_unit.setdefault(unit, set()).add(address)
    assert len(by_unit) >= 6
    for unit, addresses in by_unit.items():
        assert "127.0.0.1:9875" in addresses, unit
        beyond = {one for one in addresses if not one.startswith(("127.0.0.1:", "[::1]:"))}
        # The only one that was there before: sshd.
        assert {one.rpartition(":")[2] for one in beyond} == {"22"}, unit


@pytest.mark.lab
def test_somebody_elses_proxy_and_database_are_not_replaced(deployed):
    run_script(
        HOST,
        """
        printf '#!/bin/sh\n' > /usr/local/bin/caddy
        chmod 755 /usr/local/bin/caddy
        mkdir -p /etc/postgresql/17/main
        touch /etc/postgresql/17/main/postgresql.conf""",
    )
    service = {"server": "granian"}
    try:
        by_proxy = run_playbook(
            "deploy.yml", deployed, limit=HOST, expect=2, proxy="caddy", **service
        )
        by_database = run_playbook(
            "deploy.yml", deployed, limit=HOST, expect=2, app_database="postgresql", **service
        )
    finally:
        run_script(HOST, "rm -r /usr/local/bin/caddy /etc/postgresql")
    assert "has caddy from elsewhere" in " ".join(by_proxy.stdout.split())
    assert "has a PostgreSQL of its own" in " ".join(by_database.stdout.split())
    assert run_script(HOST, "dpkg-query --show caddy postgresql 2>/dev/null; true") == ""
