"""The network computes what the authors' network computes."""

import pytest
import torch
from golden import CONFIGS, golden_file, golden_network


@pytest.mark.parametrize("threads", [1, 2])  # one thread computes some things another way
@pytest.mark.parametrize("name", CONFIGS)
def test_parity_with_the_authors_network(name, threads):
    golden, before = golden_file(name), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            result = golden_network(CONFIGS[name]).restore(golden["input"])
    finally:
        torch.set_num_threads(before)
    error = (result.restored - golden["output"]).abs().max() / golden["output"].std()
    assert error < 1e-4
    assert len(result.routing) == sum(CONFIGS[name].decoder_blocks)
    for i, decision in enumerate(result.routing):
        torch.testing.assert_close(decision.experts, golden[f"experts.{i}"])
        torch.testing.assert_close(decision.logits, golden[f"logits.{i}"], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(decision.gates, golden[f"gates.{i}"], atol=1e-4, rtol=1e-4)


def test_goldens_take_different_experts():
    golden = golden_file("moce_ir_s_96x64")
    chosen = {int(v) for k, t in golden.items() if k.startswith("experts.") for v in t.flatten()}
    assert len(chosen) > 1
