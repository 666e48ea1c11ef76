"""The command `keda-py dev`: its flags, and what is told when it cannot start. Nothing heavy before they are right."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from keda_py.dev.options import PORT, Options
from keda_py.flag import DurationType


class FileOrFolder(click.Path):
    """A file or folder that can be read again whenever it changes, which what comes from elsewhere cannot."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or say what to do with that which is none."""
        if str(value).startswith(("http://", "https://")):
            self.fail(f"{value} is no file: download it first", param, ctx)
        path = Path(value)
        if str(value) == "-" or (path.exists() and not (path.is_file() or path.is_dir())):
            said = "is no file that can be read again: pipe into kubectl apply -f - while keda-py dev runs"
            self.fail(f"{value} {said}", param, ctx)
        return super().convert(value, param, ctx)


@click.command(short_help="Try KEDA's manifests here, with nothing installed; not for production.")
@click.argument("files", nargs=-1, type=FileOrFolder(exists=True, path_type=Path))
@click.option(
    "--port",
    default=PORT,
    show_default=True,
    envvar="KEDA_PY_DEV_PORT",
    show_envvar=True,
    type=click.IntRange(0, 65535),
    help="Port of the API server on 127.0.0.1; 0: any that is free.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder in which the cluster survives a restart. Default: it ends with the command.",
)
@click.option(
    "--run-processes", is_flag=True, help="Run the commands of containers as processes of this machine, as you."
)
@click.option(
    "--hpa-sync", default="15s", show_default=True, type=DurationType(), help="How often the HPA controller looks."
)
@click.option("--for", "duration", type=DurationType(), help="End after so long, such as 90s. Default: Ctrl-C ends it.")
@click.option("--plain", is_flag=True, help="Print lines instead of a table, as without a terminal.")
def dev(
    files: tuple[Path, ...],
    *,
    port: int,
    data: Path | None,
    run_processes: bool,
    hpa_sync: timedelta,
    duration: timedelta | None,
    plain: bool,
) -> None:
    """Try KEDA's manifests on this machine, with nothing installed. For trying and testing, not for production.

    Starts a small Kubernetes cluster and keda-py in one process, applies FILES (YAML files, or folders of them) and
    applies them anew when they change. Shows each ScaledObject with the values of its triggers, its replicas, its HPA,
    and what was decided and why. kubectl works with the KUBECONFIG that it prints.

    Pods run in name only: they become ready and do nothing. With --run-processes each container's command is run as it
    stands, without its image, without isolation and with your rights: use it with manifests that you trust.

    In place of a terminal it prints lines. Ctrl-C ends it and everything that it started. Exit code 2: something in
    the flags or FILES has to change.
    """
    try:
        # Half a second that --help and a bad flag need not wait for.
        from keda_py.dev import manifest, session  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("rich", "yaml"):
            raise
        message = f"keda-py dev needs the Python module {error.name}; in a clone: pip install '.[dev-cluster]'"
        raise click.UsageError(message) from None
    for folder in files:
        if folder.is_dir() and not manifest.files_of([folder]):
            said = "has no .yaml, .yml or .json file in it, and folders within it are not read"
            click.echo(f"keda-py: {folder} {said}; one that comes is applied", err=True)
    options = Options(
        files=files,
        port=port,
        data=data,
        processes=run_processes,
        hpa_sync=hpa_sync,
        plain=plain,
        duration=duration,
    )
    sys.exit(session.run(options))
