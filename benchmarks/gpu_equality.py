"""Steps of `gpu_check.py`: the GPU computes what the processor computes, and every way to the same number gives it.

The networks are small, of the real classes, so all of it takes a minute. Tolerances are relative. In 32 bits 1e-4, of a loss,
of all gradients in one row, and of the median weight's gradient. In bf16 1e-2 of a loss. Gradients in bf16 cannot be held to
1e-2 by anybody: the type has 8 bits, and errors add up over the layers. So they are judged beside an independent run in bf16,
the library's own padded forward and loss on the same device: at most 1.5 times as far from 32 bits as that, or 1e-2 if
that is more. The table tells both.
"""

from __future__ import annotations

import importlib
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from gpu_steps import (
    CPU,
    Machine,
    Outcome,
    SkippedStepError,
    Step,
    compared_clips,
    compared_network,
    distance,
    exact_products,
    gradients,
    on_processor,
    one_clip,
)
from train_step import authors_loss, autocast

from affect_lightning.model import AffectGPT
from affect_lightning.training import AffectGPTModule
from affect_lightning.training.device_execution import shard_network, whole_tensor

NEAR, NEAR_HALF = 1e-4, 1e-2
# Times as far from 32 bits as the library's own run in bf16. On a processor ours was 0.99 to 1.02 times as far (28 November
# 2026, 6 batches, 2 sizes); a GPU has another kernel for packed rows than for padded ones, so there is some room.
WORSE = 1.5
WORSE_SHARDED = 2.0  # FSDP keeps all weights in bf16, which autocast does not
MOST_WAITS = 2
_PACKED = "affect_lightning_plugins.language_models.packed_attention"


def environment(machine: Machine) -> Outcome:
    """What there is, and what a large matrix product reaches."""
    from affect_lightning.training.monitoring import measured_peak

    machine.peak = measured_peak(machine.device, torch.bfloat16)
    figures: dict[str, Any] = {"bf16_tflops": machine.peak / 1e12}
    told = f"a large bf16 product reaches {figures['bf16_tflops']:.3g} TFLOP/s"
    if machine.is_gpu:
        properties = torch.cuda.get_device_properties(machine.device)
        figures |= {"memory_gb": properties.total_memory / 1e9, "processors": properties.multi_processor_count}
        told += f"; {properties.name}, {figures['memory_gb']:.0f} GB"
    return Outcome(told, figures)


def initial_weights(machine: Machine) -> Outcome:
    """A seed gives the same start on this device as on the processor, as Lightning builds it, with encoders and without."""
    states = []
    for device in (CPU, machine.device):
        module = AffectGPTModule(**machine.compared, seed=7)
        with device:
            module.configure_model()
        places = {parameter.device.type for parameter in module.parameters()}
        if places != {device.type}:
            return Outcome(f"parts built for {device.type} are on {', '.join(sorted(places))}", passed=False)
        states.append({name: value.cpu() for name, value in module.built_network.state_dict().items()})
    differ = [name for name, value in states[0].items() if not torch.equal(value, states[1][name])]
    told = f"{len(differ)} of {len(states[0])} tensors differ from those of the processor"
    return Outcome(told, {"tensors": len(states[0]), "differ": differ[:8]}, passed=not differ)


def loss_and_gradients(machine: Machine) -> Outcome:
    """Of a batch in 32 bits and in bf16, against the library's padded forward and loss on the processor in 32 bits."""
    clips = compared_clips(machine.lengths)
    with exact_products():
        network = compared_network(machine, CPU)
        wanted = gradients(network, authors_loss(network, clips))
        there, moved = compared_network(machine), clips.to(machine.device)
        half = torch.bfloat16
        found = {
            "32 bits": distance(_gradients(there, machine.device, torch.float32, lambda: there(moved)), wanted),
            "bf16": distance(_gradients(there, machine.device, half, lambda: there(moved)), wanted),
            "bf16 of the library": distance(
                _gradients(there, machine.device, half, lambda: authors_loss(there, moved)), wanted
            ),
        }
    usual = found["bf16 of the library"]
    passed = _near(found["32 bits"], torch.float32, usual) and _near(found["bf16"], half, usual)
    told = "; ".join(
        f"{name}: loss {far['loss']:.1e} away, gradients {far['gradients']:.1e}, of the median weight {far['tensor']:.1e}"
        for name, far in found.items()
    )
    return Outcome(told, found, passed)


