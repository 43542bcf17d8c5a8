"""Tell what a host shall serve, and whether it is as a deployment would leave it.

A task costs a third of a second and a deployment has dozens; most of the time there is nothing to
do. So the last one notes checksums on the host: of the kit, of every variable that its roles take,
and of the host itself. While all three are the same, its tasks would find nothing to change.

Plan and service are templates that take a tenth of a second each time they are worked out. So this
is the one place of a deployment where they are; the tasks after it go by what it returns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from collect.decode import encode
from collect.errors import DataError
from collect.fingerprint import fingerprint, kit_digest, read_converged
from collect.kit_variables import options
from collect.pack import pack_runner
from collect.request import recorded_service
from collect.variants import plain

ROOT = Path(__file__).resolve().parents[3]
PROVISIONING = ("base", "redis", "loadgen", "runner", "postgresql")
# What is not installed by a deployment, or steers a single include of a role.
LEFT_OUT_ROLES = ("lab_host", "teardown", "schedule", "preflight")
# Of these the plan holds what matters; the service that is asked for is handed over as resolved.
LEFT_OUT_PREFIXES = ("bench_", "schedule_", "lab_")
LEFT_OUT = frozenset({
    "server", "interface", "proxy", "profile", "label", "app_release", "deploy_everything",
    "app_interfaces", "runner_plan", "runner_run_id", "runner_results_dir", "runner_is_running",
})  # fmt: skip


class ActionModule(ActionBase):
    """`recognise_deployment: {plan, requested, release, catalogue, ladder}`: what is wanted."""

    _requires_connection = False
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what shall be, whether it is, and what is to be noted after a deployment.

        `service`: the variant that serves or shall, or null; `takes_over`: whether it was asked
        for; `variants`: the others to deploy; `proxies` of all of them; `address` and `port`;
        `is_provisioned`, `is_deployed`, `fingerprints`; `has_old_tool`: the host's tool is not that
        of the kit, and what is run now does not bring it.
        """
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "plan": {"type": "dict", "required": True},
                "requested": {"type": "dict"},
                "release": {"type": "str", "required": True},
                "catalogue": {"type": "dict", "required": True},
                "ladder": {"type": "bool", "required": True},
            }
        )
        known = task_vars or {}
        host = known["preflight_host"]
        plan, requested = plain(arguments["plan"]), plain(arguments["requested"])
        try:
            service = requested or _recorded(known, plan["variants"], arguments["catalogue"])
        except DataError as error:
            return result | {"failed": True, "msg": str(error)}
        # A service that is asked for by itself leaves the other variants as they were.
        every = [] if requested else plan["variants"]
        others = [one for one in every if service is None or one["id"] != service["id"]]
        about = {"kit": kit_digest(ROOT), "system": host["name"], "cores": host["cores"]}
        names = {name for role in PROVISIONING for name in options(ROOT / "roles" / role)}
        names.add("app_database")
        provisioning = fingerprint({**about, "variables": self._values(names, known)})
        roles = sorted(path.parents[1] for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
        names = {
            name for role in roles if role.name not in LEFT_OUT_ROLES for name in options(role)
        } | set(options(ROOT / "playbooks"))
        desired = {
            "everything": not requested,
            "service": service,
            "variants": plan["variants"],
            **{name: plan[name] for name in ("address", "port")},
            **{name: arguments[name] for name in ("release", "ladder")},
        }
        deployment = fingerprint(
            {
                "provisioning": provisioning,
                "variables": self._values(names, known),
                "desired": desired,
            }
        )
        before = read_converged(host.get("converged", ""))
        is_same = bool(before.state) and before.state == host.get("state", "")
        is_provisioned = is_same and before.provisioning == provisioning
        brings_tool = not self._task.check_mode and "all" in known.get("ansible_run_tags", ["all"])
        return result | {
            "service": service,
            "takes_over": bool(requested),
            "variants": others,
            "proxies": sorted({one["proxy"] for one in (*others, *([service] if service else ()))}),
            "address": plan["address"],
            "port": plan["port"],
            "fingerprints": [provisioning, deployment],
            "is_provisioned": is_provisioned,
            "is_deployed": is_same and before.deployment == deployment,
            # To pack it takes a third of a second, so not where that is known or does not matter.
            "has_old_tool": not (is_provisioned or brings_tool) and _tool() != host.get("tool", ""),
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


def _tool() -> str:
    return str(pack_runner(ROOT / ".build/serverbench-runner.pyz")["sha256"])


def _recorded(
    known: dict[str, Any], variants: list[dict[str, Any]], catalogue: dict[str, Any]
) -> dict[str, Any] | None:
    """Return the variant that the host serves, as the plan has it now if it does; else None."""
    host = known["inventory_hostname"]
    service = recorded_service(known["preflight_host"].get("service"), host, catalogue)
    if service is None:
        return None
    planned = (variant for variant in variants if variant["id"] == service.variant.id)
    return next(planned, encode(service.variant))
