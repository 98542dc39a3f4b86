"""Plugins load one by one, a broken one costs only itself, and nothing heavy is imported."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable

import pytest

from spacec.diagnostics.model import SpacecError
from spacec.hooks import HOOKS, Registry, StrategyDescriptor, hookimpl, load_plugins, specs
from spacec.hooks.manager import Candidate, entry_points


def plugin(name: str, hooks: dict[str, Callable[..., object]], **attributes: object) -> Candidate:
    module = types.SimpleNamespace(**{hook: hookimpl(f) for hook, f in hooks.items()}, **attributes)
    return Candidate(name, f"spacec-{name}", "1.0", lambda: module)


def strategy(name: str = "walk", target: str = "no_such_module:Walk") -> StrategyDescriptor:
    return StrategyDescriptor(name, "walks about", target)


def strategies(*items: StrategyDescriptor) -> dict[str, Callable[..., object]]:
    return {"spacec_strategies": lambda: list(items)}


def load(*candidates: Candidate) -> Registry:
    return load_plugins(candidates)


def only_problem(registry: Registry) -> str:
    (problem,) = registry.problems
    return str(problem)


def test_the_host_comes_first_and_offers_its_ops_and_tasks() -> None:
    registry = load()
    assert [p.name for p in registry.plugins] == ["spacec"]
    assert {"conv", "bn", "linear", "sum"} <= set(registry.names("spacec_ops"))
    assert {"denoise", "digits", "mnist", "breast-cancer"} <= set(registry.names("spacec_tasks"))
    assert registry.ops().get("conv") is not None


def test_plugins_load_in_the_order_of_their_names() -> None:
    registry = load(plugin("b", strategies(strategy("two"))), plugin("a", strategies(strategy("one"))))
    assert [p.name for p in registry.plugins] == ["spacec", "a", "b"]
    assert registry.names("spacec_strategies") == ("one", "two")
    assert not registry.problems


def raising(error: BaseException) -> Callable[[], object]:
    def f() -> object:
        raise error

    return f


BROKEN = {
    "import": (
        Candidate("bad", "spacec-bad", "1.0", raising(ModuleNotFoundError("No module named 'jax'", name="jax"))),
        "importing it raised ModuleNotFoundError: No module named 'jax'",
    ),
    "exit": (Candidate("bad", "spacec-bad", "1.0", raising(SystemExit(3))), "importing it raised SystemExit: 3"),
    "hook": (
        plugin("bad", {"spacec_strategies": raising(RuntimeError("no"))}),
        "spacec_strategies raised RuntimeError",
    ),
    "argument": (plugin("bad", {"spacec_strategies": lambda registry: []}), "hooks do not fit"),
    "unknown hook": (plugin("bad", {"spacec_stratagems": lambda: []}), "spacec_stratagems"),
    "not a list": (
        plugin("bad", {"spacec_strategies": lambda: strategy()}),
        "returned a StrategyDescriptor, not a list",
    ),
    "wrong item": (plugin("bad", {"spacec_strategies": lambda: ["walk"]}), "a list with a str in it"),
    "twice": (plugin("bad", strategies(strategy(), strategy())), "returned 'walk' twice"),
    "target": (
        plugin("bad", {"spacec_strategies": lambda: [strategy(target="spacec_walk")]}),
        "'walk' has target 'spacec_walk', which is not of the form 'module:attr'",
    ),
    "too new": (plugin("bad", strategies(strategy()), SPACEC_API=(90, 91)), "needs versions 90 to 91"),
    "too old": (plugin("bad", strategies(strategy()), SPACEC_API=(0, 0)), "needs version 0"),
    "version": (plugin("bad", strategies(strategy()), SPACEC_API=">=1"), "SPACEC_API is '>=1'"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_costs_only_itself_and_says_why(case: str) -> None:
    bad, reason = BROKEN[case]
    registry = load(plugin("zzz", strategies(strategy("other"))), bad)
    assert [p.name for p in registry.plugins] == ["spacec", "zzz"]
    assert registry.names("spacec_strategies") == ("other",)
    assert only_problem(registry).startswith("plugin 'bad' of spacec-bad 1.0: ")
    assert reason in only_problem(registry)


def test_a_clash_names_both_owners_and_keeps_the_rest() -> None:
    first = plugin("a", strategies(strategy("walk", "spacec_a:Walk")))
    second = plugin("b", strategies(strategy("walk", "spacec_b:Walk"), strategy("run")))
    registry = load(second, first)
    assert registry.find("spacec_strategies", "walk").target == "spacec_a:Walk"
    assert registry.names("spacec_strategies") == ("run", "walk")
    assert "spacec-b 1.0" in only_problem(registry)
    assert "spacec-a 1.0" in only_problem(registry)


def test_a_plugin_cannot_replace_an_op_of_the_host() -> None:
    from spacec.hooks import OpDescriptor

    mine = OpDescriptor("conv", "another convolution", "spacec_a:rule", "spacec_a:lowering")
    registry = load(plugin("a", {"spacec_ops": lambda: [mine]}))
    assert "its op 'conv' is not used: spacec " in only_problem(registry)
    conv = registry.ops().get("conv")
    assert conv is not None
    assert conv.origin == "spacec"


def test_an_unknown_strategy_is_no_name_to_install() -> None:
    with pytest.raises(SpacecError) as caught:
        load().find("spacec_strategies", "darts")
    (found,) = caught.value.diagnostics
    assert found.code == "E0710"
    assert found.headline == "strategy 'darts' is not installed"
    assert "strategies come with plugins" in found.notes[1]
    assert found.help == ""
    assert "spacec-darts" not in "".join(found.notes)


def test_an_unknown_strategy_suggests_the_nearest() -> None:
    with pytest.raises(SpacecError) as caught:
        load(plugin("a", strategies(strategy("darts")))).find("spacec_strategies", "drats")
    (found,) = caught.value.diagnostics
    assert found.help == "did you mean 'darts'?"
    assert found.notes == ("installed: darts",)


def test_a_missing_strategy_whose_plugin_is_broken_says_so() -> None:
    broken = Candidate("darts", "spacec-darts", "1.0", raising(ImportError("torch is too old")))
    with pytest.raises(SpacecError) as caught:
        load(broken).find("spacec_strategies", "darts")
    assert any("torch is too old" in note for note in caught.value.diagnostics[0].notes)


def test_a_target_is_imported_when_asked_for_and_its_failure_is_a_diagnostic() -> None:
    registry = load(plugin("a", strategies(strategy(target="no_such_module:Walk"), strategy("j", "json:lods"))))
    with pytest.raises(SpacecError) as caught:
        registry.find("spacec_strategies", "walk").load()
    (found,) = caught.value.diagnostics
    assert found.code == "E0713"
    assert "No module named 'no_such_module'" in found.notes[1]
    with pytest.raises(SpacecError) as caught:
        registry.find("spacec_strategies", "j").load()
    assert "nearest name: 'loads'" in caught.value.diagnostics[0].notes[1]
    import json

    assert strategy(target="json:loads").load() is json.loads


def test_a_rule_given_by_name_is_imported_at_its_first_use() -> None:
    from spacec.hooks import OpDescriptor
    from spacec.ir.types import TensorType

    lazy = OpDescriptor("same", "the input", "spacec.std.rules:pointwise", "spacec_a:lowering")
    gone = OpDescriptor("gone", "nothing", "no_such_module:rule", "spacec_a:lowering")
    ops = load(plugin("a", {"spacec_ops": lambda: [lazy, gone]})).ops()
    same, missing = ops.get("same"), ops.get("gone")
    assert same is not None
    assert missing is not None
    image = TensorType(3, (8, 8))
    assert same.rule({}, (image,)).type == image
    with pytest.raises(SpacecError, match="the rule of op 'gone'"):
        missing.rule({}, (image,))


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_and_named_in_the_table(hook: str) -> None:
    assert getattr(specs, hook).__doc__


def test_the_table_names_every_hook() -> None:
    assert set(HOOKS) == {name for name in vars(specs) if name.startswith("spacec_")}


def test_installed_entry_points_are_found_once() -> None:
    names = [(c.name, c.distribution) for c in entry_points()]
    assert len(names) == len(set(names))


def test_reading_what_is_installed_imports_no_torch() -> None:
    code = "import sys; from spacec.hooks import installed; installed(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
