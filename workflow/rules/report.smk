rule rows:
    input:
        lambda w: [finished_order(student, pool) for student, pool in ordered_pools()],
    output:
        rows="results/{experiment}/rows.json",
    log:
        "logs/{experiment}/rows.log",
    localrule: True
    resources:
        mem_mb=100,
        runtime=5,
    params:
        rows=lambda w: rows(experiment.arms),
    run:
        files.write_json(output.rows, params.rows)


rule complexity:
    input:
        train=annotations()["train"],
        configs=config_files(reported_detectors()),
    output:
        table="results/{experiment}/complexity.csv",
    log:
        "logs/{experiment}/complexity.log",
    benchmark:
        "results/{experiment}/complexity.benchmark.tsv"
    conda:
        "../../envs/mtpd.yaml"
    # More than there are, so that milliseconds are measured with the machine to itself.
    threads: 1024
    resources:
        mem_mb=compute.mem_mb,
        runtime=compute.runtime,
        gpu=min(compute.gpus, 1),
        cpus_per_task=compute.threads,
    params:
        dataset=lambda w: as_json(dataset_spec()),
        detectors=lambda w: as_json({name: detector_spec(name) for name in reported_detectors()}),
    shell:
        "python $SCRIPTS/complexity.py --dataset {params.dataset:q}"
        " --detectors {params.detectors:q} --out {output.table:q} > {log:q} 2>&1"


rule table:
    input:
        rows="results/{experiment}/rows.json",
        complexity="results/{experiment}/complexity.csv",
        detectors=[detector_file(name, "metrics.json") for name in reported_detectors()],
        written=stage_results("metrics.json", written_arms()),
        stages=lambda w: stage_results("metrics.json"),
    output:
        csv=report("results/{experiment}/tables/main.csv", caption="../report/table.rst", category="Tables"),
        md="results/{experiment}/tables/main.md",
        tex="results/{experiment}/tables/main.tex",
    log:
        "logs/{experiment}/table.log",
    benchmark:
        "results/{experiment}/tables/benchmark.tsv"
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        detectors=reported_detectors(),
    shell:
        "python $SCRIPTS/table.py --rows {input.rows:q} --complexity {input.complexity:q}"
        " --detectors {params.detectors:q} --detector-metrics {input.detectors:q}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q} > {log:q} 2>&1"


rule plot_stages:
    input:
        rows="results/{experiment}/rows.json",
        detectors=[detector_file(name, "metrics.json") for name in reported_detectors()],
        stages=lambda w: stage_results("metrics.json") + stage_results("history.csv"),
    output:
        epochs=report(
            "results/{experiment}/plots/ap_over_epochs.svg", caption="../report/epochs.rst", category="Plots"
        ),
        epochs_png="results/{experiment}/plots/ap_over_epochs.png",
        arms=report(
            "results/{experiment}/plots/direct_vs_progressive.svg",
            caption="../report/arms.rst",
            category="Plots",
        ),
        arms_png="results/{experiment}/plots/direct_vs_progressive.png",
    log:
        "logs/{experiment}/plot_stages.log",
    benchmark:
        "results/{experiment}/plots/stages.benchmark.tsv"
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        detectors=reported_detectors(),
    shell:
        "python $SCRIPTS/plot_stages.py --rows {input.rows:q} --detectors {params.detectors:q}"
        " --detector-metrics {input.detectors:q} --title {wildcards.experiment:q} --epochs {output.epochs:q} {output.epochs_png:q}"
        " --arms {output.arms:q} {output.arms_png:q} > {log:q} 2>&1"


rule plot_costs:
    input:
        costs=lambda w: order_file(w.student, w.pool, "cost.csv"),
        order=lambda w: order_file(w.student, w.pool, "order.json"),
    output:
        svg=report(
            "results/{experiment}/plots/adaptation_cost_{student}_{pool}.svg",
            caption="../report/costs.rst",
            category="Plots",
        ),
        png="results/{experiment}/plots/adaptation_cost_{student}_{pool}.png",
    log:
        "logs/{experiment}/plot_costs_{student}_{pool}.log",
    benchmark:
        "results/{experiment}/plots/costs_{student}_{pool}.benchmark.tsv"
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    shell:
        "python $SCRIPTS/plot_costs.py --costs {input.costs:q} --order {input.order:q}"
        " --out {output.svg:q} {output.png:q} > {log:q} 2>&1"
