"""The commands `shoal serve …`."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import yaml

from shoal.serve._internal.ops.building import Builders
from shoal.serve._internal.ops.config_file import checked_document, is_config_file, read_config, text_of
from shoal.serve._internal.ops.deploying import deploy_config, deployed_config
from shoal.serve._internal.ops.joined_session import joined, joined_or_own
from shoal.serve._internal.ops.rest_client import TOKEN, RestClient, is_url, status_of
from shoal.serve.api import delete, shutdown, start, status
from shoal.serve.config import ProxyLocation
from shoal.serve.exceptions import InvalidArgumentError, ServeError
from shoal.serve.schema import ServeDeploySchema
from shoal.serve.status import ServeStatus

_address = click.option("--address", "-a", default=None, help="Folder of the session; by default the one that runs.")
_address_or_url = click.option(
    "--address", "-a", default=None, help="Folder of the session, or URL of its REST; by default the session that runs."
)
_app_dir = click.option(
    "--app-dir", "-d", default=".", show_default=True, help="Folder from which the code is imported."
)
_working_dir = click.option("--working-dir", default=None, help="Folder that replicas get a copy of, and run in.")
_runtime_env = click.option("--runtime-env", default=None, help="YAML file of the environment that the code runs in.")
_runtime_env_json = click.option("--runtime-env-json", default=None, help="The same, as JSON.")


@click.group("serve", context_settings={"help_option_names": ["-h", "--help"]})
def serve() -> None:
    """Serve applications, look at them, and end them."""


@contextmanager
def _told_plainly() -> Iterator[None]:
    """The user's mistakes and the errors of their code end a command with their text; others with a traceback of ours."""
    try:
        yield
    except (ServeError, OSError) as error:
        raise click.ClickException(str(error)) from None


@serve.command("start")
@_address
@click.option("--http-host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--http-port", default=8000, show_default=True, help="0 for any that is free.")
@click.option("--proxy-location", type=click.Choice([one.value for one in ProxyLocation]), default="EveryNode")
@click.option("--grpc-port", default=9000, show_default=True)
@click.option("--grpc-servicer-functions", multiple=True, help="Import paths of add_…Servicer_to_server functions.")
@click.option(
    "--rest-port", type=int, default=None, help="Answer REST here, as Ray does at 8265; 0 for any that is free."
)
@click.option(
    "--rest-host", default="127.0.0.1", show_default=True, help="Others than the loopback need SHOAL_SERVE_TOKEN."
)
@_app_dir
def start_command(
    address: str | None,
    http_host: str,
    http_port: int,
    proxy_location: str,
    grpc_port: int,
    grpc_servicer_functions: tuple[str, ...],
    rest_port: int | None,
    rest_host: str,
    app_dir: str,
) -> None:
    """Start serving in a session that runs; what it was started with first holds."""
    with joined(address), _told_plainly():
        where = start(
            proxy_location=proxy_location,
            http_options={"host": http_host, "port": http_port},
            grpc_options={"port": grpc_port, "grpc_servicer_functions": grpc_servicer_functions},
        )
        click.echo(f"Serving at {_url(where)}." if where[1] else "Serving by handles only.")
        grpc = status().addresses.get("grpc")
        if grpc is not None:
            click.echo(f"Serving gRPC at {grpc}.")
        if rest_port is not None:
            from shoal.serve._internal.ops.rest_server import start_rest_server

            rest = start_rest_server(rest_host, rest_port, os.environ.get(TOKEN, ""), [str(Path(app_dir).resolve())])
            click.echo(f"REST at {_url(rest)}.")


@serve.command("run")
@click.argument("config_or_import_path")
@click.argument("arguments", nargs=-1)
@_runtime_env
@_runtime_env_json
@_working_dir
@_app_dir
@_address
@click.option("--blocking/--non-blocking", default=True, help="Stay, and end serving with Ctrl-C; or leave it running.")
@click.option("--reload", "-r", is_flag=True, help="Deploy anew whenever code below --app-dir changes.")
@click.option("--route-prefix", default=None, help="Under which HTTP reaches it. By default '/'.")
@click.option("--name", default=None, help="Of the application. By default 'default'.")
def run_command(
    config_or_import_path: str,
    arguments: tuple[str, ...],
    runtime_env: str | None,
    runtime_env_json: str | None,
    working_dir: str | None,
    app_dir: str,
    address: str | None,
    blocking: bool,
    reload: bool,
    route_prefix: str | None,
    name: str | None,
) -> None:
    """Serve what a configuration file says, or what an import path names ('module:app'); in a session of its own where none runs.

    ARGUMENTS, each key=value, go to the function that the import path names.
    """
    if reload and not blocking:
        raise click.UsageError("--reload watches the code, so it cannot leave: leave --non-blocking out")
    environment = _environment(runtime_env, runtime_env_json, working_dir)
    folder = str(Path(app_dir).resolve())

    def config() -> ServeDeploySchema:
        return _config(config_or_import_path, arguments, environment, name, route_prefix)

    with _told_plainly():
        config()
    with _signals_as_interrupts(), joined_or_own(address, may_be_own=blocking):
        builders = Builders(ahead=reload)
        try:
            _run(config, [folder], builders, reload=reload, blocking=blocking)
        except KeyboardInterrupt:
            click.echo("Serving ends.", err=True)
            shutdown()


