rule take_trained:
    input:
        weights=lambda w: f"{trained(w.detector)}/student.pth",
        metrics=lambda w: f"{trained(w.detector)}/metrics.json",
        predictions=lambda w: f"{trained(w.detector)}/predictions.json",
    output:
        weights="results/{dataset}/detectors/{detector}/weights.pth",
        metrics="results/{dataset}/detectors/{detector}/metrics.json",
        predictions="results/{dataset}/detectors/{detector}/predictions.json",
    log:
        "logs/{dataset}/detectors/{detector}/take_trained.log",
    benchmark:
        "results/{dataset}/detectors/{detector}/benchmark.tsv"
    wildcard_constraints:
        detector=one_of(name for name, d in experiment.detectors.items() if d.train),
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=100,
        runtime=5,
    shell:
        "(cp {input.weights:q} {output.weights:q}; cp {input.metrics:q} {output.metrics:q};"
        " cp {input.predictions:q} {output.predictions:q}) > {log:q} 2>&1"


rule fetch:
    output:
        weights="results/{dataset}/detectors/{detector}/weights.pth",
    log:
        "logs/{dataset}/detectors/{detector}/fetch.log",
    benchmark:
        "results/{dataset}/detectors/{detector}/fetch.benchmark.tsv"
    wildcard_constraints:
        detector=one_of(name for name, d in experiment.detectors.items() if d.url),
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        url=lambda w: experiment.detectors[w.detector].url,
        sha256=lambda w: experiment.detectors[w.detector].sha256,
    shell:
        "python $SCRIPTS/fetch.py --url {params.url:q} --sha256 {params.sha256} --out {output.weights:q}"
        " > {log:q} 2>&1"


rule take_file:
    input:
        weights=lambda w: experiment.detectors[w.detector].file,
    output:
        weights="results/{dataset}/detectors/{detector}/weights.pth",
    log:
        "logs/{dataset}/detectors/{detector}/take_file.log",
    benchmark:
        "results/{dataset}/detectors/{detector}/take_file.benchmark.tsv"
    wildcard_constraints:
        detector=one_of(name for name, d in experiment.detectors.items() if d.file),
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=100,
        runtime=5,
    shell:
        "cp {input.weights:q} {output.weights:q} > {log:q} 2>&1"


rule evaluate:
    input:
        **annotations(),
        configs=lambda w: config_files([w.detector]),
        weights="results/{dataset}/detectors/{detector}/weights.pth",
    output:
        metrics="results/{dataset}/detectors/{detector}/metrics.json",
        predictions="results/{dataset}/detectors/{detector}/predictions.json",
    log:
        "logs/{dataset}/detectors/{detector}/evaluate.log",
    benchmark:
        "results/{dataset}/detectors/{detector}/evaluate.benchmark.tsv"
    wildcard_constraints:
        detector=one_of(name for name, d in experiment.detectors.items() if not d.train),
    conda:
        "../../envs/mtpd.yaml"
    threads: compute.threads
    resources:
        mem_mb=compute.mem_mb,
        runtime=compute.runtime,
        gpu=min(compute.gpus, 1),
    params:
        dataset=lambda w: as_json(dataset_spec()),
        detector=lambda w: as_json(detector_spec(w.detector)),
        work=lambda w: f"work/{w.dataset}/detectors/{w.detector}",
    shell:
        "OMP_NUM_THREADS={threads} python $SCRIPTS/evaluate.py --dataset {params.dataset:q}"
        " --detector {params.detector:q} --weights {input.weights:q} --metrics {output.metrics:q}"
        " --predictions {output.predictions:q} --work {params.work:q} > {log:q} 2>&1"
