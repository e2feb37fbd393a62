rule analyse:
    input:
        annotations=annotations()["val"],
        predictions="{folder}/predictions.json",
    output:
        analysis="{folder}/analysis.json",
    log:
        "logs/analyse/{folder}.log",
    benchmark:
        "{folder}/analysis.benchmark.tsv"
    wildcard_constraints:
        folder=f"results/{re.escape(layout.dataset)}/(detectors|students)/.+",
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        script=script("analyse.py"),
        form=2,  # of the file: one of an older form is made again
    shell:
        "{params.script} --annotations {input.annotations:q} --predictions {input.predictions:q}"
        " --out {output.analysis:q} > {log:q} 2>&1"


rule write_page:
    input:
        outputs.plots(experiment, layout),
        main=f"{folders.TABLES}/main.csv",
        comparison=[f"{folders.TABLES}/comparison.csv"] if compared else [],
        annotations=annotations()["val"],
        imported=what_went_in(),
        detectors=[layout.detector(name, "analysis.json") for name in reported],
        stages=lambda w: rows.stage_files(shown_rows(), "analysis.json"),
    output:
        page=f"{folders.EXPERIMENT}/report.html",
    log:
        f"{folders.logs(folders.EXPERIMENT)}/page.log",
    benchmark:
        f"{folders.EXPERIMENT}/page.benchmark.tsv"
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        script=script("page.py"),
        spec=lambda w: spec_file(
            folders.EXPERIMENT.format(**w), "page", outputs.report_page(experiment, layout, shown_rows())
        ),
        folder=lambda w: folders.EXPERIMENT.format(**w),
        images=lambda w: data_specs.dataset(experiment, layout)["val"]["images"],
        commands=["make setup", command_line()],
    shell:
        "{params.script} --spec {params.spec:q} --results {params.folder:q} --annotations {input.annotations:q}"
        " --images {params.images:q} --imported {input.imported:q} --commands {params.commands:q} --out {output.page:q} > {log:q} 2>&1"
