"""A service of the local engine is replaced when what it runs changes, and only then."""

from pathlib import Path

from pantheon.engines.local.release import Sources


def test_a_program_s_script_and_lock_are_its_release_and_a_deployment_s_files_are_not(tmp_path: Path) -> None:
    script, lock = tmp_path / "compose" / "once.sh", tmp_path / "requirements" / "postgres.txt"
    secret = tmp_path / ".pantheon" / "pantheon" / "secrets" / "postgres_password"
    for file in (script, lock):
        file.parent.mkdir()
        file.write_text("1")

    def release() -> str:
        return Sources(tmp_path).of_program("postgres", ["sh", str(script), str(secret)])

    first = release()
    secret.parent.mkdir(parents=True)
    secret.write_text("made by the first up")
    assert release() == first
    for file in (script, lock):
        before = release()
        file.write_text("2")
        assert release() != before
