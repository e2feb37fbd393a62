from snakemake.utils import min_version

min_version("9.0")

# A file given with --configfile replaces the demo; it is not merged into it.
if not workflow.configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/stage.smk"
include: "workflow/rules/teachers.smk"
include: "workflow/rules/order.smk"
include: "workflow/rules/report.smk"


onstart:
    check_first()


rule all:
    default_target: True
    input:
        tables(),
        plots(),


rule detectors:
    input:
        [detector_file(name, "metrics.json") for name in experiment.detectors],


rule orders:
    input:
        [order_file(student, pool, "order.json") for student, pool in ordered_pools()],
