"""The denoising task: photographs, splits, noise, patches, PSNR and baselines."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from spacec.diagnostics.model import SpacecError
from spacec.search.loader import Stream, ordered
from spacec.search.task import Forward, Output
from spacec.search.tasks import extras
from spacec.search.tasks.baselines import BLUR_WIDTHS, best_of, evaluate_baselines, gaussian_blur, nonlocal_means
from spacec.search.tasks.denoise import Denoise
from spacec.search.tasks.patches import ImageSplit, Noise, PatchSplit, centre_crop, dihedral, psnr, undo_dihedral
from spacec.search.tasks.photographs import PHOTOGRAPHS, load, photographs

SIDES = ("weights", "arch", "test")


@pytest.fixture(scope="module")
def task() -> Denoise:
    return Denoise({"patches": "64"})


def test_every_photograph_is_in_the_wheel_and_large_enough_for_a_patch() -> None:
    assert len(PHOTOGRAPHS) == 17
    for photograph in PHOTOGRAPHS:
        image = load(photograph, 1)
        assert image.dtype == torch.uint8
        assert image.shape[0] == 1
        assert min(image.shape[-2:]) >= 128
        assert image.float().std() > 1


def test_no_photograph_is_on_two_sides_and_stereo_pairs_stay_together() -> None:
    names = [p.name for p in PHOTOGRAPHS]
    files = [p.file for p in PHOTOGRAPHS]
    assert len(set(names)) == len(names) == len(set(files))
    assert {p.side for p in PHOTOGRAPHS if p.name.startswith("motorcycle")} == {"weights"}
    for channels in (1, 3):
        for side in SIDES:
            assert photographs(side, channels)


def test_no_two_sides_share_a_scene(task: Denoise) -> None:
    """Normalised thumbnails of the sides correlate little; those of the stereo pair correlate highly."""

    def thumbnail(image: torch.Tensor) -> torch.Tensor:
        small = torch.nn.functional.interpolate(image[None].float(), (24, 24), mode="area").flatten()
        return (small - small.mean()) / small.std(correction=0)

    thumbs = {side: {n: thumbnail(i) for n, i in task.images(side).items()} for side in SIDES}
    between = [
        abs(float((a * b).mean()))
        for one, other in (("weights", "test"), ("arch", "test"), ("weights", "arch"))
        for a in thumbs[one].values()
        for b in thumbs[other].values()
    ]
    pair = thumbs["weights"]["motorcycle-left"] * thumbs["weights"]["motorcycle-right"]
    assert max(between) < 0.6 < float(pair.mean())


def test_colour_uses_colour_photographs_only() -> None:
    image = load(photographs("test", 3)[0], 3)
    assert image.shape[0] == 3
    assert not torch.equal(image[0], image[2])
    assert all(p.colour for side in SIDES for p in photographs(side, 3))


def test_batches_are_equal_across_workers_and_processes(task: Denoise) -> None:
    split = task.splits(3).weights
    alone = Stream(split, "weights", seed=5, batch_size=8, steps=4)
    shared = Stream(split, "weights", seed=5, batch_size=8, steps=4, workers=2)
    for a, b in zip(alone.epoch(1), shared.epoch(1), strict=True):
        assert torch.equal(a.inputs["noisy"], b.inputs["noisy"])
        assert torch.equal(a.target, b.target)
    assert torch.equal(alone.batch(1, 2).target, list(alone.epoch(1))[2].target)
    assert not torch.equal(alone.batch(1, 2).target, alone.batch(2, 2).target)


def test_the_fixed_form_does_not_depend_on_grouping_or_generator(task: Denoise) -> None:
    split = task.splits(0).arch
    whole = next(ordered(split, 8)).inputs["noisy"]
    singles = torch.cat([b.inputs["noisy"] for b in ordered(split, 1, limit=8)])
    assert torch.equal(whole, singles)
    again = split.fetch(range(8), torch.Generator().manual_seed(99), train=False)
    assert torch.equal(whole, again.inputs["noisy"])


def test_test_noise_is_fixed_whatever_the_seed_of_the_run(task: Denoise) -> None:
    a, b = task.splits(0).test, task.splits(1).test
    assert isinstance(a, ImageSplit)
    assert isinstance(b, ImageSplit)
    assert all(torch.equal(a.noisy[n], b.noisy[n]) for n in a.names)
    assert a.names == ("camera", "chelsea", "coffee", "coins")
    other = Denoise({"noise_seed": 1}).fixed_images("test")
    assert not torch.equal(a.noisy["camera"], other.noisy["camera"])


def test_patches_are_cut_from_every_image_equally_often_and_lie_inside() -> None:
    images = [torch.full((1, 20, 30), value, dtype=torch.uint8) for value in (10, 200, 90)]
    split = PatchSplit(images, 12, 16, Noise(1e-9), seed=0)
    batch = split.fetch(range(12), torch.Generator().manual_seed(0), train=True)
    found = [round(v * 255) for v in batch.target.mean((1, 2, 3)).tolist()]
    assert sorted(found) == sorted([10, 200, 90] * 4)
    assert batch.target.shape == (12, 1, 16, 16)


def test_noise_has_the_stated_deviation() -> None:
    clean = torch.full((1, 400, 400), 0.5)
    noisy = Noise(30.0).add(clean, torch.Generator().manual_seed(0))
    assert float((noisy - clean).std()) * 255 == pytest.approx(30, rel=0.01)
    assert abs(float((noisy - clean).mean())) * 255 < 0.3


def test_quantised_noise_is_clipped_and_made_of_whole_levels() -> None:
    clean = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(1))
    noisy = Noise(70.0, quantise=True).add(clean, torch.Generator().manual_seed(2)) * 255
    assert float(noisy.min()) == 0
    assert float(noisy.max()) == 255
    torch.testing.assert_close(noisy, noisy.round(), rtol=0, atol=1e-4)
    plain = Noise(70.0).add(clean, torch.Generator().manual_seed(2)) * 255
    torch.testing.assert_close(noisy, plain.clamp(0, 255).floor(), rtol=0, atol=1e-3)


@given(st.integers(0, 7))
def test_symmetries_are_undone(mode: int) -> None:
    image = torch.arange(24.0).reshape(1, 1, 4, 6)
    assert torch.equal(undo_dihedral(dihedral(image, mode), mode), image)


def test_the_eight_symmetries_differ() -> None:
    image = torch.arange(9.0).reshape(1, 3, 3)
    assert len({tuple(dihedral(image, m).flatten().tolist()) for m in range(8)}) == 8


@given(st.floats(0.01, 0.5), st.integers(1, 3))
def test_psnr_of_a_constant_error_is_its_closed_form(error: float, batch: int) -> None:
    clean = torch.full((batch, 1, 5, 7), 0.5)
    found = psnr(clean + error, clean)
    assert found.shape == (batch,)
    assert found.tolist() == pytest.approx([-20 * math.log10(error)] * batch, abs=1e-4)


def test_psnr_clips_and_a_perfect_answer_is_infinite() -> None:
    clean = torch.ones(1, 1, 4, 4)
    assert float(psnr(clean + 5, clean)) == math.inf
    assert float(psnr(clean * 0 - 3, clean)) == pytest.approx(0)


def forward_of(network: Callable[[Tensor], Tensor]) -> Forward:
    """A function on ``[B, C, H, W]`` as the task asks networks."""
    return lambda inputs: Output(out := network(inputs["noisy"]), {"clean": out})


def test_self_ensemble_averages_the_symmetries_and_only_in_the_final_report() -> None:
    task = Denoise({"self_ensemble": True, "crop": 64})
    batch = next(ordered(task.splits(0).test, 2))
    ramp = torch.linspace(0, 1, 64).expand(64, 64)
    forward = forward_of(lambda x: x + ramp)
    plain = task.predict(forward, batch, final=False).prediction
    assert torch.equal(plain, batch.inputs["noisy"] + ramp)
    averaged = task.predict(forward, batch, final=True).prediction - batch.inputs["noisy"]
    torch.testing.assert_close(averaged, torch.full_like(averaged, 0.5), atol=1e-5, rtol=0)


def test_per_image_and_pictures_agree_with_the_meter(task: Denoise) -> None:
    splits = task.splits(0)
    forward = forward_of(lambda x: 0.5 * x + 0.2)
    per_image = task.per_sample(forward, splits)
    meter = task.meter()
    for batch in ordered(splits.test, 4):
        meter.update(forward(batch.inputs), batch)
    assert meter.result()["psnr"] == pytest.approx(sum(per_image.values()) / len(per_image))
    pictures = task.pictures(forward, splits)
    assert set(pictures) == {f"{n}.{kind}" for n in per_image for kind in ("noisy", "denoised", "clean")}
    found = psnr(pictures["coins.denoised"][None], pictures["coins.clean"][None])
    assert float(found) == pytest.approx(per_image["coins"], abs=1e-6)


def test_gaussian_blur_equals_scipy() -> None:
    image = torch.rand(2, 40, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for width in (0.3, 1.0, 2.7):
        expected = np.stack([ndimage.gaussian_filter(c, width, mode="mirror", truncate=4.0) for c in image.numpy()])
        np.testing.assert_allclose(gaussian_blur(image, width).numpy(), expected, atol=1e-12)


def test_the_blur_baseline_recomputed_with_scipy(task: Denoise) -> None:
    """Width chosen on the training photographs, judged on the held-out ones: all by other code."""

    def judge(width: float, images: ImageSplit) -> dict[str, float]:
        found = {}
        for name in images.names:
            noisy, clean = images.noisy[name][0].double().numpy(), images.clean[name][0].double().numpy()
            blurred = np.clip(ndimage.gaussian_filter(noisy, width, mode="mirror", truncate=4.0), 0, 1)
            found[name] = 10 * math.log10(1 / np.mean((blurred - clean) ** 2))
        return found

    train, test = task.fixed_images("weights"), task.fixed_images("test")
    best = max(BLUR_WIDTHS, key=lambda w: np.mean(list(judge(w, train).values())))
    noisy, blur = evaluate_baselines(train, test, 30 / 255, nlm=False)
    assert blur.parameters == {"width": best}
    assert blur.per_sample == pytest.approx(judge(best, test), abs=1e-3)
    assert blur.mean == pytest.approx(np.mean(list(judge(best, test).values())), abs=1e-3)
    assert noisy.mean < 20 < 25 < blur.mean


def test_the_blur_is_not_tuned_on_the_held_out_images() -> None:
    """At this noise level the two sides disagree on the best width, so using the wrong side would show."""
    task = Denoise({"sigma": 70})
    best = {
        side: best_of(BLUR_WIDTHS, lambda s: lambda x: gaussian_blur(x, s), task.fixed_images(side))
        for side in ("weights", "test")
    }
    assert best["weights"] != best["test"]
    _, blur, _ = task.baselines()
    assert blur.parameters == {"width": best["weights"]}


def test_the_best_value_is_inside_the_range_tried(task: Denoise) -> None:
    train = task.fixed_images("weights")
    width = best_of(BLUR_WIDTHS, lambda s: lambda x: gaussian_blur(x, s), train)
    assert BLUR_WIDTHS[0] < width < BLUR_WIDTHS[-1]


@pytest.mark.parametrize("channels", [1, 3])
def test_nonlocal_means_beats_the_blur(channels: int) -> None:
    task = Denoise({"channels": channels, "crop": 128})
    images = task.fixed_images("test")
    for name in images.names:
        clean, noisy = images.clean[name][None], images.noisy[name]
        cleaned = nonlocal_means(noisy, 30 / 255, 0.7 * 30 / 255)
        assert cleaned.shape == noisy.shape
        assert float(psnr(cleaned[None], clean)) > float(psnr(gaussian_blur(noisy, 1.0)[None], clean))


@given(st.integers(64, 200), st.integers(64, 200))
@settings(max_examples=20)
def test_centre_crops_are_multiples_and_centred(height: int, width: int) -> None:
    rows = torch.arange(height)[:, None].expand(height, width)
    found = centre_crop(rows[None], None)
    assert found.shape[-2] % 64 == 0
    assert found.shape[-1] % 64 == 0
    above, below = int(found[0, 0, 0]), height - 1 - int(found[0, -1, 0])
    assert 0 <= below - above <= 1


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(SpacecError) as caught:
        load(PHOTOGRAPHS[0], 1)
    (found,) = caught.value.diagnostics
    assert found.code == "E0720"
    assert "scikit-image" in found.headline
    assert found.help == 'pip install "spacec[data]"'


def test_a_photograph_that_the_wheel_lacks_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr("spacec.search.tasks.photographs.package_folder", lambda *a: tmp_path)
    with pytest.raises(SpacecError) as caught:
        load(PHOTOGRAPHS[0], 1)
    assert caught.value.diagnostics[0].code == "E0721"
    assert PHOTOGRAPHS[0].file in caught.value.diagnostics[0].headline
