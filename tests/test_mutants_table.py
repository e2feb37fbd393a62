"""The table of mutants still applies to the code; ``make test-mutants`` runs it."""

import pytest
from conftest import PROJECT
from mutants import MUTANTS


@pytest.mark.parametrize(("file", "text", "other", "tests"), MUTANTS)
def test_a_mutant_changes_one_place_and_names_tests(file, text, other, tests):
    assert (PROJECT / "src/mtpd" / file).read_text(encoding="utf-8").count(text) == 1
    assert text != other
    for name in tests.split():
        assert not name.endswith(".py") or (PROJECT / "tests" / name).exists()
