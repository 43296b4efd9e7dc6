"""Which dataset a file belongs to; what is kept of it; and the columns of a file that has changed."""

import io
import tomllib
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.workflow import datasets
from pantheon.workflow.data.origin import Given
from pantheon.workflow.data.spec import Spec
from pantheon.workflow.data.spec_file import read_spec
from pantheon.workflow.take import Taken, again, take, take_here

ROWS = "a,b,y\n" + "".join(f"{i % 7},{i % 3},{'yes' if i % 2 else 'no'}\n" for i in range(200))
OTHER = "height,age,y\n" + "".join(f"{i % 9}.5,{i % 50},{'yes' if i % 2 else 'no'}\n" for i in range(200))
CITIES = "age,city,y\n" + "".join(f"{i % 50},{['Bern', 'Basel'][i % 2]},{i % 3 % 2}\n" for i in range(200))
MORE = "city,age,members,y\n" + "".join(f"{['Bern', 'Wien'][i % 2]},{i % 50},{i % 5},{i % 3 % 2}\n" for i in range(200))


def given(
    state: Path,
    content: str,
    path: str = "/home/me/Mine.csv",
    *,
    target: str = "y",
    size: int | None = None,
    modified: int = 1_000,
    **options: str,
) -> Taken:
    size = len(content.encode()) if size is None else size
    asked = Given(Path(path).name, path, f"~/{Path(path).name}", target, **options)
    return take(state, asked, io.BytesIO(content.encode()), size, modified)


def spec_of(state: Path, name: str) -> Spec:
    return read_spec(state / "data" / f"{name}.toml")


def edit(state: Path, name: str, old: str, new: str) -> None:
    spec = state / "data" / f"{name}.toml"
    assert old in spec.read_text()
    spec.write_text(spec.read_text().replace(old, new, 1))


def files(state: Path) -> list[str]:
    return sorted(path.name for path in (state / "data").iterdir() if not path.name.startswith("."))


def test_a_file_is_kept_with_its_time_and_described_once(tmp_path: Path) -> None:
    taken = given(tmp_path, ROWS)
    assert (taken.name, taken.notes) == ("mine", [])
    assert taken.spec == spec_of(tmp_path, "mine")
    copy = tmp_path / "data" / "mine.csv"
    assert (copy.read_text(), copy.stat().st_mtime_ns, copy.stat().st_mode & 0o777) == (ROWS, 1_000, 0o600)
    assert given(tmp_path, ROWS) == given(tmp_path, ROWS, modified=2_000) == Taken("mine")
    assert datasets.is_known(tmp_path, "mine", "y")


def test_a_file_that_did_not_change_is_not_read(tmp_path: Path) -> None:
    given(tmp_path, ROWS)
    given(tmp_path, "never read", size=len(ROWS))
    assert (tmp_path / "data" / "mine.csv").read_text() == ROWS
    given(tmp_path, ROWS[:-1] + "\n1,2,yes\n", modified=2_000)
    assert (tmp_path / "data" / "mine.csv").read_text() != ROWS


def test_a_file_that_was_cut_off_is_refused_and_the_one_before_stays(tmp_path: Path) -> None:
    given(tmp_path, ROWS)
    with pytest.raises(PantheonError, match=r"Mine\.csv changed while it was read") as error:
        given(tmp_path, ROWS[:50], size=len(ROWS), modified=2_000)
    assert error.value.status == 1
    assert files(tmp_path) == ["mine.csv", "mine.toml"]
    assert (tmp_path / "data" / "mine.csv").read_text() == ROWS


def test_two_files_of_one_name_are_two_datasets(tmp_path: Path) -> None:
    given(tmp_path, ROWS, "/a/train.csv")
    second = given(tmp_path, OTHER, "/b/train.csv")
    assert second.name == "train-y"
    assert "train is made from another file, /a/train.csv. If it replaces that file: DATASET=train" in second.notes[0]
    assert [column.name for column in spec_of(tmp_path, "train-y").columns] == ["height", "age", "y"]
    assert spec_of(tmp_path, "train-y").source.path == "train-y.csv"
    assert given(tmp_path, ROWS, "/a/train.csv").name == "train"
    assert given(tmp_path, OTHER + "1.5,3,no\n", "/b/train.csv", target="", modified=2_000).name == "train-y"
    assert given(tmp_path, CITIES, "/b/TRAIN.csv").name == "train-y-2", "Linux tells letter case apart"


def test_a_file_that_moved_stays_the_same_dataset(tmp_path: Path) -> None:
    given(tmp_path, ROWS, "/a/train.csv")
    assert given(tmp_path, ROWS, "/b/train.csv", modified=5) == Taken("train")
    assert given(tmp_path, ROWS + "1,2,yes\n", "/b/train.csv", modified=6) == Taken("train"), "and may change there"


