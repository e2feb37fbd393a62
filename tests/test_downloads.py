"""Weights that rules fetch: a detector by its address, and the pretrained backbone that a config names."""

import hashlib

import pytest
import torch
from conftest import PROJECT, RECIPE, build, spec, weights
from servers import serving
from snakes import changed, checked, snakemake

from mtpd.detectors import configs
from mtpd.detectors.pretrained import file_of
from mtpd.experiment import backbones
from mtpd.experiment.schema import Experiment
from mtpd.fetch import FetchError
from mtpd.training.settings import Stage
from mtpd.training.stage import train

RETINANET = "mmdet::retinanet/retinanet_r101_fpn_1x_coco.py"
OFFLINE = {"https_proxy": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1", "no_proxy": "127.0.0.1"}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A server on this machine; no other can be reached, and the caches are empty."""
    caches = {"MTPD_CACHE": str(tmp_path / "cache"), "TORCH_HOME": str(tmp_path / "torch")}
    for name, value in {**OFFLINE, **caches}.items():
        monkeypatch.setenv(name, value)
    with serving() as site:
        yield site


def serve(site, tmp_path, weights):
    """Serve a checkpoint whose name ends in its hash; its address."""
    path = tmp_path / "served.pth"
    torch.save(weights, path)
    content = path.read_bytes()
    name = f"/weights-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    site.files[name] = content
    return site.url + name


def pretrained(url):
    return {"model.backbone.init_cfg": {"_delete_": True, "type": "Pretrained", "checkpoint": url}}


def test_mmdets_configs_name_their_backbones():
    assert backbones.named(RETINANET, {}) == ["torchvision://resnet101"]
    assert backbones.named("mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py", {}) == [
        "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_tiny_patch4_window7_224.pth"
    ]


@pytest.mark.parametrize(
    "config",
    [
        RETINANET,
        "mmdet::pvt/retinanet_pvt-t_fpn_1x_coco.py",
        "mmdet::hrnet/faster-rcnn_hrnetv2p-w18-1x_coco.py",
        "mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py",
        "mmdet::detectors/detectors_htc-r50_1x_coco.py",
        "mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py",
        str(PROJECT / "config/detectors/r18_w8.py"),
    ],
)
def test_what_is_found_without_running_a_config_is_what_it_names(config):
    model = configs.load_config(config, {}, ("one",)).model.to_dict()
    named = {name for name in backbones._pretrained(model) if name.startswith(backbones.SCHEMES)}
    assert backbones.named(config, {}) == sorted(named)


def test_overrides_replace_and_remove_a_backbone():
    other = {"model.backbone.init_cfg.checkpoint": "https://h/x.pth"}
    assert backbones.named(RETINANET, other) == ["https://h/x.pth"]
    assert backbones.named(RETINANET, {"model.backbone.init_cfg": None}) == []
    assert backbones.named(RETINANET, {"model.backbone": {"_delete_": True, "type": "ResNet"}}) == []
    assert backbones.named(RETINANET, {"model.backbone.init_cfg.checkpoint": "a/file.pth"}) == []


def test_what_is_not_plain_is_left_to_the_stage(tmp_path):
    config = tmp_path / "config.py"
    config.write_text(
        "def choose():\n    return 'torchvision://resnet50'\nmodel = dict(pretrained=choose())\n"
    )
    assert backbones.named(str(config), {}) == []


def test_names_are_looked_up_in_mmengines_tables():
    assert file_of("torchvision://resnet50").sha256 == "0676ba61"
    for name in ("open-mmlab://detectron/resnet50_caffe", "openmmlab://resnet50_caffe"):  # and its old name
        assert file_of(name).sha256 == "788b5fa3"
    with pytest.raises(FetchError, match="torchvision://resnet5: no such pretrained checkpoint"):
        file_of("torchvision://resnet5")


def test_only_first_stages_start_from_a_backbone(tmp_path):
    experiment = Experiment.model_validate(
        {
            "experiment": "e",
            "dataset": {"name": "d", "generate": {}},
            "detectors": {
                "s": {"config": RETINANET, "file": "s.pth"},
                "t": {"config": RETINANET, "file": "t.pth"},
            },
            "students": ["s"],
            "recipes": {"r": {"loss": {"name": "pkd"}}, "own": {"loss": {"name": "pkd"}, "start": "student"}},
            "arms": {"a": {"recipe": "r", "chain": "t@1+t@1"}, "b": {"recipe": "own", "chain": "t@1"}},
        }
    )
    resnet = {"torchvision://resnet101": "results/backbones/torchvision-resnet101.pth"}
    assert backbones.of_stage(experiment, "s", "r", "t@1") == resnet
    assert backbones.of_stage(experiment, "s", "r", "t@1+t@1") == {}
    assert backbones.of_stage(experiment, "s", "own", "t@1") == {}
    assert backbones.by_user(experiment) == {"s": resnet}


def test_a_students_checkpoint_keeps_the_name_in_its_config():
    name = "torchvision://resnet18"
    student = {**spec("r18_w8"), "overrides": pretrained(name)}
    config = configs.load_config(student["config"], student["overrides"], ("one",))
    local = configs.with_local_backbones(config, {name: "some/file.pth"})
    assert local.model.backbone.init_cfg.checkpoint == "some/file.pth"
    assert config.model.backbone.init_cfg.checkpoint == name


@pytest.mark.parametrize("declared", [True, False])
def test_a_stage_starts_from_its_backbone(declared, site, dataset, tmp_path, monkeypatch):
    """From the file that it is given, without network; or, where none was declared, it fetches its own."""
    monkeypatch.chdir(tmp_path)
    own = build("r18_w8", seed=7).backbone.state_dict()
    url = serve(site, tmp_path, own)
    given = {}
    if declared:
        site.files.clear()
        given = {"backbones": {url: str(tmp_path / "served.pth")}}
    student = {**spec("r18_w8"), "overrides": pretrained(url)}
    recipe = {**RECIPE, "optimizer": {"type": "SGD", "lr": 0.0}, "loss": None}
    train(Stage(dataset, student, recipe, 1, 0, **given), tmp_path / "out", tmp_path / "work", "said")
    trained = weights(tmp_path)
    for name, tensor in own.items():
        if "conv" in name:
            assert torch.equal(trained[f"backbone.{name}"], tensor), name
    assert url in torch.load(tmp_path / "out/student.pth", weights_only=True)["meta"]["cfg"]
    assert len(site.asked) == (0 if declared else 1)


def test_a_backbone_that_a_stage_cannot_fetch_is_named(site, dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    student = {**spec("r18_w8"), "overrides": pretrained(f"{site.url}/none-01234567.pth")}
    with pytest.raises(FetchError, match=r"none-01234567\.pth could not be downloaded"):
        train(Stage(dataset, student, {**RECIPE, "loss": None}, 1, 0), tmp_path / "out", tmp_path / "work")


def only_downloads(experiment, url, backbone):
    """The tiny experiment with one arm; a teacher and a student's backbone have addresses."""
    for detector in experiment["detectors"].values():
        detector["config"] = str(PROJECT / detector["config"])
    swin, student = (experiment["detectors"][name] for name in ("swin", "student"))
    del swin["train"]
    swin |= {"url": url, "sha256": url[-12:-4]}
    student["overrides"] = pretrained(backbone)
    experiment["arms"] = {"direct": {"recipe": "pkd", "chain": "swin@1"}}


def test_rules_fetch_a_detector_and_a_backbone_and_a_stage_starts_from_it(site, tmp_path):
    teacher = serve(site, tmp_path, {"state_dict": build("swin_w32").state_dict()})
    own = build("r18_w8", seed=7).backbone.state_dict()
    backbone = serve(site, tmp_path, own)
    config = changed(tmp_path, "given", lambda e: only_downloads(e, teacher, backbone))
    assert planned_of(tmp_path, config, "fetched") == {"download": 1, "fetch_backbone": 1, "fetched": 1}
    site.breaks = [10_000] * 2
    code, said = snakemake(tmp_path, "--", "fetched", config=config)
    assert code == 0, said
    assert len(site.asked) == 4
    site.files.clear()  # the rest needs no network
    stage = "few-shapes/students/student/pkd/swin@1/seed0"
    code, said = snakemake(tmp_path, "--", f"results/{stage}/student.pth", config=checked(tmp_path, config))
    assert code == 0, said
    assert len(site.asked) == 4
    kept = backbones.path(backbone)
    assert kept in (tmp_path / f"logs/{stage}/stage.log").read_text()
    (tmp_path / kept).touch()
    _, said = snakemake(tmp_path, "-n", "--", f"results/{stage}/student.pth", config=config)
    assert "Nothing to be done" in said


def planned_of(folder, config, target):
    code, said = snakemake(folder, "-n", "--", target, config=config)
    assert code == 0, said
    return {rule: 1 for rule in ("download", "fetch_backbone", "fetched") if f"rule {rule}:" in said}


def test_a_run_names_every_file_that_it_cannot_fetch_and_where_to_put_it(site, tmp_path):
    teacher, backbone = (f"{site.url}/{name}-01234567.pth" for name in ("swin", "resnet"))
    config = changed(tmp_path, "given", lambda e: only_downloads(e, teacher, backbone))
    code, said = snakemake(tmp_path, "--keep-going", "--", "fetched", config=config)
    assert code != 0
    for line in (
        f"To be fetched, if a job needs it: {teacher}, for detectors.swin",
        f"To be fetched, if a job needs it: {backbone}, for detectors.student",
        "detectors.swin: swin-01234567.pth could not be downloaded",
        f"pretrained weights {backbone}: resnet-01234567.pth could not be downloaded",
        f"{backbone}: HTTP 404",
        f"as {tmp_path}/cache/resnet-01234567.pth",
        "must begin with 01234567",
    ):
        assert line in said
