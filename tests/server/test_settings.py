"""Settings: where they come from, what is refused, and that the documentation names them all."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from candlewire_server import command as server_command
from candlewire_server.errors import SettingsError
from candlewire_server.settings import ServerSettings, data_plane_json, load, show
from candlewire_server.settings.reference import BEGIN, updated
from candlewire_server.settings.sources import all_settings
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in all_settings().values():
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.delenv("CANDLEWIRE_CONFIG", raising=False)


def config(folder: Path, text: str) -> Path:
    path = folder / "candlewire.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problem(**arguments: object) -> str:
    with pytest.raises(SettingsError) as raised:
        load(**arguments)
    return str(raised.value)


def test_flags_win_over_environment_over_file_over_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(tmp_path, "[limits]\nmax_connections = 1\nmax_series_typo_free = 1\n")
    assert "max_series" in problem(config=path)
    path = config(
        tmp_path,
        "[limits]\nmax_connections = 1\nmax_window_bars = 11\n"
        "[batcher]\nqueue_rows = 111\n[engine]\nexecutors = 3\n",
    )
    monkeypatch.setenv("CANDLEWIRE_LIMITS_MAX_WINDOW_BARS", "22")
    monkeypatch.setenv("CANDLEWIRE_BATCHER_QUEUE_ROWS", "222")
    loaded = load(config=path, flags={"batcher.queue_rows": 333})
    settings = loaded.settings
    assert settings.limits.max_connections == 1
    assert settings.limits.max_window_bars == 22
    assert settings.batcher.queue_rows == 333
    assert settings.batcher.max_batch_rows == 256
    assert loaded.origins["limits.max_connections"] == f"file {path}"
    assert loaded.origins["limits.max_window_bars"] == "environment CANDLEWIRE_LIMITS_MAX_WINDOW_BARS"
    assert loaded.origins["batcher.queue_rows"] == "flag"
    assert loaded.origins["batcher.max_batch_rows"] == "default"
    monkeypatch.setenv("CANDLEWIRE_CONFIG", str(path))
    assert load().settings.engine.executors == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[limits]\nmax_conections = 1\n", "limits.max_conections: unknown setting"),
        ("[limits]\nmax_conections = 1\n", "did you mean limits.max_connections?"),
        ("[limit]\nmax_connections = 1\n", "did you mean limits.max_connections?"),
        ("max_connections = 1\n", "did you mean limits.max_connections?"),
        ("[batcher]\nmax_connections = 1\n", "did you mean limits.max_connections?"),
        ("[limits]\nmax_connections = 0\n", "limits.max_connections: Input should be greater"),
        ("[limits]\nmax_connections = 'many'\n", "got 'many'"),
        ("[journal]\nfsync = 'sometimes'\n", "'never', 'interval' or 'always'"),
        ("[server]\nhost = 'localhost'\n", "server.host: 'localhost' is no IP address"),
        ("[server]\nhost = '0.0.0.0'\n", "--insecure-any-host"),
        ("[server]\nmetrics_host = '0.0.0.0'\n", "server.metrics_host"),
        ("[tls]\ncertificate = 'a.pem'\n", "tls.certificate and tls.key belong together"),
        (
            "[limits]\nmax_streams_per_client = 4294967296\n",
            "less than or equal to 4294967295, got 4294967296",
        ),
        ("[bars]\nmax_series = 9223372036854775808\n", "bars.max_series: Input should be less"),
        ("[limits]\nkeepalive_ms = 9223372036854775807\n", "limits.keepalive_ms: Input should be less"),
        ("[server]\nworker_threads = 1000000\n", "server.worker_threads: Input should be less"),
        ("[engine]\nexecutors = 1000000\n", "engine.executors: Input should be less"),
        ("[tls]\nclient_ca = 'a.pem'\n", "tls.client_ca needs"),
        ("[limits\n", "is no TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in problem(config=config(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "absent.toml" in problem(config=tmp_path / "absent.toml")


def test_unknown_variables_of_the_server_are_refused_and_others_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CANDLEWIRE_REAL_DATA", "somewhere")
    monkeypatch.setenv("CANDLEWIRE_TARGET", "127.0.0.1:1")
    load()
    monkeypatch.setenv("CANDLEWIRE_LIMITS_MAX_CONECTIONS", "1")
    assert "did you mean CANDLEWIRE_LIMITS_MAX_CONNECTIONS?" in problem()
    monkeypatch.delenv("CANDLEWIRE_LIMITS_MAX_CONECTIONS")
    monkeypatch.setenv("CANDLEWIRE_SEVER_PORT", "1")
    assert "did you mean CANDLEWIRE_SERVER_PORT?" in problem()


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    path = config(tmp_path, "[limits]\nmax_connections = 0\nmax_window_bars = -1\n")
    assert len(problem(config=path).splitlines()) == 2


def test_encryption_opens_the_host_but_not_the_metrics(tmp_path: Path) -> None:
    tls = "[tls]\ncertificate = 'a.pem'\nkey = 'b.pem'\n[server]\nhost = '0.0.0.0'\nadmin_host = '0.0.0.0'\n"
    load(config=config(tmp_path, tls))
    assert "metrics_host" in problem(config=config(tmp_path, tls + "metrics_host = '0.0.0.0'\n"))


def test_what_is_shown_reads_back_the_same_and_masks_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDLEWIRE_TELEMETRY_OTLP_HEADERS", "api-key=hush")
    loaded = load(flags={"server.store": Path('a "b"'), "telemetry.trace_share": "0.25"})
    text = show(loaded)
    assert "hush" not in text
    assert "********" in text
    assert "hush" not in repr(loaded.settings)
    monkeypatch.delenv("CANDLEWIRE_TELEMETRY_OTLP_HEADERS")
    again = load(config=config(tmp_path, text)).settings
    assert again.server == loaded.settings.server
    assert again.telemetry.trace_share == 0.25
    shown = {f"{section}.{name}" for section, names in tomllib.loads(text).items() for name in names}
    unset = {key for key, setting in all_settings().items() if setting.field.default is None}
    assert shown | unset == set(all_settings())
    assert "hush" in data_plane_json(loaded.settings)


def test_the_command_shows_the_configuration_with_origins(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("candlewire")), "serve", "--show-config"]
    path = config(tmp_path, "[engine]\nexecutors = 3\n")
    flags = ["--config", str(path), "--port", "7", "--set", "limits.max_connections=9"]
    shown = subprocess.run([*command, *flags], capture_output=True, text=True, check=True).stdout
    assert f"executors = 3  # file {path}" in shown
    assert "port = 7  # flag" in shown
    assert "max_connections = 9  # flag" in shown
    assert "queue_rows = 8192  # default" in shown
    refused = subprocess.run([*command, "--set", "limits"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "SECTION.NAME=VALUE" in refused.stderr


@pytest.mark.parametrize(
    ("flags", "first", "second"),
    [
        (("--port", "7", "--set", "server.port=8"), "--port", "--set server.port=..."),
        (("--set", "server.port = 8", "--port", "7"), "--port", "--set server.port=..."),
        (
            ("--tls-cert", "a.pem", "--set", "tls.certificate=a.pem"),
            "--tls-cert",
            "--set tls.certificate=...",
        ),
        (
            ("--set", "telemetry.otlp_headers=hush", "--set", "telemetry.otlp_headers=hush"),
            "--set telemetry.otlp_headers=...",
            "--set telemetry.otlp_headers=...",
        ),
    ],
)
def test_a_setting_said_twice_is_refused_by_both_names(
    flags: tuple[str, ...], first: str, second: str
) -> None:
    app = typer.Typer()
    server_command.register(app)
    ended = CliRunner().invoke(app, ["serve", "--show-config", *flags])
    assert ended.exit_code == 2
    assert f"said twice, by {first} and by {second}; leave one of them out" in ended.output
    assert "hush" not in ended.output


def test_the_documentation_lists_every_setting() -> None:
    document = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert BEGIN in document
    assert updated(document) == document, (
        "stale: run `python -m candlewire_server.settings.reference docs/configuration.md`"
    )
    for key, setting in all_settings().items():
        assert f"| `{key}` |" in document
        assert setting.field.description, f"{key} has no description"


def data_plane_types() -> dict[str, str]:
    """Types of the settings in the data plane, by name."""
    source = (ROOT / "server" / "src" / "settings.rs").read_text(encoding="utf-8")
    fields = source.partition("pub struct Settings {")[2].partition("\n}")[0]
    found = [line.split() for line in fields.splitlines() if line.startswith("    pub ")]
    return {words[1].rstrip(":"): words[2].rstrip(",") for words in found}


def test_the_data_plane_takes_every_setting_it_is_handed() -> None:
    handed = json.loads(data_plane_json(ServerSettings()))
    taken = data_plane_types()
    assert len(taken) > 30
    assert set(handed) == set(taken)


def test_no_number_is_let_in_that_the_data_plane_cannot_hold() -> None:
    holds = {"u16": 2**16 - 1, "u32": 2**32 - 1, "u64": 2**64 - 1, "usize": 2**64 - 1}
    types, compared = data_plane_types(), 0
    for key, setting in all_settings().items():
        if setting.field.annotation is not int:
            continue
        most = [bound.le for bound in setting.field.metadata if hasattr(bound, "le")]
        assert most, f"{key} has no upper bound"
        section, name = key.split(".")
        for known in (name, f"{section}_{name}"):
            if known in types:
                assert most[0] <= holds[types[known]], key
                compared += 1
    assert compared > 20
