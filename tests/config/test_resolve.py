"""From everything that was said to settings, or to one clear error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dewy.config import PortMapping, Settings, examine, resolve
from dewy.config.resolve import with_calver
from dewy.errors import ConfigError, ConfigErrors

Resolve = Callable[..., Settings]

IMAGES = "img://ghcr.io/acme/shop"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def settings(root: Path) -> Resolve:
    """Resolves in *root*; a registry and a program are there unless given."""

    def settings(
        command: str = "server",
        environ: Mapping[str, str] = {},
        **given: object,
    ) -> Settings:
        said = {"registry": "mem://x", "program": ("./app",), **given}
        named = {name.replace("_", "-"): value for name, value in said.items()}
        return resolve(command, named, environ, root)

    return settings


def write(root: Path, text: str) -> None:
    (root / "dewy.toml").write_text(text, encoding="utf-8")


def test_nothing_said_means_the_defaults(settings: Resolve, root: Path) -> None:
    """A registry and a program are all that has to be said."""
    expected = Settings(
        command="server",
        root=root,
        cache_dir=root / ".dewy/cache",
        registry="mem://x",
        program=("./app",),
    )
    assert expected == settings()


def test_flags_come_before_environment_before_file(
    settings: Resolve, root: Path
) -> None:
    """Whoever is nearer to the command wins."""
    write(root, "slot = 'file'\nkeep = 2\ninterval = '2m'")
    environ = {"DEWY_SLOT": "environment", "DEWY_KEEP": "3"}
    found = settings(environ=environ, slot="flag")

    assert ("flag", 3, 120.0) == (found.slot, found.keep, found.interval)


def test_list_is_replaced_as_a_whole(settings: Resolve, root: Path) -> None:
    """Ports of two sources mixed together are nobody's intention."""
    write(root, "port = [1, 2]\nnotifier = ['mem://a', 'mem://b']")
    found = settings(port=("8080",))

    assert [8080] == [address.port for address in found.ports]
    assert ("mem://a", "mem://b") == found.notifiers


def test_last_of_a_repeated_option_counts(settings: Resolve) -> None:
    """As with any command."""
    assert "b" == settings(slot=("a", "b")).slot


def test_config_names_another_file(settings: Resolve, root: Path) -> None:
    """Relative to the working directory; a flag or DEWY_CONFIG."""
    (root / "other.toml").write_text("slot = 'other'")
    write(root, "slot = 'default'")

    assert "other" == settings(config="other.toml").slot
    assert "other" == settings(environ={"DEWY_CONFIG": str(root / "other.toml")}).slot
    with pytest.raises(ConfigError, match=r"none\.toml does not exist"):
        settings(config="none.toml")


def test_negative_flags_turn_settings_off(settings: Resolve) -> None:
    """`--no-rollback` is the flag, `rollback` the setting."""
    found = settings(no_rollback=True, environ={"DEWY_NO_CAPTURE": "true"})

    assert (False, False) == (found.rollback, found.capture)
    assert settings(environ={"DEWY_NO_CAPTURE": "false"}).capture


def test_cache_directory_is_moved_by_its_variable(
    settings: Resolve, root: Path
) -> None:
    """`DEWY_CACHEDIR`, as in the original; relative to the root."""
    absolute = settings(environ={"DEWY_CACHEDIR": "/var/cache/dewy"})
    relative = settings(environ={"DEWY_CACHEDIR": "kept"})

    assert Path("/var/cache/dewy") == absolute.cache_dir
    assert root / "kept" == relative.cache_dir
    assert root / ".dewy" == absolute.private


@pytest.mark.parametrize("command", ["server", "assets", "container", "check"])
def test_registry_is_required(settings: Resolve, command: str) -> None:
    """Told before anything starts, with every place it could be said."""
    with pytest.raises(ConfigError, match=f"{command} needs a registry: --registry"):
        settings(command, registry=None)


@pytest.mark.parametrize("command", ["status", "hold", "history", "rollback"])
def test_registry_is_not_required_by_local_commands(
    settings: Resolve, command: str
) -> None:
    """These ask this host only."""
    assert command == settings(command, registry=None).command


def test_server_needs_a_program(settings: Resolve) -> None:
    """And says where it goes."""
    with pytest.raises(ConfigError, match="-- PROGRAM"):
        settings(program=())
    assert () == settings("check", program=()).program


def test_container_has_settings_of_its_own(settings: Resolve) -> None:
    """An option of one name may mean another thing to another command."""
    found = settings(
        "container",
        registry=IMAGES,
        port=("8080:80", "8443"),
        cmd=("serve", "-v"),
        replicas="1",
        run_options=("-e", "A=b"),
    )
    assert (PortMapping(8080, 80), PortMapping(8443)) == found.port_mappings
    assert () == found.ports
    assert ("serve", "-v") == found.cmd
    assert 1 == found.replicas
    assert ("-e", "A=b") == found.run_options


