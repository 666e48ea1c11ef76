"""Makes the Jobs of ScaledJobs, and deletes those that have had their time.

Jobs are made one after the other, each under the next number (`engine.job`), and the first that cannot be made is the
last that is tried: whoever comes back to it comes back to the same name.
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog

from keda_py.api.scaled_job import ScaledJob
from keda_py.decide import jobs
from keda_py.engine.job import JOBS, Jobs, job_name, job_target, manifest
from keda_py.kube.client import ApiError, Client, Conflict, NotFound, Unreachable
from keda_py.kube.recorder import Recorder
from keda_py.naming import EventReason

log = structlog.get_logger("scaledjob")

Key = tuple[str, str]

LONGEST_REFUSAL_SECONDS: Final = 300.0
MOST_REFUSALS: Final = 10
"""After so many Jobs that may not be deleted no others are tried."""
UNDELETED_SECONDS: Final = 60.0
"""So long after that none is tried again."""


@dataclass(slots=True)
class Making:
    """What a process remembers of making an object's Jobs; times are loop time.

    `number`: the highest that was used. `ended`: when it last was done with making, be it none. `refusal`: what the API
    server said to the last Job, if it refused it; before `not_before` it is not asked again. `blind_since`: since when
    the Jobs are not known. `undeleted`: why a Job of an earlier jobTargetRef is still there. Before `deletes_from` none
    is deleted, as one could not be.
    """

    uid: str
    generation: int = 0
    number: int = 0
    ended: float = 0.0
    refusal: str = ""
    refusals: int = 0
    not_before: float = 0.0
    blind_since: float = math.inf
    undeleted: str = ""
    deletes_from: float = 0.0

    def refused(self, why: str, interval: float) -> None:
        """Wait longer each time that the API server refuses a Job, for a quota, an admission rule or its template."""
        self.refusal, self.refusals = why, self.refusals + 1
        pause = min(LONGEST_REFUSAL_SECONDS, interval * 2 ** min(self.refusals - 1, 10))
        self.not_before = asyncio.get_running_loop().time() + pause

    @property
    def may_delete(self) -> bool:
        """Whether it is time to delete Jobs, and perhaps to be refused."""
        return asyncio.get_running_loop().time() >= self.deletes_from

    def accepted(self) -> None:
        """Forget what was refused: the last Job was made, or none is wanted any more."""
        self.refusal, self.refusals, self.not_before = "", 0, 0.0


class JobMaker:
    """Makes and deletes Jobs."""

    def __init__(self, client: Client, found: Jobs, recorder: Recorder) -> None:
        self._client = client
        self._jobs = found
        self._recorder = recorder
        self._making: dict[Key, Making] = {}

    def remembered(self, scaled_job: ScaledJob) -> Making:
        """Return what is remembered of an object; one that has only the name of one before begins anew."""
        metadata = scaled_job.metadata
        key = (metadata.namespace, metadata.name)
        making = self._making.get(key)
        if making is None or making.uid != metadata.uid:
            making = self._making[key] = Making(metadata.uid)
        if making.generation != metadata.generation:
            # The edit may have mended what was refused.
            making.generation, making.refusals, making.not_before = metadata.generation, 0, 0.0
            making.deletes_from = 0.0
        making.number = max(making.number, self._jobs.highest(scaled_job))
        return making

    def forget(self, key: Key) -> None:
        """Forget an object that is gone."""
        self._making.pop(key, None)
        self._jobs.forget(key)

    async def make(self, raw: dict[str, Any], scaled_job: ScaledJob, wanted: int, still: Callable[[], bool]) -> int:
        """Make so many Jobs, as long as they are `still` wanted; return how many were made.

        A refusal is remembered and told. Without an answer `Unreachable` is raised: the Job may be there or not.
        """
        making, made = self.remembered(scaled_job), 0
        try:
            while made < wanted and still() and await self._make_one(raw, scaled_job, making):
                made += 1
            if made == wanted:
                making.accepted()
        finally:
            making.ended = asyncio.get_running_loop().time()
            if made:
                self._recorder.normal(raw, EventReason.JOBS_CREATED, f"Created {made} jobs")
        return made

    async def _make_one(self, raw: dict[str, Any], scaled_job: ScaledJob, making: Making) -> bool:
        """Make the Job of the next number; return whether to go on.

        A conflict says that somebody made it: we, without hearing of it, or another daemon that takes itself for the
        leader. Either way it is there for what we have read, and the next reading will tell.
        """
        namespace, number = scaled_job.metadata.namespace, making.number + 1
        name = job_name(scaled_job, number)
        try:
            self._jobs.answered(await self._client.create(JOBS, namespace, manifest(scaled_job, number)))
        except Unreachable:
            raise
        except ApiError as error:
            if isinstance(error, Conflict) and error.exists:
                with suppress(NotFound):
                    self._jobs.answered(await self._client.get(JOBS, namespace, name))
                making.number = number
            else:
                making.refused(str(error), scaled_job.spec.polling_interval.total_seconds())
                self._recorder.warning(raw, EventReason.JOB_CREATE_FAILED, f"Failed to create job {name}: {error}")
                log.warning("not created", object=_told(scaled_job), message=str(error))
            return False
        # Who makes some and is refused the next, by a quota perhaps, has no reason to wait longer than the first time.
        making.number, making.refusals = number, 0
        return True

    async def replace(self, raw: dict[str, Any], scaled_job: ScaledJob) -> None:
        """Delete the Jobs of an earlier jobTargetRef, unless they are to end by themselves.

        Those that may not be deleted are tried again each time, and told of once.
        """
        spec, making = scaled_job.spec, self.remembered(scaled_job)
        present = (job_target(scaled_job), str(scaled_job.metadata.generation))
        old = [] if spec.keeps_running else jobs.outdated(self._jobs.of(scaled_job), *present)
        if not old:
            making.undeleted = ""
        if not old or not making.may_delete:
            return
        if not making.undeleted:
            self._recorder.normal(raw, EventReason.ROLLOUT_STARTED, f"Deleting {len(old)} jobs of an earlier version")
        failure = await self._delete_all(scaled_job, old, spec.propagation, making)
        if failure and failure != making.undeleted:
            self._recorder.warning(raw, EventReason.ROLLOUT_FAILED, failure)
        making.undeleted = failure
        if not failure:
            self._recorder.normal(raw, EventReason.ROLLOUT_COMPLETED, f"Deleted {len(old)} jobs of an earlier version")
            log.info("replaced", object=_told(scaled_job), jobs=len(old), why="spec.jobTargetRef was edited")

    async def prune(self, scaled_job: ScaledJob) -> None:
        """Delete the finished Jobs beyond the limits of the history; the log tells of what may not be deleted."""
        spec, making = scaled_job.spec, self.remembered(scaled_job)
        limits = (spec.successful_jobs_history_limit, spec.failed_jobs_history_limit)
        history = jobs.History(*(100 if limit is None else limit for limit in limits))
        if not making.may_delete:
            return
        surplus = jobs.surplus(self._jobs.of(scaled_job), history)
        failure = await self._delete_all(scaled_job, surplus, "Background", making)
        if failure:
            log.warning("not pruned", object=_told(scaled_job), message=failure)

    async def _delete_all(
        self, scaled_job: ScaledJob, found: Iterable[jobs.Job], propagation: str, making: Making
    ) -> str:
        """Delete Jobs; return why the first cannot be that cannot, which keeps the others from nothing."""
        failures: list[str] = []
        for job in found:
            try:
                await self._delete(scaled_job, job, propagation)
            except Unreachable:
                raise
            except ApiError as error:
                failures.append(f"Failed to delete job {job.name}: {error}")
                making.deletes_from = asyncio.get_running_loop().time() + UNDELETED_SECONDS
                if len(failures) == MOST_REFUSALS:
                    break
        return failures[0] if failures else ""

    async def _delete(self, scaled_job: ScaledJob, job: jobs.Job, propagation: str) -> None:
        namespace, left = scaled_job.metadata.namespace, {}
        with suppress(NotFound):
            # That one alone: by now another, at work, may have its name.
            left = await self._client.delete(JOBS, namespace, job.name, uid=job.uid, propagation=propagation)
        # The watch tells a moment later; until then nobody deletes it a second time.
        known = self._jobs.store.get((namespace, job.name))
        if left.get("kind") == JOBS.kind and "deletionTimestamp" in left["metadata"]:
            self._jobs.answered(left)
        elif known is not None and known["metadata"]["uid"] == job.uid:
            self._jobs.store.remove((namespace, job.name))


def _told(scaled_job: ScaledJob) -> str:
    return f"{scaled_job.metadata.namespace}/{scaled_job.metadata.name}"
