"""Event files: read back by our reader and, where it is installed, by TensorBoard's."""

import math
import struct

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn, optim, train
from adjoint.train.records import crc32c, fields, masked, record, records, varint


def written(folder):
    with train.SummaryWriter(folder) as writer:
        writer.add_scalar("loss", 0.5, 1)
        writer.add_scalar("loss", ad.tensor(0.25), 2)
        writer.add_scalars("error", {"train": 1.0, "test": 2.0}, 3)
        writer.add_histogram("w", ad.tensor([1.0, 2.0, 3.0, 3.0, math.nan]), 4, bins=2)
        writer.add_image("digit", ad.ones(1, 4, 5), 5)
        writer.add_text("note", "größer als *vorher*", 6)
    return writer.path


def test_crc32c_has_its_published_values():
    # RFC 3720, B.4
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"") == 0


def test_what_is_written_is_read(tmp_path):
    written(tmp_path)
    events = list(train.read_events(tmp_path))
    assert [(e.tag, e.step) for e in events] == [
        ("loss", 1), ("loss", 2), ("error/train", 3), ("error/test", 3),
        ("w", 4), ("digit", 5), ("note", 6),
    ]  # fmt: skip
    values = {(e.tag, e.step): e.value for e in events}
    assert values["loss", 1] == 0.5
    assert values["loss", 2] == 0.25
    assert values["note", 6] == "größer als *vorher*"
    assert values["digit", 5].startswith(b"\x89PNG")
    h = values["w", 4]
    assert (h.low, h.high, h.count, h.total, h.squares) == (1.0, 3.0, 4.0, 9.0, 23.0)
    assert h.limits == [2.0, 3.0]
    assert h.counts == [1.0, 3.0]


def test_numbers_at_the_edge(tmp_path):
    with train.SummaryWriter(tmp_path) as writer:
        for i, v in enumerate([math.inf, -math.inf, math.nan, 1e300, -0.0]):
            writer.add_scalar("v", v, i)
        writer.add_scalar("v", 1.0, -3)
        writer.add_scalar("v", 1.0, 2**40, walltime=12.5)
        writer.add_histogram("empty", [math.nan], 0)
        writer.add_histogram("equal", [2, 2, 2], 0)
    events = list(train.read_events(tmp_path))
    assert [e.value for e in events[:2]] == [math.inf, -math.inf]
    assert math.isnan(events[2].value)
    assert events[3].value == math.inf
    assert [e.step for e in events[5:7]] == [-3, 2**40]
    assert events[6].wall_time == 12.5
    assert events[7].value.count == 0
    assert events[8].value.count == 3


def test_a_cut_file_is_read_as_far_as_it_goes_and_a_damaged_one_refused(tmp_path):
    path = written(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert len(list(train.read_events(path))) == 6
    path.write_bytes(whole[:-9] + b"x" + whole[-8:])
    with pytest.raises(ValueError, match="event file is damaged"):
        list(train.read_events(path))


def test_framing():
    assert list(records(record(b"abc") + record(b""))) == [b"abc", b""]
    assert record(b"abc")[:8] == struct.pack("<Q", 3)
    assert masked(b"abc") < 2**32
    assert varint(300) == b"\xac\x02"
    assert fields(b"\x08\xac\x02") == {1: [300]}


def test_a_closed_writer_and_odd_images_are_refused(tmp_path):
    writer = train.SummaryWriter(tmp_path / "deep" / "folder")
    with pytest.raises(ValueError, match="do not fit an image of 3 dims"):
        writer.add_image("x", np.zeros((1, 2, 3)), dataformats="HW")
    with pytest.raises(TypeError, match="a tag is a string"):
        writer.add_scalar(3, 1.0)
    writer.close()
    with pytest.raises(ValueError, match="is closed"):
        writer.add_scalar("a", 1.0)


def test_training_writes_its_table(tmp_path):
    batches = [(ad.ones(2, 1), ad.ones(2, 1))] * 3
    board = train.TensorBoard(tmp_path, every_steps=2, histograms=True)
    history = train.fit(
        nn.Linear(1, 1), batches, nn.MSELoss(), optim.SGD, 2, callbacks=[board],
        progress=None,
    )  # fmt: skip
    events = list(train.read_events(tmp_path))
    losses = [e.value for e in events if e.tag == "loss"]
    assert losses == pytest.approx(history["loss"])
    steps = [e.step for e in events if e.tag == "step/loss"]
    assert steps == [2, 4, 6]
    assert {e.tag for e in events} >= {"weight", "bias", "seconds", "lr"}


def test_tensorboard_reads_it(tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    written(tmp_path)
    found = accumulator.EventAccumulator(str(tmp_path))
    found.Reload()
    assert [(e.step, e.value) for e in found.Scalars("loss")] == [(1, 0.5), (2, 0.25)]
    (h,) = (e.histogram_value for e in found.Histograms("w"))
    assert (h.min, h.max, h.num, h.sum, h.sum_squares) == (1, 3, 4, 9, 23)
    assert list(h.bucket_limit) == [2, 3]
    assert list(h.bucket) == [1, 3]
    (image,) = found.Images("digit")
    assert (image.height, image.width) == (4, 5)
    (text,) = found.Tensors("note/text_summary" if "note/text_summary" in
                            found.Tags()["tensors"] else "note")  # fmt: skip
    assert text.tensor_proto.string_val[0].decode() == "größer als *vorher*"
