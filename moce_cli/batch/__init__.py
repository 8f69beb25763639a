"""Which files, what they become, and running them: nothing is lost, nothing is done twice."""

from moce_cli.batch.bands import parse_bands
from moce_cli.batch.desk import Desk, Done, Settings
from moce_cli.batch.finding import MARK, STANDARD, Wanted, read_list
from moce_cli.batch.forecasting import forecast_of
from moce_cli.batch.jobs import (
    Job,
    Shard,
    check_collisions,
    check_existing,
    list_jobs,
    make_folders,
    plan_jobs,
)
from moce_cli.batch.journal import Book, Entry, Journal, Stamp, Work, read_book
from moce_cli.batch.loading import open_picture
from moce_cli.batch.pipeline import Began, Event, Pipeline, Stop, Tiles
from moce_cli.batch.plan import Request
from moce_cli.batch.remote_journal import CopiedJournal, bring
from moce_cli.batch.resume import Resume
from moce_cli.batch.staging import Staging
from moce_cli.batch.stopping import interruptible
from moce_cli.batch.watch import watch
from moce_cli.batch.workers import Workers

__all__ = [
    "MARK",
    "STANDARD",
    "Began",
    "Book",
    "CopiedJournal",
    "Desk",
    "Done",
    "Entry",
    "Event",
    "Job",
    "Journal",
    "Pipeline",
    "Request",
    "Resume",
    "Settings",
    "Shard",
    "Staging",
    "Stamp",
    "Stop",
    "Tiles",
    "Wanted",
    "Work",
    "Workers",
    "bring",
    "check_collisions",
    "check_existing",
    "forecast_of",
    "interruptible",
    "list_jobs",
    "make_folders",
    "open_picture",
    "parse_bands",
    "plan_jobs",
    "read_book",
    "read_list",
    "watch",
]
