"""Tell whether a host is as a deployment under these variables would leave it.

A task costs a third of a second and a deployment has dozens; most of the time there is nothing to
do. So the last one notes checksums on the host: of the kit, of every variable that its roles take,
and of the host itself. While all three are the same, its tasks would find nothing to change.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from collect.fingerprint import fingerprint, kit_digest, read_converged
from collect.kit_variables import options

ROOT = Path(__file__).resolve().parents[3]
PROVISIONING = ("base", "redis", "loadgen", "runner", "postgresql")
# What is not installed by a deployment, or steers a single include of a role.
LEFT_OUT_ROLES = ("lab_host", "teardown", "schedule", "preflight")
# Of these the plan holds what matters; the service that is asked for is handed over as resolved.
LEFT_OUT_PREFIXES = ("bench_", "schedule_", "lab_")
LEFT_OUT = frozenset({
    "server", "interface", "proxy", "profile", "label", "app_release", "deploy_everything",
    "runner_plan", "runner_run_id", "runner_results_dir", "runner_is_running",
})  # fmt: skip


class ActionModule(ActionBase):
    """`recognise_deployment: {desired: {…}}`: what is wanted and no variable says by itself."""

    _requires_connection = False
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return `is_provisioned`, `is_deployed`, and what is to be noted after a deployment."""
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec({"desired": {"type": "dict", "required": True}})
        known = task_vars or {}
        host = known["preflight_host"]
        about = {"kit": kit_digest(ROOT), "system": host["name"], "cores": host["cores"]}
        names = {name for role in PROVISIONING for name in options(ROOT / "roles" / role)}
        names.add("app_database")
        provisioning = fingerprint({**about, "variables": self._values(names, known)})
        roles = sorted(path.parents[1] for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
        every = {
            name for role in roles if role.name not in LEFT_OUT_ROLES for name in options(role)
        } | set(options(ROOT / "playbooks"))
        deployment = fingerprint(
            {
                "provisioning": provisioning,
                "variables": self._values(every, known),
                "desired": arguments["desired"],
            }
        )
        before = read_converged(host.get("converged", ""))
        is_same = bool(before.state) and before.state == host.get("state", "")
        return result | {
            "fingerprints": [provisioning, deployment],
            "is_provisioned": is_same and before.provisioning == provisioning,
            "is_deployed": is_same and before.deployment == deployment,
        }

    def _values(self, names: set[str], known: dict[str, Any]) -> dict[str, Any]:
        return {
            name: self._value(known[name])
            for name in sorted(names - LEFT_OUT)
            if name in known and not name.startswith(LEFT_OUT_PREFIXES)
        }

    def _value(self, value: Any) -> Any:  # noqa: ANN401 - a variable may be anything
        try:
            return self._templar.template(value)
        except AnsibleError:
            # It needs what only a later task knows; what it is made of counts all the same.
            return str(value)
