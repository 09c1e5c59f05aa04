"""Settings come from the environment, and from files as Compose and Kubernetes mount secrets."""

from pathlib import Path

import pytest

from common.settings import Settings


def test_a_file_of_the_secrets_folder_holds_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cinefarm_broker_url").write_text("rediss://farm:hush@redis:6380/0\n")
    (tmp_path / "cinefarm_s3_secret_key").write_text("hush")
    monkeypatch.setenv("CINEFARM_SECRETS_DIR", str(tmp_path))
    settings = Settings()
    assert settings.broker_url == "rediss://farm:hush@redis:6380/0"
    assert settings.s3_secret_key.get_secret_value() == "hush"
    assert "hush" not in repr(settings)


def test_the_environment_goes_before_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cinefarm_broker_url").write_text("redis://from-file:6379/0")
    monkeypatch.setenv("CINEFARM_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("CINEFARM_BROKER_URL", "redis://from-environment:6379/0")
    assert Settings().broker_url == "redis://from-environment:6379/0"


def test_a_secrets_folder_that_is_not_there_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CINEFARM_SECRETS_DIR", str(tmp_path / "absent"))
    monkeypatch.delenv("CINEFARM_BROKER_URL", raising=False)
    assert Settings().broker_url == Settings.model_fields["broker_url"].default
