"""pip's settings of a site reach the builds, and nothing else of it does."""

from pathlib import Path

from images.pip_settings import CA, config_list, secrets, settings

LISTED = """\
:env:.default-timeout='180'
:env:.find-links='/opt/wheels'
:env:.index-url='https://mirror.example/simple'
global.cert='/etc/site/ca.pem'
global.extra-index-url='https://one.example/simple\\nhttps://two.example/simple'
global.index-url='https://pip.example/simple'
install.user='no'
"""


def test_the_environment_wins_over_files() -> None:
    assert settings(LISTED)["index-url"] == "https://mirror.example/simple"


def test_a_build_is_told_how_to_reach_the_index_and_whom_to_trust(tmp_path: Path) -> None:
    found = secrets(LISTED, tmp_path)
    assert found["ca"] == Path("/etc/site/ca.pem")
    assert found["pip"].read_text().splitlines() == [
        "[global]",
        "index-url = https://mirror.example/simple",
        "extra-index-url = https://one.example/simple",
        "    https://two.example/simple",
        "default-timeout = 180",
        f"cert = {CA}",
    ]


def test_without_settings_there_is_no_secret(tmp_path: Path) -> None:
    assert secrets("", tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_what_this_pip_prints_can_be_read() -> None:
    assert isinstance(settings(config_list()), dict)
