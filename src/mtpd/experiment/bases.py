"""``base`` of a recipe: the recipe whose keys it has, apart from those that it gives itself."""

from __future__ import annotations

from typing import Any

from mtpd.experiment.errors import ConfigError, expected

KEY = "base"


def with_bases(config: dict[str, Any], source: str) -> dict[str, Any]:
    """The experiment file with every recipe written out: it has the keys of its base, and none is ``base``.

    A key that a recipe gives replaces that of its base as a whole, as ``<<`` of YAML does.

    Args:
        config: content of the experiment file, merged onto what it includes.
        source: its name, for errors.

    Raises:
        ConfigError: a base is no recipe, or a recipe is its own base, directly or through others.
    """
    recipes = config.get("recipes")
    if not isinstance(recipes, dict):
        return config
    return {**config, "recipes": {name: _written_out(recipes, (name,), source) for name in recipes}}


def _written_out(recipes: dict[str, Any], names: tuple[str, ...], source: str) -> Any:
    """The last one of ``names``, each of which is the base of the one before."""
    recipe = recipes[names[-1]]
    base = recipe.get(KEY) if isinstance(recipe, dict) else None
    if not isinstance(base, str):
        return recipe  # without a base, or the schema says what is wrong
    key = f"{source}: recipes.{names[-1]}.{KEY}"
    if base not in recipes:
        others = [str(name) for name in recipes if name not in names]
        raise ConfigError(f"{key}: found {base!r}, {expected(base, others)}")
    if base in names:
        circle = " -> ".join((*names[names.index(base) :], base))
        raise ConfigError(f"{key}: found a circle: {circle}; expected one of them to have no base")
    inherited = _written_out(recipes, (*names, base), source)
    if not isinstance(inherited, dict):
        return recipe
    return {**inherited, **{name: value for name, value in recipe.items() if name != KEY}}
