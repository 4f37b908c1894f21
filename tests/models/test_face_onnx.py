"""What a user loses if these fail: a face recogniser of their own, or the reason why it will not do."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto
from onnx_recogniser import CROPS, DIM, expected, weights, write

from speakerkd.errors import InputError
from speakerkd.models.face_network import embed_pictures
from speakerkd.models.face_onnx import OnnxFace, Pixels, onnx_digest, packaged_sface, pixels_of


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shape": (1, 3, 112, 112)},  # one picture at a time
        {"shape": (2, 3, 112, 112)},  # a fixed batch that three pictures do not fill
        {"shape": ("n", 112, 112, 3)},
        {"shape": ("n", 3, "h", "w")},
        {"listed": True},
    ],
)
def test_embeddings_are_those_of_the_graph(tmp_path, options):
    network = OnnxFace(write(tmp_path / "net.onnx", **options))
    assert network.dim == DIM and str(network.pixels) == "rgb,127.5,127.5"
    np.testing.assert_allclose(embed_pictures(network, CROPS), expected(), rtol=1e-4, atol=1e-4)
    mirrored = embed_pictures(network, CROPS, mirror=True)  # a mean of colours does not see the mirror
    np.testing.assert_allclose(mirrored, expected(), rtol=1e-4, atol=1e-4)


def test_half_precision_is_fed_and_given_back_as_float(tmp_path):
    embeddings = embed_pictures(OnnxFace(write(tmp_path / "net.onnx", kind=TensorProto.FLOAT16)), CROPS)
    assert embeddings.dtype == torch.float32
    np.testing.assert_allclose(embeddings, expected(), rtol=0.05, atol=0.01)


def test_pixels_are_named_or_told_by_the_graph(tmp_path):
    inside = write(tmp_path / "inside.onnx", scale=(127.5, 1 / 128))
    network = OnnxFace(inside)
    assert str(network.pixels) == "rgb,0,1"
    raw = Pixels("rgb", 0, 1)
    embeddings = embed_pictures(network, CROPS)
    np.testing.assert_allclose(embeddings, expected(pixels=raw, scale=(127.5, 1 / 128)), rtol=1e-4, atol=1e-4)
    named = pixels_of("onnx:bgr,100,50")
    assert named == Pixels("bgr", 100, 50)
    embeddings = embed_pictures(OnnxFace(write(tmp_path / "net.onnx"), named), CROPS)
    np.testing.assert_allclose(embeddings, expected(pixels=named), rtol=1e-4, atol=1e-4)
    assert pixels_of("onnx") is None and pixels_of("onnx:sface") == pixels_of("sface") == raw
    for name in ("onnx:rbg,0,1", "onnx:rgb", "onnx:rgb,0,0", "onnx:rgb,a,1", "onnx:sfaec", "onnx:rgb,0,1,2"):
        with pytest.raises(InputError, match="no way of taking pictures"):
            pixels_of(name)


@pytest.mark.parametrize(
    "options, fault",
    [
        ({"shape": ("n", 3, 160, 160)}, "its input is \\? x 3 x 160 x 160, not pictures of 112 x 112"),
        ({"shape": ("n", 1, 112, 112), "weight": weights(DIM, 1)}, "not pictures of 112 x 112 in three colours"),
        ({"outputs": 2}, "2 outputs .*no recogniser but a detector"),
        ({"dim": 3, "weight": weights(3)}, "its output is 1 x 3, not an embedding"),
        ({"weight": np.zeros((DIM, 3), np.float32)}, "two pictures the same embedding"),
        ({"weight": np.full((DIM, 3), np.nan, np.float32)}, "not finite"),
    ],
)
def test_what_is_no_recogniser_is_refused_with_the_reason(tmp_path, options, fault):
    with pytest.raises(InputError, match=fault) as raised:
        OnnxFace(write(tmp_path / "net.onnx", **options))
    assert "net.onnx" in str(raised.value)


def test_files_that_are_no_onnx_are_refused(tmp_path):
    for content in (b"", b"\x80\x02}q\x00.", b"hello", write(tmp_path / "whole.onnx").read_bytes()[:300]):
        (tmp_path / "net.onnx").write_bytes(content)
        with pytest.raises(InputError, match="not an ONNX file|does not run"):
            OnnxFace(tmp_path / "net.onnx")
    with pytest.raises(InputError, match="no such weights file"):
        OnnxFace(tmp_path / "none.onnx")


def test_weights_in_a_file_beside_it_count_in_the_digest_and_are_missed(tmp_path):
    big = weights(512)
    model = onnx.load(write(tmp_path / "net.onnx", dim=512, weight=big))
    onnx.save(model, tmp_path / "split.onnx", save_as_external_data=True, location="split.bin", size_threshold=100)
    one = embed_pictures(OnnxFace(tmp_path / "split.onnx"), CROPS)
    torch.testing.assert_close(one, embed_pictures(OnnxFace(tmp_path / "net.onnx"), CROPS))
    before = onnx_digest(tmp_path / "split.onnx")
    data = bytearray((tmp_path / "split.bin").read_bytes())
    data[0] ^= 1
    (tmp_path / "split.bin").write_bytes(data)
    assert onnx_digest(tmp_path / "split.onnx") != before
    (tmp_path / "split.bin").unlink()
    with pytest.raises(InputError, match="its weights lie in split.bin, which is not there"):
        OnnxFace(tmp_path / "split.onnx")


def test_sface_is_what_onnxruntime_alone_gives():
    """The packaged file through our path, and by hand: RGB 0 to 255, one picture at a time, weights left as inputs."""
    path = packaged_sface()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    stored = {
        i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs() if i.name != "data"
    }  # read by nothing
    for crop in CROPS[:2]:
        x = crop.permute(2, 0, 1)[None].float().numpy()
        alone = session.run(None, {"data": x, **stored})[0]
        ours = embed_pictures(OnnxFace(path, pixels_of("sface")), crop[None]).numpy()
        assert np.abs(ours - alone).max() < 1e-5 * np.abs(alone).max() * 2


def test_maps_are_not_to_be_had(tmp_path):
    network = OnnxFace(write(tmp_path / "net.onnx"))
    assert network(network.preprocess(CROPS), maps=True).maps == []
