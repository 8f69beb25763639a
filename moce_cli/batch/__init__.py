"""Which files, what they become, and running them one by one."""

from moce_cli.batch.jobs import MARK, STANDARD, Job, make_folders, plan_jobs
from moce_cli.batch.run import Done, Settings, open_picture, run_jobs

__all__ = [
    "MARK",
    "STANDARD",
    "Done",
    "Job",
    "Settings",
    "make_folders",
    "open_picture",
    "plan_jobs",
    "run_jobs",
]
