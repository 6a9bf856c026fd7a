"""FSDP: one process reads the language model, the others build it empty and receive the same weights."""

from __future__ import annotations

import math
import multiprocessing
import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

from affect_lightning.contracts import FaceBox, FaceDetector
from affect_lightning.data.reading_workers import ReadingWorkers
from affect_lightning.errors import ConfigurationError
from affect_lightning.model import AffectGPT
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.training.device_execution import shard_network, whole_tensor
from affect_lightning.training.weight_sharing import read_in_one_process
from language_model_folders import save_tiny
from model_cases import TINY_PARTS, random_batch
from patience import LONGEST

_context = multiprocessing.get_context("forkserver")
pytestmark = pytest.mark.timeout(1800)


def configuration(language_model: Any) -> ModelConfiguration:
    parts = {**TINY_PARTS, "language_model": language_model, "projector_init_scale": 1.0, "feature_norm": "standard"}
    return ModelConfiguration.resolve(**parts)


def built(language_model: Any, empty: bool = False) -> AffectGPT:
    torch.manual_seed(5)
    return AffectGPT.from_configuration(configuration(language_model), empty_language_model=empty)


def refuse_weights(*arguments: Any, **options: Any) -> Any:
    raise AssertionError(f"this process was to read no weights, yet it reads {arguments}")


def in_two_processes(work: Any, folder: Path, *arguments: Any) -> None:
    in_processes(2, work, folder, *arguments)


def in_processes(count: int, work: Any, folder: Path, *arguments: Any) -> None:
    """Run `work(rank, *arguments)` in so many processes of one group."""
    processes = [_context.Process(target=_run, args=(work, rank, count, folder, arguments)) for rank in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(LONGEST)
        process.kill()
    told = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("failed-*")))
    assert [process.exitcode for process in processes] == [0] * count, told


def _run(work: Any, rank: int, count: int, folder: Path, arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count)
    try:
        work(rank, *arguments)
    except BaseException:
        (folder / f"failed-{rank}").write_text(traceback.format_exc(), encoding="utf-8")
        raise
    dist.destroy_process_group()


def receive(rank: int, choice: Any, shape: tuple[int, ...]) -> None:
    """Every process ends with the pieces of the very network that one process alone builds."""
    wanted = built(choice)
    if rank:
        import affect_lightning_plugins.language_models.hub_models as hub
        from affect_lightning_plugins.language_models import tiny

        hub.load_causal_model = refuse_weights  # type: ignore[assignment]
        tiny.drawing_on_the_processor = refuse_if_drawn  # type: ignore[assignment]
    network = read_in_one_process(lambda empty: built(choice, empty))
    language_model: Any = network.language_model
    on_meta = {value.is_meta for value in language_model.parameters()}
    assert on_meta == {bool(rank)}
    assert language_model.tokenizer.chat_template == wanted.language_model.tokenizer.chat_template
    assert language_model.end_ids == wanted.language_model.end_ids  # type: ignore[union-attr]
    names = ("machines", "processes")[-len(shape) :]
    shard_network(network, init_device_mesh("cpu", shape, mesh_dim_names=names), "32-true")
    check_same(network, wanted)
    assert all(isinstance(value, DTensor) for value in network.language_model.parameters())
    pieces = [value.to_local().numel() for value in network.language_model.parameters()]
    whole = sum(value.numel() for value in network.language_model.parameters())
    assert sum(pieces) < 0.6 * whole if shape[-1] == 2 else sum(pieces) == whole


def refuse_if_drawn() -> Any:
    assert torch.empty(0).is_meta, "this process was to draw no language model"
    return torch.device("meta")


def check_same(network: nn.Module, wanted: nn.Module) -> None:
    found = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    expected = {**dict(wanted.named_parameters()), **dict(wanted.named_buffers())}
    assert found.keys() == expected.keys()  # a tied head is in neither
    for name, value in found.items():
        assert not value.is_meta, name
        assert torch.equal(whole_tensor(value.detach()), expected[name]), name


