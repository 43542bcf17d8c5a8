"""What every kind of lab host can do: stand on a base, keep files of its own, run, end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pathlib import Path

    from .command import Steps
    from .network import Network
    from .records import Record, Wanted
    from .supervisor import Limits, Supervisor


class Computer(ABC):
    """One lab host's files and the program that runs them."""

    kind: ClassVar[str]
    login: ClassVar[str]
    """The user Ansible logs in as."""
    answer_timeout_s: ClassVar[float]
    """How long a host that is up may take to answer SSH."""
    power_off_timeout_s: ClassVar[float]

    def __init__(self, wanted: Wanted, network: Network, steps: Steps) -> None:
        """Speak for the lab host that is wanted; nothing is changed yet."""
        self.wanted = wanted
        self.network = network
        self.steps = steps

    @property
    @abstractmethod
    def limits(self) -> Limits:
        """What the program that runs it may use.

        Raises:
            LabError: this machine has less.
        """

    @abstractmethod
    def check(self) -> None:
        """Find out before minutes of building whether this machine can run it.

        Raises:
            LabError: it cannot.
        """

    @abstractmethod
    def ensure_base(self) -> str:
        """Have the base of today's recipe, and return its name."""

    @abstractmethod
    def has_files(self) -> bool:
        """Tell whether the host has files of its own."""

    @abstractmethod
    def forget_files(self) -> None:
        """Delete the host's own files."""

    @abstractmethod
    def assemble(self, record: Record, host_key: Path, public_key: str) -> None:
        """Put base, layers and the host's own files together, and write what makes it this host."""

    @abstractmethod
    def argv(self, record: Record) -> list[str]:
        """The command that runs it."""

    @abstractmethod
    def is_assembled(self) -> bool:
        """Tell whether its files are in place for running."""

    @abstractmethod
    def resize(self, supervisor: Supervisor) -> bool:
        """Give the running host other limits; false when that takes a restart."""

    @abstractmethod
    def lets_in(self, public_key: str) -> bool:
        """Tell whether the running host accepts this key."""

    @abstractmethod
    def let_in(self, public_key: str) -> bool:
        """Have the running host accept this key; false when that takes a restart."""

    @abstractmethod
    def power_off(self, supervisor: Supervisor) -> None:
        """Shut it down in order, or give up after `power_off_timeout_s`."""

    def switch_off(self, supervisor: Supervisor) -> None:
        """End it the quickest way, whatever becomes of its files."""
        self.power_off(supervisor)

    @abstractmethod
    def take_apart(self) -> None:
        """Clear what `assemble` put in place, the host's own files excepted."""

    @abstractmethod
    def freeze(self, target: Path) -> None:
        """Move the host's own files to where a saved layer keeps them."""
