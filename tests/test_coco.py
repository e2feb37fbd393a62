"""Reading the classes of annotation files."""

from pathlib import Path

from mtpd import files
from mtpd.data import coco
from mtpd.datasets import shapes


def test_categories_of_a_large_file_are_parsed_once(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "large.json"
    path.write_text(Path(dataset["train"]["annotations"]).read_text(encoding="utf-8"))
    known = coco.categories_of(path)
    assert [category["name"] for category in known] == list(shapes.CLASSES)
    assert not (tmp_path / "work").exists()
    monkeypatch.setattr(files, "LARGE", 1)
    assert coco.categories_of(path) == known
    with monkeypatch.context() as patch:
        patch.setattr(coco, "_parsed_categories", None)
        assert coco.categories_of(path) == known
    path.write_text(path.read_text().replace(f'"{shapes.CLASSES[0]}"', '"another"'))
    assert coco.classes_of(path)[0] == "another"
    assert len(list((tmp_path / "work/categories").iterdir())) == 2