def _run(
    config: Callable[[], ServeDeploySchema], folders: Sequence[str], builders: Builders, *, reload: bool, blocking: bool
) -> None:
    # Watching begins first, so nothing that is saved while the first version starts is missed.
    changes = _code_changes(folders) if reload else None
    try:
        _deploy(config(), folders, builders)
    except ServeError as error:
        if changes is None:
            shutdown_unless_others(config())
            raise click.ClickException(str(error)) from None
        click.secho(str(error), err=True, fg="red")
    if changes is not None:
        for files in changes:
            click.echo(f"Changed: {', '.join(Path(file).name for file in files)}.", err=True)
            try:
                _deploy(config(), folders, builders)
            except ServeError as error:
                click.secho(f"{error}\nWhat ran before goes on.", err=True, fg="red")
    elif blocking:
        threading.Event().wait()


def shutdown_unless_others(config: ServeDeploySchema) -> None:
    """A first run that failed leaves nothing of its own."""
    try:
        for one in config.applications:
            delete(one.name)
    except ServeError:
        return  # Serving had not begun.


def _code_changes(folders: Sequence[str]) -> Iterator[list[str]]:
    from shoal.serve._internal.ops.code_watching import code_changes

    return code_changes(folders)


def _deploy(config: ServeDeploySchema, folders: Sequence[str], builders: Builders) -> None:
    deploy_config(config, folders, True, builders)
    where = start()
    for one in config.applications:
        prefix = "" if one.route_prefix in (None, "/") else one.route_prefix
        at = f" at {_url(where)}{prefix}" if where[1] and one.route_prefix is not None else ""
        click.echo(f"Application {one.name} runs{at}.")