def test_container_needs_a_port(settings: Resolve) -> None:
    """Blank ones are none."""
    for port in ((), ("", " ")):
        with pytest.raises(ConfigError, match=r"needs a --port .* --port 8080:80"):
            settings("container", registry=IMAGES, port=port)


@pytest.mark.parametrize("command", ["server", "assets"])
def test_images_are_for_container(settings: Resolve, command: str) -> None:
    """The original crashed at the first poll."""
    with pytest.raises(ConfigError, match=r"img://ghcr\.io/.*; `dewy container` does"):
        settings(command, registry=IMAGES)


def test_container_runs_images_only(settings: Resolve) -> None:
    """And passwords in the URL stay where they are."""
    with pytest.raises(
        ConfigError, match="registry of images, such as img://"
    ) as caught:
        settings("container", registry="s3://u:secret@r/b", port="80")

    assert "secret" not in str(caught.value)


def test_check_with_image_registry_accepts_container_options(settings: Resolve) -> None:
    """A command line of `container` can be checked as it stands."""
    found = settings("check", registry=IMAGES, port="8080:80", replicas="2")

    assert ((PortMapping(8080, 80),), 2) == (found.port_mappings, found.replicas)
    with pytest.raises(ConfigError, match="--port '8080:80' must be"):
        settings("check", port="8080:80")


def test_health_path_needs_a_port(settings: Resolve) -> None:
    """There would be nothing to ask."""
    with pytest.raises(ConfigError, match="--health-path needs a --port"):
        settings(health_path="/up")
    assert "/up" == settings(health_path="/up", port=("80",)).health_path
    assert "/up" == settings("check", health_path="/up").health_path


def test_assets_takes_no_notice_of_a_health_path(settings: Resolve, root: Path) -> None:
    """A file may serve several commands."""
    write(root, "health-path = '/up'")

    assert ("", ()) == (
        settings("assets").health_path,
        settings("assets").cautions,
    )


def test_every_wrong_line_of_a_file_is_told(settings: Resolve, root: Path) -> None:
    """Together with what is wrong elsewhere."""
    write(root, "kep = 3\ninterval = true")

    with pytest.raises(ConfigErrors) as caught:
        settings(port="x")

    told = [str(each) for each in caught.value.errors]
    assert 3 == len(told)
    assert "'kep'" in told[0]
    assert "interval" in told[1]
    assert "--port" in told[2]


@pytest.mark.parametrize("text", ["", "a b", "www.example.com/x", "a\r\nb"])
def test_health_host_is_a_host(settings: Resolve, text: str) -> None:
    """Nothing that would end the header."""
    with pytest.raises(ConfigError, match="--health-host"):
        settings(health_host=text)
    assert "shop.test:8080" == settings(health_host="shop.test:8080").health_host


def test_options_of_other_commands_are_not_judged(
    settings: Resolve, root: Path
) -> None:
    """`dewy status` works beside a dewy.toml whose server options are wrong."""
    write(root, "interval = 'x'\nregistry = 'mem://x'")

    assert "mem://x" == settings("status", registry=None).registry


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("interval", "soon", "--interval 'soon' must be a time"),
        ("interval", "0", "--interval '0' must be longer than zero"),
        ("keep", "1", "--keep '1' must be a whole number from 2"),
        ("ready", "now", "--ready 'now' must be one of auto, notify, grace"),
        ("verify_checksum", "x", "must be one of off, auto, required"),
        ("admin_port", "65536", "--admin-port '65536'"),
        ("registry", "nothing", "--registry 'nothing' is not of the form"),
        ("cache", "file", "--cache 'file' is not of the form"),
        ("notifier", "slack", "--notifier 'slack' is not of the form"),
        ("health_path", "up", "--health-path 'up' must start with /"),
        ("calver", "nothing", "--calver"),
        ("log_level", "loud", "--log-level 'loud'"),
    ],
)
def test_error_names_option_and_value(
    settings: Resolve, name: str, value: str, what: str
) -> None:
    """A start-up error is reported in words; it once was a crash at the first poll."""
    with pytest.raises(ConfigError) as caught:
        settings(**{name: value})

    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


def test_error_names_variable_or_key(settings: Resolve, root: Path) -> None:
    """Nobody looks for a flag that was never given."""
    with pytest.raises(ConfigError, match=r"^DEWY_INTERVAL '0'"):
        settings(environ={"DEWY_INTERVAL": "0"})
    write(root, "interval = 0")
    with pytest.raises(ConfigError, match=r"^dewy\.toml: interval '0'"):
        settings()


def test_calver_goes_into_the_registry(settings: Resolve) -> None:
    """It replaces one that is there; the query is sorted, as in the original."""
    found = settings(registry="ghr://o/r?slot=x&CalVer=YY", calver="YYYY.0M.MICRO")

    assert "ghr://o/r?calver=YYYY.0M.MICRO&slot=x" == found.registry


