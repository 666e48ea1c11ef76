"""One run of `keda-py dev`: the cluster, the daemon, the files and the view in one task group, until told to stop."""

import asyncio
import fcntl
import logging
import os
import random
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
import uvloop
from rich.console import Console, ConsoleDimensions
from rich.live import Live as Screen

from keda_py.app import UNUSABLE
from keda_py.daemon import Daemon
from keda_py.dev import access, manifest, words
from keda_py.dev.journal import Journal
from keda_py.dev.line import changes
from keda_py.dev.manifest import ManifestFileError, RefusedError, Told, Watched
from keda_py.dev.observer import observe
from keda_py.dev.opening import opened_ports
from keda_py.dev.options import WARNING, Options
from keda_py.dev.snapshot import Snapshot
from keda_py.dev.view import View
from keda_py.devcluster.cluster import DevCluster, StateError
from keda_py.devcluster.transport import LocalTransport
from keda_py.engine.metrics import read_metric
from keda_py.engine.registry import Registry, RegistryError
from keda_py.kube.client import Client
from keda_py.log import silence_libraries
from keda_py.runtime.clock import wall_clock
from keda_py.serve.admission import reviewed
from keda_py.serve.listen import ListenError
from keda_py.settings import Settings

_LOOK_SECONDS: Final = 0.25
_FILES_SECONDS: Final = 1.0
_LISTED_SECONDS: Final = 10.0
_END_SECONDS: Final = 15.0
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class FolderError(Exception):
    """The data folder cannot be used; the message says why."""