def _url(where: tuple[str, int]) -> str:
    host, port = where
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """SIGTERM ends as Ctrl-C does."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = {one: signal.signal(one, interrupt) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@serve.command("deploy")
@click.argument("config_or_import_path")
@click.argument("arguments", nargs=-1)
@_runtime_env
@_runtime_env_json
@_working_dir
@_app_dir
@_address_or_url
@click.option("--name", default=None, help="Of the application. By default 'default'.")
@click.option("--wait", is_flag=True, help="Return when everything runs.")
def deploy_command(
    config_or_import_path: str,
    arguments: tuple[str, ...],
    runtime_env: str | None,
    runtime_env_json: str | None,
    working_dir: str | None,
    app_dir: str,
    address: str | None,
    name: str | None,
    wait: bool,
) -> None:
    """Make what is served in a running session what a configuration file says (or an import path): applications that were deployed so
    before, and are not in it, end."""
    environment = _environment(runtime_env, runtime_env_json, working_dir)
    with _told_plainly():
        config = _config(config_or_import_path, arguments, environment, name, None)
        if is_url(address):
            if wait or app_dir != ".":
                raise click.UsageError("--wait and --app-dir are for sessions; leave them out where --address is a URL")
            RestClient(str(address)).deploy(config)
        else:
            with joined(address):
                deploy_config(config, [str(Path(app_dir).resolve())], wait, Builders())
    names = ", ".join(one.name for one in config.applications) or "none"
    click.echo(
        f"Applications {names} run." if wait else f"Applications {names} are starting; see `shoal serve status`."
    )


@serve.command("status")
@_address_or_url
@click.option("--name", "-n", default=None, help="Only this application.")
@click.option("--watch", "-w", is_flag=True, help="Stay, and show what changes when it does.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "yaml", "json"]),
    default=None,
    help="By default a table for people, and YAML for programs.",
)
def status_command(address: str | None, name: str | None, watch: bool, style: str | None) -> None:
    """Show what is served, and how it is."""
    style = style or ("table" if sys.stdout.isatty() or watch else "yaml")
    if is_url(address):
        if watch:
            raise click.UsageError("--watch is for sessions; leave it out where --address is a URL")
        with _told_plainly():
            _show(_only(status_of(RestClient(str(address)).details()), name), style)
        return
    with joined(address), _told_plainly():
        if watch:
            _watch(name, style)
        else:
            _show(_only(status(), name), style)


def _only(status: ServeStatus, name: str | None) -> ServeStatus:
    if name is None:
        return status
    found = status.applications.get(name)
    if found is None:
        raise click.ClickException(
            f"there is no application {name!r}; there are: {', '.join(status.applications) or 'none'}"
        )
    return ServeStatus(status.proxies, {name: found}, status.target_capacity)


def _show(status: ServeStatus, style: str) -> None:
    from shoal.serve._internal.ops.status_table import status_document, status_table

    if style == "table":
        from rich.console import Console

        Console().print(status_table(status))
    elif style == "yaml":
        click.echo(text_of(status_document(status)), nl=False)
    else:
        click.echo(json.dumps(status_document(status)))


def _watch(name: str | None, style: str) -> None:
    from rich.live import Live

    from shoal.serve._internal.ops.status_table import status_table
    from shoal.serve._internal.process.status_changes import status_changes

    with _signals_as_interrupts():
        try:
            if style != "table" or not sys.stdout.isatty():
                for status in status_changes():
                    _show(_only(status, name), style)
                    sys.stdout.flush()
                return
            with Live(auto_refresh=False) as live:
                for status in status_changes():
                    live.update(status_table(_only(status, name)), refresh=True)
        except KeyboardInterrupt:
            return


@serve.command("config")
@_address_or_url
@click.option("--name", "-n", default=None, help="Only this application.")
def config_command(address: str | None, name: str | None) -> None:
    """Print the configuration that was deployed last."""
    if is_url(address):
        with _told_plainly():
            found = RestClient(str(address)).details().applications.values()
        configs = [one.deployed_app_config for one in found if one.deployed_app_config is not None]
        config = ServeDeploySchema(applications=configs) if configs else None
    else:
        with joined(address), _told_plainly():
            config = deployed_config()
    if config is None:
        click.echo("No configuration has been deployed.", err=True)
        return
    document = config.model_dump(mode="json", exclude_unset=True)
    if name is None:
        click.echo(text_of(document), nl=False)
        return
    for one in document["applications"]:
        if one.get("name", "default") == name:
            click.echo(text_of(one), nl=False)
            return
    raise click.ClickException(
        f"no application {name!r} was deployed by configuration; there are: {', '.join(one.name for one in config.applications)}"
    )


@serve.command("build")
@click.argument("import_paths", nargs=-1, required=True)
@_app_dir
@click.option("--output-path", "-o", default=None, help="File to write; by default it is printed.")
@click.option("--grpc-servicer-functions", multiple=True, help="Import paths of add_…Servicer_to_server functions.")
@click.option("--grpc-enable-reflection/--grpc-disable-reflection", default=True)
def build_command(
    import_paths: tuple[str, ...],
    app_dir: str,
    output_path: str | None,
    grpc_servicer_functions: tuple[str, ...],
    grpc_enable_reflection: bool,
) -> None:
    """Write a configuration file of applications, with the options of their deployments, to be changed and deployed."""
    from shoal.serve._internal.ops.config_template import config_template

    with _told_plainly():
        document = config_template(import_paths, str(Path(app_dir).resolve()))
    if grpc_servicer_functions:
        document["grpc_options"] = {
            "port": 9000,
            "grpc_servicer_functions": list(grpc_servicer_functions),
            "enable_reflection": grpc_enable_reflection,
        }
    text = f"# Made by: shoal serve build {' '.join(import_paths)}\n\n{text_of(document)}"
    if output_path is None:
        click.echo(text, nl=False)
        return
    if not output_path.endswith((".yaml", ".yml")):
        raise click.UsageError(f"--output-path is {output_path!r}; give a name that ends with .yaml")
    Path(output_path).write_text(text, encoding="utf-8")


@serve.command("shutdown")
@_address_or_url
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def shutdown_command(address: str | None, yes: bool) -> None:
    """End serving, and all applications."""
    if not yes:
        click.confirm("This ends serving, and all applications. Go on?", abort=True)
    if is_url(address):
        with _told_plainly():
            RestClient(str(address)).shutdown()
    else:
        with joined(address), _told_plainly():
            shutdown()
    click.echo("Serving has ended.")


def _config(
    path: str, arguments: Sequence[str], environment: dict[str, Any], name: str | None, route_prefix: str | None
) -> ServeDeploySchema:
    """Returns the configuration that a command means. Raises InvalidArgumentError."""
    if not is_config_file(path):
        application = {"import_path": path, "runtime_env": environment, "args": _key_values(arguments)}
        if name is not None:
            application["name"] = name
        if route_prefix is not None:
            application["route_prefix"] = route_prefix
        return checked_document({"applications": [application]}, path)
    given = {"arguments": arguments, "--name": name, "--route-prefix": route_prefix, "a runtime_env": environment}
    wrong = [argument for argument, value in given.items() if value]
    if wrong:
        raise InvalidArgumentError(
            f"{path} is a configuration file, which says that itself; leave out: {', '.join(wrong)}"
        )
    return read_config(path)


def _key_values(arguments: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for one in arguments:
        key, sign, value = one.partition("=")
        if not sign or not key:
            raise InvalidArgumentError(f"argument {one!r} is not of the form key=value")
        pairs[key] = value
    return pairs


def _environment(file: str | None, text: str | None, working_dir: str | None) -> dict[str, Any]:
    if file is not None and text is not None:
        raise click.UsageError("give --runtime-env or --runtime-env-json, not both")
    try:
        found = yaml.safe_load(Path(file).read_text(encoding="utf-8") if file is not None else text or "{}") or {}
    except (OSError, yaml.YAMLError) as error:
        raise click.UsageError(f"the runtime_env cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise click.UsageError(f"the runtime_env is {found!r}; give a mapping")
    if working_dir is not None:
        found["working_dir"] = working_dir
    return found
