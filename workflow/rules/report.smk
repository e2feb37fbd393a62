rule list_rows:
    input:
        lambda w: [finished_order(student, pool) for student, pool in rows.ordered_pools(experiment)],
        unfitting=rows_to_make_again,
    output:
        rows=f"{folders.EXPERIMENT}/rows.json",
    log:
        f"{folders.logs(folders.EXPERIMENT)}/list_rows.log",
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=100,
        runtime=5,
    params:
        rows=lambda w: spec_file(
            folders.EXPERIMENT.format(**w), "rows", specs.identified(experiment, layout, table_rows())
        ),
    shell:
        "cp {params.rows:q} {output.rows:q} > {log:q} 2>&1"


rule measure_complexity:
    input:
        train=annotations()["train"],
        configs=config_files(reported),
        unfitting=lambda w: unless_it_fits(
            f"{folders.EXPERIMENT}/complexity.json".format(**w),
            partial(specs.complexity, experiment, layout),
        ),
    output:
        table=f"{folders.EXPERIMENT}/complexity.csv",
        made_with=f"{folders.EXPERIMENT}/complexity.json",
    log:
        f"{folders.logs(folders.EXPERIMENT)}/complexity.log",
    benchmark:
        f"{folders.EXPERIMENT}/complexity.benchmark.tsv"
    conda:
        "../../envs/mtpd.yaml"
    # More threads than exist, so that no other job runs during the measurement. A rehearsal measures nothing.
    threads: 1 if experiment.rehearsal else 1024
    resources:
        **on_one_node(min(compute.gpus, 1)),
        mem_mb=compute.mem_mb,
        runtime=compute.runtime,
    params:
        script=script("complexity.py", min(compute.gpus, 1)),
        spec=lambda w: spec_file(
            folders.EXPERIMENT.format(**w), "complexity", specs.complexity(experiment, layout)
        ),
    shell:
        "{params.script} --spec {params.spec:q} --out {output.table:q} --made-with {output.made_with:q} > {log:q} 2>&1"


rule write_tables:
    input:
        rows=f"{folders.EXPERIMENT}/rows.json",
        complexity=f"{folders.EXPERIMENT}/complexity.csv",
        detectors=reported_metrics,
        written=stage_results("metrics.json", rows.written_arms(experiment)),
        stages=lambda w: stage_results("metrics.json"),
        detector_tests=[detector_test(name) for name in reported] if has_test else [],
        tests=lambda w: test_results(),
    output:
        csv=report(f"{folders.TABLES}/main.csv", caption="../report/table.rst", category="Tables"),
        md=f"{folders.TABLES}/main.md",
        tex=f"{folders.TABLES}/main.tex",
        seeds=f"{folders.TABLES}/seeds.csv",
    log:
        f"{folders.logs(folders.TABLES)}/tables.log",
    benchmark:
        f"{folders.TABLES}/benchmark.tsv"
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        script=script("tables.py"),
        detectors=reported,
    shell:
        "{params.script} --rows {input.rows:q} --complexity {input.complexity:q}"
        " --detectors {params.detectors:q} --detector-metrics {input.detectors:q}"
        " --detector-tests {input.detector_tests:q}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q} --seeds {output.seeds:q} > {log:q} 2>&1"


rule plot_stages:
    input:
        rows=f"{folders.EXPERIMENT}/rows.json",
        detectors=reported_metrics,
        stages=lambda w: stage_results("metrics.json") + stage_results("history.csv"),
    output:
        epochs=plot("ap_over_epochs", "../report/epochs.rst"),
        arms=plot("arms", "../report/arms.rst"),
    log:
        f"{folders.logs(folders.PLOTS)}/stages.log",
    benchmark:
        f"{folders.PLOTS}/stages.benchmark.tsv"
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        script=script("plot_stages.py"),
        detectors=reported,
    shell:
        "{params.script} --rows {input.rows:q} --title {wildcards.experiment:q}"
        " --detectors {params.detectors:q} --detector-metrics {input.detectors:q}"
        " --epochs {output.epochs:q} --arms {output.arms:q}"
        " > {log:q} 2>&1"


rule plot_costs:
    input:
        costs=lambda w: layout.order(w.student, w.pool, "cost.csv"),
        order=lambda w: layout.order(w.student, w.pool, "order.json"),
    output:
        plot("adaptation_cost_{student}+{pool}", "../report/costs.rst"),
    log:
        f"{folders.logs(folders.PLOTS)}/costs_{{student}}+{{pool}}.log",
    benchmark:
        f"{folders.PLOTS}/costs_{{student}}+{{pool}}.benchmark.tsv"
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        script=script("plot_costs.py"),
    shell:
        "{params.script} --costs {input.costs:q} --order {input.order:q}" " --out {output:q} > {log:q} 2>&1"