SHAPES = {"pieces in two processes": (2,), "whole on two machines": (2, 1), "pieces on two machines": (2, 2)}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_others_receive_what_one_process_reads(shape: tuple[int, ...], tmp_path: Path) -> None:
    folder = save_tiny("smollm2", tmp_path / "model")  # its head is tied to its embeddings
    in_processes(math.prod(shape), receive, tmp_path, {"name": "causal-lm", "model": str(folder)}, shape)


def average(rank: int, shape: tuple[int, ...]) -> None:
    """Every process has clips of its own; the gradient is the mean over all of them, on this machine and the other."""
    choice = {"name": "tiny-lm", "lora_dropout": 0.0}
    plain, network = built(choice).eval(), built(choice).eval()
    batches = [random_batch(seed=number) for number in range(math.prod(shape))]
    torch.stack([plain(batch) for batch in batches]).mean().backward()
    alone = built(choice).eval()
    alone(batches[rank]).backward()
    shard_network(network, init_device_mesh("cpu", shape, mesh_dim_names=("machines", "processes")), "32-true")
    network(batches[rank]).backward()
    wanted = {name: weight.grad for name, weight in plain.named_parameters() if weight.grad is not None}
    own = {name: weight.grad for name, weight in alone.named_parameters()}
    found = {name: whole_tensor(weight.grad) for name, weight in network.named_parameters() if weight.grad is not None}
    assert found.keys() == wanted.keys()
    different = 0
    for name, gradient in wanted.items():
        torch.testing.assert_close(
            found[name], gradient, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
        different += not torch.allclose(own[name], gradient, rtol=1e-2, atol=1e-6)
    assert different > len(wanted) / 4  # else the mean would prove nothing


def test_two_machines_of_two_processes_make_one_gradient(tmp_path: Path) -> None:
    in_processes(4, average, tmp_path, (2, 2))


def test_a_random_language_model_is_drawn_once(tmp_path: Path) -> None:
    in_two_processes(receive, tmp_path, {"name": "tiny-lm"}, (2,))


def fail(rank: int, folder: str) -> None:
    choice = {"name": "causal-lm", "model": folder}
    with pytest.raises(ConfigurationError, match="cannot be read") as caught:
        read_in_one_process(lambda empty: built(choice, empty))
    assert str(caught.value).startswith("Another process of the run could not build the network") == bool(rank)


def test_where_one_process_cannot_read_all_stop(tmp_path: Path) -> None:
    folder = save_tiny("smollm2", tmp_path / "model")
    (folder / "model.safetensors").unlink()
    in_two_processes(fail, tmp_path, str(folder))


def differ(rank: int) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^Use the strategy ddp: the language model that one process read differs"
    ):
        read_in_one_process(lambda empty: built({"name": "tiny-lm", "num_layers": 1 + rank}, empty))


def test_networks_of_different_form_are_refused(tmp_path: Path) -> None:
    in_two_processes(differ, tmp_path)


def test_a_base_in_four_bits_cannot_wait_for_weights(tmp_path: Path) -> None:
    folder = save_tiny("smollm2", tmp_path / "model")
    choice = {"name": "causal-lm", "model": str(folder), "adapter": "qlora"}
    with pytest.raises(ConfigurationError, match="^Choose the adapter `lora`, or the strategy `ddp`"):
        built(choice, empty=True)


class GpuDetector(FaceDetector):
    uses_gpu = True

    def detect(self, frames: Any) -> list[list[FaceBox]]:
        return [[] for _ in frames]

    def identity(self) -> str:
        return "gpu"


def test_forked_workers_are_refused_to_a_detector_on_the_gpu() -> None:
    detector = GpuDetector()
    with pytest.raises(
        ConfigurationError, match="^Set data.worker_start to spawn, or the face detector's device to cpu"
    ):
        ReadingWorkers(workers=2, worker_start="fork").able_to_run(detector)
    for workers in (ReadingWorkers(workers=2), ReadingWorkers(workers=0, worker_start="fork")):
        assert workers.able_to_run(detector) is detector
