"""What was made fast against what was left plain, and what it costs."""

import copy

import pytest
import torch
import torch.nn.functional as F
from golden import golden_network
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import EQUAL, OURS, SHAPES, ours_network, same_picture
from torch.utils.flop_counter import FlopCounterMode

from moce_cli.bench import plain
from moce_cli.network import PRESETS, MoCEIR, circular, primitives
from moce_cli.network.circular import windowed_circular_convolution
from moce_cli.network.cost import forward_cost
from moce_cli.network.router import decide


@pytest.mark.parametrize("window", [4, 8, 16, 32])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 7)])
def test_circular_convolution_by_its_definition(window, height, width):
    g = torch.Generator().manual_seed(0)
    a, b = (torch.randn(1, height, width, 2, generator=g, dtype=torch.float32) for _ in range(2))
    seen = windowed_circular_convolution(a, b, window)
    rows, columns = -(-height // window), -(-width // window)
    full = [torch.zeros(rows * window, columns * window, 2, dtype=torch.float64) for _ in range(2)]
    for target, source in zip(full, (a, b), strict=True):
        target[:height, :width] = source[0]
    expected = torch.zeros_like(full[0])
    for top in range(0, rows * window, window):
        for left in range(0, columns * window, window):
            x, y = (f[top : top + window, left : left + window] for f in full)
            spot = expected[top : top + window, left : left + window]
            for i in range(window):
                for j in range(window):
                    spot += x[i, j] * torch.roll(y, (i, j), (0, 1))
    torch.testing.assert_close(seen[0].double(), expected[:height, :width], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("window", [4, 8, 16])
@pytest.mark.parametrize("size", [(1, 32, 64, 5), (3, 19, 9, 2)])
def test_by_products_it_is_the_convolution_of_an_fft_with_the_same_gradients(
    window, size, monkeypatch
):
    circular._transforms.cache_clear()  # made where nothing is trained, they must serve training
    g = torch.Generator().manual_seed(window)
    a, b, toward = (torch.randn(size, generator=g) for _ in range(3))
    with torch.inference_mode():
        quick = windowed_circular_convolution(a, b, window)

    def trained():
        x, y = a.clone().requires_grad_(), b.clone().requires_grad_()
        answer = windowed_circular_convolution(x, y, window)
        (answer * toward).sum().backward()
        return answer.detach(), x.grad, y.grad

    by_products = trained()
    monkeypatch.setattr(circular, "_BY_PRODUCTS", ())
    for seen, expected in zip((*by_products, quick), (*trained(), by_products[0]), strict=True):
        torch.testing.assert_close(seen, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("window", [4, 32])
@pytest.mark.parametrize("at_once", [1, 1000, 2000])
@torch.inference_mode()
def test_how_many_rows_go_at_once_changes_nothing(window, at_once, monkeypatch):
    g = torch.Generator().manual_seed(window)
    a, b = (torch.randn(2, 75, 21, 3, generator=g) for _ in range(2))
    expected = windowed_circular_convolution(a, b, window)
    monkeypatch.setattr(circular, "_AT_ONCE", at_once)
    seen = windowed_circular_convolution(a, b, window)
    torch.testing.assert_close(seen, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", [*PRESETS, "ours", "equal experts"])
@torch.inference_mode()
def test_cost_agrees_with_a_counter(name):
    config = {**PRESETS, "ours": OURS, "equal experts": EQUAL}[name]
    network = MoCEIR(config).eval()
    for height, width in ((64, 64), (32, 48)):
        with FlopCounterMode(display=False) as counter:
            _, chosen = plain.forward(network, torch.rand(1, 3, height, width))
        cost = forward_cost(config, height, width)
        assert cost.run(chosen) == counter.get_total_flops() // 2
        # what is padded inside is counted
        assert forward_cost(config, height - 7, width - 1) == cost


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 8), st.integers(1, 8), st.sampled_from(SHAPES))
@torch.inference_mode()
def test_the_fast_network_is_the_plain_one(batch, rows, columns, config):
    network = ours_network(config) if config.beyond_paper else golden_network(config)
    g = torch.Generator().manual_seed(batch * 1000 + rows * 20 + columns)
    degraded = torch.rand(
        batch, 3, config.downscale * rows, config.downscale * columns, generator=g
    )
    fast = network.restore(degraded)
    for i in range(batch):
        restored, chosen = plain.forward(network, degraded[i : i + 1])
        assert [b.chosen[i] for b in fast.routing] == chosen
        assert same_picture(fast.restored[i], restored[0])


LARGEST_ERROR = {torch.float32: 1e-4, torch.bfloat16: 0.03, torch.float16: 0.01}


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(1, 12), st.integers(1, 8))
@torch.inference_mode()
def test_the_fast_network_is_the_plain_one_with_any_experts_in_any_precision(
    data, batch, rows, columns
):
    """The plain network in float32 is the measure; what differs is the change to the picture.

    Up to 96 rows: what goes in strips goes in two. Threads choose among ways to compute.
    """
    config = data.draw(st.sampled_from(SHAPES))
    dtype = data.draw(st.sampled_from(list(LARGEST_ERROR)))
    together = data.draw(st.booleans())
    expert = st.integers(0, config.num_experts - 1)
    experts = [
        data.draw(st.lists(expert, min_size=batch, max_size=batch))
        for _ in config.decoder_block_levels
    ]

    def routing_of(samples):
        """Each sample's own experts."""
        logits = [torch.eye(config.num_experts)[[row[i] for i in samples]] * 5 for row in experts]
        return [decide(one, 1) for one in logits]

    made = ours_network if config.beyond_paper else golden_network
    network = made(config)
    fast = copy.deepcopy(network).compute_in(dtype)
    g = torch.Generator().manual_seed(batch * 1000 + rows * 20 + columns)
    degraded = torch.rand(
        batch, 3, config.downscale * rows, config.downscale * columns, generator=g
    )
    before = torch.get_num_threads()
    torch.set_num_threads(data.draw(st.sampled_from([1, 2])))
    try:
        routing = routing_of(range(batch))
        if together:  # decisions that come about in lockstep
            routing = fast.restore_together(degraded.split(1))[0].routing
        found = fast.restore(degraded, routing).restored
    finally:
        torch.set_num_threads(before)
    for i in range(batch):
        one = degraded[i : i + 1]
        wanted = plain.forward(network, one, routing if together else routing_of([i]))[0]
        error = (found[i : i + 1] - wanted).square().mean().sqrt()
        assert error < LARGEST_ERROR[dtype] * (wanted - one).square().mean().sqrt() + 1e-6


def test_cost_and_parameters_of_the_paper():
    def at(name, expert=None):
        cost = forward_cost(PRESETS[name], 224, 224)
        return cost.run([(expert,)] * len(cost.experts)) / 1e9

    assert round(at("moce_ir_s", 0), 1) == 32.5
    assert round(at("moce_ir_s", 3), 1) == 36.6
    assert 4 < at("moce_ir_xs", 0) < 6
    count = {n: sum(p.numel() for p in MoCEIR(c).parameters()) for n, c in PRESETS.items()}
    assert count["moce_ir_s"] == 11_477_752
    assert count["moce_ir"] == 25_353_796


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("channels", [4, 16, 24])
@torch.inference_mode()
def test_a_norm_of_few_channels_is_a_norm(channels, one_thread):
    g = torch.Generator().manual_seed(channels)
    norm = primitives.Norm(channels)
    norm.weight.copy_(torch.randn(channels, generator=g))
    norm.bias.copy_(torch.randn(channels, generator=g))
    x = 3 + 5 * torch.randn(2, 9, 7, channels, generator=g)
    x[0, 0, 0] = 2.5  # without variance
    before = x.clone()
    expected = F.layer_norm(x.double(), (channels,), norm.weight.double(), norm.bias.double())
    torch.testing.assert_close(norm(x).double(), expected, atol=2e-5, rtol=2e-5)
    torch.testing.assert_close(x, before, atol=0, rtol=0)


@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_one_thread_computes_what_two_do(bias, one_thread):
    layer = primitives.Linear(12, 20, bias=bias)
    x = torch.randn(2, 33, 7, 12, generator=torch.Generator().manual_seed(0))
    alone = layer(x), primitives.pointwise(x, layer.weight, primitives.bias_of(layer))
    torch.set_num_threads(2)
    for seen in alone:
        assert seen.is_contiguous()
        torch.testing.assert_close(seen, layer(x), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_one_thread_keeps_the_precision_of_autocast(one_thread):
    layer, x = primitives.Linear(8, 8), torch.randn(1, 4, 4, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
        assert primitives.pointwise(x, layer.weight, None).dtype == torch.bfloat16


@torch.inference_mode()
def test_what_a_caller_sets_as_default_reaches_no_matrix_of_ours(one_thread):
    a, b = (torch.randn(1, 16, 16, 2) for _ in range(2))
    norm, x = primitives.Norm(8), torch.randn(1, 4, 4, 8)
    expected = windowed_circular_convolution(a, b, 8), norm(x)
    circular._transforms.cache_clear()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            seen = windowed_circular_convolution(a, b, 8), norm(x)
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(seen, expected, strict=True):
        torch.testing.assert_close(one, other)
