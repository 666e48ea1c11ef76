"""Deliberate bugs. Each must be found by the scenarios, or the scenarios look at the wrong things.

Everywhere else a test that replaces our own code shows a missing seam. Here replacing it is the purpose: a mutation
changes one rule of the engine, where that rule is, and nothing may offer to be changed so. It is put in for the length
of a block, in a process of its own that does nothing else (``python -m tests.scenarios FIRST COUNT --mutation NAME``).
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from keda_py.daemon import Daemon
from keda_py.decide import jobs
from keda_py.decide.combine import Activity
from keda_py.engine import hpa, scaled_job, scaled_object
from keda_py.engine.composite import Composite
from keda_py.engine.fallback import Tally
from keda_py.engine.finalizer import Finalizer
from keda_py.engine.job import JOBS, Jobs
from keda_py.engine.job_maker import JobMaker
from keda_py.engine.live import Live
from keda_py.engine.scaled_job import ScaledJobs
from keda_py.engine.scaled_object import ScaledObjects
from keda_py.engine.target import Targets
from keda_py.engine.trigger import LiveTrigger
from keda_py.kube.client import ApiError, Client, Gone
from keda_py.kube.lease import Lease
from keda_py.kube.reflector import Reflector
from keda_py.runtime import source
from keda_py.runtime.queue import WorkQueue

from .run import JOBS_EVERY, WISHES_AT

Change = Callable[[Any], Any]


@dataclass(frozen=True)
class Mutation:
    """What to change, how (from what is there to what is to be there), and the rule whose violation must show it.

    `first`, `seeds`, `step`: the scenarios that are played to find it. A rare one is looked for where it was found.
    """

    place: Any
    name: str
    change: Change
    rules: tuple[str, ...]
    first: int = 0
    seeds: int = 200
    step: int = 1

    @contextmanager
    def put_in(self) -> Iterator[None]:
        """Have the bug within the block."""
        before = vars(self.place)[self.name]
        setattr(self.place, self.name, self.change(before))
        try:
            yield
        finally:
            setattr(self.place, self.name, before)


def _skips_the_cooldown(decide: Any) -> Any:
    def hasty(situation: Any, now: Any) -> Any:
        return decide(replace(situation, limits=replace(situation.limits, cooldown=timedelta(0))), now)

    return hasty


def _takes_unknown_for_zero(combine: Any) -> Any:
    def careless(states: Any, **rest: Any) -> Any:
        combined = combine(states, **rest)
        return replace(combined, activity=Activity.INACTIVE) if combined.activity is Activity.UNKNOWN else combined

    return careless


def _forgets_a_key_that_comes_up_again(_: Any) -> Any:
    def done(queue: Any, key: Any) -> None:
        queue._out.pop(key, None)
        queue._dirty.discard(key)

    return done


def _gives_up_after_an_error(_: Any) -> Any:
    return lambda queue, key: 0.0


def _does_not_come_back(_: Any) -> Any:
    return lambda objects, this, decision: 86400.0


def _writes_the_status_twice(write: Any) -> Any:
    async def twice(objects: Any, raw: Any, live: Any, wanted: Any, changes: Any) -> None:
        await write(objects, raw, live, wanted, changes)
        await objects._reporter.patch_status(raw, {"externalMetricNames": [str(objects._now())]})

    return twice


def _acts_without_the_lease(_: Any) -> Any:
    return property(lambda daemon: True)


def _outlives_its_lease(conclude: Any) -> Any:
    def hopeful(lease: Any, won: Any, began: float) -> None:
        if won is not None:
            conclude(lease, won, began)

    return hopeful


def _forgets_over_a_restart(wakefulness: Any) -> Any:
    return lambda awake, last_active: wakefulness(False, None)


def _forgets_when_it_was_active(remember: Any) -> Any:
    def amnesia(before: Any, activity: Any, now: Any, *, seen_active: Any, was_active: bool) -> Any:
        kept = remember(before, activity, now, seen_active=None, was_active=False)
        return kept if activity is Activity.ACTIVE else replace(kept, last_active=None)

    return amnesia


def _ignores_conflicts(patch_scale: Any) -> Any:
    async def forced(targets: Any, ref: Any, scale: Any, replicas: int) -> None:
        await patch_scale(targets, ref, replace(scale, resource_version=""), replicas)

    return forced


def _does_not_list_anew(watch: Any) -> Any:
    async def patient(reflector: Any, version: str) -> None:
        while True:
            try:
                await watch(reflector, version)
            except (Gone, ApiError):
                # Goes on from now, as if nothing had been missed.
                version = (await reflector._client.list(reflector._resource))[1]
                await asyncio.sleep(1.0)

    return patient


def _keeps_the_old_hpa(_: Any) -> Any:
    return lambda wanted, found: None


def _lets_one_trigger_speak_for_all(states: Any) -> Any:
    return lambda live: list(states(live))[:1]


def _counts_old_readings_as_new(outcome_of: Any) -> Any:
    async def stale(trigger: Any, max_age: float) -> Any:
        outcome = await outcome_of(trigger, max_age)
        known = trigger.outcome
        return outcome if outcome.failure is None or known is None else replace(known, at=outcome.at)

    return stale


def _mixes_answers_up(one_each: Any) -> Any:
    return lambda questions, answers: one_each(questions, answers)[::-1]


def _calls_the_unknown_inactive(write: Any) -> Any:
    async def brazen(objects: Any, raw: Any, live: Any, wanted: Any, changes: Any) -> None:
        said = [replace(c, status="False") if (c.type, c.status) == ("Active", "Unknown") else c for c in changes]
        await write(objects, raw, live, wanted, said)

    return brazen


def _restores_nothing(_: Any) -> Any:
    async def nothing(finalizer: Any, raw: Any) -> None:
        return None

    return nothing


def _records_the_original_late(_: Any) -> Any:
    async def later(finalizer: Any, raw: Any, *rest: Any) -> Any:
        return raw

    return later


def _wakes_to_two(decide: Any) -> Any:
    def generous(situation: Any, now: Any) -> Any:
        decision = decide(situation, now)
        return replace(decision, replicas=2) if decision.replicas == 1 else decision

    return generous


# --- pauses, fallback, formulas ---------------------------------------------------------------------------------------


def _is_never_stopped(asked: Any) -> Any:
    class Deaf:
        @staticmethod
        def of(annotations: Any) -> Any:
            return replace(asked.of(annotations), stopped=False)

    return Deaf


def _scales_in_while_that_is_paused(decide: Any) -> Any:
    def eager(situation: Any, now: Any) -> Any:
        return decide(replace(situation, asked=replace(situation.asked, scale_in=False)), now)

    return eager


def _sets_the_paused_count_again(rest: Any) -> Any:
    async def insistent(objects: Any, key: Any, raw: Any, scaled_object: Any, live: Any) -> None:
        said = {name: what for name, what in (raw.get("status") or {}).items() if name != "pausedReplicaCount"}
        await rest(objects, key, {**raw, "status": said}, scaled_object, live)

    return insistent


def _stands_in_at_the_first_failure(_: Any) -> Any:
    return property(lambda tally: bool(tally.enough and tally.count))


def _stands_in_and_lets_sleep(_: Any) -> Any:
    async def drowsy(composite: Any, stand_in: Any, outcomes: Any) -> None:
        composite._note(0.0, outcomes)

    return drowsy


def _takes_what_fails_for_zero(values: Any) -> Any:
    def careless(composite: Any, outcomes: Any) -> Any:
        read = [pair for pair in outcomes if pair[1] is not None and pair[1].failure is None]
        return dict.fromkeys(composite.names, 0.0) | values(composite, read)

    return careless


# --- ScaledJobs -------------------------------------------------------------------------------------------------------


def _decides_twice_on_one_reading(_: Any) -> Any:
    return lambda objects, this: asyncio.get_running_loop().time()


def _counts_jobs_as_they_are_now(_: Any) -> Any:
    return lambda found, scaled_job, asked: found.of(scaled_job)


def _takes_a_failed_trigger_for_empty(together: Any) -> Any:
    return lambda seen, calculation, bounds, some_unknown: together(seen, calculation, bounds)


def _forgets_what_it_just_made(_: Any) -> Any:
    async def forgetful(client: Any, resource: Any, namespace: str, body: Any) -> Any:
        made = await client.call("POST", resource.path(namespace), body=body)
        return made if resource is not JOBS else {**made, "metadata": {**made["metadata"], "labels": {}}}

    return forgetful


def _prunes_what_is_at_work(surplus: Any) -> Any:
    return lambda found, history: surplus([replace(job, finished="Complete") for job in found], history)


def _replaces_on_any_edit(replace_old: Any) -> Any:
    seen: dict[str, int] = {}

    async def zealous(maker: Any, raw: Any, scaled_job: Any) -> None:
        metadata = scaled_job.metadata
        if seen.setdefault(metadata.uid, metadata.generation) != metadata.generation:
            seen[metadata.uid] = metadata.generation
            for found in maker._jobs.of(scaled_job):
                await maker._delete(scaled_job, found, "Background")
        await replace_old(maker, raw, scaled_job)

    return zealous


def _makes_jobs_while_paused(_: Any) -> Any:
    return lambda annotations: False


def _keeps_all_history(_: Any) -> Any:
    return lambda found, history: []


def _goes_beyond_the_maximum(more: Any) -> Any:
    def generous(backlog: Any, work: Any, bounds: Any, strategy: Any) -> int:
        return int(more(backlog, work, replace(bounds, extra=bounds.extra + 1), strategy))

    return generous


def _of_wishes(place: Any, name: str, change: Change, rules: tuple[str, ...]) -> Mutation:
    """Return a mutation that is looked for where people pause ScaledObjects, and want fallback and formulas."""
    return Mutation(place, name, change, rules, first=WISHES_AT, step=JOBS_EVERY)


def _of_jobs(place: Any, name: str, change: Change, rules: tuple[str, ...]) -> Mutation:
    """Return a mutation that is looked for where ScaledJobs take part."""
    return Mutation(place, name, change, rules, first=JOBS_EVERY - 1, step=JOBS_EVERY)


UNKNOWN: Final = "unknown is never zero"
MUTATIONS: Final[dict[str, Mutation]] = {
    "skips-the-cooldown": Mutation(scaled_object, "decide", _skips_the_cooldown, ("cooldown",)),
    "wakes-to-two": Mutation(scaled_object, "decide", _wakes_to_two, ("bounds",)),
    "takes-unknown-for-zero": Mutation(scaled_object, "combine", _takes_unknown_for_zero, (UNKNOWN, "status")),
    "one-trigger-speaks-for-all": Mutation(
        Live, "states", _lets_one_trigger_speak_for_all, (UNKNOWN, "activation", "status", "converged")
    ),
    "counts-old-readings-as-new": Mutation(
        LiveTrigger, "_outcome", _counts_old_readings_as_new, (UNKNOWN, "status", "fallback")
    ),
    "calls-the-unknown-inactive": Mutation(ScaledObjects, "_write", _calls_the_unknown_inactive, ("status",)),
    "forgets-when-it-was-active": Mutation(scaled_object, "remember", _forgets_when_it_was_active, ("cooldown",)),
    "forgets-over-a-restart": Mutation(scaled_object, "Wakefulness", _forgets_over_a_restart, ("cooldown",)),
    "forgets-a-key": Mutation(WorkQueue, "done", _forgets_a_key_that_comes_up_again, ("prompt", "converged")),
    "gives-up-after-an-error": Mutation(WorkQueue, "add_failed", _gives_up_after_an_error, ("converged", "prompt")),
    "does-not-come-back": Mutation(ScaledObjects, "_again", _does_not_come_back, ("converged",)),
    "does-not-list-anew": Mutation(Reflector, "_watch", _does_not_list_anew, ("converged", "bounds")),
    "writes-the-status-twice": Mutation(ScaledObjects, "_write", _writes_the_status_twice, ("steady", "few writes")),
    "acts-without-the-lease": Mutation(Daemon, "acts", _acts_without_the_lease, ("one writer",)),
    "outlives-its-lease": Mutation(Lease, "_conclude", _outlives_its_lease, ("one writer",)),
    "ignores-conflicts": Mutation(Targets, "set", _ignores_conflicts, ("bounds", "activation")),
    "keeps-the-old-hpa": Mutation(hpa.hpa, "differs", _keeps_the_old_hpa, ("bounds",)),
    "mixes-answers-up": Mutation(source, "_one_each", _mixes_answers_up, ("converged", "prompt", "steady")),
    "restores-nothing": Mutation(Finalizer, "_restore", _restores_nothing, ("restored",)),
    "records-the-original-late": Mutation(Finalizer, "_record_original", _records_the_original_late, ("restored",)),
    "is-never-stopped": _of_wishes(scaled_object, "Asked", _is_never_stopped, ("paused",)),
    "scales-in-while-paused": _of_wishes(scaled_object, "decide", _scales_in_while_that_is_paused, ("paused",)),
    "sets-the-paused-count-again": _of_wishes(ScaledObjects, "_rest", _sets_the_paused_count_again, ("paused",)),
    "stands-in-at-once": _of_wishes(Tally, "full", _stands_in_at_the_first_failure, ("fallback", "activation")),
    "stands-in-and-lets-sleep": _of_wishes(Composite, "_note_stand_in", _stands_in_and_lets_sleep, ("activation",)),
    "takes-failing-for-zero": _of_wishes(Composite, "_values", _takes_what_fails_for_zero, (UNKNOWN, "status")),
    "decides-twice-on-one-reading": _of_jobs(ScaledJobs, "_asked", _decides_twice_on_one_reading, ("once only",)),
    "counts-jobs-as-they-are-now": _of_jobs(Jobs, "as_of", _counts_jobs_as_they_are_now, ("once only",)),
    "takes-a-failed-trigger-for-empty": _of_jobs(jobs, "together", _takes_a_failed_trigger_for_empty, (UNKNOWN,)),
    "forgets-the-job-it-just-made": _of_jobs(Client, "create", _forgets_what_it_just_made, ("once only", "bounds")),
    "prunes-jobs-at-work": _of_jobs(jobs, "surplus", _prunes_what_is_at_work, ("at work",)),
    "replaces-jobs-on-any-edit": _of_jobs(JobMaker, "replace", _replaces_on_any_edit, ("at work", "history")),
    "makes-jobs-while-paused": _of_jobs(scaled_job, "paused", _makes_jobs_while_paused, ("paused",)),
    "keeps-all-history": _of_jobs(jobs, "surplus", _keeps_all_history, ("history",)),
    "goes-beyond-the-maximum": _of_jobs(jobs, "more", _goes_beyond_the_maximum, ("bounds",)),
}
