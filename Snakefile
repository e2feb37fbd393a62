# The workflow itself stands in workflow/, where Snakemake's workflow catalog looks for it.
include: "workflow/Snakefile"


workflow.default_target = "all"  # Snakemake does not take the default target of an included file