def _near(found: dict[str, float], dtype: torch.dtype, usual: dict[str, float], worse: float = WORSE) -> bool:
    """Whether a loss and its gradients are as near to 32 bits as they must be.

    Args:
        found: From `distance`.
        dtype: In which they were computed.
        usual: How far another run in bf16 leads.
        worse: Times as far as that they may be in bf16.
    """
    if dtype == torch.float32:
        return max(found.values()) <= NEAR
    kept = (found[name] <= max(NEAR_HALF, worse * usual[name]) for name in ("gradients", "tensor"))
    return found["loss"] <= NEAR_HALF and all(kept)


def packed_rows(machine: Machine) -> Outcome:
    """Packed rows give what padded rows and single clips give, with the kernel of this device and with the loop."""
    network, clips = compared_network(machine), compared_clips(machine.lengths).to(machine.device)
    ways: dict[str, Callable[[], Any]] = {
        "padded": lambda: authors_loss(network, clips),
        "packed": lambda: network(clips),
        "one by one": lambda: _one_by_one(network, clips),
    }
    figures: dict[str, dict[str, float]] = {}
    passed = True
    with exact_products():
        wanted = _gradients(network, machine.device, torch.float32, ways["padded"])
        for dtype, name in ((torch.float32, "32 bits"), (torch.bfloat16, "bf16")):
            found = {way: _gradients(network, machine.device, dtype, run) for way, run in ways.items()}
            with _only_the_loop() as loops:
                found["loop"] = _gradients(network, machine.device, dtype, ways["packed"])
            usual = distance(found["padded"], wanted)
            for way, values in found.items():
                far = figures[f"{way}, {name}"] = distance(values, wanted)
                passed &= _near(far, dtype, usual)
    worst = {name: max(found.values()) for name, found in figures.items()}
    told = "farthest from padded rows in 32 bits: " + ", ".join(f"{name} {far:.1e}" for name, far in worst.items())
    return Outcome(f"{told}; {_kernel(machine, loops)}", figures, passed)


def _gradients(network: AffectGPT, device: torch.device, dtype: torch.dtype, way: Callable[[], Any]) -> Any:
    with autocast(device, dtype):
        loss = way()
    return gradients(network, loss)


def _one_by_one(network: AffectGPT, clips: Any) -> torch.Tensor:
    """The mean over all response tokens, each clip computed by itself."""
    sums, tokens = [], 0
    for index in range(len(clips)):
        loss = network(one_clip(clips, index))
        assert network.last_step is not None
        sums.append(loss * network.last_step.supervised)
        tokens += network.last_step.supervised
    return torch.stack(sums).sum() / tokens


@contextmanager
def _only_the_loop() -> Iterator[bool]:
    """Attention clip by clip whatever the device has; gives whether there was anything else."""
    try:
        packed = importlib.import_module(_PACKED)
    except ModuleNotFoundError:
        yield False
        return
    fitting = packed.fitting_kernel
    packed.fitting_kernel = lambda *arguments, **options: None
    try:
        yield True
    finally:
        packed.fitting_kernel = fitting


def _kernel(machine: Machine, loops: bool) -> str:
    if not loops:
        return "this version has the loop only"
    if not machine.is_gpu:
        return "a processor has the loop only"
    kernel = importlib.import_module(_PACKED).installed_kernel()
    return "no variable-length kernel is installed" if kernel is None else "a variable-length kernel is installed"


def greedy_responses(machine: Machine) -> Outcome:
    """Greedy responses in 32 bits: the same texts as on the processor, together and one by one."""
    clips, tokens = compared_clips((1, 1, 1, 1, 1, 1), seed=3), 6 if machine.tiny else 24
    texts = {}
    with exact_products():
        for name, device in (("processor", CPU), ("device", machine.device)):
            network = compared_network(machine, device).eval()
            there = clips.to(device)
            texts[name] = network.generate(there, max_new_tokens=tokens)
        singles = [network.generate(one_clip(there, index), max_new_tokens=tokens)[0] for index in range(len(clips))]
    same = sum(one == other for one, other in zip(texts["processor"], texts["device"], strict=True))
    alone = sum(one == other for one, other in zip(singles, texts["device"], strict=True))
    told = f"{same} of {len(clips)} texts are the processor's, {alone} are the same one by one"
    different = len(set(texts["device"]))
    return Outcome(f"{told}; {different} different texts", {"same": same, "alone": alone}, same == alone == len(clips))


