"""Laws of what the network is told of the whole picture."""

from dataclasses import replace

import pytest
import torch
from golden import TINY
from shapes import TOLD, close, ours_network, same_picture

from moce_cli.errors import ConfigError
from moce_cli.network import SCENE_SIZE, MoCEIR, block_means, scene_of


def scene(picture):
    return scene_of(block_means(picture))


def test_a_flat_picture_is_its_colour_everywhere():
    colour = torch.tensor([0.7, 0.2, 0.4])
    told = scene(colour[None, :, None, None].expand(2, 3, 40, 17))
    assert told.shape == (2, SCENE_SIZE)
    close(told[0].view(4, -1), torch.tensor([0.7, 0.2, 0.4, 0.2])[:, None].expand(4, 5))


def test_shares_of_a_ramp_are_those_shares():
    ramp = torch.linspace(0, 1, 8 * 1001).view(1, 1, 1, -1).expand(1, 3, 8, -1)
    told = scene(ramp)[0].view(4, -1)
    for row in told:
        torch.testing.assert_close(
            row, torch.tensor([0.01, 0.1, 0.5, 0.9, 0.99]), atol=2e-3, rtol=0
        )


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (9, 8), (64, 64)])
def test_any_size_and_no_padding_is_counted(size):
    assert scene(torch.ones(1, 3, *size)).eq(1).all()


def test_noise_hardly_counts():
    clean = torch.full((1, 3, 128, 128), 0.5)
    noisy = clean + torch.randn(clean.shape) * 25 / 255
    assert (scene(noisy) - scene(clean)).abs().max() < 0.04


@torch.inference_mode()
def test_at_first_a_scene_changes_nothing():
    network = MoCEIR(TOLD).eval()
    degraded = torch.rand(1, 3, 32, 32)
    assert torch.equal(
        network(degraded), network.restore(degraded, None, torch.rand(1, 20)).restored
    )


@torch.inference_mode()
def test_without_one_each_sample_is_its_own_scene():
    network, degraded = (
        ours_network(TOLD),
        torch.rand(3, 3, 40, 24) * torch.tensor([1, 0.5, 0.1])[:, None, None, None],
    )
    found = network.restore(degraded)
    given = network.restore(degraded, None, scene(degraded))
    assert same_picture(found.restored, given.restored)
    for i in range(3):
        alone = network.restore(degraded[i : i + 1])
        assert same_picture(found.restored[i], alone.restored[0])


@torch.inference_mode()
def test_one_scene_serves_a_batch_and_is_seen():
    network, degraded = ours_network(TOLD), torch.rand(3, 3, 32, 32)
    dark, bright = torch.full((1, SCENE_SIZE), 0.05), torch.full((1, SCENE_SIZE), 0.9)
    routing = network.restore(degraded[:1]).routing
    one = network.restore(degraded, routing, dark).restored
    assert same_picture(one, network.restore(degraded, routing, dark.expand(3, -1)).restored)
    assert not same_picture(one, network.restore(degraded, routing, bright).restored)
    together = network.restore_together(degraded.split(1), scene=dark)
    pinned = network.restore(degraded, together[0].routing, dark).restored
    assert same_picture(torch.cat([t.restored for t in together]), pinned)


@torch.inference_mode()
def test_a_network_without_scene_does_not_look():
    network, degraded = ours_network(replace(TOLD, scene=False)), torch.rand(1, 3, 32, 32)
    assert torch.equal(
        network(degraded), network.restore(degraded, None, torch.rand(1, SCENE_SIZE)).restored
    )
    assert not any("scene" in name for name in MoCEIR(TINY).state_dict())


@pytest.mark.parametrize("shape", [(SCENE_SIZE,), (2, SCENE_SIZE), (1, SCENE_SIZE - 1)])
def test_a_scene_that_does_not_fit_is_refused(shape):
    with pytest.raises(ConfigError, match=r"does not fit a batch of 3: it needs \(B, 20\)"):
        ours_network(TOLD).restore(torch.rand(3, 3, 8, 8), None, torch.zeros(shape))


def test_the_picture_teaches_what_a_scene_means():
    network = MoCEIR(TOLD).train()
    network(torch.rand(2, 3, 32, 32)).square().mean().backward()
    assert all(head.weight.grad.abs().max() > 0 for head in network.scene.heads)
