"""`crossspec report`: what adapters gained and kept, proved on scores, as HTML, Markdown and JSON.

runs.py -> systems.py -> build.py make the report as plain numbers; figures.py, tables.py and render.py show it.
"""

from hf_crossspec.report.build import Settings
from hf_crossspec.report.runs import Plan, plan_report
from hf_crossspec.report.write import write_report

__all__ = ["Plan", "Settings", "plan_report", "write_report"]
