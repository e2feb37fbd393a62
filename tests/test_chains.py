import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtpd.experiment import chains

names = st.from_regex(chains.NAME, fullmatch=True).filter(lambda name: name != chains.NO_TEACHER)
stages = st.builds(
    chains.Stage,
    st.lists(names, max_size=3, unique=True).map(tuple),
    st.integers(min_value=1, max_value=999),
)


@given(st.lists(stages, min_size=1, max_size=4).map(lambda s: chains.Chain(tuple(s))))
def test_a_chain_reads_back_as_it_was_written(chain):
    assert chains.parse(str(chain)) == chain


def test_parent_and_prefixes():
    chain = chains.parse("r101@12+x101@12")
    assert str(chain.parent) == "r101@12"
    assert chain.parent.parent is None
    assert [str(prefix) for prefix in chain.prefixes] == ["r101@12", "r101@12+x101@12"]
    assert chain.epochs == 24


@pytest.mark.parametrize("text", ["", "r101", "r101@0", "r101@12+", "none~r@3", "a~a@3", "../x@3", "a@3/b@4"])
def test_what_is_not_a_chain_is_refused(text):
    with pytest.raises(ValueError):
        chains.parse(text)


@given(st.lists(names, min_size=1, max_size=5, unique=True), st.integers(5, 100))
def test_epochs_are_shared_evenly(teachers, epochs):
    chain = chains.split_evenly(teachers, epochs)
    lengths = [stage.epochs for stage in chain.stages]
    assert chain.epochs == epochs
    assert max(lengths) - min(lengths) <= 1
    assert chain.teachers == tuple(teachers)
