"""JSON that an import writes again: what nobody changed as it stood, what was changed as it is now."""

import gc
import json

import pytest
from data_folders import Pair, write_json

from mtpd.datasets import texts

ONE = '{"id": 1, "iscrowd": true, "area": 1e2, "bbox": [0.10, 2, 3, 4]}'
TWO = '{"id":2,"iscrowd":0,"area":0.30000000000000004,"bbox":[0,0,1,1]}'


def written(tmp_path, content):
    texts.write(tmp_path / "out.json", content)
    return (tmp_path / "out.json").read_text(encoding="utf-8")


def whole(*objects, after=""):
    return f'{{"images": [], "annotations": [{", ".join(objects)}], "info": {{}}{after}}}\n'


def test_unchanged_objects_keep_their_text(tmp_path):
    assert written(tmp_path, texts.parsed(whole(ONE, TWO))) == whole(ONE, TWO)
    assert written(tmp_path, texts.parsed(whole())) == whole()


@pytest.mark.parametrize("between", [",", ",\n\n  ", " , "])
def test_a_changed_object_is_written_as_it_is(between, tmp_path):
    content = texts.parsed(whole(between.join((ONE, TWO, ONE))))
    content["annotations"][1]["iscrowd"] = 1
    del content["annotations"][0]["area"]
    changed = [json.dumps(item) for item in content["annotations"][:2]]
    assert written(tmp_path, content) == whole(*changed, ONE)


def test_an_equal_value_of_another_type_is_a_change(tmp_path):
    content = texts.parsed(whole(ONE, TWO))
    content["annotations"][0]["iscrowd"] = 1
    assert json.loads(written(tmp_path, content))["annotations"][0]["iscrowd"] is not True


def test_objects_that_are_left_out_added_or_moved(tmp_path):
    content = texts.parsed(whole(ONE, TWO, ONE))
    first, second, third = content["annotations"]
    for items in ([second], [first, third], [third, first], [first, {"id": 9}, second], []):
        text = written(tmp_path, {**content, "annotations": items})
        assert json.loads(text)["annotations"] == items


@pytest.mark.parametrize(
    "text",
    [
        whole('{"a": [{"b": 1}, {"b": 2}]}', TWO),
        whole('{"a": "}, {"}', TWO),
        whole('{"a": "é"}', TWO),
        whole('{"a": "\\ud800"}', TWO),
        whole('{"id": 1, "id": 2}', TWO),
        whole("1", TWO),
        whole(TWO, after=', "annotations": []'),
        f'{{"info": {{"annotations": [{ONE}]}}, "annotations": [{TWO}]}}',
        f'{{"info": {{"annotations": [{ONE}]}}, "annotations": []}}',
        f'{{"info": "\\"annotations\\": [", "annotations": [{TWO}]}}',
        '{"annotations": {}}',
        "{}",
    ],
)
def test_whatever_stands_in_it_is_read_and_written_as_json_does(text, tmp_path):
    content = texts.parsed(text)
    assert {key: value for key, value in content.items() if key != texts.KEPT} == json.loads(text)
    assert json.loads(written(tmp_path, content)) == json.loads(text)


@pytest.mark.parametrize("text", ["", "[1, 2", '{"annotations": [1, 2', '{"annotations": []} more'])
def test_errors_are_those_of_json(text):
    with pytest.raises(ValueError) as expected:
        json.loads(text)
    with pytest.raises(ValueError) as found:
        texts.parsed(text)
    assert str(found.value) == str(expected.value)


def test_sound_objects_are_imported_with_their_text(tmp_path):
    pair = Pair(tmp_path)
    pair.train["annotations"][3]["iscrowd"] = False
    pair.imported()
    text = (pair.data / "train.json").read_text(encoding="utf-8")
    found = (pair.out / "train.json").read_text(encoding="utf-8")
    objects = text[text.index('"annotations"') : text.index('"categories"')]
    assert objects.replace("false", "0") in found
    # A file that people have spread over lines.
    write_json(pair.data / "val.json", pair.val)
    (pair.data / "train.json").write_text(json.dumps(pair.train, indent=4), encoding="utf-8")
    pair.report = super(Pair, pair).imported(strict=False)
    assert pair.content() == pair.sound
    spread = (pair.data / "train.json").read_text(encoding="utf-8")
    first = spread[spread.index("{", spread.index('"annotations"')) :].partition("}")[0]
    assert first in (pair.out / "train.json").read_text(encoding="utf-8")
    assert gc.isenabled()
