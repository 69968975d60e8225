"""Checkpoints in S3: `<prefix>/<trial>/checkpoints/`, which SageMaker keeps in step with the container's folder.

A donor's are copied object by object, and a manifest, written last, says that the copy is whole: without one that fits what
lies there the copy is made again, so that no trial ever goes on from half a checkpoint.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from offbeat_plugins.backends.training_jobs.calls import Refused

Call = Callable[..., Awaitable[dict[str, Any]]]

MANIFEST: Final = "copied.json"
BATCH: Final = 1000
"""Objects that one call deletes."""


class Entry(msgspec.Struct, frozen=True, order=True):
    """An object below a prefix: name behind the prefix, bytes."""

    name: str
    size: int


class Manifest(msgspec.Struct, frozen=True):
    """What a whole copy consists of."""

    source: str
    entries: list[Entry]


class Checkpoints:
    """The checkpoints of an experiment's trials.

    Args:
        call: of the service `s3`.
        prefix: `s3://bucket/key`, without a slash at its end.
    """

    def __init__(self, call: Call, prefix: str) -> None:
        self._call = call
        self._bucket, _, self._key = prefix.removeprefix("s3://").partition("/")

    async def copy(self, donor: int, trial: int) -> None:
        """Makes the donor's checkpoints the trial's own. Does nothing where that has been done."""
        target, source = self._of(trial), self._of(donor)
        if await self._whole(trial):
            return
        while True:
            before = await self._listed(source)
            await self._delete(target)
            for entry in before:
                await self._call(
                    "copy_object",
                    Bucket=self._bucket,
                    Key=target + entry.name,
                    CopySource={"Bucket": self._bucket, "Key": source + entry.name},
                )
            # The donor may have saved anew in the middle: half of each is no checkpoint.
            if sorted(await self._listed(source)) == sorted(before) == sorted(await self._listed(target)):
                break
        manifest = Manifest(source, sorted(before))
        await self._call(
            "put_object", Bucket=self._bucket, Key=self._manifest(trial), Body=msgspec.json.encode(manifest)
        )

    async def delete(self, trial: int) -> None:
        """Deletes a trial's checkpoints; the manifest first, so that what is left of them is taken for nothing."""
        await self._call("delete_object", Bucket=self._bucket, Key=self._manifest(trial))
        await self._delete(self._of(trial))

    async def _whole(self, trial: int) -> bool:
        try:
            answer = await self._call("get_object", Bucket=self._bucket, Key=self._manifest(trial))
        except Refused as refused:
            if refused.code in ("NoSuchKey", "404"):
                return False
            raise
        try:
            manifest = msgspec.json.decode(answer["Body"], type=Manifest)
        except msgspec.DecodeError:
            return False
        return sorted(await self._listed(self._of(trial))) == manifest.entries

    async def _listed(self, prefix: str) -> list[Entry]:
        entries: list[Entry] = []
        token: str | None = None
        while True:
            more = {"ContinuationToken": token} if token else {}
            page = await self._call("list_objects_v2", Bucket=self._bucket, Prefix=prefix, **more)
            entries += [Entry(item["Key"][len(prefix) :], item["Size"]) for item in page.get("Contents", ())]
            token = page.get("NextContinuationToken")
            if not token:
                return entries

    async def _delete(self, prefix: str) -> None:
        entries = await self._listed(prefix)
        for first in range(0, len(entries), BATCH):
            objects = [{"Key": prefix + entry.name} for entry in entries[first : first + BATCH]]
            await self._call("delete_objects", Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})

    def _of(self, trial: int) -> str:
        return f"{self._root(trial)}/checkpoints/"

    def _manifest(self, trial: int) -> str:
        return f"{self._root(trial)}/{MANIFEST}"

    def _root(self, trial: int) -> str:
        return f"{self._key}/{int(trial)}" if self._key else str(int(trial))