def sharded(machine: Machine) -> Outcome:
    """FSDP on this one device: loss and gradients of the plain network."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    if dist.is_initialized():
        raise SkippedStepError("the process is in a process group already")
    backend, precision = ("nccl", "bf16-mixed") if machine.is_gpu else ("gloo", "32-true")
    dtype = torch.bfloat16 if machine.is_gpu else torch.float32
    clips = compared_clips(machine.lengths).to(machine.device)
    plain, pieces = compared_network(machine), compared_network(machine)
    whole = _gradients(plain, machine.device, torch.float32, lambda: plain(clips))
    usual = distance(_gradients(plain, machine.device, dtype, lambda: plain(clips)), whole)
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(backend, init_method=f"file://{folder}/store", rank=0, world_size=1)
        try:
            shard_network(pieces, init_device_mesh(machine.device.type, (1,)), precision)
            with autocast(machine.device, dtype), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "FSDP2-wrapped module")  # nothing is changed in place behind a part
                loss = pieces(clips)
            loss.backward()
            found = {
                name: on_processor(whole_tensor(weight.grad))
                for name, weight in pieces.named_parameters()
                if weight.grad is not None
            }
            far = distance((float(loss.detach()), found), whole)
        finally:
            dist.destroy_process_group()
    told = f"{backend}, {precision}: loss {far['loss']:.1e} from the plain network's in 32 bits, gradients {far['gradients']:.1e}"
    return Outcome(told, {**far, "usual": usual}, _near(far, dtype, usual, WORSE_SHARDED))


def resumed(machine: Machine) -> Outcome:
    """20 steps, and 10 with a checkpoint and 10 more: the same losses and weights to the last bit."""
    from gpu_training import train

    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "half.ckpt"
            whole = train(machine, epochs=2, deterministic=True)
            first = train(machine, epochs=1, deterministic=True, save=path)
            second = train(machine, epochs=2, deterministic=True, resume=path)
    finally:
        torch.use_deterministic_algorithms(False)
    losses = [*first.losses, *second.losses]
    equal = sum(one == other for one, other in zip(losses, whole.losses, strict=True))
    differ = [name for name, value in whole.weights.items() if not torch.equal(value, second.weights[name])]
    moved = sum(not torch.equal(value, whole.start[name]) for name, value in whole.weights.items())
    told = f"{equal} of {len(losses)} losses and {len(whole.weights) - len(differ)} of {len(whole.weights)} weights are equal"
    figures = {"losses": equal, "differ": differ[:8], "moved": moved}
    return Outcome(
        f"{told}; {moved} moved", figures, equal == len(losses) == 2 * machine.epoch and not differ and moved > 0
    )


def synchronisations(machine: Machine) -> Outcome:
    """Times that a training step waits for the device: at most 2 on a GPU, with cached features and with encoders."""
    from gpu_training import train

    precision = "bf16-mixed" if machine.is_gpu else "32-true"
    figures: dict[str, Any] = {}
    for way in ("cached", "live"):
        waits = train(machine, epochs=1, precision=precision, count_waits=True, cached=way == "cached").waits
        figures[way] = {"a_step": waits, "mean": sum(waits) / len(waits), "most": max(waits)}
    told = "; ".join(f"{way} {found['mean']:.1f} a step, at most {found['most']}" for way, found in figures.items())
    if not machine.is_gpu:
        return Outcome(
            f"{told} (questions that a GPU would have to answer, counted on the processor, not required)", figures
        )
    most = max(found["most"] for found in figures.values())
    return Outcome(f"{told}; at most {MOST_WAITS} are allowed", figures, most <= MOST_WAITS)


STEPS = [
    Step("environment", 10, environment),
    Step("initial weights", 5, initial_weights),
    Step("loss and gradients", 10, loss_and_gradients),
    Step("packed, padded and single rows", 15, packed_rows),
    Step("greedy responses", 15, greedy_responses),
    Step("sharded", 15, sharded),
    Step("resumed", 25, resumed),
    Step("synchronisations", 15, synchronisations),
]
