"""`shoal deploy`: makes and updates the stacks from the installed package, by boto3 alone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from shoal.aws.account import Account
from shoal.aws.bundle import Architecture, Bundle, Platform, build_bundle, pack_bundle
from shoal.aws.stacks.artifacts import ArtifactBucket
from shoal.aws.stacks.changes import Change, ChangeSet, ChangeSets
from shoal.aws.stacks.following import Follower, Report
from shoal.aws.stacks.plan import (
    TAG_KEY,
    DeployRefused,
    Wanted,
    architecture_of,
    refuse_missing,
    refuse_other,
)
from shoal.aws.stacks.stack import Stack, Stacks, refuse_stuck
from shoal.aws.stacks.templates import Part


class Deployed(NamedTuple):
    """A stack that is.

    Args:
        part: which of the two.
        stack: as it is now.
        how: `created`, `updated` or `unchanged`.
    """

    part: Part
    stack: Stack
    how: str


class Preview(NamedTuple):
    """What a deployment would do.

    Args:
        name: of the stack.
        how: `create`, `update` or `unchanged`.
        changes: to its resources.
    """

    name: str
    how: str
    changes: list[Change]


class Deployment:
    """A run of `shoal deploy`.

    Args:
        account: where.
        wanted: the stacks, in their order.
        bucket: for bundle and templates; None takes the account's own for Shoal.
        bundle: folder of a built function bundle; None builds one.
        platform: of the bundle that is built.
        report: takes each event.
        say: takes a line on what is being done.
    """

    def __init__(
        self,
        account: Account,
        wanted: Sequence[Wanted],
        *,
        bucket: str | None = None,
        bundle: Path | None = None,
        platform: Platform = "lambda",
        report: Report = lambda event: None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        cloudformation = account.client("cloudformation")
        self._wanted = list(wanted)
        self._stacks = Stacks(cloudformation)
        self._follower = Follower(cloudformation, report)
        self._change_sets = ChangeSets(cloudformation, self._follower)
        self._artifacts = ArtifactBucket(account, bucket)
        self._bundle_folder = bundle
        self._platform: Platform = platform
        self._bundles: dict[Architecture, Bundle] = {}
        self._say = say

    def run(self) -> Iterator[Deployed]:
        """Make or update each stack; each is there when it is yielded.

        Raises:
            DeployRefused, StackStuck: nothing was done.
            StackFailed: that stack failed, for the reason given; those before it are done.
        """
        existing = self._check()
        self._prepare_bucket()
        for wanted in self._wanted:
            change_set = self._prepare(wanted, existing[wanted.name])
            if change_set is None:
                stack = existing[wanted.name]
                assert stack is not None
                yield Deployed(wanted.part, stack, "unchanged")
                continue
            doing, done = ("creating", "created") if change_set.is_new else ("updating", "updated")
            count = len(change_set.changes)
            self._say(f"{doing} stack {wanted.name}: {count} change{'s' * (count != 1)}")
            stack = self._change_sets.execute(change_set, wanted.name)
            yield Deployed(wanted.part, stack, done)

    def preview(self) -> Iterator[Preview]:
        """What `run` would do to each stack; only bundle and templates are uploaded.

        Raises:
            DeployRefused, StackStuck, StackFailed: why it would do nothing.
        """
        existing = self._check()
        self._prepare_bucket()
        for wanted in self._wanted:
            change_set = self._prepare(wanted, existing[wanted.name])
            if change_set is None:
                yield Preview(wanted.name, "unchanged", [])
                continue
            self._change_sets.discard(change_set)
            how = "create" if change_set.is_new else "update"
            yield Preview(wanted.name, how, change_set.changes)

    def _check(self) -> dict[str, Stack | None]:
        """The stacks as they are, once nothing is under way in them; refuse what can't work."""
        found: dict[str, Stack | None] = {}
        for wanted in self._wanted:
            stack = self._stacks.find(wanted.name)
            if stack is not None and stack.is_busy:
                self._say(f"stack {stack.name} is {stack.status}: waiting for that to end")
                self._follower.follow(stack.stack_id)
                stack = self._stacks.find(wanted.name)
            if stack is not None:
                refuse_stuck(stack)
                refuse_other(stack, wanted)
            refuse_missing(wanted, stack)
            self._refuse_lonely(wanted, stack)
            found[wanted.name] = stack
        return found

    def _refuse_lonely(self, wanted: Wanted, existing: Stack | None) -> None:
        """A fleet needs the scheduler that it names."""
        if wanted.part != "fleet" or any(of.part == "scheduler" for of in self._wanted):
            return
        key = wanted.parameters.get(TAG_KEY)
        if key is None and existing is not None and not existing.is_empty:
            return
        key = key or wanted.template.parameters[TAG_KEY].default
        if key is not None and self._stacks.find(key) is None:
            raise DeployRefused(
                f"there is no scheduler stack {key}, which {TAG_KEY} names",
                f"deploy it first, 'shoal deploy {key} --part scheduler', or name another with"
                f" --parameter {TAG_KEY}=...",
            )

    def _prepare_bucket(self) -> None:
        if self._artifacts.prepare():
            self._say(f"made bucket {self._artifacts.name}, for bundle and templates")

    def _prepare(self, wanted: Wanted, existing: Stack | None) -> ChangeSet | None:
        architecture = architecture_of(wanted, existing)

        def place(file: Path | None) -> str:
            if file is None:
                bundle = self._bundle(architecture)
                key = self._artifacts.put(bundle.content, ".zip", bundle.digest)
            else:
                key = self._artifacts.put(file.read_bytes(), "".join(file.suffixes))
            return f"s3://{self._artifacts.name}/{key}"

        text = wanted.template.pack(place)
        url = self._artifacts.url(self._artifacts.put(text.encode(), ".template.yaml"))
        before = existing.parameters if existing is not None and not existing.is_empty else {}
        parameters: list[dict[str, object]] = [
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in wanted.parameters.items()
        ]
        parameters += [
            {"ParameterKey": key, "UsePreviousValue": True}
            for key in wanted.template.parameters
            if key not in wanted.parameters and key in before
        ]
        return self._change_sets.prepare(wanted.name, existing, url, parameters)

    def _bundle(self, architecture: Architecture) -> Bundle:
        if architecture not in self._bundles:
            if self._bundle_folder is not None:
                bundle = pack_bundle(self._bundle_folder)
            else:
                with tempfile.TemporaryDirectory() as folder:
                    build_bundle(Path(folder), self._platform, architecture)
                    bundle = pack_bundle(Path(folder))
            self._bundles[architecture] = bundle
            size = len(bundle.content) / 1e6
            self._say(f"function bundle: {size:.2f} MB, sha256 {bundle.digest[:12]}")
        return self._bundles[architecture]