def test_a_renamed_file_is_a_new_dataset_and_the_twin_is_named(tmp_path: Path) -> None:
    given(tmp_path, ROWS, "/a/train.csv")
    renamed = given(tmp_path, ROWS, "/a/clients.csv")
    assert renamed.name == "clients"
    assert "train has the same content. To use that: DATASET=train" in renamed.notes[0]
    assert given(tmp_path, ROWS, "/a/people.csv", dataset="train").name == "train"


def test_another_target_of_a_file_is_another_dataset(tmp_path: Path) -> None:
    given(tmp_path, ROWS)
    second = given(tmp_path, ROWS, target="a")
    assert (second.name, spec_of(tmp_path, "mine-a").target.column) == ("mine-a", "a")
    assert second.notes == ["~/Mine.csv with the target 'a' is the dataset mine-a"]
    assert given(tmp_path, ROWS, target="a", modified=3) == Taken("mine-a")
    assert given(tmp_path, ROWS, modified=3) == Taken("mine")
    with pytest.raises(PantheonError, match=r"several datasets: mine-a \(TARGET=a\), mine \(TARGET=y\)") as error:
        given(tmp_path, ROWS, target="", modified=4)
    assert error.value.cure == "Add TARGET=."
    with pytest.raises(PantheonError, match="mine predicts 'y', not 'a'"):
        given(tmp_path, ROWS, target="a", dataset="mine")


def test_the_successor_of_a_file_may_have_another_format(tmp_path: Path) -> None:
    given(tmp_path, ROWS)
    edit(tmp_path, "mine", "# ", "# a note of the user's; ")
    given(tmp_path, ROWS.replace(",", ";"), "/home/me/new.txt", dataset="mine", modified=2)
    source = spec_of(tmp_path, "mine").source
    assert (source.path, source.separator) == ("mine.txt", ";")
    assert "a note of the user's" in (tmp_path / "data" / "mine.toml").read_text()
    assert given(tmp_path, ROWS, "/home/me/new.txt", modified=3).name == "mine"
    assert spec_of(tmp_path, "mine").source.separator == ","


def test_what_the_user_set_about_the_layout_stays(tmp_path: Path) -> None:
    given(tmp_path, ROWS)
    edit(tmp_path, "mine", '[source]\nkind = "file"', '[source]\nencoding = "cp1252"\nkind = "file"')
    given(tmp_path, "\n" + ROWS, modified=2)
    assert spec_of(tmp_path, "mine").source.encoding == "cp1252"
    given(tmp_path, "\n" + ROWS, modified=2, infer="again")
    given(tmp_path, "\n" + ROWS, modified=2, infer="again")
    assert spec_of(tmp_path, "mine").source.encoding == "cp1252"


def test_a_file_with_more_columns_in_another_order_keeps_the_spec(tmp_path: Path) -> None:
    given(tmp_path, CITIES)
    before = spec_of(tmp_path, "mine")
    assert given(tmp_path, MORE, modified=2) == Taken("mine")
    assert spec_of(tmp_path, "mine") == before


def test_a_file_that_lost_a_column_is_refused_with_a_cure_that_works(tmp_path: Path) -> None:
    given(tmp_path, MORE)
    with pytest.raises(PantheonError, match="has no column 'members'") as error:
        given(tmp_path, CITIES, modified=2)
    assert error.value.cure.endswith("To infer the columns again and keep your edits: INFER=again")
    assert (tmp_path / "data" / "mine.csv").read_text() == MORE, "the file before stays"
    taken = given(tmp_path, CITIES, modified=2, infer="again")
    assert "columns that the file no longer has: 'members'" in taken.notes
    with pytest.raises(PantheonError, match="has no target 'y'") as error:
        given(tmp_path, CITIES.replace(",y\n", ",why\n"), modified=3)
    assert "INFER=again" not in error.value.cure


def test_columns_are_inferred_again_and_edits_are_kept(tmp_path: Path) -> None:
    given(tmp_path, CITIES)
    edit(tmp_path, "mine", 'name = "age"\ntype = "integer"', 'name = "age"\nmin = 0\ntype = "number"')
    edit(tmp_path, "mine", '"Bern"]', '"Bern", "Chur"]')
    taken = given(tmp_path, MORE, modified=2, infer="again")
    spec = spec_of(tmp_path, "mine")
    assert (spec.column("age").type, spec.column("age").min) == ("number", 0)
    assert spec.column("city").categories == ("Basel", "Bern", "Chur", "Wien")
    assert spec.column("members").role == "feature"
    assert taken.notes[0] == "new columns: 'members'"
    assert "type of 'age'" in taken.notes[1] and "min of 'age'" in taken.notes[1]
    assert "Chur" in (tmp_path / "data" / "mine.toml.bak").read_text()
    third = again(tmp_path, "mine")
    assert third.spec == spec, "edits are still edits"


