"""Fetch one commit of a git repository into a folder of this machine."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from collect.errors import DataError, shown

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 900
"""For one git command: a large repository over a slow line, but not for ever."""
_HAS_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# user@host:path, which ssh takes; a Windows drive has one letter and no @.
_SCP_LIKE = re.compile(r"[^/@:\s]+@[^/:\s]+:")
# What git-check-ref-format accepts and more, but nothing that reads as an option or a refspec.
REF = re.compile(r"[A-Za-z0-9_@][^\s:~^?*\[\\\x00-\x1f\x7f]{0,249}")
_COMMIT = re.compile(r"[0-9a-f]{4,40}", re.IGNORECASE)
_WHOLE_COMMIT_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Checkout:
    """A folder that holds one commit; `url` is without the password it may have had."""

    folder: Path
    url: str
    commit: str


def git_environment() -> dict[str, str]:
    """Return the environment that git is started with."""
    # As a hook of git sets them, they would point every command at that hook's repository.
    of_a_hook = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")
    environment = {key: value for key, value in os.environ.items() if key not in of_a_hook}
    # Nobody is there to type a password.
    return environment | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def is_git_url(source: str) -> bool:
    """Tell whether `app_source` names a repository to fetch rather than a folder."""
    return bool(_HAS_SCHEME.match(source) or _SCP_LIKE.match(source))


def without_password(url: str) -> str:
    """Return the URL with `***` in place of what stands before the @; scp's user stays."""
    if not _HAS_SCHEME.match(url):
        return url
    secret = urlsplit(url).netloc.rpartition("@")[0]
    return url.replace(f"{secret}@", "***@", 1) if secret else url


def fetch(url: str, ref: str, folder: Path) -> Checkout:
    """Check a branch, tag or commit out into `folder`, which is ours to overwrite.

    Only that commit comes over the line where the server allows it. A whole commit id that is here
    already is not asked for again. An empty `ref` is the repository's own default branch.

    Raises:
        DataError: names app_source or app_ref, with the URL, the ref and git's own words.
    """
    if shutil.which("git") is None:
        raise DataError("app_source: is a git URL, and this machine has no git: install git")
    if ref and not REF.fullmatch(ref):
        raise DataError(f"app_ref: got {shown(ref)}; accepted: a branch, a tag or a commit")
    repository = _Repository(url, ref, folder)
    commit = repository.fetch()
    repository.check_out(commit)
    return Checkout(folder, without_password(url), commit)


class _Repository:
    def __init__(self, url: str, ref: str, folder: Path) -> None:
        self._url = url
        self._ref = ref
        self._folder = folder

    def fetch(self) -> str:
        """Return the id of the commit that the ref stands for; it is here then."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # In a folder that is a repository already this changes nothing.
        self._git("init", "--quiet")
        is_commit = bool(_COMMIT.fullmatch(self._ref))
        if is_commit and len(self._ref) == _WHOLE_COMMIT_DIGITS and (here := self._find(self._ref)):
            return here
        wanted = self._ref or "HEAD"
        failure = self._try("fetch", "--quiet", "--depth=1", "--no-tags", "--", self._url, wanted)
        if failure is None:
            return self._git("rev-parse", "--verify", "FETCH_HEAD^{commit}")
        # Git cannot ask for the short form of a commit, and not every server gives out a commit
        # that is no branch's tip: then everything has to come.
        if is_commit:
            shallow = ["--unshallow"] if (self._folder / ".git/shallow").exists() else []
            everything = ("+refs/heads/*:refs/fetched/heads/*", "+refs/tags/*:refs/fetched/tags/*")
            if self._try("fetch", "--quiet", *shallow, "--no-tags", "--", self._url, *everything):
                raise self._cannot_fetch(failure)
            if here := self._find(self._ref):
                return here
        raise self._cannot_fetch(failure)

    def check_out(self, commit: str) -> None:
        self._git("checkout", "--quiet", "--force", "--detach", commit)
        self._git("clean", "--quiet", "-ffdx")
        if (self._folder / ".gitmodules").is_file():
            self._git(
                "submodule", "--quiet", "update", "--init", "--recursive", "--force", "--depth=1"
            )

    def _find(self, commit: str) -> str | None:
        done = self._run("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
        return done.stdout.strip() or None if done.returncode == 0 else None

    def _git(self, *arguments: str) -> str:
        done = self._run(*arguments)
        if done.returncode != 0:
            raise self._cannot_fetch(self._words(done))
        return done.stdout.strip()

    def _try(self, *arguments: str) -> str | None:
        done = self._run(*arguments)
        return None if done.returncode == 0 else self._words(done)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        stalled = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60")
        try:
            return subprocess.run(
                ["git", *stalled, "-C", str(self._folder), *arguments],
                check=False,
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                env=git_environment(),
                timeout=TIMEOUT_S,
                # Without a terminal, so that ssh asks nothing either.
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise self._cannot_fetch(f"nothing within {TIMEOUT_S} s") from None

    def _words(self, done: subprocess.CompletedProcess[str]) -> str:
        secret = urlsplit(self._url).netloc.rpartition("@")[0] if "://" in self._url else ""
        words = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        return words.replace(secret, "***") if secret else words

    def _cannot_fetch(self, words: str) -> DataError:
        url, wanted = without_password(self._url), self._ref or "the default branch"
        if self._ref and "couldn't find remote ref" in words:
            return DataError(
                f"app_ref: got {shown(self._ref)}, which {url} does not have; "
                "accepted: a branch, a "
                f"tag or a commit of it (git said: {words})"
            )
        return DataError(f"app_source: cannot fetch {wanted} from {url}; git said: {words}")


def folder_for(url: str, build_dir: Path) -> Path:
    """Return the folder in which a URL's repository is kept between deploys."""
    return build_dir / "sources" / hashlib.sha256(url.encode()).hexdigest()[:12]
