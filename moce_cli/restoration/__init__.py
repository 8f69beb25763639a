"""Pictures to tiles to the network and back, with a report of who fired."""

from moce_cli.restoration.forecast import Asked, Forecast
from moce_cli.restoration.plan import Plan
from moce_cli.restoration.report import BlockReport, Macs, Report
from moce_cli.restoration.restorer import Restorer, Result
from moce_cli.restoration.where import How, Mask, Region

__all__ = [
    "Asked",
    "BlockReport",
    "Forecast",
    "How",
    "Macs",
    "Mask",
    "Plan",
    "Region",
    "Report",
    "Restorer",
    "Result",
]