def test_an_edit_that_does_not_apply_any_more_is_said(tmp_path: Path) -> None:
    given(tmp_path, MORE)
    datasets.leave_out(tmp_path, "mine", "members,city")
    edit(tmp_path, "mine", 'name = "age"', 'name = "age"\nmin = 5')
    words = "age,city,y\n" + "".join(
        f"{['old', 'young'][i % 2]},{['Bern', 'Wien'][i % 2]},{i % 3 % 2}\n" for i in range(200)
    )
    taken = given(tmp_path, words, modified=2, infer="again")
    spec = spec_of(tmp_path, "mine")
    assert (spec.column("age").type, spec.column("city").role) == ("category", "ignore")
    assert "your edits, which no longer apply: role of 'members', min of 'age'" in taken.notes


def test_a_dataset_of_an_earlier_version_is_recognised_by_its_columns(tmp_path: Path) -> None:
    given(tmp_path, CITIES)
    edit(tmp_path, "mine", 'name = "age"', 'name = "age"\nmin = 0')
    (tmp_path / "data" / ".origin" / "mine.json").unlink()
    assert given(tmp_path, ROWS, "/b/mine.csv").name == "mine-2", "another file"
    assert given(tmp_path, MORE, modified=2).name == "mine"
    assert given(tmp_path, MORE, modified=2, infer="again").spec == spec_of(tmp_path, "mine")
    assert spec_of(tmp_path, "mine").column("age").min == 0


def test_a_table_that_was_not_found_can_be_described(tmp_path: Path) -> None:
    """Another table is above it: the draft says how the file is read."""
    deep = "p,q,r\n" + "1,2,3\n" * 29 + ROWS
    with pytest.raises(PantheonError, match=r"~/Mine\.csv has no target 'y'") as error:
        given(tmp_path, deep)
    draft = tmp_path / "data" / "mine.draft"
    assert str(draft) in error.value.cure
    assert files(tmp_path) == ["mine.draft"]
    assert tomllib.loads(draft.read_text())["source"]["skip"] == 0
    with pytest.raises(PantheonError, match="has no target 'y'"):
        given(tmp_path, deep)
    draft.write_text(draft.read_text().replace("skip = 0", "skip = 30"))
    taken = given(tmp_path, deep)
    assert taken.spec and [column.name for column in taken.spec.columns] == ["a", "b", "y"]
    assert files(tmp_path) == ["mine.csv", "mine.toml"]
    again(tmp_path, "mine")
    assert spec_of(tmp_path, "mine").source.skip == 30
    with pytest.raises(PantheonError, match="has no target 'y'"):
        given(tmp_path, deep, "/b/deep.csv")
    draft = tmp_path / "data" / "deep.draft"
    draft.write_text(draft.read_text().replace("skip = 0", 'skip = "30"'))
    with pytest.raises(PantheonError, match="skip = '30' is not valid"):
        given(tmp_path, deep, "/b/deep.csv")


def test_a_notebook_finds_the_same_dataset(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "My Cities.csv").write_text(CITIES)
    assert take_here(tmp_path, "My Cities.csv", "y").name == "my-cities"
    assert spec_of(tmp_path, "my-cities").source.path == "My Cities.csv"
    (tmp_path / "data" / "My Cities.csv").write_text(MORE)
    assert take_here(tmp_path, "My Cities.csv", "y").spec is None
    assert take_here(tmp_path, "My Cities.csv", "y", infer="again").notes[0] == "new columns: 'members'"
    assert take_here(tmp_path, "My Cities.csv", "age").name == "my-cities-age"
    assert given(tmp_path, OTHER, "/home/me/my_cities.csv").name == "my-cities-y", "the copy has another name"
    assert (tmp_path / "data" / "My Cities.csv").read_text() == MORE


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("Sales 2024.csv.gz", "sales-2024"),
        ("sales.2024.csv", "sales-2024"),
        ("robots.csv", "robots-2"),
        ("данные.csv", "data"),
        ('it\'s; "x".csv', "it-s-x"),
    ],
)
def test_a_dataset_is_named_after_its_file(tmp_path: Path, name: str, dataset: str) -> None:
    assert given(tmp_path, ROWS, f"/a/{name}").name == dataset


@pytest.mark.parametrize("name", ["robots", "a/b", ".."])
def test_a_name_that_cannot_be_used_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PantheonError, match="DATASET="):
        given(tmp_path, ROWS, dataset=name)


def test_a_dataset_without_a_file_is_not_inferred_again(tmp_path: Path) -> None:
    with pytest.raises(PantheonError, match="'robots' has no file"):
        again(tmp_path, "robots")


def test_an_edited_spec_counts_before_the_one_that_ships(tmp_path: Path) -> None:
    assert datasets.spec_of(tmp_path, "robots") == datasets.SHIPPED / "robots.toml"
    own = tmp_path / "data" / "robots.toml"
    own.parent.mkdir()
    own.write_text('[target]\ncolumn = "mood"\n')
    assert datasets.spec_of(tmp_path, "robots") == own
    assert datasets.is_known(tmp_path, "robots", "mood")
    assert not datasets.is_known(tmp_path, "../data/robots", "")
    with pytest.raises(PantheonError, match="no dataset 'robotz'") as error:
        datasets.spec_of(tmp_path, "robotz")
    assert "There are: breast_cancer" in error.value.cure
