rule write_comparison:
    input:
        rows=f"{folders.EXPERIMENT}/rows.json",
        stages=lambda w: stage_results("metrics.json", compared),
        tests=lambda w: test_results(compared),
    output:
        csv=report(f"{folders.TABLES}/comparison.csv", caption="../report/comparison.rst", category="Tables"),
        md=f"{folders.TABLES}/comparison.md",
        tex=f"{folders.TABLES}/comparison.tex",
        plots=plot("comparison", "../report/comparison.rst"),
    log:
        f"{folders.logs(folders.TABLES)}/comparison.log",
    benchmark:
        f"{folders.TABLES}/comparison.benchmark.tsv"
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        script=script("comparison.py"),
        arms=[arm for arm, _ in comparisons],
        controls=[control for _, control in comparisons],
    shell:
        "{params.script} --rows {input.rows:q} --arms {params.arms:q} --controls {params.controls:q}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --plots {output.plots:q} --title {wildcards.experiment:q} > {log:q} 2>&1"


rule rank_orders:
    input:
        rows=f"{folders.EXPERIMENT}/rows.json",
        costs=lambda w: layout.order(w.student, w.pool, "cost.csv"),
        order=lambda w: layout.order(w.student, w.pool, "order.json"),
        stages=study_results,
    output:
        csv=report(
            f"{folders.TABLES}/orders_{{student}}+{{pool}}.csv",
            caption="../report/orders.rst",
            category="Tables",
        ),
        md=f"{folders.TABLES}/orders_{{student}}+{{pool}}.md",
        tex=f"{folders.TABLES}/orders_{{student}}+{{pool}}.tex",
        correlation=f"{folders.TABLES}/correlation_{{student}}+{{pool}}.csv",
        plots=plot("orders_{student}+{pool}", "../report/orders.rst"),
    log:
        f"{folders.logs(folders.TABLES)}/orders_{{student}}+{{pool}}.log",
    benchmark:
        f"{folders.TABLES}/orders_{{student}}+{{pool}}.benchmark.tsv"
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        script=script("order_study.py"),
        arms=lambda w: list(rows.studied_arms(experiment, w.student, w.pool)),
    shell:
        "{params.script} --rows {input.rows:q} --arms {params.arms:q} --costs {input.costs:q}"
        " --order {input.order:q} --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --correlation {output.correlation:q} --plots {output.plots:q} > {log:q} 2>&1"
