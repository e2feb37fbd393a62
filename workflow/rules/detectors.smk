rule take_trained:
    input:
        weights=lambda w: trained(w.detector, "student.pth"),
        metrics=lambda w: trained(w.detector, "metrics.json"),
        predictions=lambda w: trained(w.detector, "predictions.json"),
        unfitting=trained_to_take_again,
    output:
        weights=f"{folders.DETECTOR}/weights.pth",
        metrics=f"{folders.DETECTOR}/metrics.json",
        predictions=f"{folders.DETECTOR}/predictions.json",
    log:
        f"{folders.logs(folders.DETECTOR)}/take_trained.log",
    benchmark:
        f"{folders.DETECTOR}/benchmark.tsv"
    wildcard_constraints:
        detector=by_source("train"),
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=100,
        runtime=5,
    shell:
        "(cp {input.weights:q} {output.weights:q}; cp {input.metrics:q} {output.metrics:q};"
        " cp {input.predictions:q} {output.predictions:q}) > {log:q} 2>&1"


rule take_file:
    input:
        weights=lambda w: experiment.detectors[w.detector].file,
        unfitting=lambda w: unless_equal(
            layout.detector(w.detector, "weights.pth"), experiment.detectors[w.detector].file
        ),
    output:
        weights=f"{folders.DETECTOR}/weights.pth",
    log:
        f"{folders.logs(folders.DETECTOR)}/take_file.log",
    benchmark:
        f"{folders.DETECTOR}/take_file.benchmark.tsv"
    wildcard_constraints:
        detector=by_source("file"),
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=100,
        runtime=5,
    params:
        script=script("take_file.py"),
        sha256=lambda w: experiment.detectors[w.detector].sha256 or "",
    shell:
        "{params.script} --file {input.weights:q} --sha256 {params.sha256:q} --out {output.weights:q}"
        " > {log:q} 2>&1"


rule download:
    output:
        weights=f"{folders.DETECTOR}/weights.pth",
    log:
        f"{folders.logs(folders.DETECTOR)}/download.log",
    benchmark:
        f"{folders.DETECTOR}/download.benchmark.tsv"
    wildcard_constraints:
        detector=by_source("url"),
    priority: 1  # what cannot be fetched shall be known early
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        script=script("download.py"),
        url=lambda w: experiment.detectors[w.detector].url,
        sha256=lambda w: experiment.detectors[w.detector].sha256,
    shell:
        "{params.script} --url {params.url:q} --sha256 {params.sha256}"
        " --out {output.weights:q} > {log:q} 2>&1 || {{ cat {log:q} >&2; exit 1; }}"


use rule take_file as take_initial with:
    input:
        weights=lambda w: experiment.detectors[w.detector].initial.file,
        unfitting=lambda w: unless_equal(
            layout.detector(w.detector, "initial.pth"), experiment.detectors[w.detector].initial.file
        ),
    output:
        weights=f"{folders.DETECTOR}/initial.pth",
    log:
        f"{folders.logs(folders.DETECTOR)}/take_initial.log",
    benchmark:
        f"{folders.DETECTOR}/take_initial.benchmark.tsv"
    wildcard_constraints:
        detector=by_source("file", lambda detector: detector.initial),
    params:
        script=script("take_file.py"),
        sha256=lambda w: experiment.detectors[w.detector].initial.sha256 or "",


use rule download as download_initial with:
    output:
        weights=f"{folders.DETECTOR}/initial.pth",
    log:
        f"{folders.logs(folders.DETECTOR)}/download_initial.log",
    benchmark:
        f"{folders.DETECTOR}/download_initial.benchmark.tsv"
    wildcard_constraints:
        detector=by_source("url", lambda detector: detector.initial),
    params:
        script=script("download.py"),
        url=lambda w: experiment.detectors[w.detector].initial.url,
        sha256=lambda w: experiment.detectors[w.detector].initial.sha256,


rule fetch_backbone:
    output:
        weights=folders.BACKBONE,
    log:
        f"{folders.logs(folders.BACKBONE)}.log",
    wildcard_constraints:
        backbone=one_of(Path(path).name for path in backbone_names),
    priority: 1
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        script=script("fetch_backbone.py"),
        name=lambda w: backbone_names[folders.BACKBONE.format(**w)],
    shell:
        "{params.script} --name {params.name:q} --out {output.weights:q}"
        " > {log:q} 2>&1 || {{ cat {log:q} >&2; exit 1; }}"


rule evaluate:
    input:
        **annotations(),
        configs=lambda w: config_files([w.detector]),
        weights=f"{folders.DETECTOR}/weights.pth",
        unfitting=lambda w: unless_it_fits(
            layout.detector(w.detector, "metrics.json"),
            partial(specs.evaluation, experiment, layout, w.detector),
        ),
    output:
        metrics=f"{folders.DETECTOR}/metrics.json",
        predictions=f"{folders.DETECTOR}/predictions.json",
    log:
        f"{folders.logs(folders.DETECTOR)}/evaluate.log",
    benchmark:
        f"{folders.DETECTOR}/evaluate.benchmark.tsv"
    wildcard_constraints:
        detector=one_of(name for name, d in experiment.detectors.items() if not d.train),
    conda:
        "../../envs/mtpd.yaml"
    threads: compute.threads
    resources:
        **on_one_node(min(compute.gpus, 1)),
        mem_mb=compute.mem_mb,
        runtime=compute.runtime,
    params:
        script=script("evaluate.py", min(compute.gpus, 1)),
        spec=lambda w: spec_file(
            layout.detector(w.detector, ""), "evaluate", specs.evaluation(experiment, layout, w.detector)
        ),
    shell:
        "{params.script} --spec {params.spec:q}"
        " --weights {input.weights:q} --metrics {output.metrics:q} --predictions {output.predictions:q}"
        " --workers {resources.loaders} > {log:q} 2>&1"
