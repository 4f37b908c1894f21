"""If these fail, training learns nothing, teaches the wrong rows, publishes other weights, or dies without a reason."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from feature_corpus import MELS, make_corpus, small
from safetensors.torch import load_file

from speakerkd.data.archive import read_vectors
from speakerkd.errors import InputError
from speakerkd.models.trained_model import load_trained_model
from speakerkd.tensors import Output
from speakerkd.training import loop
from speakerkd.training.averaging import Ema
from speakerkd.training.build import build_parts
from speakerkd.training.checkpoint import average, steps_there
from speakerkd.training.experiment import check_experiment
from speakerkd.training.guards import largest_that_fits
from speakerkd.training.loop import TrainingLoop, train
from speakerkd.training.processes import join_processes
from speakerkd.training.trainer import Trainer


def experiment(feature_corpus: Path, **changes):
    return check_experiment(small(feature_corpus, **changes), "test")


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_training_learns_and_publishes_a_model(feature_corpus, tmp_path):
    changes = {
        "data__dev": str(feature_corpus),
        "train__evaluate_every": 20,
        "train__log_every": 40,
        "student__width": 0.1,
    }
    config = experiment(feature_corpus, train__epochs=40, **changes)
    summary = train(config, tmp_path / "exp" / "run")
    terms = [row["terms"] for row in rows(tmp_path / "exp" / "run") if "terms" in row]
    assert terms[-1]["softmax"] < 0.6 * terms[0]["softmax"]
    assert terms[-1]["margin"] < 0.5 * terms[0]["margin"]
    assert summary["figures"]["eer"] < 25
    package = load_trained_model(tmp_path / "exp" / "latest")
    assert package.task == "speaker" and package.labels == [f"id{s:03d}" for s in range(6)]
    assert package.teacher.name == "ir50" and package.teacher.dim == 8
    assert package.embed(torch.randn(2, 30, MELS)).shape == (2, 8)
    assert package.project(torch.randn(3, 8)).shape == (3, 8)
    text = (tmp_path / "exp" / "run" / "config.yaml").read_text()
    assert "crop_frames: 24  # frames of a training crop" in text


def test_a_head_that_answers_with_one_vector_is_told(feature_corpus, tmp_path, monkeypatch, caplog):
    train(experiment(feature_corpus, train__epochs=1, train__log_every=1), tmp_path / "fine")
    assert not caplog.records
    assert all(-1 <= row["projection_collapse"] <= 1 for row in rows(tmp_path / "fine") if "terms" in row)
    build_all = loop.build_parts

    def collapsed(*arguments):
        parts = build_all(*arguments)
        with torch.no_grad():
            parts.objectives.head.second.bias.fill_(100.0)
        return parts

    monkeypatch.setattr(loop, "build_parts", collapsed)
    train(experiment(feature_corpus, train__epochs=1, train__log_every=1), tmp_path / "collapsed")
    assert [r.message.split(",")[0] for r in caplog.records] == [
        "step 1: the projection head gives nearly one vector for all teacher embeddings (mean cosine 1.00)"
    ]


def test_the_baseline_starts_from_the_same_student(feature_corpus, tmp_path):
    taught, plain = build_parts(experiment(feature_corpus)), build_parts(experiment(feature_corpus, distill=[]))
    assert plain.teacher is None and len(plain.objectives) == 0
    for a, b in zip(taught.student.parameters(), plain.student.parameters(), strict=True):
        assert torch.equal(a, b)


def test_rows_without_a_face_are_left_out_of_teaching_alone(partly_paired, tmp_path):
    config = experiment(partly_paired, train__speakers=6, train__epochs=1, distill=[{"name": "margin", "margin": 0.0}])
    with join_processes(config.train) as accelerator:
        trainer = Trainer(build_parts(config), accelerator)
        loader = trainer.open_loader()
        batch = next(loader)
        trainer.train_mode()
        result = trainer.losses(batch)
        loader.close()
    paired = set(read_vectors(partly_paired / "teacher.scp")[0])
    has = [trainer.parts.source.keys[i] in paired for i in batch.index.tolist()]
    assert 0 < sum(has) < len(has)
    assert batch.taught.tolist() == np.flatnonzero(has).tolist()
    assert batch.taught_share == pytest.approx(np.mean(has))
    # margin 0: the mean of 1 - cosine over the rows that have a face
    keys, vectors = read_vectors(partly_paired / "teacher.scp")
    names = [trainer.parts.source.keys[i] for i, h in zip(batch.index.tolist(), has, strict=True) if h]
    teacher = torch.from_numpy(np.stack([vectors[keys.index(name)] for name in names]))
    output = trainer.network(batch.student)
    projected = trainer.parts.objectives.teacher_view(teacher)
    expected = (1 - torch.cosine_similarity(output.embedding[np.flatnonzero(has)], projected)).mean()
    assert float(result.terms["margin"].detach()) == pytest.approx(float(expected.detach()), rel=1e-4)


def test_losses_and_objectives_compare_in_float32_what_half_precision_computed(feature_corpus, monkeypatch):
    """Under bf16 a similarity of a batch would keep 8 bits, and a margin of 0.1 would be noise."""
    config = experiment(feature_corpus, train__precision="bf16", loss__name="aam_prototypical")
    kinds = []
    with join_processes(config.train) as accelerator:
        trainer = Trainer(build_parts(config), accelerator)
        loader = trainer.open_loader()
        network = trainer.network

        def in_half(x, maps):
            output = network(x, maps=maps)
            output.embedding = output.embedding.bfloat16()
            return output

        def kinds_seen(_, arguments):
            kinds.extend(x.dtype for x in arguments if isinstance(x, torch.Tensor) and x.is_floating_point())
            kinds.extend(x.embedding.dtype for x in arguments if isinstance(x, Output))

        monkeypatch.setattr(trainer, "network", in_half)
        for part in (trainer.parts.loss, *trainer.parts.objectives.objectives.values()):
            part.register_forward_pre_hook(kinds_seen)
        losses = trainer.losses(next(loader))
        loader.close()
    assert kinds == [torch.float32] * 3
    assert all(term.dtype == torch.float32 for term in losses.terms.values())


def test_the_log_says_by_which_code_command_and_processor(partly_paired, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/speakerkd", "train", "a b.yaml"])
    train(experiment(partly_paired, train__epochs=1), tmp_path / "run")
    about = rows(tmp_path / "run")[0]["about"]
    assert about["command"] == "speakerkd train 'a b.yaml'"
    assert about["speakerkd"].startswith("0.1.0") and about["processor"]


def test_the_log_says_what_share_is_taught(partly_paired, tmp_path):
    train(experiment(partly_paired, train__log_every=4), tmp_path / "run")
    shares = [row["taught"] for row in rows(tmp_path / "run") if "taught" in row]
    assert all(0.3 < share < 0.9 for share in shares)


def test_gradients_of_accumulated_batches_are_those_of_their_mean_loss(feature_corpus):
    config = experiment(feature_corpus, train__accumulate=2, optim__name="sgd", optim__momentum=0.0, optim__lr=1.0)
    config.optim.weight_decay = 0.0
    with join_processes(config.train) as accelerator:
        trainer = Trainer(build_parts(config), accelerator)
        trainer.train_mode()
        loader = trainer.open_loader()
        first, second = next(loader), next(loader)
        loader.close()
        trainer.parts.student.eval()  # BatchNorm's moving statistics stay as they are
        mean = (trainer.losses(first).total + trainer.losses(second).total) / 2
        wanted = torch.autograd.grad(mean, trainer.parameters)
        before = [p.detach().clone() for p in trainer.parameters]
        loader = trainer.open_loader()
        trainer.take_step(loader)
        loader.close()
    for p, was, gradient in zip(trainer.parameters, before, wanted, strict=True):
        assert torch.allclose(was - p, gradient, atol=1e-5)


def test_moving_average_by_hand():
    network = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(0.0)
    ema = Ema(network, decay=0.5)
    with torch.no_grad():
        network.weight.fill_(10.0)
    ema.update(network)  # decay min(.5, 1/10) = .1: .1 * 0 + .9 * 10
    assert float(ema.network.weight) == pytest.approx(9.0)
    with torch.no_grad():
        network.weight.fill_(0.0)
    ema.update(network)  # decay 2/11
    assert float(ema.network.weight) == pytest.approx(9 * 2 / 11)


def test_published_weights_are_the_ones_asked_for(feature_corpus, tmp_path):
    common = {"data__dev": str(feature_corpus), "train__keep_last": 9, "train__epochs": 3}
    train(experiment(feature_corpus, **common), tmp_path / "last")
    folders = {}
    for name, changes in {"mean": {"train__average_last": 2}, "best": {"train__publish": "best"}}.items():
        folders[name] = tmp_path / name
        train(experiment(feature_corpus, **common, **changes), folders[name])

    def of_step(folder: Path, step: int) -> dict[str, torch.Tensor]:
        tensors = load_file(folder / "checkpoints" / f"step-{step}" / "weights.safetensors")
        return {k: t for k, t in tensors.items() if k.startswith("student.")}

    last = load_file(tmp_path / "last" / "model.safetensors")
    assert all(torch.equal(t, last[k]) for k, t in of_step(tmp_path / "last", 12).items())
    mean = load_file(folders["mean"] / "model.safetensors")
    a, b = of_step(folders["mean"], 8), of_step(folders["mean"], 12)
    for key, value in a.items():
        if value.is_floating_point():
            assert torch.allclose(mean[key], (value + b[key]) / 2, atol=1e-6), key
    figures = {row["step"]: row["evaluation"]["eer"] for row in rows(folders["best"]) if "evaluation" in row}
    best = min(reversed(figures), key=figures.get)
    published = load_file(folders["best"] / "model.safetensors")
    assert all(torch.equal(t, published[k]) for k, t in of_step(folders["best"], best).items())


def test_checkpoints_that_stay(feature_corpus, tmp_path):
    changes = {"data__dev": str(feature_corpus), "train__epochs": 6, "train__keep_last": 2, "train__keep_best": 1}
    train(experiment(feature_corpus, **changes), tmp_path / "run")
    figures = {row["step"]: row["evaluation"]["eer"] for row in rows(tmp_path / "run") if "evaluation" in row}
    best = min(reversed(figures), key=figures.get)
    assert steps_there(tmp_path / "run" / "checkpoints") == sorted({20, 24, best})


def test_average_by_hand():
    first = {"w": torch.tensor([1.0, 2.0]), "steps": torch.tensor(3)}
    second = {"w": torch.tensor([3.0, 5.0]), "steps": torch.tensor(4)}
    mean = average([first, second])
    assert mean["w"].tolist() == [2.0, 3.5] and mean["steps"] == 4


def test_large_margin_fine_tuning_starts_from_an_experiment(feature_corpus, tmp_path):
    first = {"loss": {"name": "aam", "margin": 0.1}, "train__utterances": 1}
    train(experiment(feature_corpus, **first), tmp_path / "first")
    second = experiment(
        feature_corpus,
        **{**first, "loss": {"name": "aam", "margin": 0.4}},
        train__init=str(tmp_path / "first"),
        data__crop_frames=40,
    )
    parts = build_parts(second)
    stored = load_file(tmp_path / "first" / "checkpoints" / "step-20" / "weights.safetensors")
    assert torch.equal(parts.loss.classifier.weight, stored["loss.classifier.weight"])
    for key, value in parts.student.state_dict().items():
        assert torch.equal(value, stored[f"student.{key}"])


def test_a_loss_that_is_not_finite_names_term_and_keys_and_leaves_the_checkpoint(feature_corpus, tmp_path):
    config = experiment(feature_corpus, train__epochs=3)
    folder = tmp_path / "run"
    with join_processes(config.train) as accelerator:
        trainer = Trainer(build_parts(config), accelerator)
        run = TrainingLoop(trainer, folder, lambda row: None)
        original = trainer.parts.objectives.forward

        def poisoned(*args):
            terms = original(*args)
            return {k: v * float("nan") if trainer.step == 5 else v for k, v in terms.items()}

        trainer.parts.objectives.forward = poisoned
        folder.mkdir()
        with pytest.raises(InputError) as error:
            run.run()
    assert "not finite at step 5: margin is nan" in str(error.value)
    assert "id00" in error.value.where  # keys of the batch
    assert "softmax is" not in str(error.value)
    assert steps_there(folder / "checkpoints") == [4]
    stored = load_file(folder / "checkpoints" / "step-4" / "weights.safetensors")
    assert all(torch.isfinite(t).all() for t in stored.values() if t.is_floating_point())


def test_out_of_memory_names_a_batch_that_fits(feature_corpus, tmp_path):
    config = experiment(feature_corpus, train__speakers=6)
    with join_processes(config.train) as accelerator:
        trainer = Trainer(build_parts(config), accelerator)
        inner = trainer.network

        def tight(x, maps=False):
            if len(x) > 8:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return inner(x, maps=maps)

        trainer.network = tight
        loader = trainer.open_loader()
        with pytest.raises(InputError, match=r"batch of 6.*set train\.speakers to 4, and train\.accumulate to 2"):
            trainer.take_step(loader)
        loader.close()


def test_largest_that_fits_is_found_by_halving():
    tried = []

    def trial(count: int) -> None:
        tried.append(count)
        if count > 13:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    assert largest_that_fits(trial, 100) == 13
    assert len(tried) < 9


def test_too_few_speakers_an_empty_corpus_and_other_bands(feature_corpus, tmp_path):
    with pytest.raises(InputError, match="a batch wants 7 speakers"):
        train(experiment(feature_corpus, train__speakers=7), tmp_path / "run")
    assert not (tmp_path / "run").exists()  # nothing half-begun stays
    with pytest.raises(InputError, match="features have 16 bands, the student takes 40"):
        train(experiment(feature_corpus, student__mels=40), tmp_path / "run")
    with pytest.raises(InputError, match="no such data directory"):
        train(experiment(tmp_path / "nowhere"), tmp_path / "run")
    single = make_corpus(tmp_path / "single", speakers=4, utterances=1)
    with pytest.raises(InputError, match="0 of 4 speakers"):
        train(experiment(single), tmp_path / "run")


def test_settings_are_refused_before_anything_is_loaded(tmp_path):
    for changes, message in (
        ({"train__epoch": 3}, "unknown setting 'train.epoch'.*did you mean 'epochs'"),
        ({"student__widht": 1}, "unknown setting 'student.widht'.*did you mean 'width'"),
        ({"data__crop_frame": 1}, "unknown setting 'data.crop_frame'.*did you mean 'crop_frames'"),
        ({"loss__nmae": 1}, "nmae.*did you mean 'name'"),
        ({"optim__lr": 0}, r"optim\.lr.*greater than 0"),
        ({"task": "speker"}, "unknown task 'speker'.*did you mean 'speaker'"),
        ({"distill": [{"name": "margn"}]}, "unknown objective 'margn'.*did you mean 'margin'"),
        ({"projection__alpha": 2}, "alpha"),
        ({"train__average_last": 9}, "average_last 9 needs keep_last"),
        ({"train__utterances": 1}, "wants at least|wants 2 utterances"),
        ({"train__speakers": 1}, "a batch has one.*set train.speakers to at least 2"),
        ({"name": "a/b"}, "one folder name"),
    ):
        with pytest.raises(InputError, match=message):
            experiment(tmp_path / "not there", **changes)


def test_an_objective_that_the_pair_cannot_feed_stops_before_training(feature_corpus, tmp_path):
    with pytest.raises(
        InputError, match=r"kd.*teacher gives embeddings without class scores.*speakerkd embed-teacher --classifier"
    ):
        train(experiment(feature_corpus, distill=[{"name": "kd"}]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_to(feature_corpus, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write to the experiment folder"):
        train(experiment(feature_corpus), tmp_path / "file" / "run")


def test_a_full_disk_keeps_the_last_good_checkpoint(feature_corpus, tmp_path, monkeypatch):
    import speakerkd.training.checkpoint as checkpoint

    save, calls = checkpoint.save_file, []

    def full(tensors, path):
        calls.append(path)
        if len(calls) > 3:
            raise OSError(28, "No space left on device", str(path))
        save(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(InputError, match=r"No space left on device.*last good checkpoint is step-4"):
        train(experiment(feature_corpus), tmp_path / "run")
    assert steps_there(tmp_path / "run" / "checkpoints") == [4]
    assert not list((tmp_path / "run" / "checkpoints").glob(".step-*"))


def test_weights_of_other_speakers_start_the_student_alone(feature_corpus, tmp_path, caplog):
    train(experiment(feature_corpus), tmp_path / "first")
    other = make_corpus(tmp_path / "other", speakers=4, seed=1)
    parts = build_parts(experiment(other, train__init=str(tmp_path / "first")))
    stored = load_file(tmp_path / "first" / "model.safetensors")
    for key, value in parts.student.state_dict().items():
        assert torch.equal(value, stored[f"student.{key}"])
    assert parts.loss.classifier.out_features == 4
    assert "knows other classes" in caplog.text
    with pytest.raises(InputError, match="no weights to start from"):
        build_parts(experiment(feature_corpus, train__init=str(tmp_path)))


def test_checkpoints_by_the_clock_do_not_change_what_is_averaged(feature_corpus, tmp_path, monkeypatch):
    changes = {"train__epochs": 3, "train__average_last": 2}
    train(experiment(feature_corpus, **changes), tmp_path / "calm")
    train(experiment(feature_corpus, **changes, train__checkpoint_minutes=1e-9), tmp_path / "hasty")
    calm, hasty = (load_file(tmp_path / name / "model.safetensors") for name in ("calm", "hasty"))
    assert all(torch.equal(calm[key], hasty[key]) for key in calm)
    assert steps_there(tmp_path / "hasty" / "checkpoints") == [4, 8, 12]


def test_a_missing_compiler_costs_speed_alone(feature_corpus, tmp_path, monkeypatch, caplog):
    from torch._inductor.exc import InductorError

    import speakerkd.training.trainer as step

    monkeypatch.setattr(step, "worth_compiling", lambda *args: True)

    def broken(network, **kwargs):
        def run(*args, **kwargs):
            raise InductorError(RuntimeError("no C++ compiler"), None)

        return run

    monkeypatch.setattr(torch, "compile", broken)
    summary = train(experiment(feature_corpus, train__compile="auto"), tmp_path / "run")
    assert summary["step"] == 8
    assert "cannot compile the network" in caplog.text
    with pytest.raises(InputError, match=r"train\.compile"):
        train(experiment(feature_corpus, train__compile=True), tmp_path / "other")


def test_the_list_of_settings_names_every_one_with_its_bounds():
    from speakerkd.training.reference import reference

    text = reference()
    assert "  crop_frames: 200  # frames of a training crop; 100 are a second (at least 8, at most 10000)" in text
    assert "distill:\n  - name: margin\n" in text and "loss:\n  name: am\n" in text


def test_the_loop_is_the_paper_written_out(feature_corpus, tmp_path):
    """Five steps of softmax + angular prototypical + margin through the projection head, in plain torch beside ours."""
    from torch.nn import functional

    from speakerkd.data.archive import FeatureArchive

    changes = {"train__steps_per_epoch": 5, "train__epochs": 1, "optim__lr": 0.003, "train__channels_last": False}
    config = experiment(feature_corpus, **changes)
    train(config, tmp_path / "run")
    logged = [row["terms"] for row in rows(tmp_path / "run") if "terms" in row]

    parts = build_parts(config)  # the same seeds: the same first weights
    student, classifier, head = parts.student.train(), parts.loss.classifier, parts.objectives.head
    scale, offset = torch.tensor(10.0, requires_grad=True), torch.tensor(-5.0, requires_grad=True)
    trained = [*student.parameters(), *classifier.parameters(), *head.parameters(), scale, offset]
    optimiser = torch.optim.Adam(trained, lr=0.003, weight_decay=5e-5)
    archive = FeatureArchive(feature_corpus / "feats.scp")
    keys, vectors = read_vectors(feature_corpus / "teacher.scp")
    for step, terms in enumerate(logged):
        index = parts.sampler.batch(step)
        draw = np.random.default_rng([3, step, 0xC4A2]).random((6, 9))[:, 0]
        frames = [archive.whole(i) for i in index]
        starts = [int(u * max(len(f) - 24 + 1, 1)) for u, f in zip(draw, frames, strict=True)]
        crops = [
            np.resize(f, (24, MELS)) if len(f) < 24 else f[s : s + 24] for f, s in zip(frames, starts, strict=True)
        ]
        embedding = student(torch.from_numpy(np.stack(crops))).embedding
        label = torch.tensor([int(archive.keys[i][2:5]) for i in index])
        softmax = functional.cross_entropy(classifier(embedding), label)
        unit = functional.normalize(embedding)
        similarity = scale * unit[0::2] @ unit[1::2].T + offset
        prototypical = functional.cross_entropy(similarity, torch.arange(3))
        face = torch.from_numpy(np.stack([vectors[keys.index(archive.keys[i])] for i in index]))
        mlp = head.second(torch.relu(head.first(face)))
        projected = 0.6 * face + 0.4 * mlp
        apart = 1 - functional.cosine_similarity(embedding, projected)
        margin = torch.relu(apart - (1 - np.cos(np.pi / 6))).mean()
        loss = softmax + prototypical + margin
        expected = {"softmax": softmax, "prototypical": prototypical, "margin": margin, "loss": loss}
        for name, value in expected.items():
            assert terms[name] == pytest.approx(value.item(), rel=2e-4), (step, name)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def test_samples_are_shown_in_tensorboard_where_asked(feature_corpus, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for samples in (0, 1):
        folder = tmp_path / str(samples)
        train(experiment(feature_corpus, train__samples=samples, train__epochs=1), folder)
        events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0})
        events.Reload()
        assert events.Tags()["images"] == (["samples/student"] if samples else [])
        assert "terms/margin" in events.Tags()["scalars"]
    picture = events.Images("samples/student")[0]
    assert (picture.width, picture.height) == (24, MELS)
