"""A depthwise convolution is PyTorch's, and so are its gradients, however they are made."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from moce_cli.network.depthwise import depthwise_conv


def both(x, weight, bias, *, lower=False):
    """Outputs and gradients of ours and of PyTorch's own, in that order."""
    results = []
    for ours in (True, False):
        leaves = [None if t is None else t.clone().requires_grad_() for t in (x, weight, bias)]
        with torch.autocast("cpu", torch.bfloat16, enabled=lower):
            if ours:
                out = depthwise_conv(*leaves)
            else:
                padding = weight.shape[-1] // 2
                out = F.conv2d(*leaves, padding=padding, groups=len(weight))
        (out.float() * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        results.append((out.detach(), *(t.grad for t in leaves if t is not None)))
    return results


@settings(deadline=None, max_examples=60)
@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 9),
    height=st.integers(1, 19),
    width=st.integers(1, 19),
    size=st.sampled_from([1, 3, 5, 7, 9, 11]),
    biased=st.booleans(),
    last=st.booleans(),
    seed=st.integers(0, 99),
)
def test_output_and_gradients_are_pytorchs(
    batch, channels, height, width, size, biased, last, seed
):
    torch.manual_seed(seed)
    x = torch.randn(batch, channels, height, width)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, 1, size, size)
    bias = torch.randn(channels) if biased else None
    ours, theirs = both(x, weight, bias)
    for mine, native in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, native, rtol=1e-4, atol=1e-4)


def test_under_autocast_it_computes_in_the_lower_precision_and_keeps_float32_gradients():
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 8, 24, 24), torch.randn(8, 1, 7, 7), torch.randn(8)
    ours, theirs = both(x, weight, bias, lower=True)
    assert ours[0].dtype == theirs[0].dtype == torch.bfloat16
    for mine, native in zip(ours[1:], theirs[1:], strict=True):
        assert mine.dtype == torch.float32
        assert (mine - native).norm() < 0.01 * native.norm()


def test_only_what_is_asked_for_has_a_gradient():
    weight = torch.randn(4, 1, 7, 7, requires_grad=True)
    depthwise_conv(torch.randn(1, 4, 9, 9), weight, None).sum().backward()
    assert weight.grad is not None
    with torch.no_grad():
        assert not depthwise_conv(torch.randn(1, 4, 9, 9), weight, None).requires_grad


def test_it_passes_a_numerical_check():
    torch.manual_seed(0)
    x = torch.randn(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 1, 5, 5, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(depthwise_conv, (x, weight, bias))
