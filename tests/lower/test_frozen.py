"""``frozen(f)``: weights without gradients and norms in evaluation, in supernets, networks and exported files."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.testing.equality import check_selected
from spacec.testing.inputs import example_inputs
from tests.grammars.record import GRAMMARS
from tests.lower.helpers import disturb, exported

pytestmark = pytest.mark.usefixtures("double")

TEXT = """
space s
input  x: [3, 8]
output y: [2]
def back = conv(3, 4) >> bn >> dropout >> (conv(3) | conv(5))
net = frozen(back) >> conv(1, 5) >> bn >> global_pool >> linear(2)
"""


@pytest.mark.parametrize("kind", ["supernet", "network", "clone", "file"])
def test_frozen_layers_do_not_learn(kind: str) -> None:
    space = spacec.loads(TEXT)
    arch = space.sample()[0]
    supernet = space.supernet(seed=0)
    network = space.network(arch, seed=0)
    models = {"supernet": supernet, "network": network, "clone": supernet.clone(), "file": exported(space, arch)}
    model = models[kind].train()
    x = torch.randn(4, 3, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    out = model(x)
    (out if isinstance(out, torch.Tensor) else out.prediction).square().sum().backward()
    inner = [name for name, _ in model.named_parameters() if name.startswith("frozen_0.")]
    assert inner
    assert all(p.grad is None for n, p in model.named_parameters() if n in inner)
    assert all(p.grad is not None for n, p in model.named_parameters() if n not in inner)
    assert x.grad is not None, "gradients flow through"
    changed = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
    assert changed
    assert not any(n.startswith("frozen_0.") for n in changed)
    assert all(m.training != n.startswith("frozen_0.") for n, m in model.named_modules() if isinstance(m, nn.Dropout))


def test_frozen_weights_are_a_kind_of_their_own() -> None:
    space = spacec.loads(TEXT)
    supernet = space.supernet(seed=0)
    frozen, everything = supernet.parameters_of("frozen"), supernet.parameters_of("all")
    trained = supernet.parameters_of("weight", "norm", "bias")
    assert frozen.keys() | trained.keys() == everything.keys()
    assert not frozen.keys() & trained.keys()
    supernet.freeze("all", frozen=False)
    assert not any(p.requires_grad for p in frozen.values())
    assert sum(p.numel() for p in everything.values()) == space.supernet_params()
    assert sum(p.numel() for p in frozen.values()) == space.frozen_params() > 0
    space.recalibrate_norm(supernet, [(torch.randn(4, 3, 8),)])
    assert bool((supernet.get_submodule("frozen_0.bn_0").running_mean == 0).all())


def test_freezing_renames_no_decision() -> None:
    plain, frozen = (spacec.load(GRAMMARS / "two_modality.space", preset="tiny", freeze=k) for k in (0, 1))
    assert plain.digest == frozen.digest
    assert plain.supernet_params() == frozen.supernet_params()
    supernet = frozen.supernet(seed=1)
    disturb(supernet, 1)
    inputs = example_inputs(frozen, sizes={"T": 6})
    for k, arch in enumerate(frozen.sample(4, seed=2)):
        check_selected(frozen, supernet, arch, inputs, training=k % 2 == 0)


def test_tied_weights_are_frozen_everywhere_or_nowhere() -> None:
    text = "space s\ninput x: [3, 8]\noutput y: [3, 8]\ntied f = conv(3)\nnet = frozen(f) >> f\n"
    with pytest.raises(SpacecError, match="two different layers share the weights"):
        spacec.loads(text).supernet()
