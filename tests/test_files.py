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