def run(options: Options) -> int:
    """Run until the time is over or a signal comes; return the exit code."""
    code = 0
    try:
        with _folder(options.data) as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_stopped(options, folder))
    except* (ManifestFileError, StateError, ListenError, RegistryError, FolderError) as errors:
        for error in _single(errors):
            print(f"keda-py: {error}", file=sys.stderr)  # noqa: T201  one clear line for a person
        code = UNUSABLE
    except* BrokenPipeError:
        # Whoever read has gone, which is an end like any other; Python would still flush what nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _single(errors: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in errors.exceptions:
        yield from _single(error) if isinstance(error, BaseExceptionGroup) else (error,)


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    """Have a folder for the kubeconfig, and the state if it is to stay: that one for one process at a time."""
    if data is None:
        with tempfile.TemporaryDirectory(prefix="keda-py-dev-") as folder:
            yield Path(folder)
        return
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise FolderError(f"--data {data} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield data
    except BlockingIOError:
        raise FolderError(
            f"--data {data} is in use by another keda-py dev; end that one, or use another folder"
        ) from None
    finally:
        os.close(lock)


async def _until_stopped(options: Options, folder: Path) -> None:
    """Run the session; a second signal changes nothing, as the end has its own deadlines."""
    session = asyncio.create_task(Session(options, folder).run())
    signalled = asyncio.Event()
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, signalled.set)
    seconds = options.duration.total_seconds() if options.duration is not None else None
    told = asyncio.create_task(signalled.wait())
    ended, _ = await asyncio.wait({session, told}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    while not session.done():
        # Once is enough, unless something took the word that was meant for all.
        session.cancel()
        await asyncio.wait({session}, timeout=_END_SECONDS)
    if not session.cancelled():
        session.result()
    kept = "nothing is left behind" if options.data is None else f"the cluster is kept in {options.data}"
    _say(f"{'stopped' if ended else 'time is over'}; {kept}")


class Session:
    """All parts of a run, and how they hang together."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._kubeconfig = folder / "kubeconfig"
        self.hint = f"export KUBECONFIG={self._kubeconfig.absolute()}"
        self._now = wall_clock
        self._journal = Journal(self._now)
        self._tell_in_journal()
        chance = random.SystemRandom()
        self._cluster = DevCluster(
            now=self._now,
            chance=chance,
            data=options.data,
            processes=options.processes,
            sync_seconds=options.hpa_sync.total_seconds(),
        )
        self._cluster.store.listen(self._journal.notice)
        # Nothing of it is served: external metrics are read in this process, and nobody probes or scrapes it.
        settings = Settings(external_metrics=None, webhook=None, telemetry=None, health=None)
        client = Client(LocalTransport(self._cluster.api))
        self._daemon = Daemon(settings, Registry.installed(), client, now=self._now, chance=chance)
        self._files = Watched(options.files)
        self._applied: dict[Path, list[dict[str, Any]]] = {}

    def _tell_in_journal(self) -> None:
        silence_libraries()
        structlog.configure(
            processors=[self._journal.log],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=lambda name="": name,
        )

    async def run(self) -> None:
        """Run until cancelled."""
        # Before anything is started: what is wrong with the files is told at once, and nothing else.
        paths = self._files.changed()
        wrong = [error for path in paths async for error in self._prepare(path)]
        if wrong:
            raise ExceptionGroup("files that cannot be applied", wrong)
        read = partial(read_metric, self._daemon.live)
        self._cluster.read_metric = access.metric_reader(read)
        self._cluster.api.admit = partial(reviewed, self._daemon.admission.review)
        async with access.opened(
            self._cluster,
            read,
            port=self._options.port,
            kubeconfig=self._kubeconfig,
            now=self._now,
            processes=self._options.processes,
        ):
            await self._work(paths)

    async def _work(self, paths: Sequence[Path]) -> None:
        async with asyncio.TaskGroup() as parts:
            parts.create_task(self._cluster.run(), name="cluster")
            parts.create_task(self._show(), name="view")
            if self._options.processes:
                await opened_ports(self._cluster.api)
            parts.create_task(self._daemon.run(), name="daemon")
            parts.create_task(self._follow_files(paths), name="files")

    # --- files ------------------------------------------------------------------------------------------------------

    async def _prepare(self, path: Path) -> AsyncIterator[ManifestFileError]:
        """Apply what nobody need be asked about, and see that the rest could be; yield what is wrong."""
        try:
            documents = manifest.in_order(manifest.read(path))
        except ManifestFileError as error:
            yield error
            return
        self._applied[path] = []
        for document in documents:
            dry = manifest.is_admitted(document)
            try:
                await self._tell(manifest.apply(self._cluster.api, document, dry=dry))
            except RefusedError:
                continue  # its CRD may be in another file; it is tried again, and told, when all are there
            except ManifestFileError as error:
                yield error
            else:
                self._applied[path] += [] if dry else [document.content]

    async def _apply(self, path: Path) -> None:
        documents = manifest.in_order(manifest.read(path))
        if not documents:
            self._journal.add("files", f"{path} has no object in it", bad=True)
        # What is as it was is left alone: a Deployment's replicas are not set back when its ScaledObject is edited.
        before, refused = self._applied.get(path, []), []
        for document in documents:
            if document.content in before:
                continue
            try:
                await self._tell(manifest.apply(self._cluster.api, document))
            except RefusedError as error:
                self._journal.add("files", str(error), bad=True)
                refused.append(document)
        self._applied[path] = [one.content for one in documents if one not in refused]

    async def _tell(self, lines: AsyncIterator[Told]) -> None:
        async for line in lines:
            self._journal.add("files", line.text, bad=line.bad)

    async def _follow_files(self, paths: Sequence[Path]) -> None:
        # The rules of admission need to know what else there is.
        with suppress(TimeoutError):
            # Not wait_for: that of Python 3.11 forgets being cancelled where both come at once.
            async with asyncio.timeout(_LISTED_SECONDS):
                await self._daemon.listed.wait()
        while True:
            for path in paths:
                try:
                    await self._apply(path)
                except ManifestFileError as error:
                    self._journal.add("files", str(error), bad=True)
            await asyncio.sleep(_FILES_SECONDS)
            paths = self._files.changed()

    # --- the view ---------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return what there is to show now, which is another thing each second at most while nothing happens."""
        live, live_jobs = self._daemon.live, self._daemon.live_jobs
        now = self._now().replace(microsecond=0)
        return observe(self._cluster.api, live, live_jobs, self._journal.entries, now)

    async def _show(self) -> None:
        console = Console()
        if self._options.plain or not console.is_terminal or console.is_dumb_terminal:
            await self._print()
            return
        drawn: tuple[Snapshot, ConsoleDimensions] | None = None
        with Screen(console=console, auto_refresh=False) as screen:

            def draw(seen: Snapshot) -> None:
                nonlocal drawn
                # Drawing costs more than all the rest while nothing happens.
                if drawn != (seen, console.size):
                    drawn = (seen, console.size)
                    screen.update(View(seen, self.hint), refresh=True)

            await self._look(draw)

    async def _print(self) -> None:
        _say(f"keda-py dev, {WARNING}; Ctrl-C ends it")
        _say(self.hint)
        if not self._options.files:
            _say(words.NOTHING)
        before = Snapshot(self._now())

        def shown(seen: Snapshot) -> None:
            nonlocal before
            for line in changes(before, seen):
                _say(line)
            before = seen

        await self._look(shown)

    async def _look(self, show: Callable[[Snapshot], None]) -> None:
        while True:
            show(self.snapshot())
            await asyncio.sleep(_LOOK_SECONDS)


def _say(text: str) -> None:
    print(f"{wall_clock().astimezone():%H:%M:%S}  {text}", flush=True)  # noqa: T201  this is what it is for
