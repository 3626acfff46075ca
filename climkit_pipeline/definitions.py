"""What ``workspace.yaml`` loads: the definitions for Dagster's servers."""

from climkit_pipeline.defs.factory import build_definitions

defs = build_definitions()
