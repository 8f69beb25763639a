"""What a run is told to have spent."""

import subprocess
import sys
import time

from moce_cli.training.state import Counters
from moce_cli.training.watch import Clock


def test_processor_time_is_that_of_all_processes_and_of_earlier_parts():
    spent = {}
    for processes in (1, 3):
        counters = Counters(cpu_seconds=100.0, seconds=50.0)
        clock, began = Clock(counters, processes), time.process_time()
        while time.process_time() < began + 0.1:
            pass
        clock.update()
        spent[processes] = counters.cpu_seconds - 100
        assert counters.seconds > 50
    assert 0.09 < spent[1] < 0.2
    assert 2.5 * spent[1] < spent[3] < 3.5 * spent[1]


def test_processor_time_is_that_of_workers_too():
    counters = Counters()
    clock = Clock(counters)
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", busy], check=True)
    clock.update()
    assert counters.cpu_seconds > 0.25
