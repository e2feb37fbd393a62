rule write_paper:
    input:
        published=str(PROJECT / input_files.PAPER_RESULTS),
        rows=f"{folders.EXPERIMENT}/rows.json",
        stages=lambda w: stage_results("metrics.json", reproducing),
    output:
        csv=report(f"{folders.TABLES}/paper.csv", caption="../report/paper.rst", category="Tables"),
        md=f"{folders.TABLES}/paper.md",
        tex=f"{folders.TABLES}/paper.tex",
        plots=plot("paper", "../report/paper.rst"),
    log:
        f"{folders.logs(folders.TABLES)}/paper.log",
    benchmark:
        f"{folders.TABLES}/paper.benchmark.tsv"
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        script=script("paper.py"),
        ids=sorted({arm.paper for arm in reproducing.values()}),
    shell:
        "{params.script} --published {input.published:q} --rows {input.rows:q} --ids {params.ids:q}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --plots {output.plots:q} --title {wildcards.experiment:q} > {log:q} 2>&1"
