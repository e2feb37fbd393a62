rule publish_detectors:
    input:
        weights=[layout.detector(name, "weights.pth") for name in experiment.detectors],
        metrics=[layout.detector(name, "metrics.json") for name in experiment.detectors],
    output:
        weights=[f"{folders.PUBLISHED}/{name}.pth" for name in experiment.detectors],
        card=f"{folders.PUBLISHED}/README.md",
    log:
        f"{folders.logs(folders.PUBLISHED)}/publish.log",
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        script=script("publish.py"),
        spec=lambda w: spec_file(
            folders.PUBLISHED.format(**w), "publish", card_specs.publish(experiment, layout)
        ),
    shell:
        "{params.script} --spec {params.spec:q} --weights {input.weights:q} --metrics {input.metrics:q}"
        " --out {output.weights:q} --card {output.card:q} > {log:q} 2>&1"
