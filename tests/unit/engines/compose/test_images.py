"""Images: built when their sources changed and not otherwise, tagged by version and lock, secret-free, portable."""

import re
from pathlib import Path

import pytest

from pantheon import __version__
from pantheon.engines.compose import images
from pantheon.errors import PantheonError
from tests.support import ROOT


def test_tags_carry_the_version_and_change_with_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "requirements").mkdir()
    lock = tmp_path / "requirements" / "serving.txt"
    lock.write_text("numpy==2.0\n")
    monkeypatch.setattr(images, "ROOT", tmp_path)
    before = images.tag_of("serving")
    assert before.startswith(f"{__version__}-")
    assert images.tags() == {"PANTHEON_SERVING_TAG": before}
    lock.write_text("numpy==2.1\n")
    assert images.tag_of("serving") != before


def test_settings_of_the_installer_are_secrets_and_on_no_command_line(tmp_path: Path) -> None:
    ca = tmp_path / "company.pem"
    ca.write_text("certificates")
    given = {"PANTHEON_CA": str(ca), "UV_DEFAULT_INDEX": "https://ada:s3cret@index.example/simple", "OTHER": "x"}
    with images.build_secrets(given) as options:
        assert f"id=ca,src={ca}" in options
        (file,) = [Path(o.partition("src=")[2]) for o in options if o.startswith("id=installer")]
        assert file.read_text() == "UV_DEFAULT_INDEX=https://ada:s3cret@index.example/simple\n"
        assert file.parent.stat().st_mode & 0o777 == 0o700
        assert "s3cret" not in " ".join(options)
    assert not file.exists()


def test_a_proxy_of_this_machine_is_reachable_from_the_build() -> None:
    with images.build_secrets({"HTTPS_PROXY": "http://127.0.0.1:3128"}) as options:
        assert options[-4:-2] == ["--network", "host"] or "--network" in options
    with images.build_secrets({"HTTPS_PROXY": "http://proxy.example:3128"}) as options:
        assert "--network" not in options


def test_a_missing_certificate_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PantheonError, match=r"PANTHEON_CA=.*none\.pem is not a file"):
        images.ca_file({"PANTHEON_CA": str(tmp_path / "none.pem")})


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(PantheonError, match=r"there is no file .*none\.tar"):
        images.load(tmp_path / "none.tar")


def copied(name: str) -> set[str]:
    """What the Dockerfile copies from here into the image ``name``."""
    found, stages, stage, base = dict[str, set[str]](), dict[str, str](), "", ""
    for line in images.dockerfile(name).splitlines():
        if match := re.match(r"FROM (\S+) AS (\S+)", line):
            base, stage = match.groups()
            stages[stage] = base
        elif match := re.match(r"COPY (?!--chmod=755 <<)(.+) \S+", line):
            source = match[1]
            if from_ := re.match(r"--from=(\S+)", source):
                found.setdefault(stage, set()).update(found[from_[1]] | found.get("installer", set()))
            else:
                found.setdefault(stage, set()).add(source)
    stage, sources = "service", set[str]()
    while stage in stages:
        sources |= found.get(stage, set())
        stage = stages[stage]
    return sources


def test_images_share_the_layers_of_what_they_have_in_common() -> None:
    def layers(name: str) -> list[str]:
        contents = images.dockerfile(name).partition("FROM ${PYTHON} AS contents\n")[2].partition("RUN ln -s")[0]
        return contents.splitlines()

    assert layers("jupyter-pycaret")[: len(layers("jupyter"))] == layers("jupyter")
    assert layers("jupyter")[: len(layers("workflow"))] == layers("workflow")
    assert layers("airflow")[: len(layers("workflow")) - 1] == layers("workflow")[:-1], "all but DVC's environment"
    assert "apt-get" not in images.dockerfile("serving")


NAMES = ["airflow", "jupyter", "jupyter-pycaret", "kserve", "postgres", "s3", "serving", "workflow"]


@pytest.mark.parametrize("name", NAMES)
def test_the_hash_of_sources_covers_what_the_image_has_and_no_more(name: str) -> None:
    locks = {str(path.relative_to(ROOT)) for path in images.locks_of(name)}
    assert copied(name) == {*images.SOURCES, *images.image_named(name).folders, *locks}


def test_a_change_of_a_dag_concerns_airflows_image_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("airflow", "jupyter", "serving", "workflow")
    for file in ("dags/etl.py", "notebooks/train.ipynb", *(f"requirements/{name}.txt" for name in (*names, "dvc"))):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(file)
    (tmp_path / "compose").mkdir()
    (tmp_path / images.TEMPLATE).write_text("# @environments\n\n# @contents\n")
    monkeypatch.setattr(images, "ROOT", tmp_path)

    def changed_by(file: str) -> set[str]:
        before = {name: images.sources_of(name) for name in names}
        (tmp_path / file).write_text(f"{file} changed")
        return {name for name in names if images.sources_of(name) != before[name]}

    assert changed_by("dags/etl.py") == {"airflow"}
    assert changed_by("notebooks/train.ipynb") == {"jupyter"}
    tags = {name: images.tag_of(name) for name in names}
    assert changed_by("requirements/workflow.txt") == {"airflow", "jupyter", "workflow"}
    assert {name for name in names if images.tag_of(name) != tags[name]} == {"airflow", "jupyter", "workflow"}
    assert changed_by("requirements/dvc.txt") == {"jupyter", "workflow"}
