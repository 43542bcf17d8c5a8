"""Hand what `deploy.yml` is asked for to `collect.request`; nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from collect.decode import decode, encode
from collect.errors import DataError
from collect.inputs import check_whole
from collect.model import Variant
from collect.request import make_activation, requested_variant
from collect.variants import MAX_CORES, plain


def serverbench_requested(variables: dict[str, Any], cores: int | str) -> dict[str, Any] | None:
    """Return the variant that `-e server=…` asks for, as a dict; None without."""
    try:
        variant = requested_variant(variables, check_whole(cores, "cores", 1, MAX_CORES))
    except DataError as error:
        raise AnsibleFilterError(str(error)) from None
    return None if variant is None else encode(variant)


def serverbench_activation(variant: dict[str, Any] | None, **parts: Any) -> dict[str, Any]:  # noqa: ANN401 - variables
    """Return `collect.activation.Activation` as a dict; see `collect.request.make_activation`."""
    try:
        known = None if variant is None else decode(Variant, plain(variant), "service")
        return encode(make_activation(variant=known, **parts))
    except DataError as error:
        raise AnsibleFilterError(str(error)) from None


def serverbench_tagged(
    variants: list[dict[str, Any]], run_tags: list[str], skip_tags: list[str], *also: str
) -> list[dict[str, Any]]:
    """Return the variants whose server, or a tag in `also`, is asked for with `--tags`.

    Tags of Ansible's own cannot do it: those of an included role do not know its loop's item.
    """

    def is_asked_for(tag: str) -> bool:
        return ("all" in run_tags or tag in run_tags) and tag not in skip_tags

    return [
        variant
        for variant in plain(variants)
        if any(is_asked_for(tag) for tag in (variant["server"], *also))
    ]


class FilterModule:
    """What Ansible asks a filter plugin for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this plugin."""
        return {
            "serverbench_activation": serverbench_activation,
            "serverbench_requested": serverbench_requested,
            "serverbench_tagged": serverbench_tagged,
        }
