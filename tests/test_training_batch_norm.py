"""Batch norm over several processes, against torch's over the joined batch; frozen batch norm; its momentum."""

import copy
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from segablate.training.batch_norm import freeze, set_momentum, synchronise


def in_processes(count: int, work: Callable[[int, Callable[[Tensor], Tensor]], None]) -> None:
    """Run work(rank, add) in threads that stand for processes."""
    barrier, parts, errors = threading.Barrier(count), [torch.zeros(0)] * count, []

    def run(rank: int) -> None:
        def add(tensor: Tensor) -> Tensor:
            parts[rank] = tensor.detach().clone()
            barrier.wait()
            total = sum(parts[1:], parts[0])
            barrier.wait()
            return total

        try:
            work(rank, add)
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def norm(**more: object) -> nn.BatchNorm2d:
    torch.manual_seed(1)
    module = nn.BatchNorm2d(5, **more)  # type: ignore[arg-type]
    if module.affine:
        nn.init.normal_(module.weight)
        nn.init.normal_(module.bias)
    return module


@pytest.mark.parametrize("more", [{}, {"affine": False}, {"momentum": None}, {"track_running_stats": False}])
def test_it_is_torchs_on_the_joined_batch(more: dict[str, object]) -> None:
    torch.manual_seed(0)
    shares = [torch.randn(size, 5, 4, 6) * 3 + 7 for size in (2, 1, 3)]  # of unequal size
    upstream = [torch.randn_like(share) for share in shares]
    whole = norm(**more)
    joined = torch.cat(shares).requires_grad_()
    expected = whole(joined)
    expected.backward(torch.cat(upstream))
    parts = [norm(**more) for _ in shares]
    inputs = [share.clone().requires_grad_() for share in shares]
    outputs: dict[int, Tensor] = {}

    def work(rank: int, add: Callable[[Tensor], Tensor]) -> None:
        synchronise(parts[rank], add)
        outputs[rank] = parts[rank](inputs[rank])
        outputs[rank].backward(upstream[rank])

    in_processes(3, work)
    torch.testing.assert_close(torch.cat([outputs[rank] for rank in range(3)]), expected, rtol=1e-5, atol=1e-5)
    assert joined.grad is not None
    gradients = torch.cat([each.grad for each in inputs if each.grad is not None])
    torch.testing.assert_close(gradients, joined.grad, rtol=1e-4, atol=1e-5)
    for name, parameter in whole.named_parameters():  # shares of processes add up
        added = sum(part.get_parameter(name).grad for part in parts)
        torch.testing.assert_close(added, parameter.grad, rtol=1e-4, atol=1e-4)
    for name, buffer in whole.named_buffers():
        for part in parts:
            torch.testing.assert_close(part.get_buffer(name), buffer, rtol=1e-5, atol=1e-6)


def test_running_statistics_of_several_steps() -> None:
    whole, parts = norm(), [norm(), norm()]
    torch.manual_seed(0)
    batches = [torch.randn(4, 5, 3, 3) + step for step in range(4)]
    for batch in batches:
        whole(batch)

    def work(rank: int, add: Callable[[Tensor], Tensor]) -> None:
        synchronise(parts[rank], add)
        for batch in batches:
            parts[rank](batch[rank::2])

    in_processes(2, work)
    for name, buffer in whole.named_buffers():
        torch.testing.assert_close(parts[1].get_buffer(name), buffer, rtol=1e-5, atol=1e-6)
    assert parts[0].state_dict().keys() == whole.state_dict().keys()


def test_in_evaluation_mode_it_is_torchs() -> None:
    plain, ours = norm(), norm()
    plain(torch.randn(4, 5, 3, 3))
    ours.load_state_dict(plain.state_dict())
    synchronise(ours, lambda tensor: tensor)
    x = torch.randn(2, 5, 3, 3)
    assert torch.equal(ours.eval()(x), plain.eval()(x))


def test_half_precision_is_counted_in_double() -> None:
    x = (torch.randn(2, 5, 16, 16) + 200).to(torch.bfloat16)
    ours, plain = norm(), norm()
    synchronise(ours, lambda tensor: tensor)
    found = ours(x)
    assert found.isfinite().all()
    torch.testing.assert_close(found.float(), plain(x.float()), rtol=0.05, atol=0.05)
    assert ours.running_mean is not None
    assert plain.running_mean is not None
    torch.testing.assert_close(ours.running_mean, plain.running_mean)


def test_frozen_batch_norm_changes_nothing_of_itself() -> None:
    module = nn.Sequential(nn.Conv2d(3, 5, 1), norm()).train()
    freeze(module)
    before = copy.deepcopy(module[1].state_dict())
    optimiser = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], 0.1)
    module(torch.randn(2, 3, 4, 4)).square().sum().backward()
    optimiser.step()
    assert all(torch.equal(value, before[name]) for name, value in module[1].state_dict().items())
    assert module[0].weight.grad is not None
    assert not module[1].training


def test_momentum_is_the_share_of_a_batch() -> None:
    module = nn.Sequential(norm(), nn.Sequential(norm()))
    set_momentum(module, 0.25)
    x = torch.randn(4, 5, 3, 3) + 8
    module[0](x)
    torch.testing.assert_close(module[0].running_mean, 0.25 * x.mean((0, 2, 3)))
    assert module[1][0].momentum == 0.25
