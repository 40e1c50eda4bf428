"""Networks of the family frame by frame: the clip form's answers once T frames have come, features in states."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import volume_nets
from click.testing import CliRunner

from tsm_edge import cli, target
from tsm_edge.bundle.manifest import ModelInfo, WeightsInfo
from tsm_edge.commands import family_options
from tsm_edge.commands.form_options import Asked
from tsm_edge.compile import pipeline
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.verification import verify
from tsm_edge.errors import ModelError, UsageError
from tsm_edge.models import clips
from tsm_edge.weights import origin

torch = pytest.importorskip("torch")

FRAMES = 4
#: scores and states, relative to the largest: both sum in float32, in other orders
TOLERANCE = 1e-4
#: of one frame of 224 x 224, without the number of frames; a network without a row is refused
STATES = {
    "eco-full": [(96, 28, 28), (1024,)],
    "eco-lite": [(96, 28, 28)],
    "trn-multiscale-bninception": [(256,)],
    "trn-multiscale-resnet50": [(256,)],
    "trn-resnet50": [(256,)],
    "tsn-bninception": [(9,)],
    "tsn-resnet50": [(9,)],
}
REFUSED = {
    "eco-ensemble-lite": "its members read frames of one clip at different paces",
    "i3d-resnet50": "its convolutions read neighbouring frames",
    "i3d-replace": "its convolutions read neighbouring frames",
    "i3d-nonlocal-resnet50": "its convolutions read neighbouring frames",
    "i3d-nonlocal": "its convolutions read neighbouring frames",
    "tsm-bninception": "its shifts read the frames before and behind each one",
    "tsm-nonlocal-resnet50": "its shifts read the frames before and behind each one",
}


@pytest.mark.parametrize("name", STATES)
def test_what_a_frame_decides_alone_is_the_state(name: str) -> None:
    model = clips.load(name, classes=9)
    stream = model.streaming()
    kept = [pair.input.shape for pair in stream.signature.states]
    assert kept == [(model.frames - 1, *shape) for shape in STATES[name]]
    assert [pair.output_name for pair in stream.signature.states][0] == "cache0_out"
    assert stream.signature.inputs[0].shape == (1, 3, 224, 224)
    assert stream.macs < 0.75 * model.macs
    assert origin.described(name, stream.labels, stream.parameters) == stream


@pytest.mark.parametrize("name", sorted(set(clips.names()) - set(STATES)))
def test_a_network_that_mixes_frames_early_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=REFUSED.get(name, "cannot run as a stream")):
        clips.load(name).streaming()


def test_one_frame_is_no_stream() -> None:
    with pytest.raises(ModelError, match="a stream keeps frames"):
        clips.load("tsn-resnet50", frames=1).streaming()


def equals_the_clip(stream: clips.ClipModel) -> None:
    """From T frames on, a step's scores are the clip's; before, those of a clip with other frames."""
    net = stream.build(0)
    generator = torch.Generator().manual_seed(1)
    frames = torch.randn(2 * FRAMES, 3, stream.size, stream.size, generator=generator)
    states = stream.zero_states()
    with torch.no_grad():
        for at in range(2 * FRAMES):
            scores, states = net.step(frames[at : at + 1], states)
            if at >= FRAMES - 1:
                wanted = net(frames[at + 1 - FRAMES : at + 1][None])
                assert (scores - wanted).abs().max() <= 2e-5 * wanted.abs().max()


def test_steps_equal_the_clip_form() -> None:
    equals_the_clip(volume_nets.stream_of(FRAMES))
    equals_the_clip(clips.load("trn-multiscale-bninception", size=32, classes=5, frames=FRAMES).streaming())


def compared(frames: int, device: str, folder: Path) -> pipeline.Compiled:
    """Compile the small stream and compare 2T frames with PyTorch, states included."""
    stream = volume_nets.stream_of(frames)
    built = pipeline.compile(networks.zoo(stream), target.load(device), folder)
    step = volume_nets.stepped(stream.build(0))
    outcome = verify.compare(built.folder, built.manifest, step, frames=2 * frames)
    names = [found.name for found in outcome.differences]
    assert names == ["logits", "cache0_out", "cache1_out", "logits, of pictures"]
    assert max(found.relative for found in outcome.differences) <= TOLERANCE, outcome.differences
    return built


@pytest.mark.parametrize("frames", [FRAMES, 2])
def test_a_bundle_computes_what_pytorch_does(frames: int, tmp_path: Path) -> None:
    built = compared(frames, "local", tmp_path / "bundle")
    assert not built.generic_layers()
    assert built.manifest.model.form == "stream"
    assert built.manifest.model.seen_frames == frames


@pytest.mark.skipif(shutil.which("qemu-aarch64") is None, reason="qemu-aarch64 is not installed")
def test_it_does_on_a_board(tmp_path: Path) -> None:
    compared(FRAMES, "raspberry-pi-4", tmp_path / "bundle")


def test_its_onnx_file_computes_the_same() -> None:
    runtime = pytest.importorskip("onnxruntime")
    from tsm_edge.onnx.file import onnx_model
    from tsm_edge.onnx.meta import OnnxMeta

    stream = volume_nets.stream_of(FRAMES)
    net = stream.build(0)
    step = volume_nets.stepped(net)
    weights = {key: tensor.numpy() for key, tensor in net.state_dict().items()}
    proto = onnx_model(stream, weights, OnnxMeta.of(stream, WeightsInfo("seeded", "", "")))
    session = runtime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    states = [np.zeros(pair.input.shape, np.float32) for pair in stream.signature.states]
    mine = states
    for frame in np.random.default_rng(0).standard_normal((FRAMES + 1, 1, 3, 32, 32)).astype(np.float32):
        scores, *states = session.run(None, {"frame": frame, "cache0": states[0], "cache1": states[1]})
        wanted, mine = step(frame, mine)
        for got, right in zip([scores, *states], [wanted, *mine], strict=True):
            np.testing.assert_allclose(got, right, atol=TOLERANCE * np.abs(right).max())


def test_the_command_line_says_what_an_answer_sees(capsys: pytest.CaptureFixture[str]) -> None:
    stream = family_options.family_from("eco-lite", {}, Asked("stream", clip_frames=16))
    assert stream.signature.states[0].input.shape == (15, 96, 28, 28)
    said = capsys.readouterr().err
    assert "an answer for every frame" in said and "15 frames before it (1.2 s at 12 frames a second)" in said
    assert "have not come yet are zeros" in said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["i3d-resnet50", "--form", "stream"],
            "cannot run as a stream: its convolutions read neighbouring frames",
        ),
        (["tsn-resnet50", "--form", "lagged"], "has no stream with a delay"),
        (["tsn-resnet50", "--form", "stream", "--window-stride", "2"], "has an answer for every frame"),
    ],
)
def test_a_form_that_a_network_has_not_is_refused(words: list[str], told: str) -> None:
    result = CliRunner().invoke(cli.cli, ["compile", *words, "--target", "local"])
    assert result.exit_code == UsageError.exit_code
    assert told in " ".join(result.output.split())


def test_eight_bits_are_refused() -> None:
    stream = volume_nets.stream_of(FRAMES)
    info = ModelInfo(stream.name, dict(stream.parameters), WeightsInfo("seeded", "", ""), "zoo")
    with pytest.raises(UsageError, match="read one frame"):
        pipeline.check_clip(info, "int8")
