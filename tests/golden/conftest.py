"""Prints how many golden files were met, so that a run that met none cannot pass unseen."""


def pytest_terminal_summary(terminalreporter):
    counts = {
        outcome: sum("test_golden.py::test_golden[" in r.nodeid for r in terminalreporter.stats.get(outcome, []))
        for outcome in ("passed", "failed")
    }
    if any(counts.values()):
        terminalreporter.write_line(f"golden files: {counts['passed']} equal, {counts['failed']} not")