def test_calver_is_encoded() -> None:
    """A format may hold what has a meaning in a query."""
    assert "mem://x?calver=YYYY%2BMICRO" == with_calver("mem://x", "YYYY+MICRO")


def test_telemetry_is_told_where_to(settings: Resolve) -> None:
    """By flags and variables alike."""
    found = settings(
        telemetry=True,
        otlp_endpoint="localhost:4317",
        environ={"DEWY_OTLP_INSECURE": "1"},
    )

    assert (True, "localhost:4317", True) == (
        found.telemetry,
        found.otlp_endpoint,
        found.otlp_insecure,
    )
    assert () == found.cautions


def test_ineffective_telemetry_options_yield_caution(settings: Resolve) -> None:
    """It is no error, for it was none of the original's."""
    mute = settings(telemetry=True, admin_port="0")
    plain = settings(otlp_insecure=True)

    assert ["--telemetry has no effect with --admin-port 0"] == [
        each.partition(":")[0] for each in mute.cautions
    ]
    assert ("--otlp-insecure has no effect without --otlp-endpoint",) == plain.cautions


def test_low_ports_come_with_a_word(settings: Resolve) -> None:
    """Binding them usually fails for users, and then why is of interest."""
    found = settings(port=("80", "1024"))

    assert 1 == len(found.cautions)
    assert "port 80 is below 1024" in found.cautions[0]
    assert found.cautions == settings("container", registry=IMAGES, port="80").cautions


def test_resolving_creates_nothing(settings: Resolve, root: Path) -> None:
    """The original created its cache for whatever was asked."""
    settings()

    assert [] == list(root.iterdir())


def test_time_that_stopping_does_not_grant_is_a_caution(settings: Resolve) -> None:
    """Nobody finds out first when a program is killed."""
    assert () == settings().cautions
    assert () == settings(stop_timeout="60s", shutdown_timeout="90s").cautions

    (caution,) = settings(stop_timeout="60s").cautions

    assert "--stop-timeout 60s is cut short when dewy itself stops" in caution
    assert "--shutdown-timeout gives 25s" in caution


def test_keys_that_flags_or_variables_override_are_known(tmp_path: Path) -> None:
    """Those that say the same are not worth a word."""
    (tmp_path / "dewy.toml").write_text(
        "replicas = 5\ninterval = '9s'\nkeep = 3\nslot = 'a'\n"
    )
    given = {"replicas": ["3"], "keep": ["3"]}
    environ = {"DEWY_INTERVAL": "1s"}
    settings, _ = examine("container", given, environ, tmp_path)

    assert (
        "--replicas overrides dewy.toml: replicas",
        "DEWY_INTERVAL overrides dewy.toml: interval",
    ) == settings.overridden


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        (
            (
                'registry = "file:///tmp/x"\nport = 18733\nintervall = "2s"\n'
                'health-path = "up"\nreplicas = "x"\n'
            ),
            ["'intervall'", "replicas must be an integer", "health-path 'up' must"],
        ),
        ('registry = "file:///tmp/x', ["is not TOML"]),
        ('registy = "file:///tmp/x"', ["'registy' (did you mean registry?)"]),
        ("registry = 3", ["registry must be a string"]),
        (
            'registry = "file:///x"\nprot = 80\nhealth-path = "/up"\n',
            ["'prot' (did you mean port?)"],
        ),
        (
            (
                'registry = "file:///x"\nstop-timeout = "9m"\nshutdown-timeout = true\n'
                "otlp-insecure = true\notlp-endpoint = 1\n"
            ),
            ["shutdown-timeout must be", "otlp-endpoint must be"],
        ),
    ],
)
def test_mistakes_of_file_are_told_at_once_without_consequences(
    tmp_path: Path, text: str, mistakes: list[str]
) -> None:
    (tmp_path / "dewy.toml").write_text(text)
    settings, found = examine("server", {"program": ["nope/x"]}, {}, tmp_path)

    assert len(mistakes) == len(found.errors), found.errors
    for wanted, error in zip(mistakes, found.errors, strict=True):
        assert wanted in str(error)
    assert () == settings.cautions


def test_missing_file_of_options_is_the_only_mistake(tmp_path: Path) -> None:
    given = {"config": "none.toml", "program": ["x"]}
    _, found = examine("server", given, {}, tmp_path)

    assert ["does not exist"] == [str(each)[-14:] for each in found.errors]


def test_flag_is_validated_although_file_value_is_invalid(tmp_path: Path) -> None:
    (tmp_path / "dewy.toml").write_text("registry = 3")
    given = {"registry": "img://ghcr.io/acme/shop", "program": ["x"]}
    _, found = examine("server", given, {}, tmp_path)

    assert 2 == len(found.errors)
    assert "server cannot run the images of" in str(found.errors[1])
