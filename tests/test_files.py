"""Small and long JSON files."""

import json

import pytest

from mtpd import files

ROWS = [
    {"image_id": 7, "category_id": 90, "bbox": [0.1, 1e-3, 333.333, 2.0], "score": 0.30103},
    {"image_id": 8, "category_id": 1, "bbox": [], "score": 1.0, "segmentation": {"counts": 'a\\b"é0`'}},
]


@pytest.mark.parametrize("indent", [1, None])
def test_json_is_read_back_unchanged(indent, tmp_path):
    files.write_json(tmp_path / "rows.json", ROWS, indent=indent)
    assert files.read_json(tmp_path / "rows.json") == ROWS
    assert list(tmp_path.iterdir()) == [tmp_path / "rows.json"]


def test_small_files_are_for_people_and_long_ones_are_not(tmp_path):
    files.write_json(tmp_path / "small.json", ROWS)
    files.write_json(tmp_path / "long.json", ROWS, indent=None)
    assert len((tmp_path / "small.json").read_text().splitlines()) > 20
    assert len((tmp_path / "long.json").read_text().splitlines()) == 1


def test_long_files_are_written_by_the_encoder_in_c(monkeypatch, tmp_path):
    def slow(*_):
        raise AssertionError("the encoder in Python was used")

    monkeypatch.setattr(json.encoder, "_make_iterencode", slow)
    files.write_json(tmp_path / "rows.json", ROWS, indent=None)
    with pytest.raises(AssertionError, match="Python"):
        files.write_json(tmp_path / "rows.json", ROWS)
    assert files.read_json(tmp_path / "rows.json") == ROWS  # the failed attempt left the file as it was


CODE = """
def double(x):
    \"\"\"Twice.\"\"\"
    # A comment.
    return 2 * x
"""


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (("Twice.", "Two times."), True),
        (("A comment", "Another comment"), True),
        (("    # A", "\n    # A"), True),
        (("2 * x", "3 * x"), False),
        (("    return", "    if x: return"), False),
        (("def double(x)", "def double(y, x=1)"), False),
    ],
)
def test_the_hash_of_code_changes_with_what_it_does(change, same, tmp_path):
    (tmp_path / "module.py").write_text(CODE)
    before = files.code_hash([tmp_path])
    (tmp_path / "module.py").write_text(CODE.replace(*change))
    assert (files.code_hash([tmp_path]) == before) == same


def test_the_hash_of_code_sees_new_modules(tmp_path):
    (tmp_path / "module.py").write_text(CODE)
    before = files.code_hash([tmp_path])
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/other.py").write_text("x = 1\n")
    assert files.code_hash([tmp_path]) != before
